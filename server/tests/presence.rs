//! Presence, as the players of a room and the operator see it.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{
    code::CloseCode,
    session::client::ClientEvent,
    wire::{self, client_message::Body, member::Change},
};
use driftless_server::config::Config;
use std::{collections::BTreeMap, time::Duration};
use util::{
    Player, Socket, TestServer, client, config, join,
    process::Process,
    socket::{CLOSE, FIN},
    until,
};

/// The next presence message.
fn next_presence(player: &mut Player) -> wire::Presence {
    player.wait("a presence message", |event| match event {
        ClientEvent::Presence(presence) => Some(presence.clone()),
        _ => None,
    })
}

/// The members in order of name, once there are `count` of them.
fn members(player: &mut Player, count: usize) -> Vec<wire::Member> {
    let mut members = BTreeMap::new();
    while members.len() != count {
        let presence = next_presence(player);
        if presence.since == 0 {
            members.clear();
        }
        for member in presence.members {
            if member.players.is_empty() {
                members.remove(&member.name);
            } else {
                members.insert(member.name.clone(), member);
            }
        }
    }
    members.into_values().collect()
}

/// The next changes of the member with this name, in order, up to `last`.
fn changes(player: &mut Player, name: &str, last: Change) -> Vec<Change> {
    let mut seen = Vec::new();
    while seen.last() != Some(&last) {
        let presence = next_presence(player);
        seen.extend(presence.members.iter().filter(|m| m.name == name).map(wire::Member::change));
    }
    seen
}

/// What the operator sees.
fn presence(server: &TestServer) -> serde_json::Value {
    server.get("/v1/presence").json()
}

#[test]
fn a_new_player_gets_the_list_and_the_others_the_change() {
    let server = TestServer::start(config());
    let mut ann = Player::named(server.address(), "lobby", "ann");
    assert_eq!(members(&mut ann, 1)[0].name, "ann");

    let mut bob = Player::named(server.address(), "lobby", "bob");
    let list = members(&mut bob, 2);
    assert_eq!(list.iter().map(|m| &*m.name).collect::<Vec<_>>(), ["ann", "bob"]);

    let change = next_presence(&mut ann);
    assert_eq!((change.since, change.version, change.more), (1, 2, false));
    let [member] = &change.members[..] else { panic!("{change:?}") };
    assert_eq!((&*member.name, member.change()), ("bob", Change::Joined));
    assert_eq!((&member.players[..], member.connections), (&[2][..], 1));
    assert!(member.at_us > 0);
}

#[test]
fn who_comes_back_gets_what_changed_since() {
    let server = TestServer::start(config());
    let mut ann = Player::named(server.address(), "lobby", "ann");
    let mut bob = Player::named(server.address(), "lobby", "bob");
    members(&mut ann, 2);
    ann.lose_connection();
    bob.wait_presence("ann", Change::Away);
    let mut eve = Player::named(server.address(), "lobby", "eve");
    bob.wait_presence("eve", Change::Joined);
    ann.reconnect();
    assert!(ann.welcomed().resumed);
    // Herself, who is away or already back, and the newcomer. Not bob, whom she knows.
    let mut changed = std::collections::BTreeSet::new();
    while !changed.contains("eve") {
        let presence = next_presence(&mut ann);
        assert!(presence.since >= 2, "{presence:?}");
        changed.extend(presence.members.into_iter().map(|m| m.name));
    }
    assert_eq!(changed.into_iter().collect::<Vec<_>>(), ["ann", "eve"]);
    eve.leave();
    ann.wait_presence("eve", Change::Left);
}

// Promise 5: "A player is reported joined once, left once, with the true reason; no ghosts after the
// timeout."
#[test]
fn each_way_to_go_is_told_once_with_its_reason() {
    let mut config = Config { resume_window: Duration::from_millis(300), ..config() };
    config.limits.timeout = Duration::from_secs(2);
    config.limits.heartbeat = Duration::from_millis(500);
    let server = TestServer::start(config);
    let address = server.address();
    let mut witness = Player::named(address, "lobby", "witness");

    // Changes within one tick are combined, so each one is awaited.
    let join = |witness: &mut Player, user: &str| {
        let player = Player::named(address, "lobby", user);
        assert_eq!(changes(witness, user, Change::Joined), [Change::Joined]);
        player
    };
    join(&mut witness, "leaver").leave();
    assert_eq!(changes(&mut witness, "leaver", Change::Left), [Change::Left]);

    join(&mut witness, "loser").lose_connection();
    let lost = changes(&mut witness, "loser", Change::Disconnected);
    assert_eq!(lost, [Change::Away, Change::Disconnected]);

    let mut cheat = join(&mut witness, "cheat");
    cheat.socket.send(&[0xFF]).unwrap();
    assert_eq!(cheat.ended(), CloseCode::Malformed);
    assert_eq!(changes(&mut witness, "cheat", Change::Removed), [Change::Removed]);

    let mut mute = join(&mut witness, "mute");
    let silent = changes(&mut witness, "mute", Change::TimedOut);
    assert_eq!(silent, [Change::Away, Change::TimedOut]);
    assert_eq!(mute.ended(), CloseCode::TimedOut);

    let seen = presence(&server);
    let totals = &seen["totals"];
    assert_eq!((&totals["joined"], &totals["left"]), (&5.into(), &1.into()), "{seen}");
    assert_eq!((&totals["disconnected"], &totals["removed"]), (&1.into(), &1.into()), "{seen}");
    assert_eq!((&totals["timed_out"], &seen["players"]), (&1.into(), &1.into()), "{seen}");
    let departures = seen["departures"].as_array().unwrap();
    let reasons: Vec<_> = departures.iter().map(|d| d["why"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["timed_out", "removed", "disconnected", "left"], "newest first");
}

#[test]
fn who_is_away_and_comes_back_is_told_so() {
    let server = TestServer::start(config());
    let mut witness = Player::named(server.address(), "lobby", "witness");
    let mut ann = Player::named(server.address(), "lobby", "ann");
    ann.lose_connection();
    let away = witness.wait_presence("ann", Change::Away);
    assert_eq!((&away.players[..], away.connections), (&[2][..], 0));
    let seen = presence(&server);
    let member = seen["members"].as_array().unwrap().iter().find(|member| member["name"] == "ann").unwrap();
    assert_eq!(member["state"], "away", "{seen}");
    ann.reconnect();
    ann.welcomed();
    let back = changes(&mut witness, "ann", Change::Back);
    assert_eq!(back, [Change::Back]);
    ann.leave();
    assert_eq!(changes(&mut witness, "ann", Change::Left), [Change::Left]);
}

#[test]
fn the_operator_sees_rooms_apart_and_together() {
    let server = TestServer::start(config());
    let mut ann = Player::named(server.address(), "north", "ann");
    let _bob = Player::named(server.address(), "south", "bob");
    for _ in 0..10 {
        ann.next_tick(); // answers the server's first ping
    }
    let ask = |path: &str| server.get(path).json();
    assert_eq!(ask("/v1/presence")["member_count"], 2);
    let north = ask("/v1/presence?room=north");
    assert_eq!((&north["member_count"], &north["members"][0]["name"]), (&1.into(), &"ann".into()));
    assert_eq!(ask("/v1/presence?room=nowhere")["member_count"], 0);
    let page = ask("/v1/presence?limit=1");
    assert_eq!((&page["member_count"], &page["members"][0]["name"]), (&2.into(), &"ann".into()));
    let page = ask(&format!("/v1/presence?after={}", page["next"].as_str().unwrap()));
    assert_eq!((&page["members"][0]["name"], &page["next"]), (&"bob".into(), &serde_json::Value::Null));
    until("the round trip is shown", || ask("/v1/presence?room=north")["members"][0]["rtt_ms"].is_f64());
    // Never longer than the server has been up.
    let seen = ask("/v1/presence?room=north")["members"][0]["last_seen_ms_ago"].as_u64().unwrap();
    assert!(seen < 10_000, "{seen}");
}

#[test]
fn the_round_trip_is_told_to_players() {
    let server = TestServer::start(config());
    let mut ann = Player::named(server.address(), "lobby", "ann");
    until("it is measured", || {
        ann.next_tick();
        presence(&server)["members"][0]["rtt_ms"].is_f64()
    });
    let mut bob = Player::named(server.address(), "lobby", "bob");
    let list = members(&mut bob, 2);
    assert!(list[0].rtt_us > 0, "{list:?}");
}

// Promise 5: "no ghosts after the timeout."
#[test]
fn who_goes_before_the_welcome_leaves_no_ghost() {
    let server = TestServer::start(Config {
        resume_window: Duration::from_millis(100),
        linger: Duration::from_millis(100),
        ..config()
    });
    for n in 0..200 {
        let mut socket = Socket::connect(server.address());
        socket.send(&client(Body::Join(join(&format!("room-{}", n % 3))))).unwrap();
        match n % 4 {
            0 => socket.send(&client(Body::Leave(wire::Leave {}))).unwrap(),
            1 => socket.send(&[0xFF]).unwrap(),
            2 => socket.send_frame(FIN | CLOSE, &1001u16.to_be_bytes()).unwrap(),
            _ => {}
        }
    }
    until("nobody is left", || server.connections() == 0 && server.players() == 0);
    until("no room is left", || server.running().metrics().rooms.current.get() == 0);
    let seen = presence(&server);
    assert_eq!((&seen["players"], &seen["member_count"]), (&0.into(), &0.into()), "{seen}");
}

// 1,000 joins and leaves leave no ghost and no leak. Some players leave, some lose the connection, some are
// removed.
#[test]
fn a_thousand_joins_and_leaves_leave_no_ghost_and_no_leak() {
    const BATCHES: usize = 5;
    const BATCH: usize = 200;
    let server = Process::start(&["--resume-window", "100ms", "--linger", "100ms"]);
    let address = server.address();
    let mut resident = Vec::new();
    for batch in 0..BATCHES {
        let mut witness = Player::named(address, "watched", "witness");
        let mut players: Vec<_> = (0..BATCH)
            .map(|n| {
                let room = format!("room-{}", n % 10);
                Player::named(address, &room, &format!("user-{n}"))
            })
            .collect();
        for (n, player) in players.iter_mut().enumerate() {
            match n % 3 {
                0 => player.send(Body::Leave(wire::Leave {})),
                1 => player.lose_connection(),
                _ => player.socket.send(&[0xFF]).unwrap(),
            }
        }
        drop(players);
        witness.next_tick();
        witness.leave();

        let joined = ((batch + 1) * (BATCH + 1)) as u64;
        until("presence is empty", || {
            let seen = util::http::get(address, "/v1/presence").json();
            let totals = &seen["totals"];
            let ended =
                ["left", "timed_out", "disconnected", "removed"].map(|key| totals[key].as_u64().unwrap());
            assert_eq!(totals["joined"].as_u64(), Some(joined), "each is reported joined once");
            assert!(ended.iter().sum::<u64>() <= joined, "and left once: {seen}");
            seen["players"] == 0
                && seen["members"].as_array().unwrap().is_empty()
                && ended.iter().sum::<u64>() == joined
        });
        until("the server is empty", || {
            let metrics = util::http::get(address, "/metrics");
            let left =
                ["driftless_connections{transport=\"websocket\"}", "driftless_players", "driftless_rooms"];
            left.iter().all(|sample| metrics.metric(sample) == 0.0)
        });
        resident.push(server.rss());
    }
    // The allocator keeps what it got for the first batches. A leak of 16 KiB per player would be 3 MiB per
    // batch.
    let (before, after) = (resident[BATCHES - 3], resident[BATCHES - 1]);
    assert!(after < before + (3 << 20), "memory goes on growing: {resident:?}");
}
