//! Identity: nobody becomes somebody else by claiming so, and names look like what they are.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::{
    code::CloseCode,
    wire::{self, member::Change, server_message::Body},
};
use prost::Message as _;
use util::{Frame, Player, Socket, TestServer, config, join};

/// Field `number` of a message, with these bytes in it (fewer than 128).
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
}

/// Joins with a user id in the field that once held it. Returns the welcome.
fn joins_as(socket: &mut Socket, user: &str, name: &str) -> wire::Welcome {
    let asked = wire::Join { name: name.into(), ..join("lobby") };
    let asked = [asked.encode_to_vec(), field(4, user.as_bytes())].concat();
    socket.send(&field(3, &asked)).unwrap();
    let Frame::Binary(message) = socket.recv() else { panic!("no message") };
    let Body::Welcome(welcome) = util::server(&message) else { panic!("no welcome") };
    welcome
}

#[test]
fn a_guests_id_is_long_and_its_own() {
    let server = TestServer::start(config());
    let (a, b) = (Player::join(server.address(), "lobby"), Player::join(server.address(), "lobby"));
    let users = [&a, &b].map(|player| player.session.welcome().unwrap().user.clone());
    assert_ne!(users[0], users[1]);
    for user in users {
        assert_eq!(user.strip_prefix("guest-").map(str::len), Some(16), "{user}");
    }
}

// A player who joins as another one's user id must not become that user.
#[test]
fn who_claims_to_be_another_is_somebody_else() {
    let server = TestServer::start(config());
    let mut witness = Player::named(server.address(), "lobby", "witness");
    let ann = Player::named(server.address(), "lobby", "Ann");
    let victim = ann.session.welcome().unwrap().user.clone();
    witness.wait_presence("Ann", Change::Joined);

    for claimed in [&*victim, "guest-2", "ann"] {
        let mut socket = Socket::connect(server.address());
        let welcome = joins_as(&mut socket, claimed, "Mallory");
        assert_ne!(welcome.user, claimed);
        assert_ne!(welcome.user, victim);
        let member = witness.wait_presence("Mallory", Change::Joined);
        assert_eq!((&member.user, &member.players), (&welcome.user, &vec![welcome.player]));
    }
    let seen = server.get("/v1/presence").json();
    let of_victim = |member: &&serde_json::Value| member["user"] == *victim;
    let member = seen["members"].as_array().unwrap().iter().find(of_victim).unwrap();
    assert_eq!((&member["name"], &member["connections"]), (&"Ann".into(), &1.into()), "{seen}");
    assert_eq!(seen["member_count"], 5, "{seen}");
}

#[test]
fn a_name_is_shown_as_it_looks() {
    let server = TestServer::start(config());
    let mut witness = Player::named(server.address(), "lobby", "witness");
    for name in ["Alice", "Alice ", " \u{3000}Ａｌｉｃｅ"] {
        let player = Player::named(server.address(), "lobby", name);
        let member = witness.wait_presence("Alice", Change::Joined);
        assert_eq!(member.user, player.session.welcome().unwrap().user, "{name:?}");
    }
}

// Promise 6: "Bad input gets a named error and a documented close code."
#[test]
fn a_name_that_deceives_is_refused_and_told_why() {
    let server = TestServer::start(config());
    let (invisible, pile) = ("\u{3164}", format!("e{}", "\u{301}".repeat(31)));
    for (name, why) in [
        ("\u{200b}", "U+200B is invisible"),
        (" ", "nothing visible"),
        ("\u{202e}nimda", "U+202E is invisible"),
        (&*pile, "U+0301 is a combining mark"),
        (invisible, "U+3164 is invisible"),
        ("\u{2800}", "U+2800 is invisible"),
        ("Ann\u{e0041}", "U+E0041 is invisible"),
        ("Ann\u{2028}", "U+2028 is invisible"),
        ("Guest-2", "are reserved for the server"),
        ("ｇｕｅｓｔ－2", "are reserved for the server"),
    ] {
        let asked = wire::Join { name: name.into(), ..join("lobby") };
        let mut player = Player::on(Socket::connect(server.address()), server.address(), asked);
        let goodbye = player.goodbye();
        assert_eq!(goodbye.code, u32::from(CloseCode::BadName.number()), "{name:?}");
        assert!(goodbye.reason.contains(why), "{name:?}: {}", goodbye.reason);
    }
    assert_eq!(server.players(), 0);
}
