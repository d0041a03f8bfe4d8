//! Where values come from: flags over the environment over a file.

use super::{ConfigError, options::Options};
use clap::{ArgMatches, parser::ValueSource};
use std::{collections::BTreeMap, fmt, fs, path::PathBuf};

/// Where a value was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// In the file.
    File(PathBuf),
    /// In an environment variable.
    Environment,
    /// On the command line.
    Flag,
}

/// Where the value of `key` came from, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The option.
    pub key: &'static str,
    /// Where its value was found.
    pub origin: Origin,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => write!(f, "file {}", path.display()),
            Origin::Environment => write!(f, "environment DRIFTLESS_{}", self.key.to_uppercase()),
            Origin::Flag => write!(f, "flag --{}", self.key.replace('_', "-")),
        }
    }
}

/// The values that somebody gave, the strongest of each.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    values: BTreeMap<String, (String, Origin)>,
}

impl Layers {
    /// Puts a file under what the command line and the environment say. `matches` tells which of the two it was;
    /// without it all of `given` counts as flags.
    pub fn new(
        given: &Options,
        matches: Option<&ArgMatches>,
        file: Option<PathBuf>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Self::default();
        if let Some(path) = file {
            let options = read_file(&path)?;
            layers.put(&options, |_| Origin::File(path.clone()));
        }
        layers.put(given, |key| match matches.and_then(|matches| matches.value_source(key)) {
            Some(ValueSource::EnvVariable) => Origin::Environment,
            _ => Origin::Flag,
        });
        Ok(layers)
    }

    /// Takes the value of a key out.
    pub fn take(&mut self, key: &str) -> Option<(String, Origin)> {
        self.values.remove(key)
    }

    /// What was not taken out.
    pub fn rest(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    fn put(&mut self, options: &Options, origin: impl Fn(&str) -> Origin) {
        // Options are a flat struct of optional strings, so this cannot fail.
        let Ok(table) = toml::Table::try_from(options) else { return };
        for (key, value) in table {
            if let toml::Value::String(value) = value {
                let origin = origin(&key);
                self.values.insert(key, (value, origin));
            }
        }
    }
}

fn read_file(path: &PathBuf) -> Result<Options, ConfigError> {
    let text = fs::read_to_string(path)
        .map_err(|error| ConfigError::Unreadable { path: path.clone(), reason: error.to_string() })?;
    toml::from_str(&text).map_err(|error| ConfigError::BadFile {
        path: path.clone(),
        reason: error.to_string().trim_end().to_owned(),
    })
}
