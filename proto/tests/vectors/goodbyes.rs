//! How a server ends a connection, and where it sends the client.

use crate::{
    files, hex, replaced, unhex, updates,
    util::{Published, join},
};
use bytes::{Bytes, BytesMut};
use driftless_proto::{
    code::CloseCode,
    limits::Limits,
    session::{
        Delivery,
        client::{ClientConfig, ClientEvent, ClientSession},
        server::ServerSession,
    },
    wire,
};
use serde::Deserialize;
use std::{
    fs,
    time::{Duration, Instant},
};

#[derive(Deserialize)]
struct Vector {
    goodbye: Goodbye,
    message: String,
}

#[derive(Deserialize)]
struct Goodbye {
    code: u16,
    reason: String,
    reconnect_after_ms: u32,
    moved: Option<Moved>,
}

#[derive(Deserialize)]
struct Moved {
    node: String,
    url: String,
    quic: String,
}

#[test]
fn every_goodbye_vector_is_what_a_server_writes_and_a_client_takes() {
    let files = files("goodbyes");
    assert!(files.len() >= 3);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.display();
        let vector: Vector = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let goodbye = wire_of(vector.goodbye);
        let written = hex(&written(&goodbye));
        if updates() {
            fs::write(&file, replaced(&text, "message", |_| Some(format!("\"{written}\"")))).unwrap();
            continue;
        }
        assert_eq!(written, vector.message, "{name}");
        assert_eq!(taken(unhex(&vector.message).into()), goodbye, "{name}");
    }
}

fn wire_of(goodbye: Goodbye) -> wire::Goodbye {
    let Goodbye { code, reason, reconnect_after_ms, moved } = goodbye;
    let moved = moved.map(|Moved { node, url, quic }| wire::Moved { node, url, quic });
    wire::Goodbye { code: code.into(), reason, reconnect_after_ms, moved }
}

fn written(goodbye: &wire::Goodbye) -> Bytes {
    let mut server = ServerSession::<Published>::new(Instant::now(), Limits::default(), Delivery::Ordered);
    match &goodbye.moved {
        Some(moved) => server.send_away(&goodbye.reason, moved.clone()),
        None => {
            let code = CloseCode::from_number(goodbye.code as u16).unwrap();
            server.close(code, &goodbye.reason, Duration::from_millis(goodbye.reconnect_after_ms.into()));
        }
    }
    let mut out = BytesMut::new();
    assert!(server.poll_control(0, &mut out));
    out.freeze()
}

fn taken(message: Bytes) -> wire::Goodbye {
    let now = Instant::now();
    let mut client = ClientSession::join(now, ClientConfig::default(), join());
    assert!(client.poll_transmit(now, &mut BytesMut::new()));
    client.handle_message(now, message).unwrap();
    match client.poll_event() {
        Some(ClientEvent::Goodbye(goodbye)) => goodbye,
        event => panic!("{event:?}"),
    }
}
