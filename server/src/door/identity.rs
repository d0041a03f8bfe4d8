//! Who a client is: found out from the token that it shows, and never from what it says of itself.
//!
//! ```text
//!  WebSocket, WebTransport: headers, subprotocols, query ─┐
//!  QUIC: join, resume                                     ├─► Knock ─► Authenticator ─► Identity, or Denied
//!  any: a fresh token, before the old one expires         ┘               │
//!                                                 keys ◄── files, addresses of JWKS
//! ```
//!
//! | part | what |
//! | --- | --- |
//! | [`token`] | from bytes, keys and the time to an identity: pure |
//! | [`keys`], [`jwk`], [`signatures`] | what a signature is checked with |
//! | [`source`], [`cache`], [`keyring`] | where keys come from, when they are read again, the threads that do it |
//! | [`knock`] | what a client shows, and why it is not let in |
//! | [`sign`](sign()) | signs tokens, for `driftless token` |
//!
//! Without a token a client is a guest, if there are guests. A program can replace all of this with a scheme
//! of its own: [`Server::authenticate`](crate::Server::authenticate).

mod cache;
#[cfg(any(test, fuzzed))]
mod fuzz;
mod jwk;
mod keyring;
mod keys;
mod knock;
mod name;
mod numbers;
mod sign;
mod signatures;
mod source;
mod token;

#[cfg(any(test, fuzzed))]
pub(crate) use fuzz::fuzz_token;
pub(crate) use knock::TOKEN_PROTOCOL;
pub use knock::{Denied, Knock};
pub(crate) use sign::{Says, sign};

use crate::{
    clock::{self, time_of_day},
    config::Config,
    ground::{
        identity::{Identity, User},
        key_source::KeySource,
        once::{self, OnceTokens, Reserved, Times},
        revocations::Revocations,
    },
    health::{Health, Matters},
};
use cache::Pace;
use driftless_proto::names::GUEST;
use futures_util::future::LocalBoxFuture;
use keyring::Keyring;
use keys::Key;
use std::{io, sync::Arc, time::Duration};
use token::{MAX_ID, Rules, TokenError, is_user_id, verify};
use tokio::time::timeout;

/// Time limit of a program's own scheme.
const OWN_LIMIT: Duration = Duration::from_secs(5);

/// A program's own way to find out who a client is.
pub(crate) type OwnScheme =
    Arc<dyn Fn(Knock) -> LocalBoxFuture<'static, Result<Identity, Denied>> + Send + Sync>;

/// Finds out who clients are.
pub(crate) struct Authenticator {
    scheme: Scheme,
    once: Arc<OnceTokens>,
    /// How long a token is remembered that says no end.
    lifetime: Duration,
    revocations: Arc<Revocations>,
}

/// How it is found out.
enum Scheme {
    /// Signed tokens.
    Tokens {
        /// What they are checked with. None: there are no keys, and no tokens.
        keyring: Option<Arc<Keyring>>,
        /// What else they must be like.
        rules: Rules,
        /// Whether clients may come without one.
        guests: bool,
    },
    /// The program's own.
    Own(OwnScheme),
}

impl Authenticator {
    /// As configured, or with the program's own scheme. Reads the keys that are in files.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn open(config: &Config, own: Option<OwnScheme>) -> Result<Self, String> {
        signatures::install();
        let scheme = match own {
            Some(own) => Scheme::Own(own),
            None => Scheme::Tokens {
                keyring: config.has_token_keys().then(|| open_keys(config)).transpose()?,
                rules: Rules {
                    audience: config.token_audience.clone(),
                    issuer: config.token_issuer.clone(),
                    role: config.token_role.clone(),
                    leeway: config.token_leeway,
                    lifetime: config.token_lifetime,
                    once: config.token_once,
                },
                guests: config.takes_guests(),
            },
        };
        let lifetime = config.token_lifetime;
        Ok(Self { scheme, once: Arc::default(), lifetime, revocations: Arc::default() })
    }

    /// Has keys read again from now on, and `health` know how that goes.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start(&self, health: &Health) -> io::Result<()> {
        match &self.scheme {
            Scheme::Tokens { keyring: Some(keyring), guests, .. } => {
                let matters = if *guests { Matters::ToOperators } else { Matters::ToNewcomers };
                keyring.start(health, matters)
            }
            Scheme::Tokens { keyring: None, .. } | Scheme::Own(_) => Ok(()),
        }
    }

    /// Has keys read again now, whatever their time.
    pub(crate) fn read_keys(&self) {
        if let Scheme::Tokens { keyring: Some(keyring), .. } = &self.scheme {
            keyring.read_all();
        }
    }

    /// The number of keys. None: players are known in the program's own way.
    pub(crate) fn keys(&self) -> Option<usize> {
        match &self.scheme {
            Scheme::Tokens { keyring, .. } => {
                Some(keyring.as_ref().map_or(0, |keyring| keyring.keys().len()))
            }
            Scheme::Own(_) => None,
        }
    }

    /// The tokens that may be used once only. None: all may be used more often.
    pub(crate) fn once(&self) -> Option<&Arc<OnceTokens>> {
        let often = matches!(&self.scheme, Scheme::Tokens { rules: Rules { once: false, .. }, .. });
        (!often).then_some(&self.once)
    }

    /// Whether anybody can have this id, as far as can be known: a program that finds out in its own way who
    /// clients are calls them what it likes.
    pub(crate) fn may_be_user(&self, id: &str) -> bool {
        let is_text = || (1..=MAX_ID).contains(&id.len()) && !id.chars().any(char::is_control);
        match &self.scheme {
            Scheme::Tokens { .. } => is_user_id(id) || id.strip_prefix(GUEST).is_some_and(is_user_id),
            Scheme::Own(_) => is_text() && !id.trim().is_empty(),
        }
    }

    /// The users that are revoked.
    pub(crate) fn revocations(&self) -> &Arc<Revocations> {
        &self.revocations
    }

    /// Whether it costs something to find out who this is.
    pub(super) fn takes_effort(&self, knock: &Knock) -> bool {
        match &self.scheme {
            Scheme::Tokens { keyring, .. } => keyring.is_some() && knock.token.is_some(),
            Scheme::Own(_) => true,
        }
    }

    /// Who this is, and whether it may come in at all, and into the room that it names, if it names one.
    pub(crate) async fn identify(&self, knock: Knock) -> Result<Identity, Denied> {
        let (room, kind) = (knock.room.clone(), knock.kind.clone());
        let identity = match &self.scheme {
            Scheme::Tokens { keyring, rules, guests } => match (&knock.token, keyring) {
                (Some(token), Some(keyring)) => by_token(token, keyring, rules).await?,
                // Nobody can check it, so it says nothing.
                (Some(_), None) | (None, _) if *guests => guest()?,
                (Some(_), None) => return Err(Denied::unavailable("this server has no keys for tokens")),
                (None, _) => {
                    return Err(Denied::unauthenticated("this server wants a token").named("no_token"));
                }
            },
            Scheme::Own(scheme) => timeout(OWN_LIMIT, scheme(knock))
                .await
                .unwrap_or_else(|_| Err(Denied::unavailable("it took too long to find out who this is")))?,
        };
        self.check_revoked(&identity.user)?;
        may_enter(&identity, room.as_deref(), kind.as_deref())?;
        Ok(identity)
    }

    /// Reserves a token that may be used once only, for a new seat. None: it may be used more often.
    pub(crate) fn reserve(&self, identity: &Identity) -> Result<Option<Reserved>, Denied> {
        let Some(id) = &identity.once else { return Ok(None) };
        let now = now();
        let expires = identity.expires.unwrap_or(now.unix.saturating_add(self.lifetime));
        if expires <= now.unix {
            // It would be forgotten at once, and be good again.
            return Err(Denied::unauthenticated("the token has expired").named("token_expired"));
        }
        self.once.reserve(id, expires, now).map(Some).map_err(Denied::from)
    }

    fn check_revoked(&self, user: &User) -> Result<(), Denied> {
        if self.revocations.is_revoked(user.id(), clock::now()) {
            return Err(Denied::forbidden(format!("the access of {user} was revoked")).named("revoked"));
        }
        Ok(())
    }
}

impl From<once::TokenRefused> for Denied {
    fn from(refused: once::TokenRefused) -> Self {
        match refused {
            once::TokenRefused::Again => {
                Denied::unauthenticated("the token was used before").named("token_used")
            }
            once::TokenRefused::Meanwhile => {
                Denied::unavailable("another join is using the token").named("token_in_use")
            }
            once::TokenRefused::Full => Denied::unavailable("too many tokens were used: try again"),
            once::TokenRefused::Unknown => {
                Denied::unavailable("nobody knows whether the token was used at another node: try again")
            }
        }
    }
}

/// Whether somebody may enter a room with this name and of this kind, as far as they are known.
pub(crate) fn may_enter(identity: &Identity, room: Option<&str>, kind: Option<&str>) -> Result<(), Denied> {
    let Identity { user, entry, .. } = identity;
    if let Some(room) = room.filter(|room| !entry.allows_room(room)) {
        return Err(Denied::forbidden(format!("{user} may not enter room {room:?}")).named("room_forbidden"));
    }
    if let Some(kind) = kind.filter(|kind| !kind.is_empty() && !entry.allows_kind(kind)) {
        return Err(
            Denied::forbidden(format!("{user} may not enter rooms of kind {kind:?}")).named("kind_forbidden")
        );
    }
    Ok(())
}

/// What is wrong with the files of keys.
pub(crate) fn unusable_keys(config: &Config) -> Vec<String> {
    let files = config.token_keys.iter().filter(|source| !matches!(source, KeySource::Url(_)));
    files.filter_map(|source| Some(format!("{source}: {}", source::read(source).err()?))).collect()
}

/// The addresses of keys that give none now, and why. Asks all, with a limit.
pub(crate) fn unreachable_keys(config: &Config) -> Vec<String> {
    let addresses = config.token_keys.iter().filter(|source| matches!(source, KeySource::Url(_)));
    addresses
        .filter_map(|source| Some(format!("token_keys: {source}: {}", source::read(source).err()?)))
        .collect()
}

fn open_keys(config: &Config) -> Result<Arc<Keyring>, String> {
    let secret = config.token_secret.as_ref().map(|secret| Key::secret(secret.bytes()));
    let secret = secret.transpose().map_err(|error| error.to_string())?;
    let pace = Pace { refresh: config.keys_refresh, stale: config.keys_stale };
    let opened = Keyring::open(secret, &config.token_keys, pace);
    opened.map_err(|(source, error)| format!("{source}: {error}"))
}

async fn by_token(token: &str, keyring: &Keyring, rules: &Rules) -> Result<Identity, Denied> {
    let mut asked = None;
    loop {
        let keys = keyring.keys();
        // The issuer may have a new key, which may have the name of an old one, or none.
        let error = match verify(token, &keys, rules, time_of_day()) {
            Err(error @ (TokenError::UnknownKey | TokenError::Signature)) => error,
            known => return Ok(known?),
        };
        let asked = asked.get_or_insert_with(|| keyring.ask());
        if asked.next().await {
            continue;
        }
        if keys.is_empty() {
            return Err(Denied::unavailable("the keys for tokens cannot be had at present"));
        }
        return Err(match (error, asked.next_in()) {
            (TokenError::UnknownKey, Some(wait)) => {
                Denied::unavailable("the key of the token is not known, and cannot be asked for now")
                    .until(wait)
            }
            (error, _) => error.into(),
        });
    }
}

fn guest() -> Result<Identity, Denied> {
    Identity::guest().map_err(|error| Denied::unavailable(format!("no random bytes: {error}")))
}

/// Now, by both clocks.
pub(crate) fn now() -> Times {
    Times { now: clock::now(), unix: time_of_day() }
}

#[cfg(test)]
mod tests {
    use super::*;

    // One that says no end could be used again and again, and one that has ended would be forgotten at once.
    #[test]
    fn nobody_is_called_what_no_token_can_call_a_user() {
        let tokens = Authenticator::open(&Config::default(), None).unwrap();
        let own: OwnScheme = Arc::new(|_| Box::pin(async { guest() }));
        let own = Authenticator::open(&Config::default(), Some(own)).unwrap();
        for (id, by_token, by_program) in [
            ("ann|7", true, true),
            ("guest-0a1b", true, true),
            ("Ann Müller", false, true),
            ("", false, false),
            (" ", false, false),
            ("a\0", false, false),
            ("guest-", false, true),
            ("npc-1", false, true),
            (&"x".repeat(255), true, true),
            (&"x".repeat(256), false, false),
        ] {
            assert_eq!((tokens.may_be_user(id), own.may_be_user(id)), (by_token, by_program), "{id:?}");
        }
    }

    #[test]
    fn a_token_without_an_end_is_used_once_and_one_that_has_ended_never() {
        let authenticator = Authenticator::open(&Config::default(), None).unwrap();
        let reserve = |expires| {
            let user = User::Known("ann".into());
            let identity = Identity { once: Some("a".into()), expires, ..Identity::of(user) };
            authenticator.reserve(&identity).map_err(|denied| denied.to_string())
        };
        reserve(None).unwrap().unwrap().use_up();
        assert_eq!(reserve(None).unwrap_err(), "the token was used before");
        let ended = Some(time_of_day() - Duration::from_secs(1));
        assert_eq!(reserve(ended).unwrap_err(), "the token has expired");
    }
}
