//! Signs tokens, for development: a game's own login does it in production.

use super::{
    keys::{Key, KeyError},
    signatures::{self, algorithm_of},
    token::{Claims, OneOrMany, ROLE, Rules, TokenError, TopicClaims},
};
use crate::clock::time_of_day;
use jsonwebtoken::{EncodingKey, Header, encode};
use std::time::Duration;

/// What a token is to say.
#[derive(Debug, Default, Clone)]
pub(crate) struct Says {
    pub user: String,
    pub name: Option<String>,
    pub rooms: Vec<String>,
    pub kind: Option<String>,
    pub role: Option<String>,
    /// Topics to read, and to write.
    pub topics: (Vec<String>, Vec<String>),
    /// Users to find.
    pub presence: Vec<String>,
    pub audience: Option<String>,
    pub issuer: Option<String>,
    pub id: Option<String>,
    pub expires_in: Duration,
}

/// Why no token is signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    #[error("{0}")]
    Secret(KeyError),
    #[error("not a private key for EdDSA (Ed25519), ES256 (P-256) or RS256 (RSA) in PEM (PKCS #8)")]
    Pem,
    #[error("no server would take it: {0}")]
    Token(#[from] TokenError),
    #[error("it cannot be signed: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// A token, signed with a private key in PEM or a secret for HS256.
pub(crate) fn sign(says: Says, key: &[u8]) -> Result<String, SignError> {
    signatures::install();
    let key = signing_key(key.trim_ascii())?;
    let now = time_of_day();
    let rules = Rules {
        audience: says.audience.clone(),
        issuer: says.issuer.clone(),
        role: ROLE.to_owned(),
        leeway: Duration::ZERO,
        lifetime: Duration::MAX,
        once: false,
    };
    let some = |texts: Vec<String>| (!texts.is_empty()).then_some(OneOrMany::Many(texts));
    let topics = TopicClaims { read: some(says.topics.0), write: some(says.topics.1) };
    let claims = Claims {
        sub: Some(says.user),
        name: says.name,
        room: some(says.rooms),
        kind: says.kind,
        role: says.role,
        presence: some(says.presence),
        topics: (topics.read.is_some() || topics.write.is_some()).then_some(topics),
        exp: Some(now.saturating_add(says.expires_in).as_secs().into()),
        nbf: None,
        aud: says.audience.map(OneOrMany::One),
        iss: says.issuer,
        jti: says.id,
    };
    rules.identity(claims.clone(), now)?;
    Ok(encode(&Header::new(algorithm_of(key.family())), &claims, &key)?)
}

fn signing_key(content: &[u8]) -> Result<EncodingKey, SignError> {
    if !content.windows(5).any(|five| five == b"-----") {
        Key::read_secret(content).map_err(SignError::Secret)?;
        return Ok(EncodingKey::from_secret(content));
    }
    if !content.ends_with(b"PRIVATE KEY-----") {
        return Err(SignError::Pem);
    }
    let key = EncodingKey::from_ed_pem(content)
        .or_else(|_| EncodingKey::from_ec_pem(content))
        .or_else(|_| EncodingKey::from_rsa_pem(content));
    key.map_err(|_| SignError::Pem)
}
