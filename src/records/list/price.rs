//! What a list costs before it is read: the rows that the database may have to touch.
//!
//! It is foreseen from what the gateway knows anyway: how many rows the list has, a sample of
//! them, and which indexes there are. Until a sample is known, only the rows of the page count.
//! `bench/prices` holds prices against measured times.

use indexmap::IndexMap;
use sea_orm::{ConnectionTrait, DbBackend, IdenStatic};

use super::{
    Bound, Direction, Filter, Listed, PageRequest,
    search::{
        self, Purpose, RUN,
        sample::{Key, Sample, UNKNOWN_SHARE},
    },
};
use crate::records::Store;

/// What it costs to touch a row in each way. A row that is read by an index, on its own, costs
/// about 1, which takes about a microsecond.
struct Weights {
    /// In the order of ids, as the rows are stored.
    in_order: f64,
    /// In another order.
    in_other_order: f64,
    /// By an index, to be sorted.
    sorted: f64,
    /// Counted in an index.
    counted: f64,
    /// Counted, with a look at the row.
    looked_at: f64,
    /// Compared with a text.
    compared: f64,
    /// Found by the index of texts.
    found: f64,
    /// Passed over in the index of texts.
    passed: f64,
}

const POSTGRES: Weights = Weights {
    in_order: 0.25,
    in_other_order: 0.6,
    sorted: 0.8,
    counted: 0.1,
    looked_at: 0.25,
    compared: 0.2,
    found: 2.5,
    passed: 0.0,
};
const SQLITE: Weights = Weights {
    in_order: 0.16,
    in_other_order: 1.5,
    sorted: 0.8,
    counted: 0.06,
    looked_at: 1.5,
    compared: 0.2,
    found: 2.0,
    passed: 0.3,
};

/// The price of a page of the rows of `filter`, if one is given, and of their number, if
/// `with_total`.
#[must_use]
pub fn price<E: Listed>(
    store: &Store,
    filter: &Filter,
    page: Option<&PageRequest>,
    with_total: bool,
) -> u64 {
    let shown = page.map_or(0, |page| page.limit);
    let is_whole = filter.bounds.is_empty() && filter.search.is_none();
    let sample = E::sample(&store.lists.samples).and_then(|latest| latest.get());
    let Some(sample) = sample.filter(|_| !is_whole) else {
        // An index has the order, and the row count the total.
        return shown;
    };
    let engine = store.reader.get_database_backend();
    let foreseen = Foreseen {
        weights: match engine {
            DbBackend::Postgres => &POSTGRES,
            _ => &SQLITE,
        },
        // SQLite does not know how the values are spread.
        chooses: engine == DbBackend::Postgres,
        all: number(sample.all()),
        bounds: by_column(&filter.bounds, &sample),
        sample: &sample,
    };
    let mut price = 0.0;
    // Next to a condition that leaves few rows, these are read and compared (`search::condition`).
    let leaves_few = filter.generic_plan && !filter.bounds.is_empty();
    if let Some(text) = filter.search.as_ref().filter(|_| !leaves_few) {
        let is_indexed = search::is_indexed::<E>(store, text);
        if let Some(page) = page {
            price += foreseen.search(text, is_indexed, Some(page));
        }
        if with_total {
            price += foreseen.search(text, is_indexed, None);
        }
    } else {
        if let Some(page) = page {
            let sorted_by = E::sort_column(page.order.field);
            price += foreseen.page(page, sorted_by.map(|column| column.as_str()));
        }
        if with_total {
            price += foreseen.total();
        }
    }
    shown.saturating_add(whole(price))
}

/// The bounds of one column, and the parts of all rows that are within, before and behind.
#[derive(Clone, Copy)]
struct Bounded {
    column: Option<&'static str>,
    is_equal: bool,
    within: f64,
    before: f64,
    behind: f64,
}

fn by_column(bounds: &[Bound], sample: &Sample) -> Vec<Bounded> {
    let mut columns: IndexMap<&'static str, (Option<&Key>, Option<&Key>)> = IndexMap::new();
    let mut bounded = Vec::new();
    for bound in bounds {
        let Some(column) = bound.column else {
            bounded.push(Bounded {
                column: None,
                is_equal: false,
                within: UNKNOWN_SHARE,
                before: 0.0,
                behind: 0.0,
            });
            continue;
        };
        let (least, greatest) = columns.entry(column).or_default();
        // None is less than any value.
        *least = Ord::max(*least, bound.least.as_ref());
        *greatest = match (*greatest, bound.greatest.as_ref()) {
            (Some(one), Some(other)) => Some(Ord::min(one, other)),
            (one, other) => one.or(other),
        };
    }
    bounded.extend(
        columns
            .into_iter()
            .map(|(column, (least, greatest))| Bounded {
                column: Some(column),
                is_equal: least.is_some() && least == greatest,
                within: sample.share(column, least, greatest),
                before: least.map_or(0.0, |least| 1.0 - sample.share(column, Some(least), None)),
                behind: greatest.map_or(0.0, |greatest| {
                    1.0 - sample.share(column, None, Some(greatest))
                }),
            }),
    );
    bounded
}

/// What is foreseen of the rows of a filter.
struct Foreseen<'a> {
    weights: &'a Weights,
    /// Whether the engine chooses the index by how many rows it leaves.
    chooses: bool,
    all: f64,
    bounds: Vec<Bounded>,
    sample: &'a Sample,
}

impl Foreseen<'_> {
    /// The part of all rows that meets all conditions.
    fn share(&self) -> f64 {
        let share: f64 = self.bounds.iter().map(|bound| bound.within).product();
        share.max(f64::MIN_POSITIVE)
    }

    /// The part that meets the condition which leaves the fewest.
    fn least_share(&self) -> f64 {
        let shares = self.bounds.iter().map(|bound| bound.within);
        shares.fold(1.0, f64::min)
    }

    /// The price of a page that is sorted by this column, or else by the id.
    fn page(&self, page: &PageRequest, sorted_by: Option<&'static str>) -> f64 {
        let limit = number(usize::try_from(reached(page)).unwrap_or(usize::MAX));
        // An index has both: the rows of a column in its order, or those of one value in the order
        // of their ids.
        let serves = |bound: &&Bounded| match sorted_by {
            Some(_) => bound.column == sorted_by,
            None => bound.is_equal,
        };
        let by_index = self.all * self.least_share() * self.weights.sorted;
        let in_turn = self.bounds.iter().filter(serves).map(|serving| {
            let others = self.share() / serving.within.max(f64::MIN_POSITIVE);
            let rows = (limit / others.max(f64::MIN_POSITIVE)).min(self.all * serving.within);
            rows * self.weights.in_other_order
        });
        if let Some(in_turn) = in_turn.reduce(f64::min) {
            return if self.chooses {
                in_turn.min(by_index)
            } else {
                in_turn
            };
        }
        let spread = limit / self.share();
        let in_order = if sorted_by.is_some() {
            spread.min(self.all) * self.weights.in_other_order
        } else {
            // Ids and instants grow together, so that all rows before a bound may be passed.
            let passed = self.bounds.iter().map(|bound| match read_in(page) {
                Direction::Asc => bound.before,
                Direction::Desc => bound.behind,
            });
            let passed = self.all * passed.fold(0.0, f64::max);
            spread.max(passed).min(self.all) * self.weights.in_order
        };
        let finds_few = self.bounds.iter().any(|bound| bound.is_equal);
        match (self.chooses, finds_few) {
            (true, _) => by_index.min(in_order),
            (false, true) => by_index,
            (false, false) => in_order,
        }
    }

    fn total(&self) -> f64 {
        let weight = match self.bounds.len() {
            0 | 1 => self.weights.counted,
            _ => self.weights.looked_at,
        };
        let equal = self.bounds.iter().filter(|bound| bound.is_equal);
        let equal = equal.map(|bound| bound.within).reduce(f64::min);
        let share = match equal {
            // Without knowing better, it takes the index of a value rather than that of a range.
            Some(equal) if !self.chooses => equal,
            _ => self.least_share(),
        };
        self.all * share * weight
    }

    /// The price of a page, or else of the total, of the rows with a text.
    fn search(&self, text: &str, is_indexed: bool, page: Option<&PageRequest>) -> f64 {
        let outlook = self.sample.look_for(text);
        let to_look = if is_indexed {
            number(outlook.rows) * self.weights.found + self.passed(text)
        } else {
            self.all * self.weights.compared
        };
        let purpose = page.map_or(Purpose::Total, |page| Purpose::Page {
            field: page.order.field,
            direction: read_in(page),
            limit: reached(page),
        });
        let [_, in_order] = purpose.costs(&outlook, is_indexed);
        // Where other conditions leave few of the rows, more of them are read.
        let in_order = (number(in_order) / self.share()).min(self.all) * self.weights.compared;
        to_look.min(in_order)
    }

    /// What the index of texts passes over: rows that have a part of the text.
    fn passed(&self, text: &str) -> f64 {
        if self.weights.passed == 0.0 {
            return 0.0;
        }
        let characters: Vec<_> = text.chars().collect();
        let last = characters.len().saturating_sub(RUN);
        let runs = [0, last / 2, last].map(|place| {
            let run: String = characters.iter().skip(place).take(RUN).collect();
            number(self.sample.look_for(&run).rows)
        });
        runs.into_iter().fold(0.0, f64::max) * self.weights.passed
    }
}

/// How many rows are read for a page: those before it, too, if it is found by its number.
fn reached(page: &PageRequest) -> u64 {
    page.limit.saturating_add(page.offset)
}

/// The direction in which the rows of a page are read.
fn read_in(page: &PageRequest) -> Direction {
    if page.from_end {
        page.order.direction.reversed()
    } else {
        page.order.direction
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn number(rows: usize) -> f64 {
    rows as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate, which saturates"
)]
fn whole(price: f64) -> u64 {
    price.ceil() as u64
}
