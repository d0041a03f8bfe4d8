//! A key of a set that its issuer publishes (JWK, RFC 7517): what of it counts here, and why it may not be
//! used. Only the fields that count are read: nothing else in a key can spoil it, nor one key the others of
//! its set.

use super::{keys::Key, numbers, signatures::names_of};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

/// Longest id of a key, bytes.
const MAX_ID: usize = 256;
/// Bytes of an id that are shown.
const SHOWN_ID: usize = 64;
/// Bytes of a coordinate of P-256.
const COORDINATE: usize = 32;

/// A key that is not used. The others of its set are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key {id:?}: {why}")]
pub(crate) struct Skipped {
    /// Its id, as far as it has one.
    id: String,
    pub(super) why: Why,
}

/// Why a key is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Why {
    #[error("it is of a kind that checks no tokens here")]
    Kind,
    #[error("it is for another use than to verify signatures (\"use\", \"key_ops\")")]
    Use,
    #[error("it is for another algorithm than the one of its kind (\"alg\")")]
    Algorithm,
    #[error("its {0:?} is missing or not as it should be")]
    Field(&'static str),
    #[error("its numbers make no public key, of the usual size or larger, that could check a signature")]
    Numbers,
}

impl Skipped {
    /// Whether its issuer should know. (Other keys may well be in the same set.)
    pub(super) fn is_fault(&self) -> bool {
        matches!(self.why, Why::Field(_) | Why::Numbers)
    }
}

impl Key {
    /// The key in an element of a set.
    pub(super) fn of_jwk(jwk: &Value) -> Result<Self, Skipped> {
        let empty = Map::new();
        let jwk = jwk.as_object().unwrap_or(&empty);
        let id = || jwk.get("kid").and_then(Value::as_str).unwrap_or_default();
        read(jwk).map_err(|why| Skipped { id: id().chars().take(SHOWN_ID).collect(), why })
    }
}

fn read(jwk: &Map<String, Value>) -> Result<Key, Why> {
    let needed = |field| text(jwk, field)?.ok_or(Why::Field(field));
    let number = |field| needed(field).map(|text| URL_SAFE_NO_PAD.decode(text).unwrap_or_default());
    let key = match (needed("kty")?, text(jwk, "crv")?) {
        ("EC", Some("P-256")) => p256(&number("x")?, &number("y")?),
        ("OKP", Some("Ed25519")) => numbers::ed25519(&number("x")?),
        ("RSA", _) => numbers::rsa(&number("n")?, &number("e")?),
        _ => return Err(Why::Kind),
    };
    if text(jwk, "use")?.is_some_and(|of| of != "sig") || !verifies(jwk)? {
        return Err(Why::Use);
    }
    let key = key.ok_or(Why::Numbers)?;
    if text(jwk, "alg")?.is_some_and(|of| !names_of(key.family()).contains(&of)) {
        return Err(Why::Algorithm);
    }
    let id = text(jwk, "kid")?.map(str::to_owned);
    if id.as_ref().is_some_and(|id| id.len() > MAX_ID) {
        return Err(Why::Field("kid"));
    }
    Ok(Key::new(id, key))
}

/// A field that may be left out, but may be nothing else than a text.
fn text<'a>(jwk: &'a Map<String, Value>, field: &'static str) -> Result<Option<&'a str>, Why> {
    jwk.get(field).map(|value| value.as_str().ok_or(Why::Field(field))).transpose()
}

/// Whether its operations, if it names them, are what is done here (RFC 7517, section 4.3).
fn verifies(jwk: &Map<String, Value>) -> Result<bool, Why> {
    match jwk.get("key_ops").map(Value::as_array) {
        None => Ok(true),
        Some(Some(operations)) => Ok(operations.iter().any(|operation| operation == "verify")),
        Some(None) => Err(Why::Field("key_ops")),
    }
}

/// A key of P-256, whose coordinates are complete (RFC 7518, section 6.2.1.2).
fn p256(x: &[u8], y: &[u8]) -> Option<DecodingKey> {
    let complete = x.len() == COORDINATE && y.len() == COORDINATE;
    numbers::p256(&[&[4], x, y].concat()).filter(|_| complete)
}
