//! `clientele check`: says that all is well when it is, and what is wrong when not.

use std::fmt::Write;

use clientele::{check::catalog, storage::snapshot};
use rstest::rstest;
use sea_orm::ConnectionTrait;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    cli::{assert_fails, run, stderr, stdout},
    support::{Engine, TestApp},
};

/// Two clients, as the faces write them: with two locations each.
async fn with_clients(engine: Engine) -> TestApp {
    let app = TestApp::start(engine).await;
    for number in 0..2 {
        let client = json!({
            "name": format!(" Straße {number} "),
            "accountCode": format!("Å-{number} "),
            "website": "https://example.com",
            "emailInvoice": "billing@example.com",
            "notes": "x\n".repeat(1_000),
            "salesperson": "7",
            "primaryLocation": { "zip": "01234", "state": "ut", "country": "us" },
        });
        let client = app.create_client(client).await;
        let branch = json!({ "clientId": client["id"], "isPrimary": true });
        app.create_location(branch).await;
    }
    let update = "mutation { updateClient(id: 1, input: { name: \"ΣΊΣΥΦΟΣ\", accountCode: null })
        { client { version } } }";
    app.data(update, json!({})).await;
    app
}

/// A file that the migrations changed is written anew with INSTA_UPDATE=always, as
/// snapshots are.
#[rstest]
#[case(Engine::Sqlite, "sqlite.txt")]
#[case(Engine::Postgres, "postgres.txt")]
#[tokio::test]
async fn the_catalog_is_what_the_migrations_make(#[case] engine: Engine, #[case] file: &str) {
    let app = TestApp::start(engine).await;
    let snapshot = snapshot::open(&app.database_url).await.unwrap();
    let engine = snapshot.get_database_backend();
    let actual = catalog::actual(&snapshot).await.unwrap();
    let file = format!("{}/src/check/catalog/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var("INSTA_UPDATE").as_deref() == Ok("always") {
        let follow = catalog::texts(engine);
        let mut lines = String::new();
        for line in actual.iter().filter(|line| !follow.contains(line)) {
            writeln!(lines, "{line}").unwrap();
        }
        std::fs::write(file, lines).unwrap();
        return;
    }
    assert_eq!(
        actual,
        catalog::expected(engine),
        "{file} is stale: INSTA_UPDATE=always"
    );
}

#[rstest]
#[tokio::test]
async fn all_is_well_after_writes_and_after_seeding(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = with_clients(engine).await;
    let folder = TempDir::new().unwrap();
    let url = ["--database-url", &app.database_url];
    let seed = [&["seed", "--clients", "600"], &url[..]].concat();
    assert!(run(folder.path(), &seed).await.status.success());
    let checked = run(folder.path(), &[&["check"], &url[..]].concat()).await;
    let text = stdout(&checked);
    assert!(checked.status.success(), "{text}{}", stderr(&checked));
    let last = text.lines().last().unwrap();
    assert!(
        last.starts_with("all ") && last.contains("602 client"),
        "{text}"
    );
    assert!(!text.contains("WRONG"), "{text}");
}

/// What makes a good database wrong, by statements that no face would send, and what
/// `check` must say of it.
struct Damage {
    sqlite: &'static [&'static str],
    postgres: &'static [&'static str],
    said: &'static str,
}

/// The same on both engines, where nothing in the database forbids it.
const fn both(statements: &'static [&'static str], said: &'static str) -> Damage {
    Damage {
        sqlite: statements,
        postgres: statements,
        said,
    }
}

const fn on_sqlite(statements: &'static [&'static str], said: &'static str) -> Damage {
    Damage {
        sqlite: statements,
        postgres: &[],
        said,
    }
}

const fn on_postgres(statements: &'static [&'static str], said: &'static str) -> Damage {
    Damage {
        sqlite: &[],
        postgres: statements,
        said,
    }
}

/// Takes the guard of the primary location away.
const UNGUARDED: &str = "ALTER TABLE client DROP CONSTRAINT client_primary_location_fk";
/// SQLite's guards are parts of the table: keys are not enforced, and the rest is
/// rewritten where the schema is stored.
const NO_KEYS: &str = "PRAGMA foreign_keys = OFF";
const REWRITE: &str = "PRAGMA writable_schema = ON";
const REREAD: &str = "PRAGMA writable_schema = RESET";

const DAMAGES: &[Damage] = &[
    both(
        &["INSERT INTO idempotency_key
           (token_id, key, fingerprint, created_at, status, headers, body)
           SELECT MIN(id), 'k', 'f', '2026-01-31T09:15:00.250+00:00', 0, '[]', '' FROM api_token"],
        "a key has no final answer",
    ),
    // The log of changes.
    both(
        &["INSERT INTO change (at, user_name, face, kind, client_id, old, new) VALUES
           ('2026-01-31T09:15:00.250+00:00', 'x', 'REST', 'CLIENT_UPDATED', 99, '{}', '{}')"],
        "tells of a client that does not exist",
    ),
    both(
        &["INSERT INTO change (at, user_name, face, kind, client_id, location_id, old, new) VALUES
           ('2026-01-31T09:15:00.250+00:00', 'x', 'REST', 'LOCATION_UPDATED', 1, 99, '{}', '{}')"],
        "tells of a location that its client does not have",
    ),
    both(
        &["INSERT INTO change (at, user_name, face, kind, client_id, old, new) VALUES
           ('2026-01-31T09:15:00.250+00:00', 'x', 'REST', 'LOCATION_UPDATED', 1, '{}', '{}')"],
        "its kind does not fit its record",
    ),
    both(
        &["INSERT INTO change (at, user_name, face, kind, client_id, old, new) VALUES
           ('2026-01-31T09:15:00.250+00:00', 'x', 'REST', 'CLIENT_UPDATED', 1, '{}', '[]')"],
        "must be a JSON object",
    ),
    both(
        &["INSERT INTO change (at, user_name, face, kind, client_id, old, new) VALUES
           ('2026-01-31T09:15:00.250400+00:00', '', 'REST', 'CLIENT_UPDATED', 1, '{}', '{}')"],
        "user_name",
    ),
    // The schema.
    both(
        &["DELETE FROM seaql_migrations WHERE version LIKE '%0004%'"],
        "schema: 1 steps are missing",
    ),
    both(
        &["INSERT INTO seaql_migrations VALUES ('m2099', 1)"],
        "schema: 1 of its steps are unknown",
    ),
    both(&["DELETE FROM seaql_migrations"], "schema: there is none"),
    // What guards the rows.
    both(
        &["DROP INDEX client_name_key_idx"],
        "client_name_key_idx on client",
    ),
    both(
        &["ALTER TABLE client DROP COLUMN notes"],
        "column client.notes: ",
    ),
    on_sqlite(
        &["DROP TRIGGER client_tally_insert"],
        "trigger client_tally_insert on client",
    ),
    on_postgres(
        &["DROP TRIGGER client_tally ON client"],
        "trigger client_tally on client",
    ),
    on_postgres(
        &[UNGUARDED],
        "constraint client_primary_location_fk on client",
    ),
    on_postgres(
        &["ALTER TABLE client_location DROP CONSTRAINT client_location_primary_of_key CASCADE"],
        "constraint client_location_primary_of_key on client_location: UNIQUE (primary_of)",
    ),
    on_postgres(
        &["ALTER TABLE client DISABLE TRIGGER ALL"],
        "enforced on client: client_primary_location_fk by",
    ),
    on_postgres(
        &["ALTER TABLE client ALTER COLUMN name DROP NOT NULL"],
        "column client.name: text not null",
    ),
    on_postgres(
        &[
            UNGUARDED,
            "ALTER TABLE client ADD CONSTRAINT client_primary_location_fk FOREIGN KEY (id) \
             REFERENCES client_location (primary_of) DEFERRABLE INITIALLY DEFERRED NOT VALID",
        ],
        "constraint client_primary_location_fk on client",
    ),
    on_postgres(
        &[
            "CREATE OR REPLACE FUNCTION client_tally() RETURNS trigger LANGUAGE plpgsql AS \
           'BEGIN RETURN NULL; END'",
        ],
        "function client_tally",
    ),
    on_postgres(
        &[
            "CREATE OR REPLACE FUNCTION change_horizon() RETURNS bigint LANGUAGE sql AS \
             'SELECT last_value FROM change_id_seq'",
        ],
        "function change_horizon",
    ),
    on_postgres(
        &["ALTER SEQUENCE change_id_seq CACHE 10"],
        "sequence change_id_seq",
    ),
    on_sqlite(
        &[
            REWRITE,
            "UPDATE sqlite_schema SET sql = replace(sql, 'REFERENCES client_location (primary_of)', '') \
             WHERE name = 'client'",
            REREAD,
        ],
        "key of client: id -> client_location.primary_of",
    ),
    // SQLite's file and keys.
    on_sqlite(
        &[
            REWRITE,
            "UPDATE sqlite_schema SET sql = replace(sql, '\"name_key\", \"id\"', '\"name\", \"id\"') \
             WHERE name = 'client_name_key_idx'",
            REREAD,
        ],
        "file: ",
    ),
    on_sqlite(
        &[
            NO_KEYS,
            "UPDATE client_location SET client_id = 99 WHERE id = 3",
        ],
        "foreign_key_check: rows of any table refer to rows that do not exist (",
    ),
    // Clients and locations.
    Damage {
        sqlite: &[NO_KEYS, "DELETE FROM client_location WHERE client_id = 2"],
        postgres: &[UNGUARDED, "DELETE FROM client_location WHERE client_id = 2"],
        said: "client: has no location (1: id 2)",
    },
    Damage {
        sqlite: &[NO_KEYS, "UPDATE client_location SET is_primary = false"],
        postgres: &[UNGUARDED, "UPDATE client_location SET is_primary = false"],
        said: "client: does not have exactly one primary location (2: id 1, 2)",
    },
    Damage {
        sqlite: &[
            REWRITE,
            "UPDATE sqlite_schema SET sql = replace(sql, 'STORED UNIQUE', 'STORED') \
             WHERE name = 'client_location'",
            "DELETE FROM sqlite_schema WHERE name = 'sqlite_autoindex_client_location_1'",
            REREAD,
            NO_KEYS,
            "UPDATE client_location SET is_primary = true WHERE client_id = 1",
        ],
        postgres: &[
            "ALTER TABLE client_location DROP CONSTRAINT client_location_primary_of_key CASCADE",
            "UPDATE client_location SET is_primary = true WHERE client_id = 1",
        ],
        said: "client: does not have exactly one primary location (1: id 1)",
    },
    Damage {
        sqlite: &[NO_KEYS, "DELETE FROM client WHERE id = 2"],
        postgres: &[
            "ALTER TABLE client_location DROP CONSTRAINT client_location_client_fk",
            "DELETE FROM client WHERE id = 2",
        ],
        said: "client_location: belongs to a client that does not exist (2: id 3, 4)",
    },
    Damage {
        sqlite: &[
            REWRITE,
            "UPDATE sqlite_schema SET sql = replace(sql, \
             'GENERATED ALWAYS AS (CASE WHEN is_primary THEN client_id END) STORED', '') \
             WHERE name = 'client_location'",
            REREAD,
            NO_KEYS,
            "UPDATE client_location SET primary_of = 7 WHERE id = 1",
        ],
        postgres: &[
            "ALTER TABLE client_location ALTER COLUMN primary_of DROP EXPRESSION",
            "UPDATE client_location SET primary_of = 7 WHERE id = 1",
        ],
        said: "client_location: primary_of does not say whether it is primary (1: id 1)",
    },
    // Keys.
    both(
        &["UPDATE client SET name_key = 'x' WHERE id = 2"],
        "client: name_key is not the key of its text (1: id 2)",
    ),
    both(
        &["UPDATE client SET account_code_key = NULL WHERE id = 2"],
        "client: account_code_key is not the key of its text (1: id 2)",
    ),
    both(
        &["UPDATE client_location SET name_key = upper(name_key)"],
        "client_location: name_key is not the key of its text (4: id 1, 2, 3, 4)",
    ),
    // Values.
    both(
        &["UPDATE client SET name = ' ' WHERE id = 1"],
        "client: name is required and cannot be empty (1: id 1)",
    ),
    both(
        &["UPDATE client SET name = name || ' ' WHERE id = 1"],
        "client: name is not in the form in which it should be stored (1: id 1)",
    ),
    both(
        &["UPDATE client SET website = 'secret' WHERE id = 1"],
        "client: website must be a fully qualified URL",
    ),
    both(
        &["UPDATE client SET website = '' WHERE id = 1"],
        "client: website is not in the form",
    ),
    both(
        &["UPDATE client SET email_invoice = 'secret' WHERE id = 1"],
        "client: email_invoice must be a valid e-mail address",
    ),
    Damage {
        sqlite: &["UPDATE client SET notes = replace(hex(zeroblob(40000)), '00', 'ab')"],
        postgres: &["UPDATE client SET notes = repeat('ab', 40000)"],
        said: "client: notes must have at most 65535 characters, and has 80000 (2: id 1, 2)",
    },
    both(
        &["UPDATE client_location SET country = 'us' WHERE id = 1"],
        "client_location: country is not in the form",
    ),
    both(
        &["UPDATE client_location SET country = 'ZZ' WHERE id = 1"],
        "client_location: country must be an ISO 3166-1 alpha-2 country code",
    ),
    both(
        &["UPDATE client_location SET state = 'Utah' WHERE id = 1"],
        "client_location: state must be a state or province code",
    ),
    both(
        &["UPDATE client_location SET state = 'ut' WHERE id = 1"],
        "client_location: state is not in the form",
    ),
    both(
        &["UPDATE client SET version = 0 WHERE id = 2"],
        "client: version is below 1 (1: id 2)",
    ),
    // Instants.
    Damage {
        sqlite: &["UPDATE client SET updated_at = '1999-12-31T00:00:00+00:00' WHERE id = 2"],
        postgres: &["UPDATE client SET updated_at = '1999-12-31' WHERE id = 2"],
        said: "client: updated_at is before created_at (1: id 2)",
    },
    on_postgres(
        &["UPDATE client_location SET created_at = '2020-01-01 00:00:00.000001+00' WHERE id = 2"],
        "client_location: created_at is not an instant in milliseconds (1: id 2)",
    ),
    on_postgres(
        &["UPDATE client SET updated_at = 'infinity' WHERE id = 2"],
        "client: updated_at is not an instant in milliseconds (1: id 2)",
    ),
    on_sqlite(
        &["UPDATE client SET updated_at = '2099-01-01T00:00:00Z' WHERE id = 2"],
        "client: updated_at is not in the form",
    ),
    on_sqlite(
        &["UPDATE client SET updated_at = '2099-01-01 00:00:00.000001+00:00' WHERE id = 2"],
        "client: updated_at is not in the form",
    ),
    on_sqlite(
        &["UPDATE client SET updated_at = 'tomorrow' WHERE id = 2"],
        "client: updated_at must be an instant",
    ),
    // What SQLite takes in any column.
    on_sqlite(
        &["UPDATE client SET name = x'ff' WHERE id = 2"],
        "client: name is not a text (1: id 2)",
    ),
    on_sqlite(
        &["UPDATE client SET notes = CAST(x'ff' AS text) WHERE id = 2"],
        "client: notes is not a text (1: id 2)",
    ),
    on_sqlite(
        &["UPDATE client SET notes = 'a' || char(0) WHERE id = 2"],
        "client: notes must not contain the character U+0000 (1: id 2)",
    ),
    on_sqlite(
        &["UPDATE client SET version = 'x', salesperson = 1.5, has_invoice_reminders = 7"],
        "client: version is not an integer (2: id 1, 2)",
    ),
    on_sqlite(
        &["UPDATE client SET salesperson = 1.5 WHERE id = 1"],
        "client: salesperson is not an integer (1: id 1)",
    ),
    on_sqlite(
        &["UPDATE client SET has_invoice_reminders = 7 WHERE id = 1"],
        "client: has_invoice_reminders is neither true nor false (1: id 1)",
    ),
    // Row counts, ids, the search index.
    both(
        &["UPDATE client_tally SET \"rows\" = \"rows\" + 1"],
        "client_tally: the number of rows in a block of ids is not what the tally says",
    ),
    both(
        &["DELETE FROM client_location_tally"],
        "client_location_tally: the number of rows",
    ),
    both(&["INSERT INTO client_tally VALUES (7, 1)"], "(1: blocks 7)"),
    Damage {
        sqlite: &["UPDATE sqlite_sequence SET seq = 1 WHERE name = 'client'"],
        postgres: &["ALTER SEQUENCE client_id_seq RESTART WITH 2"],
        said: "client_id_seq: the database would give this id",
    },
    on_sqlite(
        &["INSERT INTO client_search (rowid, name_key) VALUES (1, 'abc')"],
        "client_search: does not hold what the keys of client say",
    ),
    // As many entries as before, in another place.
    on_sqlite(
        &[
            "INSERT INTO client_search (client_search, rowid, name_key) \
             SELECT 'delete', id, name_key FROM client WHERE id = 2",
            "INSERT INTO client_search (rowid, name_key) SELECT 1, name_key FROM client WHERE id = 2",
        ],
        "client_search: does not hold what the keys of client say",
    ),
    on_postgres(
        &["DELETE FROM client_location_search WHERE id = 2"],
        "client_location_search: does not hold the keys of client_location",
    ),
    on_postgres(
        &["INSERT INTO client_search VALUES (7, 'abc', NULL)"],
        "(1: id 7)",
    ),
    on_postgres(
        &["UPDATE client_search SET account_code_key = 'x' WHERE id = 1"],
        "client_search: does not hold the keys of client",
    ),
    on_postgres(
        &["DROP INDEX client_location_search_idx"],
        "index client_location_search_idx on client_location_search",
    ),
    // Tokens.
    both(
        &["UPDATE api_token SET user_name = 'a:b' WHERE id = 1"],
        "api_token: user_name must not contain colons",
    ),
    both(
        &["UPDATE api_token SET prefix = 'nonsense' WHERE id = 1"],
        "api_token: prefix must be 12 hexadecimal digits (1: id 1)",
    ),
    both(
        &["UPDATE api_token SET scope = 'all' WHERE id = 1"],
        "api_token: scope must be a scope that this program knows (1: id 1)",
    ),
    Damage {
        sqlite: &["UPDATE api_token SET hash = x'00' WHERE id = 1"],
        postgres: &["UPDATE api_token SET hash = '\\x00' WHERE id = 1"],
        said: "api_token: hash is not one of SHA-256 (1: id 1)",
    },
    Damage {
        sqlite: &["UPDATE api_token SET revoked_at = '1999-12-31T00:00:00+00:00' WHERE id = 1"],
        postgres: &["UPDATE api_token SET revoked_at = '1999-12-31' WHERE id = 1"],
        said: "api_token: was revoked before it was made (1: id 1)",
    },
    // What cannot be read at all.
    both(
        &["DROP TABLE client_tally"],
        "client_tally: cannot be checked",
    ),
    // In the words of the database, which quote the value.
    on_postgres(
        &[
            "DROP TABLE client_tally",
            "CREATE VIEW client_tally AS SELECT id AS block, \
             CASE WHEN id < 3 THEN ('secret' || id)::bigint END AS \"rows\" FROM client",
        ],
        "client_tally: cannot be checked: the database refuses to read it (SQLSTATE 22P02)",
    ),
];

#[rstest]
#[tokio::test]
async fn each_violation_is_found_and_named(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let mut wrong = String::new();
    for damage in DAMAGES {
        let statements = match engine {
            Engine::Sqlite => damage.sqlite,
            Engine::Postgres => damage.postgres,
        };
        if statements.is_empty() {
            continue;
        }
        let app = with_clients(engine).await;
        for statement in statements {
            // One connection, so that settings hold for what follows.
            let writer = app.database.writer();
            writer.execute_unprepared(statement).await.expect(statement);
        }
        let folder = TempDir::new().unwrap();
        let check = ["check", "--database-url", &app.database_url];
        let checked = run(folder.path(), &check).await;
        let text = stdout(&checked);
        let is_said = text
            .lines()
            .any(|line| line.trim_start().starts_with("- ") && line.contains(damage.said));
        if !is_said || checked.status.code() != Some(1) || text.contains("secret") {
            let errors = stderr(&checked);
            writeln!(wrong, "{}:\n{statements:?}\n{text}{errors}", damage.said).unwrap();
        }
        assert_fails(&checked, "the database is not as it should be");
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// SQLite reads some characters as others when it looks at single ones.
#[rstest]
#[tokio::test]
async fn characters_of_any_kind_are_no_damage(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    for character in [
        '\u{fffe}',
        '\u{ffff}',
        '\u{fffd}',
        '\u{feff}',
        '\u{fdd0}',
        '\u{1fffe}',
        '\u{10ffff}',
        '\u{1}',
        '\u{7f}',
        '\u{e000}',
        '\u{200b}',
        '\u{301}',
    ] {
        let name = format!("Acme{character} {character}{character}{character}");
        let client = json!({
            "name": name, "accountCode": name, "primaryLocation": { "name": name, "city": name },
        });
        let client = app.create_client(client).await;
        let other = json!({ "name": format!("{character}{name}") });
        let update = "mutation ($id: ID!, $input: UpdateClientInput!) {
            updateClient(id: $id, input: $input) { client { name } } }";
        let updated = json!({ "id": client["id"], "input": other });
        app.data(update, updated).await;
        let found = "query ($text: String) { clients(filter: { search: $text }) {
            nodes { id } } }";
        let found = app
            .data(found, json!({ "text": format!("{character}{name}") }))
            .await;
        let expected = json!([{ "id": client["id"] }]);
        assert_eq!(found["clients"]["nodes"], expected, "{character:?}");
    }
    let folder = TempDir::new().unwrap();
    let checked = run(
        folder.path(),
        &["check", "--database-url", &app.database_url],
    )
    .await;
    assert!(checked.status.success(), "{}", stdout(&checked));
    if engine == Engine::Sqlite {
        let backup = ["backup", "copy.db", "--database-url", &app.database_url];
        let copied = run(folder.path(), &backup).await;
        assert!(copied.status.success(), "{}", stdout(&copied));
    }
}

/// Earlier versions kept texts as they were sent, and took more for a host and a name.
#[rstest]
#[tokio::test]
async fn what_earlier_rules_let_in_is_no_damage(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = with_clients(engine).await;
    for old in [
        "UPDATE client SET account_code = ' x ', account_code_key = ' x ' WHERE id = 1",
        "UPDATE client SET website = 'https://..', email_invoice = 'a@1.2.3.4', notes = ''",
        "UPDATE client SET name = '\u{200b}', name_key = '\u{200b}' WHERE id = 2",
        "UPDATE client_location SET city = '', zip = ' ', phone_fax = 'x ', country = 'XK'",
    ] {
        let writer = app.database.writer();
        writer.execute_unprepared(old).await.expect(old);
    }
    let folder = TempDir::new().unwrap();
    let checked = run(
        folder.path(),
        &["check", "--database-url", &app.database_url],
    )
    .await;
    assert!(checked.status.success(), "{}", stdout(&checked));
}

#[tokio::test]
async fn what_is_not_there_is_not_made() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("text.db"), "no database".repeat(100)).unwrap();
    std::fs::write(folder.path().join("empty.db"), "").unwrap();
    for (url, said) in [
        (
            "sqlite://missing.db?mode=rwc",
            "there is no SQLite database at missing.db",
        ),
        ("sqlite://text.db", "file is not a database"),
        ("sqlite://.", "is not a file"),
        ("sqlite::memory:", "must be a file"),
        ("sqlite://empty.db", "not as it should be"),
        ("mysql://x/y", "must begin with sqlite: or postgres:"),
    ] {
        let checked = run(folder.path(), &["check", "--database-url", url]).await;
        assert_fails(&checked, said);
    }
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["empty.db", "text.db"]);
    let size = std::fs::metadata(folder.path().join("empty.db")).unwrap();
    assert_eq!(size.len(), 0);
}

/// Checks see one state, also while others write.
#[rstest]
#[tokio::test]
async fn writers_do_not_disturb_it(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = with_clients(engine).await;
    let folder = TempDir::new().unwrap();
    let check = ["check", "--database-url", &app.database_url];
    let mut checking = Box::pin(async {
        for _ in 0..3 {
            let checked = run(folder.path(), &check).await;
            assert!(checked.status.success(), "{}", stdout(&checked));
        }
    });
    let mut written = 0;
    loop {
        tokio::select! {
            () = &mut checking => break,
            _ = app.create_client(json!({})) => written += 1,
        }
    }
    assert!(written > 0);
}
