//! Wire format of Driftless: messages, quantised snapshots, deltas, and the session state machines of both
//! ends.
//!
//! Sans-IO: nothing here knows a socket, a clock or a runtime. Bytes come in and go out, and time is an
//! argument, so both ends can be tested and fuzzed in memory, and a transport is a thin shell. What a game's
//! fields mean, how a room ticks and who may play is not here either.
//!
//! # Data flow
//!
//! ```text
//! server                                                        client
//! Snapshot ─► delta::Encoder ─► shared bytes ─┐                ┌─► state::StateHead::split
//!  (a room's,     (one per baseline,          ├─ one message ──┤      ─► delta::Decoder ─► Snapshot
//!   each tick)     shared by many clients)    │                └─► session::client::ClientSession
//! session::server::ServerSession ─► head ─────┘                      │
//!        ▲  which baseline, and when                                 │
//!        └──────────── inputs, with acknowledgements ────────────────┘
//! ```
//!
//! - [`schema`]: a game's kinds of entity, groups of fields and how they are predicted. Travels in the
//!   welcome.
//! - [`snapshot`]: a room's state at one tick, as integer columns.
//! - [`delta`]: what changed against states that the receiver has, column by column.
//! - [`state`]: the few fields of a state that differ between clients, before the bytes that do not.
//! - [`session`]: joining, resuming, inputs, commands, acknowledgements, heartbeats and timeouts, for either
//!   end.
//! - [`gate`]: how many states may be under way. [`reliable`]: what must arrive, once and in order.
//! - [`lane`] and [`framing`]: on QUIC and WebTransport, which way a message takes, and where it ends in a
//!   stream.
//! - [`limits`] and [`code`]: what a peer may do, and what it is told when it did more.
//! - [`names`]: what rooms and players may be called, and what players may say.
//! - [`wire`]: the messages, generated from `schema/driftless/v1/*.proto`. Any protobuf library can read
//!   them.
//!
//! # What the sessions guarantee
//!
//! - A client never applies a state older than one it has applied. Only the newest state ever waits to
//!   be sent.
//! - At most K = ceil(min_rtt / tick) + 1 states are in flight, however much the buffers in between would
//!   hold.
//! - Reliable messages and commands arrive exactly once and in order, also across a resume.
//! - What waits to be sent to a peer is bounded, and so is what a peer's message can make this end allocate.
//! - Bad input is an error that names it, and on the server's side a [`code::CloseCode`]. Nothing panics.
//!
//! # Two ends in memory
//!
//! What a shell does, without the sockets: it hands messages over, answers the join, and encodes the state
//! that the session chose against the baseline that the session knows.
//!
//! ```
//! use bytes::{BufMut, Bytes, BytesMut};
//! use driftless_proto::delta::{Encoder, References};
//! use driftless_proto::session::client::{ClientConfig, ClientSession};
//! use driftless_proto::session::server::{Request, ServerSession, StateTick};
//! use driftless_proto::session::Delivery;
//! use driftless_proto::{limits::Limits, schema::Schema, snapshot::Snapshot, wire};
//! use std::sync::Arc;
//! use std::time::Instant;
//!
//! #[derive(Clone)]
//! struct Published(Arc<Snapshot>);
//!
//! impl StateTick for Published {
//!     fn tick(&self) -> u32 {
//!         self.0.tick()
//!     }
//! }
//!
//! let now = Instant::now();
//! let schema = Schema::new().kind("player", |kind| kind.linear("position", &["x", "y"], 100));
//! let mut server = ServerSession::<Published>::new(now, Limits::default(), Delivery::Ordered);
//! let join = wire::Join { room: "lobby".into(), ..wire::Join::default() };
//! let mut client = ClientSession::join(now, ClientConfig::default(), join);
//! let mut out = BytesMut::new();
//!
//! // The client asks for a seat and gets one.
//! assert!(client.poll_transmit(now, &mut out));
//! server.handle_message(now, out.split().freeze())?;
//! assert!(matches!(server.poll_request(), Some(Request::Join(_))));
//! let schema_on_the_wire = Some(schema.to_wire());
//! let welcome =
//!     wire::Welcome { player: 1, tick_rate: 20, schema: schema_on_the_wire, ..wire::Welcome::default() };
//! server.welcome(now, welcome);
//! assert!(server.poll_control(0, &mut out));
//! client.handle_message(now, out.split().freeze())?;
//!
//! // The room ticks. The session says against which states the delta is written.
//! let mut world = Snapshot::new(&schema);
//! world.clear(1);
//! world.table_mut(0).push(1, &[250, -75]);
//! server.offer_state(Published(Arc::new(world)));
//! let (mut shared, coding) = (BytesMut::new(), server.coding());
//! let sent = server.poll_state(now, |send| {
//!     let references = References {
//!         baseline: send.baseline.map(|state| &*state.0),
//!         prior: send.prior.map(|state| &*state.0),
//!     };
//!     Encoder::default().encode(&schema, references, &send.current.0, coding, None, &mut shared);
//!     send.head(0).write(shared.len(), &mut out);
//!     send.current.0.clone()
//! });
//! out.put(shared);
//! client.handle_message(now, out.split().freeze())?;
//! assert_eq!(client.snapshot(), sent.as_deref());
//!
//! // The player acts; the acknowledgement rides on the input.
//! client.send_input(Bytes::from_static(b"jump"))?;
//! while client.poll_transmit(now, &mut out) {
//!     server.handle_message(now, out.split().freeze())?;
//! }
//! assert!(matches!(server.poll_request(), Some(Request::Input(input)) if &input.payload[..] == b"jump"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod code;
pub mod delta;
pub mod framing;
pub mod gate;
pub mod lane;
pub mod limits;
pub mod merge;
pub mod moment;
pub mod names;
mod nanos;
pub mod reliable;
pub mod schema;
pub mod session;
pub mod snapshot;
pub mod state;
mod texts;
pub mod view;

/// The messages, generated from `schema/driftless/v1`.
#[allow(missing_docs, clippy::all)]
pub mod wire {
    include!(concat!(env!("OUT_DIR"), "/driftless.v1.rs"));
}
