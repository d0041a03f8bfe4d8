//! Default limits of a connection. They are defined only here.

use std::time::Duration;

/// Protocol version. [`SUBPROTOCOL`] and [`ALPN`] name it too.
pub const PROTOCOL: u32 = 1;
/// The subprotocol of WebSocket and WebTransport.
pub const SUBPROTOCOL: &str = "driftless.v1";
/// The ALPN of native QUIC.
pub const ALPN: &str = "driftless/1";
/// Longest room name, characters. ([`names::is_room_name`](crate::names::is_room_name) says which
/// characters.)
pub const MAX_ROOM_NAME: usize = 64;
/// Longest text of a room's options, bytes.
pub const MAX_OPTIONS: usize = 1024;
/// Longest token that says who a client is, bytes.
pub const MAX_IDENTITY_TOKEN: usize = 4096;
/// Most players of a room.
pub const MAX_PLAYERS: u32 = 10_000;
/// Most spectators of a room.
pub const MAX_SPECTATORS: u32 = 100_000;
/// Longest display name, characters.
pub const MAX_NAME: usize = 32;
/// Longest text or bytes in a field of an entity, bytes.
pub const MAX_TEXT: usize = 256;
/// Most different texts of a snapshot, in each of its zones.
pub const MAX_TEXTS: usize = 1 << 16;
/// Longest payload of a command, bytes.
pub const MAX_COMMAND: usize = 4096;
/// Longest payload of an input, bytes. (With repeated inputs, a message stays below the default of
/// [`Limits::message_bytes`].)
pub const MAX_INPUT: usize = 1024;
/// Most repeated inputs in one message.
pub const MAX_PREVIOUS_INPUTS: usize = 8;
/// Most zones, besides zone 0, that a player sees at a time.
pub const MAX_ZONES_IN_VIEW: usize = 1024;
/// Most topics that a client reads over its connection.
pub const MAX_TOPICS: usize = 16;
/// Most users whom a client watches over its connection, or asks for at once.
pub const MAX_WATCHED_USERS: usize = 100;
/// Longest text that a client publishes over its connection, bytes.
pub const MAX_PUBLISH: usize = 4096;
/// Longest event of a topic, bytes.
pub const MAX_TOPIC_EVENT: usize = 16 << 10;
/// A message counts once against [`Limits::messages_per_second`], and once more for each of these many bytes.
pub const BYTES_A_MESSAGE: usize = 4096;
/// After a stall of the server, connections are read for this long before any client counts as silent.
pub const READ_FIRST: Duration = Duration::from_secs(1);

/// What a server allows a connection.
///
/// Rates are credits that grow with time, up to everything that may come in one timeout, because after a
/// blackout it all arrives at once. What exceeds the credit is dropped. Only a client that sends more than
/// four times the rate for longer than a timeout is disconnected.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Longest message from a client, bytes.
    pub message_bytes: usize,
    /// Inputs per second, on average.
    pub inputs_per_second: u32,
    /// Messages of any kind per second, on average. A message counts once more for each 4 KiB.
    pub messages_per_second: u32,
    /// Time allowed from the connection to the join or resume. Where packets are lost, a QUIC handshake waits
    /// for three times 200 ms, then twice as long, and so on: with 5 s, 4 of 1,500 clients that lost 5 % did
    /// not get in; with 10 s there is time for one more repetition.
    pub handshake: Duration,
    /// How long a client may be silent.
    pub timeout: Duration,
    /// Time between the server's pings.
    pub heartbeat: Duration,
    /// Reliable messages that may wait for a client's acknowledgement. Above it, or above `reliable_bytes`,
    /// the client has to acknowledge some within a timeout.
    pub reliable_messages: usize,
    /// Bytes of those messages, each counted with [`MESSAGE_OVERHEAD`](crate::reliable::MESSAGE_OVERHEAD)
    /// added. At most [`HARD_BOUND`](crate::reliable::HARD_BOUND) times as many are ever kept.
    pub reliable_bytes: usize,
    /// Bytes of states per second that a client is sent, in rooms with zones: what does not fit waits, the
    /// least important first. 0: no limit.
    pub state_bytes_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 16 * 1024,
            inputs_per_second: 150,
            messages_per_second: 300,
            handshake: Duration::from_secs(10),
            timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(4),
            reliable_messages: 512,
            reliable_bytes: 256 * 1024,
            state_bytes_per_second: 0,
        }
    }
}
