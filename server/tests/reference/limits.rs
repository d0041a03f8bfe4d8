//! Limits of the protocol, and close codes: their numbers from the program, their meaning from the
//! documentation of its source.

use super::cell;
use driftless_proto::code::CloseCode;
use std::{fmt::Write, fs};

/// A documented line of a source file.
struct Documented {
    doc: String,
    line: String,
}

fn documented(path: &str) -> Vec<Documented> {
    let (mut found, mut doc) = (Vec::new(), Vec::new());
    for line in fs::read_to_string(path).unwrap().lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc.push(text.trim().to_owned());
        } else {
            found.push(Documented { doc: doc.join(" "), line: line.to_owned() });
            doc.clear();
        }
    }
    found
}

/// Links of rustdoc lead nowhere in the guide.
fn plain(doc: &str) -> String {
    let mut text = String::new();
    let mut rest = doc;
    while let Some((before, after)) = rest.split_once("[`") {
        let Some((name, after)) = after.split_once("`]") else { break };
        text += before;
        write!(text, "`{name}`").unwrap();
        rest =
            after.strip_prefix('(').and_then(|target| target.split_once(')')).map_or(after, |(_, rest)| rest);
    }
    cell(&(text + rest))
}

/// The chapter of the guide.
pub(super) fn chapter() -> String {
    let mut text = String::from(
        "# Reference: limits\n\n\
         What the protocol allows, whatever the server's options are. What a server allows beyond that is set by its \
         [options](91-options.md); why a connection ends is told by a [close code](90-protocol.md#close-codes). This page is generated \
         from the code.\n\n| limit | value | what |\n| --- | --- | --- |\n",
    );
    let mut rows = 0;
    for Documented { doc, line } in documented("../proto/src/limits.rs") {
        let Some((name, value)) = line.strip_prefix("pub const ").and_then(|rest| rest.split_once(": "))
        else {
            continue;
        };
        let value = value.split_once("= ").unwrap().1.trim_end_matches(';').trim_matches('"');
        let value = match value.split_once(" << ") {
            Some((n, shift)) => (n.parse::<u64>().unwrap() << shift.parse::<u32>().unwrap()).to_string(),
            None => value.trim_start_matches("Duration::from_secs(").trim_end_matches(')').replace('_', ""),
        };
        let unit = if line.contains("from_secs") { " s" } else { "" };
        writeln!(text, "| `{name}` | {value}{unit} | {} |", plain(&doc)).unwrap();
        rows += 1;
    }
    assert!(rows >= 10, "{text}");
    text
}

/// The table of the guide.
pub(super) fn close_codes() -> String {
    let source = documented("../proto/src/code.rs");
    let mut text = String::from("| code | name | why |\n| --- | --- | --- |\n");
    for code in CloseCode::ALL {
        let ending = format!(" = {},", code.number());
        let found = source.iter().find(|documented| documented.line.ends_with(&ending)).unwrap();
        writeln!(text, "| {} | {} | {} |", code.number(), code.name(), plain(&found.doc)).unwrap();
    }
    text
}
