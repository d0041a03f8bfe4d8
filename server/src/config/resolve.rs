//! Parses and checks values.

use super::{
    Config, Guests, PublicQuic, PublicUrl, QuicListen,
    options::{Options, Origin, Provenance},
    table::NotAllowed,
};
use crate::{
    telemetry,
    tls::{PemFiles, TlsError},
};
use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A configuration, and where each of its values came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The configuration.
    pub config: Config,
    /// Every setting: its value as text, and where it came from.
    pub settings: Vec<Setting>,
    /// The file in which rooms are carried over a restart.
    pub carry: Option<PathBuf>,
    /// The recordings of which rooms are made.
    pub from: Vec<String>,
}

/// One setting of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value. None: not set and without a default; or hidden.
    pub value: Option<String>,
    /// It is set, but a secret.
    pub hidden: bool,
    /// The text that was given, if it is no secret.
    pub written: Option<String>,
    /// The key, and where the value came from.
    pub provenance: Provenance,
}

/// Why there is no configuration: the operator's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read, or is not TOML.
    #[error("{}: {reason}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// A file has sections.
    #[error(
        "{place}: [{section}] is a section, and this file has none: write its keys without it, as in tick_rate = 20"
    )]
    Section {
        /// Where it is.
        place: String,
        /// Its name.
        section: String,
    },
    /// There is no such setting.
    #[error("{place}: {key} is not a setting{}", hint(meant.as_deref()))]
    Unknown {
        /// Where it is set.
        place: String,
        /// What is set.
        key: String,
        /// What was probably meant.
        meant: Option<String>,
    },
    /// A value is not allowed, or does not fit the others.
    #[error("{} is {value:?} (from {from}), but must be {allowed}", from.key)]
    Bad {
        /// The setting, and where the value came from.
        from: Provenance,
        /// The value.
        value: String,
        /// The allowed values.
        allowed: String,
    },
    /// A value needs another setting, which is not there.
    #[error("{} is {value:?} (from {from}), but must be {allowed}", from.key)]
    Lacks {
        /// The setting, and where the value came from.
        from: Provenance,
        /// The value.
        value: String,
        /// What is allowed without the other setting.
        allowed: &'static str,
    },
    /// A certificate cannot be served.
    #[error("{certificate} and {key}: {error}")]
    Tls {
        /// The setting of its file.
        certificate: &'static str,
        /// That of its key's.
        key: &'static str,
        /// What is wrong.
        error: Box<TlsError>,
    },
    /// Several things are wrong.
    #[error("{}", lines(.0))]
    Several(Vec<ConfigError>),
}

impl ConfigError {
    /// All of them, if there are any.
    pub(crate) fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }

    /// The file that lacks something which may be set elsewhere: in the environment of a service.
    pub(crate) fn lacking_file(&self) -> Option<&Path> {
        match self {
            Self::Lacks { from: Provenance { origin: Origin::File(path), .. }, .. } => Some(path),
            Self::Several(errors) => errors.iter().find_map(Self::lacking_file),
            _ => None,
        }
    }
}

fn lines(errors: &[ConfigError]) -> String {
    errors.iter().map(ConfigError::to_string).collect::<Vec<_>>().join("\n")
}

/// Parses every text and checks how the values fit together. `kinds` are the kinds of games that the server
/// has; `authenticates` says whether it has a way of its own to find out who players are.
///
/// # Errors
/// The values that are not allowed; or, if all are, those that do not fit the others.
pub fn resolve(mut options: Options, kinds: &[&str], authenticates: bool) -> Result<Resolved, ConfigError> {
    let mut resolved =
        Resolved { config: Config::default(), settings: Vec::new(), carry: None, from: Vec::new() };
    let mut refused = Vec::new();
    for entry in Config::entries() {
        let (text, origin) = options.take(entry.key).unzip();
        let provenance = Provenance { key: entry.key, origin: origin.unwrap_or(Origin::Default) };
        let value = match (entry.apply)(&mut resolved.config, text.as_deref()) {
            Ok(value) => value,
            Err(NotAllowed) => {
                let value = text.filter(|_| !entry.form.secret).unwrap_or_else(|| HIDDEN.to_owned());
                refused.push(ConfigError::Bad { from: provenance, value, allowed: entry.form.allowed });
                continue;
            }
        };
        let hidden = entry.form.secret && text.is_some();
        let written = text.filter(|_| !entry.form.secret);
        resolved.settings.push(Setting { value, hidden, written, provenance });
    }
    ConfigError::all(refused)?;
    ConfigError::all(resolved.misfits(kinds, authenticates))?;
    if let (None, Some(first)) = (&resolved.config.default_kind, kinds.first()) {
        resolved.config.default_kind = Some((*first).to_owned());
        let setting = resolved.settings.iter_mut().find(|setting| setting.provenance.key == "default_kind");
        setting.into_iter().for_each(|setting| setting.value = resolved.config.default_kind.clone());
    }
    Ok(resolved)
}

/// Shown instead of a secret.
const HIDDEN: &str = "set, but not shown";
const INSECURE: &str = "an address that only this machine can reach, for there are no keys for players' tokens and anyone \
                        could play: set --token-keys, listen on 127.0.0.1 behind a proxy of your own, or allow it \
                        with --insecure";

impl Resolved {
    /// What does not fit together, or does not fit the environment.
    fn misfits(&self, kinds: &[&str], authenticates: bool) -> Vec<ConfigError> {
        let mut found = Vec::new();
        let Config { listen, quic, insecure, limits, default_kind, .. } = &self.config;
        let reached = |address: &SocketAddr| {
            !address.ip().is_loopback() && !insecure && !authenticates && !self.config.has_token_keys()
        };
        if reached(listen) {
            found.push(self.lacks("listen", INSECURE));
        }
        if matches!(quic, QuicListen::At(address) if reached(address)) {
            found.push(self.lacks("quic", INSECURE));
        }
        if limits.heartbeat >= limits.timeout {
            let timeout = humantime::format_duration(limits.timeout);
            found.push(self.bad("heartbeat", format!("less than the timeout, which is {timeout}")));
        }
        if default_kind.as_ref().is_some_and(|kind| !kinds.contains(&kind.as_str())) {
            found.push(self.bad("default_kind", format!("one of {}", kinds.join(", "))));
        }
        let Config { durability, store, .. } = &self.config;
        if durability.kinds().any(|kind| !kinds.contains(&kind)) {
            found.push(self.bad("durability", format!("of the kinds {}", kinds.join(", "))));
        }
        if durability.is_any() && store.is_none() && self.config.redis.is_none() {
            found.push(self.lacks(
                "durability",
                "none, because there is no store: set one, as with --store FOLDER or --redis URL",
            ));
        }
        if self.config.redis.is_some() && store.is_some() {
            // It would not know which of its rooms another node has made meanwhile.
            found
                .push(self.bad("store", "left out with --redis, which keeps the rooms of all nodes: those in a folder are of one machine"));
        }
        if self.config.redis.is_some() && self.config.public_url.is_none() && listen.ip().is_unspecified() {
            found.push(self.bad(
                "public_url",
                "set with --redis: the other nodes send clients to it, and there is no one address listened on",
            ));
        }
        let everywhere = "an address that clients can go to: this one stands for all addresses of a machine";
        if self.config.public_url.as_ref().is_some_and(PublicUrl::is_unspecified) {
            found.push(self.bad("public_url", everywhere));
        }
        if self.config.public_quic.as_ref().is_some_and(PublicQuic::is_unspecified) {
            found.push(self.bad("public_quic", everywhere));
        }
        if self.config.guests == Guests::No && !authenticates && !self.config.has_token_keys() {
            found.push(
                self.lacks("guests", "yes or auto while there are no keys for tokens: set --token-keys"),
            );
        }
        if self.config.quic_tls().is_some() && *quic == QuicListen::Off {
            found.push(self.bad("quic_certificate", "left out while quic is off"));
        }
        if let Err(allowed) = telemetry::filter(&self.config.log) {
            found.push(self.bad("log", allowed));
        }
        let config = &self.config;
        found.extend(self.tls_fault(
            ("tls_certificate", &config.tls_certificate),
            ("tls_key", &config.tls_key),
            config.tls(),
        ));
        found.extend(self.tls_fault(
            ("quic_certificate", &config.quic_certificate),
            ("quic_key", &config.quic_key),
            config.quic_tls(),
        ));
        found
    }

    /// What is wrong with the two files of a certificate.
    fn tls_fault(
        &self,
        certificate: (&'static str, &Option<PathBuf>),
        key: (&'static str, &Option<PathBuf>),
        both: Option<PemFiles>,
    ) -> Option<ConfigError> {
        let alone =
            |set: &'static str, other| self.bad(set, format!("set together with {other}, which is not set"));
        match (certificate.1, key.1, both) {
            (Some(_), None, _) => Some(alone(certificate.0, key.0)),
            (None, Some(_), _) => Some(alone(key.0, certificate.0)),
            (_, _, Some(files)) => {
                let error = Box::new(files.check(SystemTime::now()).err()?);
                Some(ConfigError::Tls { certificate: certificate.0, key: key.0, error })
            }
            (_, _, None) => None,
        }
    }

    fn bad(&self, key: &'static str, allowed: impl Into<String>) -> ConfigError {
        let (from, value) = self.said(key);
        ConfigError::Bad { from, value, allowed: allowed.into() }
    }

    fn lacks(&self, key: &'static str, allowed: &'static str) -> ConfigError {
        let (from, value) = self.said(key);
        ConfigError::Lacks { from, value, allowed }
    }

    /// Where a value came from, and how it was written there.
    fn said(&self, key: &'static str) -> (Provenance, String) {
        let Some(Setting { value, written, provenance, .. }) =
            self.settings.iter().find(|setting| setting.provenance.key == key)
        else {
            return (Provenance { key, origin: Origin::Default }, String::new());
        };
        (provenance.clone(), written.clone().or_else(|| value.clone()).unwrap_or_default())
    }
}

impl fmt::Display for Resolved {
    /// As a configuration file, with the source of each value as a comment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Setting { value, hidden, provenance, .. } in &self.settings {
            let line = match value {
                Some(value) => format!("{} = {}", provenance.key, quoted(value)),
                None if *hidden => format!("# {} is {HIDDEN}", provenance.key),
                None => format!("# {} is not set", provenance.key),
            };
            writeln!(f, "{line:<48} # {provenance}")?;
        }
        Ok(())
    }
}

/// A value as a TOML file has it: numbers and booleans bare, everything else as a string.
pub(super) fn quoted(value: &str) -> toml::Value {
    match (value.parse::<i64>(), value.parse::<bool>()) {
        (Ok(number), _) if number.to_string() == value => number.into(),
        (_, Ok(truth)) => truth.into(),
        _ => value.into(),
    }
}

fn hint(meant: Option<&str>) -> String {
    meant.map_or_else(|| ": see --help".to_owned(), |meant| format!(": did you mean {meant}?"))
}
