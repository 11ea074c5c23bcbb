//! The rules for the rows of each table. A new table is a new entry of [`all`].

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use entity::{api_token::Scope, client, client_location};
use sea_orm::{ActiveEnum, ColumnTrait, ColumnType, DbBackend, EntityTrait, IdenStatic, Iterable};

use crate::{
    auth::tokens,
    records::{
        fold::fold,
        validation::{self, stored},
    },
};

/// The tables whose ids the database assigns, and the names of the checks of their sequences.
pub const TABLES: [(&str, &str); 4] = [
    ("client", "client_id_seq"),
    ("client_location", "client_location_id_seq"),
    ("change", "change_id_seq"),
    ("api_token", "api_token_id_seq"),
];

/// The rules for the rows of one table.
pub struct TableRules {
    /// The table; its key is `id`.
    pub table: &'static str,
    /// Columns of text.
    pub texts: Vec<TextColumn>,
    /// What may be wrong with a row, and the SQL condition that such a row meets.
    pub faults: Vec<(Cow<'static, str>, String)>,
}

/// A column of text, whose rule is applied to the stored text.
pub struct TextColumn {
    /// The column.
    pub column: &'static str,
    /// Its rule.
    pub rule: Rule,
}

/// What a column of text must hold.
#[derive(Clone, Copy)]
pub enum Rule {
    /// The text is not null, and is what the rule makes of it.
    Required(validation::Required),
    /// The text is what the rule makes of it, or is empty: see [`TableRules::erasable`].
    Erasable(validation::Required),
    /// The text is null, or is what the rule makes of it.
    Optional(validation::Optional),
    /// The text is the comparison key of the text in the column before it.
    KeyOfPrevious,
}

/// The rules of all tables.
pub fn all(engine: DbBackend) -> Vec<TableRules> {
    vec![
        clients(engine),
        locations(engine),
        changes(engine),
        tokens(engine),
    ]
}

fn clients(engine: DbBackend) -> TableRules {
    use Rule::{KeyOfPrevious, Optional};
    TableRules::new("client")
        .erasable("name", stored::name, "client.id")
        .text("name_key", KeyOfPrevious)
        .text("account_code", Optional(stored::line))
        .text("account_code_key", KeyOfPrevious)
        .text("website", Optional(stored::website))
        .text("email_invoice", Optional(stored::email))
        .text("notes", Optional(stored::notes))
        .other_lines::<client::Entity>()
        .boolean(engine, "has_invoice_reminders")
        .boolean(engine, "show_location_on_invoice")
        .integer(engine, "salesperson", true)
        .integer(engine, "case_manager", true)
        .record(engine)
        .fault(
            "has no location",
            "NOT EXISTS (SELECT 1 FROM client_location l WHERE l.client_id = client.id)",
        )
        .fault(
            "does not have exactly one primary location",
            "(SELECT COUNT(*) FROM client_location l \
              WHERE l.client_id = client.id AND l.is_primary) <> 1",
        )
}

fn locations(engine: DbBackend) -> TableRules {
    use Rule::{KeyOfPrevious, Optional};
    let client = "client_location.client_id";
    TableRules::new("client_location")
        .erasable("name", stored::name, client)
        .text("name_key", KeyOfPrevious)
        .text("email_invoice", Optional(stored::email))
        .erasable("state", validation::state, client)
        .erasable("country", stored::country, client)
        .text("notes", Optional(stored::notes))
        .other_lines::<client_location::Entity>()
        .boolean(engine, "is_primary")
        .record(engine)
        .fault(
            "belongs to a client that does not exist",
            "NOT EXISTS (SELECT 1 FROM client c WHERE c.id = client_location.client_id)",
        )
        .fault(
            "primary_of does not say whether it is primary",
            "primary_of IS DISTINCT FROM CASE WHEN is_primary THEN client_id END",
        )
}

/// The table itself has constraints for faces and kinds.
fn changes(engine: DbBackend) -> TableRules {
    use Rule::Required;
    TableRules::new("change")
        .text("user_name", Required(tokens::user_name))
        .text("old", Required(json_object))
        .text("new", Required(json_object))
        .instant(engine, "at", false)
        .integer(engine, "client_id", false)
        .integer(engine, "location_id", true)
        .fault(
            "tells of a client that does not exist",
            "NOT EXISTS (SELECT 1 FROM client c WHERE c.id = change.client_id)",
        )
        .fault(
            "tells of a location that its client does not have",
            "location_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM client_location l \
              WHERE l.id = change.location_id AND l.client_id = change.client_id)",
        )
        .fault(
            "its kind does not fit its record",
            "(kind LIKE 'LOCATION%') <> (location_id IS NOT NULL)",
        )
}

fn json_object(text: &str) -> Result<String, String> {
    match serde_json::from_str(text) {
        Ok(serde_json::Value::Object(_)) => Ok(text.to_owned()),
        _ => Err("must be a JSON object".to_owned()),
    }
}

fn tokens(engine: DbBackend) -> TableRules {
    use Rule::{Optional, Required};
    TableRules::new("api_token")
        .text("user_name", Required(tokens::user_name))
        .text("prefix", Required(tokens::prefix))
        .text("scope", Required(scope))
        .text("label", Optional(label))
        .instant(engine, "created_at", false)
        .instant(engine, "expires_at", true)
        .instant(engine, "used_at", true)
        .instant(engine, "revoked_at", true)
        .fault("hash is not one of SHA-256", "length(hash) <> 32")
        .fault("was revoked before it was made", "revoked_at < created_at")
}

fn label(text: &str) -> Result<Option<String>, String> {
    tokens::label(text).map(Some)
}

fn scope(text: &str) -> Result<String, String> {
    Scope::try_from_value(&text.to_owned())
        .map(|scope| scope.to_value())
        .map_err(|_| "must be a scope that this program knows".to_owned())
}

impl TableRules {
    fn new(table: &'static str) -> Self {
        Self {
            table,
            texts: Vec::new(),
            faults: Vec::new(),
        }
    }

    fn text(mut self, column: &'static str, rule: Rule) -> Self {
        self.texts.push(TextColumn { column, rule });
        self
    }

    fn fault(mut self, what: impl Into<Cow<'static, str>>, condition: impl Into<String>) -> Self {
        self.faults.push((what.into(), condition.into()));
        self
    }

    /// A column that must have a text, unless the `client` of the row was erased.
    fn erasable(self, column: &'static str, rule: validation::Required, client: &str) -> Self {
        self.text(column, Rule::Erasable(rule)).fault(
            format!("{column} is empty, and its client was not erased"),
            format!(
                "{column} = '' AND NOT EXISTS (SELECT 1 FROM change c \
                 WHERE c.client_id = {client} AND c.kind = 'CLIENT_ERASED')"
            ),
        )
    }

    /// The rules that clients and locations share.
    fn record(self, engine: DbBackend) -> Self {
        self.integer(engine, "version", false)
            .instant(engine, "created_at", false)
            .instant(engine, "updated_at", false)
            .fault("version is below 1", "version < 1")
            .fault("updated_at is before created_at", "updated_at < created_at")
    }

    /// The other columns of text that may be null are lines.
    fn other_lines<E: EntityTrait>(mut self) -> Self {
        for column in E::Column::iter() {
            let (name, definition) = (column.as_str(), column.def());
            let is_text = matches!(
                definition.get_column_type(),
                ColumnType::String(_) | ColumnType::Text
            );
            let is_known = self.texts.iter().any(|text| text.column == name);
            if is_text && definition.is_null() && !is_known {
                self = self.text(name, Rule::Optional(stored::line));
            }
        }
        self
    }

    /// SQLite takes values of any type in any column.
    fn integer(self, engine: DbBackend, column: &str, may_be_null: bool) -> Self {
        if engine != DbBackend::Sqlite {
            return self;
        }
        let types = if may_be_null {
            "'integer', 'null'"
        } else {
            "'integer'"
        };
        self.fault(
            format!("{column} is not an integer"),
            format!("typeof({column}) NOT IN ({types})"),
        )
    }

    fn boolean(self, engine: DbBackend, column: &str) -> Self {
        if engine != DbBackend::Sqlite {
            return self;
        }
        self.fault(
            format!("{column} is neither true nor false"),
            format!("typeof({column}) <> 'integer' OR {column} NOT IN (0, 1)"),
        )
    }

    fn instant(self, engine: DbBackend, column: &'static str, may_be_null: bool) -> Self {
        match (engine, may_be_null) {
            (DbBackend::Postgres, _) => self.fault(
                format!("{column} is not an instant in milliseconds"),
                format!(
                    "NOT isfinite({column}) OR date_trunc('milliseconds', {column}) <> {column}"
                ),
            ),
            (_, true) => self.text(column, Rule::Optional(|text| instant(text).map(Some))),
            (_, false) => self.text(column, Rule::Required(instant)),
        }
    }
}

/// The one form in which SQLite stores instants, as sqlx writes them, cut to milliseconds:
/// they are compared as text.
fn instant(text: &str) -> Result<String, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|at| {
            let at = at.with_timezone(&Utc).trunc_subsecs(3);
            at.to_rfc3339_opts(SecondsFormat::AutoSi, false)
        })
        .map_err(|_| "must be an instant in the form of RFC 3339".to_owned())
}

impl Rule {
    /// What is wrong with `stored`, if anything. `previous` is the text in the column before it.
    pub fn fault(self, stored: Option<&str>, previous: Option<&str>) -> Option<String> {
        let expected = match self {
            Self::KeyOfPrevious => {
                let is_key = stored == previous.map(fold).as_deref();
                return (!is_key).then(|| "is not the key of its text".to_owned());
            }
            Self::Erasable(_) if stored == Some("") => return None,
            Self::Required(rule) | Self::Erasable(rule) => {
                rule(stored.unwrap_or_default()).map(Some)
            }
            Self::Optional(rule) => stored.map_or(Ok(None), rule),
        };
        match expected {
            Ok(expected) if expected.as_deref() == stored => None,
            Ok(_) => Some("is not in the form in which it should be stored".to_owned()),
            Err(message) => Some(message),
        }
    }
}
