//! The time within which every request is answered.
//!
//! The limits of the database are shorter, so this one holds only when several of them
//! add up. It gives up the answer, not the work: an operation runs in a task of its own.

use std::{pin::pin, time::Duration};

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use sea_orm::DbErr;
use tokio::{sync::oneshot, time::sleep};

use super::{body::guarded::Guarded, problem::Problem};
use crate::{
    app::RequestId, error::Error, graphql::transport::http, storage::connections::fault::Fault,
};

/// How long an answer may take, once the request has arrived. One second less than the
/// ten that no answer may exceed: a busy machine is late.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(9);

/// The answer to a request, or that there is none in time.
pub async fn answer(request: Request, request_id: &RequestId, next: Next) -> Response {
    let is_graphql = request.uri().path().trim_end_matches('/') == "/graphql";
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
        response = answer => response,
        () = late => {
            let error = Error::from(DbErr::from(Fault::Unconfirmed(Fault::Late.into())));
            if is_graphql {
                http::refuse_error(&error, request_id)
            } else {
                error.log(&request_id.0);
                Problem::of(&error).into_response()
            }
        }
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
