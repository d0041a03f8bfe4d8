//! Both ends with their shells, driven in steps of a millisecond.

use super::{Conditions, Dice, Link, Published, Room, event, join, ms, world};
use bytes::{Bytes, BytesMut};
use driftless_proto::{
    code::CloseCode,
    lane::Lane,
    limits::Limits,
    reliable::{ReliableQueue, encode_body},
    session::{
        Delivery,
        client::{ClientConfig, ClientEvent, ClientSession, ServerError},
        server::{PeerError, Request, ServerSession},
    },
    wire,
};
use std::time::{Duration, Instant};

/// Bytes that the kernels and the link accept from a writer whose reader does not read.
const PIPE: usize = 8 * 1024;
/// Bytes of a datagram: the minimum that QUIC guarantees.
const MAX_DATAGRAM: usize = 1162;

pub struct Pair {
    pub start: Instant,
    pub now: Instant,
    pub dice: Dice,
    pub limits: Limits,
    pub delivery: Delivery,
    pub room: Room,
    pub tick: Duration,
    pub server: ServerSession<Published>,
    pub served: Option<Served>,
    pub client: ClientSession,
    /// Whether the client applies states, or only acknowledges them.
    pub applies_states: bool,
    /// Ordered lanes, and the datagram lanes for states, inputs and acknowledgements.
    pub up: Link,
    pub down: Link,
    pub up_datagrams: Link,
    pub down_datagrams: Link,
    /// Time between inputs. None: the player does nothing.
    pub input_every: Option<Duration>,
    /// What the client was told, in order.
    pub events: Vec<ClientEvent>,
    pub server_error: Option<PeerError>,
    pub client_error: Option<ServerError>,
    /// Ticks of the states sent.
    pub states_sent: Vec<u32>,
    /// Largest number of messages that waited in the reliable queue.
    pub most_reliable: usize,
    /// Messages that the client has sent.
    pub messages_up: u32,
    spectates: bool,
    next_tick: Instant,
    next_input: Instant,
}

/// The seat, which outlives a connection.
pub struct Served {
    pub queue: ReliableQueue,
    pub inputs: Vec<u32>,
    pub commands: Vec<Bytes>,
    /// Numbers of the commands that came too fast.
    pub refused: Vec<u64>,
    pub command_received: u64,
    pub left: bool,
}

impl Pair {
    pub fn new(delivery: Delivery, conditions: Conditions, seed: u64) -> Self {
        Self::with_limits(delivery, conditions, seed, Limits::default())
    }

    pub fn with_limits(delivery: Delivery, conditions: Conditions, seed: u64, limits: Limits) -> Self {
        let now = Instant::now();
        let config = ClientConfig { delivery, ..ClientConfig::default() };
        Self {
            start: now,
            now,
            dice: Dice(seed),
            server: ServerSession::new(now, limits.clone(), delivery),
            limits,
            delivery,
            room: Room::new(),
            tick: ms(50),
            served: None,
            client: ClientSession::join(now, config, join()),
            applies_states: true,
            up: Link::new(Delivery::Ordered, conditions),
            down: Link::new(Delivery::Ordered, conditions),
            up_datagrams: Link::new(Delivery::Datagram, conditions),
            down_datagrams: Link::new(Delivery::Datagram, conditions),
            input_every: Some(ms(50)),
            events: Vec::new(),
            server_error: None,
            client_error: None,
            states_sent: Vec::new(),
            most_reliable: 0,
            messages_up: 0,
            spectates: false,
            next_tick: now,
            next_input: now + ms(17),
        }
    }

    /// A pair over a good link, with the client in the room.
    pub fn joined(delivery: Delivery) -> Self {
        let mut pair = Self::new(delivery, Conditions { delay: ms(5), ..Conditions::default() }, 1);
        pair.run(ms(200));
        assert!(pair.client.is_active());
        pair
    }

    /// Its client does not apply states, but only acknowledges them.
    pub fn unreading(mut self) -> Self {
        self.applies_states = false;
        let config =
            ClientConfig { delivery: self.delivery, applies_states: false, ..ClientConfig::default() };
        self.client = ClientSession::join(self.now, config, join());
        self
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += ms(1);
            self.play();
            self.transfer();
            self.time_out();
            self.write_server();
            self.write_client();
            // Otherwise a shell that sleeps until the timer would spin.
            assert!(
                self.server.poll_timeout().is_none_or(|at| at > self.now),
                "the server's timer stays due"
            );
            assert!(
                self.client.poll_timeout().is_none_or(|at| at > self.now),
                "the client's timer stays due"
            );
        }
    }

    /// Runs until `done`, at most for `limit`.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Pair) -> bool) {
        let end = self.now + limit;
        while !done(self) {
            assert!(self.now < end, "not within {limit:?}");
            self.run(ms(1));
        }
    }

    /// `time` passes without a message, and the room reaches `tick`.
    pub fn age(&mut self, time: Duration, tick: u32) {
        self.now += time;
        self.room.tick = tick;
        self.next_tick = self.now;
        self.next_input = self.now + ms(17);
    }

    /// The connection is lost at both ends, and a new one is made.
    pub fn reconnect(&mut self, rejoin: bool) {
        self.lose();
        self.server = ServerSession::new(self.now, self.limits.clone(), self.delivery);
        self.client.reconnected(self.now, rejoin, self.delivery);
    }

    /// Like `reconnect`, over another kind of transport.
    pub fn reconnect_over(&mut self, delivery: Delivery) {
        self.delivery = delivery;
        self.reconnect(false);
    }

    pub fn lose(&mut self) {
        self.client.disconnected();
        for link in [&mut self.up, &mut self.down, &mut self.up_datagrams, &mut self.down_datagrams] {
            link.cut();
        }
    }

    /// Queues an event for the player. False: the queue is full.
    pub fn push_event(&mut self, n: u32) -> bool {
        let queue = &mut self.served.as_mut().expect("joined").queue;
        let pushed = queue.push(encode_body(&wire::reliable::Body::Event(event(n)))).is_ok();
        self.most_reliable = self.most_reliable.max(queue.len());
        pushed
    }

    /// Ticks of the states reported to the client's caller.
    pub fn ticks(&self) -> Vec<u32> {
        let tick = |event: &ClientEvent| match event {
            ClientEvent::State { tick, .. } => Some(*tick),
            _ => None,
        };
        self.events.iter().filter_map(tick).collect()
    }

    /// Numbers of the events reported to the client's caller.
    pub fn event_numbers(&self) -> Vec<u32> {
        let number = |event: &ClientEvent| match event {
            ClientEvent::Event(event) => Some(event.tick),
            _ => None,
        };
        self.events.iter().filter_map(number).collect()
    }

    /// Neither end has found a fault with the other.
    pub fn assert_healthy(&self) {
        assert_eq!(self.server_error, None);
        assert_eq!(self.client_error, None);
        assert_eq!(self.server.closing(), None);
    }

    fn play(&mut self) {
        if self.now >= self.next_tick {
            self.next_tick += self.tick;
            let state = self.room.step();
            self.server.offer_state(state);
        }
        if let Some(every) = self.input_every
            && self.now >= self.next_input
        {
            self.next_input += every;
            let _ = self.client.send_input(Bytes::from_static(b"go"));
        }
    }

    fn transfer(&mut self) {
        for up in [true, false] {
            while let Some(message) = if up { &mut self.up } else { &mut self.up_datagrams }.receive(self.now)
            {
                self.deliver_to_server(message);
            }
        }
        for down in [true, false] {
            while let Some(message) =
                if down { &mut self.down } else { &mut self.down_datagrams }.receive(self.now)
            {
                self.deliver_to_client(message);
            }
        }
    }

    /// A message reaches the server's shell.
    pub fn deliver_to_server(&mut self, message: Bytes) {
        if let Err(error) = self.server.handle_message(self.now, message) {
            assert_eq!(self.server.closing(), Some(error.code));
            self.server_error = Some(error);
        }
        while let Some(request) = self.server.poll_request() {
            self.answer(request);
        }
    }

    /// A message reaches the client's shell.
    pub fn deliver_to_client(&mut self, message: Bytes) {
        if let Err(error) = self.client.handle_message(self.now, message) {
            self.client_error = Some(error);
        }
        while let Some(event) = self.client.poll_event() {
            if let ClientEvent::State { tick, .. } = event {
                let newest = self.ticks().last().copied().unwrap_or(0);
                // Promise 2: "A client never applies a state older than one it has applied."
                assert!(tick > newest, "state {tick} after {newest}");
                let expected = self.applies_states.then(|| world(&self.room.schema, tick));
                assert_eq!(self.client.snapshot(), expected.as_ref());
            }
            self.events.push(event);
        }
    }

    fn answer(&mut self, request: Request) {
        match request {
            Request::Join(join) => {
                self.spectates = join.spectate;
                let queue = ReliableQueue::new(self.limits.reliable_messages, self.limits.reliable_bytes);
                let served = Served {
                    queue,
                    inputs: Vec::new(),
                    commands: Vec::new(),
                    refused: Vec::new(),
                    command_received: 0,
                    left: false,
                };
                self.served = Some(served);
                self.welcome();
            }
            Request::Resume(resume) => {
                let seat = self.served.as_mut().filter(|_| resume.token == token());
                if seat.is_some_and(|seat| seat.queue.resume(resume.reliable_received)) {
                    self.welcome();
                } else {
                    self.server.close(CloseCode::UnknownSession, "no such seat", Duration::ZERO);
                }
            }
            Request::Input(input) => self.served.as_mut().expect("seated").inputs.push(input.sequence),
            Request::Command(command) => {
                let served = self.served.as_mut().expect("seated");
                served.commands.push(command.payload);
                served.command_received = command.sequence;
            }
            Request::RefuseCommand(sequence) => {
                let served = self.served.as_mut().expect("seated");
                served.refused.push(sequence);
                served.command_received = sequence;
            }
            Request::ReliableAck(sequence) => {
                let served = self.served.as_mut().expect("seated");
                assert!(served.queue.acked(sequence), "the session lets none pass that was not sent");
            }
            Request::Renew(_) | Request::ReadTopic(_) | Request::Publish { .. } => {}
            Request::Leave => {
                if let Some(served) = &mut self.served {
                    served.left = true;
                }
            }
        }
    }

    fn welcome(&mut self) {
        let served = self.served.as_ref().expect("seated");
        let welcome = wire::Welcome {
            player: 1,
            tick_rate: 20,
            input_received: served.inputs.last().copied().unwrap_or(0),
            command_received: served.command_received,
            resume_token: if self.spectates { Bytes::new() } else { token() },
            spectating: self.spectates,
            schema: Some(self.room.schema.to_wire()),
            room: "lobby".into(),
            ..wire::Welcome::default()
        };
        self.server.welcome(self.now, welcome);
        // Like a room, which sends a newcomer the current state.
        if self.room.tick > 0 {
            let current = world(&self.room.schema, self.room.tick);
            self.server.offer_state(Published(current.into()));
        }
    }

    fn time_out(&mut self) {
        if self.server.poll_timeout().is_some_and(|at| self.now >= at) {
            self.server.handle_timeout(self.now, self.clock_us());
        }
        if self.client.poll_timeout().is_some_and(|at| self.now >= at)
            && let Err(error) = self.client.handle_timeout(self.now)
        {
            self.client_error = Some(error);
        }
    }

    fn write_server(&mut self) {
        let mut out = BytesMut::new();
        let clock = self.clock_us();
        while self.down.bytes() < PIPE {
            let written = self.server.poll_control(clock, &mut out)
                || self.served.as_mut().is_some_and(|s| self.server.poll_reliable(&mut s.queue, &mut out));
            if !written {
                break;
            }
            self.down.send(self.now, &mut self.dice, out.split().freeze());
        }
        // An overflow found just now causes a goodbye.
        if self.down.bytes() < PIPE && self.server.poll_control(clock, &mut out) {
            self.down.send(self.now, &mut self.dice, out.split().freeze());
        }
        if self.down.bytes() >= PIPE {
            return;
        }
        let input = self.served.as_ref().and_then(|s| s.inputs.last().copied()).unwrap_or(0);
        let coding = self.server.coding();
        let sent = self.server.poll_state(self.now, |send| {
            self.room.encode(&send, input, coding, &mut out);
            send.current.0.tick()
        });
        if let Some(tick) = sent {
            self.states_sent.push(tick);
            let lane = match self.delivery {
                Delivery::Ordered => &mut self.down,
                Delivery::Datagram => &mut self.down_datagrams,
            };
            lane.send(self.now, &mut self.dice, out.split().freeze());
        }
    }

    fn write_client(&mut self) {
        let mut out = BytesMut::new();
        while let Some(lane) = self.client.poll_transmit_lane(self.now, &mut out, || MAX_DATAGRAM) {
            let link = match lane {
                Lane::Unreliable => &mut self.up_datagrams,
                Lane::Reliable => &mut self.up,
            };
            self.messages_up += 1;
            link.send(self.now, &mut self.dice, out.split().freeze());
        }
    }

    fn clock_us(&self) -> u64 {
        u64::try_from((self.now - self.start).as_micros()).unwrap()
    }
}

fn token() -> Bytes {
    Bytes::from_static(b"0123456789abcdef")
}
