//! A game with a leaderboard in a database: who presses the button most often before the time is over?
//!
//! `cargo run -p driftless-server --example leaderboard` keeps the scores in `leaderboard.sqlite` of the
//! current folder. A room never waits for them: at the end of a round it asks for the scores to be saved
//! ([`SaveScores`]), goes on ticking, and tells its players the board when the answer comes. The answers
//! are recorded with the room, so that a replay needs no database.

use driftless_server::{
    Server,
    jobs::{Done, Jobs},
    prost,
    serde::{Deserialize, Serialize},
};
use driftless_sim::{
    Answer, GameKind, Job, PlayerId, PlayerInput, Schema, Setup, Simulation, Snapshot, Step,
};
use rusqlite::{Connection, params};
use std::{
    collections::BTreeMap,
    mem::take,
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

/// To be done by the server, away from the room: save the scores of a round.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SaveScores {
    #[prost(message, repeated, tag = "1")]
    pub scores: Vec<Score>,
}

/// What comes back, and is told to the players: the best of all rounds. Empty if the scores could not be
/// saved.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Board {
    #[prost(message, repeated, tag = "1")]
    pub best: Vec<Score>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Score {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(uint32, tag = "2")]
    pub score: u32,
}

impl Job for SaveScores {
    const NAME: &'static str = "save_scores";
    type Answer = Board;
}

/// In each tick: whether the button is down.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Button {
    #[prost(bool, tag = "1")]
    pub down: bool,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(crate = "driftless_server::serde", default, deny_unknown_fields)]
pub struct Options {
    /// How long a round is, 1 to 600 seconds.
    pub seconds: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { seconds: 10 }
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "driftless_server::serde")]
pub struct Presses {
    players: BTreeMap<PlayerId, Player>,
    ticks_a_round: u32,
    ticks_left: u32,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "driftless_server::serde")]
struct Player {
    name: String,
    score: u32,
    down: bool,
}

impl Simulation for Presses {
    const KIND: &'static str = "presses";
    type Input = Button;
    type Command = ();
    type Event = Board;
    type Options = Options;

    fn schema() -> Schema {
        Schema::new()
            .kind("player", |kind| kind.hold("score", &["presses"], 1))
            .kind("round", |kind| kind.hold("time", &["ticks_left"], 1))
    }
    fn new(setup: &Setup<Options>) -> Result<Self, String> {
        let seconds = setup.options.seconds;
        if !(1..=600).contains(&seconds) {
            return Err(format!("seconds is {seconds}, but must be 1 to 600"));
        }
        let ticks_a_round = seconds * setup.tick_rate;
        Ok(Self { ticks_a_round, ticks_left: ticks_a_round, ..Self::default() })
    }
    fn join(&mut self, player: PlayerId, name: &str, _step: &mut Step<'_, Board>) {
        self.players.insert(player, Player { name: name.to_owned(), ..Player::default() });
    }
    fn leave(&mut self, player: PlayerId, _step: &mut Step<'_, Board>) {
        self.players.remove(&player);
    }
    fn answer(&mut self, answer: &Answer, step: &mut Step<'_, Board>) {
        match answer.of::<SaveScores>() {
            Some(Ok(board)) => step.broadcast(board),
            Some(Err(error)) => {
                step.log(&format!("the scores are not saved: {error}"));
                step.broadcast(Board::default());
            }
            None => {} // of another job: there is none
        }
    }
    fn step(&mut self, inputs: &[PlayerInput<Button>], step: &mut Step<'_, Board>) {
        for PlayerInput { player, input, .. } in inputs {
            if let Some(player) = self.players.get_mut(player) {
                player.score += u32::from(input.down && !player.down);
                player.down = input.down;
            }
        }
        self.ticks_left = self.ticks_left.saturating_sub(1);
        if self.ticks_left == 0 {
            self.ticks_left = self.ticks_a_round;
            // One job for all: only some may be asked for in a tick.
            let score =
                |player: &mut Player| Score { name: player.name.clone(), score: take(&mut player.score) };
            step.ask(&SaveScores { scores: self.players.values_mut().map(score).collect() });
        }
    }
    fn snapshot(&self, out: &mut Snapshot) {
        for (&id, player) in &self.players {
            out.table_mut(0).push(id, &[player.score as i32]);
        }
        out.table_mut(1).push(1, &[self.ticks_left as i32]);
    }
}

/// The scores, in SQLite: one connection, which is enough for a file on this machine.
#[derive(Clone)]
pub struct Scores(Arc<Mutex<Connection>>);

impl Scores {
    pub fn open(file: &Path) -> rusqlite::Result<Self> {
        let database = Connection::open(file)?;
        database.execute_batch(
            "CREATE TABLE IF NOT EXISTS scores (name TEXT NOT NULL, score INTEGER NOT NULL);
             CREATE INDEX IF NOT EXISTS by_score ON scores (score DESC);",
        )?;
        Ok(Self(Arc::new(Mutex::new(database))))
    }

    fn save(&self, scores: &[Score]) -> Done<SaveScores> {
        // A panic within a transaction has rolled it back.
        let mut database = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let saving = database.transaction()?;
        for Score { name, score } in scores {
            saving.execute("INSERT INTO scores (name, score) VALUES (?1, ?2)", params![name, score])?;
        }
        let best = saving
            .prepare("SELECT name, score FROM scores ORDER BY score DESC, rowid LIMIT 10")?
            .query_map([], |row| Ok(Score { name: row.get(0)?, score: row.get(1)? }))?
            .collect::<rusqlite::Result<_>>()?;
        saving.commit()?;
        Ok(Board { best })
    }
}

/// The game's server: the game, and what does its jobs.
pub fn server(scores: Scores) -> Server {
    // SQLite blocks its thread. A handler that waits for a service of the network would be given to `on`.
    let jobs = Jobs::new().on_blocking(move |job: SaveScores, _| scores.save(&job.scores));
    Server::new(&[GameKind::of::<Presses>()]).jobs(jobs)
}

#[allow(dead_code)] // the test has its own
fn main() -> ExitCode {
    match Scores::open(Path::new("leaderboard.sqlite")) {
        Ok(scores) => server(scores).main(),
        Err(error) => {
            eprintln!("leaderboard.sqlite cannot be opened: {error}");
            ExitCode::FAILURE
        }
    }
}
