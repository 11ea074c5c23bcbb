//! Erases a client, and with it the kept answers that tell of it.

use std::collections::HashSet;

use entity::idempotency_key::{self as stored, Column};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait},
};
use serde_json::Value;

use super::answers::ERASED;
use crate::{
    error::Result,
    records::{
        changes::Author,
        clients::{Erased, Erasure},
    },
    storage::{database::Database, transaction::Transaction},
};

/// How many answers are in memory at a time.
const BATCH: u64 = 20;

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
    let mut texts = HashSet::new();
    while let Some(some) = erasure.texts(&transaction).await? {
        texts.extend(some);
    }
    forget(&transaction, &texts).await?;
    let erased = erasure.finish(database, &transaction, author).await?;
    transaction.commit().await?;
    Ok(erased)
}

/// Erases the kept answers that have one of these texts as a value. Their keys stay: a retry must
/// not do the same once more.
async fn forget(db: &impl ConnectionTrait, texts: &HashSet<String>) -> Result<()> {
    let key = || Expr::tuple([Column::TokenId, Column::Key].map(ColumnTrait::into_expr));
    let mut last: Option<(i64, String)> = None;
    loop {
        let mut answers = stored::Entity::find()
            .filter(stored::COLUMN.status.ne(ERASED))
            .order_by_asc(Column::TokenId)
            .order_by_asc(Column::Key)
            .limit(BATCH);
        if let Some((token, name)) = last {
            let place = Expr::tuple([Expr::val(token), Expr::val(name)]);
            answers = answers.filter(key().gt(place));
        }
        let answers = answers.all(db).await?;
        let Some(end) = answers.last() else {
            return Ok(());
        };
        last = Some((end.token_id, end.key.clone()));
        for answer in answers {
            let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
            if !has_one(&body, texts) {
                continue;
            }
            let nothing = stored::ActiveModel {
                status: Set(ERASED),
                headers: Set("[]".to_owned()),
                body: Set(Vec::new()),
                ..Default::default()
            };
            stored::Entity::update_many()
                .set(nothing)
                .filter(stored::COLUMN.token_id.eq(answer.token_id))
                .filter(stored::COLUMN.key.eq(answer.key))
                .exec(db)
                .await?;
        }
    }
}

/// Whether one of the texts is a value in the answer.
fn has_one(body: &Value, texts: &HashSet<String>) -> bool {
    match body {
        Value::String(text) => texts.contains(text),
        Value::Array(items) => items.iter().any(|item| has_one(item, texts)),
        Value::Object(members) => members.values().any(|value| has_one(value, texts)),
        _ => false,
    }
}
