//! The single measurements, and medians over them.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::{load::Measured, options::Options, postgres::Floor, say};

/// One measurement.
#[derive(Serialize)]
pub struct Record {
    /// The workload.
    pub workload: &'static str,
    /// What was measured: a server, or the size of a database.
    pub target: &'static str,
    /// The round, from 0.
    pub round: u32,
    /// Connections of the load generator.
    pub connections: u32,
    /// The figures.
    #[serde(flatten)]
    pub measured: Measured,
}

/// What pgbench measured for a workload.
#[derive(Serialize)]
pub struct FloorRecord {
    /// The workload.
    pub workload: &'static str,
    /// The figures.
    #[serde(flatten)]
    pub floor: Floor,
}

/// The memory of a server at some time.
#[derive(Serialize)]
pub struct MemoryRecord {
    /// The server.
    pub target: &'static str,
    /// Minutes since the load began, if it was watched over time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minute: Option<u32>,
    /// Its resident set in KiB.
    pub resident_kib: u64,
}

/// How it was measured.
#[derive(Serialize)]
struct Settings {
    clients: Vec<u32>,
    rounds: u32,
    seconds: u32,
    engine: String,
    processors: usize,
}

/// All that was measured.
#[derive(Default, Serialize)]
pub struct Records {
    /// Measurements under load.
    pub loads: Vec<Record>,
    /// Measurements of pgbench.
    pub floors: Vec<FloorRecord>,
    /// Memory.
    pub memory: Vec<MemoryRecord>,
    /// What went wrong.
    pub failures: Vec<String>,
}

/// The measurements of one workload at one number of connections, by round.
#[derive(Clone, Copy)]
pub struct Series<'a> {
    records: &'a Records,
    /// The workload.
    pub workload: &'a str,
    /// Connections of the load generator.
    pub connections: u32,
}

impl Records {
    /// Keeps a measurement. If it failed, says so and goes on: the others are worth
    /// having. At the end the whole run fails.
    pub fn keep(&mut self, workload: &str, measured: Result<Record>) {
        match measured {
            Ok(record) => self.loads.push(record),
            Err(error) => {
                let failure = format!("workload {workload} failed: {error:#}");
                say(&failure);
                self.failures.push(failure);
            }
        }
    }

    /// The measurements of one workload.
    #[must_use]
    pub fn series<'a>(&'a self, workload: &'a str, connections: u32) -> Series<'a> {
        Series {
            records: self,
            workload,
            connections,
        }
    }

    /// What pgbench measured for the workload.
    #[must_use]
    pub fn floor(&self, workload: &str) -> Option<Floor> {
        let mut floors = self.floors.iter();
        let found = floors.find(|record| record.workload == workload);
        found.map(|record| record.floor)
    }

    /// Writes everything as JSON.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, file: &Path, options: &Options) -> Result<()> {
        #[derive(Serialize)]
        struct Written<'a> {
            settings: Settings,
            #[serde(flatten)]
            records: &'a Records,
        }
        let json = serde_json::to_string_pretty(&Written {
            settings: Settings {
                clients: if options.growth {
                    vec![options.growth_from, options.growth_to]
                } else {
                    vec![options.clients]
                },
                rounds: options.rounds,
                seconds: options.seconds,
                engine: format!("{:?}", options.engine).to_lowercase(),
                processors: std::thread::available_parallelism()?.get(),
            },
            records: self,
        })?;
        fs::write(file, json + "\n").with_context(|| format!("cannot write {}", file.display()))
    }
}

impl Series<'_> {
    /// The median of a figure of `target` over the rounds.
    #[must_use]
    pub fn median(&self, target: &str, figure: impl Fn(&Measured) -> f64) -> f64 {
        median(self.figures(target, figure))
    }

    /// The median over the rounds of what a figure of `target` is relative to the same
    /// figure of `base`. Both are of the same round, so that what slowed a whole round
    /// down cancels out.
    #[must_use]
    pub fn ratio(&self, target: &str, base: &str, figure: impl Fn(&Measured) -> f64) -> f64 {
        let of_target = self.figures(target, &figure);
        let of_base = self.figures(base, &figure);
        let ratios = of_target.iter().zip(&of_base).map(|(one, base)| one / base);
        median(ratios.collect())
    }

    fn figures(&self, target: &str, figure: impl Fn(&Measured) -> f64) -> Vec<f64> {
        let mut records: Vec<_> = self
            .records
            .loads
            .iter()
            .filter(|record| {
                record.workload == self.workload
                    && record.target == target
                    && record.connections == self.connections
            })
            .collect();
        records.sort_by_key(|record| record.round);
        let figures = records.iter().map(|record| figure(&record.measured));
        figures.collect()
    }
}

/// The median; not a number if there are no figures.
#[must_use]
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => f64::NAN,
        count if count % 2 == 0 => f64::midpoint(figures[middle - 1], figures[middle]),
        _ => figures[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_in_the_middle() {
        assert!(median(Vec::new()).is_nan());
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
    }
}
