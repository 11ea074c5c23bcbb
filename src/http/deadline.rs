//! The time within which every request is answered.
//!
//! The limits of the database are shorter, so this one holds only when several of them
//! add up. It gives up the answer, not the work: an operation runs in a task of its own.

use std::{pin::pin, time::Duration};

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    middleware::Next,
    response::Response,
};
use sea_orm::DbErr;
use tokio::{sync::oneshot, time::sleep};

use super::body::guarded::Guarded;
use crate::{error::Error, storage::connections::fault::ConnectionFault};

/// How long an answer may take, once the request has arrived. One second less than the
/// ten that no answer may exceed: a busy machine is late.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(9);

/// The answer to a request.
///
/// # Errors
/// `Unavailable`, if there is none in time. A write may have taken effect all the same.
pub async fn answer(request: Request, next: Next) -> Result<Response, Error> {
    let (arrived, request) = watch(request);
    let answer = pin!(next.run(request));
    let late = async {
        if let Some(arrived) = arrived {
            // The other end is dropped, not sent through.
            let _ = arrived.await;
        }
        sleep(ANSWER_TIMEOUT).await;
    };
    tokio::select! {
        biased;
        response = answer => Ok(response),
        () = late => Err(DbErr::from(ConnectionFault::Unconfirmed(ConnectionFault::Late.into())).into()),
    }
}

/// The request, and what ends when all of its body was taken: a slow client has a limit
/// of its own. None if there is no body.
fn watch(request: Request) -> (Option<oneshot::Receiver<()>>, Request) {
    if request.body().is_end_stream() {
        return (None, request);
    }
    let (sender, receiver) = oneshot::channel();
    let request = request.map(|body| Body::new(Guarded::new(body, sender)));
    (Some(receiver), request)
}
