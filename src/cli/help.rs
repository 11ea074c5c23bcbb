//! `clientele completions` and `clientele man`: what shells and manuals know of the program.

use std::io::{Write, stdout};

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::config::Cli;

const NAME: &str = "clientele";

/// Prints the script for a shell.
pub fn completions(shell: Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut script);
    stdout().write_all(&script)?;
    Ok(())
}

/// Prints the manual page, with all commands in it.
pub fn man() -> Result<()> {
    let mut page = Vec::new();
    let command = Cli::command();
    let top = Man::new(command.clone());
    top.render(&mut page)?;
    for inner in command.get_subcommands() {
        writeln!(
            page,
            ".SH {} {}",
            NAME.to_uppercase(),
            inner.get_name().to_uppercase()
        )?;
        let inner = Man::new(inner.clone());
        inner.render_description_section(&mut page)?;
        inner.render_options_section(&mut page)?;
    }
    stdout().write_all(&page)?;
    Ok(())
}
