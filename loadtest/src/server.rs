//! The server's side of a run: its rooms and metrics over HTTP, its process from the kernel.

mod exposition;

pub use exposition::{Buckets, Exposition};

use crate::{tls::Authorities, url::Url};
use clap::Args;
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, fmt, time::Duration};

/// Rooms requested per page: the most that a server lists.
const PAGE: usize = 1_000;

/// Variable of the environment with the admin token, of this program and of the server.
pub const ADMIN_TOKEN: &str = "DRIFTLESS_ADMIN_TOKEN";

/// What is needed to create rooms on the server.
#[derive(Clone, Args)]
pub struct OperatorArgs {
    /// The server's admin token, needed to create rooms. Prefer the environment: others can see command
    /// lines.
    #[arg(long, env = ADMIN_TOKEN, hide_env_values = true, value_name = "SECRET")]
    pub admin_token: Option<String>,
}

/// What is played.
#[derive(Debug, Clone, Args)]
pub struct GameArgs {
    /// Kind of game. In one that this program has no bot for, bots send empty inputs.
    #[arg(long, default_value = "arena")]
    pub kind: String,
    /// Ticks per second of each room, and inputs per second of each bot.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=128))]
    pub tick_rate: u32,
    /// Options of each room: a JSON object of what this kind of game lets the maker of a room choose.
    #[arg(long, value_name = "JSON", value_parser = parse_options)]
    pub room_options: Option<serde_json::Map<String, Value>>,
}

fn parse_options(text: &str) -> Result<serde_json::Map<String, Value>, serde_json::Error> {
    serde_json::from_str(text)
}

/// A token for a server that this program starts, so that nobody else operates it.
pub fn random_token() -> String {
    format!("{:032x}", fastrand::u128(..))
}

impl fmt::Debug for OperatorArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorArgs(…)")
    }
}

/// The HTTP API of the server under test.
#[derive(Debug)]
pub struct Api {
    agent: ureq::Agent,
    base: String,
    /// As operators send it.
    authorization: Option<String>,
}

/// The server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No answer.
    #[error("{url}: {error}{}", untrusted(error))]
    Http {
        /// What was asked.
        url: String,
        /// Why there is none. Boxed: it is large.
        error: Box<ureq::Error>,
    },
    /// It creates rooms only for operators.
    #[error(
        "{url}: {body} (--admin-token or DRIFTLESS_ADMIN_TOKEN; the server prints the one it generated, or start it with --open-rooms)"
    )]
    Token {
        /// What was asked.
        url: String,
        /// What it says.
        body: String,
    },
    /// An answer that says no.
    #[error("{url} answers {status}: {body}")]
    Status {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What it says.
        body: String,
    },
    /// An answer that does not match the API.
    #[error("{url} sent an answer that does not match the API: {error}")]
    Shape {
        /// What was asked.
        url: String,
        /// What is wrong with it.
        error: serde_json::Error,
    },
}

fn untrusted(error: &ureq::Error) -> &'static str {
    match error {
        ureq::Error::Rustls(_) => " (--ca FILE names the authority that has signed the server's certificate)",
        ureq::Error::Io(error) if error.to_string().contains("certificate") => {
            " (--ca FILE names the authority that has signed the server's certificate)"
        }
        _ => "",
    }
}

#[derive(Deserialize)]
struct RoomList {
    rooms: Vec<Room>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Room {
    name: String,
    ticks_skipped: u64,
}

/// What the server says of its QUIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuicPort {
    /// SHA-256 hashes of its certificates.
    pub hashes: Vec<[u8; 32]>,
    /// Where clients are told to connect. None: the host that they know.
    pub host: Option<String>,
    /// Likewise.
    pub port: u16,
}

#[derive(Deserialize)]
struct CertificateList {
    certificates: Vec<Certificate>,
    quic: Option<Advertised>,
}

#[derive(Deserialize)]
struct Certificate {
    sha256_hex: String,
}

#[derive(Deserialize)]
struct Advertised {
    host: Option<String>,
    port: u16,
}

/// The metrics at one moment. None: not among them.
#[derive(Debug, Clone, Default)]
pub struct Scrape {
    /// Connections now.
    pub connections: Option<u64>,
    /// States that a newer one replaced.
    pub stale_dropped: Option<u64>,
    /// How late ticks began, seconds.
    pub lateness: Option<Buckets>,
}

/// How many of each there are now, by the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Population {
    /// Connections.
    pub connections: u64,
    /// Of these, WebSockets: each has a descriptor.
    pub websockets: u64,
    /// Seats.
    pub players: u64,
    /// Spectators.
    pub spectators: u64,
    /// Rooms.
    pub rooms: u64,
}

impl Api {
    /// The API of a server, for its operator.
    pub fn new(url: &Url, operator: &OperatorArgs, authorities: &Authorities) -> Self {
        let authorization = operator.admin_token.as_ref().map(|token| format!("Bearer {token}"));
        Self { authorization, ..Self::on(url.http(), url.is_secure().then_some(authorities)) }
    }
    /// The API at an address, for requests that need no token.
    pub fn at(authority: &str) -> Self {
        Self::on(format!("http://{authority}"), None)
    }
    fn on(base: String, authorities: Option<&Authorities>) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(10)))
            .http_status_as_error(false);
        let config = match authorities {
            Some(authorities) => config.tls_config(authorities.of_http()),
            None => config,
        };
        Self { agent: config.build().into(), base, authorization: None }
    }
    /// Creates a room for this many players.
    pub fn create_room(
        &self,
        name: &str,
        game: &GameArgs,
        max_players: u32,
        max_spectators: u32,
    ) -> Result<(), ApiError> {
        let url = format!("{}/v1/rooms", self.base);
        let GameArgs { kind, tick_rate, room_options } = game;
        let mut spec = serde_json::json!({
            "name": name, "kind": kind, "tick_rate": tick_rate, "max_players": max_players,
        });
        if max_spectators > 0 {
            spec["max_spectators"] = max_spectators.into();
        }
        if let Some(options) = room_options {
            spec["options"] = options.clone().into();
        }
        let request = self.agent.post(&url).header("content-type", "application/json");
        read_as_operator(&url, self.authorize(request).send(spec.to_string()))
    }
    /// Ends a room. It is fine if there is none.
    pub fn close_room(&self, name: &str) -> Result<(), ApiError> {
        let url = format!("{}/v1/rooms/{name}", self.base);
        match read_as_operator(&url, self.authorize(self.agent.delete(&url)).call()) {
            Err(ApiError::Status { status: 404, .. }) => Ok(()),
            closed => closed,
        }
    }
    /// Publishes something in a topic.
    pub fn publish(&self, topic: &str, latest: bool, text: &str) -> Result<(), ApiError> {
        let url = format!("{}/v1/topics/{topic}?latest={latest}", self.base);
        let request = self.agent.post(&url).header("content-type", "text/plain");
        read_as_operator(&url, self.authorize(request).send(text))
    }
    fn authorize<Body>(&self, request: ureq::RequestBuilder<Body>) -> ureq::RequestBuilder<Body> {
        match &self.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request,
        }
    }
    /// Ticks skipped so far, by room.
    pub fn ticks_skipped(&self) -> Result<BTreeMap<String, u64>, ApiError> {
        let mut skipped = BTreeMap::new();
        let mut after = String::new();
        loop {
            let url = format!("{}/v1/rooms?limit={PAGE}{after}", self.base);
            let body = read(&url, self.authorize(self.agent.get(&url)).call())?;
            let list: RoomList =
                serde_json::from_str(&body).map_err(|error| ApiError::Shape { url, error })?;
            skipped.extend(list.rooms.into_iter().map(|room| (room.name, room.ticks_skipped)));
            match list.next {
                // A room's name needs no escaping.
                Some(next) => after = format!("&after={next}"),
                None => return Ok(skipped),
            }
        }
    }
    /// Its QUIC port. None: it has no QUIC.
    pub fn quic(&self) -> Result<Option<QuicPort>, ApiError> {
        self.quic_as(None)
    }
    /// The same, as told to clients that know the server as `host` (`HOST:PORT`).
    pub fn quic_as(&self, host: Option<&str>) -> Result<Option<QuicPort>, ApiError> {
        let url = format!("{}/v1/certificate", self.base);
        let request = self.agent.get(&url);
        let request = match host {
            Some(host) => request.header("host", host),
            None => request,
        };
        let body = match read(&url, request.call()) {
            Err(ApiError::Status { status: 404, .. }) => return Ok(None),
            body => body?,
        };
        let list: CertificateList =
            serde_json::from_str(&body).map_err(|error| ApiError::Shape { url, error })?;
        let hashes = list.certificates.iter().filter_map(|certificate| hash(&certificate.sha256_hex));
        Ok(list.quic.map(|quic| QuicPort { hashes: hashes.collect(), host: quic.host, port: quic.port }))
    }
    /// How many of each there are now. What is not among the metrics counts as none.
    pub fn population(&self) -> Result<Population, ApiError> {
        let exposition = self.metrics()?;
        let count = |value: Option<f64>| value.unwrap_or(0.0) as u64;
        let sum = |name| count(exposition.sum(name));
        Ok(Population {
            connections: sum("driftless_connections"),
            websockets: count(exposition.of("driftless_connections", "transport", "websocket")),
            players: sum("driftless_players"),
            spectators: sum("driftless_spectators"),
            rooms: sum("driftless_rooms"),
        })
    }
    /// The metrics now.
    pub fn scrape(&self) -> Result<Scrape, ApiError> {
        let exposition = self.metrics()?;
        Ok(Scrape {
            connections: exposition.sum("driftless_connections").map(|sum| sum as u64),
            stale_dropped: exposition.sum("driftless_stale_states_dropped_total").map(|sum| sum as u64),
            lateness: exposition.buckets("driftless_room_tick_lateness_seconds"),
        })
    }
    fn metrics(&self) -> Result<Exposition, ApiError> {
        let url = format!("{}/metrics", self.base);
        Ok(Exposition::parse(&read(&url, self.agent.get(&url).call())?))
    }
}

/// Reads a SHA-256 in hexadecimal digits.
fn hash(hex: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let bytes: Option<Vec<u8>> =
        hex.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect();
    bytes?.try_into().ok()
}

/// The answer to what only an operator may ask.
fn read_as_operator(
    url: &str,
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<(), ApiError> {
    match read(url, answer) {
        Err(ApiError::Status { url, status: 401, body }) => Err(ApiError::Token { url, body }),
        done => done.map(drop),
    }
}

fn read(
    url: &str,
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<String, ApiError> {
    let failed = |error| ApiError::Http { url: url.to_owned(), error: Box::new(error) };
    let mut answer = answer.map_err(failed)?;
    let body = answer.body_mut().read_to_string().map_err(failed)?;
    let status = answer.status();
    if status.is_success() {
        Ok(body)
    } else {
        // A proxy's.
        let body = if body.trim_start().starts_with('<') { "a page of HTML" } else { body.trim() };
        Err(ApiError::Status { url: url.to_owned(), status: status.as_u16(), body: body.to_owned() })
    }
}
