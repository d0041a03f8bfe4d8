//! What a peer must not send, and how it is answered. The server keeps running, and others play on.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use bytes::Bytes;
use driftless_proto::{code::CloseCode, wire, wire::client_message::Body};
use driftless_server::config::Config;
use driftless_sim::Rng;
use std::{net::TcpStream, time::Duration};
use util::{
    Frame, Player, Socket, TestServer, client, config, join,
    socket::{self, BINARY, FIN},
    until,
};

/// Succeeds only if the room keeps ticking for a player who does nothing wrong.
struct Witness(Option<util::player::Background>);

impl Witness {
    fn join(server: &TestServer) -> Self {
        Self(Some(Player::named(server.address(), "lobby", "witness").in_background()))
    }

    #[track_caller]
    fn plays_on(mut self) {
        let background = self.0.take().unwrap();
        background.wait_ticks(5);
        background.stop();
    }
}

fn input(sequence: u32) -> wire::Input {
    wire::Input { sequence, ..wire::Input::default() }
}

fn garbage() -> Bytes {
    // A field of number 1 whose varint has no end.
    Bytes::from_static(&[0x08, 0xFF])
}

/// A player sends this; the server says goodbye with this code and takes the seat away.
#[track_caller]
fn refused(sent: &[Body], code: CloseCode) {
    let server = TestServer::start(config());
    let witness = Witness::join(&server);
    let mut player = Player::join(server.address(), "lobby");
    for body in sent {
        let _ = player.socket.send(&client(body.clone())); // it may be cut off before the last
    }
    assert_eq!(player.ended(), code);
    until("the seat is gone", || server.players() == 1);
    assert_eq!(server.disconnects(code.name()), 1);
    witness.plays_on();
}

// Promise 6: "Nothing a peer sends panics the server. Bad input gets a named error and a documented close
// code."
#[test]
fn a_malformed_message_is_refused() {
    let server = TestServer::start(config());
    let witness = Witness::join(&server);
    for bytes in [&[0xFF][..], &[0x0A, 0x7F], &[0x1A, 0x02, 0x08, 0xFF], &[0x00], &[0xFF; 64]] {
        let mut player = Player::join(server.address(), "lobby");
        player.socket.send(bytes).unwrap();
        assert_eq!(player.ended(), CloseCode::Malformed, "{bytes:?}");
        let mut stranger = Player::on(Socket::connect(server.address()), server.address(), join("lobby"));
        stranger.socket.send(bytes).unwrap();
        assert_eq!(stranger.ended(), CloseCode::Malformed, "{bytes:?}");
    }
    until("the seats are gone", || server.players() == 1);
    witness.plays_on();
}

#[test]
fn a_message_of_an_unknown_kind_is_passed_over() {
    let server = TestServer::start(config());
    let mut player = Player::join(server.address(), "lobby");
    // Field 100, three bytes long: perhaps of a later version.
    player.socket.send(&[0xA2, 0x06, 0x03, 1, 2, 3]).unwrap();
    player.socket.send(&[]).unwrap();
    player.chat("still here");
    assert_eq!(player.next_chat().1, "still here");
}

#[test]
fn an_input_that_the_game_cannot_read_is_refused() {
    refused(&[Body::Input(wire::Input { payload: garbage(), ..input(1) })], CloseCode::BadInput);
}

#[test]
fn a_command_that_the_game_cannot_read_is_refused() {
    let server = TestServer::start(config());
    let witness = Witness::join(&server);
    let mut player = Player::join(server.address(), "lobby");
    player.session.send_command(garbage()).expect("a command is taken");
    player.transmit();
    assert_eq!(player.ended(), CloseCode::BadInput);
    until("the seat is gone", || server.players() == 1);
    witness.plays_on();
}

#[test]
fn a_command_that_the_rules_forbid_is_refused_alone() {
    let server = TestServer::start(config());
    let mut player = Player::join(server.address(), "lobby");
    player.chat("   ");
    let refused = player.wait("a refusal", |event| match event {
        driftless_proto::session::client::ClientEvent::CommandRefused(refused) => Some(refused.clone()),
        _ => None,
    });
    assert_eq!((refused.command, &*refused.reason), (1, "the message is empty"));
    player.chat("something");
    assert_eq!(player.next_chat().1, "something");
}

#[test]
fn what_is_too_long_for_its_kind_is_refused() {
    let long = |len| Bytes::from(vec![0; len]);
    refused(&[Body::Input(wire::Input { payload: long(1025), ..input(1) })], CloseCode::TooLarge);
    refused(&[Body::Command(wire::Command { sequence: 1, payload: long(4097) })], CloseCode::TooLarge);
}

#[test]
fn an_acknowledgement_of_what_was_not_sent_is_refused() {
    refused(
        &[Body::Ack(wire::Ack { state_ack: 1_000_000, reliable_ack: 0, ..wire::Ack::default() })],
        CloseCode::Unexpected,
    );
    refused(
        &[Body::Ack(wire::Ack { state_ack: 0, reliable_ack: 1_000_000, ..wire::Ack::default() })],
        CloseCode::Unexpected,
    );
    refused(&[Body::Input(wire::Input { state_ack: u32::MAX, ..input(1) })], CloseCode::Unexpected);
}

#[test]
fn a_second_join_is_refused() {
    refused(&[Body::Join(join("lobby"))], CloseCode::Unexpected);
    refused(
        &[Body::Resume(wire::Resume { protocol: 1, room: "lobby".into(), ..Default::default() })],
        CloseCode::Unexpected,
    );
}

#[test]
fn a_command_out_of_order_is_refused() {
    refused(&[Body::Command(wire::Command { sequence: 2, payload: Bytes::new() })], CloseCode::Unexpected);
}

#[test]
fn an_input_that_repeats_more_than_there_were_is_refused() {
    let previous = vec![Bytes::new(); 3];
    refused(&[Body::Input(wire::Input { previous, ..input(3) })], CloseCode::Malformed);
    let previous = vec![Bytes::new(); 9];
    refused(&[Body::Input(wire::Input { previous, ..input(100) })], CloseCode::Malformed);
}

#[test]
fn what_comes_before_the_join_is_refused() {
    let server = TestServer::start(config());
    let acts = [
        Body::Input(input(1)),
        Body::Command(wire::Command { sequence: 1, payload: Bytes::new() }),
        Body::Ack(wire::Ack::default()),
        Body::Ping(wire::Ping { time_us: 1 }),
        Body::Leave(wire::Leave {}),
    ];
    for act in acts {
        let mut socket = Socket::connect(server.address());
        socket.send(&client(act.clone())).unwrap();
        assert_eq!(socket.close_code(), Some(CloseCode::Unexpected.number()), "{act:?}");
    }
    until("nobody is left", || server.connections() == 0);
}

#[test]
fn duplicate_and_late_messages_change_nothing() {
    let server = TestServer::start(config());
    let mut player = Player::join(server.address(), "lobby");
    player.chat("once");
    assert_eq!(player.next_chat().1, "once");
    player.run(1, 0);
    let run = player.run(1, 0);
    // The same command, the same and an older input, an old acknowledgement, a pong that nobody asked for.
    let chat = driftless_sim::games::arena::ArenaCommand {
        body: Some(driftless_sim::games::arena::arena_command::Body::Chat("once".into())),
    };
    let payload = prost::Message::encode_to_vec(&chat).into();
    player.send(Body::Command(wire::Command { sequence: 1, payload }));
    player.send(Body::Input(input(run)));
    player.send(Body::Input(input(run - 1)));
    player.send(Body::Ack(wire::Ack { state_ack: 1, reliable_ack: 1, ..wire::Ack::default() }));
    player.send(Body::Pong(wire::Pong { time_us: 42 }));
    player.chat("twice");
    assert_eq!(player.next_chat().1, "twice");
}

#[test]
fn a_flood_of_inputs_is_cut_off() {
    let mut config = config();
    config.limits.inputs_per_second = 10;
    let server = TestServer::start(config);
    let witness = Witness::join(&server);
    let mut player = Player::join(server.address(), "lobby");
    // At once: what 10 per second allow in 12 s, and the flood of 30 per second for 10 s.
    for sequence in 1..=500 {
        let _ = player.socket.send(&client(Body::Input(input(sequence))));
    }
    assert_eq!(player.ended(), CloseCode::RateLimited);
    witness.plays_on();
}

#[test]
fn a_flood_of_messages_is_cut_off() {
    let server = TestServer::start(config());
    let witness = Witness::join(&server);
    let mut player = Player::join(server.address(), "lobby");
    let pings = socket::frame(FIN | BINARY, &client(Body::Ping(wire::Ping { time_us: 1 }))).repeat(15_000);
    let _ = player.socket.send_raw(&pings);
    assert_eq!(player.ended(), CloseCode::RateLimited);
    witness.plays_on();
}

// With one thread, which must also serve those who are not players.
#[test]
fn a_full_server_says_so() {
    let server = TestServer::start(Config { max_connections: 2, workers: 1, ..config() });
    let mut first = Player::join(server.address(), "lobby");
    let _second = Player::join(server.address(), "lobby");
    let mut refused = Player::on(Socket::connect(server.address()), server.address(), join("lobby"));
    let goodbye = refused.goodbye();
    assert_eq!(goodbye.code, u32::from(CloseCode::ServerFull.number()));
    assert_eq!(goodbye.reason, "the server is full: 2 is its limit");
    assert_eq!(server.get("/livez").status, 200);
    assert_eq!(server.running().metrics().refused.get("server_full"), 1);

    first.leave();
    util::until("a place is free again", || server.connections() == 1);
    Player::join(server.address(), "lobby");
}

#[test]
fn random_bytes_end_nothing_but_their_own_connection() {
    const CONNECTIONS: u64 = 300;
    let mut config = config();
    config.limits.handshake = Duration::from_millis(500);
    config.limits.timeout = Duration::from_secs(2);
    config.resume_window = Duration::from_millis(100);
    let server = TestServer::start(config);
    let witness = Witness::join(&server);
    let seeds = [
        client(Body::Join(join("lobby"))),
        client(Body::Input(wire::Input { payload: Bytes::from_static(&[8, 1, 16, 2]), ..input(1) })),
        client(Body::Command(wire::Command {
            sequence: 1,
            payload: Bytes::from_static(&[10, 2, b'h', b'i']),
        })),
        client(Body::Ack(wire::Ack { state_ack: 3, reliable_ack: 1, ..wire::Ack::default() })),
    ];
    for seed in 0..CONNECTIONS {
        let mut rng = Rng::new(seed);
        if seed % 3 == 0 {
            // Not HTTP at all, or HTTP that breaks off.
            let mut stream = TcpStream::connect(server.address()).unwrap();
            let mut bytes = bytes(&mut rng, 200);
            if seed % 2 == 0 {
                bytes.splice(..0, *b"GET /v1/connect HTTP/1.1\r\n");
            }
            let _ = std::io::Write::write_all(&mut stream, &bytes);
            continue;
        }
        let mut socket = Socket::connect(server.address());
        if seed % 3 == 1 {
            let _ = socket.send(&seeds[0]);
        }
        for _ in 0..rng.below(20) {
            let sent = match rng.below(4) {
                0 => socket.send_raw(&bytes(&mut rng, 64)),
                1 => socket.send(&bytes(&mut rng, 64)),
                // A message with one byte changed.
                _ => {
                    let mut message = seeds[rng.below(seeds.len() as u32) as usize].clone();
                    let at = rng.below(message.len() as u32) as usize;
                    message[at] = rng.below(256) as u8;
                    socket.send(&message)
                }
            };
            if sent.is_err() {
                break;
            }
        }
        if rng.below(2) == 0 {
            // Reads for as long as the server sends.
            while let Some(Frame::Binary(_)) = socket.recv_by(std::time::Instant::now()) {}
        }
    }
    until("nobody is left but the witness", || server.connections() == 1 && server.players() == 1);
    assert_eq!(server.running().metrics().rooms.ended.get("failed"), 0);
    witness.plays_on();
    assert_eq!(server.get("/readyz").status, 200);
}

fn bytes(rng: &mut Rng, most: u32) -> Vec<u8> {
    (0..rng.below(most)).map(|_| rng.below(256) as u8).collect()
}
