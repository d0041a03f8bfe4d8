//! What the user gets to see of the figures.

pub mod html;
mod plot;
pub mod table;

use serde::Serialize;
use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

/// Shows a table: on standard output, or on standard error when that is where the JSON goes.
pub fn print_table(table: &str, json: Option<&Path>) {
    if json == Some(Path::new("-")) {
        eprint!("{table}");
    } else {
        print!("{table}");
    }
}

/// Writes one JSON object to a file; `-` is standard output.
pub fn write_json(path: &Path, figures: &impl Serialize) -> std::io::Result<()> {
    let mut text = serde_json::to_string_pretty(figures)?;
    text.push('\n');
    if path == Path::new("-") {
        return std::io::stdout().write_all(text.as_bytes());
    }
    File::create(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| std::io::Error::other(format!("{}: {error}", path.display())))
}

/// Writes the page into a folder, which is made if it is not there. Returns the file.
pub fn write_page(folder: &Path, page: &str) -> std::io::Result<PathBuf> {
    let file = folder.join("report.html");
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&file, page))
        .map_err(|error| std::io::Error::other(format!("{}: {error}", file.display())))?;
    Ok(file)
}
