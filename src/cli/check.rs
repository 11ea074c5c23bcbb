//! `clientele check`: verifies every invariant of the data model, and changes nothing.

use std::io::{Write, stdout};

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use sea_orm::DatabaseTransaction;

use crate::{
    check::{self, CheckResult, Report},
    config::DatabaseOptions,
    storage::snapshot,
};

/// Prints a line for each check, followed by what it found wrong.
pub async fn run(options: &DatabaseOptions) -> Result<()> {
    let transaction = snapshot::open(&options.database_url).await?;
    let report = examine(&transaction, print).await?;
    if report.violations > 0 {
        bail!(
            "the database is not as it should be: {} kinds of violations, found by {} checks",
            report.violations,
            report.checks
        );
    }
    let rows = report
        .rows
        .iter()
        .map(|(list, count)| format!("{count} {list}"));
    let rows = rows.collect::<Vec<_>>().join(", ");
    writeln!(stdout(), "all {} checks hold ({rows})", report.checks)?;
    Ok(())
}

/// Makes all checks, with a progress bar on a terminal.
pub async fn examine(
    transaction: &DatabaseTransaction,
    mut done: impl FnMut(&CheckResult) -> std::io::Result<()>,
) -> Result<Report> {
    let style = "{msg:22} {bar:30} {human_pos}/{human_len} rows, {per_sec}";
    let bar = ProgressBar::no_length().with_style(ProgressStyle::with_template(style)?);
    let report = check::check(transaction, &bar, |outcome| bar.suspend(|| done(outcome))).await;
    bar.finish_and_clear();
    report
}

/// Prints what a check found.
pub fn print(outcome: &CheckResult) -> std::io::Result<()> {
    let CheckResult {
        name,
        extent,
        violations,
    } = outcome;
    let verdict = if violations.is_empty() { "ok" } else { "WRONG" };
    writeln!(
        stdout(),
        "{}",
        format!("{verdict:<6}{name:<24}{extent}").trim_end()
    )?;
    for violation in violations {
        writeln!(stdout(), "      - {name}: {violation}")?;
    }
    Ok(())
}
