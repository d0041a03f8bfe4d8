//! The desk where tickets lie: what must be agreed on, by however many servers there are.
//!
//! One server at a time makes matches: the one with the lease. It reads who waits, keeps seats for a match,
//! and only then commits it, which is one step: if the lease is still its own and all tickets still wait,
//! they have their match from then on; otherwise nothing happens. So a ticket is matched once, whoever is
//! slow; and when a server dies in between, its tickets wait as before, and the seats that it had kept are
//! free at their deadline.
//!
//! This is the desk of one server, and the model of the one in Redis.

use super::ticket::{Ticket, TicketId};
use crate::ground::source::Source;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// How long a ticket lies here after somebody has looked at it, milliseconds: who has gone must not be
/// matched.
pub(crate) const LIFE_MS: u64 = 30_000;

/// The same of one that a server looks at every few seconds, for somebody who reads what becomes of it: if
/// that server dies, the ticket is soon matched with nobody.
pub(crate) const WATCHED_LIFE_MS: u64 = 12_000;

/// All tickets.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    tickets: BTreeMap<TicketId, Entry>,
    /// The ticket of a user for a kind of game.
    of_users: BTreeMap<(String, Arc<str>), TicketId>,
    /// How many players the tickets of each source are for, with a match or without.
    of_sources: HashMap<Source, u32>,
    /// Counts the tickets, for their order.
    number: u64,
    lease: Option<Lease>,
    /// Counts the leases.
    epoch: u64,
}

#[derive(Debug)]
struct Entry {
    ticket: Ticket,
    number: u64,
    until_ms: u64,
    /// Its owner is away, and it is not matched meanwhile.
    away: bool,
    decided: Option<Decision>,
}

#[derive(Debug)]
struct Lease {
    holder: String,
    until_ms: u64,
}

/// Where the players of a ticket play.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Assignment {
    /// The room.
    pub(crate) room: String,
    /// Its kind of game.
    pub(crate) kind: String,
    /// In which team, from 0.
    pub(crate) team: u32,
    /// One reservation for each player.
    pub(crate) reservations: Vec<String>,
    /// How long the seats are kept from the commit on, milliseconds.
    pub(crate) lasts_ms: u64,
    /// Where WebSockets to its server go, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// Where QUIC and WebTransport to its server go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) quic: Option<String>,
}

/// What a ticket has waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Decision {
    /// A match.
    Match(Assignment),
    /// It would wait for ever.
    Refused(Refused),
}

/// Why there is no match for a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refused {
    /// For people.
    pub(crate) refused: String,
    /// How long that is known from the commit on, milliseconds.
    pub(crate) lasts_ms: u64,
}

impl Decision {
    /// How long it is known from the commit on, milliseconds: whoever asks later has lost the seat as well.
    pub(super) fn lasts_ms(&self) -> u64 {
        match self {
            Self::Match(Assignment { lasts_ms, .. }) | Self::Refused(Refused { lasts_ms, .. }) => *lasts_ms,
        }
    }

    /// As whoever looks at the ticket sees it, when it lasts for so many milliseconds more.
    pub(super) fn seen(self, left_ms: u64) -> Seen {
        match self {
            Self::Match(assignment) => Seen::Matched(assignment, left_ms),
            Self::Refused(Refused { refused, .. }) => Seen::Refused(refused),
        }
    }
}

/// How many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Most {
    /// Tickets.
    pub(crate) tickets: usize,
    /// Players of the tickets of one source.
    pub(crate) of_source: usize,
}

/// Why a ticket is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// There are as many as may be.
    Full,
    /// There are as many of its source.
    SourceFull,
}

/// What is known of a ticket.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    /// It waits.
    Waiting(Box<Ticket>),
    /// It has a match, whose seats are kept for so many milliseconds more.
    Matched(Assignment, u64),
    /// There is none for it, and why.
    Refused(String),
}

/// What became of a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commit {
    /// Its tickets have it.
    Done,
    /// Another server makes matches by now.
    LeaseLost,
    /// Somebody does not wait any more.
    Gone,
}

impl Entry {
    fn has_no_match(&self) -> bool {
        self.decided.is_none()
    }

    /// Whether it can be matched.
    fn waits(&self, now_ms: u64) -> bool {
        self.decided.is_none() && !self.away && self.until_ms > now_ms
    }
}

impl Desk {
    /// Takes a ticket, if there may be more. If its user has one for this kind of game without a
    /// match, that is given up: its id may have been lost.
    pub(crate) fn add(&mut self, now_ms: u64, ticket: Ticket, most: Most) -> Result<(), NotTaken> {
        self.sweep(now_ms);
        let user = ticket.user.clone().map(|user| (ticket.kind.clone(), user));
        let earlier = user.as_ref().and_then(|user| self.tickets.get(self.of_users.get(user)?));
        let earlier = earlier.filter(|entry| entry.has_no_match()).map(|entry| &entry.ticket);
        if self.tickets.len() - usize::from(earlier.is_some()) >= most.tickets {
            return Err(NotTaken::Full);
        }
        if let Some(source) = ticket.source {
            let has = self.of_sources.get(&source).map_or(0, |players| *players);
            let freed = earlier.filter(|earlier| earlier.source == Some(source)).map_or(0, |one| one.party);
            if (has - freed + ticket.party) as usize > most.of_source {
                return Err(NotTaken::SourceFull);
            }
        }
        // Only now: whoever gets no other one goes on with it.
        if let Some(earlier) = earlier.map(|earlier| earlier.id) {
            self.remove(earlier);
        }
        if let Some(source) = ticket.source {
            *self.of_sources.entry(source).or_default() += ticket.party;
        }
        if let Some(user) = user {
            self.of_users.insert(user, ticket.id);
        }
        self.number += 1;
        let (number, until_ms) = (self.number, now_ms + LIFE_MS);
        self.tickets.insert(ticket.id, Entry { ticket, number, until_ms, away: false, decided: None });
        Ok(())
    }

    /// Somebody looks at a ticket, which therefore stays for so long. None: there is none.
    pub(crate) fn look(&mut self, now_ms: u64, id: TicketId, life_ms: u64) -> Option<Seen> {
        let entry = self.tickets.get_mut(&id).filter(|entry| entry.until_ms > now_ms)?;
        Some(match &entry.decided {
            Some(decision) => decision.clone().seen(entry.until_ms - now_ms),
            None => {
                (entry.until_ms, entry.away) = (now_ms + life_ms, false);
                Seen::Waiting(Box::new(entry.ticket.clone()))
            }
        })
    }

    /// Nobody reads any more what becomes of a ticket. It keeps its place for a while, and is matched only if
    /// somebody looks at it again.
    pub(crate) fn away(&mut self, now_ms: u64, id: TicketId) {
        if let Some(entry) = self.tickets.get_mut(&id).filter(|entry| entry.waits(now_ms)) {
            (entry.away, entry.until_ms) = (true, now_ms + LIFE_MS);
        }
    }

    /// Somebody waits for these, which stay no longer for that. Returns those that wait no longer, or are not
    /// there.
    pub(crate) fn decided(&mut self, now_ms: u64, ids: &[TicketId]) -> Vec<TicketId> {
        let mut waits = |id: &TicketId| {
            let entry = self.tickets.get_mut(id);
            let entry = entry.filter(|entry| entry.decided.is_none() && entry.until_ms > now_ms);
            entry.map(|entry| entry.away = false).is_some()
        };
        ids.iter().copied().filter(|id| !waits(id)).collect()
    }

    /// Takes a ticket back. Returns what it was. (Who has a match keeps it.)
    pub(crate) fn cancel(&mut self, now_ms: u64, id: TicketId) -> Option<Seen> {
        let seen = self.look(now_ms, id, LIFE_MS)?;
        if matches!(seen, Seen::Waiting(_)) {
            self.remove(id);
        }
        Some(seen)
    }

    /// Takes the lease for so long, or goes on with it. Returns its number. None: another server has it. One
    /// that would last for longer was taken before the clock was set back: it binds nobody but its holder.
    pub(crate) fn lead(&mut self, now_ms: u64, who: &str, for_ms: u64) -> Option<u64> {
        match &mut self.lease {
            Some(lease) if lease.until_ms > now_ms && lease.holder == who => {
                lease.until_ms = now_ms + for_ms;
            }
            Some(lease) if (now_ms + 1..=now_ms + for_ms).contains(&lease.until_ms) => return None,
            _ => {
                self.epoch += 1;
                self.lease = Some(Lease { holder: who.to_owned(), until_ms: now_ms + for_ms });
            }
        }
        Some(self.epoch)
    }

    /// Lets another server have the lease.
    pub(crate) fn give_way(&mut self, who: &str) {
        self.lease.take_if(|lease| lease.holder == who);
    }

    /// All who wait for this kind of game, in the order in which they came.
    pub(crate) fn waiting(&mut self, now_ms: u64, kind: &str) -> Vec<Ticket> {
        self.sweep(now_ms);
        let waits = |entry: &&Entry| entry.waits(now_ms) && entry.ticket.kind == kind;
        let mut waiting: Vec<_> = self.tickets.values().filter(waits).collect();
        waiting.sort_by_key(|entry| entry.number);
        waiting.into_iter().map(|entry| entry.ticket.clone()).collect()
    }

    /// Gives tickets their match, or says that there is none: all or none.
    pub(crate) fn commit(&mut self, now_ms: u64, epoch: u64, made: &[(TicketId, Decision)]) -> Commit {
        if self.epoch != epoch || self.lease.as_ref().is_none_or(|lease| lease.until_ms <= now_ms) {
            return Commit::LeaseLost;
        }
        let waits = |id| self.tickets.get(id).is_some_and(|entry| entry.waits(now_ms));
        if !made.iter().all(|(id, _)| waits(id)) {
            return Commit::Gone;
        }
        for (id, decision) in made {
            if let Some(entry) = self.tickets.get_mut(id) {
                entry.until_ms = now_ms + decision.lasts_ms();
                entry.decided = Some(decision.clone());
            }
        }
        Commit::Done
    }

    /// Whether there is a ticket with this id, whatever it says.
    #[cfg(test)]
    pub(super) fn knows(&self, id: TicketId) -> bool {
        self.tickets.contains_key(&id)
    }

    /// Removes those at whom nobody looks any more.
    fn sweep(&mut self, now_ms: u64) {
        let over = |entry: &Entry| entry.until_ms <= now_ms;
        let gone: Vec<_> = self.tickets.iter().filter(|(_, entry)| over(entry)).map(|(id, _)| *id).collect();
        gone.into_iter().for_each(|id| self.remove(id));
    }

    fn remove(&mut self, id: TicketId) {
        let Some(Entry { ticket: Ticket { kind, user, source, party, .. }, .. }) = self.tickets.remove(&id)
        else {
            return;
        };
        if let Some(user) = user.map(|user| (kind, user))
            && self.of_users.get(&user) == Some(&id)
        {
            self.of_users.remove(&user);
        }
        if let Some(source) = source
            && let Some(players) = self.of_sources.get_mut(&source)
        {
            *players -= party;
            if *players == 0 {
                self.of_sources.remove(&source);
            }
        }
    }
}
