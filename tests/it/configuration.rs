//! `docs/configuration.md` says what the command line says.

use std::{env, fmt::Write, fs, path::Path};

use clap::{Arg, Command, CommandFactory};
use clientele::config::Cli;

const INTRODUCTION: &str = "\
# Configuration

Options are given on the command line or by variables of the environment, also from a file
`.env` in the folder where the program starts. The command line goes before the environment,
and that before `.env`. An empty variable counts as not set. `clientele help COMMAND` prints
the same.

This page is made from the command line by a test: `INSTA_UPDATE=always tests/run --test it --
configuration` writes it anew.
";

#[test]
fn the_page_about_options_is_current() {
    let mut command = Cli::command();
    command.build();
    let mut page = INTRODUCTION.to_owned();
    for command in command.get_subcommands() {
        if command.get_name() != "help" {
            describe(&mut page, command);
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    if env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        fs::write(&file, &page).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page,
        "docs/configuration.md is out of date: run this test with INSTA_UPDATE=always"
    );
}

fn describe(page: &mut String, command: &Command) {
    let inner: Vec<_> = command
        .get_subcommands()
        .filter(|inner| inner.get_name() != "help")
        .collect();
    if !inner.is_empty() {
        for inner in inner {
            describe(page, inner);
        }
        return;
    }
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let about = command.get_long_about().or(command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    write!(page, "\n## `{name}`\n\n{}\n", sentence(&about)).unwrap();
    let options = command.get_arguments().filter(|option| {
        !option.is_hide_set() && !matches!(option.get_id().as_str(), "help" | "version")
    });
    let rows: Vec<_> = options.map(row).collect();
    if !rows.is_empty() {
        page.push_str(
            "\n| option | variable | default | what it does |\n| --- | --- | --- | --- |\n",
        );
        page.push_str(&rows.concat());
    }
}

fn row(option: &Arg) -> String {
    let values = option.get_value_names().unwrap_or_default();
    let takes_value = option.get_action().takes_values();
    let value = values.first().filter(|_| takes_value);
    let name = match (option.get_long(), value) {
        (Some(long), Some(value)) => format!("`--{long} {value}`"),
        (Some(long), None) => format!("`--{long}`"),
        (None, value) => format!("`{}`", value.map_or("", |value| value.as_str())),
    };
    let variable = option.get_env().map_or_else(String::new, |variable| {
        format!("`{}`", variable.to_string_lossy())
    });
    let defaults = option.get_default_values().iter();
    let default = defaults.map(|value| format!("`{}`", value.to_string_lossy()));
    let shown = takes_value && !option.is_hide_default_value_set();
    let default = default.filter(|_| shown).collect::<Vec<_>>().join(", ");
    let help = option.get_long_help().or(option.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    let help = sentence(&help).replace('|', "\\|");
    format!("| {name} | {variable} | {default} | {help} |\n")
}

/// Help texts end without a full stop, and are broken into lines and paragraphs.
fn sentence(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(paragraph);
    paragraphs.collect::<Vec<_>>().join(" ")
}

fn paragraph(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() || text.ends_with('.') {
        text
    } else {
        text + "."
    }
}
