//! Keys that signatures of tokens are checked with. A key has one algorithm, which is that of its kind: what
//! a token says of its algorithm only has to agree.

use super::{jwk::Skipped, numbers, signatures::algorithm_of};
use crate::config::TokenSecret;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use std::fmt;

/// Shortest secret, bytes.
const MIN_SECRET: usize = TokenSecret::MIN_BYTES;
/// How a key in PEM begins.
const BEGIN: &str = "-----BEGIN ";
/// Most keys of one source.
const MAX_KEYS: usize = 100;

/// A key.
#[derive(Clone)]
pub(crate) struct Key {
    /// Its id, if its source gives it one. A token that names another is not checked with it.
    pub id: Option<String>,
    /// What it checks.
    pub algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// The keys of a source.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// Those that are used.
    pub used: Vec<Key>,
    /// Those of a set that are not.
    pub skipped: Vec<Skipped>,
}

/// Why there are no keys in a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    #[error(
        "a secret for HS256 needs at least {MIN_SECRET} bytes, this one has {0}: make one with \
         `head -c 32 /dev/urandom | base64`"
    )]
    ShortSecret(usize),
    #[error(
        "a secret for HS256 is one line of printable ASCII characters, no key and no page: make one with \
         `head -c 32 /dev/urandom | base64`"
    )]
    NoSecret,
    #[error(
        "neither a set of keys (JWKS) nor a public key in PEM; if it is a secret for HS256, write secret:FILE"
    )]
    NotPublic,
    #[error("this is a private key: the server needs the public one")]
    Private,
    #[error("not public keys for EdDSA (Ed25519), ES256 (P-256) or RS256 (RSA, 2,048 bits or more) in PEM")]
    Pem,
    #[error("not a set of keys (JWKS): {0}")]
    Jwks(String),
    #[error("none of its keys is for EdDSA (Ed25519), ES256 (P-256) or RS256 (RSA){}", listed(.0))]
    NoneUsable(Vec<Skipped>),
    #[error("more than {MAX_KEYS} keys")]
    TooMany,
}

impl Key {
    pub(super) fn new(id: Option<String>, key: DecodingKey) -> Self {
        Self { id, algorithm: algorithm_of(key.family()), key }
    }

    /// The secret for HS256 in a file; white space around it does not count. What may have come into the file
    /// by mistake, and others may know, is refused.
    pub(crate) fn read_secret(content: &[u8]) -> Result<Self, KeyError> {
        let content = content.trim_ascii();
        let public = [&b"{"[..], b"[", b"<", b"\"", b"ssh-"].iter().any(|start| content.starts_with(start))
            || content.windows(5).any(|five| five == b"-----");
        if public || !content.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return Err(KeyError::NoSecret);
        }
        Self::secret(content)
    }

    /// A secret, for HS256.
    pub(crate) fn secret(bytes: &[u8]) -> Result<Self, KeyError> {
        match bytes.len() {
            short if short < MIN_SECRET => Err(KeyError::ShortSecret(short)),
            _ => Ok(Self::new(None, DecodingKey::from_secret(bytes))),
        }
    }

    /// The public keys in a file: a JWKS, or those in PEM.
    pub(crate) fn read(content: &[u8]) -> Result<Keys, KeyError> {
        let content = content.trim_ascii();
        if content.starts_with(b"{") {
            Self::read_jwks(content)
        } else if content.windows(5).any(|five| five == b"-----") {
            Self::read_pem(content)
        } else {
            Err(KeyError::NotPublic)
        }
    }

    fn read_pem(content: &[u8]) -> Result<Keys, KeyError> {
        if content.windows(7).any(|seven| seven == b"PRIVATE") {
            return Err(KeyError::Private);
        }
        let content = str::from_utf8(content).map_err(|_| KeyError::Pem)?;
        // What is before, between and after keys is a comment.
        let keys = content.split(BEGIN).skip(1).take(MAX_KEYS + 1);
        let keys = keys.map(|text| of_pem(text).map(|key| Self::new(None, key)).ok_or(KeyError::Pem));
        match keys.collect::<Result<Vec<_>, _>>()? {
            none if none.is_empty() => Err(KeyError::Pem),
            many if many.len() > MAX_KEYS => Err(KeyError::TooMany),
            used => Ok(Keys { used, skipped: Vec::new() }),
        }
    }

    /// The keys of a set (RFC 7517, section 5). Those for other uses or of other kinds are skipped, and so
    /// are secrets: a set is there to be published.
    pub(crate) fn read_jwks(content: &[u8]) -> Result<Keys, KeyError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let Set { keys } =
            serde_json::from_slice(content).map_err(|error| KeyError::Jwks(error.to_string()))?;
        if keys.len() > MAX_KEYS {
            return Err(KeyError::TooMany);
        }
        let mut found = Keys::default();
        for key in &keys {
            match Self::of_jwk(key) {
                Ok(key) => found.used.push(key),
                Err(skipped) => found.skipped.push(skipped),
            }
        }
        if found.used.is_empty() { Err(KeyError::NoneUsable(found.skipped)) } else { Ok(found) }
    }
}

/// The key that begins with this text, [`BEGIN`] left out.
fn of_pem(text: &str) -> Option<DecodingKey> {
    let is_public = ["PUBLIC KEY-----", "RSA PUBLIC KEY-----"].iter().any(|kind| text.starts_with(kind));
    let text = is_public.then(|| format!("{BEGIN}{text}"))?;
    let text = text.as_bytes();
    if let Ok(key) = DecodingKey::from_ed_pem(text) {
        numbers::ed25519(key.try_get_as_bytes().ok()?)
    } else if let Ok(key) = DecodingKey::from_ec_pem(text) {
        numbers::p256(key.try_get_as_bytes().ok()?)
    } else {
        numbers::rsa_of_der(DecodingKey::from_rsa_pem(text).ok()?.try_get_as_bytes().ok()?)
    }
}

impl Keys {
    pub(super) fn of(key: Key) -> Self {
        Self { used: vec![key], skipped: Vec::new() }
    }
}

/// Why keys are not used, after what there is to say.
fn listed(skipped: &[Skipped]) -> String {
    skipped.iter().map(|skipped| format!("; {skipped}")).collect()
}

/// Never shows the key.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
