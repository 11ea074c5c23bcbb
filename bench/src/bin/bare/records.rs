//! The answers: structs that borrow from the rows and are written by serde.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use tokio_postgres::Row;

/// The envelope of a GraphQL answer.
#[derive(Serialize)]
pub struct Data<T> {
    /// The root field.
    pub data: T,
}

/// The root field `client`.
#[derive(Serialize)]
pub struct One<T> {
    /// The client, if there is one.
    pub client: Option<T>,
}

/// The root field `clients`.
#[derive(Serialize)]
pub struct Many<T> {
    /// The page.
    pub clients: T,
}

/// A page of rows.
#[derive(Serialize)]
pub struct Nodes<T> {
    /// The rows.
    pub nodes: Vec<T>,
}

/// A page of rows that tells whether others follow.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The rows.
    pub nodes: Vec<T>,
    /// What follows them.
    pub page_info: PageInfo,
}

/// What follows a page.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PageInfo {
    /// Whether there are more rows.
    pub has_next_page: bool,
}

/// A page of rows with the number of all.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counted<T> {
    /// All rows, on this page and on others.
    pub total_count: i64,
    /// The rows.
    pub nodes: Vec<T>,
}

/// The number of all rows.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TotalCount {
    /// All rows.
    pub total_count: i64,
}

/// A client in a GraphQL answer, with what is selected below it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Client<'a> {
    #[serde(serialize_with = "text_id")]
    id: i64,
    name: &'a str,
    account_code: Option<&'a str>,
    website: Option<&'a str>,
    email_invoice: Option<&'a str>,
    notes: Option<&'a str>,
    has_invoice_reminders: bool,
    show_location_on_invoice: bool,
    #[serde(serialize_with = "optional_text_id")]
    salesperson: Option<i64>,
    #[serde(serialize_with = "optional_text_id")]
    case_manager: Option<i64>,
    #[serde(serialize_with = "instant")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "instant")]
    updated_at: DateTime<Utc>,
    version: i32,
    /// The primary location, if it is selected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_location: Option<Location<'a>>,
    /// The locations, if they are selected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locations: Option<Nodes<Location<'a>>>,
}

/// The columns of a client, which begin a row; those of a location follow.
const CLIENT_COLUMNS: usize = 13;

impl<'a> Client<'a> {
    /// The client in the first columns of a row.
    pub fn read(row: &'a Row) -> Self {
        Self {
            id: row.get(0),
            name: row.get(1),
            account_code: row.get(2),
            website: row.get(3),
            email_invoice: row.get(4),
            notes: row.get(5),
            has_invoice_reminders: row.get(6),
            show_location_on_invoice: row.get(7),
            salesperson: row.get(8),
            case_manager: row.get(9),
            created_at: row.get(10),
            updated_at: row.get(11),
            version: row.get(12),
            primary_location: None,
            locations: None,
        }
    }

    /// The client of a row with the location that stands beside it.
    pub fn read_with_primary(row: &'a Row) -> Self {
        Self {
            primary_location: Some(Location::read(row)),
            ..Self::read(row)
        }
    }

    /// The clients of rows that are sorted by client, one for each location.
    pub fn read_with_locations(rows: &'a [Row]) -> Vec<Self> {
        let of_one_client = |one: &Row, next: &Row| one.get::<_, i64>(0) == next.get::<_, i64>(0);
        rows.chunk_by(of_one_client)
            .map(|rows| Self {
                locations: Some(Nodes {
                    nodes: rows.iter().map(Location::read).collect(),
                }),
                ..Self::read(&rows[0])
            })
            .collect()
    }
}

/// A location in a GraphQL answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Location<'a> {
    #[serde(serialize_with = "text_id")]
    id: i64,
    name: &'a str,
    email_invoice: Option<&'a str>,
    address1: Option<&'a str>,
    address2: Option<&'a str>,
    city: Option<&'a str>,
    state: &'a str,
    zip: Option<&'a str>,
    country: &'a str,
    phone_primary: Option<&'a str>,
}

impl<'a> Location<'a> {
    fn read(row: &'a Row) -> Self {
        Self {
            id: row.get(CLIENT_COLUMNS),
            name: row.get(CLIENT_COLUMNS + 1),
            email_invoice: row.get(CLIENT_COLUMNS + 2),
            address1: row.get(CLIENT_COLUMNS + 3),
            address2: row.get(CLIENT_COLUMNS + 4),
            city: row.get(CLIENT_COLUMNS + 5),
            state: row.get(CLIENT_COLUMNS + 6),
            zip: row.get(CLIENT_COLUMNS + 7),
            country: row.get(CLIENT_COLUMNS + 8),
            phone_primary: row.get(CLIENT_COLUMNS + 9),
        }
    }
}

/// A client of the list by name.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedClient<'a> {
    #[serde(serialize_with = "text_id")]
    id: i64,
    name: &'a str,
    account_code: Option<&'a str>,
    website: Option<&'a str>,
    #[serde(serialize_with = "instant")]
    updated_at: DateTime<Utc>,
    version: i32,
}

impl<'a> NamedClient<'a> {
    /// The client of a row.
    pub fn read(row: &'a Row) -> Self {
        Self {
            id: row.get(0),
            name: row.get(1),
            account_code: row.get(2),
            website: row.get(3),
            updated_at: row.get(4),
            version: row.get(5),
        }
    }
}

/// A client that was searched for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FoundClient<'a> {
    #[serde(serialize_with = "text_id")]
    id: i64,
    name: &'a str,
    account_code: Option<&'a str>,
}

impl<'a> FoundClient<'a> {
    /// The client of a row.
    pub fn read(row: &'a Row) -> Self {
        Self {
            id: row.get(0),
            name: row.get(1),
            account_code: row.get(2),
        }
    }
}

/// The answer to `createClient`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Created<'a> {
    /// The payload.
    pub create_client: One<CreatedClient<'a>>,
}

/// A client that was created.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedClient<'a> {
    /// Its id.
    #[serde(serialize_with = "text_id")]
    pub id: i64,
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: i32,
    /// When it was created.
    #[serde(serialize_with = "instant")]
    pub created_at: DateTime<Utc>,
    /// Its primary location.
    pub primary_location: CreatedLocation<'a>,
}

/// The primary location of a client that was created.
#[derive(Serialize)]
pub struct CreatedLocation<'a> {
    /// Its id.
    #[serde(serialize_with = "text_id")]
    pub id: i64,
    /// Its name.
    pub name: &'a str,
    /// Its city.
    pub city: &'a str,
}

/// The answer to `updateClient`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Updated<'a> {
    /// The payload.
    pub update_client: One<UpdatedClient<'a>>,
}

/// A client that was changed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdatedClient<'a> {
    #[serde(serialize_with = "text_id")]
    id: i64,
    name: &'a str,
    notes: Option<&'a str>,
    #[serde(serialize_with = "instant")]
    updated_at: DateTime<Utc>,
    version: i32,
}

impl<'a> UpdatedClient<'a> {
    /// The client of a row.
    pub fn read(row: &'a Row) -> Self {
        Self {
            id: row.get(0),
            name: row.get(1),
            notes: row.get(2),
            updated_at: row.get(3),
            version: row.get(4),
        }
    }
}

/// A client over REST.
#[derive(Serialize)]
pub struct RestClient<'a> {
    id: i64,
    name: &'a str,
    account_code: Option<&'a str>,
    website: Option<&'a str>,
    email_invoice: Option<&'a str>,
    notes: Option<&'a str>,
    has_invoice_reminders: bool,
    show_location_on_invoice: bool,
    salesperson: Option<i64>,
    case_manager: Option<i64>,
    #[serde(serialize_with = "instant")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "instant")]
    updated_at: DateTime<Utc>,
    version: i32,
    primary_location: RestLocation<'a>,
}

impl<'a> RestClient<'a> {
    /// The client of a row.
    pub fn read(row: &'a Row) -> Self {
        Self {
            id: row.get(0),
            name: row.get(1),
            account_code: row.get(2),
            website: row.get(3),
            email_invoice: row.get(4),
            notes: row.get(5),
            has_invoice_reminders: row.get(6),
            show_location_on_invoice: row.get(7),
            salesperson: row.get(8),
            case_manager: row.get(9),
            created_at: row.get(10),
            updated_at: row.get(11),
            version: row.get(12),
            primary_location: RestLocation::read(row),
        }
    }
}

/// A location over REST.
#[derive(Serialize)]
struct RestLocation<'a> {
    id: i64,
    root_id: i64,
    is_primary: bool,
    name: &'a str,
    email_invoice: Option<&'a str>,
    address_1: Option<&'a str>,
    address_2: Option<&'a str>,
    address_3: Option<&'a str>,
    city: Option<&'a str>,
    state: &'a str,
    zip: Option<&'a str>,
    country: &'a str,
    phone_primary: Option<&'a str>,
    phone_secondary: Option<&'a str>,
    phone_fax: Option<&'a str>,
    notes: Option<&'a str>,
    #[serde(serialize_with = "instant")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "instant")]
    updated_at: DateTime<Utc>,
    version: i32,
}

impl<'a> RestLocation<'a> {
    fn read(row: &'a Row) -> Self {
        Self {
            id: row.get(CLIENT_COLUMNS),
            root_id: row.get(CLIENT_COLUMNS + 1),
            is_primary: row.get(CLIENT_COLUMNS + 2),
            name: row.get(CLIENT_COLUMNS + 3),
            email_invoice: row.get(CLIENT_COLUMNS + 4),
            address_1: row.get(CLIENT_COLUMNS + 5),
            address_2: row.get(CLIENT_COLUMNS + 6),
            address_3: row.get(CLIENT_COLUMNS + 7),
            city: row.get(CLIENT_COLUMNS + 8),
            state: row.get(CLIENT_COLUMNS + 9),
            zip: row.get(CLIENT_COLUMNS + 10),
            country: row.get(CLIENT_COLUMNS + 11),
            phone_primary: row.get(CLIENT_COLUMNS + 12),
            phone_secondary: row.get(CLIENT_COLUMNS + 13),
            phone_fax: row.get(CLIENT_COLUMNS + 14),
            notes: row.get(CLIENT_COLUMNS + 15),
            created_at: row.get(CLIENT_COLUMNS + 16),
            updated_at: row.get(CLIENT_COLUMNS + 17),
            version: row.get(CLIENT_COLUMNS + 18),
        }
    }
}

/// GraphQL shows ids as strings.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn text_id<S: Serializer>(id: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

#[expect(clippy::ref_option, reason = "serde asks for it")]
fn optional_text_id<S: Serializer>(id: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => serializer.collect_str(id),
        None => serializer.serialize_none(),
    }
}

fn instant<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Millis, true))
}
