//! Tokens for bots, signed as a game's own login would: for a server that wants some.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::Args;
use ring::hmac;
use serde_json::{Value, json};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

/// How long tokens are valid, in addition to the planned time: machines may be slow.
const TOKENS_VALID: Duration = Duration::from_secs(600);
/// Fewest bytes of a secret (RFC 7518, section 3.2).
const MIN_SECRET: usize = 32;

/// Who the bots are.
#[derive(Debug, Clone, Default, Args)]
pub struct TokenArgs {
    /// For a server that wants tokens: a file with a secret for HS256 that is among its --token-keys
    /// (secret:FILE). Each bot comes as a user of its own.
    #[arg(long, value_name = "FILE")]
    pub token_secret: Option<PathBuf>,
}

impl TokenArgs {
    /// The tokens of a run, for this time and some more: machines may be slow.
    pub fn read(&self, run: &str, valid: Duration) -> Result<Option<Tokens>, TokensError> {
        let valid = valid + TOKENS_VALID;
        self.token_secret.as_ref().map(|secret| Tokens::read(secret, run, valid)).transpose()
    }
}

/// Makes tokens, each for a user of its own.
#[derive(Debug, Clone)]
pub struct Tokens(Arc<Signer>);

#[derive(Debug)]
struct Signer {
    key: hmac::Key,
    /// What the users' names begin with.
    run: String,
    /// Seconds since 1970.
    expires: u64,
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The file cannot be read.
    #[error("--token-secret {path}: {error}", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is no secret.
    #[error(
        "--token-secret {path}: a secret for HS256 has at least {MIN_SECRET} bytes, and is no key in PEM",
        path = .0.display()
    )]
    Secret(PathBuf),
}

impl Tokens {
    /// Tokens signed with HS256 and the secret in this file, which the server has among its `--token-keys`.
    /// The users are those of one run; the tokens are valid for this time.
    pub fn read(secret: &Path, run: &str, valid: Duration) -> Result<Self, TokensError> {
        let read = |error| TokensError::Read { path: secret.to_owned(), error };
        let content = fs::read(secret).map_err(read)?;
        // As the server reads it.
        let content = content.trim_ascii();
        if content.len() < MIN_SECRET || content.windows(5).any(|five| five == b"-----") {
            return Err(TokensError::Secret(secret.to_owned()));
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let expires = (now + valid).as_secs();
        Ok(Self::signed_with(content, run, expires))
    }

    fn signed_with(secret: &[u8], run: &str, expires: u64) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self(Arc::new(Signer { key, run: run.to_owned(), expires }))
    }

    /// That of a bot.
    pub fn of(&self, bot: usize) -> String {
        let Signer { key, run, expires } = &*self.0;
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let user = format!("{run}-{bot}");
        let message = format!(
            "{}.{}",
            part(&json!({ "alg": "HS256" })),
            // An id of its own, for a server that takes each token once.
            part(&json!({ "sub": user, "jti": user, "exp": expires }))
        );
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(key, message.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bot_has_a_token_of_its_own_that_the_secret_checks() {
        let secret = b"0123456789abcdef0123456789abcdef";
        let tokens = Tokens::signed_with(secret, "load-1", 1_700_000_000);
        for bot in [0, 7] {
            let token = tokens.of(bot);
            let (message, signature) = token.rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            hmac::verify(&key, message.as_bytes(), &signature).unwrap();
            let claims = URL_SAFE_NO_PAD.decode(message.split_once('.').unwrap().1).unwrap();
            let claims: Value = serde_json::from_slice(&claims).unwrap();
            let user = format!("load-1-{bot}");
            assert_eq!(claims, json!({ "sub": user, "jti": user, "exp": 1_700_000_000 }));
        }
    }

    #[test]
    fn what_is_no_secret_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.key");
        let read = || Tokens::read(&file, "load-1", Duration::ZERO).map(drop).map_err(|e| e.to_string());
        assert!(read().unwrap_err().contains("No such file"));
        for bad in ["short", "-----BEGIN PUBLIC KEY-----\nxxxxxxxxxxxxxxxxxxxxxxx\n-----END PUBLIC KEY-----"]
        {
            fs::write(&file, bad).unwrap();
            let error = read().unwrap_err();
            assert!(error.contains("a.key") && error.contains("HS256") && !error.contains(bad), "{error}");
        }
        fs::write(&file, "0123456789abcdef0123456789abcdef\n").unwrap();
        read().unwrap();
    }
}
