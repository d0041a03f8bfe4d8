//! The Rust client against a server that wants tokens.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_client::{
    Client, Connection, Disconnect, Error, Event, Options, Phase, Step, TransportKind, transport::DialError,
};
use driftless_server::config::Config;
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use util::{TestServer, quic::wait, tokens};

const ALL: [TransportKind; 3] = [TransportKind::Quic, TransportKind::WebTransport, TransportKind::WebSocket];

fn options(server: &TestServer, transport: TransportKind) -> Options {
    Options::new(format!("ws://{}", server.address()), "lobby").transports([transport])
}

#[test]
fn a_client_gets_a_fresh_token_before_the_old_one_expires() {
    let server = TestServer::start(Config { token_leeway: Duration::ZERO, ..tokens::config() });
    for transport in ALL {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let options = options(&server, transport).token_from(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            async { Ok(tokens::token_with("ann", json!({ "exp": tokens::now() + 3 }))) }
        });
        wait(async {
            let mut client = Client::connect(options).await.unwrap();
            assert_eq!(client.welcome().unwrap().user, "ann", "{transport}");
            // Longer than a token is valid.
            let end = Instant::now() + Duration::from_secs(4);
            while Instant::now() < end || asked.load(Ordering::Relaxed) < 3 {
                match client.next().await.unwrap() {
                    Event::Disconnected { cause, .. } => panic!("{transport}: {cause}"),
                    Event::TokenExpires { .. } => panic!("the client sees to it"),
                    _ => {}
                }
            }
            client.leave().await.unwrap();
        });
    }
}

// A login that hangs must not hang the player's game.
#[test]
fn a_token_that_does_not_come_is_not_waited_for() {
    let server = TestServer::start(Config { token_leeway: Duration::ZERO, ..tokens::config() });
    let never = || std::future::pending::<Result<String, String>>();
    let within = Duration::from_millis(100);
    let hangs =
        Options { connect_timeout: within, ..options(&server, TransportKind::Quic).token_from(never) };
    let refused = wait(Client::connect(hangs)).expect_err("there is no token");
    assert_eq!(refused, Error::Ended(Disconnect::Dial(DialError::TokenTimedOut { after: within })));

    // The second token does not come; the player goes on, loses the connection, and comes back with a third.
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let token_from = move || {
        let hangs = counted.fetch_add(1, Ordering::Relaxed) == 1;
        async move {
            match hangs {
                true => never().await,
                false => Ok(tokens::token_with("ann", json!({ "exp": tokens::now() + 3 }))),
            }
        }
    };
    let options = Options {
        connect_timeout: Duration::from_secs(2),
        ..options(&server, TransportKind::WebSocket).token_from(token_from)
    };
    wait(async {
        let mut client = Client::connect(options).await.unwrap();
        let mut lost = None;
        loop {
            match client.next().await.unwrap() {
                Event::Disconnected { cause, .. } => lost = Some(cause),
                Event::Welcome(welcome) if welcome.resumed => break,
                _ => {}
            }
        }
        assert!(matches!(lost, Some(Disconnect::Goodbye { code: 4012, .. })), "{lost:?}");
    });
}

#[test]
fn a_client_is_told_why_it_may_not_come_in() {
    let server = TestServer::start(tokens::config());
    let refused = |options: Options| match wait(Client::connect(options)).expect_err("it is refused") {
        Error::Ended(disconnect) => disconnect,
        other => panic!("{other}"),
    };
    for transport in ALL {
        let attic = tokens::token_with("ann", json!({ "room": "attic" }));
        for (options, code) in
            [(options(&server, transport), 4514), (options(&server, transport).token(attic), 4515)]
        {
            let told = refused(options);
            assert_eq!((told.code(), told.may_reconnect()), (code, false), "{transport}: {told}");
        }
        let none = options(&server, transport).token_from(|| async { Err("log in first".to_owned()) });
        assert!(refused(none).to_string().contains("log in first"), "{transport}");
    }
}

// A login that answers once with what it had answered before must not cost a player his seat.
#[test]
fn a_stale_token_at_a_reconnect_is_asked_for_again() {
    let server = TestServer::start(Config { token_leeway: Duration::ZERO, ..tokens::config() });
    for transport in ALL {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let options = options(&server, transport).token_from(move || {
            let life = if counted.fetch_add(1, Ordering::Relaxed) == 1 { -10 } else { 60 };
            let expires = tokens::now().saturating_add_signed(life);
            async move { Ok(tokens::token_with("ann", json!({ "exp": expires }))) }
        });
        wait(async {
            let mut connection = Connection::open(&options).await.unwrap();
            while !matches!(connection.next(None).await, Step::Event(Event::State { .. })) {}
            connection.abort();
            loop {
                match connection.next(None).await {
                    Step::Event(Event::Welcome(welcome)) => {
                        assert!(welcome.resumed, "{transport}");
                        break;
                    }
                    Step::Event(Event::Disconnected { .. }) | Step::Woken => {}
                    Step::Event(other) => panic!("{transport}: {other:?}"),
                    Step::Closed => {
                        let phase = connection.core().phase();
                        assert!(matches!(phase, Phase::Waiting { .. }), "{transport}: {phase:?}");
                        connection.redial(&options).await;
                    }
                }
            }
            assert_eq!(asked.load(Ordering::Relaxed), 3, "{transport}");
        });
    }
}
