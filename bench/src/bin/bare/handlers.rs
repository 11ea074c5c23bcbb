//! One handler for each workload.

use std::{sync::Arc, time::SystemTime};

use axum::{
    Router,
    extract::{Query, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use sql::PAGE;
use tokio_postgres::{Row, types::ToSql};

use crate::{
    database::Pool,
    records::{
        Client, Counted, Created, CreatedClient, CreatedLocation, Data, FoundClient, Many,
        NamedClient, Nodes, One, Page, PageInfo, RestClient, TotalCount, Updated, UpdatedClient,
    },
};

/// More than most answers need, so that writing them rarely moves them.
const ANSWER_BYTES: usize = 32 * 1024;

type Shared = State<Arc<Pool>>;
type Answer = Result<Response, Failure>;

/// The paths; `workload.rs` knows them, too.
pub fn router(pool: Pool) -> Router {
    Router::new()
        .route("/client", post(client))
        .route("/newest", post(newest))
        .route("/locations", post(locations))
        .route("/named", post(named))
        .route("/after", post(after))
        .route("/create", post(create))
        .route("/update", post(update))
        .route("/search/rare", post(search_rare))
        .route("/search/common", post(search_common))
        .route("/count", post(count))
        .route("/api/v1/clients", get(rest_list))
        .with_state(Arc::new(pool))
}

/// What is read of the body of a GraphQL request.
#[derive(Deserialize)]
struct Body<V> {
    variables: V,
}

#[derive(Deserialize)]
struct ById<'a> {
    id: &'a str,
}

async fn client(State(pool): Shared, body: Bytes) -> Answer {
    let Body { variables } = serde_json::from_slice::<Body<ById>>(&body)?;
    let id: i64 = variables.id.parse()?;
    let on = pool.get();
    let row = on.client.query_opt(&on.client_by_id, &[&id]).await?;
    let client = row.as_ref().map(Client::read_with_primary);
    json(&Data {
        data: One { client },
    })
}

async fn newest(State(pool): Shared) -> Answer {
    let on = pool.get();
    page(&on.client.query(&on.newest_clients, &[]).await?)
}

#[derive(Deserialize)]
struct After<'a> {
    after: Option<&'a str>,
}

/// The cursor of this server is simply the id.
async fn after(State(pool): Shared, body: Bytes) -> Answer {
    let Body { variables } = serde_json::from_slice::<Body<After>>(&body)?;
    let after: i64 = variables.after.unwrap_or("0").parse()?;
    let on = pool.get();
    page(&on.client.query(&on.clients_after, &[&after]).await?)
}

/// A page of which one row more was read.
fn page(rows: &[Row]) -> Answer {
    let nodes = rows.iter().take(PAGE).map(Client::read_with_primary);
    json(&Data {
        data: Many {
            clients: Page {
                nodes: nodes.collect(),
                page_info: PageInfo {
                    has_next_page: rows.len() > PAGE,
                },
            },
        },
    })
}

async fn locations(State(pool): Shared) -> Answer {
    let on = pool.get();
    let rows = on.client.query(&on.clients_with_locations, &[]).await?;
    json(&Data {
        data: Many {
            clients: Nodes {
                nodes: Client::read_with_locations(&rows),
            },
        },
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named<'a> {
    #[serde(borrow)]
    name: std::borrow::Cow<'a, str>,
    updated_from: &'a str,
}

async fn named(State(pool): Shared, body: Bytes) -> Answer {
    let Body { variables } = serde_json::from_slice::<Body<Named>>(&body)?;
    let name_key = variables.name.to_lowercase();
    let updated_from: DateTime<Utc> = DateTime::parse_from_rfc3339(variables.updated_from)?.into();
    let on = pool.get();
    let rows = on
        .client
        .query(&on.clients_by_name, &[&name_key, &updated_from])
        .await?;
    json(&Data {
        data: Many {
            clients: Counted {
                total_count: rows.first().map_or(0, |row| row.get(6)),
                nodes: rows.iter().map(NamedClient::read).collect(),
            },
        },
    })
}

#[derive(Deserialize)]
struct Search<'a> {
    search: &'a str,
}

/// The texts of the workload have seven characters: the index has the first five and the
/// last five.
async fn search_rare(State(pool): Shared, body: Bytes) -> Answer {
    let Body { variables } = serde_json::from_slice::<Body<Search>>(&body)?;
    let (first, last) = (variables.search.get(..5), variables.search.get(2..));
    let runs = format!("'{}' & '{}'", first.unwrap_or("-"), last.unwrap_or("-"));
    let pattern = pattern(&variables);
    let on = pool.get();
    let rows = on.client.query(&on.search_rare, &[&pattern, &runs]).await?;
    found(&rows)
}

async fn search_common(State(pool): Shared, body: Bytes) -> Answer {
    let Body { variables } = serde_json::from_slice::<Body<Search>>(&body)?;
    let pattern = pattern(&variables);
    let on = pool.get();
    let rows = on.client.query(&on.search_common, &[&pattern]).await?;
    found(&rows)
}

/// The texts of the workloads hold no wildcards.
fn pattern(variables: &Search) -> String {
    format!("%{}%", variables.search.to_lowercase())
}

fn found(rows: &[Row]) -> Answer {
    json(&Data {
        data: Many {
            clients: Nodes {
                nodes: rows.iter().map(FoundClient::read).collect(),
            },
        },
    })
}

async fn count(State(pool): Shared) -> Answer {
    let on = pool.get();
    let row = on.client.query_one(&on.count_clients, &[]).await?;
    json(&Data {
        data: Many {
            clients: TotalCount {
                total_count: row.get(0),
            },
        },
    })
}

#[derive(Deserialize)]
struct Create<'a> {
    #[serde(borrow)]
    input: NewClient<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewClient<'a> {
    name: &'a str,
    account_code: &'a str,
    website: &'a str,
    email_invoice: &'a str,
    primary_location: NewLocation<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewLocation<'a> {
    name: &'a str,
    address1: &'a str,
    city: &'a str,
    state: &'a str,
    zip: &'a str,
    country: &'a str,
    phone_primary: &'a str,
}

async fn create(State(pool): Shared, body: Bytes) -> Answer {
    let Body { variables } = serde_json::from_slice::<Body<Create>>(&body)?;
    let client = variables.input;
    let location = client.primary_location;
    // Enough for the names here; the gateway folds by the rules of Unicode.
    let name_key = client.name.to_lowercase();
    let account_code_key = client.account_code.to_lowercase();
    let location_name_key = location.name.to_lowercase();
    let now = now();
    let on = pool.get();
    let row = on
        .client
        .query_one(
            &on.create_client,
            &[
                &client.name,
                &name_key,
                &client.account_code,
                &account_code_key,
                &client.website,
                &client.email_invoice,
                &now,
                &location.name,
                &location_name_key,
                &location.address1,
                &location.city,
                &location.state,
                &location.zip,
                &location.country,
                &location.phone_primary,
            ],
        )
        .await?;
    json(&Data {
        data: Created {
            create_client: One {
                client: Some(CreatedClient {
                    id: row.get(0),
                    name: client.name,
                    version: 1,
                    created_at: now,
                    primary_location: CreatedLocation {
                        id: row.get(1),
                        name: location.name,
                        city: location.city,
                    },
                }),
            },
        },
    })
}

#[derive(Deserialize)]
struct Update<'a> {
    id: &'a str,
    #[serde(borrow)]
    input: Changes<'a>,
}

#[derive(Deserialize)]
struct Changes<'a> {
    notes: &'a str,
}

async fn update(State(pool): Shared, body: Bytes) -> Answer {
    let Body { variables } = serde_json::from_slice::<Body<Update>>(&body)?;
    let id: i64 = variables.id.parse()?;
    let now = now();
    let on = pool.get();
    let row = on
        .client
        .query_one(&on.update_client, &[&id, &variables.input.notes, &now])
        .await?;
    json(&Data {
        data: Updated {
            update_client: One {
                client: Some(UpdatedClient::read(&row)),
            },
        },
    })
}

#[derive(Deserialize)]
struct Paging {
    per_page: i64,
    page: Option<i64>,
}

/// Reads the page and, as the gateway does for `X-Total-Count`, counts all rows.
/// `Link` is left out.
async fn rest_list(State(pool): Shared, Query(paging): Query<Paging>) -> Answer {
    let offset = (paging.page.unwrap_or(1) - 1) * paging.per_page;
    let on = pool.get();
    let range: [&(dyn ToSql + Sync); 2] = [&offset, &paging.per_page];
    let (rows, count) = tokio::try_join!(
        on.client.query(&on.rest_clients, &range),
        on.client.query_one(&on.count_clients, &[])
    )?;
    let clients: Vec<_> = rows.iter().map(RestClient::read).collect();
    let total: i64 = count.get(0);
    let headers = [("x-total-count", total.to_string())];
    Ok((headers, json(&clients)?).into_response())
}

/// Now, in the precision that is stored.
fn now() -> DateTime<Utc> {
    DateTime::<Utc>::from(SystemTime::now()).trunc_subsecs(3)
}

fn json(answer: &impl Serialize) -> Answer {
    let mut body = Vec::with_capacity(ANSWER_BYTES);
    serde_json::to_writer(&mut body, answer)?;
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

/// Anything that went wrong; the benchmark ends at the first.
struct Failure(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let text = format!("{:#}", self.0);
        (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
    }
}
