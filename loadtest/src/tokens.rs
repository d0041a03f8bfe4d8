//! Tokens for bots, signed as a game's own login would: for a server that wants some.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use clap::Args;
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use serde_json::{Value, json};
use std::{
    fmt, fs, io,
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
    /// For a server that wants tokens: the file of the key that signs them. A private key in PEM (Ed25519,
    /// P-256 or RSA), whose public key is among the server's --token-keys; or a secret for HS256 that is
    /// (secret:FILE). Each bot comes as a user of its own.
    #[arg(long, value_name = "FILE", alias = "token-secret")]
    pub token_key: Option<PathBuf>,
    /// The audience (`aud`) of these tokens, for a server with --token-audience.
    #[arg(long, value_name = "TEXT", requires = "token_key")]
    pub token_audience: Option<String>,
    /// The issuer (`iss`) of these tokens, for a server with --token-issuer.
    #[arg(long, value_name = "TEXT", requires = "token_key")]
    pub token_issuer: Option<String>,
}

impl TokenArgs {
    /// The tokens of a run, for this time and some more: machines may be slow.
    pub fn read(&self, run: &str, valid: Duration) -> Result<Option<Tokens>, TokensError> {
        let Some(path) = &self.token_key else { return Ok(None) };
        let key = Key::read(path)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (audience, issuer) = (self.token_audience.clone(), self.token_issuer.clone());
        let expires = (now + valid + TOKENS_VALID).as_secs();
        Ok(Some(Tokens(Arc::new(Signer { key, run: run.to_owned(), audience, issuer, expires }))))
    }
}

/// Makes tokens, each for a user of its own.
#[derive(Debug, Clone)]
pub struct Tokens(Arc<Signer>);

#[derive(Debug)]
struct Signer {
    key: Key,
    /// What the users' names begin with.
    run: String,
    audience: Option<String>,
    issuer: Option<String>,
    /// Seconds since 1970.
    expires: u64,
}

/// What signs, by its algorithm (RFC 7518, section 3.1; RFC 8037).
enum Key {
    Hs256(hmac::Key),
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The file cannot be read.
    #[error("--token-key {path}: {error}", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It signs nothing.
    #[error(
        "--token-key {path}: neither a secret for HS256, of at least {MIN_SECRET} bytes, nor a private key for EdDSA \
         (Ed25519), ES256 (P-256) or RS256 (RSA) in PEM (PKCS #8)",
        path = .0.display()
    )]
    Key(PathBuf),
}

impl Tokens {
    /// That of a bot.
    pub fn of(&self, bot: usize) -> String {
        let Signer { key, run, audience, issuer, expires } = &*self.0;
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let user = format!("{run}-{bot}");
        // An id of its own, for a server that takes each token once.
        let mut says = json!({ "sub": user, "jti": user, "exp": expires });
        for (claim, text) in [("aud", audience), ("iss", issuer)] {
            if let Some(text) = text {
                says[claim] = text.as_str().into();
            }
        }
        let message = format!("{}.{}", part(&json!({ "alg": key.algorithm() })), part(&says));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

impl Key {
    fn read(path: &Path) -> Result<Self, TokensError> {
        let content = fs::read(path).map_err(|error| TokensError::Read { path: path.to_owned(), error })?;
        // As the server reads it.
        let content = content.trim_ascii();
        let key = if content.windows(5).any(|five| five == b"-----") {
            pkcs8(content).and_then(|der| Self::private(&der))
        } else {
            (content.len() >= MIN_SECRET).then(|| Self::Hs256(hmac::Key::new(hmac::HMAC_SHA256, content)))
        };
        key.ok_or_else(|| TokensError::Key(path.to_owned()))
    }

    fn private(der: &[u8]) -> Option<Self> {
        let es256 = || {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new());
            pair.ok().map(Self::Es256)
        };
        let rs256 = || RsaKeyPair::from_pkcs8(der).ok().map(Self::Rs256);
        let ed25519 = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok().map(Self::EdDsa);
        ed25519.or_else(es256).or_else(rs256)
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Hs256(_) => "HS256",
            Self::EdDsa(_) => "EdDSA",
            Self::Es256(_) => "ES256",
            Self::Rs256(_) => "RS256",
        }
    }

    /// Empty if the system has no randomness: then the server says what is wrong.
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Hs256(key) => hmac::sign(key, message).as_ref().to_vec(),
            Self::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Es256(pair) => pair.sign(&random, message).map_or(Vec::new(), |s| s.as_ref().to_vec()),
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature);
                signed.map_or(Vec::new(), |()| signature)
            }
        }
    }
}

/// Never shows the key.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.algorithm())
    }
}

/// What is between the two lines of a private key in PEM (RFC 7468, section 10).
fn pkcs8(content: &[u8]) -> Option<Vec<u8>> {
    let text = str::from_utf8(content).ok()?;
    let (_, key) = text.split_once("-----BEGIN PRIVATE KEY-----")?;
    let (key, _) = key.split_once("-----END PRIVATE KEY-----")?;
    STANDARD.decode(key.split_whitespace().collect::<String>()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{self, KeyPair, UnparsedPublicKey};

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn args(key: &Path) -> TokenArgs {
        TokenArgs { token_key: Some(key.to_owned()), ..TokenArgs::default() }
    }

    fn parts(token: &str) -> (Value, Value, Vec<u8>) {
        let parts: Vec<_> = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
        let value = |n: usize| serde_json::from_slice(&parts[n]).unwrap();
        (value(0), value(1), parts[2].clone())
    }

    #[test]
    fn each_bot_has_a_token_of_its_own_that_the_secret_checks() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.key");
        fs::write(&file, format!("{SECRET}\n")).unwrap();
        let args = TokenArgs {
            token_audience: Some("game".to_owned()),
            token_issuer: Some("https://id".to_owned()),
            ..args(&file)
        };
        let tokens = args.read("load-1", Duration::ZERO).unwrap().unwrap();
        for bot in [0, 7] {
            let token = tokens.of(bot);
            let (head, says, signature) = parts(&token);
            let (message, _) = token.rsplit_once('.').unwrap();
            let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
            hmac::verify(&key, message.as_bytes(), &signature).unwrap();
            let user = format!("load-1-{bot}");
            let exp = &says["exp"];
            assert_eq!(head, json!({ "alg": "HS256" }));
            assert_eq!(
                says,
                json!({ "sub": user, "jti": user, "exp": exp, "aud": "game", "iss": "https://id" })
            );
        }
    }

    #[test]
    fn a_private_key_signs_with_its_own_algorithm() {
        let random = SystemRandom::new();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.pem");
        let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        for (der, algorithm) in [(ed.as_ref(), "EdDSA"), (ec.as_ref(), "ES256")] {
            let pem = STANDARD.encode(der);
            let pem = format!("-----BEGIN PRIVATE KEY-----\n{pem}\n-----END PRIVATE KEY-----\n");
            fs::write(&file, pem).unwrap();
            let token = args(&file).read("load-1", Duration::ZERO).unwrap().unwrap().of(3);
            let (head, says, signature) = parts(&token);
            assert_eq!((&head["alg"], &says["sub"]), (&json!(algorithm), &json!("load-1-3")));
            let message = token.rsplit_once('.').unwrap().0.as_bytes();
            let checked = match Key::private(der).unwrap() {
                Key::EdDsa(pair) => {
                    UnparsedPublicKey::new(&signature::ED25519, pair.public_key()).verify(message, &signature)
                }
                Key::Es256(pair) => {
                    UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, pair.public_key())
                        .verify(message, &signature)
                }
                other => panic!("{other:?}"),
            };
            checked.unwrap();
        }
    }

    #[test]
    fn what_is_no_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.key");
        let read = || args(&file).read("load-1", Duration::ZERO).map(drop).map_err(|e| e.to_string());
        assert!(read().unwrap_err().contains("No such file"));
        for bad in ["short", "-----BEGIN PUBLIC KEY-----\nxxxxxxxxxxxxxxxxxxxxxxx\n-----END PUBLIC KEY-----"]
        {
            fs::write(&file, bad).unwrap();
            let error = read().unwrap_err();
            assert!(error.contains("a.key") && error.contains("HS256") && !error.contains(bad), "{error}");
        }
        fs::write(&file, format!("{SECRET}\n")).unwrap();
        read().unwrap();
    }
}
