//! Which rows of a list are wanted.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, Condition};

use super::{Listed, OrderField};
use crate::records::{
    fold::fold,
    validation::{self, Checks},
};

/// Which rows of an entity to list.
pub trait FilterInput {
    /// The entity.
    type Entity: Listed;

    /// The rows that this filter accepts, whatever is searched for. Faults of its values
    /// go to `checks`.
    fn condition(&self, checks: &mut Checks) -> Condition;

    /// The text that is searched for.
    fn search(&self) -> Option<&str>;

    /// What this filter selects. Faults of its values go to `checks`.
    fn select(&self, checks: &mut Checks) -> Filter {
        let condition = self.condition(checks);
        let search = self.search();
        let search = search.and_then(|text| checks.value("search", text, validation::filter_text));
        Filter {
            has_one_plan: condition.is_empty() || self.names_few(),
            condition,
            search: search.map(|text| fold(&text)),
            polled_by: self.polled_by(),
        }
    }

    /// The instant of which it has a lower bound: who asks again from there polls.
    fn polled_by(&self) -> Option<OrderField> {
        None
    }

    /// Whether it names the few rows that it accepts by a value of an index of their own.
    fn names_few(&self) -> bool {
        false
    }
}

/// Which rows of a list are wanted.
#[derive(Clone, Debug)]
pub struct Filter {
    /// What must hold for them.
    pub condition: Condition,
    /// The folded text that they must contain, too.
    pub search: Option<String>,
    /// Whether they are best found in the same way whatever the values of the condition
    /// are.
    pub has_one_plan: bool,
    /// The instant by which they are polled.
    pub polled_by: Option<OrderField>,
}

impl Filter {
    /// The same up to the horizon at which a page of it ended, if it had to: by the instant
    /// by which that was cut.
    #[must_use]
    pub fn up_to<E: Listed>(mut self, horizon: Option<DateTime<Utc>>) -> Self {
        let column = self.polled_by.and_then(E::sort_column);
        if let (Some(column), Some(horizon)) = (column, horizon) {
            self.condition = self.condition.add(column.lte(horizon));
        }
        self
    }
}

/// What a filter with these lower bounds is polled by. A record is never changed before it
/// is created, so the instant of the change counts for both.
pub fn polled_by<T>(updated_from: Option<T>, created_from: Option<T>) -> Option<OrderField> {
    let updated = updated_from.map(|_| OrderField::UpdatedAt);
    updated.or(created_from.map(|_| OrderField::CreatedAt))
}
