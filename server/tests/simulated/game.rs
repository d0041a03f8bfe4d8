//! A game that shows in everything it says whether something was lost, repeated or leaked.

use driftless_sim::{
    GameKind, PlayerId, PlayerInput, Schema, Setup, Simulation, Snapshot, Step, View, prost, serde,
};
use serde::{Deserialize, Serialize};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
};

pub const KIND: &str = "tally";
/// Commands whose number is a multiple of this are refused.
pub const REFUSED: u64 = 7;

/// Where a player stands.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Stand {
    #[prost(sint32, tag = "1")]
    pub x: i32,
}

/// A player counts on.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Count {
    #[prost(uint64, tag = "1")]
    pub n: u64,
}

/// A player has counted.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Counted {
    /// For all: how many such events there have been. For one player: how many that player was sent.
    #[prost(uint64, tag = "1")]
    pub serial: u64,
    /// Sent to that player alone.
    #[prost(bool, tag = "2")]
    pub private: bool,
    #[prost(uint32, tag = "3")]
    pub player: PlayerId,
    #[prost(uint64, tag = "4")]
    pub n: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(crate = "serde")]
struct One {
    x: i32,
    counted: u64,
    told: u64,
}

/// The room.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(crate = "serde")]
pub struct Tally {
    seed: u64,
    tick: u32,
    told: u64,
    players: BTreeMap<PlayerId, One>,
}

/// Stands for all who watch.
const SPECTATORS: PlayerId = 0;

thread_local! {
    /// The newest tick of a room.
    static NEWEST: RefCell<BTreeMap<u64, u32>> = RefCell::default();
    /// The room that had the last tick.
    static CURRENT: Cell<Option<u64>> = const { Cell::new(None) };
    /// What each player was to see: by the seed of the room, the player and the tick.
    static SEEN: RefCell<BTreeMap<(u64, PlayerId, u32), BTreeSet<u32>>> = RefCell::default();
}

/// Forgets what was asked.
pub fn forget() {
    SEEN.take();
    CURRENT.take();
    NEWEST.take();
}

/// The room that had the last tick. None: none since this process began.
pub fn current() -> Option<u64> {
    CURRENT.get()
}

/// The newest tick of a room. None: none since this process began.
pub fn newest(room: u64) -> Option<u32> {
    NEWEST.with_borrow(|newest| newest.get(&room).copied())
}

/// Which zones the game let a player see at a tick. None: it was not asked.
pub fn seen(room: u64, player: PlayerId, tick: u32) -> Option<BTreeSet<u32>> {
    SEEN.with_borrow(|seen| seen.get(&(room, player, tick)).cloned())
}

impl Simulation for Tally {
    const KIND: &'static str = KIND;
    type Input = Stand;
    type Command = Count;
    type Event = Counted;
    type Options = ();

    fn schema() -> Schema {
        Schema::new()
            .kind("one", |kind| kind.linear("at", &["clock", "x"], 1).hold("counts", &["counted"], 1))
            .kind("secret", |kind| kind.linear("at", &["clock"], 1).hold("of", &["player", "counted"], 1))
    }
    fn new(setup: &Setup) -> Result<Self, String> {
        Ok(Self { seed: setup.seed, ..Self::default() })
    }
    fn join(&mut self, player: PlayerId, _name: &str, _step: &mut Step<'_, Counted>) {
        self.players.insert(player, One::default());
    }
    fn leave(&mut self, player: PlayerId, _step: &mut Step<'_, Counted>) {
        self.players.remove(&player);
    }
    fn command(
        &mut self,
        player: PlayerId,
        Count { n }: Count,
        step: &mut Step<'_, Counted>,
    ) -> Result<(), String> {
        if n.is_multiple_of(REFUSED) {
            return Err("this number is refused".into());
        }
        let Some(one) = self.players.get_mut(&player) else { return Err("no such player".into()) };
        one.counted = n;
        one.told += 1;
        self.told += 1;
        step.send(player, Counted { serial: one.told, private: true, player, n });
        step.broadcast(Counted { serial: self.told, private: false, player, n });
        Ok(())
    }
    fn step(&mut self, inputs: &[PlayerInput<Stand>], step: &mut Step<'_, Counted>) {
        self.tick = step.tick();
        CURRENT.set(Some(self.seed));
        NEWEST.with_borrow_mut(|newest| newest.insert(self.seed, self.tick));
        for PlayerInput { player, input, .. } in inputs {
            self.players.entry(*player).and_modify(|one| one.x = input.x);
        }
    }
    fn snapshot(&self, out: &mut Snapshot) {
        let clock = self.tick as i32;
        for (&player, one) in &self.players {
            let counted = one.counted as i32;
            out.table_mut(0).push(player, &[clock, one.x, counted]);
            out.zone(player).table_mut(1).push(player, &[clock, player as i32, counted]);
        }
    }
    /// Spectators see the zone of the first player.
    fn spectate(&self, view: &mut View<'_>) {
        let first = self.players.keys().next().copied();
        if let Some(first) = first {
            view.see(first);
        }
        let seen = first.into_iter().chain([0]).collect();
        SEEN.with_borrow_mut(|all| all.insert((self.seed, SPECTATORS, self.tick), seen));
    }
    /// Everybody sees its own zone; whoever has counted to an odd number, that of the next player too.
    fn view(&self, player: PlayerId, view: &mut View<'_>) {
        let mut seen = BTreeSet::from([0, player]);
        view.see(player);
        if self.players.get(&player).is_some_and(|one| one.counted % 2 == 1)
            && let Some((&next, _)) = self.players.range(player + 1..).next()
        {
            view.see(next);
            seen.insert(next);
        }
        SEEN.with_borrow_mut(|all| all.insert((self.seed, player, self.tick), seen));
    }
}

pub fn kind() -> GameKind {
    GameKind::of::<Tally>()
}
