//! The comparison of the gateway with the hand-written server and with pgbench.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::{
    agree::check_both,
    facts::Facts,
    load::{Load, measure},
    options::{Engine, Options},
    postgres::{Length, Postgres},
    process::Counted,
    record::{FloorRecord, MemoryRecord, Record, Records},
    report, say,
    server::Server,
    store::gateway_program,
    template,
    workload::{self, RestPages, Target, Workload},
};

/// The name of the gateway in records.
pub const GATEWAY: &str = "gateway";
/// The name of the hand-written server in records.
pub const BARE: &str = "bare";
/// About how many clients have the name that Q4 asks for.
const NAMESAKES: i64 = 40;
/// Page 10,000 of a REST list, if there are that many clients.
const DEEP_PAGE: u32 = 10_000;

/// Runs all workloads against both servers and prints the tables.
///
/// # Errors
/// If something does not start, fails, or the answers differ.
pub fn run(options: &Options, folder: &Path) -> Result<Records> {
    ensure!(
        options.engine == Engine::Postgresql,
        "the hand-written server knows only PostgreSQL: --engine goes with --growth or --memory"
    );
    let postgres = Postgres::new(options);
    let database = postgres.create_database("compare")?;
    let program = gateway_program(options)?;
    let gateway = crate::server::Gateway {
        program: &program,
        database_url: &database.url,
        folder,
    };
    say(&format!(
        "filling a database with {} clients",
        options.clients
    ));
    gateway.seed(options.clients)?;
    database.settle(options.clients)?;
    let gateway = gateway.serve()?;
    let bare = Server::bare(folder, &database.url)?;

    let before_deep_page = options.clients / 10 * 9;
    let facts = Facts::of(
        &gateway.address,
        options.clients,
        NAMESAKES,
        before_deep_page,
    )?;
    let per_page = (options.clients / DEEP_PAGE).clamp(1, 50);
    let deep_pages = RestPages {
        per_page,
        deep: DEEP_PAGE.min(options.clients / per_page),
    };
    let workloads = workload::wanted(options, workload::all(&facts, deep_pages))?;

    say("comparing the answers");
    let check = |run| check_both(&gateway.address, &bare.address, &workloads, &facts, run);
    check(0)?;
    database.settle(options.clients)?;

    let bench = Bench {
        options,
        folder,
        facts: &facts,
        database: postgres.counted,
        gateway: &gateway,
        bare: &bare,
    };
    let mut records = Records::default();
    for round in 0..options.rounds {
        for workload in &workloads {
            say(&format!(
                "round {} of {}: {}, {}",
                round + 1,
                options.rounds,
                workload.name,
                workload.about
            ));
            for target in order(round) {
                for connections in bench.connections() {
                    let measured = bench.measure(workload, target, round, connections);
                    records.keep(workload.name, measured);
                    if workload.writes {
                        database.settle(options.clients)?;
                    }
                }
            }
        }
    }
    let length = if options.smoke {
        Length::Moment
    } else {
        Length::Seconds(options.seconds)
    };
    for workload in &workloads {
        say(&format!("pgbench: {}", workload.name));
        let floor = database.pgbench(folder, &workload.pgbench, length)?;
        records.floors.push(FloorRecord {
            workload: workload.name,
            floor,
        });
        if workload.writes {
            database.settle(options.clients)?;
        }
    }
    check(1)?;
    for (target, server) in [(GATEWAY, &gateway), (BARE, &bare)] {
        records.memory.push(MemoryRecord {
            target,
            minute: None,
            resident_kib: server.resident_kib()?,
        });
    }
    report::comparison(&records, &workloads, options);
    Ok(records)
}

/// Which server comes first changes from round to round.
fn order(round: u32) -> [Target; 2] {
    if round.is_multiple_of(2) {
        [Target::Gateway, Target::Bare]
    } else {
        [Target::Bare, Target::Gateway]
    }
}

/// What every measurement needs.
struct Bench<'a> {
    options: &'a Options,
    folder: &'a Path,
    facts: &'a Facts,
    database: Counted,
    gateway: &'a Server,
    bare: &'a Server,
}

impl Bench<'_> {
    /// The numbers of connections to measure with. The second tells the latency of a
    /// server that has nothing else to do.
    fn connections(&self) -> Vec<u32> {
        let mut connections = vec![self.options.connections];
        if !self.options.smoke && self.options.connections != 1 {
            connections.push(1);
        }
        connections
    }

    fn measure(
        &self,
        workload: &Workload,
        target: Target,
        round: u32,
        connections: u32,
    ) -> Result<Record> {
        let (name, server) = match target {
            Target::Gateway => (GATEWAY, self.gateway),
            Target::Bare => (BARE, self.bare),
        };
        let choices = self.facts.choices();
        let request = workload.request(target, self.facts);
        let script = |seed| {
            let requests = std::slice::from_ref(&request);
            template::lua(requests, &choices, &server.address, seed)
        };
        // Both servers get the same requests, another sequence in each round.
        let script_measured = script(2 * round + 1);
        let load = Load {
            host: &server.address.host,
            script: &script_measured,
            connections,
            seconds: self.options.seconds,
        };
        if round == 0 && !workload.writes && !self.options.smoke {
            let load = Load {
                script: &script(0),
                seconds: 1,
                ..load
            };
            self.load(load, server)?;
        }
        Ok(Record {
            workload: workload.name,
            target: name,
            round,
            connections,
            measured: self.load(load, server)?,
        })
    }

    fn load(&self, load: Load<'_>, server: &Server) -> Result<crate::load::Measured> {
        let counted = Counted::Process(server.pid());
        measure(load, self.folder, counted, Some(self.database))
    }
}
