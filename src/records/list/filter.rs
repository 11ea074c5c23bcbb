//! Filters: which rows of a list are wanted.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, Condition};

use super::{Listed, OrderField};
use crate::records::{
    fold::fold,
    validation::{self, Checks},
};

/// The input of a filter.
pub trait FilterInput {
    /// The entity that is listed.
    type Entity: Listed;

    /// The condition for the rows that the input accepts, without the search. Adds faults
    /// of its values to `checks`.
    fn condition(&self, checks: &mut Checks) -> Condition;

    /// The text to search for.
    fn search(&self) -> Option<&str>;

    /// The filter for this input. Adds faults of its values to `checks`.
    fn select(&self, checks: &mut Checks) -> Filter {
        let condition = self.condition(checks);
        let search = self.search();
        let search = search.and_then(|text| checks.value("search", text, validation::filter_text));
        Filter {
            generic_plan: condition.is_empty() || self.names_few(),
            condition,
            search: search.map(|text| fold(&text)),
            polled_by: self.polled_by(),
        }
    }

    /// The instant that has a lower bound: callers poll by it.
    fn polled_by(&self) -> Option<OrderField> {
        None
    }

    /// Whether it accepts only few rows, which an index finds by a value of the input.
    fn names_few(&self) -> bool {
        false
    }
}

/// Which rows of a list are wanted.
#[derive(Clone, Debug)]
pub struct Filter {
    /// The condition that they meet.
    pub condition: Condition,
    /// The folded text that one of their keys contains.
    pub search: Option<String>,
    /// Whether PostgreSQL may use a generic plan: one plan is best for all values of the
    /// condition.
    pub generic_plan: bool,
    /// The instant by which callers poll them.
    pub polled_by: Option<OrderField>,
}

impl Filter {
    /// Limits the filter to the horizon at which a page of it ended, if it had one.
    #[must_use]
    pub fn up_to<E: Listed>(mut self, horizon: Option<DateTime<Utc>>) -> Self {
        let column = self.polled_by.and_then(E::sort_column);
        if let (Some(column), Some(horizon)) = (column, horizon) {
            self.condition = self.condition.add(column.lte(horizon));
        }
        self
    }
}

/// The instant by which a filter with these lower bounds is polled. A record is never
/// changed before it is created, so the instant of the change counts for both.
pub fn polled_by<T>(updated_from: Option<T>, created_from: Option<T>) -> Option<OrderField> {
    let updated = updated_from.map(|_| OrderField::UpdatedAt);
    updated.or(created_from.map(|_| OrderField::CreatedAt))
}
