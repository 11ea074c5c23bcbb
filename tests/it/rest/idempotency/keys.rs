//! Which keys there are, and whose they are.

use axum::{
    body::Body,
    http::{
        HeaderValue, Method, Request, StatusCode,
        header::{
            ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, ORIGIN,
        },
    },
};
use clientele::config::Settings;
use rstest::rstest;

use super::{
    super::{CLIENTS, refused_for},
    KEY, assert_created, assert_replays, client, clients_and_keys, post,
};
use crate::support::{Answer, Engine, TestApp, USER};

/// Sends a body with these key headers, whatever is in them.
async fn post_with(app: &TestApp, keys: &[&[u8]]) -> Answer {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(CLIENTS)
        .header(AUTHORIZATION, format!("Bearer {}", app.token));
    for key in keys {
        request = request.header(KEY, HeaderValue::from_bytes(key).unwrap());
    }
    let body = Body::from(client("Birch").to_string());
    app.request(request.body(body).unwrap()).await
}

#[rstest]
#[tokio::test]
async fn a_key_is_1_to_255_visible_characters(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let (longest, too_long) = ("x".repeat(255), "x".repeat(256));
    let quoted = format!("\"{too_long}\"");
    for wrong in [
        "",
        &too_long,
        &quoted,
        "a b",
        "a\tb",
        "schlüssel",
        "\"",
        "\"\"",
        "\"a",
        "\"a b\"",
        "\"a\"b\"",
        "\"a\\b\"",
        "\"a\\\"",
        "\"a\";p=1",
        "\"a\", \"b\"",
    ] {
        let answer = post_with(&app, &[wrong.as_bytes()]).await;
        let problem = refused_for(wrong, &answer, StatusCode::BAD_REQUEST);
        let detail = problem["detail"].as_str().unwrap();
        let start = "The header 'Idempotency-Key' is malformed: send 1 to 255 visible ASCII";
        assert!(detail.starts_with(start), "{detail}");
    }
    for twice in [[b"a", b"b"], [b"a", b"a"]] {
        let answer = post_with(&app, &[twice[0], twice[1]]).await;
        let problem = refused_for("two keys", &answer, StatusCode::BAD_REQUEST);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("is there twice"), "{detail}");
    }
    assert_eq!(clients_and_keys(&app).await, [0, 0]);
    for right in ["x", &longest, "a,b", "!#'~", "a\"b"] {
        assert_created(&post_with(&app, &[right.as_bytes()]).await);
    }
    assert_eq!(clients_and_keys(&app).await, [5, 5]);
}

/// The draft has keys in quotes.
#[rstest]
#[tokio::test]
async fn a_key_in_quotes_is_the_same_key(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    for (quoted, bare) in [
        (
            "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"",
            "8e03978e-40d5-43dd-bc93-6894a57f9324",
        ),
        (r#""a\"b\\c""#, r#"a"b\c"#),
    ] {
        let first = post(&app, quoted, &client("Birch")).await;
        assert_created(&first);
        assert_replays(&first, &post(&app, bare, &client("Birch")).await);
    }
    let upper = post(
        &app,
        "8E03978E-40D5-43DD-BC93-6894A57F9324",
        &client("Birch"),
    )
    .await;
    assert_created(&upper);
}

#[tokio::test]
async fn web_pages_may_send_keys_and_see_replays() {
    let origin = "https://app.example.com";
    let settings = Settings {
        allow_origin: vec![vec![HeaderValue::from_static(origin)]],
        ..Settings::default()
    };
    let app = TestApp::builder(Engine::Sqlite).settings(settings);
    let app = app.start().await;
    let call = || app.call(Method::OPTIONS, CLIENTS).header(ORIGIN, origin);
    let asked = call().header(ACCESS_CONTROL_REQUEST_METHOD, "POST");
    let allowed = asked.header(ACCESS_CONTROL_REQUEST_HEADERS, KEY).send();
    let allowed = allowed.await;
    let allowed = allowed.header("access-control-allow-headers").unwrap();
    assert!(allowed.split(',').any(|name| name == KEY), "{allowed}");

    let sent = app.call(Method::POST, CLIENTS).header(ORIGIN, origin);
    let sent = sent.header(KEY, "a").json(&client("Birch")).send().await;
    assert_created(&sent);
    let exposed = sent.header("access-control-expose-headers").unwrap();
    let replayed = "idempotency-replayed";
    assert!(exposed.split(',').any(|name| name == replayed), "{exposed}");
}

#[rstest]
#[tokio::test]
async fn each_token_has_keys_of_its_own(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let app = TestApp::start(engine).await;
    let other = app.token_of(USER).await;
    let first = post(&app, "a", &client("Birch")).await;
    assert_created(&first);
    let of_other = async |name| {
        let call = app.call(Method::POST, CLIENTS).header(KEY, "a");
        call.bearer(&other).json(&client(name)).send().await
    };
    let second = of_other("Larch").await;
    assert_created(&second);
    assert_replays(&second, &of_other("Larch").await);
    assert_replays(&first, &post(&app, "a", &client("Birch")).await);
    assert_eq!(clients_and_keys(&app).await, [2, 2]);
}
