//! The same page of what belongs to each of several clients, in one statement for all.

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, Order as SqlOrder, QueryFilter, QueryResult,
    QuerySelect, QueryTrait,
    sea_query::{Expr, ExprTrait, Func, Query, WindowStatement},
};

use super::{Direction, Listed, OrderField, Position, beyond, up_to};
use crate::{error::Result, statements::any_of};

/// What belongs to clients.
pub trait OfClient: Listed {
    /// The column of the client.
    const CLIENT_ID: Self::Column;

    /// The client of `row`.
    fn client_id(row: &Self::Model) -> i64;
}

/// Which rows of each client: by id, in this direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slice {
    /// Up or down.
    pub direction: Direction,
    /// Only those after this id.
    pub after: Option<i64>,
    /// The most rows.
    pub limit: u64,
}

impl Slice {
    fn position(id: i64) -> Position {
        Position { key: None, id }
    }
}

/// The rows of `slice` for each of the clients, with these `columns`. Those of one client
/// come together.
///
/// # Errors
/// If the database fails.
pub async fn first_of_each<E: OfClient>(
    db: &impl ConnectionTrait,
    client_ids: &[i64],
    slice: Slice,
    columns: impl IntoIterator<Item = &'static str>,
) -> Result<Vec<QueryResult>> {
    const ROW: &str = "row_of_client";
    const PAGE: &str = "page";
    let direction = slice.direction;
    let after = slice.after.map(Slice::position);
    let of_clients = Condition::all()
        .add(any_of(db, E::CLIENT_ID, client_ids))
        .add_option(after.map(|after| beyond::<E>(OrderField::Id, direction, &after)));
    let numbered = E::find()
        .filter(of_clients)
        .into_query()
        .expr_window_as(
            Func::cust("ROW_NUMBER"),
            WindowStatement::partition_by(E::CLIENT_ID)
                .order_by(E::ID, direction.sql())
                .take(),
            ROW,
        )
        .take();
    // As the rows were numbered, so that they are not sorted again.
    let pages = Query::select()
        .columns(columns)
        .from_subquery(numbered, PAGE)
        .and_where(Expr::col(ROW).lte(slice.limit))
        .order_by(E::CLIENT_ID, SqlOrder::Asc)
        .order_by(E::ID, direction.sql())
        .take();
    Ok(db.query_all(&pages).await?)
}

/// How many rows each of the clients has: only those up to the id `last`, seen in this
/// direction, if one is given. A client with none is left out.
///
/// # Errors
/// If the database fails.
pub async fn count_of_each<E: OfClient>(
    db: &impl ConnectionTrait,
    client_ids: &[i64],
    direction: Direction,
    last: Option<i64>,
) -> Result<Vec<(i64, i64)>> {
    let last = last.map(Slice::position);
    let counted = E::find()
        .select_only()
        .column(E::CLIENT_ID)
        .column_as(E::ID.count(), "count")
        .filter(any_of(db, E::CLIENT_ID, client_ids))
        .filter(
            Condition::all()
                .add_option(last.map(|last| up_to::<E>(OrderField::Id, direction, &last))),
        )
        .group_by(E::CLIENT_ID);
    Ok(counted.into_tuple().all(db).await?)
}
