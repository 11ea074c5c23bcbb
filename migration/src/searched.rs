//! The lists that are searched, for the steps that make their indexes. As those steps are, this
//! is frozen once it was released.

/// A list, its index, and the keys that are searched.
pub(crate) struct List {
    pub(crate) table: &'static str,
    pub(crate) index: &'static str,
    keys: &'static [&'static str],
}

pub(crate) const LISTS: [List; 2] = [
    List {
        table: "client",
        index: "client_search",
        keys: &["name_key", "account_code_key"],
    },
    List {
        table: "client_location",
        index: "client_location_search",
        keys: &["name_key"],
    },
];

impl List {
    /// The SQL for this list: with its name, its keys, their columns, and their old and new values.
    pub(crate) fn fill(&self, sql: &str) -> String {
        let each = |written: &dyn Fn(&str) -> String| {
            let keys: Vec<_> = self.keys.iter().map(|key| written(key)).collect();
            keys.join(", ")
        };
        sql.replace("{list}", self.table)
            .replace(
                "{columns}",
                &each(&|key| format!("{key} text COLLATE \"C\"")),
            )
            .replace("{keys}", &each(&str::to_owned))
            .replace("{old}", &each(&|key| format!("OLD.{key}")))
            .replace("{new}", &each(&|key| format!("NEW.{key}")))
    }
}
