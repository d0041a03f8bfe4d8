//! Text turned into checked values.

use super::{
    Config, ConfigError, LogFormat, QuicConfig, QuicListen,
    layers::{Layers, Origin, Source},
    units::{Size, Span},
};
use crate::{
    http::{AdminToken, MIN_ADMIN_TOKEN},
    tls::PemFiles,
};
use driftless_proto::limits::Limits;
use std::{
    fmt,
    ops::RangeInclusive,
    path::PathBuf,
    str::FromStr,
    time::{Duration, SystemTime},
};

/// A configuration, and where each of its values came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The configuration.
    pub config: Config,
    /// Every option: its value as a file would have it (None: not set and without default), and its source.
    pub settings: Vec<Setting>,
}

/// One option of a configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The value, as in a file. None: not set, and nothing by default.
    pub value: Option<toml::Value>,
    /// It is set, but a secret: `value` is None.
    pub hidden: bool,
    /// The key, and where the value came from.
    pub source: Source,
}

impl fmt::Display for Resolved {
    /// As a configuration file, with the source of each value as a comment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Setting { value, hidden, source } in &self.settings {
            let line = match value {
                Some(value) => format!("{} = {value}", source.key),
                None if *hidden => format!("# {} is {HIDDEN}", source.key),
                None => format!("# {} is not set", source.key),
            };
            writeln!(f, "{line:<48} # {source}")?;
        }
        Ok(())
    }
}

/// Checks every value, and what they mean together. `kinds` are the kinds of game that there are.
pub fn resolve(layers: Layers, kinds: &[&str]) -> Result<Resolved, ConfigError> {
    let d = Config::default();
    let mut r = Resolver { layers, settings: Vec::new() };
    let config = Config {
        listen: r.text("listen", d.listen, "an address and a port, as 127.0.0.1:7777")?,
        quic: QuicConfig {
            listen: r.text(
                "quic",
                d.quic.listen,
                "an address and a port, as 127.0.0.1:7777, or same or off",
            )?,
            handshakes: r.number("quic_handshakes", d.quic.handshakes, 1..=1_000_000)?,
            retry_above: r.number("quic_retry_above", d.quic.retry_above, 0..=1_000_000)?,
        },
        insecure: r.flag("insecure", d.insecure)?,
        tls: r.tls_files()?,
        admin_token: r.admin_token()?,
        workers: r.number("workers", d.workers, 1..=1024)?,
        room_threads: r.number("room_threads", d.room_threads, 1..=1024)?,
        coalesce: r.span("coalesce", d.coalesce, ZERO..=10 * MILLISECOND)?,
        default_kind: r.one_of("default_kind", d.default_kind, kinds)?,
        tick_rate: r.number("tick_rate", d.tick_rate, 1..=128)?,
        max_players: r.number("max_players", d.max_players, 1..=10_000)?,
        max_rooms: r.number("max_rooms", d.max_rooms, 1..=1_000_000)?,
        max_connections: r.number("max_connections", d.max_connections, 1..=10_000_000)?,
        max_connections_per_address: r.number(
            "max_connections_per_address",
            d.max_connections_per_address,
            1..=10_000_000,
        )?,
        linger: r.span("linger", d.linger, ZERO..=24 * HOUR)?,
        resume_window: r.span("resume_window", d.resume_window, ZERO..=HOUR)?,
        limits: Limits {
            message_bytes: r.size("message_bytes", d.limits.message_bytes, 256..=16 << 20)?,
            inputs_per_second: r.number("inputs_per_second", d.limits.inputs_per_second, 1..=10_000)?,
            messages_per_second: r.number("messages_per_second", d.limits.messages_per_second, 1..=10_000)?,
            handshake: r.span("handshake", d.limits.handshake, 100 * MILLISECOND..=300 * SECOND)?,
            timeout: r.span("timeout", d.limits.timeout, SECOND..=HOUR)?,
            heartbeat: r.span("heartbeat", d.limits.heartbeat, 100 * MILLISECOND..=HOUR)?,
            reliable_messages: r.number("reliable_messages", d.limits.reliable_messages, 16..=65_536)?,
            reliable_bytes: r.size("reliable_bytes", d.limits.reliable_bytes, 4 << 10..=64 << 20)?,
        },
        record: r.folder("record")?,
        drain_spread: r.span("drain_spread", d.drain_spread, ZERO..=HOUR)?,
        log: r.log_filter("log", d.log)?,
        log_format: r.text("log_format", d.log_format, "human or json")?,
    };
    // A key that is read here and not there, or the other way round, is a mistake of ours that a test finds.
    debug_assert_eq!(r.layers.rest().next(), None);
    let resolved = Resolved { config, settings: r.settings };
    resolved.check_together()?;
    resolved.check_files()?;
    Ok(resolved)
}

/// What is shown instead of a secret.
const HIDDEN: &str = "set, and not shown";
const ZERO: Duration = Duration::ZERO;
const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

impl Resolved {
    fn check_together(&self) -> Result<(), ConfigError> {
        let Config { listen, quic, insecure, limits, .. } = &self.config;
        if !listen.ip().is_loopback() && !insecure {
            return Err(ConfigError::Insecure { listen: *listen, from: self.source("listen") });
        }
        if let QuicListen::At(listen) = quic.listen
            && !listen.ip().is_loopback()
            && !insecure
        {
            return Err(ConfigError::Insecure { listen, from: self.source("quic") });
        }
        if limits.heartbeat >= limits.timeout {
            return Err(ConfigError::Bad {
                from: self.source("heartbeat"),
                value: Span(limits.heartbeat).to_string(),
                allowed: format!("less than the timeout, which is {}", Span(limits.timeout)),
            });
        }
        Ok(())
    }

    /// Whether the certificate could be served now.
    fn check_files(&self) -> Result<(), ConfigError> {
        let Some(files) = &self.config.tls else { return Ok(()) };
        files.check(SystemTime::now()).map_err(|e| ConfigError::Tls(Box::new(e)))
    }

    fn source(&self, key: &'static str) -> Source {
        let found = self.settings.iter().find(|setting| setting.source.key == key);
        found.map_or(Source { key, origin: Origin::Default }, |setting| setting.source.clone())
    }
}

/// Takes keys out of the layers one by one and notes what they became.
struct Resolver {
    layers: Layers,
    settings: Vec<Setting>,
}

impl Resolver {
    /// Anything that can be read from text. `allowed` says what can.
    fn text<T: FromStr + fmt::Display>(
        &mut self,
        key: &'static str,
        default: T,
        allowed: &str,
    ) -> Result<T, ConfigError> {
        let value = self.parse(key, default, allowed, |text| text.parse().ok())?;
        self.note(key, toml::Value::String(value.to_string()));
        Ok(value)
    }

    fn one_of(&mut self, key: &'static str, default: String, words: &[&str]) -> Result<String, ConfigError> {
        let allowed = format!("one of {}", words.join(", "));
        let value =
            self.parse(key, default, &allowed, |text| words.contains(&text).then(|| text.to_owned()))?;
        self.note(key, toml::Value::String(value.clone()));
        Ok(value)
    }

    fn flag(&mut self, key: &'static str, default: bool) -> Result<bool, ConfigError> {
        let value = self.parse(key, default, "true or false", |text| text.parse().ok())?;
        self.note(key, toml::Value::Boolean(value));
        Ok(value)
    }

    fn number<T>(&mut self, key: &'static str, default: T, range: RangeInclusive<T>) -> Result<T, ConfigError>
    where
        T: FromStr + PartialOrd + fmt::Display + Copy,
    {
        let allowed = format!("a whole number from {} to {}", range.start(), range.end());
        let value =
            self.parse(key, default, &allowed, |text| text.parse().ok().filter(|n| range.contains(n)))?;
        // The ranges are far below what the file's 64-bit numbers hold.
        self.note(key, toml::Value::Integer(value.to_string().parse().unwrap_or(i64::MAX)));
        Ok(value)
    }

    fn span(
        &mut self,
        key: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Result<Duration, ConfigError> {
        let (least, most) = (Span(*range.start()), Span(*range.end()));
        let allowed = format!("a duration from {least} to {most}, as 250ms, 10s or 5m");
        let value = self.parse(key, Span(default), &allowed, |text| {
            text.parse().ok().filter(|Span(value)| range.contains(value))
        })?;
        self.note(key, toml::Value::String(value.to_string()));
        Ok(value.0)
    }

    fn size(
        &mut self,
        key: &'static str,
        default: usize,
        range: RangeInclusive<usize>,
    ) -> Result<usize, ConfigError> {
        let (least, most) = (Size(*range.start()), Size(*range.end()));
        let allowed = format!("a size from {least} to {most}, as 4096 or 16KiB");
        let value = self.parse(key, Size(default), &allowed, |text| {
            text.parse().ok().filter(|Size(value)| range.contains(value))
        })?;
        self.note(key, toml::Value::String(value.to_string()));
        Ok(value.0)
    }

    fn folder(&mut self, key: &'static str) -> Result<Option<PathBuf>, ConfigError> {
        let read = |text: &str| {
            Some(PathBuf::from(text))
                .filter(|path| !text.is_empty() && (path.is_dir() || !path.exists()))
                .map(Some)
        };
        let value = self.parse(key, None, "a folder, made if it is not there", read)?;
        if let Some(path) = &value {
            self.note(key, toml::Value::String(path.display().to_string()));
        }
        Ok(value)
    }

    fn tls_files(&mut self) -> Result<Option<PemFiles>, ConfigError> {
        let certificate = self.file("tls_certificate")?;
        let key = self.file("tls_key")?;
        match (certificate, key) {
            (None, None) => Ok(None),
            (Some((certificate, _)), Some((key, _))) => Ok(Some(PemFiles { certificate, key })),
            (Some((_, given)), None) => Err(ConfigError::Half { given, missing: "tls_key" }),
            (None, Some((_, given))) => Err(ConfigError::Half { given, missing: "tls_certificate" }),
        }
    }

    fn file(&mut self, key: &'static str) -> Result<Option<(PathBuf, Source)>, ConfigError> {
        let read = |text: &str| Some(PathBuf::from(text)).filter(|_| !text.is_empty()).map(Some);
        let Some(path) = self.parse(key, None, "the name of a file", read)? else { return Ok(None) };
        self.note(key, toml::Value::String(path.display().to_string()));
        let source = self.settings.last().map_or(Origin::Default, |setting| setting.source.origin.clone());
        Ok(Some((path, Source { key, origin: source })))
    }

    fn admin_token(&mut self) -> Result<Option<AdminToken>, ConfigError> {
        const KEY: &str = "admin_token";
        let allowed = format!("at least {MIN_ADMIN_TOKEN} letters, digits and signs, without spaces");
        let hidden = |error| match error {
            ConfigError::Bad { from, allowed, .. } => {
                ConfigError::Bad { from, value: HIDDEN.to_owned(), allowed }
            }
            other => other,
        };
        let token =
            self.parse(KEY, None, &allowed, |text| AdminToken::new(text).map(Some)).map_err(hidden)?;
        if let Some(setting) = self.settings.last_mut().filter(|_| token.is_some()) {
            setting.hidden = true;
        }
        Ok(token)
    }

    fn log_filter(&mut self, key: &'static str, default: String) -> Result<String, ConfigError> {
        let allowed = "tracing directives, as info,driftless_server=debug";
        let value = self.parse(key, default, allowed, |text| {
            tracing_subscriber::EnvFilter::try_new(text).ok().map(|_| text.to_owned())
        })?;
        self.note(key, toml::Value::String(value.clone()));
        Ok(value)
    }

    /// Takes the key's text, if there is any, and reads it. Starts the key's note.
    fn parse<T>(
        &mut self,
        key: &'static str,
        default: T,
        allowed: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let (value, origin) = match self.layers.take(key) {
            None => (default, Origin::Default),
            Some((text, origin)) => match read(text.trim()) {
                Some(value) => (value, origin),
                None => {
                    let from = Source { key, origin };
                    return Err(ConfigError::Bad { from, value: text, allowed: allowed.to_owned() });
                }
            },
        };
        self.settings.push(Setting { value: None, hidden: false, source: Source { key, origin } });
        Ok(value)
    }

    fn note(&mut self, key: &'static str, value: toml::Value) {
        if let Some(setting) = self.settings.last_mut().filter(|setting| setting.source.key == key) {
            setting.value = Some(value);
        }
    }
}

impl FromStr for QuicListen {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(QuicListen::Off),
            "same" => Ok(QuicListen::AsHttp),
            address => address.parse().map(QuicListen::At),
        }
    }
}

impl fmt::Display for QuicListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QuicListen::Off => f.write_str("off"),
            QuicListen::AsHttp => f.write_str("same"),
            QuicListen::At(address) => address.fmt(f),
        }
    }
}

impl FromStr for LogFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "human" => Ok(LogFormat::Human),
            "json" => Ok(LogFormat::Json),
            _ => Err(()),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogFormat::Human => "human",
            LogFormat::Json => "json",
        })
    }
}
