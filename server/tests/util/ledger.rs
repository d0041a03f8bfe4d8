//! A game whose players can tell whether anything is lost or comes twice, and players who do.

use super::PATIENCE;
use driftless_client::{Backoff, Client, Event, Options, TransportKind};
use driftless_sim::{PlayerId, PlayerInput, Schema, Setup, Simulation, Snapshot, Step};
use prost::Message as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Says what its players have done: the last input of each, how many commands it sent, and how many inputs
/// before the last one never came. Everybody is told of every command, with a number of its own.
#[derive(Default, Serialize, Deserialize)]
pub struct Ledger {
    pub players: BTreeMap<PlayerId, (u32, u32, u32)>,
    told: u32,
    bomb: Bomb,
}

/// Ends the process that reads it, once for each, if there is the file that the environment names or one with
/// the extension `next`.
#[derive(Default, Serialize)]
struct Bomb;

/// The variable.
pub const BOMB: &str = "LEDGER_BOMB";

impl<'de> Deserialize<'de> for Bomb {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        let file = std::env::var_os(BOMB).map(PathBuf::from);
        let mut files = file.into_iter().flat_map(|file| [file.with_extension("next"), file]);
        if files.any(|file| std::fs::remove_file(file).is_ok()) {
            std::process::exit(9);
        }
        Ok(Self)
    }
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Act {
    #[prost(uint32, tag = "1")]
    pub number: u32,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Said {
    /// 1 for the room's first.
    #[prost(uint32, tag = "1")]
    number: u32,
    #[prost(uint32, tag = "2")]
    player: u32,
    /// What the command said.
    #[prost(uint32, tag = "3")]
    said: u32,
}

impl Simulation for Ledger {
    const KIND: &'static str = "ledger";
    /// So that none is dropped that has waited for a tick: what is missing was lost.
    const INPUTS_PER_TICK: u32 = 16;
    type Input = Act;
    type Command = Act;
    type Event = Said;
    type Options = ();

    fn schema() -> Schema {
        Schema::new().kind("player", |kind| kind.hold("entry", &["input", "commands", "missed"], 1))
    }
    fn new(_setup: &Setup) -> Result<Self, String> {
        Ok(Self::default())
    }
    fn join(&mut self, player: PlayerId, _name: &str, _step: &mut Step<'_, Said>) {
        self.players.insert(player, (0, 0, 0));
    }
    fn leave(&mut self, player: PlayerId, _step: &mut Step<'_, Said>) {
        self.players.remove(&player);
    }
    fn command(&mut self, player: PlayerId, act: Act, step: &mut Step<'_, Said>) -> Result<(), String> {
        // Refused commands have numbers of reliable messages, too.
        if act.number % 7 == 3 {
            return Err("no".into());
        }
        self.told += 1;
        self.players.entry(player).and_modify(|(_, commands, _)| *commands += 1);
        step.broadcast(Said { number: self.told, player, said: act.number });
        Ok(())
    }
    fn step(&mut self, inputs: &[PlayerInput<Act>], _step: &mut Step<'_, Said>) {
        for PlayerInput { player, input, .. } in inputs {
            self.players.entry(*player).and_modify(|(last, _, missed)| {
                *missed += input.number.saturating_sub(*last + 1);
                *last = input.number;
            });
        }
    }
    fn snapshot(&self, out: &mut Snapshot) {
        for (player, (input, commands, missed)) in &self.players {
            out.table_mut(0).push(*player, &[*input as i32, *commands as i32, *missed as i32]);
        }
    }
}

/// What a player knows of its room.
#[derive(Default)]
pub struct Player {
    /// The newest input that a state has confirmed.
    pub confirmed: u32,
    /// Inputs that its room has never got, although it got later ones.
    pub missed: u32,
    /// The newest tick.
    pub tick: u32,
    /// The number of the last event.
    pub heard: u32,
    /// Its own commands that it heard of, and those that were refused: each once.
    pub said: BTreeSet<u32>,
    pub refused: BTreeSet<u32>,
    pub rolled_back: Vec<(u32, u32)>,
    pub resumed: u32,
    /// From the last state of a connection to the first one of the next.
    pub gaps: Vec<Duration>,
}

/// A player to be.
pub struct Bot {
    pub address: SocketAddr,
    pub room: String,
    pub transport: TransportKind,
    /// What came after a checkpoint may be undone.
    pub may_lose: bool,
    /// The client's own waits, instead of short ones.
    pub patient: bool,
}

impl Bot {
    /// Plays, and checks what it is told, until it is to stop. `back`: when it was in its seat again.
    pub async fn play(self, stop: Arc<AtomicBool>, back: Arc<Mutex<Vec<Instant>>>) -> Player {
        let Self { address, room, transport, may_lose, patient } = self;
        let mut options = Options::new(format!("ws://{address}"), room).kind("ledger");
        options.transports = vec![transport];
        if !patient {
            options.backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(100));
        }
        let mut client = Client::connect(options).await.unwrap();
        let me = client.welcome().unwrap().player;
        let mut player = Player::default();
        let (mut sent, mut commands) = (0, 0);
        let (mut shown, mut away) = (Instant::now(), false);
        // In the end, every command must have been answered, unless it may be lost.
        let answered = |player: &Player| player.said.len() + player.refused.len();
        let mut patience = Instant::now() + PATIENCE;
        loop {
            let stops = stop.load(Relaxed);
            if stops && (may_lose || answered(&player) == commands as usize) {
                break;
            }
            if !stops {
                patience = Instant::now() + PATIENCE;
            }
            assert!(Instant::now() < patience, "of {commands} commands, {} are answered", answered(&player));
            let Ok(event) = tokio::time::timeout(Duration::from_millis(100), client.next()).await else {
                continue;
            };
            match event.unwrap() {
                Event::Welcome(welcome) if welcome.resumed => {
                    assert_eq!(welcome.player, me);
                    assert!(may_lose || welcome.undone.is_empty(), "nothing is undone: {welcome:?}");
                    player.resumed += 1;
                    away = true;
                    back.lock().unwrap().push(Instant::now());
                }
                Event::Welcome(welcome) => {
                    assert_eq!((welcome.player, player.resumed), (me, 0), "the seat is lost")
                }
                Event::RolledBack { after, until } => {
                    assert!(may_lose && after < until && until >= player.tick, "{after} to {until}");
                    player.rolled_back.push((after, until));
                    // It knows: what it takes for granted begins anew.
                    (player.confirmed, player.heard) = (0, 0);
                    (player.said, player.refused) = (1..=commands).partition(|number| number % 7 != 3);
                }
                Event::State { tick, input, .. } => {
                    assert!(tick >= player.tick, "ticks do not go back");
                    player.tick = tick;
                    if std::mem::take(&mut away) {
                        player.gaps.push(shown.elapsed());
                    }
                    shown = Instant::now();
                    let entry = client.snapshot().unwrap().tables()[0].value(me, 0).unwrap() as u32;
                    assert!(
                        entry >= player.confirmed,
                        "input {} was confirmed, and only {entry} is there",
                        player.confirmed
                    );
                    assert_eq!(entry, input, "it has what it confirms");
                    player.missed = client.snapshot().unwrap().tables()[0].value(me, 2).unwrap() as u32;
                    player.confirmed = input;
                    // The numbers of its inputs are those of the wire.
                    if client.send_input(&Act { number: sent + 1 }).is_ok() {
                        sent += 1;
                    }
                    if tick % 3 == 0 && !stops && (commands as usize) < answered(&player) + 8 {
                        let _ = client.command(&Act { number: commands + 1 }).map(|_| commands += 1);
                    }
                }
                Event::Game(event) => {
                    let Said { number, player: by, said } = Said::decode(&event.payload[..]).unwrap();
                    // Promise 3: "Reliable events arrive exactly once, in order, across a resume".
                    assert!(
                        number == player.heard + 1 || player.heard == 0,
                        "{number} of tick {} after {}",
                        event.tick,
                        player.heard
                    );
                    player.heard = number;
                    if by == me {
                        // In the order in which they were sent, each once.
                        let newest = player.said.last().is_none_or(|last| *last < said);
                        assert!(player.said.insert(said) && newest || may_lose, "command {said}");
                    }
                }
                Event::CommandRefused(refused) => {
                    let number = refused.command as u32;
                    assert_eq!(number % 7, 3, "{refused:?}");
                    assert!(player.refused.insert(number) || may_lose, "twice: {refused:?}");
                }
                _ => {}
            }
        }
        player
    }
}

/// One who watches a room.
#[derive(Default)]
pub struct Watcher {
    /// The newest tick.
    pub tick: u32,
    /// The number of the last event, and of how many it was told.
    pub heard: u32,
    pub events: u32,
    /// How often it was let in.
    pub welcomes: usize,
    /// From the last state of a connection to the first one of the next.
    pub gaps: Vec<Duration>,
}

/// Watches a room until it is to stop. No event may be missed or come twice.
pub async fn watch(
    address: SocketAddr,
    room: String,
    transport: TransportKind,
    stop: Arc<AtomicBool>,
) -> Watcher {
    let mut options = Options::new(format!("ws://{address}"), room).spectate();
    options.transports = vec![transport];
    options.backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(100));
    let mut client = Client::connect(options).await.unwrap();
    let (mut watcher, mut shown, mut away) = (Watcher::default(), Instant::now(), false);
    let mut may_miss = false;
    while !stop.load(Relaxed) {
        let Ok(event) = tokio::time::timeout(Duration::from_millis(100), client.next()).await else {
            continue;
        };
        match event.unwrap() {
            Event::Welcome(_) => {
                away = watcher.welcomes > 0;
                // The room waits for it, but no longer than 150 ms.
                may_miss = away;
                watcher.welcomes += 1;
            }
            Event::State { tick, .. } => {
                assert!(tick >= watcher.tick, "ticks do not go back");
                watcher.tick = tick;
                if std::mem::take(&mut away) {
                    watcher.gaps.push(shown.elapsed());
                }
                shown = Instant::now();
            }
            Event::Game(event) => {
                let Said { number, .. } = Said::decode(&event.payload[..]).unwrap();
                let next = watcher.heard + 1;
                let missed = std::mem::take(&mut may_miss) && number > next;
                assert!(
                    watcher.heard == 0 || number == next || missed,
                    "{number} of tick {} is not {next}",
                    event.tick
                );
                watcher.heard = number;
                watcher.events += 1;
            }
            _ => {}
        }
    }
    watcher
}
