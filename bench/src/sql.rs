//! The statements of the hand-written server, which pgbench runs as well.

/// The columns of a client, in the order of the answers; `c` is its table.
macro_rules! client_columns {
    () => {
        "c.id, c.name, c.account_code, c.website, c.email_invoice, c.notes, \
         c.has_invoice_reminders, c.show_location_on_invoice, c.salesperson, c.case_manager, \
         c.created_at, c.updated_at, c.version"
    };
}

/// Those columns of a location that the GraphQL queries ask for; `l` is its table.
macro_rules! location_columns {
    () => {
        "l.id, l.name, l.email_invoice, l.address_1, l.address_2, l.city, l.state, l.zip, \
         l.country, l.phone_primary"
    };
}

/// All columns of a location, in the order of the REST answers.
macro_rules! all_location_columns {
    () => {
        "l.id, l.client_id, l.is_primary, l.name, l.email_invoice, l.address_1, l.address_2, \
         l.address_3, l.city, l.state, l.zip, l.country, l.phone_primary, l.phone_secondary, \
         l.phone_fax, l.notes, l.created_at, l.updated_at, l.version"
    };
}

/// The primary location of each client of `c`. A join would do, and PostgreSQL could
/// choose how: `LATERAL` with a limit keeps it from merging or hashing all locations
/// for the sake of 50.
macro_rules! primary_location {
    () => {
        " CROSS JOIN LATERAL (SELECT * FROM client_location WHERE primary_of = c.id LIMIT 1) l "
    };
}

/// A client and its primary location. `$1` is the id.
pub const CLIENT_BY_ID: &str = concat!(
    "SELECT ",
    client_columns!(),
    ", ",
    location_columns!(),
    " FROM client c JOIN client_location l ON l.primary_of = c.id WHERE c.id = $1"
);

/// Rows on a page. One more is read, which tells whether others follow. The number is
/// written into the statements: of a parameter PostgreSQL knows nothing when it plans,
/// so it plans for many rows, or anew each time.
pub const PAGE: usize = 50;

/// The newest clients with their primary locations.
pub const NEWEST_CLIENTS: &str = concat!(
    "SELECT ",
    client_columns!(),
    ", ",
    location_columns!(),
    " FROM (SELECT * FROM client ORDER BY created_at DESC, id DESC LIMIT 51) c",
    primary_location!(),
    "ORDER BY c.created_at DESC, c.id DESC"
);

/// The first 50 clients, each with its first 10 locations: a row for each location.
/// `LATERAL` reads ten entries of an index for each client; a window function
/// would read all locations of each.
pub const CLIENTS_WITH_LOCATIONS: &str = concat!(
    "SELECT ",
    client_columns!(),
    ", ",
    location_columns!(),
    " FROM (SELECT * FROM client ORDER BY id LIMIT 50) c \
     CROSS JOIN LATERAL (SELECT * FROM client_location WHERE client_id = c.id \
     ORDER BY id LIMIT 10) l ORDER BY c.id, l.id"
);

/// The first 20 clients of a name, changed since an instant, each with the number
/// of all such clients. `$1` is the key of the name, `$2` the instant. One pass
/// over the clients of that name gives both.
pub const CLIENTS_BY_NAME: &str = "SELECT c.id, c.name, c.account_code, c.website, c.updated_at, c.version, \
     count(*) OVER () FROM client c WHERE c.name_key = $1 AND c.updated_at >= $2 \
     ORDER BY c.id LIMIT 20";

/// The clients after one, by id, with their primary locations. `$1` is the id.
pub const CLIENTS_AFTER: &str = concat!(
    "SELECT ",
    client_columns!(),
    ", ",
    location_columns!(),
    " FROM (SELECT * FROM client WHERE id > $1 ORDER BY id LIMIT 51) c",
    primary_location!(),
    "ORDER BY c.id"
);

/// A new client with its primary location, in one statement.
pub const CREATE_CLIENT: &str = "WITH c AS (\
     INSERT INTO client (name, name_key, account_code, account_code_key, website, \
     email_invoice, has_invoice_reminders, show_location_on_invoice, \
     created_at, updated_at, version) \
     VALUES ($1, $2, $3, $4, $5, $6, false, false, $7, $7, 1) RETURNING id), \
     l AS (\
     INSERT INTO client_location (client_id, is_primary, name, name_key, address_1, city, \
     state, zip, country, phone_primary, created_at, updated_at, version) \
     SELECT c.id, true, $8, $9, $10, $11, $12, $13, $14, $15, $7, $7, 1 FROM c RETURNING id) \
     SELECT c.id, l.id FROM c, l";

/// Changes the notes of a client. `$1` is the id, `$2` the notes, `$3` the instant;
/// as in the gateway, `updated_at` always moves on.
pub const UPDATE_CLIENT: &str = "UPDATE client SET notes = $2, version = version + 1, \
     updated_at = greatest($3, updated_at + interval '1 millisecond') WHERE id = $1 \
     RETURNING id, name, notes, updated_at, version";

/// The clients after a number of rows, whole, as REST shows them. `$1` is the number
/// of rows to leave out, `$2` the number of rows to read. The rows to leave out are
/// counted in an index alone.
pub const REST_CLIENTS: &str = concat!(
    "SELECT ",
    client_columns!(),
    ", ",
    all_location_columns!(),
    " FROM (SELECT * FROM client \
     WHERE id >= (SELECT id FROM client ORDER BY id OFFSET $1 LIMIT 1) \
     ORDER BY id LIMIT $2) c",
    primary_location!(),
    "ORDER BY c.id"
);

/// The number of all clients, as the gateway's tally has it: counting them would take
/// thousands of times what reading a page does.
pub const COUNT_CLIENTS: &str = "SELECT sum(\"rows\") FROM client_tally";

/// The first 20 clients with a rare text in their name or account code. `$1` is the
/// pattern, `$2` the text search query that finds all such clients and some others.
pub const SEARCH_RARE: &str = "SELECT c.id, c.name, c.account_code FROM client c \
     WHERE (c.name_key LIKE $1 OR c.account_code_key LIKE $1) AND c.id = ANY(ARRAY(\
     SELECT s.id FROM client_search s \
     WHERE search_runs(s.name_key, s.account_code_key) @@ ($2)::text::tsquery)) \
     ORDER BY c.id LIMIT 20";

/// The same for a text that so many have that the first clients fill the page. `$1` is the
/// pattern.
pub const SEARCH_COMMON: &str = "SELECT c.id, c.name, c.account_code FROM client c \
     WHERE c.name_key LIKE $1 OR c.account_code_key LIKE $1 ORDER BY c.id LIMIT 20";
