//! The whole client without its socket: session, clock, statistics, and when to reconnect.
//!
//! ```text
//!              disconnected, may retry               handle_connected
//!   Online ─────────────────────────────► Waiting ─────────────────────► Online
//!      │                                     │ handle_dial_failed: Waiting again, longer
//!      └── disconnected, may not retry ──────┴──────────► Ended
//! ```
//!
//! A call that the diagram does not show for the current phase is outdated, and is ignored: the result of a
//! dial that nobody waits for any more does not end a live connection, and a connection ends only once,
//! however often it is reported.
//!
//! **Waits.** Each failure makes the next wait longer: a dial that failed, and a connection that ended. Waits
//! start over with the first state of a resumed seat, because then only the network had failed. A new seat
//! must last for 5 s, or for as long as the next wait can be if that is less, so that a room that fails right
//! after each join, or a server that restarts again and again, is not joined in a tight loop.
//!
//! **Doubt.** A room says something with every tick. If nothing comes for 2 s, or for eight round trips if
//! that is longer, the server may be gone, and nobody tells: a machine that has lost its power, or over QUIC
//! also a process that was killed ([`poll_doubt`](ClientCore::poll_doubt)). Then another connection is opened
//! beside the silent one, to the address that the application gave, where any node may be. If it is there
//! first, the silent one is given up for it; if something comes meanwhile, nothing has happened. So a network
//! that is slow, or away, costs nobody his connection.
//!
//! `handle_*` takes something in, `poll_*` gives something out, and time is an argument: the same code runs
//! on a socket, in the load test's swarm, and in tests in virtual time.

use crate::{
    Backoff, Clock, Disconnect, Error, Event, Members, Options, Stats, clock::LONGEST_US,
    transport::DialError,
};
use bytes::{Bytes, BytesMut};
use driftless_proto::{
    code::CloseCode,
    lane::Lane,
    moment::Moment,
    schema::Schema,
    session::{
        Delivery,
        client::{ClientConfig, ClientEvent, ClientSession, SendError, ServerError},
    },
    snapshot::Snapshot,
    view::ZoneId,
    wire,
};
use driftless_sim::{Predict, Prediction};
use prost::Message as _;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How long the server may take to close the transport after its goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// While a seat may wait, no wait is longer than its window divided by this.
const ATTEMPTS: u32 = 4;
/// So many windows a seat may wait: while its room stands still, because its node or the store is away, the
/// window does not pass.
const WINDOWS: u32 = 10;
/// How often a client follows from one node to another before it is welcomed.
const MAX_HOPS: usize = 3;
/// So many nodes in a row may be dead to which a client was sent, before it waits longer.
const FAILED_NODES: u32 = 3;
/// A server is in doubt that says nothing for so long, and for so many round trips.
const DOUBT: Duration = Duration::from_secs(2);
const DOUBT_ROUND_TRIPS: u32 = 8;
/// A new seat that lasts for this long, or for as long as the next wait, shows that the server works.
const LASTS: Duration = Duration::from_secs(5);

/// One player's client, without a socket.
#[derive(Debug)]
pub struct ClientCore {
    session: ClientSession,
    clock: Clock,
    stats: Stats,
    /// None: the application does not want the members.
    members: Option<Members>,
    phase: Phase,
    events: VecDeque<Event>,
    /// The server's goodbye, and when it came.
    goodbye: Option<(wire::Goodbye, Instant)>,
    welcomed: bool,
    left: bool,
    /// The seat is lost: the client joins anew until it has another.
    rejoin: bool,
    /// The connection asked for the old seat and has no answer yet.
    resuming: bool,
    /// When this connection was welcomed, and whether a state has come over it.
    welcomed_at: Instant,
    works: bool,
    /// When the connection was lost that had the seat, if it had it for [`LASTS`].
    lost_at: Option<Instant>,
    /// This connection was welcomed.
    greeted: bool,
    /// The node to which the client was sent. None: it goes to the address that the application gave.
    node: Option<wire::Moved>,
    /// Where it was sent since the last welcome.
    sent_to: Vec<String>,
    /// The token that the server was shown last, and the one that it has refused since the last welcome.
    shown: String,
    refused: Option<String>,
    /// Whether there is a login to ask for another one.
    has_login: bool,
    /// Failed attempts in a row.
    failed: u32,
    /// The next wait is as after a first failure.
    soon: bool,
    backoff: Backoff,
    max_attempts: Option<u32>,
    rng: fastrand::Rng,
}

/// Where a client is between its first connection and its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// There is a connection (perhaps without a welcome yet).
    Online,
    /// There is no connection; the next attempt is due at `until`.
    Waiting {
        /// When to dial.
        until: Instant,
    },
    /// There will be no connection any more.
    Ended(Error),
}

impl ClientCore {
    /// A client whose first connection was opened at `now`, over a transport that delivers as
    /// `options.session.delivery` says. It will join.
    pub fn new(now: Instant, options: &Options) -> Self {
        Self::over(now, options, options.session.delivery)
    }

    /// A client whose first connection was opened at `now`, over a transport with this `delivery`. It will
    /// join.
    pub fn over(now: Instant, options: &Options, delivery: Delivery) -> Self {
        let config = ClientConfig { delivery, ..options.session.clone() };
        Self {
            session: ClientSession::join(now, config, options.join()),
            clock: Clock::new(now),
            stats: Stats::default(),
            members: options.keep_members.then(Members::default),
            phase: Phase::Online,
            events: VecDeque::new(),
            goodbye: None,
            welcomed: false,
            left: false,
            rejoin: false,
            resuming: false,
            welcomed_at: now,
            works: false,
            lost_at: None,
            greeted: false,
            node: None,
            sent_to: Vec::new(),
            shown: String::new(),
            refused: None,
            has_login: options.token.is_some(),
            failed: 0,
            soon: false,
            backoff: options.backoff.clone(),
            max_attempts: options.max_attempts,
            rng: options.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed),
        }
    }

    /// Handles a message. On error, close the connection and call
    /// [`handle_disconnected`](Self::handle_disconnected) with the error.
    pub fn handle_message(&mut self, now: Instant, message: Bytes) -> Result<(), ServerError> {
        self.stats.messages_down += 1;
        self.stats.bytes_down += message.len() as u64;
        let result = self.session.handle_message(now, message);
        if let Err(ServerError::Stale { .. }) = result {
            self.stats.stale += 1;
        }
        self.take_session_events(now);
        result
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Appends the next message to send to `out`, if there is one. For transports with one lane.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut BytesMut) -> bool {
        self.poll_transmit_lane(now, out, || usize::MAX).is_some()
    }

    /// Like [`poll_transmit`](Self::poll_transmit), but returns the lane that the message takes: see
    /// [`ClientSession::poll_transmit_lane`].
    pub fn poll_transmit_lane(
        &mut self,
        now: Instant,
        out: &mut BytesMut,
        max_datagram: impl FnOnce() -> usize,
    ) -> Option<Lane> {
        if self.phase != Phase::Online {
            return None;
        }
        let before = out.len();
        let lane = self.session.poll_transmit_lane(now, out, max_datagram)?;
        self.stats.messages_up += 1;
        self.stats.bytes_up += out.len().saturating_sub(before) as u64;
        Some(lane)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), or while waiting, when to dial.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Online => match &self.goodbye {
                Some((_, at)) => Some(*at + CLOSE_TIMEOUT),
                None => self.session.poll_timeout(),
            },
            Phase::Waiting { until } => Some(*until),
            Phase::Ended(_) => None,
        }
    }

    /// From when on the server is in doubt, unless it says something before: see the module. From then on,
    /// another connection should be opened beside this one. If it is there before anything has come, call
    /// [`handle_disconnected`](Self::handle_disconnected) for the silent one and
    /// [`handle_connected`](Self::handle_connected) for the other.
    pub fn poll_doubt(&self) -> Option<Instant> {
        if self.phase != Phase::Online || self.goodbye.is_some() || !self.works {
            return None;
        }
        let usual = self.stats.smoothed_rtt.unwrap_or_default() * DOUBT_ROUND_TRIPS;
        Some(self.session.silent_since()? + DOUBT.max(usual))
    }

    /// Time has passed. On error (the server fell silent, or did not close after its goodbye), proceed as for
    /// [`handle_message`](Self::handle_message).
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ServerError> {
        if self.phase != Phase::Online {
            return Ok(());
        }
        let result = match &self.goodbye {
            Some((_, at)) if now >= *at + CLOSE_TIMEOUT => Err(ServerError::TimedOut(CLOSE_TIMEOUT)),
            _ => self.session.handle_timeout(now),
        };
        self.take_session_events(now);
        result
    }

    /// The connection ended. Decides what comes next: see [`phase`](Self::phase). If the server had said
    /// goodbye, that is the cause, whatever `cause` says.
    pub fn handle_disconnected(&mut self, now: Instant, cause: Disconnect) {
        if self.phase != Phase::Online {
            return;
        }
        self.session.disconnected();
        self.take_session_events(now);
        if self.works && now.saturating_duration_since(self.welcomed_at) >= LASTS {
            self.lost_at.get_or_insert(now);
        }
        let cause = match self.goodbye.take() {
            Some((wire::Goodbye { moved: Some(moved), .. }, _)) if !self.left => {
                return self.follow(now, moved);
            }
            Some((goodbye, _)) => Disconnect::from(goodbye),
            None => cause,
        };
        let code = cause.close_code();
        // Another node may have the room by now, or will.
        let silent = matches!(cause, Disconnect::Server(ServerError::TimedOut(_)));
        if silent || matches!(code, Some(CloseCode::NodeLost | CloseCode::Draining)) {
            self.start_over();
        }
        // In these cases there is no seat to resume.
        self.rejoin |=
            matches!(code, Some(CloseCode::UnknownSession | CloseCode::RoomClosed | CloseCode::RoomFailed));
        if self.rejoin {
            self.start_over();
        }
        // The server is there and has answered, and the lost seat will not be asked for again.
        let answered = std::mem::take(&mut self.resuming) && code == Some(CloseCode::UnknownSession);
        self.retry(now, cause, answered);
    }

    /// The room is on another node. The client goes there at once; but not in circles.
    fn follow(&mut self, now: Instant, moved: wire::Moved) {
        if self.sent_to.len() >= MAX_HOPS || self.sent_to.contains(&moved.url) {
            let hops = self.sent_to.len() + 1;
            self.start_over();
            return self.retry(now, Disconnect::SentInCircles { hops, last: moved.url }, false);
        }
        self.sent_to.push(moved.url.clone());
        // Whoever was in the room is told, not who was still looking for it.
        if std::mem::take(&mut self.greeted) {
            let cause = Disconnect::Goodbye {
                code: CloseCode::Moved.number(),
                reason: format!("the room is on node {}", moved.node),
                reconnect_after: Duration::ZERO,
            };
            self.events.push_back(Event::Disconnected { cause, retry_at: now });
        }
        self.node = Some(moved);
        self.phase = Phase::Waiting { until: now };
    }

    /// The next attempt goes to the address that the application gave.
    fn start_over(&mut self) {
        self.node = None;
        self.sent_to.clear();
    }

    /// The node to which the client was sent, if it was.
    pub fn node(&self) -> Option<&wire::Moved> {
        self.node.as_ref()
    }

    /// The attempt to connect that was due in [`Phase::Waiting`] has failed. Ignored in other phases.
    pub fn handle_dial_failed(&mut self, now: Instant, error: DialError) {
        if let Phase::Waiting { .. } = self.phase {
            // Another node may have the room soon: whoever was sent there asks again, before he waits longer.
            self.soon = self.node.is_some() && self.failed < FAILED_NODES;
            self.start_over();
            self.retry(now, error.into(), false);
        }
    }

    /// A new connection was opened after [`Phase::Waiting`]: resumes the seat, or joins anew if it is lost.
    /// The transport may be another one than before. False: the client was in another phase and does not wait
    /// for a connection; close it.
    pub fn handle_connected(&mut self, now: Instant, delivery: Delivery) -> bool {
        let Phase::Waiting { .. } = self.phase else { return false };
        self.resuming = !self.rejoin && self.welcomed;
        self.greeted = false;
        self.session.reconnected(now, self.rejoin, delivery);
        self.phase = Phase::Online;
        true
    }

    /// Waits for the next attempt, or ends. `answered`: nothing has failed.
    fn retry(&mut self, now: Instant, cause: Disconnect, answered: bool) {
        if self.left || cause.close_code() == Some(CloseCode::Left) {
            return self.end(Disconnect::Left.into());
        }
        let renews = self.may_renew(&cause);
        if !self.welcomed || !(cause.may_reconnect() || renews) {
            return self.end(cause.into());
        }
        if !std::mem::take(&mut self.works) && !answered {
            self.failed = self.failed.saturating_add(1);
        }
        if self.max_attempts.is_some_and(|max| self.failed >= max) {
            return self.end(Error::GaveUp { attempts: self.failed, last: cause });
        }
        let asked = match &cause {
            Disconnect::Goodbye { reconnect_after, .. } => Some(*reconnect_after),
            _ => None,
        };
        let wait = if std::mem::take(&mut self.soon) || answered {
            self.backoff.uncounted(&mut self.rng, asked)
        } else {
            self.backoff.next_within(self.patience(now), &mut self.rng, asked)
        };
        let until = now + wait;
        self.phase = Phase::Waiting { until };
        self.events.push_back(Event::Disconnected { cause, retry_at: until });
    }

    /// Whether there may be a better token than the one that was refused. A login may answer with what it has
    /// answered before; if it does so again, it has nothing better.
    fn may_renew(&mut self, cause: &Disconnect) -> bool {
        if !self.has_login || cause.close_code() != Some(CloseCode::Unauthenticated) || cause.may_reconnect()
        {
            return false;
        }
        self.refused.replace(self.shown.clone()).is_none_or(|refused| refused != self.shown)
    }

    /// The longest wait that leaves time for several attempts before the seat is lost.
    fn patience(&self, now: Instant) -> Duration {
        let (Some(welcome), Some(lost_at)) = (self.welcome(), self.lost_at) else { return Duration::MAX };
        let window = Duration::from_millis(welcome.resume_window_ms.into());
        let waits = !self.rejoin && now.saturating_duration_since(lost_at) < window * WINDOWS;
        if waits { window / ATTEMPTS } else { Duration::MAX }
    }

    /// Queues an encoded input for the next transmit and returns its number.
    pub fn send_input(&mut self, payload: Bytes) -> Result<u32, SendError> {
        self.session.send_input(payload)
    }

    /// Like [`send_input`](Self::send_input), with the moment that the player was shown when acting.
    pub fn send_input_seen(&mut self, payload: Bytes, moment: Option<Moment>) -> Result<u32, SendError> {
        self.session.send_input_seen(payload, moment)
    }

    /// Queues an encoded command. It is kept, and sent again after reconnects, until the server has it.
    pub fn send_command(&mut self, payload: Bytes) -> Result<u64, SendError> {
        self.session.send_command(payload)
    }

    /// Reads a topic from now on: see [`Client::read_topic`](crate::Client::read_topic).
    pub fn read_topic(&mut self, topic: &str, after: &str) {
        self.session.read_topic(topic, after);
    }

    /// Reads a topic no longer.
    pub fn stop_topic(&mut self, topic: &str) {
        self.session.stop_topic(topic);
    }

    /// Publishes something in a topic: see [`Client::publish`](crate::Client::publish).
    pub fn publish(&mut self, publish: wire::Publish) -> Result<u64, SendError> {
        self.session.publish(publish)
    }

    /// The next hello shows this token, which says who the player is. Empty: none.
    pub fn set_identity_token(&mut self, token: String) {
        self.shown.clone_from(&token);
        self.session.set_identity_token(token);
    }

    /// Sends a fresh token, in answer to [`Event::TokenExpires`].
    pub fn renew(&mut self, token: String) {
        self.shown.clone_from(&token);
        self.session.renew(token);
    }

    /// Gives up the seat. The server answers with a goodbye; however the connection ends after this, the
    /// client ends with it. If there is no connection, one more is due at once to deliver the leave, because
    /// otherwise the seat would be kept for the whole resume window.
    pub fn leave(&mut self, now: Instant) {
        self.left = true;
        self.session.leave();
        if let Phase::Waiting { until } = &mut self.phase {
            *until = now;
            if self.rejoin {
                self.end(Disconnect::Left.into());
            }
        }
    }

    /// The client's phase.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }
    /// The newest state applied: all zones that the player sees, together.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.session.snapshot()
    }
    /// The zones that the player sees, other than zone 0: see [`ClientSession::zones`].
    pub fn zones(&self) -> impl Iterator<Item = (ZoneId, &Snapshot, u32)> {
        self.session.zones()
    }
    /// Takes the newest state, which contains this player's inputs up to `input`, into a prediction. Not if
    /// the player's own entity is in it as of an earlier tick, because its zone is late: the inputs do not
    /// fit that, and the next state of the zone corrects all at once. Returns whether it was taken.
    pub fn reconcile<P: Predict>(&self, prediction: &mut Prediction<P>, input: u32) -> bool {
        let (Some(state), Some(welcome)) = (self.snapshot(), self.welcome()) else { return false };
        !self.session.is_late(P::OWN, welcome.player) && prediction.reconcile(input, state)
    }
    /// The room's schema, after the welcome.
    pub fn schema(&self) -> Option<&Schema> {
        self.session.schema()
    }
    /// The last welcome.
    pub fn welcome(&self) -> Option<&wire::Welcome> {
        self.session.welcome()
    }
    /// The estimate of the server's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }
    /// Counts and measurements.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }
    /// The members of the room, as far as the server has told. None if the options say not to keep them.
    pub fn members(&self) -> Option<&Members> {
        self.members.as_ref()
    }
    /// The session, for inspection.
    pub fn session(&self) -> &ClientSession {
        &self.session
    }
    /// Time between two ticks of the room. None before the welcome.
    pub fn tick_interval(&self) -> Option<Duration> {
        self.welcome().map(|w| Duration::from_secs(1) / w.tick_rate.max(1))
    }

    /// When `tick` is due, microseconds of the server's clock. None before the welcome.
    pub fn tick_due_us(&self, tick: u32) -> Option<i64> {
        self.welcome().map(|w| {
            w.epoch_us.clamp(-LONGEST_US, LONGEST_US)
                + i64::from(tick) * 1_000_000 / i64::from(w.tick_rate.max(1))
        })
    }

    /// How long ago `tick` was due, microseconds (negative: it is not due yet, or the clock is wrong). None
    /// before the welcome.
    pub fn age_us(&self, now: Instant, tick: u32) -> Option<i64> {
        Some(self.clock.server_time_us(now)? as i64 - self.tick_due_us(tick)?)
    }

    fn end(&mut self, error: Error) {
        self.phase = Phase::Ended(error);
    }

    fn measure(&mut self, take: impl FnOnce(&mut Clock)) {
        let moves = self.clock.moves();
        take(&mut self.clock);
        if self.clock.moves() != moves {
            self.events.push_back(Event::ClockMoved);
        }
    }

    /// A state came.
    fn count_as_working(&mut self, now: Instant) {
        (self.works, self.failed) = (true, 0);
        let lasted = now.saturating_duration_since(self.welcomed_at) >= LASTS.min(self.backoff.ceiling());
        if lasted || self.welcome().is_some_and(|welcome| welcome.resumed) {
            self.backoff.reset();
        }
    }

    fn take_session_events(&mut self, now: Instant) {
        while let Some(event) = self.session.poll_event() {
            match event {
                ClientEvent::Welcome(welcome) => {
                    self.measure(|clock| clock.handle_welcome(now, welcome.server_time_us));
                    self.stats.welcome(welcome.resumed, !self.welcomed);
                    (self.rejoin, self.resuming) = (false, false);
                    self.welcomed_at = now;
                    (self.lost_at, self.refused) = (None, None);
                    if let Some(members) = self.members.as_mut().filter(|_| !welcome.resumed) {
                        *members = Members::default();
                    }
                    (self.welcomed, self.greeted) = (true, true);
                    self.sent_to.clear();
                    self.events.push_back(Event::Welcome(welcome));
                }
                ClientEvent::RolledBack { after, until } => {
                    self.events.push_back(Event::RolledBack { after, until });
                }
                ClientEvent::State { tick, input, full, bytes } => {
                    self.count_as_working(now);
                    self.stats.state(tick, full, self.age_us(now, tick));
                    self.events.push_back(Event::State { tick, input, full, bytes });
                }
                ClientEvent::Event(event) => {
                    self.stats.reliable += 1;
                    self.events.push_back(Event::Game(event));
                }
                ClientEvent::Presence(mut presence) => {
                    self.stats.presence += 1;
                    self.stats.presence_bytes += presence.encoded_len() as u64;
                    if let Some(members) = &mut self.members {
                        members.apply(&mut presence);
                    }
                    self.events.push_back(Event::Presence(presence));
                }
                ClientEvent::CommandRefused(refused) => {
                    self.stats.reliable += 1;
                    self.events.push_back(Event::CommandRefused(refused));
                }
                ClientEvent::Pong { rtt, server_time_us, at } => {
                    self.measure(|clock| clock.handle_pong(at, rtt, server_time_us));
                    self.stats.pong(rtt);
                }
                ClientEvent::Topic(message) => self.events.push_back(Event::Topic(message)),
                ClientEvent::Published { number, answer } => {
                    self.events.push_back(Event::Published { number, answer });
                }
                ClientEvent::TokenExpires(within) => self.events.push_back(Event::TokenExpires { within }),
                ClientEvent::Goodbye(goodbye) => self.goodbye = Some((goodbye, now)),
            }
        }
    }
}

impl From<wire::Goodbye> for Disconnect {
    fn from(goodbye: wire::Goodbye) -> Self {
        Disconnect::Goodbye {
            code: u16::try_from(goodbye.code).unwrap_or(u16::MAX),
            reason: goodbye.reason,
            reconnect_after: Duration::from_millis(u64::from(goodbye.reconnect_after_ms)),
        }
    }
}
