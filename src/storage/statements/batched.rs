//! Statements that several requests share: one of them leads, and runs the statement for all
//! (see `storage/batcher.rs`).

use std::iter;

use sea_orm::{ConnectionTrait, DbErr, QueryResult, RuntimeErr, Statement, Value};

use super::{
    super::{
        batcher::{Follower, Role},
        connections::fault::{ConnectionFault, Redacted},
    },
    Statements, value_sets,
};
use crate::error::Outage;
use crate::storage::turns::Share;

impl Statements {
    /// Reads all rows of a statement. If other requests have sent the same one with other
    /// values meanwhile, one statement serves them all, so its plan must be good for all
    /// values. It should read no more than about so many rows.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn query_batched(
        &self,
        statement: Statement,
        rows: u64,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let for_each = match self.batcher {
            Some(_) => value_sets::for_each(&statement),
            None => None,
        };
        let Some(for_each) = for_each else {
            return self.query_all_raw(statement).await;
        };
        let set = || {
            let values = statement.values.clone();
            values.map_or_else(Vec::new, |values| values.0)
        };
        let alone = || statement.clone();
        self.run_batched(for_each, rows, set, alone).await
    }

    /// Runs a statement that reads from a [table of sets](value_sets::table), for this set
    /// of values: once for all requests that have sent it meanwhile. So what it does for
    /// one set must not depend on the others.
    ///
    /// # Errors
    /// If the database fails; [`ConnectionFault::Unconfirmed`] for the whole batch if it
    /// gave no answer.
    pub async fn write_batched(
        &self,
        sql: String,
        set: Vec<Value>,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let alone = || value_sets::of_sets(sql.clone(), iter::once(&set));
        self.run_batched(sql.clone(), 1, || set.clone(), alone)
            .await
    }

    /// The rows for this request's set, from the statement `for_each` that serves a batch,
    /// or from the statement `alone` that serves only this one.
    async fn run_batched(
        &self,
        for_each: String,
        rows: u64,
        set: impl Fn() -> Vec<Value>,
        alone: impl Fn() -> Statement,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let Some(batcher) = &self.batcher else {
            return self.query_all_raw(alone()).await;
        };
        let mut leader = match batcher.join(&for_each, rows, &set).await {
            Role::Done(result) => return result,
            Role::Lost if !self.only_reads => {
                return Err(ConnectionFault::Unconfirmed(ConnectionFault::Late.into()).into());
            }
            Role::Alone | Role::Lost => return self.query_all_raw(alone()).await,
            Role::Leader(leader) => leader,
        };
        let followers = leader.take_followers();
        if followers.is_empty() {
            return self.query_all_raw(alone()).await;
        }
        let own = set();
        // The sets are in the order in which their requests arrived.
        let sets = followers.iter().map(|follower| &follower.job);
        let together = value_sets::of_sets(for_each, iter::once(&own).chain(sets));
        // Not on the caller's own turns, which may be few: the others wait, too.
        match self.of(Share::of_batches()).query_all_raw(together).await {
            Ok(rows) => {
                // The next batch begins while the followers get their rows.
                drop(leader);
                let mut rows = value_sets::by_set(rows, followers.len() + 1)?.into_iter();
                let own = rows.next().unwrap_or_default();
                for (follower, rows) in followers.into_iter().zip(rows) {
                    follower.tell(Ok(rows));
                }
                Ok(own)
            }
            // Nobody knows whose values are at fault, so each request runs its own statement.
            Err(error @ DbErr::Query(_)) if self.only_reads || !is_outage(&error) => {
                let cause = Redacted(&error);
                tracing::debug!(%cause, "a statement for several requests failed");
                drop(leader);
                followers.into_iter().for_each(Follower::leave);
                self.query_all_raw(alone()).await
            }
            // Nothing was sent.
            Err(error @ DbErr::ConnectionAcquire(_)) => {
                followers.into_iter().for_each(Follower::leave);
                Err(error)
            }
            Err(error) if self.only_reads => {
                followers.into_iter().for_each(Follower::leave);
                Err(error)
            }
            // A write may have happened, or has waited for as long as it may: it is not
            // repeated.
            Err(error) => {
                for follower in followers {
                    follower.tell(Err(error.clone()));
                }
                Err(error)
            }
        }
    }
}

/// Whether the database may accept the same statement later.
fn is_outage(error: &DbErr) -> bool {
    let DbErr::Query(RuntimeErr::SqlxError(cause)) = error else {
        return false;
    };
    Outage::behind(cause).is_some()
}
