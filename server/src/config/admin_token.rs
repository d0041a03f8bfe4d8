//! The operators' secret.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use std::{fmt, io};
use subtle::ConstantTimeEq;

/// The secret that operators send. Stored as its SHA-256, so that neither the comparison nor a debug print
/// reveals its length.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken([u8; 32]);

/// Random bytes of a token that the server makes.
const RANDOM_BYTES: usize = 24;

impl AdminToken {
    /// Shortest admin token, bytes.
    pub const MIN_BYTES: usize = 16;

    /// The token in a text. None: it is too short, or has characters that do not fit in a header.
    pub fn new(text: &str) -> Option<Self> {
        let fits = text.len() >= Self::MIN_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(sha256(text.as_bytes())))
    }

    /// A token that nobody can guess, and its text.
    ///
    /// # Errors
    /// If the system has no random bytes.
    pub fn random() -> io::Result<(Self, String)> {
        let mut bytes = [0; RANDOM_BYTES];
        getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
        let text = URL_SAFE_NO_PAD.encode(bytes);
        Ok((Self(sha256(text.as_bytes())), text))
    }

    /// Whether `sent` is this token. Takes the same time for every text.
    pub fn is(&self, sent: &[u8]) -> bool {
        self.0.ct_eq(&sha256(sent)).into()
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(…)")
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::AdminToken;

    #[test]
    fn a_token_is_long_and_never_shown() {
        assert_eq!(AdminToken::new("0123456789abcde"), None);
        assert_eq!(AdminToken::new("0123456789abcde f"), None);
        assert_eq!(format!("{:?}", AdminToken::new("0123456789abcdef")), "Some(AdminToken(…))");
    }

    #[test]
    fn a_random_token_is_its_text_and_another_each_time() {
        let (token, text) = AdminToken::random().unwrap();
        assert_eq!(AdminToken::new(&text), Some(token));
        assert_ne!(text, AdminToken::random().unwrap().1);
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "fits a URL");
    }
}
