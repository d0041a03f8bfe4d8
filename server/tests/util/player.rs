//! A player: the session of `driftless-proto` on a raw WebSocket, driven by whoever waits for something.

use super::{
    Frame, PATIENCE, Socket, join,
    socket::{CLOSE, FIN},
};
use bytes::{Bytes, BytesMut};
use driftless_proto::{
    code::CloseCode,
    session::{
        Delivery,
        client::{ClientConfig, ClientEvent, ClientSession},
    },
    snapshot::Snapshot,
    wire,
};
use driftless_sim::games::arena::{
    ArenaCommand, ArenaEvent, ArenaInput, PLAYERS, arena_command, arena_event,
};
use prost::Message;
use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

/// A player that checks messages as a real client does: a stale state, a gap or a bad delta fails the test.
pub struct Player<W = Socket> {
    address: SocketAddr,
    pub socket: W,
    pub session: ClientSession,
    /// Bytes of presence that came.
    pub presence_bytes: usize,
    events: VecDeque<ClientEvent>,
    /// The close frame's code.
    closed: Option<u16>,
}

/// The transport of a player's messages.
pub trait Wire: Send + 'static {
    const DELIVERY: Delivery;
    /// A new connection to the same server.
    fn again(&self, address: SocketAddr) -> Self;
    /// Sends a message. An error means that the connection takes no more.
    fn send_message(&mut self, message: &[u8]) -> io::Result<()>;
    /// What arrives next, if it arrives in time.
    fn next_by(&mut self, deadline: Instant) -> Option<Arrived>;
    /// Reads until the server has closed the connection, then closes this end.
    fn finish(&mut self);
    /// Is lost without notice.
    fn lose(&mut self);
}

/// What arrived on a wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrived {
    Message(Vec<u8>),
    /// The close and its code. (The player answers it.)
    Closed {
        code: u16,
        reason: String,
    },
    /// The end without a close.
    Ended(String),
    /// Something else.
    Other,
}

impl Wire for Socket {
    const DELIVERY: Delivery = Delivery::Ordered;

    fn again(&self, address: SocketAddr) -> Self {
        Self::connect(address)
    }
    fn send_message(&mut self, message: &[u8]) -> io::Result<()> {
        self.send(message)
    }
    fn next_by(&mut self, deadline: Instant) -> Option<Arrived> {
        Some(match self.recv_by(deadline)? {
            Frame::Binary(message) => Arrived::Message(message),
            Frame::Close { code, reason } => {
                let _ = self.send_frame(FIN | CLOSE, &code.to_be_bytes());
                Arrived::Closed { code, reason }
            }
            Frame::End => Arrived::Ended("no close frame".to_owned()),
            Frame::Pong(_) => Arrived::Other,
        })
    }
    fn finish(&mut self) {
        self.wait_end();
        let _ = self.stream().shutdown(std::net::Shutdown::Both);
    }
    fn lose(&mut self) {
        let _ = self.stream().shutdown(std::net::Shutdown::Both);
    }
}

impl Player {
    /// Joins a room and waits for the welcome.
    #[track_caller]
    pub fn join(address: SocketAddr, room: &str) -> Self {
        Self::join_as(address, join(room))
    }

    /// Joins under a name and waits for the welcome.
    #[track_caller]
    pub fn named(address: SocketAddr, room: &str, name: &str) -> Self {
        Self::join_as(address, wire::Join { name: name.to_owned(), ..join(room) })
    }

    #[track_caller]
    pub fn join_as(address: SocketAddr, join: wire::Join) -> Self {
        let mut player = Self::on(Socket::connect(address), address, join);
        player.welcomed();
        player
    }
}

impl<W: Wire> Player<W> {
    /// A player who will join on this connection.
    pub fn on(socket: W, address: SocketAddr, join: wire::Join) -> Self {
        // As many commands as a test likes: the server's limit is what counts.
        let config = ClientConfig { delivery: W::DELIVERY, max_commands: 1_000, ..ClientConfig::default() };
        let session = ClientSession::join(Instant::now(), config, join);
        Self { address, socket, session, presence_bytes: 0, events: VecDeque::new(), closed: None }
    }

    /// Waits for a welcome.
    #[track_caller]
    pub fn welcomed(&mut self) -> wire::Welcome {
        self.wait("a welcome", |event| match event {
            ClientEvent::Welcome(welcome) => Some(*welcome.clone()),
            ClientEvent::Goodbye(goodbye) => panic!("a goodbye instead of a welcome: {goodbye:?}"),
            _ => None,
        })
    }

    /// The next event.
    #[track_caller]
    pub fn next(&mut self) -> ClientEvent {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            assert!(self.closed.is_none(), "an event is waited for after the close {:?}", self.closed);
            assert!(Instant::now() < deadline, "no event within {PATIENCE:?}");
            self.pump(deadline);
        }
    }

    /// Waits for an event that `look` accepts; earlier ones are dropped.
    #[track_caller]
    pub fn wait<T>(&mut self, what: &str, mut look: impl FnMut(&ClientEvent) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
            if let Some(found) = look(&self.next()) {
                return found;
            }
        }
    }

    /// The tick of the next state.
    #[track_caller]
    pub fn next_tick(&mut self) -> u32 {
        self.wait("a state", |event| match event {
            ClientEvent::State { tick, .. } => Some(*tick),
            _ => None,
        })
    }

    /// Plays until `look` accepts a state.
    #[track_caller]
    pub fn wait_state<T>(&mut self, what: &str, mut look: impl FnMut(&Snapshot) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
            self.next_tick();
            if let Some(found) = self.session.snapshot().and_then(&mut look) {
                return found;
            }
        }
    }

    /// Waits for a presence change of this kind, of the member with this name.
    #[track_caller]
    pub fn wait_presence(&mut self, name: &str, change: wire::member::Change) -> wire::Member {
        self.wait(&format!("{name} {change:?}"), |event| {
            let ClientEvent::Presence(presence) = event else { return None };
            presence.members.iter().find(|m| m.name == name && m.change() == change).cloned()
        })
    }

    /// The next chat message: its author and text.
    #[track_caller]
    pub fn next_chat(&mut self) -> (u32, String) {
        self.wait("a chat message", |event| {
            let ClientEvent::Event(event) = event else { return None };
            match ArenaEvent::decode(&event.payload[..]).expect("an event of the arena").body {
                Some(arena_event::Body::Chat(chat)) => Some((chat.player, chat.text)),
                _ => None,
            }
        })
    }

    /// Sends a chat message (in the arena).
    #[track_caller]
    pub fn chat(&mut self, text: &str) {
        self.command(&ArenaCommand { body: Some(arena_command::Body::Chat(text.to_owned())) });
    }

    #[track_caller]
    pub fn command(&mut self, command: &impl Message) {
        self.session.send_command(command.encode_to_vec().into()).expect("a command is taken");
        self.transmit();
    }

    /// Runs at full speed (in the arena).
    #[track_caller]
    pub fn run(&mut self, x: i32, y: i32) -> u32 {
        self.input(&ArenaInput { move_x: x, move_y: y, ..ArenaInput::default() })
    }

    #[track_caller]
    pub fn input(&mut self, input: &impl Message) -> u32 {
        let number = self.session.send_input(input.encode_to_vec().into());
        let number =
            number.unwrap_or_else(|e| panic!("{e}; the session is closed: {:?}", self.session.closed()));
        self.transmit();
        number
    }

    /// Sends a message that the session would not send.
    pub fn send(&mut self, body: wire::client_message::Body) {
        self.socket.send_message(&super::client(body)).expect("the connection is open");
    }

    /// Number of the player in the room.
    pub fn number(&self) -> u32 {
        self.session.welcome().expect("a welcome").player
    }

    pub fn token(&self) -> Bytes {
        self.session.welcome().expect("a welcome").resume_token.clone()
    }

    /// Where a player of the arena is, as this one sees it.
    pub fn sees(&self, player: u32) -> Option<(i32, i32)> {
        place(self.session.snapshot()?, player)
    }

    /// Gives the seat up, and waits until the server has closed.
    #[track_caller]
    pub fn leave(&mut self) {
        self.session.leave();
        assert_eq!(self.ended(), CloseCode::Left);
    }

    /// Waits for the goodbye and the close frame, which must have the same code.
    #[track_caller]
    pub fn ended(&mut self) -> CloseCode {
        let goodbye = self.goodbye();
        CloseCode::from_number(goodbye.code as u16).expect("a documented code")
    }

    /// Like `ended`, but returns the whole goodbye.
    #[track_caller]
    pub fn goodbye(&mut self) -> wire::Goodbye {
        let goodbye = self.wait("a goodbye", |event| match event {
            ClientEvent::Goodbye(goodbye) => Some(goodbye.clone()),
            _ => None,
        });
        let deadline = Instant::now() + PATIENCE;
        while self.closed.is_none() {
            assert!(Instant::now() < deadline, "no close frame after {goodbye:?}");
            self.pump(deadline);
        }
        assert_eq!(self.closed.map(u32::from), Some(goodbye.code), "goodbye and close frame have one code");
        self.socket.finish();
        goodbye
    }

    /// The network is lost: neither end is told.
    pub fn lose_connection(&mut self) {
        self.socket.lose();
        self.session.disconnected();
        self.events.clear();
    }

    /// Resumes on a new connection.
    pub fn reconnect(&mut self) {
        self.reconnect_on(self.socket.again(self.address));
    }

    /// Resumes at the server that has taken the place of the one before.
    pub fn reconnect_at(&mut self, address: SocketAddr) {
        self.address = address;
        self.reconnect();
    }

    /// Resumes on this connection.
    pub fn reconnect_on(&mut self, socket: W) {
        self.session.reconnected(Instant::now(), false, W::DELIVERY);
        self.socket = socket;
        self.closed = None;
    }

    /// Plays on a thread of its own until told to stop, and counts the ticks delivered.
    pub fn in_background(mut self) -> Background<W> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let ticks = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let counted = ticks.clone();
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let ClientEvent::State { .. } = self.next() {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
            self
        });
        Background { stop, ticks, thread: Some(thread) }
    }

    /// Sends what is due and receives, until something has arrived.
    #[track_caller]
    pub fn pump(&mut self, deadline: Instant) {
        self.transmit();
        let due = self.session.poll_timeout().map_or(deadline, |due| due.min(deadline));
        match self.socket.next_by(due) {
            Some(Arrived::Message(message)) => {
                let handled = self.session.handle_message(Instant::now(), message.into());
                handled.unwrap_or_else(|fault| panic!("the server is at fault: {fault}"));
            }
            Some(Arrived::Closed { code, .. }) => self.closed = Some(code),
            Some(Arrived::Ended(why)) => panic!("the connection ended without a close: {why}"),
            Some(Arrived::Other) | None => {}
        }
        self.session.handle_timeout(Instant::now()).expect("the server is not silent");
        self.transmit();
        while let Some(event) = self.session.poll_event() {
            if let ClientEvent::Presence(presence) = &event {
                self.presence_bytes += presence.encoded_len();
            }
            self.events.push_back(event);
        }
    }

    pub fn transmit(&mut self) {
        let mut out = BytesMut::new();
        while self.session.poll_transmit(Instant::now(), &mut out) {
            // If the server has just closed the connection, what it sent has yet to be read.
            let _ = self.socket.send_message(&out.split());
        }
    }
}

/// Where a player of the arena is.
pub fn place(snapshot: &Snapshot, player: u32) -> Option<(i32, i32)> {
    let players = &snapshot.tables()[PLAYERS];
    Some((players.value(player, 0)?, players.value(player, 1)?))
}

/// A player who plays on a thread of its own.
pub struct Background<W = Socket> {
    stop: Arc<AtomicBool>,
    ticks: Arc<std::sync::atomic::AtomicU32>,
    thread: Option<thread::JoinHandle<Player<W>>>,
}

impl<W> Background<W> {
    /// States delivered so far.
    pub fn ticks(&self) -> u32 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// Waits until this many more states were delivered.
    #[track_caller]
    pub fn wait_ticks(&self, more: u32) {
        let goal = self.ticks() + more;
        super::until("the other player's ticks go on", || {
            assert!(
                !self.thread.as_ref().is_some_and(thread::JoinHandle::is_finished),
                "the other player failed"
            );
            self.ticks() >= goal
        });
    }

    /// Gives the player back.
    #[track_caller]
    pub fn stop(mut self) -> Player<W> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("once").join().expect("the other player does not fail")
    }
}

impl<W> Drop for Background<W> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
