//! What was done to a client or to a location. Rows are added, and lose at most the texts of an
//! erased client, or are deleted when they are old.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "change")]
pub struct Model {
    /// Grows in the order in which readers may see the rows, see the migration.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The record's `updated_at` after the change.
    pub at: DateTimeUtc,
    /// The user of the token that was used.
    pub user_name: String,
    pub face: Face,
    pub kind: Kind,
    pub client_id: i64,
    /// The location, if it is one that changed.
    pub location_id: Option<i64>,
    /// A JSON object: columns and the values that they had.
    pub old: String,
    /// The same columns with the values that they got.
    pub new: String,
}

/// By which way a mutation came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Face {
    #[sea_orm(string_value = "GRAPHQL")]
    Graphql,
    #[sea_orm(string_value = "REST")]
    Rest,
    /// By a command of the operator's.
    #[sea_orm(string_value = "COMMAND")]
    Command,
}

/// What happened to which kind of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Kind {
    #[sea_orm(string_value = "CLIENT_CREATED")]
    ClientCreated,
    #[sea_orm(string_value = "CLIENT_UPDATED")]
    ClientUpdated,
    #[sea_orm(string_value = "LOCATION_CREATED")]
    LocationCreated,
    #[sea_orm(string_value = "LOCATION_UPDATED")]
    LocationUpdated,
    #[sea_orm(string_value = "CLIENT_ERASED")]
    ClientErased,
}

impl ActiveModelBehavior for ActiveModel {}
