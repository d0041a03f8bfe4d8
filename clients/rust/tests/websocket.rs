//! The WebSocket transport over loopback, against a server that writes its frames by hand.

#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use driftless_client::{
    proto::code::CloseCode,
    transport::{Closed, DialError, websocket::WebSocket},
};
use std::time::Duration;
use support::{BINARY, CLOSE, PING, PONG, Peer, TEXT, frame, listen};
use tokio::{io::AsyncWriteExt, net::TcpListener};

const LIMIT: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(20);

async fn dial(url: &str) -> Result<WebSocket, DialError> {
    WebSocket::dial(url, LIMIT, PATIENCE).await
}

async fn pair() -> (WebSocket, Peer) {
    let (listener, url) = listen().await;
    let (socket, peer) = tokio::join!(dial(&url), Peer::accept(&listener));
    (socket.unwrap(), peer)
}

#[tokio::test]
async fn subprotocol_is_offered_on_the_default_path() {
    let (_socket, peer) = pair().await;
    assert!(peer.request.starts_with("GET /v1/connect HTTP/1.1\r\n"), "{}", peer.request);
    assert_eq!(peer.header("sec-websocket-protocol"), Some("driftless.v1"));
}

#[tokio::test]
async fn path_in_the_url_is_kept() {
    let (listener, url) = listen().await;
    let url = format!("{url}/other?x=1");
    let (socket, peer) = tokio::join!(dial(&url), Peer::accept(&listener));
    socket.unwrap();
    assert!(peer.request.starts_with("GET /other?x=1 HTTP/1.1\r\n"), "{}", peer.request);
}

#[tokio::test]
async fn server_without_the_subprotocol_is_refused() {
    for headers in ["", "Sec-WebSocket-Protocol: chat\r\n"] {
        let (listener, url) = listen().await;
        let answer = async {
            let mut peer = Peer::accept_request(&listener).await;
            peer.answer(headers).await;
            peer
        };
        let (socket, _peer) = tokio::join!(dial(&url), answer);
        let error = socket.unwrap_err();
        assert!(matches!(error, DialError::NotDriftless { .. }), "{error:?}");
        assert!(error.may_retry(), "it may be in the server's place for a while");
    }
}

#[tokio::test]
async fn http_refusal_is_told_with_status_and_body() {
    for status in ["503 Service Unavailable", "404 Not Found", "403 Forbidden"] {
        let (listener, url) = listen().await;
        let answer = async {
            let mut peer = Peer::accept_request(&listener).await;
            let text = format!("HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\nbusy");
            peer.tcp.write_all(text.as_bytes()).await.unwrap();
            peer
        };
        let (socket, _peer) = tokio::join!(dial(&url), answer);
        let error = socket.unwrap_err();
        assert!(matches!(&error, DialError::Refused { status: s, .. } if status.starts_with(&s.to_string())));
        assert!(error.may_retry() && error.denied().is_none(), "{error}");
    }
}

#[tokio::test]
async fn the_servers_own_refusal_is_told_apart_from_a_proxys() {
    let body = r#"{"type":"about:blank","status":401,"detail":"it has expired","code":"token_expired"}"#;
    for (kind, denied) in [("application/problem+json", true), ("application/json", false)] {
        let (listener, url) = listen().await;
        let answer = async {
            let mut peer = Peer::accept_request(&listener).await;
            let (head, length) = ("HTTP/1.1 401 Unauthorized", body.len());
            let text = format!("{head}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}");
            peer.tcp.write_all(text.as_bytes()).await.unwrap();
            peer
        };
        let (socket, _peer) = tokio::join!(dial(&url), answer);
        let error = socket.unwrap_err();
        assert_eq!(error.denied(), denied.then_some(CloseCode::Unauthenticated), "{error}");
        assert_eq!(error.may_retry(), !denied, "{error}");
    }
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    drop(listener);
    assert!(matches!(dial(&url).await, Err(DialError::Unreachable { .. })));
}

#[tokio::test]
async fn silent_server_times_out() {
    let (_listener, url) = listen().await; // never accepts: the kernel does, and says nothing
    let error = WebSocket::dial(&url, LIMIT, Duration::from_millis(20)).await.unwrap_err();
    assert!(matches!(error, DialError::TimedOut { .. }), "{error:?}");
}

#[tokio::test]
async fn bad_urls_are_named() {
    for url in ["", "http://a", "ws://", "wss://", "a b", "127.0.0.1:7777"] {
        let error = dial(url).await.unwrap_err();
        assert!(matches!(&error, DialError::Url { url: u, .. } if u == url), "{url:?}: {error:?}");
    }
}

// A proxy that closes while the client sends resets the connection; what came before is still to be read.
#[tokio::test]
async fn why_it_was_closed_is_read_although_sending_fails() {
    let (mut socket, mut peer) = pair().await;
    socket.send(Bytes::from_static(b"unread")).unwrap();
    socket.flush().await.unwrap();
    peer.tcp.readable().await.unwrap();
    peer.frame(true, CLOSE, &4014u16.to_be_bytes()).await;
    drop(peer); // with unread bytes: a reset
    for _ in 0..3 {
        socket.send(Bytes::from_static(b"too late")).unwrap();
        socket.flush().await.unwrap();
    }
    let closed = socket.recv().await.unwrap_err();
    assert!(matches!(closed, Closed::ByPeer { code: 4014, .. }), "{closed:?}");
}

#[tokio::test]
async fn messages_go_both_ways() {
    let (mut socket, mut peer) = pair().await;
    for len in [0, 1, 125, 126, 5000, LIMIT] {
        let message: Vec<u8> = (0..len).map(|i| i as u8).collect();
        let up = async {
            socket.send(Bytes::from(message.clone())).unwrap();
            socket.flush().await.unwrap();
            socket.recv().await.unwrap()
        };
        let echo = async {
            let (opcode, got) = peer.read().await.unwrap();
            peer.frame(true, opcode, &got).await;
            (opcode, got)
        };
        let (down, (opcode, got)) = tokio::join!(up, echo);
        assert_eq!(opcode, BINARY);
        assert_eq!(got, message);
        assert_eq!(down, message);
    }
}

#[tokio::test]
async fn fragmented_message_is_joined_around_a_ping() {
    let (mut socket, mut peer) = pair().await;
    peer.frame(false, BINARY, b"one ").await;
    peer.frame(true, PING, b"p").await;
    peer.frame(false, 0, b"two ").await;
    peer.frame(true, 0, b"three").await;
    assert_eq!(socket.recv().await.unwrap(), "one two three");
    socket.flush().await.unwrap();
    assert_eq!(peer.read().await, Some((PONG, b"p".to_vec())));
}

#[tokio::test]
async fn frame_in_many_pieces_arrives_whole() {
    let (mut socket, mut peer) = pair().await;
    let bytes = frame(true, BINARY, &[7; 300]);
    let write = async {
        for byte in bytes {
            peer.tcp.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        peer
    };
    let (message, _peer) = tokio::join!(socket.recv(), write);
    assert_eq!(message.unwrap(), vec![7; 300]);
}

#[tokio::test]
async fn dropped_recv_loses_nothing() {
    let (mut socket, mut peer) = pair().await;
    let bytes = frame(true, BINARY, &[9; 1000]);
    for part in bytes.chunks(100) {
        peer.tcp.write_all(part).await.unwrap();
        tokio::select! {
            biased;
            message = socket.recv() => {
                assert_eq!(message.unwrap(), vec![9; 1000]);
                return;
            }
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(socket.recv().await.unwrap(), vec![9; 1000]);
}

#[tokio::test]
async fn close_code_and_reason_are_told_and_answered() {
    let (mut socket, mut peer) = pair().await;
    peer.frame(true, BINARY, b"last").await;
    peer.close(4002, "slow consumer").await;
    assert_eq!(socket.recv().await.unwrap(), "last");
    let closed = Closed::ByPeer { code: 4002, reason: "slow consumer".into() };
    assert_eq!(socket.recv().await, Err(closed));
    let (opcode, payload) = peer.read().await.unwrap();
    assert_eq!((opcode, &payload[..2]), (CLOSE, &4002u16.to_be_bytes()[..]));
}

#[tokio::test]
async fn close_without_code_is_1005() {
    let (mut socket, mut peer) = pair().await;
    peer.frame(true, CLOSE, b"").await;
    assert_eq!(socket.recv().await, Err(Closed::ByPeer { code: 1005, reason: String::new() }));
}

#[tokio::test]
async fn own_close_reaches_the_server() {
    let (mut socket, mut peer) = pair().await;
    socket.close(1002, "malformed");
    let (opcode, payload) = peer.read().await.unwrap();
    assert_eq!((opcode, &payload[..]), (CLOSE, &[&1002u16.to_be_bytes()[..], b"malformed"].concat()[..]));
}

#[tokio::test]
async fn end_without_close_is_lost() {
    let (mut socket, peer) = pair().await;
    drop(peer);
    assert!(matches!(socket.recv().await, Err(Closed::Lost(_))));
}

#[tokio::test]
async fn announced_2_gib_is_refused_before_it_is_read() {
    // Promise 4: "One client, however slow or hostile, does not delay another's tick or grow memory without
    // bound." (And no server does so to a client.)
    let (mut socket, mut peer) = pair().await;
    let head = [0x82, 127, 0, 0, 0, 0, 0x80, 0, 0, 0];
    peer.tcp.write_all(&head).await.unwrap();
    assert_eq!(socket.recv().await, Err(Closed::TooLarge { size: 2 << 30, limit: LIMIT }));
}

#[tokio::test]
async fn fragments_longer_than_the_limit_together_are_refused() {
    let (mut socket, mut peer) = pair().await;
    let half = vec![0; LIMIT / 2];
    let write = async {
        peer.frame(false, BINARY, &half).await;
        peer.frame(false, 0, &half).await;
        peer.frame(true, 0, &half).await;
        peer
    };
    let (message, _peer) = tokio::join!(socket.recv(), write);
    assert!(matches!(message, Err(Closed::TooLarge { .. })), "{message:?}");
}

#[tokio::test]
async fn text_and_masked_frames_are_violations() {
    let masked = [0x82, 0x81, 1, 2, 3, 4, 5];
    for bytes in [&frame(true, TEXT, b"hi")[..], &masked[..], &[0xf2, 0][..]] {
        let (mut socket, mut peer) = pair().await;
        peer.tcp.write_all(bytes).await.unwrap();
        assert!(matches!(socket.recv().await, Err(Closed::Violation(_))), "{bytes:?}");
    }
}
