//! The rooms of `src/`, from the roof to the ground: each may use those below it, and none
//! above it. `docs/architecture.md` says what is in them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};

const ROOMS: [&str; 16] = [
    "cli",
    "app",
    "rest",
    "graphql",
    "graphiql",
    "telemetry",
    "gateway",
    "http",
    "check",
    "idempotency",
    "auth",
    "records",
    "storage",
    "config",
    "clock",
    "error",
];

#[test]
fn no_room_uses_one_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut upwards = Vec::new();
    for file in files(&root) {
        let inside = file.strip_prefix(&root).unwrap().with_extension("");
        let mut module: Vec<_> = inside.iter().map(|part| part.to_str().unwrap()).collect();
        if module.last() == Some(&"mod") {
            module.pop();
        }
        let from = module[0];
        if matches!(from, "lib" | "main") {
            continue;
        }
        let level = level(from).unwrap_or_else(|| panic!("{from} is no room of the table"));
        let text = fs::read_to_string(&file).unwrap();
        let tokens: TokenStream = text.parse().unwrap();
        for (room, line) in used(tokens, module.len()) {
            if let Some(used) = self::level(&room)
                && used < level
            {
                upwards.push(format!("src/{}.rs:{line} uses {room}", inside.display()));
            }
        }
    }
    upwards.sort();
    upwards.dedup();
    assert!(
        upwards.is_empty(),
        "these rooms use one above them:\n{}",
        upwards.join("\n")
    );
}

fn level(room: &str) -> Option<usize> {
    ROOMS.iter().position(|known| *known == room)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// What paths from the crate's root begin with, `crate::http` or as many `super::` as the
/// module is deep, each with its line.
fn used(tokens: TokenStream, depth: usize) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let tokens: Vec<_> = tokens.into_iter().collect();
    let is_name = |at: usize, name: &str| matches!(tokens.get(at), Some(TokenTree::Ident(ident)) if ident == name);
    let is_colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    let is_separator = |at: usize| is_colon(at) && is_colon(at + 1);
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if let TokenTree::Group(group) = token {
            found.extend(used(group.stream(), depth));
        }
        let mut next = at;
        let mut is_root = false;
        if is_name(at, "crate") && is_separator(at + 1) {
            (next, is_root) = (at + 3, true);
        } else {
            let mut supers = 0;
            while is_name(next, "super") && is_separator(next + 1) {
                (next, supers) = (next + 3, supers + 1);
                is_root = supers == depth;
            }
        }
        if is_root {
            match tokens.get(next) {
                Some(TokenTree::Ident(room)) => {
                    found.push((room.to_string(), room.span().start().line));
                }
                Some(TokenTree::Group(group)) => found.extend(heads(group.stream())),
                _ => {}
            }
        }
        at = next.max(at + 1);
    }
    found
}

/// The first names of a list of paths.
fn heads(list: TokenStream) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut is_first = true;
    for token in list {
        match token {
            TokenTree::Ident(room) if is_first => {
                found.push((room.to_string(), room.span().start().line));
                is_first = false;
            }
            TokenTree::Punct(punct) if punct.as_char() == ',' => is_first = true,
            _ => {}
        }
    }
    found
}
