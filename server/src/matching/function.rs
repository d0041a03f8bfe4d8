//! Who plays with whom: the part of a queue that a game may want to do in its own way.

use super::{open_room::OpenRoom, ticket::Ticket};

/// Makes matches of one kind of game. It is asked again and again, with all who wait then. It depends on
/// nothing but its arguments, so that a match can be understood afterwards.
///
/// Whatever it proposes, the queue takes only what is possible: each ticket once, and of a room no more seats
/// than it has asked players for.
pub trait MatchFunction: Send + Sync {
    /// The matches to make now.
    fn propose(&self, round: &Round<'_>) -> Vec<Proposal>;

    /// How many play in the largest party that it can match: tickets of larger ones are refused
    /// (`party_too_large`), instead of waiting for ever. By default any.
    fn most_party(&self) -> u32 {
        u32::MAX
    }

    /// The options, as JSON text, of a room that is made for these teams: so the game learns who is to play
    /// with whom ([`Ticket::user`]). Empty: the game's defaults.
    fn options(&self, teams: &[Vec<Ticket>]) -> String {
        let _ = teams;
        String::new()
    }
}

/// What a round is about.
#[non_exhaustive]
pub struct Round<'a> {
    /// Milliseconds since 1970.
    pub now_ms: u64,
    /// A number that is another one in each round, for those who want chance.
    pub seed: u64,
    /// All who wait, in the order in which they came.
    pub tickets: &'a [Ticket],
    /// Rooms that want players, in the order in which they have said so.
    pub backfills: &'a [Backfill],
}

impl<'a> Round<'a> {
    /// A round at this time.
    pub fn new(now_ms: u64, seed: u64, tickets: &'a [Ticket], backfills: &'a [Backfill]) -> Self {
        Self { now_ms, seed, tickets, backfills }
    }
}

/// A running room that wants players.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Backfill {
    /// The room.
    pub(crate) room: OpenRoom,
    /// How many it wants.
    pub players: u32,
    /// How good they should be. None: it does not matter.
    pub skill: Option<f64>,
}

/// A match that may be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proposal {
    /// The teams: places of tickets in [`Round::tickets`].
    pub teams: Vec<Vec<usize>>,
    /// In which region (`region` of a server) a new room should be. If no server of it makes one, or none is
    /// said: at whichever server makes the match, which is another one each time.
    pub region: Option<String>,
    /// For this of the rooms that want players: its place in [`Round::backfills`]. None: in a new room.
    pub backfill: Option<usize>,
}

impl Proposal {
    /// The tickets.
    pub fn tickets(&self) -> impl Iterator<Item = usize> + '_ {
        self.teams.iter().flatten().copied()
    }
}

impl Backfill {
    pub(crate) fn new(room: OpenRoom, players: u32, skill: Option<f64>) -> Self {
        Self { room, players, skill }
    }
}

/// The proposals that are possible together: the first that want a ticket have it.
pub(super) fn possible(round: &Round<'_>, mut proposals: Vec<Proposal>) -> Vec<Proposal> {
    let mut taken = vec![false; round.tickets.len()];
    let mut wanted: Vec<u32> = round.backfills.iter().map(|backfill| backfill.players).collect();
    proposals.retain(|proposal| {
        let mut players = 0u32;
        let mut own: Vec<usize> = proposal.tickets().collect();
        if own.is_empty() || own.iter().any(|at| taken.get(*at).is_none_or(|taken| *taken)) {
            return false;
        }
        own.sort_unstable();
        if own.windows(2).any(|two| two[0] == two[1]) {
            return false;
        }
        own.iter().for_each(|at| players = players.saturating_add(round.tickets[*at].party));
        if let Some(at) = proposal.backfill {
            let Some(left) = wanted.get(at).and_then(|wants| wants.checked_sub(players)) else {
                return false;
            };
            wanted[at] = left;
        }
        own.iter().for_each(|at| taken[*at] = true);
        true
    });
    proposals
}
