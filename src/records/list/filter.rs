//! Filters: which rows of a list are wanted.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, Condition, Value, sea_query::Expr};

use super::{Listed, OrderField, search::sample::Key};
use crate::records::{
    fold::fold,
    instant,
    validation::{self, Checks},
};

/// The input of a filter.
pub trait FilterInput {
    /// The entity that is listed.
    type Entity: Listed;

    /// What the input asks of a row, without the search. Adds faults of its values to
    /// `checks`.
    fn terms(&self, checks: &mut Checks) -> Terms;

    /// The text to search for.
    fn search(&self) -> Option<&str>;

    /// The filter for this input. Adds faults of its values to `checks`.
    fn select(&self, checks: &mut Checks) -> Filter {
        let Terms { condition, bounds } = self.terms(checks);
        let search = self.search();
        let search = search.and_then(|text| checks.value("search", text, validation::filter_text));
        Filter {
            generic_plan: condition.is_empty() || self.names_few(),
            condition,
            bounds,
            search: search.map(|text| fold(&text)),
            polled_by: self.polled_by(),
        }
    }

    /// The instant that has a lower bound: callers poll by it.
    fn polled_by(&self) -> Option<OrderField>;

    /// Whether it accepts only few rows, which an index finds by a value of the input.
    fn names_few(&self) -> bool;
}

/// What a filter asks of a row: all of it must hold.
#[derive(Clone, Debug)]
pub struct Terms {
    condition: Condition,
    bounds: Vec<Bound>,
}

impl Default for Terms {
    /// Takes every row.
    fn default() -> Self {
        Self {
            condition: Condition::all(),
            bounds: Vec::new(),
        }
    }
}

/// The least and the greatest value that a column may have.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The column; none if it is one of another table.
    pub column: Option<&'static str>,
    /// The least value.
    pub least: Option<Key>,
    /// The greatest value.
    pub greatest: Option<Key>,
}

impl Terms {
    /// Asks for this value, if there is one.
    #[must_use]
    pub fn equal<C: ColumnTrait>(self, column: C, value: Option<impl Into<Value>>) -> Self {
        self.add(
            column,
            value.map(Into::into),
            |value| column.eq(value),
            [true, true],
        )
    }

    /// Asks for one of these texts.
    #[must_use]
    pub fn any_of<C: ColumnTrait>(self, column: C, texts: Option<Vec<String>>) -> Self {
        let Some(texts) = texts else { return self };
        if let [only] = &texts[..] {
            return self.equal(column, Some(only.as_str()));
        }
        // They are written so alike that the first one stands for all.
        let first = texts.first().cloned().map(Value::from);
        self.add(column, first, |_| column.is_in(texts), [true, true])
    }

    /// Asks for this instant or a later one.
    #[must_use]
    pub fn from<C: ColumnTrait>(self, column: C, at: Option<&instant::DateTime>) -> Self {
        let at = at.map(|at| at.first_millisecond().into());
        self.add(column, at, |at| column.gte(at), [true, false])
    }

    /// Asks for this instant or an earlier one.
    #[must_use]
    pub fn to<C: ColumnTrait>(self, column: C, at: Option<&instant::DateTime>) -> Self {
        let at = at.map(|at| at.last_millisecond().into());
        self.add(column, at, |at| column.lte(at), [false, true])
    }

    /// Asks for something else, about which nothing is known.
    #[must_use]
    pub fn other(mut self, condition: Option<Expr>) -> Self {
        if let Some(condition) = condition {
            self.condition = self.condition.add(condition);
            self.bounds.push(Bound {
                column: None,
                least: None,
                greatest: None,
            });
        }
        self
    }

    fn add<C: ColumnTrait>(
        mut self,
        column: C,
        value: Option<Value>,
        condition: impl FnOnce(Value) -> Expr,
        [is_least, is_greatest]: [bool; 2],
    ) -> Self {
        if let Some(value) = value {
            let key = Key::of(&value);
            self.bounds.push(Bound {
                column: Some(column.as_str()),
                least: key.clone().filter(|_| is_least),
                greatest: key.filter(|_| is_greatest),
            });
            self.condition = self.condition.add(condition(value));
        }
        self
    }
}

/// Which rows of a list are wanted.
#[derive(Clone, Debug)]
pub struct Filter {
    /// The condition that they meet.
    pub condition: Condition,
    /// What is known of the condition, to foresee how many rows meet it.
    pub bounds: Vec<Bound>,
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
