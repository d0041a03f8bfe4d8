//! The native client on a real server: QUIC, WebTransport, and moving between transports.

#![allow(clippy::unwrap_used)]

mod util;

use driftless_client::{Connection, Event, Options, Phase, Step, TransportKind, Trust, transport::DialError};
use driftless_proto::wire;
use driftless_server::config::{Config, QuicListen};
use driftless_sim::games::arena::{ArenaCommand, ArenaEvent, ArenaInput, arena_command, arena_event};
use prost::Message;
use std::{
    future::Future,
    net::SocketAddr,
    time::Instant,
    time::{Duration, SystemTime},
};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use util::{
    PATIENCE, TestServer, config,
    tls::{Files, Issued},
};

const ALL: [TransportKind; 3] = [TransportKind::Quic, TransportKind::WebTransport, TransportKind::WebSocket];

/// Runs a client beside the server, which has threads of its own.
fn run<T>(client: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, client).await.unwrap() })
}

fn options(server: &TestServer, kinds: &[TransportKind]) -> Options {
    Options::new(format!("ws://{}", server.address()), "lobby").kind("arena").transports(kinds)
}

/// What a player has seen.
#[derive(Debug, Default)]
struct Seen {
    ticks: Vec<u32>,
    chat: Vec<String>,
    /// Commands that were refused: the arena limits how much anybody may talk.
    refused: Vec<u64>,
    welcomes: Vec<wire::Welcome>,
    /// Highest of the player's inputs that a state contained.
    input: u32,
}

impl Seen {
    fn take(&mut self, event: Event) {
        match event {
            Event::State { tick, input, .. } => {
                self.ticks.push(tick);
                self.input = self.input.max(input);
            }
            Event::Welcome(welcome) => self.welcomes.push(*welcome),
            Event::Game(event) => {
                if let Some(arena_event::Body::Chat(chat)) = ArenaEvent::decode(event.payload).unwrap().body {
                    self.chat.push(chat.text);
                }
            }
            Event::CommandRefused(refused) => self.refused.push(refused.command),
            Event::Presence(_)
            | Event::ClockMoved
            | Event::TokenExpires { .. }
            | Event::Topic(_)
            | Event::Published { .. }
            | Event::Disconnected { .. }
            | Event::RolledBack { .. } => {}
        }
    }

    fn answers(&self) -> usize {
        self.chat.len() + self.refused.len()
    }
}

/// Plays until `until` holds, with an input after each state.
async fn play(connection: &mut Connection, seen: &mut Seen, until: impl Fn(&Seen) -> bool) {
    while !until(seen) {
        match connection.next(None).await {
            Step::Event(event) => {
                if let Event::State { .. } = event {
                    let run = ArenaInput { move_x: 100, ..ArenaInput::default() };
                    let _ = connection.core_mut().send_input(run.encode_to_vec().into());
                }
                seen.take(event);
            }
            Step::Closed => panic!("lost: {:?}", connection.core().phase()),
            Step::Woken => {}
        }
    }
}

/// Takes in what came before the connection ended.
async fn ended(connection: &mut Connection, seen: &mut Seen) {
    while let Step::Event(event) = connection.next(None).await {
        seen.take(event);
    }
}

fn say(connection: &mut Connection, text: String) -> (u64, String) {
    let command = ArenaCommand { body: Some(arena_command::Body::Chat(text.clone())) };
    (connection.core_mut().send_command(command.encode_to_vec().into()).unwrap(), text)
}

// Promise 2: "A client never applies a state older than one it has applied." Promise 3: "Reliable events
// arrive exactly once, in order, across a resume within the window." Promise 5: "A player is reported joined
// once, left once, with the true reason."
#[test]
fn player_keeps_the_seat_from_one_transport_to_another() {
    let server = TestServer::start(config());
    run(async {
        let mut connection = Connection::open(&options(&server, &[TransportKind::Quic])).await.unwrap();
        let mut seen = Seen::default();
        let mut said = Vec::new();
        for round in 0..2 {
            for kind in ALL {
                let (states, input) = (seen.ticks.len(), seen.input);
                play(&mut connection, &mut seen, |seen| {
                    seen.ticks.len() > states + 5 && seen.input > input + 3
                })
                .await;
                for n in 0..3 {
                    said.push(say(&mut connection, format!("{round} {kind} {n}")));
                }
                connection.abort(); // some of it is on its way
                ended(&mut connection, &mut seen).await;
                assert!(matches!(connection.core().phase(), Phase::Waiting { .. }));
                connection.redial(&options(&server, &[kind])).await;
                assert_eq!(connection.transport(), kind);
            }
        }
        let all = said.len();
        play(&mut connection, &mut seen, |seen| seen.answers() >= all).await;
        let heard = said.iter().filter(|(number, _)| !seen.refused.contains(number));
        assert_eq!(seen.chat, heard.map(|(_, text)| text.clone()).collect::<Vec<_>>(), "each once, in order");
        assert!(seen.refused.is_sorted_by(|a, b| a < b) && seen.chat.len() > 5, "{seen:?}");
        assert!(seen.ticks.is_sorted_by(|a, b| a < b), "{:?}", seen.ticks);
        let resumed: Vec<_> = seen.welcomes.iter().map(|w| (w.resumed, w.player)).collect();
        assert_eq!(resumed[1..], vec![(true, seen.welcomes[0].player); 6]);
        assert_eq!(server.players(), 1);
        connection.core_mut().leave(Instant::now());
        ended(&mut connection, &mut seen).await;
    });
    util::until("the seat is free", || server.players() == 0);
}

#[test]
fn connection_goes_on_from_another_port() {
    let server = TestServer::start(config());
    for kind in [TransportKind::Quic, TransportKind::WebTransport] {
        run(async {
            let mut connection = Connection::open(&options(&server, &[kind])).await.unwrap();
            let mut seen = Seen::default();
            play(&mut connection, &mut seen, |seen| seen.ticks.len() > 3).await;
            for _ in 0..3 {
                connection.endpoint().unwrap().rebind().unwrap();
                let (ticks, input) = (seen.ticks.len(), seen.input);
                play(&mut connection, &mut seen, |seen| {
                    seen.ticks.len() > ticks + 10 && seen.input > input + 5
                })
                .await;
            }
            assert_eq!(seen.welcomes.len(), 1, "nobody joined or resumed");
            connection.core_mut().leave(Instant::now());
            ended(&mut connection, &mut seen).await;
        });
    }
}

#[test]
fn default_is_quic_and_a_server_without_it_gets_a_websocket() {
    let both = Options::new("", "").transports;
    let server = TestServer::start(config());
    run(async {
        let patient = Options { head_start: Duration::from_secs(20), ..options(&server, &both) };
        let connection = Connection::open(&patient).await.unwrap();
        assert_eq!(connection.transport(), TransportKind::Quic);
    });
    let mut without = config();
    without.quic = QuicListen::Off;
    let server = TestServer::start(Config { ..without });
    run(async {
        // The server says that it has no QUIC, so nobody waits for the head start.
        let patient = Options { head_start: Duration::from_secs(3600), ..options(&server, &both) };
        let mut connection = Connection::open(&patient).await.unwrap();
        assert_eq!(connection.transport(), TransportKind::WebSocket);
        play(&mut connection, &mut Seen::default(), |seen| seen.ticks.len() > 3).await;
    });
}

/// A server with TLS, and client options that trust its certificate.
fn within_tls(quic: QuicListen) -> (TestServer, Options, Files) {
    let issued = Issued::at(SystemTime::now());
    let files = Files::of(&issued);
    let server = TestServer::start(Config { quic, ..files.served_by(config()) });
    let mut options = options(&server, &[TransportKind::Quic, TransportKind::WebSocket]);
    options.url = format!("wss://{}", server.address());
    options.trust = Trust::Authorities(issued.certificate.into());
    (server, options, files)
}

#[test]
fn secure_address_is_played_over_quic_and_without_udp_over_websocket() {
    for (quic, kind) in
        [(QuicListen::AsHttp, TransportKind::Quic), (QuicListen::Off, TransportKind::WebSocket)]
    {
        let (_server, options, _files) = within_tls(quic);
        run(async {
            let mut connection = Connection::open(&options).await.unwrap();
            assert_eq!(connection.transport(), kind);
            let mut seen = Seen::default();
            let (_, text) = {
                play(&mut connection, &mut seen, |seen| seen.input > 3).await;
                say(&mut connection, "hello".to_owned())
            };
            play(&mut connection, &mut seen, |seen| seen.answers() > 0).await;
            assert_eq!(seen.chat, [text]);
        });
    }
}

#[test]
fn secure_websocket_with_a_certificate_of_strangers_is_not_trusted() {
    let (_server, mut options, _files) = within_tls(QuicListen::Off);
    options = options.transports([TransportKind::WebSocket]);
    for trust in [
        Trust::Authorities(Issued::at(SystemTime::now()).certificate.into()),
        Trust::Sha256(vec![[7; 32]]),
        Trust::Fetch, // to an address that asks for TLS: the authorities of the system
    ] {
        options.trust = trust.clone();
        let error = run(Connection::open(&options)).err().unwrap();
        assert!(matches!(error, DialError::Untrusted { .. }), "{trust:?}: {error:?}");
    }
}

/// Forwards TCP connections to a server, and itself reads what comes by UDP.
async fn mapped_port(server: SocketAddr) -> (SocketAddr, UdpSocket) {
    let (tcp, udp) = loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // A port that is free for TCP may be in use for UDP.
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            break (tcp, udp);
        }
    };
    let address = tcp.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = tcp.accept().await {
            let mut to = TcpStream::connect(server).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
        }
    });
    (address, udp)
}

#[test]
fn client_of_a_mapped_port_dials_quic_there_and_not_around_it() {
    let server = TestServer::start(config());
    run(async {
        let (address, udp) = mapped_port(server.address()).await;
        let options = Options::new(format!("ws://{address}"), "lobby").transports([TransportKind::Quic]);
        let mut datagram = [0; 2048];
        tokio::select! {
            received = udp.recv(&mut datagram) => assert!(received.unwrap() >= 1200, "a first packet"),
            opened = Connection::open(&options) => panic!("it went around: {opened:?}"),
        }
    });
}
