//! Documents and the values of their variables, to the letter of the GraphQL specification
//! of September 2025, whatever was asked before.

use axum::http::Method;
use rstest::rstest;
use serde_json::{Value, json};

use super::{codes, faults, hostile::many};
use crate::support::{Engine, TestApp};

async fn app_with_client(engine: Engine) -> TestApp {
    let app = TestApp::start(engine).await;
    app.create_client(json!({ "notes": "n" })).await;
    app
}

/// Asserts that the document is refused for what it is, not for its values.
async fn assert_invalid(app: &TestApp, query: &str, variables: Value) {
    let answer = app.graphql(query, variables).await;
    let codes = codes(&answer);
    assert!(!codes.is_empty(), "{query} {answer:#}");
    let is_document = |code: &&str| code.starts_with("GRAPHQL_");
    assert!(codes.iter().all(is_document), "{query} {answer:#}");
    assert_eq!(answer.get("data"), None, "{query} {answer:#}");
}

fn messages(answer: &Value) -> Vec<&str> {
    let errors = answer["errors"].as_array();
    let errors = errors.unwrap_or_else(|| panic!("no errors in {answer:#}"));
    errors
        .iter()
        .map(|error| error["message"].as_str().unwrap())
        .collect()
}

#[rstest]
#[tokio::test]
async fn strings_mean_what_the_specification_says(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = app_with_client(engine).await;
    let text = |literal: &str| {
        format!(
            "mutation {{ updateClient(id: 1, input: {{ notes: {literal} }}) {{ client {{ notes }} }} }}"
        )
    };
    for (literal, expected) in [
        (r#""""a \""" b""""#, "a \"\"\" b"),
        (r#""""\ \n""""#, r"\ \n"),
        (
            "\"\"\"\n    one\n\n  \n      two\n    \"\"\"",
            "one\n\n\n  two",
        ),
        ("\"\"\"x\n    y\r\n    z\"\"\"", "x\ny\nz"),
        (r#""\uD83D\uDE00""#, "😀"),
        (r#""\u{1F600} \u{e9}""#, "😀 é"),
        (r#""\u00e9\t\"\\\/""#, "é\t\"\\/"),
        (
            "\"# no comment, { no [ bracket\"",
            "# no comment, { no [ bracket",
        ),
    ] {
        let data = app.data(&text(literal), json!({})).await;
        assert_eq!(
            data["updateClient"]["client"]["notes"], expected,
            "{literal}"
        );
    }
    for literal in [
        r#""\uD83D""#,
        r#""\uDE00\uD83D""#,
        r#""\u{110000}""#,
        r#""\u{}""#,
        r#""\x""#,
        "\"a\nb\"",
        "\"\nb\"",
        "\"\rb\"",
        "\"a",
        "'a'",
    ] {
        assert_invalid(&app, &text(literal), json!({})).await;
    }
}

#[rstest]
#[tokio::test]
async fn what_was_asked_before_changes_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = app_with_client(engine).await;
    // The document is valid for no value at all.
    let query = "query ($a: ClientFilter) { clientLocations(filter: $a) { totalCount } }";
    for variables in [
        json!({}),
        json!({ "a": { "accountCode": "x" } }),
        json!({ "a": null }),
    ] {
        assert_invalid(&app, query, variables).await;
    }
    let query = "query ($a: Boolean = true) { client(id: 1) { id name @include(if: $a) } }";
    let all = json!({ "client": { "id": "1", "name": "Acme" } });
    let some = json!({ "client": { "id": "1" } });
    for _ in 0..2 {
        assert_eq!(app.data(query, json!({})).await, all);
        assert_eq!(app.data(query, json!({ "a": false })).await, some);
        let answer = app.graphql(query, json!({ "a": null })).await;
        assert_eq!(faults(&answer), ["a"]);
        assert_eq!(answer.get("data"), None);
        assert_eq!(app.data(query, json!({ "a": true })).await, all);
    }
}

#[rstest]
#[tokio::test]
async fn variables_stand_where_their_type_is_allowed(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = app_with_client(engine).await;
    for query in [
        "query ($v: Int!) { client(id: $v) { id } }",
        "query ($v: ID) { client(id: $v) { id } }",
        "query ($v: String) { client(id: $v) { id } }",
        "query ($v: String) { clients(orderBy: { field: $v }) { totalCount } }",
        "query ($v: String) { clients(filter: { createdFrom: $v }) { totalCount } }",
        "query ($v: DateTime) { clients(filter: { name: $v }) { totalCount } }",
        "query ($v: Int) { clients(filter: { id: $v }) { totalCount } }",
        "query ($v: String!) { client(id: 1) { id @include(if: $v) } }",
        "query ($v: Boolean) { client(id: 1) { id @skip(if: $v) } }",
        "query ($v: [ClientFilter]) { clients(filter: $v) { totalCount } }",
        "query ($v: Client) { clients(filter: $v) { totalCount } }",
        "query ($v: Int = \"1\") { clients(first: $v) { totalCount } }",
        "query ($v: Int! = null) { clients(first: $v) { totalCount } }",
    ] {
        assert_invalid(&app, query, json!({ "v": null })).await;
        assert_invalid(&app, query, json!({})).await;
    }
    // A default makes a nullable variable fit.
    let query = "query ($v: ID = 1) { client(id: $v) { id } }";
    let expected = json!({ "client": { "id": "1" } });
    assert_eq!(app.data(query, json!({})).await, expected);
    assert_eq!(app.data(query, json!({ "v": "1" })).await, expected);
    let answer = app.graphql(query, json!({ "v": null })).await;
    assert_eq!(faults(&answer), ["id"]);
}

#[rstest]
#[tokio::test]
async fn each_operation_has_its_own_variables(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = app_with_client(engine).await;
    let document = "query a($x: String) { clients(filter: { name: $x }) { totalCount } }
                    query b($x: Int) { clients(first: $x) { totalCount } }";
    for (operation, value) in [("a", json!("acme")), ("b", json!(1)), ("a", Value::Null)] {
        let variables = json!({ "x": value });
        let body = json!({ "query": document, "operationName": operation, "variables": variables });
        let answer = app.post("/graphql", body).await.json();
        assert_eq!(
            answer,
            json!({ "data": { "clients": { "totalCount": 1 } } })
        );
    }
    let body = json!({ "query": document, "operationName": "b", "variables": { "x": "acme" } });
    assert_eq!(faults(&app.post("/graphql", body).await.json()), ["first"]);
    // No name is no name.
    let body = json!({ "query": "{ __typename }", "operationName": "" });
    let answer = app.post("/graphql", body).await.json();
    assert_eq!(answer, json!({ "data": { "__typename": "Query" } }));
}

#[rstest]
#[tokio::test]
async fn the_grammar_holds_everywhere(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = app_with_client(engine).await;
    for query in [
        "query ($a: Boolean!) { __typename @include(if: $a) }",
        "{ client(id: 1) { ... on # a comment\n Client { id } ... @include(if: true) { id } } }",
        "\"What it does\" query ($a: Boolean!) { __typename @include(if: $a) }",
        "\"\"\"\nLong\n\"\"\" query q(\"the \\\" one\" $a: Boolean! \"\"\"the other\"\"\" $b: String = \"x\" \"third\" $c: ID) {
           client(id: 1) { id @skip(if: $a) } clients(filter: { name: $b, id: $c }) { totalCount } }
         \"a fragment\" fragment f on Client { id }"
            .split("\"a fragment\"")
            .next()
            .unwrap(),
        "\"d\" query { client(id: 1) { ...f } } \"d\" fragment f on Client { id }",
        "\u{feff}{ __typename }",
        "{ __typename, } # the end",
        "query query { type: __typename }",
    ] {
        let answer = app.graphql(query, json!({ "a": true })).await;
        assert_eq!(answer.get("errors"), None, "{query} {answer:#}");
    }
    for query in [
        "{ __typename @foo }",
        "{ __typename(a: 1) }",
        "{ __typename { x } }",
        "query ($a: Int @foo) { clients(first: $a) { totalCount } }",
        "query @foo { __typename }",
        "{ clients(orderBy: { field: \"NAME\" }) { totalCount } }",
        "{ clients(orderBy: { field: name }) { totalCount } }",
        "queryX { __typename }",
        "query Q() { __typename }",
        "{ client(id: 1) { ...on } } fragment on on Client { id }",
        "{ client() { id } }",
        "{ __typename } { __typename }",
        "query a { __typename } query a { __typename }",
        "\"described\" { __typename }",
        "{ \"described\" __typename }",
        "{ client(id: 1) { id @include(if: true) @include(if: true) } }",
        "{ clients(first: 1.0) { totalCount } }",
        "{ clients(first: 1e0) { totalCount } }",
        "{ clients(first: 01) { totalCount } }",
        "{ clients(first: 2147483648) { totalCount } }",
        "{ clients(filter: { name: x }) { totalCount } }",
        "# nothing",
        "fragment f on Client { id }",
    ] {
        assert_invalid(&app, query, json!({ "a": 1 })).await;
    }
}

#[rstest]
#[tokio::test]
async fn fields_that_conflict_are_found_wherever_they_meet(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = app_with_client(engine).await;
    for query in [
        "{ client(id: 1) { primaryLocation { a: city } primaryLocation { a: zip } } }",
        "{ client(id: 1) { id } client(id: 1) @skip(if: true) { id: name } }",
        "{ client(id: 1) { a: id a: name @skip(if: true) } }",
        "query a { client(id: 1) { id } } query b { client(id: 1) { x: id x: name } }",
        "{ client(id: 1) { ...f } client(id: 1) { ...g } }
         fragment f on Client { x: name } fragment g on Client { x: notes }",
        "{ a: clients(first: 1) { totalCount } a: clients(first: 2) { totalCount } }",
    ] {
        let body =
            json!({ "query": query, "operationName": query.starts_with("query").then_some("a") });
        let answer = app.post("/graphql", body).await.json();
        assert_eq!(codes(&answer)[0], "GRAPHQL_VALIDATION_FAILED", "{query}");
    }
}

#[rstest]
#[tokio::test]
async fn whole_numbers_of_json_are_whole(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = app_with_client(engine).await;
    let query = "query ($first: Int, $id: ID!, $filter: ClientFilter) {
        client(id: $id) { id } clients(first: $first, filter: $filter) { nodes { id } } }";
    let expected = json!({ "client": { "id": "1" }, "clients": { "nodes": [{ "id": "1" }] } });
    // As text: the digits count.
    for variables in [
        r#"{"first":1.0,"id":1.0,"filter":{"id":1e0}}"#,
        r#"{"first":1e0,"id":"1","filter":{"id":10e-1}}"#,
        r#"{"first":1,"id":1}"#,
    ] {
        let query = serde_json::to_string(query).unwrap();
        let body = format!(r#"{{"query":{query},"variables":{variables}}}"#);
        let call = app.call(Method::POST, "/graphql");
        let answer = call
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await;
        assert_eq!(answer.json(), json!({ "data": expected }), "{variables}");
    }
    for (variables, path) in [
        (json!({ "first": 1.5, "id": 1 }), "first"),
        (json!({ "first": true, "id": 1 }), "first"),
        (json!({ "first": "1", "id": 1 }), "first"),
        (json!({ "first": 2_147_483_648_u64, "id": 1 }), "first"),
        (json!({ "id": 1.5 }), "id"),
        (json!({ "id": 1e300 }), "id"),
        (json!({ "id": [1, 2] }), "id"),
    ] {
        let answer = app.graphql(query, variables.clone()).await;
        assert_eq!(faults(&answer)[0], path, "{variables}");
    }
}

#[rstest]
#[tokio::test]
async fn faults_of_variables_are_told_all_at_once_with_their_paths(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = app_with_client(engine).await;
    let create = "mutation ($data: CreateClientInput!, $direction: OrderDirection) {
        createClient(input: $data) { client {
          history(direction: $direction) { nodes { id } } } } }";
    let location = json!({ "name": 5, "country": "US", "zip": true, "cty": "x" });
    let data = json!({ "nam": "x", "notes": [], "primaryLocation": location });
    let variables = json!({ "data": data, "direction": "UP" });
    let answer = app.graphql(create, variables).await;
    assert_eq!(answer.get("data"), None);
    insta::assert_json_snapshot!("all_faults_of_variables", answer);

    // A variable inside an input stands at its place in it.
    let nested = "mutation ($name: String!, $state: String!) { createClient(input: {
        name: $name, primaryLocation: { name: \"a\", country: \"US\", state: $state } }) {
          client { id } } }";
    let answer = app.graphql(nested, json!({ "name": 1 })).await;
    assert_eq!(
        faults(&answer),
        ["input.name", "input.primaryLocation.state"]
    );

    // What no scalar of ours takes is told likewise, in the document and in variables.
    let query =
        "query ($to: DateTime) { clients(filter: { createdFrom: \"junk\", createdTo: $to }) {
        totalCount } }";
    let answer = app.graphql(query, json!({})).await;
    assert_eq!(faults(&answer), ["filter.createdFrom"]);
    let query = "query ($to: DateTime, $zip: DateTime = \"junk\") { clients(filter: {
        createdTo: $to, updatedTo: $zip }) { totalCount } }";
    let answer = app.graphql(query, json!({})).await;
    assert_eq!(faults(&answer), ["zip"]);
    let query = "query ($to: DateTime) { clients(filter: { createdTo: $to }) { totalCount } }";
    let answer = app.graphql(query, json!({ "to": 5 })).await;
    assert_eq!(faults(&answer), ["filter.createdTo"]);
    assert_eq!(app.counts().await, [1, 1]);

    let many: serde_json::Map<_, _> = (0..5_000)
        .map(|number| (format!("unknown{number}"), json!(1)))
        .collect();
    let query = "query ($f: ClientFilter) { clients(filter: $f) { totalCount } }";
    let answer = app.graphql(query, json!({ "f": many })).await;
    let told = faults(&answer);
    assert_eq!(told.len(), 41);
    let last = &answer["errors"][0]["extensions"]["fields"][40]["message"];
    assert_eq!(last, "have 4960 more faults, which are not listed");
    assert!(answer.to_string().len() <= 8 * 1024);
}

#[rstest]
#[tokio::test]
async fn errors_name_what_was_perhaps_meant(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(true, false)] introspection: bool,
) {
    let settings = clientele::config::Settings {
        introspection,
        ..clientele::config::Settings::default()
    };
    let app = TestApp::builder(engine).settings(settings).start().await;
    for (query, variables, name) in [
        ("{ client(id: 1) { nmae } }", json!({}), "name"),
        ("{ clients(frist: 1) { totalCount } }", json!({}), "first"),
        (
            "{ clients(filter: { nmae: \"x\" }) { totalCount } }",
            json!({}),
            "name",
        ),
        (
            "{ clients(orderBy: { field: NAM }) { totalCount } }",
            json!({}),
            "NAME",
        ),
        (
            "{ ...f } fragment f on Qery { __typename }",
            json!({}),
            "Query",
        ),
        (
            "query ($f: ClientFiltr) { clients(filter: $f) { totalCount } }",
            json!({}),
            "ClientFilter",
        ),
        ("{ __typename @skp(if: true) }", json!({}), "skip"),
        (
            "query ($f: ClientFilter) { clients(filter: $f) { totalCount } }",
            json!({ "f": { "nmae": "x" } }),
            "name",
        ),
        (
            "query ($f: OrderField) { clients(orderBy: { field: $f }) { totalCount } }",
            json!({ "f": "NAM" }),
            "NAME",
        ),
    ] {
        let answer = app.graphql(query, variables).await;
        let text = messages(&answer).join(" ");
        let is_suggested = text.contains("Did you mean") && text.contains(name);
        assert_eq!(is_suggested, introspection, "{text}");
    }
    let answer = app
        .graphql("{ __schema { types { name } } }", json!({}))
        .await;
    assert_eq!(answer.get("errors").is_none(), introspection, "{answer}");
    let answer = app
        .graphql(
            "{ ...f } fragment f on Query { __type(name: \"Client\") { name } }",
            json!({}),
        )
        .await;
    assert_eq!(answer.get("errors").is_none(), introspection, "{answer}");
}

#[rstest]
#[tokio::test]
async fn errors_of_documents_are_told_once_where_they_are(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = app_with_client(engine).await;
    for (query, message, line, column) in [
        (
            "subscription { x }",
            "The schema has no \"subscription\" root type defined.",
            1,
            1,
        ),
        (
            "{ client { id } }",
            "Field \"client\" argument \"id\" of type \"ID!\" is required, but it was not provided.",
            1,
            3,
        ),
        (
            "\"ü\"\nquery {\r\n  client(id: 1) { \"x\" }\r}",
            "Syntax error: expected at least one Selection in Selection Set.",
            3,
            19,
        ),
        (
            "{ # ü\r  a: client(id: \"😀\") { none } }",
            "Cannot query field \"none\" on type \"Client\".",
            2,
            24,
        ),
    ] {
        let answer = app.graphql(query, json!({})).await;
        assert_eq!(messages(&answer), [message], "{query}");
        let place = &answer["errors"][0]["locations"][0];
        assert_eq!(place, &json!({ "line": line, "column": column }), "{query}");
    }
}

#[rstest]
#[tokio::test]
async fn what_the_compiler_does_not_check_is_checked(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = app_with_client(engine).await;
    for query in [
        // A name without a value.
        "{ clients(filter: { name }) { totalCount } }",
        "{ clients(first) { totalCount } }",
        "{ clients(first filter: { name: \"x\" }) { totalCount } }",
        "mutation { updateClient(id: 1, input: { notes }) { client { id } } }",
        // A variable inside an input.
        "query ($v: String) { clients(filter: { id: $v }) { totalCount } }",
        "query ($v: [String]) { clients(filter: { name: $v }) { totalCount } }",
        "mutation ($v: String) { createClient(input: { name: $v, primaryLocation: {
           name: \"a\", state: \"CO\", country: \"US\" } }) { client { id } } }",
        "query ($v: Int) { ...f } fragment f on Query { clients(filter: { name: $v }) { totalCount } }",
        // A default of null is none.
        "query ($v: ID = null) { client(id: $v) { id } }",
        "query ($v: Boolean = null) { client(id: 1) { id @include(if: $v) } }",
        "query ($v: String = null) { __type(name: $v) { name } }",
        // A field twice, wherever.
        "{ clients(filter: { id: 1, id: 2 }) { totalCount } }",
        "{ a: client(id: 1) { id } clients(filter: { id: 1, id: 1 }) @skip(if: true) { totalCount } }",
        "query ($f: ClientFilter = { id: 1, id: 2 }) { clients(filter: $f) { totalCount } }",
        // A string that describes nothing.
        "query \"x\" Q { __typename }",
        "{ ...F } fragment \"x\" F on Query { __typename }",
        "{ ...F } fragment F \"x\" on Query { __typename }",
        "{ ...F } fragment F on \"x\" Query { __typename }",
        "{ __typename } \"x\"",
    ] {
        assert_invalid(&app, query, json!({ "v": 1 })).await;
        assert_invalid(&app, query, json!({ "v": "x" })).await;
    }
    // Values that no scalar of ours takes, wherever they stand.
    for (query, path) in [
        (
            "{ clients(filter: { createdFrom: [\"x\"] }) { totalCount } }",
            "filter.createdFrom",
        ),
        (
            "{ clients(filter: { createdFrom: { a: 1 } }) { totalCount } }",
            "filter.createdFrom",
        ),
        (
            "{ __typename clients(filter: { createdTo: 5 }) @skip(if: true) { totalCount } }",
            "filter.createdTo",
        ),
        (
            "query a { __typename } query b { clients(filter: { createdTo: 5 }) { totalCount } }",
            "filter.createdTo",
        ),
        (
            "query ($f: ClientFilter = { createdTo: 5 }) { clients(filter: $f) { totalCount } }",
            "f.createdTo",
        ),
        (
            "query ($v: ID = 99999999999999999999) { client(id: $v) { id } }",
            "v",
        ),
        ("{ client(id: 99999999999999999999) { id } }", "id"),
        (
            "query ($v: DateTime) { clients(filter: { createdFrom: [$v] }) { totalCount } }",
            "filter.createdFrom",
        ),
        (
            "query ($v: DateTime) { clients(filter: { createdFrom: { a: $v } }) { totalCount } }",
            "filter.createdFrom",
        ),
    ] {
        let name = query.starts_with("query a").then_some("a");
        let body = json!({ "query": query, "operationName": name });
        let answer = app.post("/graphql", body).await.json();
        assert_eq!(faults(&answer), [path], "{query}");
        assert_eq!(answer.get("data"), None, "{query}");
        assert_ne!(
            answer["errors"][0]["locations"][0]["line"],
            Value::Null,
            "{query}"
        );
    }
    // Digits that no number has.
    let long = "9".repeat(400);
    let query = format!("{{ clients(filter: {{ id: {long} }}) {{ totalCount }} }}");
    assert_eq!(faults(&app.graphql(&query, json!({})).await), ["filter.id"]);
    // Many faults are told in short.
    let one = "clients(filter: { createdFrom: 1, createdTo: 1, updatedFrom: 1 }) { totalCount } ";
    let query = format!("{{ {} }}", one.repeat(200));
    let answer = app.graphql(&query, json!({})).await;
    assert!(answer.to_string().len() <= 8 * 1024, "{answer}");
    let name = "v".repeat(1_500);
    let many_variables = many(20, &format!("${name}#: Boolean! "));
    let uses = many(20, &format!("__typename @include(if: ${name}#) "));
    let answer = app
        .graphql(&format!("query ({many_variables}) {{ {uses} }}"), json!({}))
        .await;
    assert_eq!(faults(&answer).len(), 20);
    assert!(answer.to_string().len() <= 8 * 1024);
    // Minus nothing is nothing.
    let query = "query ($n: Int = -0) { a: clients(first: $n) { nodes { id } }
        b: clients(first: -0) { nodes { id } } client(id: -0) { id } }";
    let none = json!({ "nodes": [] });
    let data = app.data(query, json!({})).await;
    assert_eq!(data, json!({ "a": none, "b": none, "client": null }));
    let query = "{ __type(name: \"Client\") { fields(includeDeprecated: null) { name } } }";
    assert_invalid(&app, query, json!({})).await;
    // What one operation uses is nothing to another.
    let document = "query A($a: String) { clients(filter: { name: $a }) { totalCount } }
        query B($a: Boolean!) { client(id: 1) { ...F } } fragment F on Client { name @include(if: $a) }";
    for variables in [json!({}), json!({ "a": null })] {
        let body = json!({ "query": document, "operationName": "A", "variables": variables });
        let answer = app.post("/graphql", body).await.json();
        assert_eq!(
            answer,
            json!({ "data": { "clients": { "totalCount": 1 } } })
        );
    }
}

#[rstest]
#[tokio::test]
async fn no_fault_is_told_for_another(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let app = app_with_client(engine).await;
    for (query, expected) in [
        (
            "{ client(id: null) { id } }",
            vec!["ID cannot represent value: null."],
        ),
        (
            "{ client { locations(first: null, after: 5) { totalCount } } }",
            vec![
                "Field \"client\" argument \"id\" of type \"ID!\" is required, but it was not provided.",
                "String cannot represent value: 5.",
            ],
        ),
        (
            "query A { ...F } query B { ...F } fragment F on Query { client { id } }",
            vec![
                "Field \"client\" argument \"id\" of type \"ID!\" is required, but it was not provided.",
            ],
        ),
        (
            "query ($id: ID!) { clent(id: $id) { id } }",
            vec!["Cannot query field \"clent\" on type \"Query\". Did you mean \"client\"?"],
        ),
        (
            "{ ...f } fragment f on Qery { __typename }",
            vec!["Unknown type \"Qery\". Did you mean \"Query\"?"],
        ),
        (
            "{ __typename @include(fi: true, if: true) }",
            vec!["Unknown argument \"fi\" on directive \"@include\". Did you mean \"if\"?"],
        ),
    ] {
        let answer = app.graphql(query, json!({})).await;
        assert_eq!(messages(&answer), expected, "{query}");
    }
    let many = format!("{{ client(id: 1) {{ {} }} }}", "a b c d e f ".repeat(4));
    let answer = app.graphql(&many, json!({})).await;
    assert_eq!(messages(&answer).len(), 10);
    assert_eq!(messages(&answer)[9], "15 more faults are not listed.");
}
