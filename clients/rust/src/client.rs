//! The client for games. It connects, and reconnects by itself when the connection is lost.

use crate::{
    ClientCore, Connection, Disconnect, Error, Event, Members, Options, Payloads, Phase, Stats, Step,
    TokenSource,
    runtime::now,
    transport::{DialError, Dialed, TransportKind},
};
use driftless_proto::{
    moment::Moment, schema::Schema, session::client::SendError, snapshot::Snapshot, view::ZoneId, wire,
};
use driftless_sim::{Predict, Prediction};
use prost::Message;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

/// How long [`Client::leave`] waits for the server's goodbye.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time between two attempts to open a connection beside one over which nothing comes.
const BESIDE_AGAIN: Duration = Duration::from_secs(1);

/// A player in a room.
///
/// Nothing happens unless [`next`](Client::next) is being awaited: call it in a loop. (It is cancel-safe, so
/// `tokio::select!` with the game's own clock is fine.)
pub struct Client {
    connection: Connection,
    options: Options,
    dialing: Option<Dialing>,
    /// An attempt to connect beside a connection over which nothing comes, and when the next may begin.
    beside: Option<Dialing>,
    beside_at: Instant,
    /// A fresh token that is being got.
    renewing: Option<Renewing>,
    /// The first event, for which `connect` waited and which `next` has yet to return.
    welcome: Option<Event>,
    payloads: Payloads,
}

/// An attempt to reconnect. Kept in the client, so that a dropped `next` does not lose it.
type Dialing = Pin<Box<dyn Future<Output = Result<Dialed, DialError>> + Send>>;
type Renewing = Pin<Box<dyn Future<Output = Result<String, DialError>> + Send>>;

impl Client {
    /// Connects and enters the room. If the first attempt fails, so does this call: whether to wait for a
    /// server that is not up is the caller's choice. Once it has succeeded, the client reconnects by itself.
    pub async fn connect(options: Options) -> Result<Self, Error> {
        let connection = Connection::open(&options).await.map_err(Disconnect::from)?;
        let mut client = Self {
            connection,
            options,
            dialing: None,
            beside: None,
            beside_at: now(),
            renewing: None,
            welcome: None,
            payloads: Payloads::default(),
        };
        client.welcome = Some(client.next().await?);
        Ok(client)
    }

    /// The next event. Reconnects and resumes while it waits. An error is final: every later call returns it
    /// again. Cancel-safe.
    pub async fn next(&mut self) -> Result<Event, Error> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// [`next`](Self::next) as a poll function.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Error>> {
        if let Some(welcome) = self.welcome.take() {
            return Poll::Ready(Ok(welcome));
        }
        loop {
            if let Some(dialing) = &mut self.dialing {
                let dialed = ready!(dialing.as_mut().poll(cx));
                self.dialing = None;
                match dialed {
                    Ok(dialed) => self.connection.attach(dialed),
                    Err(error) => self.connection.dial_failed(error),
                }
            }
            self.poll_renewal(cx);
            let doubt = self.connection.poll_doubt().filter(|_| self.beside.is_none());
            let step = self.connection.poll_next(cx, doubt.map(|at| at.max(self.beside_at)));
            let Poll::Ready(step) = step else {
                ready!(self.poll_beside(cx));
                continue;
            };
            match step {
                Step::Event(Event::TokenExpires { .. }) if self.options.token.is_some() => {
                    let within = self.options.connect_timeout;
                    let get = |source: TokenSource| Box::pin(source.get(within)) as Renewing;
                    self.renewing = self.options.token.clone().map(get);
                }
                Step::Event(event) => return Poll::Ready(Ok(event)),
                Step::Woken => self.beside = Some(self.dial(now(), None)),
                Step::Closed => match self.core().phase() {
                    Phase::Ended(error) => return Poll::Ready(Err(error.clone())),
                    Phase::Waiting { .. } => self.redial(),
                    Phase::Online => {}
                },
            }
        }
    }

    /// Sends an input of the game and returns its number: a state whose `input` is at least this number
    /// contains it. It is sent with the next poll of [`next`](Self::next).
    pub fn send_input(&mut self, input: &impl Message) -> Result<u32, SendError> {
        let payload = self.payloads.encode(input);
        self.connection.core_mut().send_input(payload)
    }

    /// Like [`send_input`](Self::send_input), which says that the player was shown the newest state, for a
    /// client that shows an earlier one: `moment` is what it showed when the player acted
    /// ([`Interpolation::shown`](crate::interpolation::Interpolation::shown)). A game with lag compensation
    /// judges shots by it.
    pub fn send_input_seen(
        &mut self,
        input: &impl Message,
        moment: Option<Moment>,
    ) -> Result<u32, SendError> {
        let payload = self.payloads.encode(input);
        self.connection.core_mut().send_input_seen(payload, moment)
    }

    /// Sends a command of the game reliably: it is sent again after a reconnect, until the server has it. It
    /// is sent with the next poll of [`next`](Self::next).
    pub fn command(&mut self, command: &impl Message) -> Result<u64, SendError> {
        let payload = self.payloads.encode(command);
        self.connection.core_mut().send_command(payload)
    }

    /// Reads a topic from now on: [`Event::Topic`]. `after`: the id of the last event that is known; empty:
    /// none, so that it begins with what is published from now on. At most 16 topics.
    /// `presence:USER` says where a user is; at most 100 of those.
    pub fn read_topic(&mut self, topic: &str, after: &str) {
        self.connection.core_mut().read_topic(topic, after);
    }

    /// Reads a topic no longer.
    pub fn stop_topic(&mut self, topic: &str) {
        self.connection.core_mut().stop_topic(topic);
    }

    /// Publishes something in a topic, for which the player's token has to name the topic, at most 4 KiB.
    /// Returns its number, which [`Event::Published`] repeats: that says what became of it. It is sent with
    /// the next poll of [`next`](Self::next).
    pub fn publish(&mut self, publish: wire::Publish) -> Result<u64, SendError> {
        self.connection.core_mut().publish(publish)
    }

    /// A prediction of this player's own entity, in a game that says how it moves: from now on it wants each
    /// input that is sent ([`Prediction::push`]) and each state ([`reconcile`](Self::reconcile)). After a
    /// welcome that is not `resumed` the seat is another, which needs another one.
    ///
    /// None: nothing has been seen of the room yet, or it is one of another game.
    pub fn predict<P: Predict>(&self) -> Option<Prediction<P>> {
        let welcome = self.welcome().filter(|welcome| welcome.kind == P::KIND)?;
        let mut prediction = Prediction::new(welcome.player, welcome.tick_rate);
        self.reconcile(&mut prediction, 0);
        Some(prediction)
    }

    /// Takes the newest state into a prediction, with the `input` of its event
    /// ([`Event::State`]): see [`ClientCore::reconcile`].
    pub fn reconcile<P: Predict>(&self, prediction: &mut Prediction<P>, input: u32) -> bool {
        self.core().reconcile(prediction, input)
    }

    /// The newest state: all zones that the player sees, together.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.core().snapshot()
    }
    /// The zones that the player sees, other than zone 0, ascending: each with its newest content, and the
    /// tick up to which that is known to be its content. A game needs this only to show one zone apart from
    /// the others (a hand of cards), or how far behind each is.
    pub fn zones(&self) -> impl Iterator<Item = (ZoneId, &Snapshot, u32)> {
        self.core().zones()
    }
    /// The schema of the room's states.
    pub fn schema(&self) -> Option<&Schema> {
        self.core().schema()
    }
    /// The last welcome: the player's number, the tick rate, the room.
    pub fn welcome(&self) -> Option<&wire::Welcome> {
        self.core().welcome()
    }
    /// The members of the room, as far as the server has told. None if [`Options::keep_members`] is false.
    pub fn members(&self) -> Option<&Members> {
        self.core().members()
    }
    /// Counts and measurements.
    pub fn stats(&self) -> &Stats {
        self.core().stats()
    }
    /// The transport of the current connection, or of the last one. It may change with every reconnect.
    pub fn transport(&self) -> TransportKind {
        self.connection.transport()
    }
    /// The connection, for inspection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }
    /// The client below the socket: clock, phase, session.
    pub fn core(&self) -> &ClientCore {
        self.connection.core()
    }

    /// Gives up the seat and waits for the server's goodbye (at most 5 s). If there is no connection, it
    /// makes one more for this. A client that is dropped without this is a lost connection: the seat is kept
    /// for the resume window.
    pub async fn leave(mut self) -> Result<(), Error> {
        self.connection.core_mut().leave(now());
        if self.connection.waiting_until().is_some() {
            self.dialing = None; // it would wait for its time
        }
        let gone = async { while self.next().await.is_ok() {} };
        let in_time = tokio::time::timeout(LEAVE_TIMEOUT, gone).await.is_ok();
        if !in_time {
            self.connection.abort();
        }
        match self.core().phase() {
            Phase::Ended(error) if *error != Error::Ended(Disconnect::Left) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Sends a fresh token once it is there. If there is none, the connection ends with the old one, and the
    /// next one asks again.
    fn poll_renewal(&mut self, cx: &mut Context<'_>) {
        let Some(renewing) = &mut self.renewing else { return };
        let Poll::Ready(renewed) = renewing.as_mut().poll(cx) else { return };
        self.renewing = None;
        match renewed {
            Ok(token) => self.connection.core_mut().renew(token),
            Err(error) => tracing::warn!(%error, "the player stays for as long as the old token is valid"),
        }
    }

    fn redial(&mut self) {
        // What it is for is gone: the next connection brings a token of its own.
        self.renewing = None;
        let at = self.connection.waiting_until().unwrap_or_else(now);
        self.dialing = Some(self.dial(at, self.core().node().cloned()));
    }

    fn dial(&self, at: Instant, node: Option<wire::Moved>) -> Dialing {
        let (options, dialer) = (self.options.clone(), self.connection.dialer().clone());
        Box::pin(async move {
            tokio::time::sleep_until(at.into()).await;
            dialer.dial(&options, node.as_ref()).await
        })
    }

    /// Nothing has come over the connection. Ready: another one has taken its place, or could not be opened.
    fn poll_beside(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.connection.poll_doubt().is_none_or(|at| now() < at) {
            self.beside = None; // something came meanwhile
        }
        let Some(beside) = &mut self.beside else { return Poll::Pending };
        let dialed = ready!(beside.as_mut().poll(cx));
        self.beside = None;
        self.beside_at = now() + BESIDE_AGAIN;
        if let Ok(dialed) = dialed {
            self.connection.replace(dialed);
        }
        Poll::Ready(())
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("room", &self.options.room)
            .field("phase", self.core().phase())
            .finish_non_exhaustive()
    }
}
