//! A swarm on the client library's transports: QUIC, WebTransport, and WebSockets among them.
//!
//! One thread with one tokio runtime. Each client has a task that reads; the wheel acts for all of them
//! between two turns of the runtime and writes at once, so that an input does not wait for its task.
//! [`PER_SOCKET`] clients share a UDP socket: with one socket per client the swarm would cost more than the
//! server.

use super::{Drive, End, Frames, Peer, Traffic, Wheel, hang_up};
use driftless_client::{
    Endpoint, Options, Transport, TransportKind, Trust,
    transport::{Closed, DialError, Dialed},
};
use std::{
    cell::RefCell,
    future::poll_fn,
    ops::ControlFlow,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};
use tokio::{
    runtime::{Builder, Runtime},
    select,
    task::LocalSet,
    time::{sleep, sleep_until},
};

/// Clients of one UDP socket.
const PER_SOCKET: usize = 32;
/// Time between two looks whether something comes over a connection, and two attempts to open another one.
const BESIDE: Duration = Duration::from_secs(1);
/// Bytes of a WebSocket frame beside its message, from the server: those of a short one.
const FRAME_HEAD: usize = 2;

/// How a client connects.
#[derive(Debug, Clone)]
pub struct Carrier {
    /// Where to, and whom to trust. The transports in it do not matter.
    pub options: Options,
    /// Over what.
    pub kind: TransportKind,
}

/// The clients of one thread.
pub struct TaskSwarm<P: Peer> {
    state: Rc<RefCell<State<P>>>,
    runtime: Runtime,
    tasks: LocalSet,
    wheel: Wheel,
    tick: Duration,
}

/// What the tasks share. Borrowed only while one message is handled, never across an await.
struct State<P: Peer> {
    shared: P::Shared,
    clients: Vec<Client<P>>,
    frames: Frames,
    /// Of connections that are gone.
    gone: Traffic,
}

struct Client<P> {
    peer: P,
    transport: Option<Transport>,
    /// When it connects again.
    back: Option<Instant>,
    /// Of its task.
    waker: Waker,
    /// Bytes of messages, for WebSockets.
    bytes: (u64, u64),
}

impl<P: Peer + 'static> TaskSwarm<P>
where
    P::Shared: 'static,
{
    /// A swarm of these peers and their carriers; none is connected yet. The clients connect evenly over
    /// `ramp` from `start` on and act every `tick`.
    pub fn new(
        start: Instant,
        ramp: Duration,
        tick: Duration,
        shared: P::Shared,
        peers: Vec<(P, Carrier)>,
    ) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let tasks = LocalSet::new();
        let (mut random, mut wheel) = (fastrand::Rng::new(), Wheel::new(start, tick));
        let count = peers.len();
        (0..count as u32).for_each(|client| wheel.add(client, &mut random));
        let (peers, carriers): (Vec<_>, Vec<_>) = peers.into_iter().unzip();
        let client =
            |peer| Client { peer, transport: None, back: None, waker: Waker::noop().clone(), bytes: (0, 0) };
        let clients = peers.into_iter().map(client).collect();
        let state = State { shared, clients, frames: Frames::lanes(), gone: Traffic::default() };
        let state = Rc::new(RefCell::new(state));
        let mut endpoint = None;
        for (index, Carrier { options, kind }) in carriers.into_iter().enumerate() {
            if index % PER_SOCKET == 0 {
                let _inside = runtime.enter();
                endpoint = Some(Endpoint::new()?);
            }
            let options = Options { transports: vec![kind], endpoint: endpoint.clone(), ..options };
            let at = start + ramp.mul_f64(index as f64 / count.max(1) as f64);
            tasks.spawn_local(live(state.clone(), index, at, options));
        }
        Ok(Self { state, runtime, tasks, wheel, tick })
    }
}

impl<P: Peer> TaskSwarm<P> {
    /// Hangs up, and returns what the peers shared.
    pub fn into_shared(self) -> Option<P::Shared> {
        drop((self.tasks, self.runtime)); // the tasks hold the state, too
        Rc::into_inner(self.state).map(|state| state.into_inner().shared)
    }
}

impl<P: Peer> Drive<P> for TaskSwarm<P> {
    fn with(&mut self, what: &mut dyn FnMut(&mut P::Shared)) {
        what(&mut self.state.borrow_mut().shared);
    }
    fn traffic(&mut self) -> Traffic {
        let state = self.state.borrow();
        let now = state.clients.iter().map(Client::traffic).fold(state.gone, Traffic::plus);
        Traffic { messages_up: state.frames.sent().0, ..now }
    }
    fn each_peer(&mut self, what: &mut dyn FnMut(&mut P, &mut P::Shared)) {
        let State { shared, clients, .. } = &mut *self.state.borrow_mut();
        clients.iter_mut().for_each(|client| what(&mut client.peer, shared));
    }
    fn each(&mut self, now: Instant, say: &mut dyn FnMut(&mut P, &mut P::Shared, &mut Frames)) {
        let _inside = self.runtime.enter(); // a connection that ends may need it
        let mut state = self.state.borrow_mut();
        for index in 0..state.clients.len() {
            state.with_open(index, now, |peer, shared, frames| {
                say(peer, shared, frames);
                ControlFlow::Continue(())
            });
        }
    }
    fn turn(&mut self, until: Instant) -> std::io::Result<()> {
        let now = Instant::now();
        let inside = self.runtime.enter();
        while let Some((due, slot)) = self.wheel.turn(now) {
            let mut state = self.state.borrow_mut();
            for &client in self.wheel.slot(slot) {
                state.with_open(client as usize, now, |peer, shared, frames| {
                    peer.due(shared, due, now, frames)
                });
            }
        }
        drop(inside);
        let wake = self.wheel.next().min(until).min(now + self.tick);
        self.runtime.block_on(self.tasks.run_until(async { sleep_until(wake.into()).await }));
        Ok(())
    }
}

/// One client, from its first connection to its end.
async fn live<P: Peer>(state: Rc<RefCell<State<P>>>, index: usize, at: Instant, mut options: Options) {
    let mut next = Some(at);
    while let Some(at) = next {
        sleep_until(at.into()).await;
        let node = state.borrow().clients[index].peer.node().cloned();
        let mut dialed = Transport::dial(&options, node.as_ref()).await;
        // A server that was started again may have made itself another certificate.
        if let Trust::Sha256(_) = options.trust {
            options.trust = Trust::Fetch;
        }
        loop {
            match dialed {
                Ok(dialed) => state.borrow_mut().opened(index, dialed),
                Err(error) => state.borrow_mut().refused(index, &error),
            }
            let gone = poll_fn(|cx| state.borrow_mut().poll(index, cx));
            dialed = select! {
                biased;
                () = gone => break,
                beside = beside(&state, index, &options) => Ok(beside),
            };
            if !state.borrow_mut().is_silent(index) {
                break;
            }
        }
        next = state.borrow_mut().clients[index].back.take();
    }
}

/// Waits until nothing comes over a client's connection, and opens another one beside it.
async fn beside<P: Peer>(state: &RefCell<State<P>>, index: usize, options: &Options) -> Dialed {
    loop {
        let doubt = state.borrow().doubt(index);
        match doubt {
            Some(at) if at <= Instant::now() => {}
            at => {
                sleep_until(at.unwrap_or_else(|| Instant::now() + BESIDE).into()).await;
                continue;
            }
        }
        match Transport::dial(options, None).await {
            Ok(dialed) if state.borrow().doubt(index).is_some_and(|at| at <= Instant::now()) => {
                return dialed;
            }
            Ok(_) => {} // something came meanwhile
            Err(_) => sleep(BESIDE).await,
        }
    }
}

impl<P: Peer> State<P> {
    fn opened(&mut self, index: usize, Dialed { transport, token }: Dialed) {
        self.clients[index].transport = Some(transport);
        self.with_open(index, Instant::now(), |peer, shared, frames| {
            peer.opened(shared, Instant::now(), token, frames);
            ControlFlow::Continue(())
        });
    }
    fn doubt(&self, index: usize) -> Option<Instant> {
        self.clients[index].peer.doubt(&self.shared)
    }
    /// Gives the connection up over which nothing comes. True: another one is wanted at once.
    fn is_silent(&mut self, index: usize) -> bool {
        self.end(index, Instant::now(), End::Silent);
        self.clients[index].back.take().is_some()
    }
    fn refused(&mut self, index: usize, error: &DialError) {
        let (client, end) = (&mut self.clients[index], End::Refused(error.to_string()));
        client.back = client.peer.ended(&mut self.shared, Instant::now(), &end);
    }
    /// Takes what has come. Ready: the connection is gone.
    fn poll(&mut self, index: usize, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        self.clients[index].waker.clone_from(cx.waker());
        loop {
            let Some(transport) = &mut self.clients[index].transport else { return Poll::Ready(()) };
            let received = match transport.poll_flush(cx) {
                Poll::Ready(Err(closed)) => Poll::Ready(Err(closed)),
                // What the network does not take now is waited for; what it gives is read all the same.
                Poll::Ready(Ok(())) | Poll::Pending => transport.poll_recv(cx),
            };
            match received {
                Poll::Ready(Ok(message)) => {
                    self.clients[index].bytes.0 += (message.len() + FRAME_HEAD) as u64;
                    self.with_open(index, now, |peer, shared, frames| {
                        let bytes = message.len();
                        peer.message(shared, now, message, bytes, frames)
                    });
                }
                Poll::Ready(Err(closed)) => self.end(index, now, closed.into()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
    /// Lets a client that is connected say something, and sends it.
    fn with_open(
        &mut self,
        index: usize,
        now: Instant,
        act: impl FnOnce(&mut P, &mut P::Shared, &mut Frames) -> ControlFlow<End>,
    ) {
        let client = &mut self.clients[index];
        let Some(transport) = &client.transport else { return };
        self.frames.turn_to(transport.delivery(), transport.max_datagram());
        let verdict = act(&mut client.peer, &mut self.shared, &mut self.frames);
        let sent = client.send(&mut self.frames);
        self.frames.clear();
        if let Err(end) = sent.and(hang_up(verdict)) {
            self.end(index, now, end);
        }
    }
    fn end(&mut self, index: usize, now: Instant, end: End) {
        let client = &mut self.clients[index];
        self.gone = self.gone.plus(client.traffic());
        client.transport = None;
        client.waker.wake_by_ref();
        if end != End::HungUp {
            client.back = client.peer.ended(&mut self.shared, now, &end);
        }
    }
}

impl<P> Client<P> {
    fn send(&mut self, frames: &mut Frames) -> Result<(), End> {
        let Some(transport) = &mut self.transport else { return Ok(()) };
        let mut any = false;
        for (lane, message) in frames.take() {
            any = true;
            self.bytes.1 += (message.len() + FRAME_HEAD + 4) as u64; // and the mask
            transport.send(message, lane)?;
        }
        if any {
            // Usually this is all; if not, the task continues.
            match transport.poll_flush(&mut Context::from_waker(&self.waker)) {
                Poll::Ready(flushed) => flushed?,
                Poll::Pending => self.waker.wake_by_ref(),
            }
        }
        Ok(())
    }
    fn traffic(&self) -> Traffic {
        let (down, up) = match &self.transport {
            None => (0, 0),
            Some(Transport::WebSocket(_)) => self.bytes,
            Some(Transport::Quic(quic)) => quic.udp_bytes(),
        };
        Traffic { messages_up: 0, bytes_up: up, bytes_down: Some(down) }
    }
}

impl Traffic {
    fn plus(self, other: Self) -> Self {
        Self {
            messages_up: self.messages_up + other.messages_up,
            bytes_up: self.bytes_up + other.bytes_up,
            bytes_down: Some(self.bytes_down.unwrap_or(0) + other.bytes_down.unwrap_or(0)),
        }
    }
}

impl From<Closed> for End {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::ByPeer { code, .. } => End::Closed(code),
            Closed::Lost(_) => End::Closed(1006),
            closed => End::Violation(closed.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    /// Counts how its connection went.
    struct Counter;

    impl Peer for Counter {
        type Shared = Vec<End>;
        fn opened(&mut self, _: &mut Vec<End>, _: Instant, _: String, _: &mut Frames) {}
        fn message(
            &mut self,
            _: &mut Vec<End>,
            _: Instant,
            _: Bytes,
            _: usize,
            _: &mut Frames,
        ) -> ControlFlow<End> {
            ControlFlow::Continue(())
        }
        fn due(&mut self, _: &mut Vec<End>, _: Instant, _: Instant, _: &mut Frames) -> ControlFlow<End> {
            ControlFlow::Continue(())
        }
        fn ended(&mut self, ends: &mut Vec<End>, _: Instant, end: &End) -> Option<Instant> {
            ends.push(end.clone());
            None
        }
    }

    #[test]
    fn who_gets_no_connection_is_told_so() {
        // Nobody listens there any more.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let options = Options::new(format!("ws://127.0.0.1:{port}"), "room");
        let kinds = [TransportKind::WebSocket, TransportKind::Quic, TransportKind::WebTransport];
        let peers = kinds.map(|kind| (Counter, Carrier { options: options.clone(), kind }));
        let (start, ramp, tick) = (Instant::now(), Duration::from_millis(3), Duration::from_millis(2));
        let mut swarm = TaskSwarm::new(start, ramp, tick, Vec::new(), peers.into()).unwrap();
        let mut ended = 0;
        while ended < kinds.len() {
            assert!(start.elapsed() < Duration::from_secs(30), "{ended} of {} have ended", kinds.len());
            swarm.turn(Instant::now() + tick).unwrap();
            swarm.with(&mut |ends| ended = ends.len());
        }
        swarm.each(Instant::now(), &mut |_, _, _| panic!("nobody is connected"));
        assert_eq!(swarm.traffic(), Traffic { bytes_down: Some(0), ..Traffic::default() });
        let ends = swarm.into_shared().unwrap();
        assert!(ends.iter().all(|end| matches!(end, End::Refused(_))), "{ends:?}");
    }
}
