//! Who comes to the seats that are kept for them. Seats that are kept for somebody are nobody else's, and a
//! match of which one does not come is spoilt for all the others: so each user has as many at a time as one
//! party may have, and whoever lets them run out waits before asking again, longer each time. The same is
//! said of addresses, because guests cost nothing; but an address may be that of many, and is allowed more.
//!
//! This is what one server knows, and the model of what several know together in Redis.

use super::desks::DeskAway;
use crate::ground::{api_error::ApiError, reservation::ReservationToken, source::Source};
use actix_web::http::StatusCode;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

/// Time after the seats of a party are free again in which its players still count as having come, who may
/// have come at the last moment, or a little late.
pub(super) const GRACE_MS: u64 = if cfg!(test) { 0 } else { 5_000 };
/// How long somebody waits who has let seats run out. It doubles each time.
pub(super) const FIRST_MS: u64 = 10_000;
/// The longest that anybody waits.
pub(super) const LONGEST_MS: u64 = 3_600_000;
/// How long it is remembered after that.
pub(super) const REMEMBERED_MS: u64 = 3_600_000;
/// How often the players of an address may have let seats run out, more often than they have come, before
/// that matters: there may be many.
pub(super) const OF_A_SOURCE: u32 = 8;

/// Who has asked for seats.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Who {
    /// None: a guest.
    pub(super) user: Option<Arc<str>>,
    /// From where. None: it does not matter.
    pub(super) source: Option<Source>,
}

/// Seats that are kept for those who have asked together. The first of its tokens names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Party {
    pub(super) who: Who,
    pub(super) tokens: Vec<ReservationToken>,
}

/// Why no seats are kept for somebody now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotNow {
    #[error("seats are kept for you already, as many as one party may have: take those first")]
    Expected(Duration),
    #[error(
        "seats that were kept for you, or for others from your address, were not taken: wait for a while"
    )]
    Missed(Duration),
}

/// Those who are expected, and those who did not come.
#[derive(Debug, Default)]
pub(super) struct Attendance {
    /// By their first tokens.
    parties: HashMap<ReservationToken, Expected>,
    of_tokens: HashMap<ReservationToken, ReservationToken>,
    of_users: HashMap<Arc<str>, BTreeSet<ReservationToken>>,
    /// By when they must have come, milliseconds.
    due: BTreeSet<(u64, ReservationToken)>,
    records: HashMap<Key, Record>,
    /// When records were looked through last, milliseconds.
    swept_ms: u64,
}

#[derive(Debug)]
struct Expected {
    party: Party,
    until_ms: u64,
}

/// Of whom something is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    User(Arc<str>),
    Source(Source),
}

/// How often seats were not taken, more often than others were, and until when that keeps from more.
#[derive(Debug, Clone, Copy, Default)]
struct Record {
    missed: u32,
    until_ms: u64,
}

impl Who {
    /// A user, if it is none, from somewhere. Loopback is not limited (see [`Source::is_loopback`]).
    pub(super) fn new(user: Option<Arc<str>>, source: Option<Source>) -> Self {
        Self { user, source: source.filter(|source| !source.is_loopback()) }
    }

    fn keys(&self) -> impl Iterator<Item = Key> {
        let user = self.user.clone().map(Key::User);
        user.into_iter().chain(self.source.map(Key::Source))
    }
}

impl Key {
    /// How often it may let seats run out before that matters.
    fn allowed(&self) -> u32 {
        match self {
            Key::User(_) => 0,
            Key::Source(_) => OF_A_SOURCE,
        }
    }
}

impl Attendance {
    /// Whether somebody who asks may have so many seats more, if a user may have `most` at a time.
    pub(super) fn check(&mut self, now_ms: u64, who: &Who, more: u32, most: u32) -> Result<(), NotNow> {
        self.sweep(now_ms);
        if let Some(parties) = who.user.as_ref().and_then(|user| self.of_users.get(user)) {
            let parties = parties.iter().filter_map(|first| self.parties.get(first));
            let (mut seats, mut until_ms) = (0, 0);
            for Expected { party, until_ms: until } in parties {
                seats += party.tokens.len() as u32;
                until_ms = until_ms.max(*until);
            }
            if seats + more > most {
                return Err(NotNow::Expected(Duration::from_millis(until_ms.saturating_sub(now_ms))));
            }
        }
        let until = who.keys().filter_map(|key| Some(self.records.get(&key)?.until_ms)).max().unwrap_or(0);
        match until.checked_sub(now_ms) {
            None | Some(0) => Ok(()),
            Some(left) => Err(NotNow::Missed(Duration::from_millis(left))),
        }
    }

    /// The players of a party have this long to come.
    pub(super) fn expect(&mut self, now_ms: u64, party: Party, lasts_ms: u64) {
        let (Some(first), until_ms) = (party.tokens.first().copied(), now_ms + lasts_ms + GRACE_MS) else {
            return;
        };
        if party.who == Who::default() {
            return;
        }
        self.of_tokens.extend(party.tokens.iter().map(|token| (*token, first)));
        if let Some(user) = &party.who.user {
            self.of_users.entry(user.clone()).or_default().insert(first);
        }
        self.due.insert((until_ms, first));
        self.parties.insert(first, Expected { party, until_ms });
    }

    /// Nobody is expected any more, because no seats are kept.
    pub(super) fn forget(&mut self, first: ReservationToken) {
        self.remove(first);
    }

    /// Somebody has taken a seat. What else is kept for the same user, who has asked more than once, nobody
    /// need come for.
    pub(super) fn came(&mut self, token: ReservationToken) {
        let Some(party) = self.of_tokens.get(&token).copied().and_then(|first| self.remove(first)) else {
            return;
        };
        for key in party.who.keys() {
            if let Some(record) = self.records.get_mut(&key) {
                record.missed = record.missed.saturating_sub(1);
            }
        }
        let others = party.who.user.and_then(|user| self.of_users.get(&user).cloned()).unwrap_or_default();
        others.into_iter().for_each(|first| drop(self.remove(first)));
    }

    fn sweep(&mut self, now_ms: u64) {
        while let Some((_, first)) = self.due.first().copied().filter(|(until_ms, _)| *until_ms <= now_ms) {
            let Some(party) = self.remove(first) else { continue };
            party.who.keys().for_each(|key| self.missed(now_ms, key));
        }
        if now_ms.saturating_sub(self.swept_ms) > REMEMBERED_MS / 60 {
            self.swept_ms = now_ms;
            self.records.retain(|_, record| record.until_ms + REMEMBERED_MS > now_ms);
        }
    }

    fn missed(&mut self, now_ms: u64, key: Key) {
        let allowed = key.allowed();
        let record = self.records.entry(key).or_default();
        if record.until_ms + REMEMBERED_MS <= now_ms {
            record.missed = 0;
        }
        record.missed += 1;
        let aside_ms = match record.missed.checked_sub(allowed + 1) {
            None => 0,
            Some(times) => FIRST_MS.saturating_mul(1 << times.min(20)).min(LONGEST_MS),
        };
        record.until_ms = now_ms + aside_ms;
    }

    fn remove(&mut self, first: ReservationToken) -> Option<Party> {
        let Expected { party, until_ms } = self.parties.remove(&first)?;
        self.due.remove(&(until_ms, first));
        for token in &party.tokens {
            self.of_tokens.remove(token);
        }
        if let Some(user) = &party.who.user
            && let Some(parties) = self.of_users.get_mut(user)
        {
            parties.remove(&first);
            if parties.is_empty() {
                self.of_users.remove(user);
            }
        }
        Some(party)
    }
}

impl From<NotNow> for ApiError {
    fn from(error: NotNow) -> Self {
        let (code, wait) = match error {
            NotNow::Expected(wait) => ("seats_waiting", wait),
            NotNow::Missed(wait) => ("seats_missed", wait),
        };
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, error.to_string()).retry_after(wait)
    }
}

/// Why it is unknown whether somebody may ask, or that nobody may.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAsked {
    #[error(transparent)]
    NotNow(#[from] NotNow),
    #[error(transparent)]
    Away(#[from] DeskAway),
}

#[cfg(test)]
mod tests {
    use super::*;

    const LASTS: u64 = 10_000;

    fn party(user: Option<&str>, from: &str, seats: u32) -> Party {
        let source = Source::of(from.parse().unwrap());
        let tokens = (0..seats).map(|_| ReservationToken::random().unwrap()).collect();
        Party { who: Who::new(user.map(Into::into), Some(source)), tokens }
    }

    /// Seats of a party are kept, and nobody comes. Returns when that is known.
    fn misses(attendance: &mut Attendance, now: u64, party: &Party) -> u64 {
        attendance.expect(now, party.clone(), LASTS);
        now + LASTS + GRACE_MS
    }

    fn aside(attendance: &mut Attendance, now: u64, who: &Who) -> Option<u64> {
        match attendance.check(now, who, 0, 0) {
            Err(NotNow::Missed(left)) => Some(left.as_millis() as u64),
            other => other.map(|()| None).unwrap(),
        }
    }

    #[test]
    fn a_user_has_as_many_seats_at_a_time_as_a_party_and_asks_again_when_they_are_taken() {
        let (mut all, two) = (Attendance::default(), party(Some("eve"), "192.0.2.1", 2));
        all.check(0, &two.who, 2, 4).unwrap();
        all.expect(0, two.clone(), LASTS);
        assert_eq!(
            all.check(1_000, &two.who, 0, 0),
            Err(NotNow::Expected(Duration::from_millis(LASTS + GRACE_MS - 1_000)))
        );
        all.check(1_000, &two.who, 2, 4).unwrap();
        assert!(all.check(1_000, &two.who, 3, 4).is_err());
        all.check(1_000, &party(Some("bob"), "192.0.2.1", 1).who, 0, 0).unwrap();
        // Of what she has asked for twice, nobody need come for the other.
        all.expect(1_000, Party { tokens: party(None, "192.0.2.1", 1).tokens, ..two.clone() }, LASTS);
        all.came(two.tokens[1]);
        all.check(2_000, &two.who, 0, 0).unwrap();
        assert_eq!(aside(&mut all, 90_000, &two.who), None);
        assert!(all.parties.is_empty() && all.of_tokens.is_empty() && all.of_users.is_empty());
    }

    #[test]
    fn whoever_lets_seats_run_out_waits_longer_each_time_until_that_is_made_good_or_long_ago() {
        let (mut all, eve) = (Attendance::default(), party(Some("eve"), "127.0.0.1", 1));
        let (mut now, mut waits) = (0, Vec::new());
        for _ in 0..12 {
            now = misses(&mut all, now, &eve);
            let wait = aside(&mut all, now, &eve.who).unwrap();
            waits.push(wait / 1_000);
            assert_eq!(aside(&mut all, now + wait, &eve.who), None);
            now += wait;
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]);
        // Each time that she comes counts as much.
        for _ in 0..11 {
            all.expect(now, eve.clone(), LASTS);
            all.came(eve.tokens[0]);
        }
        now = misses(&mut all, now, &eve);
        assert_eq!(aside(&mut all, now, &eve.who), Some(20_000));
        now = misses(&mut all, now + 20_000 + REMEMBERED_MS, &eve);
        assert_eq!(aside(&mut all, now, &eve.who), Some(10_000));
        all.check(now + 10_000 + 2 * REMEMBERED_MS, &eve.who, 0, 0).unwrap();
        assert!(all.records.is_empty(), "forgotten");
    }

    #[test]
    fn guests_are_known_by_their_address_which_may_be_that_of_many() {
        let (mut all, mut now) = (Attendance::default(), 0);
        let guest = || party(None, "192.0.2.1", 1);
        for _ in 0..OF_A_SOURCE {
            now = misses(&mut all, now, &guest());
            assert_eq!(aside(&mut all, now, &guest().who), None);
        }
        let came = guest();
        all.expect(now, came.clone(), LASTS);
        all.came(came.tokens[0]);
        for aside_for in [None, Some(10_000), Some(20_000)] {
            now = misses(&mut all, now, &guest());
            assert_eq!(aside(&mut all, now, &guest().who), aside_for);
        }
        assert!(aside(&mut all, now, &party(Some("ann"), "192.0.2.1", 1).who).is_some());
        assert_eq!(aside(&mut all, now, &party(Some("ann"), "192.0.2.2", 1).who), None);
        let here = party(None, "127.0.0.1", 1);
        for _ in 0..99 {
            now = misses(&mut all, now, &here);
        }
        assert_eq!(aside(&mut all, now, &here.who), None);
        assert_eq!(all.records.len(), 1, "and takes no memory");
    }

    #[test]
    fn seats_that_were_not_kept_after_all_are_nobodys_fault() {
        let (mut all, eve) = (Attendance::default(), party(Some("eve"), "192.0.2.1", 3));
        all.expect(0, eve.clone(), LASTS);
        all.forget(eve.tokens[0]);
        all.came(eve.tokens[0]);
        assert_eq!(aside(&mut all, 90_000, &eve.who), None);
    }
}
