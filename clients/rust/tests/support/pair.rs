//! A client core and a room in virtual time, with a link that delays and that the test can cut.

use super::room::{Room, TICK, snapshot};
use bytes::{Bytes, BytesMut};
use driftless_client::{
    ClientCore, Disconnect, Event, Options, Phase, proto::session::Delivery, transport::Closed,
};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

const STEP: Duration = Duration::from_millis(5);

pub struct Pair {
    pub start: Instant,
    pub now: Instant,
    pub core: ClientCore,
    pub room: Room,
    /// Latency of one direction.
    pub latency: Duration,
    pub up: VecDeque<(Instant, Bytes)>,
    pub down: VecDeque<(Instant, Bytes)>,
    /// What the client reported, in order.
    pub events: Vec<Event>,
    pub tick: u32,
    /// The server no longer answers, and nobody is told.
    pub frozen: bool,
}

impl Pair {
    pub fn new(options: Options) -> Self {
        let now = Instant::now();
        let mut room = Room::new(now);
        room.connect(now);
        Self {
            start: now,
            now,
            core: ClientCore::new(now, &options),
            room,
            latency: Duration::from_millis(20),
            up: VecDeque::new(),
            down: VecDeque::new(),
            events: Vec::new(),
            tick: 0,
            frozen: false,
        }
    }

    /// A pair whose client is in the room.
    pub fn joined() -> Self {
        let mut pair = Self::new(options());
        pair.run(Duration::from_millis(500));
        assert!(pair.core.snapshot().is_some());
        pair
    }

    pub fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.step();
        }
    }

    /// Runs until the client is online and has a newer state than now; at most two minutes.
    pub fn settle(&mut self) {
        let tick = self.tick;
        for _ in 0..120_000 / 5 {
            if self.core.snapshot().is_some_and(|s| s.tick() > tick) && *self.core.phase() == Phase::Online {
                return;
            }
            self.step();
        }
        panic!("the client did not come back: {:?}", self.core.phase());
    }

    pub fn step(&mut self) {
        self.now += STEP;
        let now = self.now;
        if self.now.duration_since(self.start).as_millis().is_multiple_of(TICK.as_millis()) {
            self.tick += 1;
            self.room.publish(&snapshot(self.tick, &[(1, [self.tick as i32 * 3, 0, 1])]));
        }
        if matches!(self.core.phase(), Phase::Waiting { until } if *until <= now) {
            assert!(self.core.handle_connected(now, Delivery::Ordered));
            self.room.connect(now);
        }
        while let Some(message) = pop(&mut self.up, now) {
            if !self.frozen {
                self.room.receive(now, message);
            }
        }
        self.room.handle_timeout(now);
        while let Some(message) = self.room.poll(now).filter(|_| !self.frozen) {
            self.down.push_back((now + self.latency, message));
        }
        while let Some(message) = pop(&mut self.down, now) {
            if let Err(error) = self.core.handle_message(now, message) {
                self.end(error.into());
            }
        }
        if self.core.poll_timeout().is_some_and(|at| at <= now)
            && let Err(error) = self.core.handle_timeout(now)
        {
            self.end(error.into());
        }
        let mut out = BytesMut::new();
        while self.core.poll_transmit(now, &mut out) {
            self.up.push_back((now + self.latency, out.split().freeze()));
        }
        // The server closes the transport after its goodbye.
        if self.room.closing().is_some() && self.down.is_empty() && !self.frozen {
            self.end(Closed::Lost("closed".into()).into());
        }
        while let Some(event) = self.core.poll_event() {
            self.events.push(event);
        }
    }

    /// The network is lost with everything in transit (some of it arrives just before).
    pub fn cut(&mut self, rng: &mut fastrand::Rng) {
        for _ in 0..rng.usize(..=self.up.len()) {
            let message = self.up.pop_front().map(|m| m.1).unwrap();
            self.room.receive(self.now, message);
        }
        for _ in 0..rng.usize(..=self.down.len()) {
            let message = self.down.pop_front().map(|m| m.1).unwrap();
            self.core.handle_message(self.now, message).unwrap();
        }
        self.end(Closed::Lost("cut".into()).into());
    }

    pub fn end(&mut self, cause: Disconnect) {
        self.up.clear();
        self.down.clear();
        self.room.disconnect();
        self.core.handle_disconnected(self.now, cause);
        while let Some(event) = self.core.poll_event() {
            self.events.push(event);
        }
    }

    /// Numbers of the game's events reported by the client, in order.
    pub fn game_events(&self) -> Vec<u64> {
        let number = |e: &Event| match e {
            Event::Game(e) => Some(u64::from_be_bytes(e.payload[..].try_into().unwrap())),
            _ => None,
        };
        self.events.iter().filter_map(number).collect()
    }

    pub fn state_ticks(&self) -> Vec<u32> {
        let tick = |e: &Event| match e {
            Event::State { tick, .. } => Some(*tick),
            _ => None,
        };
        self.events.iter().filter_map(tick).collect()
    }
}

pub fn options() -> Options {
    Options { seed: Some(1), ..Options::new("ws://nowhere", "test") }
}

fn pop(queue: &mut VecDeque<(Instant, Bytes)>, now: Instant) -> Option<Bytes> {
    queue.front().filter(|(at, _)| *at <= now)?;
    queue.pop_front().map(|(_, message)| message)
}
