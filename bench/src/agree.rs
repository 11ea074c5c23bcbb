//! Whether the servers answer, and answer alike.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{
    facts::Facts,
    server::Address,
    workload::{Target, Workload},
};

/// Requests of each workload that are looked at.
const SAMPLES: u32 = 5;

/// Asks the gateway for each workload. `run` sets the samples of one call apart from
/// those of another, so that an update always changes something.
///
/// # Errors
/// If an answer is not a success.
pub fn check_gateway(
    gateway: &Address,
    workloads: &[Workload],
    facts: &Facts,
    run: u32,
) -> Result<()> {
    for workload in workloads {
        for number in numbers(run) {
            let request = workload.request(Target::Gateway, facts);
            gateway
                .ask(&request.sample(&facts.choices(), number))
                .with_context(|| format!("workload {}", workload.name))?;
        }
    }
    Ok(())
}

/// Asks both servers for each workload: reads must give the same bytes, writes the
/// same members in the same order.
///
/// # Errors
/// If an answer is not a success, or the answers differ.
pub fn check_both(
    gateway: &Address,
    bare: &Address,
    workloads: &[Workload],
    facts: &Facts,
    run: u32,
) -> Result<()> {
    for workload in workloads {
        for number in numbers(run) {
            let ask = |address: &Address, target, number| {
                let request = workload.request(target, facts);
                address
                    .ask(&request.sample(&facts.choices(), number))
                    .with_context(|| format!("workload {}", workload.name))
            };
            let of_gateway = ask(gateway, Target::Gateway, number)?;
            // A write changes something only if it is another one.
            let number = number + if workload.writes { SAMPLES } else { 0 };
            let of_bare = ask(bare, Target::Bare, number)?;
            let alike = if workload.writes {
                members(&of_gateway)? == members(&of_bare)?
            } else {
                of_gateway == of_bare
            };
            if !alike {
                bail!(
                    "workload {}: the answers differ\ngateway: {of_gateway}\nbare:    {of_bare}",
                    workload.name
                );
            }
        }
    }
    Ok(())
}

/// The numbers of the samples of one call.
fn numbers(run: u32) -> std::ops::Range<u32> {
    // Twice as many, for writes to both servers.
    let first = 1 + run * 2 * SAMPLES;
    first..first + SAMPLES
}

/// The paths of all members, in their order, with the kinds of their values.
fn members(body: &str) -> Result<Vec<String>> {
    let value: Value = serde_json::from_str(body)?;
    let mut paths = Vec::new();
    collect(&value, "", &mut paths);
    Ok(paths)
}

fn collect(value: &Value, path: &str, paths: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                collect(value, &format!("{path}/{name}"), paths);
            }
        }
        Value::Array(items) => {
            for value in items {
                collect(value, &format!("{path}/"), paths);
            }
        }
        Value::Null => paths.push(format!("{path}: null")),
        Value::Bool(_) => paths.push(format!("{path}: boolean")),
        Value::Number(_) => paths.push(format!("{path}: number")),
        Value::String(text) => {
            let kind = if text.ends_with('Z') {
                "instant"
            } else {
                "text"
            };
            paths.push(format!("{path}: {kind}"));
        }
    }
}
