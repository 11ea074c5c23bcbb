//! What web pages of other origins may do: CORS, and protection against forged requests.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    extract::Request,
    http::{
        HeaderName, HeaderValue, Method, StatusCode,
        header::{
            ACCEPT, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH,
            IF_NONE_MATCH, LINK, LOCATION, ORIGIN, RETRY_AFTER,
        },
    },
    response::{IntoResponse, Response},
};
use futures_util::future::Either;
use tower::{Layer, Service};
use tower_http::{
    cors::CorsLayer,
    csrf::{CsrfLayer, ProtectionError},
};

use super::problem::Problem;
use super::request_id::REQUEST_ID;
use crate::idempotency;

/// How long a browser may remember the answer to a preflight.
const MAX_AGE: Duration = Duration::from_mins(10);

type Refuse = fn(ProtectionError) -> Response;

/// Lets the web pages of `origins` call the gateway (WHATWG Fetch, CORS protocol).
pub fn sharing(origins: &[HeaderValue]) -> Unless<CorsLayer, fn(&Request) -> bool> {
    let layer = CorsLayer::new()
        .allow_origin(origins.to_vec())
        .allow_methods([Method::GET, Method::POST, Method::PUT])
        .allow_headers([
            ACCEPT,
            AUTHORIZATION,
            CONTENT_TYPE,
            IF_MATCH,
            IF_NONE_MATCH,
            idempotency::KEY,
            REQUEST_ID,
        ])
        .max_age(MAX_AGE)
        .expose_headers([
            ETAG,
            idempotency::REPLAYED,
            LINK,
            LOCATION,
            RETRY_AFTER,
            REQUEST_ID,
            HeaderName::from_static("x-total-count"),
        ]);
    // The layer would answer every OPTIONS as if it were a preflight.
    let is_passed: fn(&Request) -> bool = |request| {
        request.method() == Method::OPTIONS
            && !request
                .headers()
                .contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    };
    Unless { layer, is_passed }
}

/// Refuses writes that the web pages of other origins than `origins` make a browser send.
pub fn protection(
    origins: Arc<[HeaderValue]>,
) -> Unless<CsrfLayer<Refuse>, impl Fn(&Request) -> bool + Clone> {
    let refuse: Refuse = |_| {
        let detail = "Web pages of this origin may not write here. The operator can allow the \
                      origin with --allow-origin.";
        Problem::new(StatusCode::FORBIDDEN, detail).into_response()
    };
    Unless {
        layer: CsrfLayer::new().with_rejection_response(refuse),
        // The layer knows only origins of web pages, and none of apps.
        is_passed: move |request: &Request| {
            let origin = request.headers().get(ORIGIN);
            origin.is_some_and(|origin| origins.contains(origin))
        },
    }
}

/// A layer that some requests do not go through.
#[derive(Clone)]
pub struct Unless<L, P> {
    layer: L,
    /// Whether a request is one of them.
    is_passed: P,
}

impl<S, L, P> Layer<S> for Unless<L, P>
where
    S: Clone,
    L: Layer<S>,
    P: Clone,
{
    type Service = Bypass<L::Service, S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Bypass {
            through: self.layer.layer(inner.clone()),
            past: inner,
            is_passed: self.is_passed.clone(),
        }
    }
}

/// A service that some requests do not go through.
#[derive(Clone)]
pub struct Bypass<T, S, P> {
    through: T,
    past: S,
    is_passed: P,
}

impl<T, S, P> Service<Request> for Bypass<T, S, P>
where
    T: Service<Request>,
    S: Service<Request, Response = T::Response, Error = T::Error>,
    P: Fn(&Request) -> bool,
{
    type Response = T::Response;
    type Error = T::Error;
    type Future = Either<T::Future, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), T::Error>> {
        ready!(self.through.poll_ready(context))?;
        self.past.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if (self.is_passed)(&request) {
            Either::Right(self.past.call(request))
        } else {
            Either::Left(self.through.call(request))
        }
    }
}
