//! Lists: filters and pages by query parameters, an array and its headers back.

use std::mem;

use async_graphql::connection::CursorType;
use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::LINK},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::poll_bookmarks::{Bookmark, PollPage};
use super::{
    answer::{Found, Input},
    record::Call,
    variables,
};
use crate::{
    error::{Error, Outage},
    graphql::schema::{
        cursor::{Cursor, Place},
        paging::MAX_FIRST,
    },
    http::problem::{BodyFaults, Problem},
};

/// The page number, from 1.
pub const PAGE: &str = "page";
/// Rows on a page.
pub const PER_PAGE: &str = "per_page";
/// `count` asks for numbers instead of rows.
pub const MODE: &str = "mode";
/// The only value of [`MODE`].
pub const MODE_COUNT: &str = "count";
/// Parameters by which a list is polled: a caller sends the last instant that it saw as the
/// next lower bound.
const POLLED_FROM: [&str; 2] = ["created_from", "updated_from"];
/// The variable that takes the cursor after which the page begins.
const AFTER: &str = "_after";
/// The variable by which a poll selects `pageInfo`, to learn where its page ends.
const IS_POLLED: &str = "_is_polled";
/// Rows in the whole list.
const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// The answer to `mode=count`.
#[derive(Serialize)]
struct CountAnswer {
    record_count: u64,
    page_count: u64,
}

/// The parameters of a list, as they were read.
struct ListQuery {
    variables: Map<String, Value>,
    page: u64,
    per_page: u64,
    count_only: bool,
    /// Whether the pages belong to a poll.
    is_polled: bool,
    /// The parameters as they were sent, without the page.
    sent: Vec<(String, String)>,
}

impl Call {
    /// Answers a list. Links to its pages begin with `url`.
    pub(super) async fn list(
        &self,
        url: &str,
        pairs: Vec<(String, String)>,
    ) -> Result<Response, Problem> {
        let mut query = self.query(pairs)?;
        let began = self.store.clock.now();
        let bookmark = if query.is_polled && query.page > 1 {
            self.go_on(&mut query).await?
        } else {
            None
        };
        let response = self
            .run(self.document(), mem::take(&mut query.variables), false)
            .await
            .map_err(|(response, _)| self.failed(&response, Input::Query, BodyFaults::default()))?;
        let found = Found::within(&response);
        let counted = found.total.ok_or_else(Problem::internal)?;
        // Rows that change during a poll leave it, so a fresh count would shrink, and a caller
        // that compares would stop early. All pages answer the first page's total.
        let mut total = bookmark.as_ref().map_or(counted, |bookmark| bookmark.total);
        if query.is_polled {
            // The rows may have been counted a moment after the page was read.
            let shown = query.page.saturating_mul(query.per_page);
            if found.has_next {
                total = total.max(shown.saturating_add(1));
            } else if bookmark.is_none() {
                total = total.min(shown);
            }
        }
        let pages = total.div_ceil(query.per_page);

        let mut headers = HeaderMap::new();
        headers.insert(TOTAL_COUNT, HeaderValue::from(total));
        if query.count_only {
            let counts = CountAnswer {
                record_count: total,
                page_count: pages,
            };
            return Ok((headers, Json(counts)).into_response());
        }
        if query.is_polled {
            let bookmark = bookmark.filter(|_| query.page < pages);
            if let Some(cursor) = next_cursor(found.end_cursor, bookmark.as_ref()) {
                self.leave(&query, began, Bookmark { cursor, total })
                    .await?;
            }
        }
        if let Ok(links) = HeaderValue::from_str(&self.links(url, &query, pages)) {
            headers.insert(LINK, links);
        }
        self.json(StatusCode::OK, headers, &found)
    }

    /// Makes the page of a poll begin where the page before it ended, if that left a bookmark.
    async fn go_on(&self, query: &mut ListQuery) -> Result<Option<Bookmark>, Problem> {
        let page = self.poll_page(query, query.page);
        let bookmark = page.bookmark(&self.store).await;
        let bookmark = bookmark.map_err(|error| self.unavailable(&error.into()))?;
        if let Some(Bookmark { cursor, .. }) = &bookmark {
            let variables = &mut query.variables;
            variables.insert(AFTER.to_owned(), cursor.as_str().into());
        }
        Ok(bookmark)
    }

    /// Leaves a bookmark for the next page of a poll.
    async fn leave(
        &self,
        query: &ListQuery,
        began: DateTime<Utc>,
        bookmark: Bookmark,
    ) -> Result<(), Problem> {
        let next = self.poll_page(query, query.page.saturating_add(1));
        let Err(error) = next.leave_bookmark(&self.store, began, bookmark).await else {
            return Ok(());
        };
        match Error::from(error) {
            // While the database takes no writes nothing changes, so the next page is found by
            // its number, too.
            error @ Error::Unavailable(Outage::ReadOnly, _) => {
                let cause = error.cause();
                tracing::debug!(cause, "nothing is left for the next page of a poll");
                Ok(())
            }
            error => Err(self.unavailable(&error)),
        }
    }

    /// The answer to a failure of the database, which is logged.
    fn unavailable(&self, error: &Error) -> Problem {
        error.log(&self.request_id.0);
        Problem::of(error)
    }

    fn poll_page(&self, query: &ListQuery, number: u64) -> PollPage {
        let path = self.route.resource.path;
        PollPage::new(self.viewer.token, path, &query.sent, number)
    }

    /// Reads the parameters, and names all that are at fault.
    fn query(&self, pairs: Vec<(String, String)>) -> Result<ListQuery, Problem> {
        let operation = &self.route.operation;
        let mut variables = Map::new();
        let mut faults = Vec::new();
        let (mut page, mut per_page, mut count_only) = (1, None, false);
        // An empty value counts as not given.
        let given = pairs.iter().filter(|(_, value)| !value.is_empty());
        for (name, value) in given {
            let known = operation
                .parameters
                .iter()
                .find(|known| known.name == *name);
            let read = match (name.as_str(), known) {
                (PAGE, _) => positive(value, None).map(|number| page = number),
                (PER_PAGE, _) => {
                    positive(value, Some(MAX_FIRST.into())).map(|number| per_page = Some(number))
                }
                (MODE, _) if value == MODE_COUNT => {
                    count_only = true;
                    Ok(())
                }
                (MODE, _) => Err(format!("must be {MODE_COUNT}")),
                (_, Some(parameter)) => variables::from_query(parameter, value).map(|value| {
                    variables.insert(name.clone(), value);
                }),
                (_, None) => Ok(()),
            };
            if let Err(message) = read {
                faults.push(format!("The parameter '{name}' {message}."));
            }
        }
        let accepted = self.accepted();
        let unknown: Vec<_> = pairs
            .iter()
            .filter(|(name, _)| !accepted.contains(&name.as_str()))
            .map(|(name, _)| format!("'{name}'{}", variables::did_you_mean(name, &accepted)))
            .collect();
        match &unknown[..] {
            [] => {}
            [one] => faults.push(format!("The parameter {one} is not known.")),
            several => faults.push(format!(
                "The parameters {} are not known.",
                several.join(", ")
            )),
        }
        if !unknown.is_empty() {
            faults.push(format!("Accepted are: {}.", accepted.join(", ")));
        }
        if !faults.is_empty() {
            return Err(Problem::new(StatusCode::BAD_REQUEST, faults.join(" ")));
        }

        let default = operation
            .parameters
            .iter()
            .find(|known| known.name == PER_PAGE);
        let default = default.and_then(|known| known.default.as_ref()?.as_u64());
        let per_page = per_page.or(default).ok_or_else(Problem::internal)?;
        let rows = if count_only { 0 } else { per_page };
        // The databases take offsets as signed numbers.
        let before = (page - 1).saturating_mul(per_page).min(i64::MAX as u64);
        variables.insert(PER_PAGE.to_owned(), rows.into());
        if before > 0 && !count_only {
            let after = Cursor::Offset(before).encode_cursor();
            variables.insert(AFTER.to_owned(), after.into());
        }
        let is_bound = |name: &str| variables.contains_key(name);
        let is_polled = !count_only && POLLED_FROM.into_iter().any(is_bound);
        variables.insert(IS_POLLED.to_owned(), is_polled.into());
        Ok(ListQuery {
            is_polled,
            variables,
            page,
            per_page,
            count_only,
            sent: pairs.into_iter().filter(|(name, _)| name != PAGE).collect(),
        })
    }

    /// The names of all parameters.
    fn accepted(&self) -> Vec<&str> {
        let own = self.route.operation.parameters.iter();
        own.map(|parameter| parameter.name.as_str())
            .chain([PAGE, MODE])
            .collect()
    }

    /// The `Link` header (RFC 8288). Its targets are absolute, because many clients know no
    /// others. They are relative only if the host is not known.
    fn links(&self, url: &str, query: &ListQuery, pages: u64) -> String {
        let last = pages.max(1);
        let mut links = vec![("first", 1)];
        if query.page > 1 {
            links.push(("prev", (query.page - 1).min(last)));
        }
        if query.page < last {
            links.push(("next", query.page + 1));
        }
        links.push(("last", last));
        let links: Vec<_> = links
            .into_iter()
            .map(|(relation, page)| {
                let parameters = form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(&query.sent)
                    .append_pair(PAGE, &page.to_string())
                    .finish();
                format!(
                    "<{url}{}?{parameters}>; rel=\"{relation}\"",
                    self.route.resource.path
                )
            })
            .collect();
        links.join(", ")
    }
}

/// The cursor after which the next page of a poll begins, if there may be one. `end` is the
/// cursor of this page's last row; `bookmark` is the one at which this page began. A short page
/// has no other behind it. But if rows have changed since, the first page's total may promise
/// one, and that page must end at the same instant.
fn next_cursor(end: Option<&str>, bookmark: Option<&Bookmark>) -> Option<String> {
    let place = |text: &str| match Cursor::decode_cursor(text) {
        Ok(Cursor::Row(place, position)) => Some((place, position)),
        _ => None,
    };
    let before = bookmark.and_then(|bookmark| place(&bookmark.cursor));
    let (place, position) = match (end.and_then(place), before) {
        (Some(end @ (Place { until: Some(_), .. }, _)), _) => end,
        (Some((_, position)), Some((place, _))) => (place, position),
        (None, Some(before)) => before,
        (_, None) => return None,
    };
    Some(Cursor::Row(place, position).encode_cursor())
}

fn positive(value: &str, max: Option<u64>) -> Result<u64, String> {
    let number = value
        .parse()
        .ok()
        .filter(|number: &u64| number.to_string() == value && *number > 0)
        .filter(|number| max.is_none_or(|max| *number <= max));
    number.ok_or_else(|| match max {
        Some(max) => format!("must be a whole number from 1 to {max}"),
        None => "must be a whole number from 1".to_owned(),
    })
}
