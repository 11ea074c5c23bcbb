//! A caller, as integrations are.

use std::time::{Duration, Instant};

use axum::{
    body::{Body, Bytes},
    http::{
        HeaderMap, HeaderName, Method, Request, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
        request,
    },
};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tokio::time::timeout;

/// Every answer must come within 10 seconds; this is when a caller gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that has rested for longer is not used: a server may close it just then.
const IDLE: Duration = Duration::from_millis(200);
/// Why there is no answer when nobody listens.
pub const REFUSED: &str = "no connection";

#[derive(Clone)]
pub struct Client {
    http: legacy::Client<HttpConnector, Body>,
    address: String,
    token: String,
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// How long it took.
    pub took: Duration,
}

impl Client {
    pub fn new(address: &str, token: &str) -> Self {
        Self {
            http: legacy::Client::builder(TokioExecutor::new())
                .pool_idle_timeout(IDLE)
                .build_http(),
            address: address.to_owned(),
            token: token.to_owned(),
        }
    }

    /// The answer, or why there is none.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, String> {
        let builder = Request::builder();
        self.send_as(builder, method, path, body).await
    }

    /// The same with one more header.
    pub async fn send_with(
        &self,
        (name, value): (HeaderName, &str),
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Answer, String> {
        let builder = Request::builder().header(name, value);
        self.send_as(builder, method, path, Some(body)).await
    }

    async fn send_as(
        &self,
        builder: request::Builder,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, String> {
        let request = builder
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(CONTENT_TYPE, "application/json")
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
            .unwrap();
        let began = Instant::now();
        let exchange = async {
            let answer = self.http.request(request).await;
            let why = |error: legacy::Error| {
                if error.is_connect() {
                    REFUSED.to_owned()
                } else {
                    error.to_string()
                }
            };
            let (head, body) = answer.map_err(why)?.into_parts();
            let body = body.collect().await.map_err(|error| error.to_string())?;
            Ok(Answer {
                status: head.status,
                headers: head.headers,
                body: body.to_bytes(),
                took: began.elapsed(),
            })
        };
        timeout(PATIENCE, exchange)
            .await
            .unwrap_or_else(|_| panic!("no answer within {PATIENCE:?} from {path}"))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await.unwrap()
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await.unwrap()
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PUT, path, Some(body)).await.unwrap()
    }

    /// Makes a client that is only told from others by its account code.
    pub async fn create(&self, code: &str) -> Answer {
        self.post("/api/v1/clients", &client_body(code)).await
    }

    pub async fn graphql(&self, query: &str) -> Answer {
        self.post("/graphql", &json!({ "query": query })).await
    }

    pub async fn is_ready(&self) -> bool {
        let answer = self.send(Method::GET, "/readyz", None).await;
        answer.is_ok_and(|answer| answer.status == StatusCode::OK)
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub fn assert_status(&self, status: u16) {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
    }

    /// A refusal that passes: a problem that says when to come back.
    #[track_caller]
    pub fn assert_unavailable(&self) -> String {
        self.assert_status(503);
        assert!(self.headers.contains_key(RETRY_AFTER), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], 503);
        problem["detail"].as_str().unwrap().to_owned()
    }
}

pub fn client_body(code: &str) -> Value {
    json!({ "client": {
        "name": format!("Client {code}"),
        "account_code": code,
        "notes": format!("notes of {code}"),
        "primary_location": {
            "name": format!("Main of {code}"),
            "city": format!("City of {code}"),
            "state": "CO",
            "zip": "01234",
            "country": "US",
        },
    } })
}
