//! The workloads: what each asks, of either server and of pgbench.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{
    facts::Facts,
    options::Options,
    template::{Choices, Template},
};

/// All scalar fields of a client.
macro_rules! client_fields {
    () => {
        "id name accountCode website emailInvoice notes hasInvoiceReminders \
         showLocationOnInvoice salesperson caseManager createdAt updatedAt version"
    };
}

/// The fields of a location that the queries ask for.
macro_rules! location_fields {
    () => {
        "id name emailInvoice address1 address2 city state zip country phonePrimary"
    };
}

/// What is measured.
pub struct Workload {
    /// Its short name.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// The most processor time for a request, relative to the hand-written server's.
    pub goal: Option<f64>,
    /// Whether it must not cost more when there are more clients.
    pub must_not_grow: bool,
    /// Whether it changes the database.
    pub writes: bool,
    /// What it asks.
    ask: Ask,
    /// The same for pgbench: scripts that take turns.
    pub pgbench: Vec<String>,
}

enum Ask {
    GraphQl {
        query: &'static str,
        variables: Value,
        /// The path of the hand-written server.
        bare: &'static str,
    },
    Rest {
        path: String,
    },
}

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The gateway.
    Gateway,
    /// The hand-written server.
    Bare,
}

/// Stands for the cursor in variables: each server has cursors of its own.
const CURSOR: &str = "@cursor@";

impl Workload {
    /// The request as it is sent to `target`.
    #[must_use]
    pub fn request(&self, target: Target, facts: &Facts) -> Template {
        match &self.ask {
            Ask::GraphQl {
                query,
                variables,
                bare,
            } => {
                let (path, cursor) = match target {
                    Target::Gateway => ("/graphql", facts.cursor.clone()),
                    Target::Bare => (*bare, facts.before_deep_page.to_string()),
                };
                let body = json!({ "query": query, "variables": variables }).to_string();
                Template {
                    path: path.to_owned(),
                    body: Some(body.replace(CURSOR, &cursor)),
                }
            }
            Ask::Rest { path } => Template {
                path: path.clone(),
                body: None,
            },
        }
    }
}

/// How the pages of a REST list are cut.
#[derive(Clone, Copy)]
pub struct RestPages {
    /// Rows on a page.
    pub per_page: u32,
    /// The number of a page far behind the first.
    pub deep: u32,
}

/// All workloads, for a database of which `facts` tells.
#[must_use]
pub fn all(facts: &Facts, deep_pages: RestPages) -> Vec<Workload> {
    let mut workloads = reads(facts);
    workloads.extend(lists_of_rest(deep_pages));
    workloads.extend(searches(facts));
    workloads.extend(writes(facts));
    workloads
}

/// Those of the workloads that were asked for.
///
/// # Errors
/// If there is none.
pub fn wanted(options: &Options, mut workloads: Vec<Workload>) -> Result<Vec<Workload>> {
    let names: Vec<_> = workloads.iter().map(|workload| workload.name).collect();
    workloads.retain(|workload| options.wants(workload.name));
    ensure!(
        !workloads.is_empty(),
        "there are no such workloads, only {}",
        names.join(", ")
    );
    Ok(workloads)
}

fn reads(facts: &Facts) -> Vec<Workload> {
    let random_id = random_id(facts);
    vec![
        Workload {
            name: "Q1",
            about: "client by id with its primary location",
            goal: Some(2.4),
            must_not_grow: true,
            writes: false,
            ask: Ask::GraphQl {
                query: concat!(
                    "query($id: ID!) { client(id: $id) { ",
                    client_fields!(),
                    " primaryLocation { ",
                    location_fields!(),
                    " } } }"
                ),
                variables: json!({ "id": "@id@" }),
                bare: "/client",
            },
            pgbench: vec![format!(
                "{random_id}{}",
                script(sql::CLIENT_BY_ID, &[":id"])
            )],
        },
        Workload {
            name: "Q2",
            about: "50 newest clients with their primary locations",
            goal: Some(1.7),
            must_not_grow: true,
            writes: false,
            ask: Ask::GraphQl {
                query: concat!(
                    "query($first: Int) { clients(first: $first, \
                     orderBy: {field: CREATED_AT, direction: DESC}) { nodes { ",
                    client_fields!(),
                    " primaryLocation { ",
                    location_fields!(),
                    " } } pageInfo { hasNextPage } } }"
                ),
                variables: json!({ "first": sql::PAGE }),
                bare: "/newest",
            },
            pgbench: vec![script(sql::NEWEST_CLIENTS, &[])],
        },
        Workload {
            name: "Q3",
            about: "50 clients, each with its first 10 locations",
            goal: Some(1.8),
            must_not_grow: true,
            writes: false,
            ask: Ask::GraphQl {
                query: concat!(
                    "{ clients(first: 50) { nodes { ",
                    client_fields!(),
                    " locations(first: 10) { nodes { ",
                    location_fields!(),
                    " } } } } }"
                ),
                variables: json!({}),
                bare: "/locations",
            },
            pgbench: vec![script(sql::CLIENTS_WITH_LOCATIONS, &[])],
        },
        Workload {
            name: "Q4",
            about: "first 20 of a name changed since an instant, and their number",
            goal: Some(1.6),
            must_not_grow: true,
            writes: false,
            ask: Ask::GraphQl {
                query: "query($name: String, $updatedFrom: DateTime) { clients(first: 20, \
                        filter: {name: $name, updatedFrom: $updatedFrom}) { totalCount \
                        nodes { id name accountCode website updatedAt version } } }",
                variables: json!({ "name": "@name@", "updatedFrom": facts.updated_from }),
                bare: "/named",
            },
            pgbench: facts
                .names
                .iter()
                .map(|name| {
                    let name_key = quoted(&name.to_lowercase());
                    let updated_from = quoted(&facts.updated_from);
                    script(sql::CLIENTS_BY_NAME, &[&name_key, &updated_from])
                })
                .collect(),
        },
        page_by_id(
            "Q5",
            "50 clients far behind the first, by cursor",
            Some(1.8),
            CURSOR,
            facts,
        ),
    ]
}

/// The first page of the query that Q5 asks for a deep page.
#[must_use]
pub fn first_page(facts: &Facts) -> Workload {
    let mut workload = page_by_id("Q5a", "the first 50 clients, by id", None, "", facts);
    if let Ask::GraphQl { variables, .. } = &mut workload.ask {
        variables["after"] = Value::Null;
    }
    workload
}

fn page_by_id(
    name: &'static str,
    about: &'static str,
    goal: Option<f64>,
    after: &str,
    facts: &Facts,
) -> Workload {
    let before = facts.before_deep_page.to_string();
    Workload {
        name,
        about,
        goal,
        must_not_grow: true,
        writes: false,
        ask: Ask::GraphQl {
            query: concat!(
                "query($first: Int, $after: String) { \
                 clients(first: $first, after: $after) { nodes { ",
                client_fields!(),
                " primaryLocation { ",
                location_fields!(),
                " } } pageInfo { hasNextPage } } }"
            ),
            variables: json!({ "first": sql::PAGE, "after": after }),
            bare: "/after",
        },
        pgbench: vec![script(sql::CLIENTS_AFTER, &[&before])],
    }
}

/// The lists over REST. Each answer tells the number of all clients.
fn lists_of_rest(deep_pages: RestPages) -> Vec<Workload> {
    let RestPages { per_page, deep } = deep_pages;
    let list = |per_page: u32, page: u32| {
        let offset = ((page - 1) * per_page).to_string();
        let rows = script(sql::REST_CLIENTS, &[&offset, &per_page.to_string()]);
        vec![format!("{rows}{}", script(sql::COUNT_CLIENTS, &[]))]
    };
    vec![
        Workload {
            name: "R2",
            about: "REST list of 50",
            goal: Some(2.0),
            must_not_grow: true,
            writes: false,
            ask: Ask::Rest {
                path: "/api/v1/clients?per_page=50".to_owned(),
            },
            pgbench: list(50, 1),
        },
        Workload {
            name: "RP",
            about: "REST list, page far behind the first",
            goal: None,
            must_not_grow: true,
            writes: false,
            ask: Ask::Rest {
                path: format!("/api/v1/clients?per_page={per_page}&page={deep}"),
            },
            pgbench: list(per_page, deep),
        },
    ]
}

fn searches(facts: &Facts) -> Vec<Workload> {
    const SEARCH: &str = "query($search: String) { clients(first: 20, \
                          filter: {search: $search}) { nodes { id name accountCode } } }";
    let last_code = Choices::last_code(facts.clients);
    let code = "lpad(:code::text, 5, '0')";
    let pattern = format!("'%c-' || {code} || '%'");
    let runs = format!("format('''c-%s'' & ''%s''', left({code}, 3), {code})");
    vec![
        Workload {
            name: "SF",
            about: "search for a text that 10 clients have at most",
            goal: None,
            must_not_grow: true,
            writes: false,
            ask: Ask::GraphQl {
                query: SEARCH,
                variables: json!({ "search": "@code@" }),
                bare: "/search/rare",
            },
            pgbench: vec![format!(
                "\\set code random(0, {last_code})\n{}",
                script(sql::SEARCH_RARE, &[&pattern, &runs])
            )],
        },
        Workload {
            name: "SM",
            about: "search for a text that very many have, first 20",
            goal: None,
            must_not_grow: true,
            writes: false,
            ask: Ask::GraphQl {
                query: SEARCH,
                variables: json!({ "search": "Group" }),
                bare: "/search/common",
            },
            pgbench: vec![script(sql::SEARCH_COMMON, &["'%group%'"])],
        },
        Workload {
            name: "TC",
            about: "totalCount of all clients alone",
            goal: None,
            must_not_grow: false,
            writes: false,
            ask: Ask::GraphQl {
                query: "{ clients { totalCount } }",
                variables: json!({}),
                bare: "/count",
            },
            pgbench: vec![script(sql::COUNT_CLIENTS, &[])],
        },
    ]
}

/// The writes come last: they leave work for the database to do afterwards.
fn writes(facts: &Facts) -> Vec<Workload> {
    let random_id = random_id(facts);
    vec![
        Workload {
            name: "M1",
            about: "create a client with its primary location, durable",
            goal: Some(1.7),
            must_not_grow: true,
            writes: true,
            ask: Ask::GraphQl {
                query: "mutation($input: CreateClientInput!) { createClient(input: $input) { \
                        client { id name version createdAt primaryLocation { id name city } } } }",
                variables: json!({ "input": {
                    "name": "Bench Client @number@",
                    "accountCode": "BENCH-@number@",
                    "website": "https://www.bench-client.example",
                    "emailInvoice": "billing@bench-client.example",
                    "primaryLocation": {
                        "name": "Main Location",
                        "address1": "1600 Wynkoop Street",
                        "city": "Denver",
                        "state": "CO",
                        "zip": "80202",
                        "country": "US",
                        "phonePrimary": "303-555-0100",
                    },
                } }),
                bare: "/create",
            },
            pgbench: vec![format!(
                "\\set number random(1, 999999999)\n{}",
                script(
                    sql::CREATE_CLIENT,
                    &[
                        "'Bench Client ' || :number::text",
                        "'bench client ' || :number::text",
                        "'BENCH-' || :number::text",
                        "'bench-' || :number::text",
                        "'https://www.bench-client.example'",
                        "'billing@bench-client.example'",
                        "now()",
                        "'Main Location'",
                        "'main location'",
                        "'1600 Wynkoop Street'",
                        "'Denver'",
                        "'CO'",
                        "'80202'",
                        "'US'",
                        "'303-555-0100'",
                    ]
                )
            )],
        },
        Workload {
            name: "M2",
            about: "update one field of a client, durable",
            goal: Some(1.4),
            must_not_grow: true,
            writes: true,
            ask: Ask::GraphQl {
                query: "mutation($id: ID!, $input: UpdateClientInput!) { \
                        updateClient(id: $id, input: $input) { \
                        client { id name notes updatedAt version } } }",
                variables: json!({ "id": "@id@", "input": { "notes": "Note @number@" } }),
                bare: "/update",
            },
            pgbench: vec![format!(
                "{random_id}\\set number random(1, 999999999)\n{}",
                script(
                    sql::UPDATE_CLIENT,
                    &[":id", "'Note ' || :number::text", "now()"]
                )
            )],
        },
    ]
}

fn random_id(facts: &Facts) -> String {
    format!("\\set id random(1, {})\n", facts.clients)
}

/// A statement with its parameters filled in, for pgbench.
fn script(statement: &str, parameters: &[&str]) -> String {
    let mut script = statement.to_owned();
    // From the last one, for $1 also begins $10.
    for (index, parameter) in parameters.iter().enumerate().rev() {
        script = script.replace(&format!("${}", index + 1), parameter);
    }
    script + ";\n"
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
