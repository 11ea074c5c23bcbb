//! The time limit within which every request is answered.
//!
//! The limits of the database are shorter, so this one is reached only when several of them
//! add up. It abandons the answer, not the work: an operation runs in a task of its own.

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

/// How long an answer may take, once the whole request has arrived. One second less than
/// the ten that no answer may exceed, because a busy machine is late.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(9);

/// Answers a request within the time limit.
///
/// # Errors
/// `Unavailable`, if there is no answer in time. A write may still take effect.
pub async fn answer(request: Request, next: Next) -> Result<Response, Error> {
    let only_reads = request.method().is_safe();
    let (arrived, request) = watch(request);
    let answer = pin!(next.run(request));
    let late = async {
        if let Some(arrived) = arrived {
            // Ends when the sender is dropped with the body; nothing is sent.
            let _ = arrived.await;
        }
        sleep(ANSWER_TIMEOUT).await;
    };
    tokio::select! {
        biased;
        response = answer => Ok(response),
        () = late => {
            let fault = if only_reads {
                ConnectionFault::Late
            } else {
                ConnectionFault::Unconfirmed(ConnectionFault::Late.into())
            };
            Err(DbErr::from(fault).into())
        }
    }
}

/// The request, and a receiver that ends when the whole body was read, because a slow
/// client has a limit of its own. None if there is no body.
fn watch(request: Request) -> (Option<oneshot::Receiver<()>>, Request) {
    if request.body().is_end_stream() {
        return (None, request);
    }
    let (sender, receiver) = oneshot::channel();
    let request = request.map(|body| Body::new(Guarded::new(body, sender)));
    (Some(receiver), request)
}
