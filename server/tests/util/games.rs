//! Games that misbehave on request.

use driftless_sim::{Away, PlayerId, PlayerInput, Schema, Setup, Simulation, Snapshot, Step};
use serde::{Deserialize, Serialize};
use std::{mem, thread, time::Duration};

/// What a player of a test game requests.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Ask {
    /// Panic in the next step.
    #[prost(bool, tag = "1")]
    pub panic: bool,
    /// Block every step from now on for this many milliseconds.
    #[prost(uint32, tag = "2")]
    pub block_ms: u32,
    /// Send everybody this many messages...
    #[prost(uint32, tag = "3")]
    pub tell: u32,
    /// ...of this many bytes.
    #[prost(uint32, tag = "4")]
    pub bytes: u32,
    /// ...and the same in every step from now on.
    #[prost(bool, tag = "6")]
    pub every_step: bool,
    /// Panic when a player leaves.
    #[prost(bool, tag = "5")]
    pub panic_at_leave: bool,
    /// Remove this player in the next step.
    #[prost(uint32, tag = "7")]
    pub kick: u32,
    /// End the room in the next step, after sending the messages.
    #[prost(bool, tag = "8")]
    pub end: bool,
    /// Refuse new players, or admit them again.
    #[prost(bool, optional, tag = "9")]
    pub close_joins: Option<bool>,
    /// Publish this in the room list.
    #[prost(string, tag = "10")]
    pub show: String,
}

/// A message to everybody.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Told {
    /// Number in the room, from 1.
    #[prost(uint32, tag = "1")]
    pub number: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub filler: Vec<u8>,
}

/// A game that does what it is asked. Its state is one number: how many steps it has run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Obedient {
    steps: u32,
    told: u32,
    /// How many messages of how many bytes to send in every step.
    tell: (u32, u32),
    panic: bool,
    kick: PlayerId,
    end: bool,
    panic_at_leave: bool,
    block_ms: u32,
}

impl Simulation for Obedient {
    const KIND: &'static str = "obedient";
    type Input = ();
    type Command = Ask;
    type Event = Told;
    type Options = ();

    fn schema() -> Schema {
        Schema::new().kind("room", |kind| kind.hold("steps", &["steps"], 1))
    }
    fn new(_setup: &Setup) -> Result<Self, String> {
        Ok(Self::default())
    }
    fn join(&mut self, _player: PlayerId, name: &str, _step: &mut Step<'_, Told>) {
        assert_ne!(name, "panic", "a fault in the game, as asked");
    }
    fn leave(&mut self, _player: PlayerId, _step: &mut Step<'_, Told>) {
        assert!(!self.panic_at_leave, "a fault in the game, as asked");
    }
    fn command(&mut self, _player: PlayerId, ask: Ask, step: &mut Step<'_, Told>) -> Result<(), String> {
        self.panic |= ask.panic;
        self.panic_at_leave |= ask.panic_at_leave;
        self.block_ms = self.block_ms.max(ask.block_ms);
        (self.kick, self.end) = (ask.kick, ask.end);
        ask.close_joins.into_iter().for_each(|closed| step.close_joins(closed));
        if !ask.show.is_empty() {
            step.info("shown", &ask.show);
            step.log(&ask.show);
        }
        self.tell = if ask.every_step { (ask.tell, ask.bytes) } else { (0, 0) };
        if !ask.every_step {
            self.tell(ask.tell, ask.bytes, step);
        }
        Ok(())
    }
    fn step(&mut self, _inputs: &[PlayerInput<()>], step: &mut Step<'_, Told>) {
        self.tell(self.tell.0, self.tell.1, step);
        assert!(!self.panic, "a fault in the game, as asked");
        self.steps += 1;
        if self.end {
            self.tell(1, 0, step);
            step.end("as asked");
        }
        if self.kick > 0 {
            step.kick(mem::take(&mut self.kick), "as asked");
        }
        thread::sleep(Duration::from_millis(self.block_ms.into()));
    }
    fn snapshot(&self, out: &mut Snapshot) {
        out.table_mut(0).push(1, &[self.steps as i32]);
    }
}

impl Obedient {
    fn tell(&mut self, times: u32, bytes: u32, step: &mut Step<'_, Told>) {
        for _ in 0..times {
            self.told += 1;
            step.broadcast(Told { number: self.told, filler: vec![7; bytes as usize] });
        }
    }
}

/// A game that cannot even start.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stillborn;

impl Simulation for Stillborn {
    const KIND: &'static str = "stillborn";
    type Input = ();
    type Command = ();
    type Event = ();
    type Options = ();

    fn schema() -> Schema {
        Obedient::schema()
    }
    fn new(_setup: &Setup) -> Result<Self, String> {
        panic!("a fault in the game, as asked")
    }
    fn join(&mut self, _player: PlayerId, _name: &str, _step: &mut Step<'_, ()>) {}
    fn leave(&mut self, _player: PlayerId, _step: &mut Step<'_, ()>) {}
    fn step(&mut self, _inputs: &[PlayerInput<()>], _step: &mut Step<'_, ()>) {}
    fn snapshot(&self, _out: &mut Snapshot) {}
}

/// A game that takes a while to create: by default, a second.
#[derive(Debug, Serialize, Deserialize)]
pub struct SlowToMake<const MS: u64 = 1_000>;

impl<const MS: u64> Simulation for SlowToMake<MS> {
    const KIND: &'static str = "slow_to_make";
    type Input = ();
    type Command = ();
    type Event = ();
    type Options = ();

    fn schema() -> Schema {
        Obedient::schema()
    }
    fn new(_setup: &Setup) -> Result<Self, String> {
        thread::sleep(Duration::from_millis(MS));
        Ok(Self)
    }
    fn join(&mut self, _player: PlayerId, _name: &str, _step: &mut Step<'_, ()>) {}
    fn leave(&mut self, _player: PlayerId, _step: &mut Step<'_, ()>) {}
    fn step(&mut self, _inputs: &[PlayerInput<()>], _step: &mut Step<'_, ()>) {}
    fn snapshot(&self, _out: &mut Snapshot) {}
}

/// A game whose state is one number: how many players are away. It keeps their seats for 300 ms.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Patient {
    away: i32,
}

impl Simulation for Patient {
    const KIND: &'static str = "patient";
    const RESUME_WINDOW_MS: Option<u32> = Some(300);
    type Input = ();
    type Command = ();
    type Event = ();
    type Options = ();

    fn schema() -> Schema {
        Schema::new().kind("room", |kind| kind.hold("away", &["away"], 1))
    }
    fn new(_setup: &Setup) -> Result<Self, String> {
        Ok(Self::default())
    }
    fn join(&mut self, _player: PlayerId, _name: &str, _step: &mut Step<'_, ()>) {}
    fn leave(&mut self, _player: PlayerId, _step: &mut Step<'_, ()>) {}
    fn away(&mut self, _player: PlayerId, _why: Away, _step: &mut Step<'_, ()>) {
        self.away += 1;
    }
    fn back(&mut self, _player: PlayerId, _step: &mut Step<'_, ()>) {
        self.away -= 1;
    }
    fn step(&mut self, _inputs: &[PlayerInput<()>], _step: &mut Step<'_, ()>) {}
    fn snapshot(&self, out: &mut Snapshot) {
        out.table_mut(0).push(1, &[self.away]);
    }
}
