//! A server in this process, on a thread with an actix system of its own.

use super::http::{self, Response};
use actix_rt::System;
use driftless_server::{
    config::Config,
    ground::transport_kind::TransportKind,
    server::{Running, Server},
};
use driftless_sim::{GameKind, games};
use parking_lot::Mutex;
use std::{
    net::SocketAddr,
    panic,
    sync::{Once, mpsc},
    thread,
    time::Duration,
};
use tokio::sync::oneshot;

/// Ends when it is dropped: says goodbye to everybody, then stops.
pub struct TestServer {
    running: Running,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// The defaults, on a free port of loopback, with goodbyes that request no wait.
pub fn config() -> Config {
    Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        threads: 2,
        workers: 1,
        drain_spread: Duration::ZERO,
        ..Config::default()
    }
}

impl TestServer {
    /// A server with this configuration.
    pub fn start(config: Config) -> Self {
        Self::of(Server::new(&games::kinds()), config)
    }

    /// A server that offers one game in addition to the built-in ones.
    pub fn with(config: Config, game: GameKind) -> Self {
        Self::of(Server::new(&[games::kinds(), vec![game]].concat()), config)
    }

    /// A server built by the test.
    pub fn of(server: Server, config: Config) -> Self {
        let (started, wait_started) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        watch_panics();
        let thread = thread::Builder::new().name("actix of a test".to_owned());
        let thread = thread.spawn(move || {
            System::new().block_on(async {
                let (running, serving) = server.start(config).expect("a server that starts");
                let serving = actix_rt::spawn(serving);
                started.send(running.clone()).expect("the test waits for its server");
                let _ = stopped.await;
                running.drain().await;
                serving.await.expect("the server does not panic").expect("the server stops well");
                System::current().stop();
            });
        });
        let thread = thread.expect("a thread");
        let running = wait_started.recv().expect("a server that starts");
        Self { running, stop: Some(stop), thread: Some(thread) }
    }

    pub fn address(&self) -> SocketAddr {
        self.running.address()
    }

    /// Where QUIC listens.
    pub fn quic(&self) -> SocketAddr {
        self.running.quic_address().expect("QUIC is on")
    }

    /// Connections that are open on one transport.
    pub fn connections_of(&self, transport: TransportKind) -> i64 {
        self.running.metrics().transport(transport).connections.get()
    }

    pub fn running(&self) -> &Running {
        &self.running
    }

    /// Connections that are open.
    pub fn connections(&self) -> i64 {
        self.running.metrics().transport(TransportKind::WebSocket).connections.get()
    }

    /// Seats that are taken.
    pub fn players(&self) -> i64 {
        self.running.metrics().rooms.players.get()
    }

    /// Sessions that ended with this code.
    pub fn disconnects(&self, reason: &'static str) -> u64 {
        self.running.metrics().disconnects.get(reason)
    }

    pub fn get(&self, path: &str) -> Response {
        http::get(self.address(), path)
    }

    /// The header that identifies an operator, with its line end.
    pub fn authorization(&self) -> String {
        let token = self.running.made_token().expect("no token was configured");
        format!("authorization: Bearer {token}\r\n")
    }

    /// As an operator.
    pub fn get_as_operator(&self, path: &str) -> Response {
        self.operate("GET", path, "")
    }

    /// As an operator.
    pub fn post(&self, path: &str, body: &str) -> Response {
        self.operate("POST", path, body)
    }

    /// As an operator.
    pub fn operate(&self, method: &str, path: &str, body: &str) -> Response {
        http::send(self.address(), method, path, &self.authorization(), body)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
        let ended = self.thread.take().map(thread::JoinHandle::join);
        if !thread::panicking() {
            ended.expect("once").expect("the server's thread does not panic");
            let panics = PANICS.lock();
            assert!(panics.is_empty(), "the server panicked, in a task where nobody saw it: {panics:?}");
        }
    }
}

/// Panic messages of server threads. A task that panics ends silently, so the panic alone would not fail a
/// test.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Records panics of server threads, except those that a game was asked for.
fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let thread = thread::current();
            let of_server = thread.name().is_some_and(|n| n.starts_with("actix") || n == "recorder");
            let said = info.to_string();
            if of_server && !said.contains("as asked") {
                PANICS.lock().push(said);
            }
            others(info);
        }));
    });
}
