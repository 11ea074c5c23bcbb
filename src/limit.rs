//! The time within which every request is answered.
//!
//! The limits of the database are shorter, so this one holds only when several of them
//! add up. It gives up the answer, not the work: an operation runs in a task of its own.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use hyper::body::{Frame, SizeHint};
use sea_orm::DbErr;
use tokio::{sync::oneshot, time::sleep};

use crate::{
    connections::fault::Fault, error::Error, graphql::endpoint, http::RequestId,
    rest::problem::Problem,
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
                endpoint::refuse_error(&error, request_id)
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
    let request = request.map(|body| {
        Body::new(Arriving {
            body,
            _arrived: sender,
        })
    });
    (Some(receiver), request)
}

/// A body that is told from one that was taken, or is not wanted.
struct Arriving {
    body: Body,
    _arrived: oneshot::Sender<()>,
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
