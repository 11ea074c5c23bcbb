//! Conditions on many ids, each as one parameter.

use sea_orm::{
    ConnectionTrait, DbBackend,
    sea_query::{Expr, ExprTrait, Func, Query, extension::postgres::PgFunc},
};

/// How many ids PostgreSQL expects in an array that it does not know when it plans.
const EXPECTED_IDS: usize = 10;

/// The condition that `column` is one of `ids`.
pub fn any_of(db: &impl ConnectionTrait, column: Expr, ids: &[i64]) -> Expr {
    let ids = set_of(db, ids);
    if db.get_database_backend() == DbBackend::Postgres {
        let ids = Expr::val(ids).cast_as("bigint[]");
        column.eq(PgFunc::any(ids))
    } else {
        let ids = Func::cust("json_each").arg(ids);
        let ids = Query::select()
            .column("value")
            .from_function(ids, "ids")
            .take();
        column.in_subquery(ids)
    }
}

/// The parameter of [`any_of`] for these ids. For PostgreSQL the last id is repeated up to
/// the number that it expects: a plan for fewer ids would look cheaper than the generic
/// one, so it would plan each time.
fn set_of(db: &impl ConnectionTrait, ids: &[i64]) -> String {
    match ids {
        [.., last] if db.get_database_backend() == DbBackend::Postgres => {
            let mut ids = ids.to_vec();
            let last = *last;
            ids.resize(ids.len().max(EXPECTED_IDS), last);
            list_of(db, &ids)
        }
        _ => list_of(db, ids),
    }
}

/// All `ids` as one parameter. With a parameter for each id, every number of ids would be
/// another statement to prepare and plan.
pub fn list_of(db: &impl ConnectionTrait, ids: &[i64]) -> String {
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    let ids = ids.join(",");
    if db.get_database_backend() == DbBackend::Postgres {
        format!("{{{ids}}}")
    } else {
        format!("[{ids}]")
    }
}
