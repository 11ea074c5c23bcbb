//! How many rows each list has, per block of 4,096 ids, so that no request counts
//! them: see `src/records/list/row_counts.rs`.
//!
//! Triggers keep the tallies in the transaction of the write, whoever writes. On
//! SQLite, which has one writer, they count in place. On PostgreSQL they append: no
//! row is hot, so writers never wait for each other, and the sum over all rows is
//! the count in every snapshot.
//!
//! The rows of before are counted afterwards, see `backfill.rs`.

use crate::backfill::{self, Backfill};
use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let steps = match manager.get_database_backend() {
            DbBackend::Postgres => POSTGRES,
            _ => SQLITE,
        };
        for (list, _) in LISTS {
            let steps = steps.replace("{list}", list);
            manager.get_connection().execute_unprepared(&steps).await?;
        }
        for (list, name) in LISTS {
            backfill::begin(manager, name, list).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// The lists, and the tables of their tallies.
const LISTS: [(&str, &str); 2] = [
    ("client", "client_tally"),
    ("client_location", "client_location_tally"),
];

/// How the rows of before are counted.
pub(crate) fn backfills(engine: DbBackend) -> [Backfill; 2] {
    let copy = match engine {
        DbBackend::Postgres => COUNT.to_owned(),
        _ => format!(
            "{COUNT} ON CONFLICT (block) DO UPDATE SET \"rows\" = \"rows\" + excluded.\"rows\""
        ),
    };
    LISTS.map(|(list, name)| Backfill {
        name,
        source: list,
        copy: copy.replace("{list}", list),
        finish: String::new(),
    })
}

const COUNT: &str = "INSERT INTO {list}_tally SELECT id >> 12, count(*) FROM {list} \
     WHERE id BETWEEN {first} AND {last} GROUP BY 1";

/// A row trigger costs an insert of one row 10 microseconds, one for each statement
/// 25.
const POSTGRES: &str = r#"
    CREATE TABLE {list}_tally (block bigint NOT NULL, "rows" integer NOT NULL);
    CREATE FUNCTION {list}_tally() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'TRUNCATE' THEN
            DELETE FROM {list}_tally;
            RETURN NULL;
        END IF;
        IF TG_OP <> 'DELETE' THEN
            INSERT INTO {list}_tally VALUES (NEW.id >> 12, 1);
        END IF;
        IF TG_OP <> 'INSERT' THEN
            INSERT INTO {list}_tally VALUES (OLD.id >> 12, -1);
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER {list}_tally AFTER INSERT OR DELETE OR UPDATE OF id ON {list}
        FOR EACH ROW EXECUTE FUNCTION {list}_tally();
    CREATE TRIGGER {list}_tally_truncate AFTER TRUNCATE ON {list}
        FOR EACH STATEMENT EXECUTE FUNCTION {list}_tally();
"#;

const SQLITE: &str = r#"
    CREATE TABLE {list}_tally (block integer PRIMARY KEY, "rows" integer NOT NULL);
    CREATE TRIGGER {list}_tally_insert AFTER INSERT ON {list} BEGIN
        INSERT INTO {list}_tally VALUES (NEW.id >> 12, 1)
            ON CONFLICT (block) DO UPDATE SET "rows" = "rows" + 1;
    END;
    CREATE TRIGGER {list}_tally_delete AFTER DELETE ON {list} BEGIN
        UPDATE {list}_tally SET "rows" = "rows" - 1 WHERE block = OLD.id >> 12;
    END;
    CREATE TRIGGER {list}_tally_update AFTER UPDATE OF id ON {list} BEGIN
        UPDATE {list}_tally SET "rows" = "rows" - 1 WHERE block = OLD.id >> 12;
        INSERT INTO {list}_tally VALUES (NEW.id >> 12, 1)
            ON CONFLICT (block) DO UPDATE SET "rows" = "rows" + 1;
    END;
"#;
