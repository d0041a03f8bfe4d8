//! The secret that signs tokens, if it is not in a file of its own.

use std::fmt;

/// A secret for HS256.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenSecret(Vec<u8>);

impl TokenSecret {
    /// Shortest secret, bytes (RFC 7518, section 3.2).
    pub const MIN_BYTES: usize = 32;

    /// The secret in a text. None: it is too short.
    pub fn new(text: &str) -> Option<Self> {
        (text.len() >= Self::MIN_BYTES).then(|| Self(text.as_bytes().to_vec()))
    }

    /// The secret.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A secret is never shown.
impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::TokenSecret;

    #[test]
    fn a_secret_is_long_and_never_shown() {
        assert_eq!(TokenSecret::new(&"x".repeat(31)), None);
        assert_eq!(format!("{:?}", TokenSecret::new(&"x".repeat(32))), "Some(TokenSecret(…))");
    }
}
