//! Introspection: what GraphiQL and code generators send.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Engine, TestApp};

/// The query of graphql-js (`getIntrospectionQuery`) with the options given.
fn introspection_query(one_of: bool, input_deprecation: bool) -> String {
    let input_deprecated = if input_deprecation {
        "(includeDeprecated: true)"
    } else {
        ""
    };
    let deprecation = if input_deprecation {
        "isDeprecated deprecationReason"
    } else {
        ""
    };
    let is_one_of = if one_of { "isOneOf" } else { "" };
    format!(
        "query IntrospectionQuery {{
          __schema {{
            description
            queryType {{ name kind }}
            mutationType {{ name kind }}
            subscriptionType {{ name kind }}
            types {{ ...FullType }}
            directives {{
              name
              description
              isRepeatable
              locations
              args{input_deprecated} {{ ...InputValue }}
            }}
          }}
        }}
        fragment FullType on __Type {{
          kind
          name
          description
          specifiedByURL
          {is_one_of}
          fields(includeDeprecated: true) {{
            name
            description
            args{input_deprecated} {{ ...InputValue }}
            type {{ ...TypeRef }}
            isDeprecated
            deprecationReason
          }}
          inputFields{input_deprecated} {{ ...InputValue }}
          interfaces {{ ...TypeRef }}
          enumValues(includeDeprecated: true) {{
            name
            description
            isDeprecated
            deprecationReason
          }}
          possibleTypes {{ ...TypeRef }}
        }}
        fragment InputValue on __InputValue {{
          name
          description
          type {{ ...TypeRef }}
          defaultValue
          {deprecation}
        }}
        fragment TypeRef on __Type {{
          kind
          name
          ofType {{ kind name ofType {{ kind name ofType {{ kind name ofType {{ kind name
            ofType {{ kind name ofType {{ kind name ofType {{ kind name ofType {{ kind name
            ofType {{ kind name }} }} }} }} }} }} }} }} }}
        }}"
    )
}

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let mut items = list.as_array().unwrap().iter();
    items
        .find(|item| item["name"] == name)
        .unwrap_or_else(|| panic!("no {name}"))
}

#[rstest]
#[tokio::test]
async fn the_query_of_graphiql_is_answered(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(false, true)] one_of: bool,
    #[values(false, true)] input_deprecation: bool,
) {
    let app = TestApp::start(engine).await;
    let query = introspection_query(one_of, input_deprecation);
    let data = app.data(&query, json!({})).await;
    let schema = &data["__schema"];
    assert_eq!(
        schema["queryType"],
        json!({ "name": "Query", "kind": "OBJECT" })
    );
    assert_eq!(
        schema["mutationType"],
        json!({ "name": "Mutation", "kind": "OBJECT" })
    );

    let client = named(&schema["types"], "Client");
    let name = named(&client["fields"], "name");
    assert_eq!(name["type"]["kind"], "NON_NULL");
    assert_eq!(name["type"]["ofType"]["name"], "String");
    let order = named(&schema["types"], "ClientOrder");
    assert_eq!(named(&order["inputFields"], "field")["defaultValue"], "ID");
    let instant = named(&schema["types"], "DateTime");
    assert_eq!(
        instant["specifiedByURL"],
        "https://www.rfc-editor.org/rfc/rfc3339"
    );
    let queries = &named(&schema["types"], "Query")["fields"];
    let names: Vec<_> = queries
        .as_array()
        .unwrap()
        .iter()
        .map(|field| &field["name"])
        .collect();
    assert_eq!(
        names,
        [
            "client",
            "clients",
            "clientLocation",
            "clientLocations",
            "changes",
            "logBeginning"
        ]
    );
}

#[rstest]
#[tokio::test]
async fn types_are_described_one_by_one(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let query = r#"{
        order: __type(name: "OrderField") { kind enumValues { name } }
        none: __type(name: "None") { name }
        client(id: 1) { __typename }
        __typename
      }"#;
    let value = |name| json!({ "name": name });
    let order = ["ID", "NAME", "CREATED_AT", "UPDATED_AT"].map(value);
    let data = app.data(query, json!({})).await;
    let expected = json!({ "order": { "kind": "ENUM", "enumValues": order }, "none": null,
        "client": null, "__typename": "Query" });
    assert_eq!(data, expected);
}
