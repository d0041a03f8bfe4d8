//! What goes over the wire matches the golden vectors: see `proto/vectors/README.md`.

// The helpers belong to the tests, although they are not `#[test]` functions.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod goodbyes;
mod inputs;
mod schema;
mod states;
#[path = "../session/util/mod.rs"]
#[allow(dead_code, unused_imports)] // most of it is for the tests of sessions
mod util;
mod zones;

use std::{fmt::Write, fs, path::PathBuf};

/// The vectors of a folder of `proto/vectors`.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors")).join(folder);
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    files.sort();
    files
}

/// Whether the files are to be written, rather than compared with what is written.
fn updates() -> bool {
    std::env::var_os("UPDATE_VECTORS").is_some()
}

/// Replaces the values of a key, each of which is on a line of its own, and leaves the rest of the file
/// unchanged. `value` gets the number of the line among those with the key. None: it stays.
fn replaced(text: &str, key: &str, mut value: impl FnMut(usize) -> Option<String>) -> String {
    let start = format!("\"{key}\": ");
    let mut count = 0;
    let line = |line: &str| {
        let Some((indent, old)) = line.split_once(&start).filter(|(indent, _)| indent.trim().is_empty())
        else {
            return format!("{line}\n");
        };
        count += 1;
        match value(count - 1) {
            Some(new) if old.ends_with(',') => format!("{indent}{start}{new},\n"),
            Some(new) => format!("{indent}{start}{new}\n"),
            None => format!("{line}\n"),
        }
    };
    text.lines().map(line).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2) && text.is_ascii(), "not hexadecimal");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
