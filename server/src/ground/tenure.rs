//! How long a client may stay: until its token expires, unless it sends a fresh one, or its user is revoked.

use super::{identity::Identity, revocations::Revocations};
use driftless_proto::code::CloseCode;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A client is asked for a fresh token this long before the old one expires, or when three quarters of its
/// time are over, if that is later.
const ASK_BEFORE: Duration = Duration::from_secs(60);
/// Who could not be given one is asked again after this part of what is left, as long as more than that is
/// left.
const AGAIN_AFTER: u32 = 4;
const TOO_LATE: Duration = Duration::from_millis(500);

/// An identity for as long as it is valid.
#[derive(Debug, Clone)]
pub struct Tenure {
    identity: Arc<Identity>,
    revocations: Arc<Revocations>,
    /// The version of the revocations that was looked at last.
    looked_at: u64,
    ends: Option<Ends>,
}

/// When a tenure ends.
#[derive(Debug, Clone, Copy)]
struct Ends {
    at: Instant,
    ask_at: Instant,
    asked: bool,
}

/// What is to be done about a tenure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tenancy {
    /// Nothing.
    Goes,
    /// Ask the client for a fresh token, which has to come within this time. Said once.
    Ask(Duration),
    /// It is over.
    Over(CloseCode, &'static str),
}

impl Tenure {
    /// From now on. `unix` is the time since 1970.
    pub fn new(identity: Arc<Identity>, revocations: Arc<Revocations>, now: Instant, unix: Duration) -> Self {
        let ends = identity.expires.map(|expires| {
            let left = expires.saturating_sub(unix);
            let ask_in = left.saturating_sub(ASK_BEFORE).max(left / 4 * 3);
            // What is so far away that no clock can say it does not end.
            let at = |span| now.checked_add(span);
            at(left).zip(at(ask_in)).map(|(at, ask_at)| Ends { at, ask_at, asked: false })
        });
        // 0: whatever has been revoked meanwhile is looked at first.
        Self { identity, revocations, looked_at: 0, ends: ends.flatten() }
    }

    /// Whose it is.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// The fresh token that was asked for could not be checked: another one will be asked for.
    pub fn ask_again(&mut self, now: Instant) {
        if let Some(ends) = &mut self.ends {
            let left = ends.at.saturating_duration_since(now);
            (ends.ask_at, ends.asked) = (now + left / AGAIN_AFTER, left <= TOO_LATE);
        }
    }

    /// When it is over, unless it is renewed. None: never.
    pub fn ends_at(&self) -> Option<Instant> {
        self.ends.map(|ends| ends.at)
    }

    /// What is to be done now.
    pub fn poll(&mut self, now: Instant) -> Tenancy {
        let version = self.revocations.version();
        if self.looked_at != version {
            self.looked_at = version;
            if self.revocations.is_revoked(self.identity.user.id(), now) {
                return Tenancy::Over(CloseCode::Revoked, "the user's access was revoked");
            }
        }
        match &mut self.ends {
            Some(ends) if now >= ends.at => {
                Tenancy::Over(CloseCode::TokenExpired, "the token has expired: come back with a fresh one")
            }
            Some(ends) if now >= ends.ask_at && !ends.asked => {
                ends.asked = true;
                Tenancy::Ask(ends.at - now)
            }
            _ => Tenancy::Goes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::identity::User;

    const SECOND: Duration = Duration::from_secs(1);
    const UNIX: Duration = Duration::from_secs(1_700_000_000);

    fn tenure(valid: Option<Duration>, revocations: &Arc<Revocations>, now: Instant) -> Tenure {
        let expires = valid.map(|valid| UNIX + valid);
        let identity = Identity { expires, ..Identity::of(User::Known("ann".into())) };
        Tenure::new(identity.into(), revocations.clone(), now, UNIX)
    }

    fn code(tenancy: Tenancy) -> Option<CloseCode> {
        match tenancy {
            Tenancy::Over(code, _) => Some(code),
            _ => None,
        }
    }

    #[test]
    fn a_fresh_token_is_asked_for_once_and_in_time() {
        let now = Instant::now();
        for (valid, ask_in) in [(3600, 3540), (240, 180), (100, 75), (4, 3)] {
            let mut tenure = tenure(Some(valid * SECOND), &Arc::default(), now);
            let ask_at = now + ask_in * SECOND;
            assert_eq!(tenure.poll(ask_at - SECOND / 10), Tenancy::Goes, "{valid}");
            assert_eq!(tenure.poll(ask_at), Tenancy::Ask((valid - ask_in) * SECOND), "{valid}");
            assert_eq!(tenure.poll(ask_at + SECOND / 10), Tenancy::Goes, "{valid}");
            assert_eq!(code(tenure.poll(now + valid * SECOND)), Some(CloseCode::TokenExpired));
        }
    }

    #[test]
    fn whose_fresh_token_could_not_be_checked_is_asked_again_while_there_is_time() {
        let now = Instant::now();
        let mut tenure = tenure(Some(100 * SECOND), &Arc::default(), now);
        let (mut at, mut asked) = (now, 0);
        while at < now + 100 * SECOND {
            if let Tenancy::Ask(left) = tenure.poll(at) {
                assert_eq!(at + left, now + 100 * SECOND);
                asked += 1;
                tenure.ask_again(at);
            }
            at += SECOND / 100;
        }
        assert!((10..20).contains(&asked), "{asked}");
        assert_eq!(code(tenure.poll(at)), Some(CloseCode::TokenExpired));
    }

    #[test]
    fn what_never_expires_goes_on() {
        let now = Instant::now();
        for valid in [None, Some(Duration::MAX - UNIX)] {
            let mut tenure = tenure(valid, &Arc::default(), now);
            assert_eq!(tenure.poll(now + 1_000_000 * SECOND), Tenancy::Goes);
        }
    }

    #[test]
    fn a_revoked_user_goes_whether_revoked_before_or_after() {
        let (now, revocations) = (Instant::now(), Arc::new(Revocations::default()));
        let mut before = tenure(None, &revocations, now);
        assert_eq!(before.poll(now), Tenancy::Goes);
        revocations.revoke("bob".into(), SECOND, now);
        assert_eq!(before.poll(now), Tenancy::Goes);
        revocations.revoke("ann".into(), SECOND, now);
        assert_eq!(code(before.poll(now)), Some(CloseCode::Revoked));
        assert_eq!(code(tenure(None, &revocations, now).poll(now)), Some(CloseCode::Revoked));
        let later = now + SECOND;
        assert_eq!(tenure(None, &revocations, later).poll(later), Tenancy::Goes, "run out");
    }
}
