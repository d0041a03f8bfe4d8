//! The table for people: what each setting is called, means, and may be.

use super::{
    Config,
    options::{long, variable},
    resolve::quoted,
    table::Entry,
};
use std::fmt::Write;

/// Longest line of a file with all settings, characters.
const WIDTH: usize = 100;

/// A setting, described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedSetting {
    /// Its key in a file.
    pub key: &'static str,
    /// Its flag, with the dashes.
    pub flag: String,
    /// Its variable in the environment.
    pub variable: String,
    /// What it means, and costs.
    pub help: &'static str,
    /// The placeholder for a value.
    pub value_name: &'static str,
    /// Which values are allowed.
    pub allowed: String,
    /// Its default, on this machine. None: it has none.
    pub default: Option<String>,
}

/// All settings, in the order of the table.
pub fn described() -> Vec<DescribedSetting> {
    let describe = |Entry { key, help, form, apply }: Entry| DescribedSetting {
        key,
        flag: format!("--{}", long(key)),
        variable: variable(key),
        help,
        value_name: form.value_name,
        allowed: form.allowed,
        default: apply(&mut Config::default(), None).ok().flatten(),
    };
    Config::entries().into_iter().map(describe).collect()
}

/// A file with every setting, its meaning and its default, all commented out.
pub fn default_file() -> String {
    let mut file = String::from(
        "# Every setting with its meaning, the allowed values, and its default. Remove the # before a key to set it.\n\
         # Variables (DRIFTLESS_TICK_RATE) override this file, and flags (--tick-rate) override both.\n",
    );
    // Writing to a String does not fail.
    for DescribedSetting { key, help, value_name, allowed, default, .. } in described() {
        let _ = writeln!(file, "\n{}", commented(&format!("{help} [{allowed}]")));
        let _ = match default {
            Some(default) => writeln!(file, "#{key} = {}", quoted(&default)),
            None => writeln!(file, "#{key} = \"{value_name}\" # not set"),
        };
    }
    file
}

/// A text in comment lines.
fn commented(text: &str) -> String {
    let mut lines = vec![String::from("#")];
    for word in text.split_whitespace() {
        if let Some(line) = lines.last_mut()
            && line.len() + 1 + word.len() <= WIDTH
        {
            *line += " ";
            *line += word;
        } else {
            lines.push(format!("# {word}"));
        }
    }
    lines.join("\n")
}
