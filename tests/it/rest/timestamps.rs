//! Timestamps as parameters: every documented form, and the row that was read is
//! the row that is found.

use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use rstest::rstest;
use serde_json::json;

use super::{CLIENTS, Record, ids, read, refused_for, still};
use crate::support::{Engine, TestApp, TestClock};

/// A gateway with one client, and so one location, created at each instant; and
/// the ids of the records.
async fn created_at(engine: Engine, record: Record, instants: &[&str]) -> (TestApp, Vec<i64>) {
    let clock = TestClock::at(instants[0]);
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    let mut ids = Vec::new();
    for at in instants {
        let at: DateTime<Utc> = at.parse().unwrap();
        clock.advance(at - clock.clock().now());
        let client = app.create_client(json!({})).await;
        let id = match record {
            Record::Client => &client["id"],
            Record::Location => &client["primaryLocation"]["id"],
        };
        ids.push(id.as_str().unwrap().parse().unwrap());
    }
    (app, ids)
}

/// Instants around a second and a day.
const INSTANTS: [&str; 7] = [
    "2026-01-30T23:59:59.999Z",
    "2026-01-31T00:00:00.000Z",
    "2026-01-31T09:15:00.000Z",
    "2026-01-31T09:15:00.700Z",
    "2026-01-31T09:15:01.000Z",
    "2026-01-31T23:59:59.999Z",
    "2026-02-01T00:00:00.000Z",
];

#[rstest]
#[tokio::test]
async fn every_form_of_a_timestamp_bounds_the_list_inclusively(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let (app, all) = created_at(engine, record, &INSTANTS).await;
    // How many rows come before the first one that `_from` leaves, and how many
    // up to the last one that `_to` leaves.
    for (at, before, up_to) in [
        // A day: its start, its last instant.
        ("2026-01-31", 1, 6),
        ("2026-01-30", 0, 1),
        // Seconds, in UTC.
        ("2026-01-31%2009:15:00", 2, 4),
        ("2026-01-31+09:15:00", 2, 4),
        ("2026-01-31T09:15:00", 2, 4),
        ("2026-01-31T09:15:00Z", 2, 4),
        ("2026-01-31t09:15:00z", 2, 4),
        ("2026-01-31T23:59:59", 5, 6),
        // Offsets, also with a plus sign that was not escaped.
        ("2026-01-31T09:15:00%2B00:00", 2, 4),
        ("2026-01-31T11:15:00%2B02:00", 2, 4),
        ("2026-01-31T11:15:00+02:00", 2, 4),
        ("2026-01-31T02:15:00-07:00", 2, 4),
        ("2026-01-31T14:45:00%2B05:30", 2, 4),
        ("2026-01-30T23:59:59.999-00:00", 0, 1),
        ("2026-02-01T01:59:59.999+02:00", 5, 6),
        // Offsets as PHP, databases and Ruby write them.
        ("2026-01-31T09:15:00%2B0000", 2, 4),
        ("2026-01-31T11:15:00%2B0200", 2, 4),
        ("2026-01-31T11:15:00+0200", 2, 4),
        ("2026-01-31T02:15:00-0700", 2, 4),
        ("2026-01-31T11:15:00%2B02", 2, 4),
        ("2026-01-31T11:15:00+02", 2, 4),
        ("2026-01-31%2002:15:00-07", 2, 4),
        ("2026-01-31%2011:15:00%2B02:00", 2, 4),
        ("2026-01-31+11:15:00+02:00", 2, 4),
        ("2026-01-31%2011:15:00%20%2B0200", 2, 4),
        ("2026-01-31%2002:15:00%20-0700", 2, 4),
        ("2026-01-31%2009:15:00Z", 2, 4),
        ("2026-01-31%2009:15:00%20UTC", 2, 4),
        ("2026-01-31+09:15:00+GMT", 2, 4),
        ("2026-01-31T09:15:00.7+UTC", 3, 4),
        // Fractions of a second.
        ("2026-01-31T09:15:00,700Z", 3, 4),
        ("2026-01-31%2009:15:00,7", 3, 4),
        ("2026-01-31T09:15:00.70000000000Z", 3, 4),
        ("2026-01-31T11:15:00.700+0200", 3, 4),
        ("2026-01-31T09:15:00.700Z", 3, 4),
        ("2026-01-31T09:15:00.7Z", 3, 4),
        ("2026-01-31T09:15:00.699Z", 3, 3),
        ("2026-01-31T09:15:00.701Z", 4, 4),
        ("2026-01-31T09:15:00.000Z", 2, 3),
        ("2026-01-31T09:15:00.700000Z", 3, 4),
        ("2026-01-31T09:15:00.699999Z", 3, 3),
        ("2026-01-31T09:15:00.700001Z", 4, 4),
        ("2026-01-31T09:15:00.700000001Z", 4, 4),
        ("2026-01-31T09:15:00.699999999%2B00:00", 3, 3),
        ("2026-01-31T09:15:00.700+00:00", 3, 4),
        // Leap seconds, here one that never was, are the second that follows.
        ("2026-01-31T23:59:60Z", 6, 7),
        ("2026-01-31T23:59:60", 6, 7),
        ("2026-01-31+23:59:60", 6, 7),
        ("2026-01-31T16:59:60-07:00", 6, 7),
        // The ends of time.
        ("0000-01-01", 0, 0),
        ("0000-01-01T00:00:00Z", 0, 0),
        ("0000-02-29", 0, 0),
        ("0001-01-01", 0, 0),
        ("1969-12-31T23:59:59.999Z", 0, 0),
        ("9999-12-31", 7, 7),
        ("9999-12-31T23:59:59", 7, 7),
        ("9999-12-31T23:59:59.999Z", 7, 7),
        ("2024-02-29", 0, 0),
        ("2028-02-29", 7, 7),
    ] {
        for kind in ["created", "updated"] {
            let path = record.path();
            let list = read(&app, &format!("{path}?{kind}_from={at}")).await;
            assert_eq!(ids(&list), all[before..], "{kind}_from={at}");
            let list = read(&app, &format!("{path}?{kind}_to={at}")).await;
            assert_eq!(ids(&list), all[..up_to], "{kind}_to={at}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn what_is_no_timestamp_is_refused_and_never_ignored(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values("created_from", "created_to", "updated_from", "updated_to")] name: &str,
) {
    let app = TestApp::start(engine).await;
    for value in [
        "yesterday",
        "now",
        "0",
        "1769850900",
        "1769850900250",
        "2026",
        "2026-01",
        "2026-1-31",
        "2026-01-3",
        "26-01-31",
        "%2B206-01-31",
        "+206-01-31",
        "-206-01-31",
        "2026-+1-31",
        "2026-13-01",
        "2026-00-01",
        "2026-01-32",
        "2026-01-00",
        "2026-02-29",
        "2100-02-29",
        "10000-01-01",
        "%2B10000-01-01",
        "%2B10000-01-01T00:00:00Z",
        "%2B262142-12-31",
        "-262143-01-01",
        "-0001-12-31",
        "0000-01-01T00:00:00%2B00:01",
        "9999-12-31T23:59:59-00:01",
        "2026/01/31",
        "31.01.2026",
        "01-31-2026",
        "20260131",
        "2026-W05-6",
        "2026-031",
        "2026-01-31T",
        "2026-01-31T09",
        "2026-01-31T09:15",
        "2026-01-31T09:15Z",
        "2026-01-31T9:15:00",
        "2026-01-31T24:00:00Z",
        "2026-01-31T09:60:00Z",
        "2026-01-31T09:15:61Z",
        "2026-01-31T09:15:00%2B24:00",
        "2026-01-31T09:15:00%2B2",
        "2026-01-31T09:15:00%2B020",
        "2026-01-31T09:15:00%2B02000",
        "2026-01-31T09:15:00%2B2400",
        "2026-01-31T09:15:00%2B0260",
        "2026-01-31T09:15:00%20%20%2B02:00",
        "2026-01-31T09:15:00 CET",
        "2026-01-31T09:15:00UTC",
        "2026-01-31T09:15:00Z%2B02:00",
        "2026-01-31T09:15:00.Z",
        "2026-01-31T09:15:00,Z",
        "2026-01-31T09:15:00;250Z",
        "2026-01-31T09:15:00[America/Denver]",
        "2026-01-31%20%2009:15:00",
        "%202026-01-31",
        "2026-01-31%20",
        "%20",
        "2026-01-31%00",
        "%D9%A2026-01-31",
        "Sat, 31 Jan 2026 09:15:00 GMT",
    ] {
        let value = value.replace(' ', "%20");
        let answer = app.get(&format!("{CLIENTS}?{name}={value}")).await;
        let problem = refused_for(&value, &answer, StatusCode::BAD_REQUEST);
        let expected = format!(
            "The parameter '{name}' must be a date or time in UTC, such as 2026-01-31, \
             2026-01-31 09:15:00 or 2026-01-31T09:15:00.250Z."
        );
        assert_eq!(problem["detail"], expected, "{value}");
    }
}

#[rstest]
#[tokio::test]
async fn bounds_beyond_the_last_instant_meet_nothing_or_all(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let (app, all) = created_at(engine, Record::Client, &INSTANTS[..1]).await;
    // Finer than what is stored, and later than the last instant that can be.
    let last = "9999-12-31T23:59:59.9995Z";
    let list = read(&app, &format!("{CLIENTS}?created_from={last}")).await;
    assert_eq!(ids(&list), [] as [i64; 0]);
    let list = read(&app, &format!("{CLIENTS}?created_to={last}")).await;
    assert_eq!(ids(&list), all);
}

#[rstest]
#[tokio::test]
async fn bounds_combine_and_bounds_that_cross_leave_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let (app, all) = created_at(engine, record, &INSTANTS).await;
    for (from, to, expected) in [
        ("2026-01-31", "2026-01-31", &all[1..6]),
        ("2026-01-31 09:15:00", "2026-01-31 09:15:00", &all[2..4]),
        ("2026-01-31", "2026-01-30", &[]),
        ("2026-01-31T09:15:00.701Z", "2026-01-31T09:15:00.700Z", &[]),
        ("9999-12-31", "0000-01-01", &[]),
    ] {
        let query = format!("created_from={from}&created_to={to}").replace(' ', "+");
        let list = read(&app, &format!("{}?{query}", record.path())).await;
        assert_eq!(ids(&list), expected, "{query}");
    }
}

#[rstest]
#[tokio::test]
async fn a_timestamp_that_was_read_finds_its_row_and_no_other(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let (app, all) = created_at(engine, record, &INSTANTS).await;
    for (row, id) in read(&app, record.path())
        .await
        .as_array()
        .unwrap()
        .iter()
        .zip(all)
    {
        for kind in ["created", "updated"] {
            let at = row[format!("{kind}_at")].as_str().unwrap();
            let query = format!("{kind}_from={at}&{kind}_to={at}");
            let list = read(&app, &format!("{}?{query}", record.path())).await;
            assert_eq!(ids(&list), [id], "{query}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn a_poller_sees_every_change_once_its_clock_has_passed(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values(Record::Client, Record::Location)] record: Record,
) {
    let clock = still();
    let app = TestApp::builder(engine).clock(clock.clock()).start().await;
    let path = record.create(&app).await;
    let created = read(&app, &path).await;
    let edit = |notes: &str| record.body(json!({ "notes": notes }));

    // However the machine's clock moves, a change is later than the one before.
    let mut last = created["updated_at"].as_str().unwrap().to_owned();
    for step in [
        TimeDelta::zero(),
        -TimeDelta::hours(1),
        TimeDelta::days(400),
    ] {
        clock.advance(step);
        let updated = app.put(&path, edit(&step.to_string())).await.json();
        let at = updated["updated_at"].as_str().unwrap().to_owned();
        assert!(at > last, "{at} after {last}");
        assert_eq!(updated["created_at"], created["created_at"]);
        for (query, expected) in [
            (format!("updated_from={at}"), 1),
            (
                format!("updated_from={last}&updated_to={last}&id={}", updated["id"]),
                0,
            ),
            (format!("created_from={at}&id={}", updated["id"]), 0),
        ] {
            let list = read(&app, &format!("{}?{query}", record.path())).await;
            assert_eq!(ids(&list).len(), expected, "{query}: {list:#}");
        }
        last = at;
    }
}
