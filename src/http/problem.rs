//! Error answers as `application/problem+json` (RFC 9457).

use axum::{
    Json,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{
    error::{Code, Error},
    http::request_id::RequestId,
    idempotency::NotExecuted,
};

/// The most unknown fields of a body that get an entry in `errors`: without a limit the
/// answer could be many times as long as the body.
const MAX_UNKNOWN: usize = 100;
/// The most faults that `detail` names.
const MAX_NAMED: usize = 20;

/// An error answer.
#[derive(Clone, Debug)]
pub struct Problem(Box<Details>);

#[derive(Clone, Debug)]
struct Details {
    status: StatusCode,
    /// In place of the title that belongs to the status.
    title: Option<&'static str>,
    detail: String,
    errors: Vec<BodyFault>,
    stale: Option<Stale>,
    headers: HeaderMap,
}

/// How a record differs from what the caller expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stale {
    /// The version of the record now.
    pub current_version: i32,
    /// The members that the caller sent and that have another value in the record; those of
    /// the primary location follow its name and a dot.
    pub differs: Vec<String>,
}

/// One thing that is wrong with a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BodyFault {
    /// Where in the request body: a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What is wrong and how to mend it.
    pub detail: String,
}

/// All that is wrong with a body.
#[derive(Clone, Debug, Default)]
pub struct BodyFaults {
    /// In the order in which they were found.
    told: Vec<BodyFault>,
    /// How many fields are unknown. The first of them are also in `told`.
    unknown: usize,
}

impl BodyFaults {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Adds a fault of a known field; there are only few of these.
    pub fn add(&mut self, pointer: String, detail: String) {
        self.told.push(BodyFault { pointer, detail });
    }

    /// Adds a fault of an unknown field. `fault` makes its pointer and its detail; it is
    /// called for the first unknown fields only, as the others are just counted.
    pub fn add_unknown(&mut self, fault: impl FnOnce() -> (String, String)) {
        self.unknown += 1;
        if self.unknown <= MAX_UNKNOWN {
            let (pointer, detail) = fault();
            self.add(pointer, detail);
        }
    }

    /// Whether there is a fault at the pointer, or at an object around it.
    #[must_use]
    pub fn cover(&self, pointer: &str) -> bool {
        self.told.iter().any(|fault| {
            let below = pointer.strip_prefix(&fault.pointer);
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// Whether there is a fault at exactly this pointer.
    #[must_use]
    pub fn are_at(&self, pointer: &str) -> bool {
        self.told.iter().any(|fault| fault.pointer == pointer)
    }

    /// The detail: names the first faults, and counts the others.
    fn sentence(&self) -> String {
        let named = self.told.iter().take(MAX_NAMED);
        let mut sentences: Vec<_> = named
            .map(|fault| format!("{} {}", fault.pointer, fault.detail))
            .collect();
        let untold = self.unknown.saturating_sub(MAX_UNKNOWN);
        let more = self.told.len() - sentences.len() + untold;
        if more > 0 {
            sentences.push(format!("and {more} more"));
        }
        format!("{}.", sentences.join("; "))
    }
}

impl Problem {
    /// A problem with a detail and nothing else.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Details {
            status,
            title: None,
            detail: detail.into(),
            errors: Vec::new(),
            stale: None,
            headers: HeaderMap::new(),
        }))
    }

    /// A body with invalid fields (422).
    #[must_use]
    pub fn unprocessable(faults: BodyFaults) -> Self {
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, faults.sentence());
        problem.0.errors = faults.told;
        problem
    }

    /// A record that is not the one that `If-Match` names (412).
    #[must_use]
    pub fn stale(stale: Stale) -> Self {
        let mut problem = Self::new(
            StatusCode::PRECONDITION_FAILED,
            format!(
                "The record is not the one that If-Match names: somebody else changed it \
                 (its ETag is now \"{}\"). Read it again and repeat your change.",
                stale.current_version
            ),
        );
        problem.0.stale = Some(stale);
        problem
    }

    /// Rewords [`Self::stale`] for a record that `If-None-Match` names.
    #[must_use]
    pub fn named(mut self) -> Self {
        if let Some(stale) = &self.0.stale {
            self.0.detail = format!(
                "The record is one that If-None-Match names (its ETag is \"{}\"), so it was not \
                 changed. To change this very version, send its ETag in If-Match.",
                stale.current_version
            );
        }
        self
    }

    /// Rewords [`Self::stale`] for a record that changed during a request without `If-Match`.
    #[must_use]
    pub fn overtaken(mut self) -> Self {
        if let Some(stale) = &self.0.stale {
            self.0.detail = format!(
                "Somebody else changed the record while this request was under way (its ETag is \
                 now \"{}\"). Read it again and repeat your change.",
                stale.current_version
            );
        }
        self
    }

    /// A fault of ours; the log has the cause.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something went wrong on our side. The request id finds the cause in the log.",
        )
    }

    /// The problem for a failure.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        Self::of_code(error.code(), error.sentence())
    }

    /// The problem for a failure with this code.
    #[must_use]
    pub fn of_code(code: Code, sentence: String) -> Self {
        match code {
            Code::Internal => Self::internal(),
            Code::Unauthenticated => Self::new(code.status(), sentence).with_header(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"clientele\", charset=\"UTF-8\""),
            ),
            _ => Self::new(code.status(), sentence),
        }
    }

    /// The problem for a request with an idempotency key that was not executed.
    #[must_use]
    pub fn of_refusal(refusal: &NotExecuted) -> Self {
        let sentence = refusal.sentence();
        let (mut problem, title) = match refusal {
            NotExecuted::Failed(error) => return Self::of(error),
            NotExecuted::OtherRequest(_) => {
                let errors = vec![BodyFault {
                    pointer: String::new(),
                    detail: "is not the body that was first sent with this key".to_owned(),
                }];
                let mut problem = Self::new(refusal.code().status(), sentence);
                problem.0.errors = errors;
                (problem, "The Idempotency-Key belongs to another request.")
            }
            NotExecuted::UnderWay(_) => {
                let problem = Self::new(refusal.code().status(), sentence);
                (problem, "The first request is still under way.")
            }
            NotExecuted::Erased(_) => return Self::new(refusal.code().status(), sentence),
        };
        problem.0.title = Some(title);
        problem
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// The title: a sentence for people, in place of the status phrase that RFC 9457
    /// suggests. It comes first in the body, as older integrations show only the first
    /// characters.
    fn title(&self) -> &'static str {
        if let Some(title) = self.0.title {
            return title;
        }
        match self.0.status {
            StatusCode::BAD_REQUEST => "The request cannot be understood.",
            StatusCode::UNAUTHORIZED => "A valid API token is needed.",
            StatusCode::FORBIDDEN => "This is not allowed.",
            StatusCode::NOT_FOUND => "There is nothing here.",
            StatusCode::METHOD_NOT_ALLOWED => "This method is not allowed here.",
            StatusCode::REQUEST_TIMEOUT => "The body took too long.",
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => {
                "The record was changed meanwhile."
            }
            StatusCode::GONE => "It is not there any more.",
            StatusCode::PAYLOAD_TOO_LARGE => "The body is too large.",
            StatusCode::URI_TOO_LONG => "The URL is too long.",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "The body must be JSON.",
            StatusCode::UNPROCESSABLE_ENTITY => "Some fields are not valid.",
            StatusCode::TOO_MANY_REQUESTS => "The request asks for too much.",
            StatusCode::NOT_IMPLEMENTED => "The request cannot be read.",
            StatusCode::SERVICE_UNAVAILABLE => "The service is not available at the moment.",
            StatusCode::INSUFFICIENT_STORAGE => "The disk of the database is full.",
            _ => "Something went wrong on our side.",
        }
    }
}

/// The members in their documented order.
#[derive(Serialize)]
struct ProblemBody<'a> {
    title: &'static str,
    detail: &'a str,
    status: u16,
    #[serde(rename = "type")]
    kind: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [BodyFault],
    #[serde(flatten)]
    stale: Option<&'a Stale>,
}

impl IntoResponse for Problem {
    /// Leaves the body to [`render`], which knows the request id.
    fn into_response(self) -> Response {
        let mut response = (self.0.status, self.0.headers.clone()).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the body of an answer that is a [`Problem`].
pub fn render(mut response: Response, request_id: &RequestId) -> Response {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else {
        return response;
    };
    let body = Json(ProblemBody {
        title: problem.title(),
        detail: &problem.0.detail,
        status: problem.0.status.as_u16(),
        kind: "about:blank",
        request_id: &request_id.0,
        errors: &problem.0.errors,
        stale: problem.0.stale.as_ref(),
    });
    let (parts, _) = response.into_parts();
    let mut response = (parts.status, parts.headers, body).into_response();
    let content_type = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
