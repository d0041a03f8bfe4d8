//! What a player was told in its present seat, and what it must never be told: promises 2, 3, 4, 5 and 10.

use super::{
    game::{Counted, REFUSED},
    network::Time,
    promise::{Broken, Kept, keep},
};
use driftless_client::ClientCore;
use driftless_proto::wire;
use driftless_sim::prost::Message as _;
use std::collections::{BTreeMap, BTreeSet};

/// Commands of one player that the server takes between two ticks.
const COMMANDS: usize = 64;

/// What a player was told in its present seat.
#[derive(Debug, Default)]
pub struct Told {
    /// The number of the seat.
    pub player: u32,
    /// The newest state.
    pub tick: u32,
    /// Where it stands, and what it has counted to, as the states of these ticks say.
    stands: BTreeMap<u32, (i32, i32)>,
    /// Serials of private events, and of those for all, by the ticks of the last ones.
    private: BTreeMap<u32, u64>,
    all: BTreeMap<u32, u64>,
    /// The server went back to an earlier state: commands may be lost that were confirmed.
    undone: bool,
    /// Its commands under way, by the number that the core gave.
    waiting: BTreeMap<u64, Asked>,
    /// Commands that were carried out; the core need not know that yet.
    done: BTreeSet<u64>,
    /// What was to be counted to when a seat was lost, of which the core may or may not know that it was.
    unsure: BTreeSet<u64>,
    /// It had another seat before.
    again: bool,
}

/// A command that is under way.
#[derive(Debug, Clone, Copy)]
struct Asked {
    /// What was counted to.
    n: u64,
    at: Time,
    /// Its player has had so many under way that the server may have refused it.
    crowded: bool,
}

impl Told {
    /// It has a new seat. `sure`: whether a command of this time was certainly under way when the last one
    /// was lost.
    pub fn seated(&mut self, player: u32, again: bool, sure: impl Fn(Time) -> bool) {
        let Told { mut waiting, mut done, mut unsure, .. } = std::mem::take(self);
        // A pong may have confirmed these, and what came of them was lost with the seat.
        for (number, asked) in waiting.iter().filter(|(_, asked)| !sure(asked.at)) {
            done.insert(*number);
            unsure.insert(asked.n);
        }
        waiting.retain(|_, asked| sure(asked.at));
        *self = Told { player, waiting, done, unsure, again, ..Told::default() };
    }

    /// What happened after this tick, up to another, is undone. Returns how many ticks of that it has seen.
    pub fn rolled_back(&mut self, after: u32, until: u32) -> Result<u32, Broken> {
        let seen = self.tick;
        keep(10, after < until && until >= seen, || {
            format!("after {after} up to {until} all is undone, but it has seen tick {seen}")
        })?;
        self.stands.split_off(&(after + 1));
        self.private.split_off(&(after + 1));
        self.all.split_off(&(after + 1));
        self.undone = true;
        // Those may have been carried out, and are undone.
        for (number, asked) in std::mem::take(&mut self.waiting) {
            self.done.insert(number);
            self.unsure.insert(asked.n);
        }
        Ok(seen.saturating_sub(after))
    }

    /// It has asked to count.
    pub fn ask(&mut self, number: u64, n: u64, at: Time) {
        self.waiting.insert(number, Asked { n, at, crowded: false });
        if self.waiting.len() > COMMANDS {
            self.waiting.values_mut().for_each(|asked| asked.crowded = true);
        }
    }

    /// Commands from before that time of which it does not know yet what became.
    pub fn waits_for(&self, before: Time) -> usize {
        self.waiting.values().filter(|asked| asked.at < before).count()
    }

    /// A state of this tick. `again`: it may be more of the one before.
    pub fn state(&mut self, tick: u32, again: bool) -> Kept {
        let before = std::mem::replace(&mut self.tick, tick);
        keep(2, tick > before || (again && tick == before), || format!("state {tick} after {before}"))
    }

    /// All that it has of the room is of one tick, and nothing of its own is undone.
    pub fn shows(&mut self, core: &ClientCore, tick: u32) -> Kept {
        for (zone, content, tick) in core.zones() {
            let rows = content.tables().get(1);
            let clocks = rows.map(|rows| rows.column(0)).unwrap_or_default();
            keep(2, clocks.iter().all(|clock| *clock == tick as i32), || {
                format!("zone {zone} of tick {tick} shows {clocks:?}")
            })?;
        }
        let Some(all) = core.session().content(0).and_then(|all| all.tables().first()) else { return Ok(()) };
        let clocks = all.column(0);
        keep(2, clocks.iter().all(|clock| *clock == tick as i32), || {
            format!("the state of tick {tick} shows {clocks:?}")
        })?;
        let own = all.value(self.player, 1).zip(all.value(self.player, 2));
        let Some((x, counted)) = own else { return Ok(()) };
        let before = self.stands.last_key_value().map_or((i32::MIN, i32::MIN), |(_, before)| *before);
        self.stands.insert(tick, (x, counted));
        keep(10, x >= before.0 && counted >= before.1, || {
            format!("{:?} was undone without a word: {before:?}", (x, counted))
        })
    }

    /// Somebody has counted.
    pub fn counted(&mut self, tick: u32, payload: &[u8]) -> Kept {
        let Ok(Counted { serial, private, player, n }) = Counted::decode(payload) else {
            return Err(Broken { promise: 3, what: "an event that nobody sent".to_owned() });
        };
        let of_kind = if private { &mut self.private } else { &mut self.all };
        let last = of_kind.last_key_value().map(|(_, serial)| *serial);
        let before = if private { Some(last.unwrap_or(0)) } else { last };
        let again = self.undone;
        of_kind.insert(tick, serial);
        // Of events for all, those count that it was there for.
        keep(3, before.is_none_or(|before| serial == before + 1), || {
            format!("event {serial} of tick {tick} after {before:?} (private: {private})")
        })?;
        if !private {
            return Ok(());
        }
        let known = self.waiting.iter().find(|(_, asked)| asked.n == n).map(|(number, _)| *number);
        let fits = known.is_some() || again || self.unsure.remove(&n);
        keep(3, player == self.player && fits, || format!("counted to {n}, which is not under way"))?;
        keep(3, !n.is_multiple_of(REFUSED), || format!("{n} was not refused"))?;
        if let Some(known) = known {
            self.waiting.remove(&known);
            self.done.insert(known);
        }
        Ok(())
    }

    /// A command was refused. `counts`: the game refuses only some numbers.
    pub fn refused(&mut self, refused: &wire::CommandRefused, counts: bool) -> Kept {
        let asked = self.waiting.remove(&refused.command);
        let own = |asked: Asked| {
            let seat_lost = refused.reason.starts_with("the seat was lost");
            asked.n.is_multiple_of(REFUSED) || asked.crowded || seat_lost
        };
        keep(4, !counts || asked.is_none_or(own), || {
            format!("refused for what others do: {}", refused.reason)
        })?;
        // Carried out, but the seat was lost before the client knew; or undone.
        let unsure = (self.again && self.done.remove(&refused.command)) || self.undone;
        keep(3, asked.is_some() || unsure, || {
            format!("command {} was refused, but not under way", refused.command)
        })
    }
}
