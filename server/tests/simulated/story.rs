//! A story: who does what, and when. It comes from a seed, and can be made shorter.

use super::{network::Conditions, shrink::shortest};
use driftless_server::{Task, ground::durability::Durability};
use fastrand::Rng;
use std::fmt;

/// Mostly the game that shows most.
const PLAYS: [Play; 8] = [
    Play::Tally,
    Play::Tally,
    Play::Tally,
    Play::Tally,
    Play::Tally,
    Play::Cursors,
    Play::Hands,
    Play::Arena,
];
const DURABILITIES: [Durability; 6] = [
    Durability::None,
    Durability::None,
    Durability::Checkpoint,
    Durability::Checkpoint,
    Durability::Journal,
    Durability::Journal,
];
const TASKS: [Task; 3] = [Task::Checkpoints, Task::Segments, Task::Synchronisation];
const LIES: [Lie; 9] = [
    Lie::Garbage,
    Lie::Changed,
    Lie::Acks,
    Lie::Flood,
    Lie::Huge,
    Lie::Twice,
    Lie::Token,
    Lie::Mute,
    Lie::Nonsense,
];

/// One run.
#[derive(Debug, Clone)]
pub struct Story {
    pub seed: u64,
    pub setting: Setting,
    /// In order of time.
    pub acts: Vec<Act>,
}

/// What stays the same in a story.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub tick_rate: u32,
    /// How long the server waits for a client that is silent, milliseconds.
    pub timeout: u32,
    /// How long clients wait for a server that is silent, milliseconds.
    pub client_timeout: u32,
    /// How long a seat is kept, milliseconds.
    pub window: u32,
    /// Reliable messages that may wait for a client, and their bytes.
    pub reliable_messages: usize,
    pub reliable_bytes: usize,
    pub play: Play,
    /// The room is recorded, and replayed at the end.
    pub record: bool,
    /// How much later spectators see the room, milliseconds.
    pub spectate_delay: u32,
    /// Players show who they are.
    pub tokens: bool,
    /// How long that is valid, milliseconds. 0: for ever.
    pub token_lifetime: u32,
    /// What of the room survives. None: there is no store.
    pub durability: Durability,
    /// Time between two of its checkpoints, and two synchronisations of its journal, milliseconds.
    pub checkpoints: u32,
    pub synchronisations: u32,
    /// Pages of a segment of the journal.
    pub segment: usize,
}

/// What is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Play {
    /// The game of this test, which shows what is lost, repeated or leaked.
    Tally,
    Cursors,
    Hands,
    Arena,
}

/// Something happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Act {
    /// Milliseconds since the beginning.
    pub at: u32,
    pub what: What,
}

/// What may happen. Times are milliseconds; players are numbered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum What {
    /// A player comes over this network; `datagrams` by QUIC, else by WebSocket.
    Join { player: usize, datagrams: bool, network: Conditions },
    /// Somebody comes to watch.
    Watch { player: usize, datagrams: bool, network: Conditions },
    /// A player's connection breaks, as only the client learns, and it comes back from another address.
    Move { player: usize, datagrams: bool, network: Conditions },
    /// A player's access is revoked, for good.
    Revoke { player: usize },
    /// A player gives up the seat.
    Leave { player: usize },
    /// A connection breaks.
    Cut { player: usize, notice: Notice },
    /// Nothing gets through.
    Dark { player: usize, lasts: u32 },
    /// The client's process stands still; `asleep`: with its machine, whose clock stops too.
    Freeze { player: usize, lasts: u32, asleep: bool },
    /// The client does not read.
    Deaf { player: usize, lasts: u32 },
    /// The network changes.
    Network { player: usize, network: Conditions },
    /// The player asks for so much at once.
    Hurry { player: usize, commands: u32 },
    /// The server's process stands still.
    ServerFreezes { lasts: u32 },
    /// All connections break.
    Storm { notice: Notice },
    /// An operator removes a player.
    Kick { player: usize },
    /// An operator ends the room, and makes another of the same name.
    CloseRoom,
    /// The server stops as it should, and leaves its rooms to the next, which starts after that time.
    Restart { lasts: u32 },
    /// The server's process dies.
    Kill { lasts: u32 },
    /// Its machine dies, and its clock is so far ahead after that, milliseconds. Negative: behind.
    PowerCut { lasts: u32, ahead: i32 },
    /// The clock of its machine is set so far ahead, milliseconds. Negative: back.
    ClockIsSet { ahead: i32 },
    /// Its disk has no space left.
    DiskIsFull { lasts: u32 },
    /// Its disk fails now and then.
    DiskFails { lasts: u32 },
    /// What its store does takes that long.
    DiskIsSlow { task: Task, lasts: u32 },
    /// A stranger connects and lies.
    Lie { lie: Lie, datagrams: bool },
}

const NOTICES: [Notice; 3] = [Notice::Both, Notice::Client, Notice::Server];

/// Who learns that a connection is broken; the other end waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    Both,
    Client,
    Server,
}

/// What a client may send that is no client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Bytes that mean nothing.
    Garbage,
    /// Its own messages, changed.
    Changed,
    /// Acknowledgements of what was never sent.
    Acks,
    /// Inputs, commands and pings, thousands.
    Flood,
    /// Messages that are too long.
    Huge,
    /// A second join.
    Twice,
    /// Somebody else's seat, by a token that it does not know.
    Token,
    /// Nothing at all.
    Mute,
    /// Inputs and commands that the game cannot read.
    Nonsense,
}

impl Play {
    /// Its name at the server.
    pub fn kind(self) -> &'static str {
        match self {
            Play::Tally => super::game::KIND,
            Play::Cursors => "cursors",
            Play::Hands => "hands",
            Play::Arena => "arena",
        }
    }
}

impl Setting {
    /// Whether a client for which nothing but bursts of messages wait may be a slow consumer.
    pub fn is_tight(&self) -> bool {
        self.reliable_bytes < 32_768
    }
}

impl What {
    /// The player whom it happens to.
    pub fn player(self) -> Option<usize> {
        match self {
            What::Join { player, .. }
            | What::Watch { player, .. }
            | What::Move { player, .. }
            | What::Revoke { player }
            | What::Leave { player }
            | What::Cut { player, .. }
            | What::Dark { player, .. }
            | What::Freeze { player, .. }
            | What::Deaf { player, .. }
            | What::Network { player, .. }
            | What::Hurry { player, .. }
            | What::Kick { player } => Some(player),
            What::ServerFreezes { .. }
            | What::Storm { .. }
            | What::CloseRoom
            | What::Restart { .. }
            | What::Kill { .. }
            | What::PowerCut { .. }
            | What::ClockIsSet { .. }
            | What::DiskIsFull { .. }
            | What::DiskFails { .. }
            | What::DiskIsSlow { .. }
            | What::Lie { .. } => None,
        }
    }

    /// How long it lasts, milliseconds.
    pub fn lasts(self) -> u32 {
        match self {
            What::Dark { lasts, .. }
            | What::Freeze { lasts, .. }
            | What::Deaf { lasts, .. }
            | What::ServerFreezes { lasts }
            | What::Restart { lasts }
            | What::PowerCut { lasts, .. }
            | What::DiskIsFull { lasts }
            | What::DiskFails { lasts }
            | What::DiskIsSlow { lasts, .. }
            | What::Kill { lasts } => lasts,
            _ => 0,
        }
    }
}

impl Story {
    /// The story of a seed.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let (tick_rate, timeout) =
            (pick(&mut rng, &[10, 20, 20, 20, 30, 60]), pick(&mut rng, &[2_000, 3_000, 5_000]));
        let setting = Setting {
            tick_rate,
            timeout,
            // Those who wait longer are still there when a server goes on that stood still.
            client_timeout: timeout * [1, 1, 3][seed as usize % 3],
            window: pick(&mut rng, &[2_000, 4_000, 8_000]),
            reliable_messages: pick(&mut rng, &[16, 64, 512]),
            reliable_bytes: pick(&mut rng, &[4_096, 262_144, 262_144]),
            play: pick(&mut rng, &PLAYS),
            record: rng.u32(..8) == 0,
            spectate_delay: pick(&mut rng, &[0, 500, 2_000]),
            tokens: rng.u32(..3) == 0,
            token_lifetime: pick(&mut rng, &[0, 6_000, 12_000]),
            durability: pick(&mut rng, &DURABILITIES),
            checkpoints: pick(&mut rng, &[500, 1_500, 5_000]),
            synchronisations: pick(&mut rng, &[0, 100, 1_000]),
            segment: pick(&mut rng, &[4, 16, 64]),
        };
        let players = rng.usize(2..6);
        let mut acts: Vec<_> = (0..players)
            .map(|player| Act {
                at: rng.u32(..2_000),
                what: What::Join { player, datagrams: rng.bool(), network: network(&mut rng) },
            })
            .collect();
        let length = rng.u32(4_000..14_000);
        for _ in 0..rng.usize(1..14) {
            let to_store = setting.durability != Durability::None && rng.u32(..3) == 0;
            let what =
                if to_store { happens_to_store(&mut rng) } else { happens(&mut rng, players, &setting) };
            acts.push(Act { at: rng.u32(1_000..length), what });
        }
        acts.sort_by_key(|act| act.at);
        Self { seed, setting, acts }
    }

    /// When all is over that happens, milliseconds.
    pub fn ends(&self) -> u32 {
        self.acts.iter().map(|act| act.at + act.what.lasts()).max().unwrap_or(0)
    }

    /// A shorter story of which `fails` is still true.
    pub fn minimised(&self, fails: impl Fn(&Story) -> bool) -> Self {
        let story = |acts: &[Act]| Self { acts: acts.to_vec(), ..*self };
        story(&shortest(&self.acts, |acts| fails(&story(acts))))
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} {:?}", self.seed, self.setting)?;
        self.acts.iter().try_for_each(|act| writeln!(f, "  {:>6} ms  {:?}", act.at, act.what))
    }
}

fn happens(rng: &mut Rng, players: usize, setting: &Setting) -> What {
    let player = rng.usize(..players);
    // Short of the timeout, about as long, or much longer.
    let lasts = setting.timeout * pick(rng, &[20, 50, 90, 110, 200, 400]) / 100;
    match rng.u32(..100) {
        0..12 => What::Cut { player, notice: pick(rng, &NOTICES) },
        12..22 => What::Dark { player, lasts },
        22..33 => What::Freeze { player, lasts, asleep: rng.bool() },
        33..40 => What::Deaf { player, lasts },
        40..46 => What::Network { player, network: network(rng) },
        46..55 => What::Hurry { player, commands: rng.u32(1..64) },
        55..60 => What::Leave { player },
        60..62 => What::Revoke { player },
        62..68 => What::ServerFreezes { lasts },
        68..72 => What::Storm { notice: pick(rng, &NOTICES) },
        72..75 => What::Kick { player },
        75..77 => What::CloseRoom,
        77..81 => What::Restart { lasts: rng.u32(100..3_000) },
        81..83 => What::Kill { lasts: rng.u32(100..3_000) },
        83..94 => What::Lie { lie: pick(rng, &LIES), datagrams: rng.bool() },
        94..96 => {
            What::Watch { player: players + rng.usize(..2), datagrams: rng.bool(), network: network(rng) }
        }
        96..98 => What::Move { player, datagrams: rng.bool(), network: network(rng) },
        _ => What::Join { player, datagrams: rng.bool(), network: network(rng) },
    }
}

/// To a server with a store.
fn happens_to_store(rng: &mut Rng) -> What {
    let (soon, long) = (rng.u32(100..3_000), rng.u32(200..6_000));
    let ahead = pick(rng, &[0, 0, 250, 5_000, 3_600_000, -250, -5_000, -3_600_000]);
    match rng.u32(..12) {
        0..4 => What::Kill { lasts: soon },
        4..7 => What::PowerCut { lasts: soon, ahead },
        7 => What::ClockIsSet { ahead },
        8 => What::DiskIsFull { lasts: long },
        9 => What::DiskFails { lasts: long },
        _ => What::DiskIsSlow { task: pick(rng, &TASKS), lasts: long },
    }
}

fn network(rng: &mut Rng) -> Conditions {
    let bad = rng.u32(..3) == 0;
    Conditions {
        delay: pick(rng, &[1, 5, 20, 60, 150]),
        jitter: pick(rng, &[0, 3, 15, 60]),
        loss: if bad { rng.u32(1..30) } else { 0 },
        twice: if bad { rng.u32(..10) } else { 0 },
    }
}

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())]
}
