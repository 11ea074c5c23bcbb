//! A top-level organisation.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "client")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub name: String,
    /// `name` folded for comparison, see `src/records/fold.rs`.
    pub name_key: String,
    pub account_code: Option<String>,
    /// `account_code` folded likewise.
    pub account_code_key: Option<String>,
    pub website: Option<String>,
    pub email_invoice: Option<String>,
    pub notes: Option<String>,
    pub has_invoice_reminders: bool,
    pub show_location_on_invoice: bool,
    pub salesperson: Option<i64>,
    pub case_manager: Option<i64>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    pub version: i32,
    #[sea_orm(has_many)]
    pub locations: HasMany<super::client_location::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
