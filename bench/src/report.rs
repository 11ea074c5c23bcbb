//! Tables for people.

use comfy_table::{Cell, CellAlignment, Table, presets::ASCII_MARKDOWN};

use crate::{
    compare::{BARE, GATEWAY},
    load::{Measured, Seen},
    options::Options,
    record::{Records, Series},
    workload::Workload,
};

/// At the least, relative to the hand-written server.
const THROUGHPUT_GOAL: f64 = 0.5;
/// At the most, relative to the hand-written server.
const P99_GOAL: f64 = 2.0;
/// At the most, with one connection, relative to the hand-written server.
const LATENCY_GOAL: f64 = 2.5;
/// At the most, under the load of 32 connections, in MiB.
const MEMORY_GOAL_MIB: f64 = 80.0;

/// Prints the comparison with the hand-written server.
pub fn comparison(records: &Records, workloads: &[Workload], options: &Options) {
    println!(
        "\n{} clients, {} connections, medians over {} x {} s. \
         us is processor time for a request: server + database.\n",
        options.clients, options.connections, options.rounds, options.seconds
    );
    processor_time(records, workloads, options);
    throughput(records, workloads, options);
    if options.connections != 1 && !options.smoke {
        latency(records, workloads);
    }
    memory(records, options);
}

fn processor_time(records: &Records, workloads: &[Workload], options: &Options) {
    let mut table = new_table(&[
        "",
        "workload",
        "gateway us",
        "bare us",
        "pgbench us",
        "gateway / bare",
        "goal",
        "",
    ]);
    for workload in workloads {
        let series = records.series(workload.name, options.connections);
        let cost = |target| {
            format!(
                "{:.0} + {:.0}",
                series.median(target, |measured| measured.server_us),
                series.median(target, |measured| measured.database_us)
            )
        };
        let ratio = series.ratio(GATEWAY, BARE, Measured::total_us);
        let floor = records.floor(workload.name);
        let goal = workload.goal.filter(|_| !options.smoke);
        table.add_row([
            workload.name.to_owned(),
            workload.about.to_owned(),
            cost(GATEWAY),
            cost(BARE),
            floor.map_or_else(String::new, |floor| format!("{:.0}", floor.database_us)),
            format!("{ratio:.2}"),
            goal.map_or_else(String::new, |goal| format!("<= {goal:.1}")),
            goal.map_or_else(String::new, |goal| verdict(ratio <= goal)),
        ]);
    }
    show(table, "Processor time", 2);
}

fn throughput(records: &Records, workloads: &[Workload], options: &Options) {
    let mut table = new_table(&[
        "",
        "gateway req/s",
        "bare",
        "ratio",
        "",
        "gateway p50 ms",
        "bare",
        "ratio",
        "gateway p99 ms",
        "bare",
        "ratio",
        "",
    ]);
    for workload in workloads {
        let series = records.series(workload.name, options.connections);
        let per_second = |measured: &Measured| measured.seen.per_second();
        let rates = series.ratio(GATEWAY, BARE, per_second);
        let p99s = series.ratio(GATEWAY, BARE, |measured| measured.seen.p99_us);
        let has_goal = workload.goal.is_some() && !options.smoke;
        let judged = |met| {
            if has_goal {
                verdict(met)
            } else {
                String::new()
            }
        };
        let mut row = vec![
            workload.name.to_owned(),
            format!("{:.0}", series.median(GATEWAY, per_second)),
            format!("{:.0}", series.median(BARE, per_second)),
            format!("{rates:.2}"),
            judged(rates >= THROUGHPUT_GOAL),
        ];
        row.extend(latencies(&series, |seen| seen.p50_us));
        row.extend(latencies(&series, |seen| seen.p99_us));
        row.push(judged(p99s <= P99_GOAL));
        table.add_row(row);
    }
    show(
        table,
        &format!(
            "Throughput (goal: at least {THROUGHPUT_GOAL} of bare) and latency \
             (goal: p99 at most {P99_GOAL} times bare's), {} connections",
            options.connections
        ),
        1,
    );
}

fn latency(records: &Records, workloads: &[Workload]) {
    let mut table = new_table(&[
        "",
        "gateway p50 ms",
        "bare",
        "ratio",
        "",
        "gateway p99 ms",
        "bare",
        "ratio",
    ]);
    for workload in workloads {
        let series = records.series(workload.name, 1);
        let ratio = series.ratio(GATEWAY, BARE, |measured| measured.seen.p50_us);
        let mut row = vec![workload.name.to_owned()];
        row.extend(latencies(&series, |seen| seen.p50_us));
        row.push(match workload.goal {
            Some(_) => verdict(ratio <= LATENCY_GOAL),
            None => String::new(),
        });
        row.extend(latencies(&series, |seen| seen.p99_us));
        table.add_row(row);
    }
    show(
        table,
        &format!("Latency with one connection (goal: p50 at most {LATENCY_GOAL} times bare's)"),
        1,
    );
}

/// A latency of both servers in milliseconds, and their ratio.
fn latencies(series: &Series<'_>, figure: impl Fn(&Seen) -> f64) -> [String; 3] {
    let milliseconds =
        |target| series.median(target, |measured| figure(&measured.seen)) / MICROSECONDS;
    [
        format!("{:.2}", milliseconds(GATEWAY)),
        format!("{:.2}", milliseconds(BARE)),
        format!(
            "{:.2}",
            series.ratio(GATEWAY, BARE, |measured| figure(&measured.seen))
        ),
    ]
}

/// In a millisecond.
pub const MICROSECONDS: f64 = 1_000.0;

fn memory(records: &Records, options: &Options) {
    for record in &records.memory {
        let size = mebibytes(record.resident_kib);
        let goal = if record.target == GATEWAY {
            let judged = judged(options, size < MEMORY_GOAL_MIB);
            format!(" (goal: under {MEMORY_GOAL_MIB} MiB{judged})")
        } else {
            String::new()
        };
        println!(
            "Memory of {} at the end: {size:.0} MiB{goal}",
            record.target
        );
    }
}

/// KiB in MiB.
#[must_use]
pub fn mebibytes(kib: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 KiB")]
    let kib = kib as f64;
    kib / 1024.0
}

/// How a goal is told.
#[must_use]
pub fn verdict(met: bool) -> String {
    if met { "met" } else { "MISSED" }.to_owned()
}

/// How a goal is told after its number: not at all if the run is only to show that
/// everything works.
#[must_use]
pub fn judged(options: &Options, met: bool) -> String {
    if options.smoke {
        String::new()
    } else {
        format!(": {}", verdict(met))
    }
}

/// An empty table.
#[must_use]
pub fn new_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(header.iter().map(Cell::new));
    table
}

/// Prints a table below its title. Its first columns are `texts`, then come figures.
pub fn show(mut table: Table, title: &str, texts: usize) {
    for column in table.column_iter_mut().skip(texts) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{title}\n\n{table}\n");
}
