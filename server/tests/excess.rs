//! One player's excess affects only that player: nobody else in the room notices.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{
    session::client::ClientEvent,
    wire::{self, client_message::Body},
};
use driftless_server::config::Config;
use driftless_sim::GameKind;
use prost::Message;
use util::{
    Player, Socket, TestServer, Wire, client, config,
    games::{Ask, Obedient, Told},
    join,
    quic::{BOTH, Link},
};

/// A room for two that ticks slowly, so that much comes between two ticks.
fn room_of_two() -> TestServer {
    let config = Config { tick_rate: 5, max_players: 2, ..config() };
    TestServer::with(config, GameKind::of::<Obedient>())
}

fn obedient<W: Wire>(server: &TestServer, wire: W) -> Player<W> {
    let join = wire::Join { kind: "obedient".into(), ..join("lobby") };
    let mut player = Player::on(wire, server.address(), join);
    player.welcomed();
    player
}

fn number(event: &ClientEvent) -> Option<u32> {
    let ClientEvent::Event(event) = event else { return None };
    Some(Told::decode(&event.payload[..]).unwrap().number)
}

/// A player who sends far too many commands is refused by number, and the other player in the room is served.
/// Both use the same kind of transport.
fn asks_too_much<W: Wire>(server: &TestServer, mut wire: impl FnMut() -> W) {
    let (mut greedy, mut other) = (obedient(server, wire()), obedient(server, wire()));
    // Ten times what may wait for a tick: a tick or two may pass meanwhile.
    for _ in 0..640 {
        greedy.command(&Ask::default());
    }
    other.command(&Ask { tell: 1, ..Ask::default() });
    other.wait("what was asked for", number);
    let mut refusal = || {
        greedy.wait("a refusal", |event| match event {
            ClientEvent::CommandRefused(refused) => Some(refused.command),
            _ => None,
        })
    };
    let mut before = 64;
    for _ in 0..50 {
        let refused = refusal();
        assert!(refused > before, "each once, in order: {refused} after {before}");
        before = refused;
    }
    for player in [greedy, other] {
        let mut player = player;
        player.next_tick();
        player.leave();
    }
}

// Promise 4: "One client, however slow or hostile, does not delay another's tick or grow memory without
// bound."
#[test]
fn one_players_commands_are_refused_and_the_others_are_done() {
    let server = room_of_two();
    asks_too_much(&server, || Socket::connect(server.address()));
    for kind in BOTH {
        asks_too_much(&server, || Link::connect(kind, server.quic()));
    }
    assert_eq!(server.disconnects("slow_consumer"), 0);
}

/// A player who sends far too many inputs between two ticks does not keep the other's inputs from any tick.
fn acts_too_much<W: Wire>(server: &TestServer, mut wire: impl FnMut() -> W) {
    let (mut greedy, mut other) = (obedient(server, wire()), obedient(server, wire()));
    for round in 0..5 {
        other.next_tick();
        for n in 1..=100 {
            let sequence = round * 100 + n;
            greedy
                .socket
                .send_message(&client(Body::Input(wire::Input { sequence, ..wire::Input::default() })))
                .unwrap();
        }
        let sent = other.input(&());
        other.wait("a state with the input", |event| match event {
            ClientEvent::State { input, .. } => (*input >= sent).then_some(()),
            _ => None,
        });
    }
    greedy.wait("a state with the newest input", |event| match event {
        ClientEvent::State { input, .. } => (*input >= 500).then_some(()),
        _ => None,
    });
    greedy.leave();
    other.leave();
}

// Promise 4
#[test]
fn one_players_inputs_silence_nobody() {
    let server = room_of_two();
    acts_too_much(&server, || Socket::connect(server.address()));
    for kind in BOTH {
        acts_too_much(&server, || Link::connect(kind, server.quic()));
    }
    assert!(server.running().metrics().rooms.excess_dropped.get() > 0, "and it is counted");
}

/// Waits for all of these events, in order.
fn hears<W: Wire>(player: &mut Player<W>, last: u32) {
    for n in 1..=last {
        assert_eq!(player.wait("what is told", number), n);
    }
}

// Promise 9: "Honest clients are not punished for what the server, a proxy or the network did".
#[test]
fn who_gets_much_at_once_is_not_slow() {
    let mut config = config();
    config.limits.reliable_messages = 16;
    let server = TestServer::with(config, GameKind::of::<Obedient>());
    let mut teller = obedient(&server, Socket::connect(server.address()));
    let mut others = BOTH.map(|kind| obedient(&server, Link::connect(kind, server.quic())));
    teller.command(&Ask { tell: 330, bytes: 800, ..Ask::default() });
    hears(&mut teller, 330);
    for other in &mut others {
        hears(other, 330);
        other.next_tick();
    }
    assert_eq!(server.disconnects("slow_consumer"), 0);
}

// 66 accomplices send five times 800 bytes at once, again and again.
#[test]
fn accomplices_who_shout_close_nobody_and_keep_nobody_from_speaking() {
    let mut config = config();
    config.limits.reliable_messages = 16;
    let server = TestServer::with(config, GameKind::of::<Obedient>());
    let mut shouting: Vec<_> =
        (0..66).map(|_| obedient(&server, Socket::connect(server.address()))).collect();
    let mut quiet = obedient(&server, Socket::connect(server.address()));
    let ask = Ask { tell: 1, bytes: 800, ..Ask::default() };
    for round in 0..3u32 {
        for player in &mut shouting {
            for _ in 0..5 {
                player.command(&ask);
            }
        }
        quiet.command(&Ask { tell: 1, bytes: 10 + round, ..Ask::default() });
        quiet.wait("its own words", |event| {
            assert!(!matches!(event, ClientEvent::CommandRefused(_)), "who says little is heard");
            let ClientEvent::Event(event) = event else { return None };
            let told = Told::decode(&event.payload[..]).unwrap();
            (told.filler.len() == 10 + round as usize).then_some(())
        });
    }
    assert!(server.running().metrics().rooms.excess_dropped.get() > 0, "those who shout are refused");
    for player in &mut shouting {
        player.next_tick();
    }
    assert_eq!(server.disconnects("slow_consumer"), 0);
    assert_eq!(server.players(), 67);
}
