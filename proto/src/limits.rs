//! Limits of a connection, with their defaults: the one place that knows them.

use std::time::Duration;

/// Version of the protocol, the WebSocket subprotocol that names it, and the ALPN of native QUIC.
pub const PROTOCOL: u32 = 1;
/// The subprotocol of WebSocket and WebTransport.
pub const SUBPROTOCOL: &str = "driftless.v1";
/// The ALPN of native QUIC.
pub const ALPN: &str = "driftless/1";
/// Longest room name, characters. (Which ones: [`names::is_room_name`](crate::names::is_room_name).)
pub const MAX_ROOM_NAME: usize = 64;
/// Longest text of a room's options, bytes.
pub const MAX_OPTIONS: usize = 1024;
/// Most players of a room.
pub const MAX_PLAYERS: u32 = 10_000;
/// Longest name to show, characters.
pub const MAX_NAME: usize = 32;
/// Longest payload of a command, bytes.
pub const MAX_COMMAND: usize = 4096;
/// Longest payload of an input, bytes. (With the repeated ones a message stays below
/// [`Limits::message_bytes`]'s default.)
pub const MAX_INPUT: usize = 1024;
/// Most repeated inputs in one message.
pub const MAX_PREVIOUS_INPUTS: usize = 8;
/// A message counts once against [`Limits::messages_per_second`], and once more for each of these.
pub const BYTES_A_MESSAGE: usize = 4096;
/// After a stall of the server, so long is read before anybody is taken for silent.
pub const READ_FIRST: Duration = Duration::from_secs(1);

/// What a server allows a connection.
///
/// Rates are credits that grow with time, with room for all that comes in a timeout: after a black-out it comes at once.
/// What is beyond is dropped; only who sends more than four times as much for longer than a timeout is cut off.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Longest message from a client, bytes.
    pub message_bytes: usize,
    /// Inputs a second, over time.
    pub inputs_per_second: u32,
    /// Messages a second of any kind, over time. One counts once more for each 4 KiB.
    pub messages_per_second: u32,
    /// Time from the connection to the join or resume.
    pub handshake: Duration,
    /// How long a client may be silent.
    pub timeout: Duration,
    /// Time between the server's pings.
    pub heartbeat: Duration,
    /// Reliable messages that may wait for a client's acknowledgement. Above it, or above `reliable_bytes`, the client has to
    /// acknowledge some within a timeout.
    pub reliable_messages: usize,
    /// Bytes of them, each counted with [`MESSAGE_OVERHEAD`](crate::reliable::MESSAGE_OVERHEAD) more. No more than
    /// [`HARD_BOUND`](crate::reliable::HARD_BOUND) times as many are ever kept.
    pub reliable_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 16 * 1024,
            inputs_per_second: 150,
            messages_per_second: 300,
            handshake: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(4),
            reliable_messages: 512,
            reliable_bytes: 256 * 1024,
        }
    }
}
