//! The rows that hold idempotency keys and the answers to their requests.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderName, HeaderValue, StatusCode},
    response::Response,
};
use chrono::{DateTime, TimeDelta, Utc};
use entity::idempotency_key::{self as stored, Column};
use sea_orm::{
    ActiveValue::Set, DbErr, EntityTrait, QueryFilter, RuntimeErr, SqlxError, sea_query::OnConflict,
};

use super::{KeyedRequest, NotExecuted, REPLAYED};
use crate::{
    error::Error,
    storage::{database::Database, purge::delete_up_to, transaction::Transaction},
};

/// How long an answer is kept.
const RETENTION: TimeDelta = TimeDelta::hours(24);
/// The status of an answer that was erased. No request is answered so.
pub(super) const ERASED: i16 = 410;

/// Writes the row of a key, over one that is too old, once no other transaction is writing
/// it. Returns false if the key is taken.
pub(super) async fn claim(
    transaction: &Transaction,
    request: &KeyedRequest,
    now: DateTime<Utc>,
) -> Result<bool, NotExecuted> {
    let row = stored::ActiveModel {
        token_id: Set(request.token),
        key: Set(request.key.0.clone()),
        fingerprint: Set(request.fingerprint.to_vec()),
        created_at: Set(now),
        // There is no answer yet.
        status: Set(0),
        headers: Set(String::new()),
        body: Set(Vec::new()),
    };
    let in_place_of_an_old_one = OnConflict::columns([Column::TokenId, Column::Key])
        .update_columns([
            Column::Fingerprint,
            Column::CreatedAt,
            Column::Status,
            Column::Headers,
            Column::Body,
        ])
        .action_and_where(stored::COLUMN.created_at.lte(now - RETENTION))
        .to_owned();
    let written = stored::Entity::insert(row)
        .on_conflict(in_place_of_an_old_one)
        .exec_without_returning(transaction)
        .await;
    match written {
        Ok(rows) => Ok(rows > 0),
        Err(error) if is_lock_timeout(&error) => Err(NotExecuted::UnderWay(request.key.clone())),
        Err(error) => Err(error.into()),
    }
}

/// Whether a wait for a lock timed out (PostgreSQL, appendix A). SQLite has one lock, and
/// waits for it when the transaction begins.
fn is_lock_timeout(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause))) =
        error
    else {
        return false;
    };
    match &**cause {
        SqlxError::Database(cause) => cause.code().as_deref() == Some("55P03"),
        _ => false,
    }
}

/// The first answer, if it answered the same request.
pub(super) async fn replay(
    transaction: &Transaction,
    request: &KeyedRequest,
) -> Result<Response, NotExecuted> {
    let row = stored::Entity::find_by_id((request.token, request.key.0.clone()))
        .one(transaction)
        .await?
        .ok_or_else(|| unreadable("it is not there"))?;
    if row.fingerprint != request.fingerprint {
        return Err(NotExecuted::OtherRequest(request.key.clone()));
    }
    if row.status == ERASED {
        return Err(NotExecuted::Erased(request.key.clone()));
    }
    let mut response = Response::new(Body::from(row.body));
    *response.status_mut() = u16::try_from(row.status)
        .ok()
        .and_then(|status| StatusCode::from_u16(status).ok())
        .ok_or_else(|| unreadable("its status is none"))?;
    let headers: Vec<(String, String)> =
        serde_json::from_str(&row.headers).map_err(|_| unreadable("its headers are none"))?;
    for (name, value) in headers {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value))
        else {
            return Err(unreadable("its headers are none"));
        };
        response.headers_mut().append(name, value);
    }
    let replayed = HeaderValue::from_static("true");
    response.headers_mut().insert(REPLAYED, replayed);
    Ok(response)
}

fn unreadable(why: &str) -> NotExecuted {
    let error = DbErr::Custom(format!("the kept answer cannot be read: {why}"));
    NotExecuted::Failed(Error::Internal(Arc::new(error)))
}

/// Stores the answer in the row of its key.
pub(super) async fn store_answer(
    transaction: &Transaction,
    request: &KeyedRequest,
    response: Response,
) -> Result<Response, NotExecuted> {
    let internal = |error| NotExecuted::Failed(Error::Internal(error));
    let (head, body) = response.into_parts();
    // The body is complete: answers to writes are not streamed.
    let body = to_bytes(body, usize::MAX).await;
    let body: Bytes = body.map_err(|error| internal(Arc::new(error)))?;
    let headers: Vec<_> = head
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    let headers = serde_json::to_string(&headers).map_err(|error| internal(Arc::new(error)))?;
    let answer = stored::ActiveModel {
        status: Set(i16::try_from(head.status.as_u16()).unwrap_or_default()),
        headers: Set(headers),
        body: Set(body.to_vec()),
        ..Default::default()
    };
    let kept = stored::Entity::update_many()
        .set(answer)
        .filter(stored::COLUMN.token_id.eq(request.token))
        .filter(stored::COLUMN.key.eq(request.key.0.as_str()))
        .exec(transaction)
        .await?;
    if kept.rows_affected != 1 {
        return Err(DbErr::RecordNotUpdated.into());
    }
    Ok(Response::from_parts(head, Body::from(body)))
}

/// Deletes the keys that are too old, and returns how many.
///
/// # Errors
/// If the database fails.
pub async fn purge(database: &Database) -> Result<u64, DbErr> {
    let key = [Column::TokenId, Column::Key];
    let instant = database.clock.now() - RETENTION;
    delete_up_to::<stored::Entity, 2>(database, key, Column::CreatedAt, instant).await
}
