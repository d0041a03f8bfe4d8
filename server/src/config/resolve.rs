//! Texts turned into checked values.

use super::{
    Config, QuicListen,
    options::{Options, Origin, Provenance},
    table::NotAllowed,
};
use crate::tls::TlsError;
use std::{fmt, net::SocketAddr, path::PathBuf, time::SystemTime};

/// A configuration, and where each of its values came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The configuration.
    pub config: Config,
    /// Every setting: its value as a text, and where it came from.
    pub settings: Vec<Setting>,
    /// The file in which rooms are carried over a restart.
    pub carry: Option<PathBuf>,
}

/// One setting of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value. None: not set, and nothing by default; or hidden.
    pub value: Option<String>,
    /// It is set, but a secret.
    pub hidden: bool,
    /// The key, and where the value came from.
    pub provenance: Provenance,
}

/// Why there is no configuration: the operator's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read, or is no TOML.
    #[error("{}: {reason}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// There is no such setting.
    #[error("{place}: {key} is no setting{}", hint(meant.as_deref()))]
    Unknown {
        /// Where it is set.
        place: String,
        /// What is set.
        key: String,
        /// What was probably meant.
        meant: Option<String>,
    },
    /// A value is not what the setting takes, or does not go with the others.
    #[error("{} is {value:?} (from {from}), but must be {allowed}", from.key)]
    Bad {
        /// The setting, and where the value came from.
        from: Provenance,
        /// The value.
        value: String,
        /// What it may be.
        allowed: String,
    },
    /// The certificate cannot be served.
    #[error("tls_certificate and tls_key: {0}")]
    Tls(Box<TlsError>),
}

/// Reads every text and checks what the values mean together. `kinds` are the kinds of game that there are, the default first.
///
/// # Errors
/// The first value that is not allowed, or does not go with the others.
pub fn resolve(mut options: Options, kinds: &[&str]) -> Result<Resolved, ConfigError> {
    let mut resolved = Resolved { config: Config::default(), settings: Vec::new(), carry: None };
    for entry in Config::entries() {
        let (text, origin) = options.take(entry.key).unzip();
        let provenance = Provenance { key: entry.key, origin: origin.unwrap_or(Origin::Default) };
        let value = match (entry.apply)(&mut resolved.config, text.as_deref()) {
            Ok(value) => value,
            Err(NotAllowed) => {
                let value = text.filter(|_| !entry.form.secret).unwrap_or_else(|| HIDDEN.to_owned());
                return Err(ConfigError::Bad { from: provenance, value, allowed: entry.form.allowed });
            }
        };
        resolved.settings.push(Setting { value, hidden: entry.form.secret && text.is_some(), provenance });
    }
    resolved.check(kinds)?;
    if let (None, Some(first)) = (&resolved.config.default_kind, kinds.first()) {
        resolved.config.default_kind = Some((*first).to_owned());
        let setting = resolved.settings.iter_mut().find(|setting| setting.provenance.key == "default_kind");
        setting.into_iter().for_each(|setting| setting.value = resolved.config.default_kind.clone());
    }
    Ok(resolved)
}

/// What is shown instead of a secret.
const HIDDEN: &str = "set, and not shown";
const INSECURE: &str = "an address that only this machine can reach, for there is no authentication yet and anyone could \
                        play: listen on 127.0.0.1 behind a proxy of your own, or allow it with --insecure";

impl Resolved {
    /// What the values have to be to one another, and to the world.
    fn check(&self, kinds: &[&str]) -> Result<(), ConfigError> {
        let Config { listen, quic, insecure, limits, default_kind, .. } = &self.config;
        let reached = |address: &SocketAddr| !address.ip().is_loopback() && !insecure;
        if reached(listen) {
            return Err(self.bad("listen", INSECURE));
        }
        if matches!(quic, QuicListen::At(address) if reached(address)) {
            return Err(self.bad("quic", INSECURE));
        }
        if limits.heartbeat >= limits.timeout {
            let timeout = humantime::format_duration(limits.timeout);
            return Err(self.bad("heartbeat", format!("less than the timeout, which is {timeout}")));
        }
        if default_kind.as_ref().is_some_and(|kind| !kinds.contains(&kind.as_str())) {
            return Err(self.bad("default_kind", format!("one of {}", kinds.join(", "))));
        }
        match (&self.config.tls_certificate, &self.config.tls_key) {
            (Some(_), None) => Err(self.bad("tls_certificate", "set together with tls_key, which is not")),
            (None, Some(_)) => Err(self.bad("tls_key", "set together with tls_certificate, which is not")),
            _ => match self.config.tls() {
                Some(files) => files.check(SystemTime::now()).map_err(|e| ConfigError::Tls(Box::new(e))),
                None => Ok(()),
            },
        }
    }

    fn bad(&self, key: &'static str, allowed: impl Into<String>) -> ConfigError {
        let found = self.settings.iter().find(|setting| setting.provenance.key == key);
        let from =
            found.map_or(Provenance { key, origin: Origin::Default }, |setting| setting.provenance.clone());
        let value = found.and_then(|setting| setting.value.clone()).unwrap_or_default();
        ConfigError::Bad { from, value, allowed: allowed.into() }
    }
}

impl fmt::Display for Resolved {
    /// As a configuration file, with where each value came from as a comment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Setting { value, hidden, provenance } in &self.settings {
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
fn quoted(value: &str) -> toml::Value {
    match (value.parse::<i64>(), value.parse::<bool>()) {
        (Ok(number), _) if number.to_string() == value => number.into(),
        (_, Ok(truth)) => truth.into(),
        _ => value.into(),
    }
}

fn hint(meant: Option<&str>) -> String {
    meant.map_or_else(|| ": see --help".to_owned(), |meant| format!(": did you mean {meant}?"))
}
