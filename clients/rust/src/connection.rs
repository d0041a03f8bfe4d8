//! One connection driven by the task that owns it: [`ClientCore`] on a [`Transport`].
//!
//! Bots are built on this. It starts no task or thread of its own, has one timer, does not require `Send`,
//! and does not reconnect by itself: [`Client`](crate::Client) does.
//!
//! ```no_run
//! use driftless_client::{Connection, Event, Options, Payloads, Step, transport::DialError};
//! use std::time::{Duration, Instant};
//!
//! /// Sends an input every 50 ms until the connection ends; returns how many states came.
//! async fn bot(options: Options, input: impl prost::Message) -> Result<u64, DialError> {
//!     let mut connection = Connection::open(&options).await?;
//!     let (mut payloads, mut due, mut states) = (Payloads::default(), Instant::now(), 0);
//!     loop {
//!         match connection.next(Some(due)).await {
//!             Step::Woken => {
//!                 due += Duration::from_millis(50);
//!                 let payload = payloads.encode(&input);
//!                 let _ = connection.core_mut().send_input(payload); // refused before the welcome
//!             }
//!             Step::Event(Event::State { .. }) => states += 1,
//!             Step::Event(_) => {}
//!             Step::Closed => return Ok(states),
//!         }
//!     }
//! }
//! ```

use crate::{
    ClientCore, Disconnect, Event, Options, Phase,
    runtime::now,
    transport::{Closed, DialError, Dialed, Dialer, Endpoint, Transport, TransportKind, WebSocket},
};
use bytes::BytesMut;
use driftless_proto::session::client::ServerError;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::time::Sleep;

/// Time between two looks at the clock while something is due that cannot be sent.
const STUCK_RETRY: Duration = Duration::from_millis(100);

/// A client core with its transport and timer.
#[derive(Debug)]
pub struct Connection {
    core: ClientCore,
    transport: Option<Transport>,
    /// The kind of the transport, or of the last one.
    kind: TransportKind,
    dialer: Dialer,
    out: BytesMut,
    timer: Pin<Box<Sleep>>,
    /// When the timer fires, if it is set.
    armed: Option<Instant>,
    /// The network takes nothing of what is to be sent.
    is_clogged: bool,
}

/// What [`Connection::next`] returns.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Something happened.
    Event(Event),
    /// The requested time has come.
    Woken,
    /// The connection has ended. [`ClientCore::phase`] says whether and when to
    /// [`redial`](Connection::redial), or why not.
    Closed,
}

impl Connection {
    /// Opens a connection. The join is the first message that [`next`](Self::next) sends.
    pub async fn open(options: &Options) -> Result<Self, DialError> {
        let dialer = Dialer::default();
        let Dialed { transport, token } = dialer.dial(options, None).await?;
        let mut connection = Self { dialer, ..Self::on(transport, options) };
        connection.core.set_identity_token(token);
        Ok(connection)
    }

    /// A client on a connection that is already open.
    pub fn on(transport: impl Into<Transport>, options: &Options) -> Self {
        let transport = transport.into();
        Self {
            core: ClientCore::over(now(), options, transport.delivery()),
            kind: transport.kind(),
            transport: Some(transport),
            dialer: Dialer::default(),
            out: BytesMut::new(),
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            armed: None,
            is_clogged: false,
        }
    }

    /// Sends what is due and waits for the next event, or until `wake` if that comes first. Cancel-safe.
    pub async fn next(&mut self, wake: Option<Instant>) -> Step {
        poll_fn(|cx| self.poll_next(cx, wake)).await
    }

    /// [`next`](Self::next) as a poll function, for driving several things in one task.
    pub fn poll_next(&mut self, cx: &mut Context<'_>, wake: Option<Instant>) -> Poll<Step> {
        let mut handled = None;
        loop {
            // What was queued is sent before the caller gets control, so that a slow caller delays no
            // message.
            let transmitted = self.transmit(cx);
            if let Some(event) = self.core.poll_event() {
                return Poll::Ready(Step::Event(event));
            }
            if let Err(cause) = transmitted {
                self.disconnect(cause);
                continue;
            }
            let Some(transport) = &mut self.transport else { return Poll::Ready(Step::Closed) };
            match transport.poll_recv(cx) {
                Poll::Ready(Ok(message)) => {
                    if let Err(error) = self.core.handle_message(now(), message) {
                        self.disconnect(error.into());
                    }
                    continue;
                }
                Poll::Ready(Err(closed)) => {
                    self.disconnect(closed.into());
                    continue;
                }
                Poll::Pending => {}
            }
            match self.poll_timer(cx, wake, &mut handled) {
                Poll::Ready(true) => return Poll::Ready(Step::Woken),
                Poll::Ready(false) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Opens a new connection at once for the same player, which resumes the seat if there is one. A failure
    /// is reported to the core, whose phase then says when to try again. Does nothing while there is a
    /// connection, or after the end. Not cancel-safe: if it is dropped, the attempt is lost (but nothing
    /// else).
    pub async fn redial(&mut self, options: &Options) {
        if self.waiting_until().is_none() {
            return;
        }
        let node = self.core.node().cloned();
        match self.dialer.dial(options, node.as_ref()).await {
            Ok(dialed) => self.attach(dialed),
            Err(error) => self.dial_failed(error),
        }
    }

    /// The client on this connection.
    pub fn core(&self) -> &ClientCore {
        &self.core
    }

    /// The client on this connection, to send inputs and commands: they are sent with the next call of
    /// [`next`](Self::next).
    pub fn core_mut(&mut self) -> &mut ClientCore {
        &mut self.core
    }

    /// The transport of the current connection, or of the last one.
    pub fn transport(&self) -> TransportKind {
        self.kind
    }

    /// The transport, for inspection or to set options on. None: there is no connection.
    pub fn carrier(&self) -> Option<&Transport> {
        self.transport.as_ref()
    }

    /// The WebSocket, if the transport is one: to set options on, or to stop reading for a while.
    pub fn socket(&self) -> Option<&WebSocket> {
        match &self.transport {
            Some(Transport::WebSocket(socket)) => Some(socket),
            _ => None,
        }
    }

    /// The UDP socket of QUIC and WebTransport, current or last used.
    pub fn endpoint(&self) -> Option<Endpoint> {
        self.dialer.endpoint()
    }

    /// Drops the transport. On a WebSocket this looks like a lost network: the server is not told. QUIC and
    /// WebTransport close with code 0. The seat is kept either way.
    pub fn abort(&mut self) {
        if self.transport.is_some() {
            self.disconnect(Closed::Lost("aborted".into()).into());
        }
    }

    pub(crate) fn attach(&mut self, Dialed { transport, token }: Dialed) {
        self.core.set_identity_token(token);
        if self.core.handle_connected(now(), transport.delivery()) {
            self.kind = transport.kind();
            self.transport = Some(transport);
        }
    }

    pub(crate) fn dial_failed(&mut self, error: DialError) {
        self.core.set_identity_token(self.dialer.shown());
        self.core.handle_dial_failed(now(), error);
    }

    /// When another connection is to be opened beside this one: [`ClientCore::poll_doubt`]. Not if it is this
    /// client that gets nothing through.
    pub(crate) fn poll_doubt(&self) -> Option<Instant> {
        self.core.poll_doubt().filter(|_| !self.is_clogged)
    }

    /// Nothing comes over the connection, and this one was opened beside it.
    pub(crate) fn replace(&mut self, dialed: Dialed) {
        let silence = self.core.session().silent_since().map_or(Duration::ZERO, |since| now() - since);
        self.disconnect(ServerError::TimedOut(silence).into());
        self.attach(dialed);
    }

    pub(crate) fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    /// Sends what is due, as much as the network takes.
    fn transmit(&mut self, cx: &mut Context<'_>) -> Result<(), Disconnect> {
        let Some(transport) = &mut self.transport else { return Ok(()) };
        loop {
            self.is_clogged = transport.poll_flush(cx)?.is_pending();
            if self.is_clogged {
                break;
            }
            let max_datagram = || transport.max_datagram();
            let Some(lane) = self.core.poll_transmit_lane(now(), &mut self.out, max_datagram) else { break };
            transport.send(self.out.split().freeze(), lane)?;
        }
        Ok(())
    }

    fn disconnect(&mut self, cause: Disconnect) {
        if let Some(round_trip) = self.core.stats().smoothed_rtt {
            self.dialer.saw_round_trip(round_trip);
        }
        if let Some(mut transport) = self.transport.take() {
            match &cause {
                Disconnect::Server(ServerError::TimedOut(_)) => transport.close(1001, "timed out"),
                Disconnect::Server(error) => transport.close(1002, &short(&error.to_string())),
                Disconnect::Transport(Closed::TooLarge { .. }) => transport.close(1009, "message too large"),
                Disconnect::Transport(Closed::Violation(_)) => transport.close(1002, "protocol error"),
                _ => {}
            }
        }
        self.core.handle_disconnected(now(), cause);
    }

    /// Ready(true): `wake` has come. Ready(false): time has passed, so look at everything again.
    ///
    /// `handled` is the deadline for which the core's timeout was last handled. If the same one is due again,
    /// it is for a message that cannot be sent now (the network takes nothing, or the player is leaving):
    /// look again later.
    fn poll_timer(
        &mut self,
        cx: &mut Context<'_>,
        wake: Option<Instant>,
        handled: &mut Option<Instant>,
    ) -> Poll<bool> {
        let now = now();
        if wake.is_some_and(|w| w <= now) {
            return Poll::Ready(true);
        }
        let mut due = self.core.poll_timeout();
        if due.is_some_and(|due| due <= now) {
            if *handled != due {
                *handled = due;
                if let Err(error) = self.core.handle_timeout(now) {
                    self.disconnect(error.into());
                }
                return Poll::Ready(false);
            }
            due = Some(now + STUCK_RETRY);
        }
        let Some(next) = due.into_iter().chain(wake).min() else {
            return Poll::Pending;
        };
        // A timer that fires too early costs a look at the clock, and setting it anew costs a lock: so it is
        // only ever moved forward.
        if self.armed.is_none_or(|armed| armed > next) {
            self.timer.as_mut().reset(next.into());
            self.armed = Some(next);
        }
        match self.timer.as_mut().poll(cx) {
            Poll::Ready(()) => {
                self.armed = None;
                Poll::Ready(false)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Connection {
    /// Whether the next step is to dial again, and when.
    pub(crate) fn waiting_until(&self) -> Option<Instant> {
        match self.core.phase() {
            Phase::Waiting { until } => Some(*until),
            _ => None,
        }
    }
}

/// Close reasons have at most 123 bytes (RFC 6455 section 5.5.1).
fn short(text: &str) -> String {
    let mut end = text.len().min(123);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
