//! Tokens, as a game's own login server signs them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use driftless_server::config::{Config, TokenSecret};
use ring::hmac;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

pub const SECRET: &str = "a secret of a test, long enough: 32+";

/// With the key of these tokens. Nobody comes without one.
pub fn config() -> Config {
    Config { token_secret: TokenSecret::new(SECRET), ..super::config() }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// A token of `user`, valid for an hour.
pub fn token(user: &str) -> String {
    token_with(user, json!({}))
}

/// The same with more claims, or others.
pub fn token_with(user: &str, more: Value) -> String {
    let mut claims = json!({ "sub": user, "exp": now() + 3600 });
    for (key, value) in more.as_object().unwrap() {
        claims[key] = value.clone();
    }
    sign(&claims)
}

pub fn sign(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(&json!({ "alg": "HS256", "typ": "JWT" })), part(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes())))
}
