//! The same game over each transport, side by side on links that are equally bad.
//!
//! Each transport has its own room full of players and its own relay that follows the scenario; the n-th
//! player of each gets the same random numbers. One more player in each room, the observer, has a perfect
//! link: what it sees is the [`truth`], and its clock stands in for the server's in all measurements.
//!
//! - [`player`] plays, draws what it would show sixty times a second, and measures.
//! - [`links`] runs the relays, on their own thread so that busy players do not slow a link down.
//! - [`figures`] is what comes out, as JSON and as a table ([`table`](mod@table)).
//!
//! Without a scenario there is no relay: the link is what it is (for example between two namespaces), and
//! what the observer sees is not taken for the truth.

mod figures;
mod links;
mod measured;
mod player;
mod table;
mod truth;
mod window;

pub use figures::{AfterBlackOutFigures, CompareFigures, TransportFigures};
pub use links::Links;
pub use table::compare as table;

use crate::scenario::Scenario;
use bytes::{Bytes, BytesMut};
use driftless_client::{
    ClientCore, Connection, Options,
    transport::{TransportKind, Trust},
};
use measured::Measured;
use player::Seat;
use std::{
    cell::RefCell,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use truth::Truth;
use window::Window;

/// How long a player may take to join.
const JOIN_PATIENCE: Duration = Duration::from_secs(20);
/// How long the last states of the measured time may take to arrive.
const LAST_STATES: Duration = Duration::from_millis(500);

type Failure = Box<dyn std::error::Error>;

/// What is compared, where, and for how long.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// Where the server accepts WebSockets.
    pub server: SocketAddr,
    /// The path that clients request there.
    pub path: String,
    /// The UDP port where it accepts QUIC.
    pub quic_port: u16,
    /// Which certificates it is trusted with over QUIC. Given their hashes, no player asks the server for its
    /// QUIC port, which would bypass the relay.
    pub trust: Trust,
    /// What the links are like. None: no relays.
    pub scenario: Option<Scenario>,
    /// What to compare.
    pub transports: Vec<TransportKind>,
    /// Players per transport, all in one room.
    pub clients: u32,
    /// So many more play in each room, on perfect links, and what each of them gets of itself is the truth,
    /// instead of what one observer gets: for rooms in which nobody sees all. 0: the observer.
    pub crowd: u32,
    /// Ticks per second of the rooms, and inputs per second of each player.
    pub tick_rate: u32,
    /// Kind of game.
    pub kind: String,
    /// How long to measure. None: the scenario's phases plus 10 s, or 20 s if it has no end.
    pub duration: Option<Duration>,
    /// Time over which the players connect, before measuring begins.
    pub ramp: Duration,
    /// How long all play under the conditions of the first phase before measuring, and the scenario, begin.
    pub warm_up: Duration,
}

/// What a comparison needs from its caller.
pub trait Rig {
    /// Creates a room of the game with this many seats.
    ///
    /// # Errors
    /// The server refuses or cannot be reached.
    fn make_room(&self, name: &str, seats: u32) -> Result<(), Failure>;
    /// The player of the n-th seat, the same in every room.
    fn player(&self, index: usize) -> Box<dyn Player>;
    /// How many states the server has replaced with newer ones before sending them. None: it does not say.
    fn stale_dropped(&self) -> Option<u64>;
    /// Whether the user has asked to stop.
    fn is_stopped(&self) -> bool;
}

/// Decides what a connection sends.
pub trait Player {
    /// The player has a seat.
    ///
    /// # Errors
    /// The server plays a different game from the one this player knows; the player leaves.
    fn welcomed(&mut self, _client: &ClientCore) -> Result<(), String> {
        Ok(())
    }
    /// The next input, encoded. `client` has what the player has been told; `memory` is scratch space for the
    /// bytes.
    fn act(&mut self, client: &ClientCore, memory: &mut BytesMut) -> Bytes;
}

/// One transport's room.
struct Room {
    kind: TransportKind,
    players: Vec<JoinHandle<Measured>>,
    /// Those who are not measured.
    crowd: Vec<JoinHandle<Measured>>,
    observer: Option<JoinHandle<()>>,
}

impl Comparison {
    /// Plays, and measures.
    ///
    /// # Errors
    /// There is nothing to play on: no room, no socket for a relay, or no observer.
    pub fn play(&self, rig: &dyn Rig) -> Result<CompareFigures, Failure> {
        let links = Links::start(self.scenario.as_ref(), &self.transports, self.server, self.quic_port)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, self.play_on(&links, rig))
    }

    async fn play_on(&self, links: &Links, rig: &dyn Rig) -> Result<CompareFigures, Failure> {
        let window = Rc::new(Window::new(self.scenario.as_ref()));
        let run = fastrand::u32(..);
        let mut rooms = Vec::new();
        for (index, &kind) in self.transports.iter().enumerate() {
            let address = links.address(index).unwrap_or(self.server);
            rooms.push(self.open_room(kind, address, run, &window, rig).await?);
        }
        let stopped = || rig.is_stopped();
        let wanted = (self.clients + self.crowd) as usize * rooms.len();
        let playing = || window.playing.get() + window.gone.get();
        wait(self.ramp + JOIN_PATIENCE, || stopped() || playing() >= wanted).await;
        wait(self.warm_up, stopped).await;

        let connected = window.playing.get();
        let stale_before = rig.stale_dropped();
        let before = links.totals();
        window.begin(Instant::now());
        links.begin();
        wait(self.duration.unwrap_or_else(|| window.whole()), stopped).await;
        window.end(Instant::now());
        let after = links.totals();
        let stale_after = rig.stale_dropped();
        wait(LAST_STATES, stopped).await;
        window.close();

        let seconds = window.seconds();
        let mut figures = CompareFigures::new(self, connected as u64, seconds);
        figures.stale_dropped =
            stale_before.zip(stale_after).map(|(before, after)| after.saturating_sub(before));
        for (index, room) in rooms.into_iter().enumerate() {
            let mut sum = Measured::default();
            for player in room.players {
                sum.add(&player.await?);
            }
            for player in room.crowd {
                sum.errors.extend(player.await?.errors);
            }
            if let Some(observer) = room.observer {
                observer.abort();
            }
            let traffic = before.get(index).zip(after.get(index)).map(|(before, after)| after.since(before));
            figures.add(room.kind, TransportFigures::new(self, sum, traffic, seconds));
        }
        Ok(figures)
    }

    async fn open_room(
        &self,
        kind: TransportKind,
        address: SocketAddr,
        run: u32,
        window: &Rc<Window>,
        rig: &dyn Rig,
    ) -> Result<Room, Failure> {
        let name = format!("compare-{run:08x}-{kind}");
        rig.make_room(&name, self.clients + self.crowd.max(1))?;
        let options = |address: SocketAddr, kind| Options {
            transports: vec![kind],
            trust: self.trust.clone(),
            kind: self.kind.clone(),
            connect_timeout: JOIN_PATIENCE,
            keep_members: false,
            ..Options::new(format!("ws://{address}{}", self.path), name.clone())
        };
        let truth = Rc::new(RefCell::new(Truth::default()));
        let near = options(self.server, TransportKind::WebSocket);
        let observer = match self.crowd {
            0 => Some(spawn_local(truth::observe(Connection::open(&near).await?, truth.clone()))),
            _ => None,
        };
        let start = Instant::now();
        let all = self.clients + self.crowd;
        let players = (0..all).map(|index| {
            let tells = index >= self.clients;
            let seat = Seat {
                options: if tells { near.clone() } else { options(address, kind) },
                player: rig.player(index as usize),
                tick: self.tick(),
                truth: truth.clone(),
                tells,
                window: window.clone(),
            };
            spawn_local(seat.play((start + self.ramp * index / all).into()))
        });
        let mut players: Vec<_> = players.collect();
        let crowd = players.split_off(self.clients as usize);
        Ok(Room { kind, players, crowd, observer })
    }

    fn tick(&self) -> Duration {
        Duration::from_secs(1) / self.tick_rate
    }
}

async fn wait(most: Duration, done: impl Fn() -> bool) {
    let until = Instant::now() + most;
    while Instant::now() < until && !done() {
        let left = until.saturating_duration_since(Instant::now());
        tokio::time::sleep(left.min(Duration::from_millis(20))).await;
    }
}
