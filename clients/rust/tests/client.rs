//! The client over loopback: a real socket, a real server session, forced disconnects.
#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use driftless_client::{
    Backoff, Client, Connection, Disconnect, Error, Event, Options, Step, TransportKind,
    proto::{code::CloseCode, wire},
    transport::Closed,
};
use std::time::{Duration, Instant};
use support::{
    BINARY, Peer, frame, listen,
    room::{Room, snapshot},
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpListener,
    task::{JoinHandle, LocalSet, spawn_local},
};

/// What the server does with a connection.
enum Script {
    /// Drops it after this many ticks, without a goodbye.
    Drop(u32),
    /// Says goodbye after this many ticks, and closes.
    Goodbye(u32, CloseCode),
    /// Says and reads nothing any more after this many ticks, and closes nothing.
    Silent(u32),
    /// The same for so long. Nobody else is served meanwhile.
    Stall(u32, Duration),
    /// Serves it until the client leaves.
    Stay,
}

fn options(url: &str) -> Options {
    Options {
        backoff: Backoff::new(Duration::from_millis(1), Duration::from_millis(5)),
        ..Options::new(url, "test").kind("test").transports([TransportKind::WebSocket])
    }
}

/// Serves one connection after another as the scripts say, with a tick every millisecond and an event in
/// each.
fn serve(listener: TcpListener, scripts: Vec<Script>) -> JoinHandle<Room> {
    spawn_local(async move {
        let mut room = Room::new(Instant::now());
        let mut tick = 0;
        for script in scripts {
            let peer = Peer::accept(&listener).await;
            room.connect(Instant::now());
            serve_one(peer, &mut room, &mut tick, script).await;
            room.disconnect();
        }
        room
    })
}

async fn serve_one(mut peer: Peer, room: &mut Room, tick: &mut u32, script: Script) {
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    let mut served = 0;
    let (read, mut write) = peer.tcp.split();
    let mut frames = support::Frames::new(read);
    loop {
        tokio::select! {
            received = frames.next() => match received {
                Some((BINARY, payload)) => room.receive(Instant::now(), Bytes::from(payload)),
                Some(_) => {}
                None => return,
            },
            _ = ticks.tick() => {
                *tick += 1;
                room.handle_timeout(Instant::now());
                if room.is_active() {
                    served += 1;
                    room.event(*tick);
                    room.publish(&snapshot(*tick, &[(1, [*tick as i32, 0, 1])]));
                }
            }
        }
        match script {
            Script::Drop(after) if served >= after => return,
            Script::Goodbye(after, code) if served >= after => room.close(code, Duration::ZERO),
            Script::Silent(after) if served >= after => break,
            Script::Stall(after, time) if served == after => {
                tokio::time::sleep(time).await;
                served += 1;
            }
            _ => {}
        }
        let mut out = Vec::new();
        while let Some(message) = room.poll(Instant::now()) {
            out.extend_from_slice(&frame(true, BINARY, &message));
        }
        if let Some(code) = room.closing() {
            let close = [&code.number().to_be_bytes()[..], b"bye"].concat();
            out.extend_from_slice(&frame(true, support::CLOSE, &close));
        }
        if write.write_all(&out).await.is_err() || room.closing().is_some() {
            return;
        }
    }
    spawn_local(async move {
        std::future::pending::<()>().await;
        drop(peer);
    });
}

/// Plays until so many states have come in a row over one connection. Returns how often the client was
/// welcomed, and its longest time without a state.
async fn play(client: &mut Client, states: usize) -> (usize, Duration) {
    let (mut welcomes, mut since, mut longest, mut last) = (0, 0, Duration::ZERO, Instant::now());
    while since < states {
        match client.next().await.unwrap() {
            Event::Welcome(_) => (welcomes, since) = (welcomes + 1, 0),
            Event::State { .. } => {
                since += 1;
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
            _ => {}
        }
    }
    (welcomes, longest)
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left_for_one_that_is_there_long_before_the_timeout() {
    LocalSet::new()
        .run_until(async {
            let (listener, url) = listen().await;
            let _server = serve(listener, vec![Script::Silent(20), Script::Stay]);
            let mut client = Client::connect(options(&url)).await.unwrap();
            let (welcomes, longest) = play(&mut client, 100).await;
            assert_eq!((welcomes, client.stats().resumes), (2, 1));
            let took = Duration::from_secs(2)..Duration::from_secs(6);
            assert!(took.contains(&longest), "{longest:?}, of a timeout of 10 s");
        })
        .await;
}

// Promise 9: "Honest clients are not punished for what the server, a proxy or the network did."
#[tokio::test]
async fn a_server_that_stands_still_and_goes_on_keeps_the_connection() {
    LocalSet::new()
        .run_until(async {
            let (listener, url) = listen().await;
            let _server = serve(listener, vec![Script::Stall(20, Duration::from_secs(4))]);
            let mut client = Client::connect(options(&url)).await.unwrap();
            let (welcomes, longest) = play(&mut client, 100).await;
            assert_eq!((welcomes, client.stats().resumes), (1, 0));
            assert!(longest >= Duration::from_secs(4));
        })
        .await;
}

// Promise 3: "Reliable events arrive exactly once, in order, across a resume within the window." Promise 2:
// "A client never applies a state older than one it has applied."
#[tokio::test]
async fn client_resumes_by_itself_and_gets_every_event_once() {
    LocalSet::new()
        .run_until(async {
            let (listener, url) = listen().await;
            let scripts = [Script::Drop(3), Script::Drop(20), Script::Goodbye(9, CloseCode::Draining)];
            let server = serve(listener, scripts.into_iter().chain([Script::Stay]).collect());
            let mut client = Client::connect(options(&url)).await.unwrap();
            let (mut events, mut ticks, mut welcomes, mut lost) = (Vec::new(), Vec::new(), 0, 0);
            while welcomes < 4 || events.len() < 60 {
                match client.next().await.unwrap() {
                    Event::Welcome(welcome) => {
                        assert_eq!((welcome.resumed, welcome.player), (welcomes > 0, 1));
                        welcomes += 1;
                    }
                    Event::Game(e) => events.push(u64::from_be_bytes(e.payload[..].try_into().unwrap())),
                    Event::State { tick, .. } => {
                        ticks.push(tick);
                        assert_eq!(client.snapshot().unwrap().tables()[0].value(1, 0), Some(tick as i32));
                        let _ = client.send_input(&wire::Leave {});
                    }
                    Event::Disconnected { .. } => lost += 1,
                    Event::Presence(_)
                    | Event::CommandRefused(_)
                    | Event::ClockMoved
                    | Event::TokenExpires { .. }
                    | Event::Topic(_)
                    | Event::Published { .. }
                    | Event::RolledBack { .. } => {}
                }
            }
            assert_eq!(events, (1..=events.len() as u64).collect::<Vec<_>>());
            assert!(ticks.windows(2).all(|w| w[0] < w[1]), "{ticks:?}");
            assert_eq!((lost, client.stats().resumes), (3, 3));
            client.leave().await.unwrap();
            let room = server.await.unwrap();
            assert_eq!((room.joins, room.resumes), (1, 3));
            assert!(room.inputs.windows(2).all(|w| w[0].sequence < w[1].sequence));
        })
        .await;
}

#[tokio::test]
async fn next_that_is_dropped_again_and_again_loses_nothing() {
    LocalSet::new()
        .run_until(async {
            let (listener, url) = listen().await;
            let server = serve(listener, vec![Script::Drop(10), Script::Drop(10), Script::Stay]);
            let mut client = Client::connect(options(&url)).await.unwrap();
            let mut events = Vec::new();
            while events.len() < 50 {
                tokio::select! {
                    biased;
                    event = client.next() => if let Event::Game(e) = event.unwrap() {
                        events.push(u64::from_be_bytes(e.payload[..].try_into().unwrap()));
                    },
                    () = tokio::task::yield_now() => tokio::task::yield_now().await,
                }
            }
            assert_eq!(events, (1..=events.len() as u64).collect::<Vec<_>>());
            client.leave().await.unwrap();
            assert_eq!(server.await.unwrap().resumes, 2);
        })
        .await;
}

#[tokio::test]
async fn leave_after_the_connection_was_lost_gives_up_the_seat_over_another() {
    LocalSet::new()
        .run_until(async {
            let (listener, url) = listen().await;
            let server = serve(listener, vec![Script::Drop(10), Script::Stay]);
            // The next attempt is an hour away.
            let backoff = Backoff::new(Duration::from_secs(7200), Duration::from_secs(7200));
            let mut client =
                Client::connect(Options { backoff, seed: Some(1), ..options(&url) }).await.unwrap();
            while !matches!(client.next().await.unwrap(), Event::Disconnected { .. }) {}
            tokio::select! {
                biased;
                event = client.next() => panic!("{event:?}"),
                () = tokio::task::yield_now() => {} // it waits
            }
            client.leave().await.unwrap();
            let room = server.await.unwrap();
            assert_eq!((room.resumes, room.left), (1, true));
        })
        .await;
}

#[tokio::test]
async fn code_that_forbids_it_ends_the_client_for_good() {
    LocalSet::new()
        .run_until(async {
            let (listener, url) = listen().await;
            let server = serve(listener, vec![Script::Goodbye(2, CloseCode::Kicked)]);
            let mut client = Client::connect(options(&url)).await.unwrap();
            let error = loop {
                if let Err(error) = client.next().await {
                    break error;
                }
            };
            let Error::Ended(cause @ Disconnect::Goodbye { .. }) = &error else { panic!("{error:?}") };
            assert_eq!(cause.close_code(), Some(CloseCode::Kicked));
            assert!(error.to_string().contains("4510 (kicked)"), "{error}");
            assert_eq!(client.next().await, Err(error));
            server.await.unwrap();
        })
        .await;
}

#[test]
fn client_can_move_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Client>();
    is_send::<Connection>();
}

#[tokio::test]
async fn connect_fails_where_nobody_listens() {
    let (listener, url) = listen().await;
    drop(listener);
    assert!(matches!(Client::connect(options(&url)).await, Err(Error::Ended(Disconnect::Dial(_)))));
}

#[tokio::test]
async fn bots_connection_wakes_when_asked_and_ends_without_reconnecting() {
    LocalSet::new()
        .run_until(async {
            let (listener, url) = listen().await;
            let server = serve(listener, vec![Script::Drop(20)]);
            let mut bot = Connection::open(&options(&url)).await.unwrap();
            let (mut woken, mut states) = (0, 0);
            let mut wake = Instant::now();
            loop {
                match bot.next(Some(wake)).await {
                    Step::Woken => {
                        assert!(Instant::now() >= wake);
                        woken += 1;
                        wake = Instant::now() + Duration::from_millis(2);
                    }
                    Step::Event(Event::State { .. }) => states += 1,
                    Step::Event(Event::Disconnected { cause, .. }) => {
                        assert!(matches!(cause, Disconnect::Transport(Closed::Lost(_))), "{cause:?}");
                    }
                    Step::Event(_) => {}
                    Step::Closed => break,
                }
            }
            assert!(woken > 0 && states > 0);
            assert_eq!(bot.next(None).await, Step::Closed);
            server.await.unwrap();
        })
        .await;
}
