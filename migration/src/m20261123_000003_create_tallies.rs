//! How many rows each list has, per block of 4,096 ids, so that no request counts
//! them: see `src/records/list/row_counts.rs`.
//!
//! Triggers keep the tallies in the transaction of the write, whoever writes. On
//! SQLite, which has one writer, they count in place. On PostgreSQL they append: no
//! row is hot, so writers never wait for each other, and the sum over all rows is
//! the count in every snapshot.

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
        for list in ["client", "client_location"] {
            let steps = steps.replace("{list}", list);
            manager.get_connection().execute_unprepared(&steps).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// A row trigger costs an insert of one row 10 microseconds, one for each statement
/// 25. What was there is counted after the triggers have locked writers out.
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
    INSERT INTO {list}_tally SELECT id >> 12, count(*) FROM {list} GROUP BY 1;
"#;

const SQLITE: &str = r#"
    CREATE TABLE {list}_tally (block integer PRIMARY KEY, "rows" integer NOT NULL);
    INSERT INTO {list}_tally SELECT id >> 12, count(*) FROM {list} GROUP BY 1;
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
