//! Erases a client, and with it the kept answers that tell of it.

use entity::idempotency_key as stored;
use sea_orm::{ConnectionTrait, DbBackend, EntityName, Statement, Value};

use super::answers::ERASED;
use crate::{
    error::{Error, Result},
    records::{
        changes::Author,
        clients::{Erased, Erasure},
    },
    storage::{database::Database, transaction::Transaction},
};

/// How many texts one statement looks for.
const TEXTS: usize = 50;

/// Erases the client with this id in `transaction`, and commits.
///
/// # Errors
/// `NotFound`, or what the database reports.
pub async fn erase_client(
    database: &Database,
    transaction: Transaction,
    author: &Author,
    id: i64,
) -> Result<Erased> {
    let mut erasure = Erasure::begin(&transaction, id).await?;
    while let Some(texts) = erasure.texts(&transaction).await? {
        forget(&transaction, texts).await?;
    }
    let erased = erasure.finish(database, &transaction, author).await?;
    transaction.commit().await?;
    Ok(erased)
}

/// Erases the kept answers that have one of these texts as a value. Their keys stay: a retry must
/// not do the same once more.
async fn forget(db: &impl ConnectionTrait, mut texts: Vec<String>) -> Result<()> {
    texts.sort_unstable();
    texts.dedup();
    let engine = db.get_database_backend();
    let table = stored::Entity.table_name();
    for texts in texts.chunks(TEXTS) {
        let mut values: Vec<Value> = vec![Vec::<u8>::new().into()];
        let mut conditions = Vec::with_capacity(texts.len());
        for text in texts {
            let text = serde_json::to_vec(text);
            let text = text.map_err(|error| Error::Internal(std::sync::Arc::new(error)))?;
            values.push(text.into());
            conditions.push(match engine {
                DbBackend::Postgres => format!("position(${} in body) > 0", values.len()),
                _ => format!("instr(body, ?{}) > 0", values.len()),
            });
        }
        let nothing = match engine {
            DbBackend::Postgres => "$1",
            _ => "?1",
        };
        let sql = format!(
            "UPDATE {table} SET status = {ERASED}, headers = '[]', body = {nothing} WHERE {}",
            conditions.join(" OR ")
        );
        let statement = Statement::from_sql_and_values(engine, sql, values);
        db.execute_raw(statement).await?;
    }
    Ok(())
}
