//! Which rows of a list are wanted.

use sea_orm::Condition;

use super::Listed;
use crate::{
    fold::fold,
    validation::{self, Checks},
};

/// Which rows of an entity to list.
pub trait Filter {
    /// The entity.
    type Entity: Listed;

    /// The rows that this filter accepts, whatever is searched for. Faults of its values
    /// go to `checks`.
    fn condition(&self, checks: &mut Checks) -> Condition;

    /// The text that is searched for.
    fn search(&self) -> Option<&str>;

    /// What this filter selects. Faults of its values go to `checks`.
    fn select(&self, checks: &mut Checks) -> Selection {
        let condition = self.condition(checks);
        let search = self.search();
        let search = search.and_then(|text| checks.value("search", text, validation::filter_text));
        Selection {
            has_one_plan: condition.is_empty() || self.names_few(),
            condition,
            search: search.map(|text| fold(&text)),
        }
    }

    /// Whether it names the few rows that it accepts by a value of an index of their own.
    fn names_few(&self) -> bool {
        false
    }
}

/// Which rows of a list are wanted.
#[derive(Clone, Debug)]
pub struct Selection {
    /// What must hold for them.
    pub condition: Condition,
    /// The folded text that they must contain, too.
    pub search: Option<String>,
    /// Whether they are best found in the same way whatever the values of the condition
    /// are.
    pub has_one_plan: bool,
}
