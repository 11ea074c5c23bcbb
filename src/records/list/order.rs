//! The order of a list, and the keyset of a row: where it stands in that order.

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
    /// The other one.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Asc => Self::Desc,
            Self::Desc => Self::Asc,
        }
    }

    /// Its name in SQL.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Asc => "ASC",
            Self::Desc => "DESC",
        }
    }

    /// How an id further on in this direction compares.
    pub(super) fn beyond(self) -> &'static str {
        match self {
            Self::Asc => ">",
            Self::Desc => "<",
        }
    }

    /// For a statement that is built.
    #[must_use]
    pub fn sql(self) -> SqlOrder {
        match self {
            Self::Asc => SqlOrder::Asc,
            Self::Desc => SqlOrder::Desc,
        }
    }
}

/// How a list is sorted: by id and upwards unless told otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// What to sort by.
    pub field: OrderField,
    /// Up or down.
    pub direction: Direction,
}

/// Where a row stands in an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Position {
    /// The value of the sort column; none when the order is by id alone.
    pub key: Option<Value>,
    /// Breaks ties.
    pub id: i64,
}

/// The condition "stands after `position`". A comparison of row values, which
/// both engines answer from an index; the same spelled out with OR is not.
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

/// The condition "stands at `position` or before it".
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
