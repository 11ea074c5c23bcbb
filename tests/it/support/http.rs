//! Calls to the gateway, in-process.

use std::convert::Infallible;

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{
        HeaderMap, HeaderValue, Method, Request, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, IntoHeaderName},
    },
    response::Response,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::app::{TestApp, USER};

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A request to be sent. It is signed with the token that may write, in the
/// documented form, unless told otherwise.
pub struct Call<'app> {
    app: &'app TestApp,
    request: Request<Body>,
}

async fn answer(router: &Router, request: Request<Body>) -> Answer {
    let answer: Result<Response, Infallible> = router.clone().oneshot(request).await;
    let (head, body) = answer.unwrap().into_parts();
    Answer {
        status: head.status,
        headers: head.headers,
        body: to_bytes(body, usize::MAX).await.unwrap(),
    }
}

impl TestApp {
    pub async fn request(&self, request: Request<Body>) -> Answer {
        answer(&self.router, request).await
    }

    pub fn call(&self, method: Method, path: &str) -> Call<'_> {
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Body::empty()).expect(path);
        Call { app: self, request }.basic(USER, &self.token)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path).send().await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path).json(&body).send().await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path).json(&body).send().await
    }

    /// The whole answer, `data` and `errors`, to a GraphQL operation.
    pub async fn graphql(&self, query: &str, variables: Value) -> Value {
        let answer = self
            .call(Method::POST, "/graphql")
            .bearer(&self.token)
            .json(&json!({ "query": query, "variables": variables }))
            .send()
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.json()
    }

    /// The data of a GraphQL operation, which must have no errors.
    pub async fn data(&self, query: &str, variables: Value) -> Value {
        let mut answer = self.graphql(query, variables).await;
        assert_eq!(answer.get("errors"), None, "{answer:#}");
        answer["data"].take()
    }
}

impl Call<'_> {
    /// Sets a header, in place of one of this name.
    pub fn header(mut self, name: impl IntoHeaderName, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect(value);
        self.request.headers_mut().insert(name, value);
        self
    }

    pub fn basic(self, user: &str, token: &str) -> Self {
        let credentials = BASE64_STANDARD.encode(format!("{user}/token:{token}"));
        self.header(AUTHORIZATION, &format!("Basic {credentials}"))
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header(AUTHORIZATION, &format!("Bearer {token}"))
    }

    pub fn anonymous(mut self) -> Self {
        self.request.headers_mut().remove(AUTHORIZATION);
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.header(CONTENT_TYPE, "application/json")
            .body(body.to_string())
    }

    /// Sets the body alone, whatever the headers say of it.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        *self.request.body_mut() = body.into();
        self
    }

    pub async fn send(self) -> Answer {
        self.app.request(self.request).await
    }

    /// Sends it to another gateway over the same database.
    pub async fn send_to(self, router: &Router) -> Answer {
        answer(router, self.request).await
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in the answer {self:?}"))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The value of a header that is there at most once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().unwrap();
        assert!(values.next().is_none(), "{name} is there twice: {self:?}");
        Some(value)
    }
}
