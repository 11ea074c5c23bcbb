//! The order of a list, and the position of a row in it: its keyset.

use async_graphql::Enum;
use sea_orm::{
    ColumnTrait, Order as SqlOrder, Value,
    sea_query::{Expr, ExprTrait},
};

use super::Listed;

/// What a list is sorted by. Ties are broken by the id.
#[derive(Enum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OrderField {
    /// By id: the order in which the records were created.
    #[default]
    Id,
    /// By name, ignoring case.
    Name,
    /// By the instant of creation. Who goes on from `endCursor` misses nothing: the list
    /// lags as one with `createdFrom` does.
    CreatedAt,
    /// By the instant of the last change. Who goes on from `endCursor` misses nothing: the
    /// list lags as one with `updatedFrom` does.
    UpdatedAt,
}

/// Up or down.
#[derive(Enum, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[graphql(name = "OrderDirection")]
pub enum Direction {
    /// From small to large, from old to new.
    #[default]
    Asc,
    /// From large to small, from new to old.
    Desc,
}

impl Direction {
    /// The opposite direction.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Asc => Self::Desc,
            Self::Desc => Self::Asc,
        }
    }

    /// The keyword of SQL.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Asc => "ASC",
            Self::Desc => "DESC",
        }
    }

    /// The operator by which an id that comes later in this direction compares.
    pub(super) fn beyond(self) -> &'static str {
        match self {
            Self::Asc => ">",
            Self::Desc => "<",
        }
    }

    /// The direction for the query builder.
    #[must_use]
    pub fn sql(self) -> SqlOrder {
        match self {
            Self::Asc => SqlOrder::Asc,
            Self::Desc => SqlOrder::Desc,
        }
    }
}

/// How a list is sorted: by id and ascending, unless told otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// What to sort by.
    pub field: OrderField,
    /// Ascending or descending.
    pub direction: Direction,
}

/// The position of a row in an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Position {
    /// The value of the sort column; none when the order is by id alone.
    pub key: Option<Value>,
    /// The id, which breaks ties.
    pub id: i64,
}

/// The condition that a row comes after `position`. Both engines answer a comparison of row
/// values from an index, but not the same condition spelled out with OR.
pub(super) fn beyond<E: Listed>(
    field: OrderField,
    direction: Direction,
    position: &Position,
) -> Expr {
    let (columns, values) = comparison::<E>(field, position);
    match direction {
        Direction::Asc => columns.gt(values),
        Direction::Desc => columns.lt(values),
    }
}

/// The condition that a row is at `position` or comes before it.
pub(super) fn up_to<E: Listed>(
    field: OrderField,
    direction: Direction,
    position: &Position,
) -> Expr {
    let (columns, values) = comparison::<E>(field, position);
    match direction {
        Direction::Asc => columns.lte(values),
        Direction::Desc => columns.gte(values),
    }
}

fn comparison<E: Listed>(field: OrderField, position: &Position) -> (Expr, Expr) {
    let id = E::ID.into_expr();
    match (E::sort_column(field), &position.key) {
        (Some(column), Some(key)) => (
            Expr::tuple([column.into_expr(), id]),
            Expr::tuple([Expr::val(key.clone()), Expr::val(position.id)]),
        ),
        _ => (id, Expr::val(position.id)),
    }
}
