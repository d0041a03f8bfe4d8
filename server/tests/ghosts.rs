//! Seats that nobody can come back to end at once, and a game is told about those that are kept.
//!
//! Promise 5: "A player is reported joined once, left once, with the true reason; no ghosts after the
//! timeout."

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{
    code::CloseCode,
    limits::Limits,
    wire::{self, client_message::Body, member::Change},
};
use driftless_server::{
    config::Config,
    ground::{id::ConnectionId, id::RoomId, shared::RoomShared},
    room::{
        core::{Detached, RoomCore},
        schedule::{Due, Schedule},
    },
};
use driftless_sim::{Away, GameKind, Setup, games::arena::Arena, replay::Action};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use util::{
    Player, Socket, TestServer, client, config,
    games::{Ask, Obedient, Patient},
    join, until,
};

/// Longer than a test waits.
const LONG: Duration = Duration::from_secs(600);

fn obedient(config: Config) -> TestServer {
    TestServer::with(config, GameKind::of::<Obedient>())
}

fn join_obedient(server: &TestServer, name: &str) -> Player {
    let join = wire::Join { kind: "obedient".into(), name: name.into(), ..join("lobby") };
    Player::join_as(server.address(), join)
}

#[test]
fn joins_that_are_cut_before_their_welcome_leave_their_seats_to_others() {
    let server = obedient(Config { max_players: 3, resume_window: LONG, ..config() });
    let mut resident = join_obedient(&server, "resident");
    // The room answers slowly: a player who asks for a seat has gone before it does. It has been moved to a
    // thread apart by the third tick, and blocks again as soon as it has reported an arrival.
    resident.command(&Ask { block_ms: 500, ..Ask::default() });
    for _ in 0..3 {
        resident.next_tick();
    }
    let seen = || server.get("/v1/presence").json();
    for _ in 0..10 {
        let mut socket = Socket::connect(server.address());
        let join = wire::Join { kind: "obedient".into(), ..join("lobby") };
        socket.send(&client(Body::Join(join))).unwrap();
        // So that the server has read it: a join of a player who has gone by then is not passed on.
        seen();
        socket.stream().shutdown(std::net::Shutdown::Both).unwrap();
    }
    until("they had seats, and have none any more", || {
        let seen = seen();
        seen["totals"]["joined"].as_u64() >= Some(3) && seen["players"] == 1
    });
    until("their connections are gone", || server.connections() == 1);
    let _real = [join_obedient(&server, "ann"), join_obedient(&server, "bob")];
    assert_eq!(server.players(), 3);
}

#[test]
fn a_seat_for_which_too_much_was_queued_while_away_ends_at_once() {
    let mut config = Config { resume_window: LONG, ..config() };
    config.limits.reliable_bytes = 1_000;
    let server = obedient(config);
    let mut bob = join_obedient(&server, "bob");
    let mut ann = join_obedient(&server, "ann");
    ann.next_tick();
    ann.lose_connection();
    bob.wait_presence("ann", Change::Away);
    // A queue takes four times the configured bytes. Bob has acknowledged the first message when the second
    // comes, which only just fits.
    for bytes in [100, 3_900] {
        bob.command(&Ask { tell: 1, bytes, ..Ask::default() });
        for _ in 0..10 {
            bob.next_tick();
        }
    }
    until("the seat is gone", || server.players() == 1);
    let departure = server.get("/v1/presence").json()["departures"][0].clone();
    assert_eq!((&departure["name"], &departure["why"]), (&"ann".into(), &"removed".into()));
    ann.reconnect();
    assert_eq!(ann.ended(), CloseCode::UnknownSession);
    bob.next_tick();
}

#[test]
fn a_slow_consumer_who_cannot_resume_leaves_no_ghost() {
    let mut config = Config { resume_window: LONG, ..config() };
    config.limits.reliable_bytes = 1_000;
    let server = obedient(config);
    let mut ann = join_obedient(&server, "ann");
    ann.next_tick();
    ann.command(&Ask { tell: 20, bytes: 500, ..Ask::default() });
    assert_eq!(ann.ended(), CloseCode::SlowConsumer);
    until("the seat is gone", || server.players() == 0);
    let seen = server.get("/v1/presence").json();
    assert_eq!((&seen["players"], &seen["totals"]["removed"]), (&0.into(), &1.into()), "{seen}");
}

#[test]
fn a_kind_of_game_says_how_long_its_seats_are_kept() {
    let config = Config { resume_window: LONG, ..config() };
    let server = TestServer::with(config, GameKind::of::<Patient>());
    let join = |name: &str| wire::Join { kind: "patient".into(), name: name.into(), ..join("lobby") };
    let mut bob = Player::join_as(server.address(), join("bob"));
    let mut ann = Player::join_as(server.address(), join("ann"));
    assert_eq!(ann.session.welcome().unwrap().resume_window_ms, 300);
    ann.lose_connection();
    bob.wait_state("the game knows who is away", |state| (state.tables()[0].value(1, 0)? == 1).then_some(()));
    ann.reconnect();
    assert!(ann.welcomed().resumed);
    bob.wait_state("and who is back", |state| (state.tables()[0].value(1, 0)? == 0).then_some(()));
    ann.lose_connection();
    bob.wait_presence("ann", Change::Disconnected);
    assert_eq!(server.players(), 1);
}

/// Promise 1: "A room's state is a function of its seed, its joins and leaves, its inputs and commands. A
/// replay gives the same checksums."
#[test]
fn who_is_away_and_back_is_recorded_before_the_next_tick() {
    let kind = GameKind::of::<Arena>();
    let now = Instant::now();
    let shared = Arc::new(RoomShared::new(RoomId(1), "lobby".into(), kind.name(), 20, 10));
    let schedule = Schedule::new(now, 20);
    let mut room = RoomCore::new(
        shared,
        kind.start(&Setup::new(7, 20)).unwrap(),
        kind.schema(),
        schedule,
        Limits::default(),
        true,
    );
    let tick = |room: &mut RoomCore, tick| {
        room.tick(Due { tick, late: Duration::ZERO, skipped: 0 });
        room.take_record().unwrap().actions
    };
    let (one, other) = (ConnectionId(1), ConnectionId(2));
    let seat = room.join(one, "ann".into(), "Ann".into()).unwrap();
    tick(&mut room, 1);
    assert!(matches!(room.lost(one, true, Away::TimedOut), Some(Detached::Kept(_))));
    assert_eq!(tick(&mut room, 2), [Action::Away { player: 1, why: Away::TimedOut }]);
    room.resume(other, 1, seat.token, 0).unwrap();
    assert_eq!(tick(&mut room, 3), [Action::Back { player: 1 }]);
    // Another connection takes the seat: the game is not told.
    room.resume(ConnectionId(3), 1, seat.token, 0).unwrap();
    assert!(room.lost(other, true, Away::TimedOut).is_none());
    assert_eq!(tick(&mut room, 4), []);
    // A seat that nobody can come back to ends without having been away.
    let cut = room.join(other, "bob".into(), "Bob".into()).unwrap();
    assert!(
        matches!(room.lost(other, false, Away::TimedOut), Some(Detached::Ended(seat)) if seat.player == cut.player)
    );
    let known = Action::User { player: 2, user: "bob".into() };
    let joined = Action::Join { player: 2, name: "Bob".into() };
    assert_eq!(tick(&mut room, 5), [known, joined, Action::Leave { player: 2 }]);
}
