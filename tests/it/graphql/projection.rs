//! Lists are written by a projection where it knows all that is selected, and resolved field
//! by field where it does not. Both must answer the same, to the byte.

use proptest::{prelude::*, sample::subsequence};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::{Engine, TestApp};

/// What no projection knows: asked for as well, it makes the resolvers answer.
const BY_RESOLVERS: [(&str, &str); 2] = [
    ("clients", "resolved: locations { totalCount }"),
    (
        "clientLocations",
        "resolved: client { primaryLocation { id } }",
    ),
];

const CLIENT: [&str; 21] = [
    "id",
    "name",
    "called: name",
    "accountCode",
    "website",
    "emailInvoice",
    "notes",
    "hasInvoiceReminders",
    "showLocationOnInvoice",
    "salesperson",
    "caseManager",
    "createdAt",
    "updatedAt",
    "version",
    "__typename",
    "primaryLocation { __typename ...location }",
    "main: primaryLocation { city called: name }",
    "... on Client { kind: __typename }",
    "locations { nodes { ...location } pageInfo { hasNextPage endCursor } }",
    "some: locations(first: 1) {
       __typename
       pageInfo { __typename hasPreviousPage hasNextPage startCursor endCursor }
       edges { __typename cursor node { id clientId zip } }
     }",
    "none: locations(first: 0) { edges { cursor } pageInfo { hasNextPage startCursor } }",
];
const LOCATION: [&str; 8] = [
    "...location",
    "called: name",
    "__typename",
    "client { id name createdAt salesperson __typename }",
    "owner: client { version notes }",
    "zip",
    "isPrimary",
    "updatedAt",
];
const FRAGMENT: &str = "fragment location on ClientLocation {
    id clientId isPrimary name emailInvoice address1 address2 address3 city state zip country
    phonePrimary phoneSecondary phoneFax notes createdAt updatedAt version
  }";
const ARGUMENTS: [&str; 9] = [
    "first: 0",
    "filter: { name: \"PLAIN\" }",
    // After the second row, by id.
    "first: 2, after: \"aWE6Mg\"",
    "first: 3",
    "last: 4",
    "first: 50, orderBy: { field: NAME, direction: DESC }",
    "last: 2, orderBy: { field: CREATED_AT }",
    "first: 2, orderBy: { field: UPDATED_AT, direction: DESC }",
    "first: 5, filter: { name: \"none of this name\" }",
];

async fn fill(app: &TestApp) {
    for (name, notes) in [
        (
            "Quote \" and \\ back",
            "tab\t, line\n, bell \u{7}, DEL \u{7f}",
        ),
        ("Größe 株式会社 🏢", "\u{2028} and </script>"),
        ("Plain", ""),
        ("plain", "the same key"),
        ("Ωmega", "/"),
    ] {
        let client = app
            .create_client(json!({
                "name": name,
                "notes": notes,
                "salesperson": "9223372036854775807",
                "hasInvoiceReminders": true,
                "primaryLocation": { "zip": "00501", "notes": notes },
            }))
            .await;
        let id = &client["id"];
        let input = json!({ "clientId": id, "name": format!("{name} branch") });
        app.create_location(input).await;
    }
    app.create_client(json!({})).await;
}

/// Takes what was asked for to make the resolvers answer out of `value`.
fn remove_unplanned(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.shift_remove("resolved");
            members.values_mut().for_each(remove_unplanned);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_unplanned),
        _ => {}
    }
}

#[rstest]
#[tokio::test]
async fn a_projected_record_is_what_the_resolvers_answer(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    fill(&app).await;
    for (record, fields, (_, unplanned)) in [
        ("client", &CLIENT[..], BY_RESOLVERS[0]),
        ("clientLocation", &LOCATION[..], BY_RESOLVERS[1]),
    ] {
        let fields = fields.join(" ");
        for id in ["1", "3", "4711"] {
            let query = |more| {
                format!(
                    "query ($id: ID!, $yes: Boolean!) {{ {record}(id: $id) {{
                       {fields} {more} skipped: id @skip(if: $yes) there: id @include(if: $yes)
                     }} }} {FRAGMENT}"
                )
            };
            let variables = json!({ "id": id, "yes": true });
            let planned = app.data(&query(""), variables.clone()).await;
            let mut resolved = app.data(&query(unplanned), variables).await;
            remove_unplanned(&mut resolved);
            assert_eq!(planned.to_string(), resolved.to_string(), "{record} {id}");
        }
    }
}

/// The statements of an answer tell who gave it.
async fn compare(app: &TestApp, list: &str, arguments: &str, selection: &str) {
    let unplanned = BY_RESOLVERS.iter().find(|(known, _)| *known == list);
    let (_, unplanned) = unplanned.unwrap();
    let query = |more: &str| {
        format!(
            "{{ {list}({arguments}) {{
                 nodes {{ {selection} {more} }}
                 edges {{ cursor __typename node {{ {selection} {more} }} }}
                 pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }}
                 totalCount
             }} }}
             {}",
            if selection.contains("...location") {
                FRAGMENT
            } else {
                ""
            }
        )
    };
    app.take_statements();
    let planned = app.data(&query(""), json!({})).await;
    let fewer = app.take_statements().len();
    let mut resolved = app.data(&query(unplanned), json!({})).await;
    let more = app.take_statements().len();
    let is_empty = planned[list]["nodes"] == json!([]);
    assert!(is_empty || fewer < more, "{selection} was not planned");
    remove_unplanned(&mut resolved);
    // As text: the order of the members counts, too.
    assert_eq!(planned.to_string(), resolved.to_string(), "{selection}");
}

#[rstest]
fn a_projection_answers_what_the_resolvers_do(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(("clients", &CLIENT[..]), ("clientLocations", &LOCATION[..]))] list: (
        &str,
        &'static [&'static str],
    ),
) {
    let (list, fields) = list;
    let runtime = Runtime::new().unwrap();
    let app = runtime.block_on(async {
        let app = TestApp::start(engine).await;
        fill(&app).await;
        // From now on the gateway knows that no row can appear before these.
        let newest = "{ clients(orderBy: { field: UPDATED_AT }) { nodes { id } } }";
        app.data(newest, json!({})).await;
        for arguments in ARGUMENTS {
            compare(&app, list, arguments, &fields.join(" ")).await;
        }
        app
    });
    let selections = subsequence(fields, 1..fields.len()).prop_shuffle();
    let cases = (selections, 0..ARGUMENTS.len());
    proptest!(ProptestConfig::with_cases(24), |((selection, arguments) in cases)| {
        let arguments = ARGUMENTS[arguments];
        runtime.block_on(compare(&app, list, arguments, &selection.join(" ")));
    });
}

#[rstest]
#[tokio::test]
async fn a_planned_page_is_one_statement_and_one_for_each_page_of_locations(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    fill(&app).await;
    for (selection, statements) in [
        ("id name", 1),
        ("primaryLocation { city }", 1),
        (
            "name primaryLocation { city } locations { nodes { id } }",
            2,
        ),
    ] {
        app.take_statements();
        let query = format!("{{ clients {{ nodes {{ {selection} }} }} }}");
        app.data(&query, json!({})).await;
        let mut sent = app.take_statements();
        sent.retain(|sql| sql.contains("\"client"));
        assert_eq!(sent.len(), statements, "{selection}: {sent:#?}");
    }
}
