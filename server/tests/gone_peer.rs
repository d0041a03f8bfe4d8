//! Peers that disappear without notice, over a real socket.
//!
//! Promise 4: "One client, however slow or hostile, does not [...] grow memory without bound."

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

use driftless_server::{
    config::Config,
    ground::transport_kind::TransportKind,
    server::{Running, Server},
};
use driftless_sim::games;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const UPGRADE: &[u8] =
    b"GET /v1/connect HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    sec-websocket-protocol: driftless.v1\r\n\r\n";

async fn upgraded(server: &Running) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(UPGRADE).await.unwrap();
    // The whole answer, because unread bytes would turn the end of the connection into a reset.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"));
    stream
}

async fn connections_become(server: &Running, wanted: i64) {
    let connections = &server.metrics().transport(TransportKind::WebSocket).connections;
    let reached = async {
        while connections.get() != wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // The limit turns a leak into a failure instead of a hang. It is below the silence after which any peer
    // is disconnected.
    let in_time = tokio::time::timeout(Duration::from_secs(20), reached).await;
    assert!(in_time.is_ok(), "{} connections are held, not {wanted}", connections.get());
}

#[actix_web::test]
async fn a_peer_that_goes_without_a_close_frame_gives_its_place_back() {
    let mut config =
        Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), workers: 1, ..Config::default() };
    config.limits.handshake = Duration::from_secs(300);
    config.limits.timeout = Duration::from_secs(300);
    let (server, serving) = Server::new(&games::kinds()).start(config).unwrap();
    actix_rt::spawn(serving);
    let peers = [upgraded(&server).await, upgraded(&server).await, upgraded(&server).await];
    connections_become(&server, 3).await;
    drop(peers);
    connections_become(&server, 0).await;
}
