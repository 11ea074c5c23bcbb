//! Where the log of changes begins: one row.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "change_pruned")]
pub struct Model {
    /// Always 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    /// The changes up to this number were deleted, but for erasures and what followed them.
    pub up_to: i64,
    /// When the last one of them was made; none if all are there.
    pub at: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}
