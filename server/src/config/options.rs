//! The settings that were given: flags take precedence over the environment, and the environment over a file.

use super::{Config, ConfigError, kind::Form, table::Entry};
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, parser::ValueSource};
use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
};
use toml::Spanned;

/// Prefix of the environment variables.
const PREFIX: &str = "DRIFTLESS_";

/// Texts given for settings, not yet parsed; for each the one with the highest precedence. Absent settings
/// have their default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options(BTreeMap<&'static str, (String, Origin)>);

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
pub struct Provenance {
    /// The setting.
    pub key: &'static str,
    /// Where its value was found.
    pub origin: Origin,
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => write!(f, "file {}", path.display()),
            Origin::Environment => write!(f, "environment {}", variable(self.key)),
            Origin::Flag => write!(f, "flag --{}", long(self.key)),
        }
    }
}

impl Options {
    /// Removes and returns a setting's text, and where it was found.
    pub(super) fn take(&mut self, key: &str) -> Option<(String, Origin)> {
        self.0.remove(key)
    }

    /// Adds a file's values for settings that have no text yet.
    ///
    /// # Errors
    /// If the file cannot be read, is not TOML, or has unknown keys.
    pub fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let bad =
            |error: io::Error| ConfigError::BadFile { path: path.to_owned(), reason: error.to_string() };
        self.read(path, &fs::read_to_string(path).map_err(bad)?)
    }

    /// Adds the values of a file that has this text.
    pub(super) fn read(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let bad = |reason| ConfigError::BadFile { path: path.to_owned(), reason };
        let line = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        let table: BTreeMap<Spanned<String>, toml::Value> = toml::from_str(text).map_err(|error| {
            // Without the line itself, which may contain a secret.
            let line = line(error.span().unwrap_or_default().start);
            let quotes = text
                .lines()
                .nth(line - 1)
                .and_then(unquoted)
                .map_or_else(String::new, |key| format!(": a text needs quotes, as in {key} = \"...\""));
            bad(format!("line {line}: {}{quotes}", error.message()))
        })?;
        let (entries, mut unknown) = (Config::entries(), Vec::new());
        for (key, value) in table {
            let found = entries.iter().find(|entry| entry.key == key.get_ref());
            let Some(Entry { key, .. }) = found else {
                let meant = meant(key.get_ref()).map(str::to_owned);
                let place = format!("{}: line {}", path.display(), line(key.span().start));
                unknown.push(match value {
                    toml::Value::Table(_) => ConfigError::Section { place, section: key.into_inner() },
                    _ => ConfigError::Unknown { place, key: key.into_inner(), meant },
                });
                continue;
            };
            let text = plain(value);
            self.0.entry(key).or_insert((text, Origin::File(path.to_owned())));
        }
        ConfigError::all(unknown)
    }
}

/// A value as a flag has it: in a list, separated by commas.
fn plain(value: toml::Value) -> String {
    match value {
        toml::Value::String(text) => text,
        toml::Value::Array(list) => list.into_iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// The setting in a line whose value should be in quotes.
fn unquoted(line: &str) -> Option<&'static str> {
    let (key, value) = line.split_once('=')?;
    let quoted = value.trim_start().starts_with(['"', '\'', '[', '{', '#']);
    let entry = Config::entries().into_iter().find(|entry| entry.key == key.trim() && !quoted)?;
    Some(entry.key)
}

/// Finds a variable that was meant to be a setting. Variables that resemble none belong to something else:
/// Kubernetes gives every container `DRIFTLESS_PORT` and the like if there is a service of that name.
///
/// # Errors
/// If there is such a variable among these names.
pub fn check_environment(names: impl IntoIterator<Item = String>) -> Result<(), ConfigError> {
    let entries = Config::entries();
    let unknown = names.into_iter().filter_map(|name| {
        let meant = closest(&name.strip_prefix(PREFIX)?.to_lowercase(), &entries).map(variable)?;
        let unknown =
            |meant| ConfigError::Unknown { place: "environment".to_owned(), key: name.clone(), meant };
        (meant != name).then(|| unknown(Some(meant)))
    });
    ConfigError::all(unknown.collect())
}

/// What other servers call it, and the key here.
const ELSEWHERE: [(&str, &str); 14] = [
    ("address", "listen"),
    ("bind", "listen"),
    ("host", "listen"),
    ("port", "listen"),
    ("cert", "tls_certificate"),
    ("tls_cert", "tls_certificate"),
    ("data", "store"),
    ("data_dir", "store"),
    ("jwks", "token_keys"),
    ("jwks_url", "token_keys"),
    ("key", "token_keys"),
    ("log_level", "log"),
    ("origin", "allow_origin"),
    ("cors", "allow_origin"),
];

/// The key that a word probably means: one with a few wrong letters, or what it is called elsewhere.
pub(crate) fn meant(word: &str) -> Option<&'static str> {
    let elsewhere = ELSEWHERE.iter().find(|(name, _)| *name == word).map(|(_, key)| *key);
    elsewhere.or_else(|| closest(word, &Config::entries()))
}

/// The key that a word with a few wrong letters probably means.
fn closest(word: &str, entries: &[Entry]) -> Option<&'static str> {
    let distances = entries.iter().map(|entry| (strsim::osa_distance(word, entry.key), entry.key));
    distances.filter(|(distance, _)| distance * 3 <= word.len()).min().map(|(_, key)| key)
}

impl Args for Options {
    fn augment_args(command: Command) -> Command {
        command.args(Config::entries().iter().map(argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Options {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut options = Self::default();
        options.update_from_arg_matches(matches)?;
        Ok(options)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for Entry { key, .. } in Config::entries() {
            let Some(text) = matches.get_one::<String>(key) else { continue };
            let origin = match matches.value_source(key) {
                Some(ValueSource::EnvVariable) => Origin::Environment,
                _ => Origin::Flag,
            };
            self.0.insert(key, (text.clone(), origin));
        }
        Ok(())
    }
}

fn argument(entry: &Entry) -> Arg {
    let Entry { key, help, form: Form { value_name, allowed, bare, .. }, apply } = entry;
    let default = apply(&mut Config::default(), None).ok().flatten();
    let default = default.as_deref().unwrap_or("none");
    let argument = Arg::new(*key)
        .long(long(key))
        .env(variable(key))
        .value_name(*value_name)
        .help(format!("{help} [{allowed}] [default: {default}]"))
        .help_heading("Settings");
    match bare {
        Some(value) => argument.num_args(0..=1).require_equals(true).default_missing_value(*value),
        None => argument,
    }
}

pub(crate) fn long(key: &str) -> String {
    key.replace('_', "-")
}

pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase())
}
