//! The gateway's memory over time, under a load of everything at once.

use std::{
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{
    agree::check_gateway,
    compare::GATEWAY,
    facts::Facts,
    load::{Load, Running},
    options::Options,
    postgres::Postgres,
    record::{MemoryRecord, Records},
    report::{judged, mebibytes},
    say,
    store::{Store, gateway_program},
    template,
    workload::{self, RestPages, Target},
};

/// At the most, the last minute relative to the first.
const GOAL: f64 = 1.2;
/// At the most, in MiB.
const GOAL_MIB: f64 = 80.0;

/// Watches the memory for `minutes` and prints it.
///
/// # Errors
/// If something does not start, or fails.
pub fn run(options: &Options, minutes: u32, folder: &Path) -> Result<Records> {
    let postgres = Postgres::new(options);
    let program = gateway_program(options)?;
    let store = Store::create(
        options.engine,
        &postgres,
        &program,
        folder,
        "memory",
        options.clients,
    )?;
    let gateway = store.serve(&program, folder)?;
    let deep = options.clients / 50;
    let facts = Facts::of(&gateway.address, options.clients, 40, (deep - 1) * 50)?;
    let deep_pages = RestPages { per_page: 50, deep };
    let workloads = workload::wanted(options, workload::all(&facts, deep_pages))?;
    check_gateway(&gateway.address, &workloads, &facts, 0)?;

    let requests: Vec<_> = workloads
        .iter()
        .map(|workload| workload.request(Target::Gateway, &facts))
        .collect();
    let script = template::lua(&requests, &facts.choices(), &gateway.address, 1);
    let minute: u32 = if options.smoke { 2 } else { 60 };
    let load = Load {
        host: &gateway.address.host,
        script: &script,
        connections: options.connections,
        // Memory is read while the load is on.
        seconds: minutes * minute + 1,
    };
    say(&format!("a mixed load for {minutes} minutes"));
    let start = Instant::now();
    let load = Running::start(load, folder)?;
    let mut records = Records::default();
    for passed in 1..=minutes {
        let until = start + Duration::from_secs(u64::from(passed * minute));
        sleep(until.saturating_duration_since(Instant::now()));
        let resident_kib = gateway.resident_kib()?;
        println!("after {passed} min: {:.1} MiB", mebibytes(resident_kib));
        records.memory.push(MemoryRecord {
            target: GATEWAY,
            minute: Some(passed),
            resident_kib,
        });
    }
    let seen = load.finish()?;
    check_gateway(&gateway.address, &workloads, &facts, 1)?;

    let size = |record: Option<&MemoryRecord>| record.map(|record| mebibytes(record.resident_kib));
    let first = size(records.memory.first()).context("there was no minute")?;
    let last = size(records.memory.last()).context("there was no minute")?;
    let ratio = last / first;
    println!(
        "{} requests over {} connections; last / first minute: {ratio:.2} (goal: at most {GOAL}{}), \
         last: {last:.1} MiB (goal: under {GOAL_MIB}{})",
        seen.requests,
        options.connections,
        judged(options, ratio <= GOAL),
        judged(options, last < GOAL_MIB)
    );
    Ok(records)
}
