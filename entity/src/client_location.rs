//! A branch of a client. Exactly one branch of each client is its primary one.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "client_location")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub client_id: i64,
    pub is_primary: bool,
    pub name: String,
    /// `name` folded for comparison, see `src/records/fold.rs`.
    pub name_key: String,
    pub email_invoice: Option<String>,
    #[sea_orm(column_name = "address_1")]
    pub address_1: Option<String>,
    #[sea_orm(column_name = "address_2")]
    pub address_2: Option<String>,
    #[sea_orm(column_name = "address_3")]
    pub address_3: Option<String>,
    pub city: Option<String>,
    pub state: String,
    pub zip: Option<String>,
    pub country: String,
    pub phone_primary: Option<String>,
    pub phone_secondary: Option<String>,
    pub phone_fax: Option<String>,
    pub notes: Option<String>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    pub version: i32,
    #[sea_orm(belongs_to, from = "client_id", to = "id")]
    pub client: BelongsTo<super::client::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
