//! A client whose server sends anything, at any time, and goes and comes back.

use bytes::{Bytes, BytesMut};
use driftless_client::{ClientCore, Event, Options, Phase, transport::{Closed, DialError}};
use driftless_proto::{
    schema::Schema,
    session::Delivery,
    wire::{self, server_message::Body},
};
use prost::Message;
use std::time::{Duration, Instant};

fn take<'a>(script: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (head, rest) = script.split_at(length.min(script.len()));
    *script = rest;
    head
}

fn byte(script: &mut &[u8]) -> u8 {
    take(script, 1).first().copied().unwrap_or(0)
}

fn message(body: Body) -> Bytes {
    wire::ServerMessage { body: Some(body) }.encode_to_vec().into()
}

pub fn fuzz(mut script: &[u8]) {
    let flags = byte(&mut script);
    let delivery = if flags & 1 == 0 { Delivery::Ordered } else { Delivery::Datagram };
    let mut options = Options::new("ws://nowhere", "room");
    (options.seed, options.spectate) = (Some(7), flags & 2 != 0);
    let mut now = Instant::now();
    let mut core = ClientCore::over(now, &options, delivery);
    let schema = Schema::new().kind("k", |k| k.linear("at", &["x", "y"], 1));
    let (mut out, mut newest) = (BytesMut::new(), 0);
    while !script.is_empty() {
        now += Duration::from_millis(u64::from(byte(&mut script)).pow(2));
        let (a, b) = (byte(&mut script), byte(&mut script));
        let incoming = match byte(&mut script) % 12 {
            0 => Some(message(Body::Welcome(wire::Welcome {
                protocol: 1,
                schema: (a & 1 == 0).then(|| schema.to_wire()),
                tick_rate: u32::from(b),
                player: u32::from(a),
                resumed: a & 2 != 0,
                spectating: a & 4 != 0,
                undone: vec![wire::Undone { after: u32::from(a & 8), until: u32::from(b) << (a & 16) }],
                resume_window_ms: u32::from(b) * 100,
                ..wire::Welcome::default()
            }))),
            1 => Some(message(Body::Goodbye(wire::Goodbye {
                code: 4_000 + u32::from(a) * 3,
                reconnect_after_ms: u32::from(b).pow(3),
                ..wire::Goodbye::default()
            }))),
            2 => {
                core.handle_disconnected(now, Closed::Lost("lost".to_owned()).into());
                None
            }
            3 => {
                let after = Duration::from_secs(5);
                core.handle_dial_failed(now, DialError::TimedOut { address: "nowhere".into(), after });
                None
            }
            4 => {
                let delivery = if a & 1 == 0 { Delivery::Ordered } else { Delivery::Datagram };
                core.handle_connected(now, delivery);
                newest = 0;
                None
            }
            5 => {
                let _ = core.handle_timeout(now);
                None
            }
            6 => {
                let _ = (core.send_input(vec![8, 2].into()), core.send_command(Bytes::new()));
                if a == 0 {
                    core.leave(now);
                }
                None
            }
            7 => {
                // A list of members, or a part of it.
                let presence = wire::Presence {
                    since: (a % 4).into(),
                    version: b.into(),
                    members: (0..a % 5).map(|id| wire::Member { user: format!("u{id}"), ..Default::default() }).collect(),
                    ..Default::default()
                };
                Some(message(Body::Presence(presence)))
            }
            8 => Some(message(Body::Pong(wire::ServerPong {
                time_us: u64::from(a) << (b % 64),
                server_time_us: u64::from(b) << (a % 64),
                command_received: a.into(),
            }))),
            _ => Some(Bytes::copy_from_slice(take(&mut script, a.into()))),
        };
        if let Some(incoming) = incoming {
            let _ = core.handle_message(now, incoming);
        }
        while let Some(event) = core.poll_event() {
            match event {
                Event::Welcome(welcome) if !welcome.resumed => newest = 0,
                Event::State { tick, .. } => {
                    assert!(tick >= newest, "no state is older than one applied");
                    newest = tick;
                    let _ = (core.age_us(now, tick), core.tick_due_us(tick));
                }
                _ => {}
            }
        }
        if let Phase::Ended(error) = core.phase() {
            assert!(!error.to_string().is_empty());
            return;
        }
        let mut count = 0;
        while core.poll_transmit(now, &mut out) {
            count += 1;
            assert!(count < 30, "what goes out is bounded");
        }
        out.clear();
        let _ = core.poll_timeout();
    }
}
