//! What requests cost when there are many more clients.

use std::path::Path;

use anyhow::Result;

use crate::{
    agree::check_gateway,
    facts::Facts,
    load::{Load, Measured, measure},
    options::Options,
    postgres::Postgres,
    process::Counted,
    record::{Record, Records},
    report::{MICROSECONDS, new_table, show, verdict},
    say,
    server::Server,
    store::{Store, gateway_program},
    template,
    workload::{self, RestPages, Target, Workload},
};

/// At the most, relative to the small database.
const GOAL: f64 = 1.3;
/// Rows on a page.
const PER_PAGE: u32 = 50;
/// The deep page, or the last one if there are fewer.
const DEEP_PAGE: u32 = 10_000;
/// About how many clients have the name that is asked for, in both databases: else
/// the large one would have more rows to count.
const NAMESAKES: i64 = 4;
/// For how long writes run before they are measured, in seconds. The first time that a page
/// changes after a checkpoint, PostgreSQL logs it whole. A large database has many pages,
/// so it does that for longer; it makes a checkpoint every five minutes.
const SECONDS_OF_WRITES_BEFORE: u32 = 15;
/// The same for reads, in the first round.
const SECONDS_OF_READS_BEFORE: u32 = 1;
/// The name of the small database in records.
const SMALL: &str = "small";
/// The name of the large one.
const LARGE: &str = "large";

/// A database with a gateway over it.
struct Site<'a> {
    name: &'static str,
    store: Store<'a>,
    gateway: Server,
    facts: Facts,
    workloads: Vec<Workload>,
}

/// Runs all workloads against gateways over a small and a large database, and prints
/// what they cost.
///
/// # Errors
/// If something does not start, or fails.
pub fn run(options: &Options, folder: &Path) -> Result<Records> {
    let postgres = Postgres::new(options);
    let sites = [
        Site::open(options, &postgres, folder, SMALL, options.growth_from)?,
        Site::open(options, &postgres, folder, LARGE, options.growth_to)?,
    ];
    for site in &sites {
        site.check(0)?;
        site.store.settle()?;
    }
    let mut records = Records::default();
    for round in 0..options.rounds {
        for index in 0..sites[0].workloads.len() {
            let workload = &sites[0].workloads[index];
            say(&format!(
                "round {} of {}: {}, {}",
                round + 1,
                options.rounds,
                workload.name,
                workload.about
            ));
            let turn = if round.is_multiple_of(2) {
                [0, 1]
            } else {
                [1, 0]
            };
            for site in turn.map(|turn| &sites[turn]) {
                let measured = site.measure(&site.workloads[index], options, folder, round);
                records.keep(workload.name, measured);
                if workload.writes {
                    site.store.settle()?;
                }
            }
        }
    }
    for site in &sites {
        site.check(1)?;
    }
    print(&records, &sites[1].workloads, options);
    Ok(records)
}

impl<'a> Site<'a> {
    fn open(
        options: &Options,
        postgres: &'a Postgres,
        folder: &Path,
        name: &'static str,
        clients: u32,
    ) -> Result<Self> {
        let program = gateway_program(options)?;
        let store = Store::create(options.engine, postgres, &program, folder, name, clients)?;
        let gateway = store.serve(&program, folder)?;
        let deep = DEEP_PAGE.min(clients / PER_PAGE);
        let before_deep_page = (deep - 1) * PER_PAGE;
        let facts = Facts::of(&gateway.address, clients, NAMESAKES, before_deep_page)?;
        let deep_pages = RestPages {
            per_page: PER_PAGE,
            deep,
        };
        let mut workloads = vec![workload::first_page(&facts)];
        workloads.extend(workload::all(&facts, deep_pages));
        let workloads = workload::wanted(options, workloads)?;
        Ok(Self {
            name,
            store,
            gateway,
            facts,
            workloads,
        })
    }

    fn check(&self, run: u32) -> Result<()> {
        check_gateway(&self.gateway.address, &self.workloads, &self.facts, run)
    }

    fn measure(
        &self,
        workload: &Workload,
        options: &Options,
        folder: &Path,
        round: u32,
    ) -> Result<Record> {
        let request = workload.request(Target::Gateway, &self.facts);
        let script = |seed| {
            let choices = self.facts.choices();
            let requests = std::slice::from_ref(&request);
            template::lua(requests, &choices, &self.gateway.address, seed)
        };
        let (script_before, script_measured) = (script(0), script(2 * round + 1));
        let load = Load {
            host: &self.gateway.address.host,
            script: &script_measured,
            connections: options.connections,
            seconds: options.seconds,
        };
        let run = |load| {
            let counted = Counted::Process(self.gateway.pid());
            measure(load, folder, counted, self.store.counted())
        };
        let seconds = if workload.writes {
            SECONDS_OF_WRITES_BEFORE
        } else {
            SECONDS_OF_READS_BEFORE
        };
        if !options.smoke && (workload.writes || round == 0) {
            run(Load {
                script: &script_before,
                seconds,
                ..load
            })?;
        }
        Ok(Record {
            workload: workload.name,
            target: self.name,
            round,
            connections: options.connections,
            measured: run(load)?,
        })
    }
}

fn print(records: &Records, workloads: &[Workload], options: &Options) {
    let mut table = new_table(&[
        "",
        "workload",
        "small us",
        "large us",
        "large / small",
        "",
        "small p50 ms",
        "large p50 ms",
        "large / small",
    ]);
    for workload in workloads {
        let series = records.series(workload.name, options.connections);
        let cost = |site| {
            format!(
                "{:.0} + {:.0}",
                series.median(site, |measured| measured.server_us),
                series.median(site, |measured| measured.database_us)
            )
        };
        let p50 = |measured: &Measured| measured.seen.p50_us / MICROSECONDS;
        let ratio = series.ratio(LARGE, SMALL, Measured::total_us);
        table.add_row([
            workload.name.to_owned(),
            workload.about.to_owned(),
            cost(SMALL),
            cost(LARGE),
            format!("{ratio:.2}"),
            if workload.must_not_grow && !options.smoke {
                verdict(ratio <= GOAL)
            } else {
                String::new()
            },
            format!("{:.2}", series.median(SMALL, p50)),
            format!("{:.2}", series.median(LARGE, p50)),
            format!("{:.2}", series.ratio(LARGE, SMALL, p50)),
        ]);
    }
    println!(
        "\n{} connections, medians over {} x {} s. us is processor time for a request: \
         server + database.\n",
        options.connections, options.rounds, options.seconds
    );
    show(
        table,
        &format!(
            "{} clients (small) and {} clients (large); goal: at most {GOAL} times the cost",
            options.growth_from, options.growth_to
        ),
        2,
    );
    for (first, deep, what) in [("Q5a", "Q5", "by cursor"), ("R2", "RP", "over REST")] {
        if !(options.wants(first) && options.wants(deep)) {
            continue;
        }
        let cost = |workload| {
            let series = records.series(workload, options.connections);
            series.median(LARGE, Measured::total_us)
        };
        println!(
            "Page {} of the large database costs {:.2} times the first page, {what}",
            DEEP_PAGE.min(options.growth_to / PER_PAGE),
            cost(deep) / cost(first)
        );
    }
}
