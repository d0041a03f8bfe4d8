//! Tokens and keys.

use super::{
    keys::Key,
    signatures::install,
    token::{ROLE, Rules, verify},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use std::time::Duration;

const SECRET: &[u8] = b"a secret that is long enough, 32+";
const NOW: Duration = Duration::from_secs(1_700_000_000);

/// A token; the claims of one that is signed; a file of keys.
pub(crate) fn fuzz_token(bytes: &[u8]) {
    install();
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let rules = Rules {
        audience: None,
        issuer: None,
        role: ROLE.to_owned(),
        leeway: Duration::from_secs(5),
        lifetime: Duration::from_secs(100_000),
        once: kind & 4 != 0,
    };
    let keys = Key::secret(SECRET).into_iter().collect::<Vec<_>>();
    let token = match kind % 3 {
        0 => {
            if let Ok(keys) = Key::read(bytes) {
                let _ = verify("eyJhbGciOiJFZERTQSJ9.e30.AAAA", &keys.used, &rules, NOW);
            }
            return;
        }
        1 => String::from_utf8_lossy(bytes).into_owned(),
        _ => {
            let head = br#"{"alg":"HS256","typ":"JWT"}"#;
            let said = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(bytes));
            let signed = crypto::sign(said.as_bytes(), &EncodingKey::from_secret(SECRET), Algorithm::HS256);
            format!("{said}.{}", signed.unwrap_or_default())
        }
    };
    if let Ok(identity) = verify(&token, &keys, &rules, NOW) {
        assert!(!identity.user.is_guest(), "a token never makes somebody a guest");
        assert!(identity.expires.is_some_and(|expires| expires + rules.leeway >= NOW), "it has expired");
    }
}
