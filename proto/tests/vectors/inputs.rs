//! Inputs of a client on a transport that loses messages.

use crate::{
    files, hex, replaced, unhex, updates,
    util::{Conditions, Pair, join, ms, server},
};
use bytes::{Bytes, BytesMut};
use driftless_proto::{
    moment::Moment,
    schema::Schema,
    session::{
        Delivery,
        client::{ClientConfig, ClientSession},
        server::Request,
    },
    wire::{Welcome, server_message},
};
use serde::Deserialize;
use std::{fs, time::Instant};

#[derive(Deserialize)]
struct Vector {
    inputs: Vec<Sent>,
    taken: Vec<Taken>,
    message: String,
}

#[derive(Deserialize)]
struct Sent {
    payload: String,
    moment: u64,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Taken {
    sequence: u32,
    payload: String,
    moment: Option<u64>,
}

#[test]
fn every_input_vector_is_what_a_client_writes_and_a_server_takes() {
    let files = files("inputs");
    assert!(files.len() >= 9);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.display();
        let vector: Vector = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let written = hex(&written(&vector));
        if updates() {
            fs::write(&file, replaced(&text, "message", |_| Some(format!("\"{written}\"")))).unwrap();
            continue;
        }
        assert_eq!(written, vector.message, "{name}");
        assert_eq!(taken(&vector), vector.taken, "{name}");
    }
}

/// The last message of a client that sends one for each input, none of which is confirmed.
fn written(vector: &Vector) -> Bytes {
    let now = Instant::now();
    let config = ClientConfig { delivery: Delivery::Datagram, ..ClientConfig::default() };
    let mut session = ClientSession::join(now, config, join());
    assert!(session.poll_transmit(now, &mut BytesMut::new()), "the join");
    let welcome = Welcome {
        protocol: 1,
        player: 1,
        resume_token: vec![1; 16].into(),
        tick_rate: 20,
        schema: Some(Schema::new().kind("it", |kind| kind.hold("all", &["x"], 1)).to_wire()),
        timeout_ms: 10_000,
        ..Welcome::default()
    };
    session.handle_message(now, server(server_message::Body::Welcome(welcome))).unwrap();
    while session.poll_transmit(now, &mut BytesMut::new()) {} // what else it has to say
    let mut last = BytesMut::new();
    for Sent { payload, moment } in &vector.inputs {
        let moment = (*moment > 0).then(|| Moment::of_parts(*moment));
        session.send_input_seen(unhex(payload).into(), moment).unwrap();
        last.clear();
        assert!(session.poll_transmit(now, &mut last));
    }
    last.freeze()
}

/// What a server takes of the message, having taken none before.
fn taken(vector: &Vector) -> Vec<Taken> {
    let mut pair = Pair::new(Delivery::Datagram, Conditions::default(), 1);
    pair.input_every = None;
    // Until a state has been sent that is not before any of the moments.
    pair.run_until(ms(5_000), |pair| pair.room.tick > 20);
    pair.server.handle_message(pair.now, unhex(&vector.message).into()).unwrap();
    let requests = std::iter::from_fn(|| pair.server.poll_request());
    let inputs = requests.map(|request| match request {
        Request::Input(input) => Taken {
            sequence: input.sequence,
            payload: hex(&input.payload),
            moment: input.moment.map(Moment::parts),
        },
        other => panic!("{other:?}"),
    });
    inputs.collect()
}
