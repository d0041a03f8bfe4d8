//! Where a client gets the tokens that say who it is.

use crate::transport::DialError;
use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};
use tokio::time::timeout;

type Getting = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Gets a token whenever one is needed: for each connection, and before the old one expires.
#[derive(Clone)]
pub struct TokenSource(Arc<dyn Fn() -> Getting + Send + Sync>);

impl TokenSource {
    /// Asks `get` each time. An error is what went wrong, for people.
    pub fn new<F>(get: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, String>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(get())))
    }

    /// Always this token: until it expires.
    pub fn fixed(token: impl Into<String>) -> Self {
        let token = token.into();
        Self::new(move || {
            let token = token.clone();
            async move { Ok(token) }
        })
    }

    /// A token, if it comes within this time.
    pub(crate) async fn get(self, within: Duration) -> Result<String, DialError> {
        let got = timeout(within, (self.0)()).await;
        let got = got.map_err(|_| DialError::TokenTimedOut { after: within })?;
        got.map_err(|reason| DialError::NoToken { reason })
    }
}

/// A secret is never shown.
impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSource(..)")
    }
}
