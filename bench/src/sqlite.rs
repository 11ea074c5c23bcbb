//! The gateway on SQLite: many writers, and readers beside them.

use std::{path::Path, thread::sleep, time::Duration};

use anyhow::{Context, Result};

use crate::{
    agree::check_gateway,
    facts::Facts,
    load::{Load, Measured, Running, measure},
    options::{Engine, Options},
    postgres::Postgres,
    process::Counted,
    record::{Record, Records},
    report::{MICROSECONDS, judged, new_table, show},
    say,
    store::{Store, gateway_program},
    template,
    workload::{self, RestPages, Target, Workload},
};

/// Connections of those who write at once.
const WRITERS: u32 = 16;
/// How many seconds the writers begin before the reader and go on after it.
const MARGIN: u32 = 1;
/// The name of reads with nobody writing in records.
const ALONE: &str = "alone";
/// The name of reads beside the writers.
const BESIDE: &str = "beside";
/// The name of creates in records.
const CREATES: &str = "creates";

/// Measures creates and reads, and prints them.
///
/// # Errors
/// If something does not start, or fails.
pub fn run(options: &Options, folder: &Path) -> Result<Records> {
    let postgres = Postgres::new(options);
    let program = gateway_program(options)?;
    let store = Store::create(
        Engine::Sqlite,
        &postgres,
        &program,
        folder,
        "sqlite",
        options.clients,
    )?;
    let gateway = store.serve(&program, folder)?;
    let facts = Facts::of(&gateway.address, options.clients, 40, options.clients / 2)?;
    let deep_pages = RestPages {
        per_page: 50,
        deep: 1,
    };
    let workloads = workload::all(&facts, deep_pages);
    check_gateway(&gateway.address, &workloads, &facts, 0)?;
    let script = |name: &str, seed| {
        let workload = find(&workloads, name)?;
        let request = workload.request(Target::Gateway, &facts);
        let choices = facts.choices();
        anyhow::Ok(template::lua(&[request], &choices, &gateway.address, seed))
    };

    let mut records = Records::default();
    for round in 0..options.rounds {
        say(&format!("round {} of {}", round + 1, options.rounds));
        let creates = script("M1", 2 * round)?;
        let reads = script("Q1", 2 * round + 1)?;
        let load = |script, connections| Load {
            host: &gateway.address.host,
            script,
            connections,
            seconds: options.seconds,
        };
        let run = |load| measure(load, folder, Counted::Process(gateway.pid()), None);
        let mut keep = |workload, target, connections, measured| {
            records.loads.push(Record {
                workload,
                target,
                round,
                connections,
                measured,
            });
        };
        for connections in [1, WRITERS] {
            let measured = run(load(&creates, connections))?;
            keep("M1", CREATES, connections, measured);
        }
        keep("Q1", ALONE, 1, run(load(&reads, 1))?);
        let writers = Load {
            seconds: options.seconds + 2 * MARGIN,
            ..load(&creates, WRITERS)
        };
        let writers = Running::start(writers, folder)?;
        sleep(Duration::from_secs(MARGIN.into()));
        keep("Q1", BESIDE, 1, run(load(&reads, 1))?);
        writers.finish()?;
    }
    check_gateway(&gateway.address, &workloads, &facts, 1)?;
    print(&records, options);
    Ok(records)
}

fn find<'a>(workloads: &'a [Workload], name: &str) -> Result<&'a Workload> {
    let mut workloads = workloads.iter();
    workloads
        .find(|workload| workload.name == name)
        .with_context(|| format!("there is no workload {name}"))
}

fn print(records: &Records, options: &Options) {
    let per_second = |measured: &Measured| measured.seen.per_second();
    let p50 = |measured: &Measured| measured.seen.p50_us / MICROSECONDS;
    let p99 = |measured: &Measured| measured.seen.p99_us / MICROSECONDS;
    let mut table = new_table(&["", "req/s", "p50 ms", "p99 ms"]);
    for (what, workload, target, connections) in [
        ("creates, 1 connection", "M1", CREATES, 1),
        ("creates, 16 connections", "M1", CREATES, WRITERS),
        ("reads (Q1), 1 connection", "Q1", ALONE, 1),
        ("the same beside 16 writers", "Q1", BESIDE, 1),
    ] {
        let series = records.series(workload, connections);
        table.add_row([
            what.to_owned(),
            format!("{:.0}", series.median(target, per_second)),
            format!("{:.2}", series.median(target, p50)),
            format!("{:.2}", series.median(target, p99)),
        ]);
    }
    println!(
        "\nSQLite, {} clients, medians over {} x {} s.\n",
        options.clients, options.rounds, options.seconds
    );
    show(table, "Creates, and reads beside them", 1);

    let creates = |connections| {
        let series = records.series("M1", connections);
        series.median(CREATES, per_second)
    };
    let ratio = creates(WRITERS) / creates(1);
    println!(
        "Throughput of {WRITERS} writers / of one: {ratio:.2} (goal: at least 1{})",
        judged(options, ratio >= 1.0)
    );
    let reads = records.series("Q1", 1);
    println!(
        "Latency of reads beside writers / alone: p50 {:.2}, p99 {:.2}",
        reads.ratio(BESIDE, ALONE, p50),
        reads.ratio(BESIDE, ALONE, p99)
    );
}
