//! A whole game with a database: who presses a button most often in ten seconds, and which place that is of
//! all scores there ever were. Open <http://localhost:7777> after:
//!
//! ```sh
//! LEADERBOARD=scores.sqlite cargo run -p driftless-server --example leaderboard
//! ```
//!
//! A room knows no database. When a round is over it asks its server to save the winner's score, and hears in
//! a later tick which place that is.

use driftless_server::{Pages, Server, jobs::Jobs};
use driftless_sim::{
    Answer, GameKind, Job, JobError, JobId, PlayerId, PlayerInput, Schema, Setup, Simulation, Snapshot, Step,
};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Mutex, PoisonError},
};

fn main() -> ExitCode {
    server(env::var_os("LEADERBOARD").unwrap_or_else(|| "leaderboard.sqlite".into()).into()).main()
}

/// The server, with the scores in this file.
pub fn server(file: PathBuf) -> Server {
    let open = move || {
        let scores = Scores::open(&file).map_err(|error| {
            let file = file.display();
            format!("no scores can be kept in {file} ({error}): set LEADERBOARD to another file")
        })?;
        let save = move |job: SaveScore, _| Ok(Rank { rank: scores.save(&job)? });
        Ok::<_, String>(Jobs::new().on_blocking(save))
    };
    let page = Pages::embedded(&[("index.html", include_bytes!("leaderboard.html"))]);
    Server::new(&[GameKind::of::<Buttons>()]).pages(page).jobs_from(open).on(|event| {
        if let Ok(json) = serde_json::to_string(event) {
            println!("{json}");
        }
    })
}

/// All scores there ever were.
pub struct Scores(Mutex<Connection>);

impl Scores {
    pub fn open(file: &Path) -> rusqlite::Result<Self> {
        let scores = Connection::open(file)?;
        scores.execute_batch(
            "CREATE TABLE IF NOT EXISTS scores (seed INTEGER, round INTEGER, name TEXT, score INTEGER, \
             PRIMARY KEY (seed, round)); CREATE INDEX IF NOT EXISTS best ON scores (score)",
        )?;
        Ok(Self(Mutex::new(scores)))
    }

    /// Saves a score, unless it is there already, and says which place it is.
    pub fn save(&self, SaveScore { seed, round, name, score }: &SaveScore) -> rusqlite::Result<u32> {
        let scores = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let score_of_round = params![seed.cast_signed(), round, name, score];
        scores.execute("INSERT OR IGNORE INTO scores VALUES (?, ?, ?, ?)", score_of_round)?;
        scores.query_row("SELECT count(*) + 1 FROM scores WHERE score > ?", [score], |row| row.get(0))
    }
}

/// The job. The room's seed and the round are the key by which a score is saved once, however often the game
/// asks. A `JobId` would not do: it is another one when a game asks again, and a later room of the same name
/// has the same ones.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
pub struct SaveScore {
    #[prost(fixed64, tag = "1")]
    pub seed: u64,
    #[prost(uint32, tag = "2")]
    pub round: u32,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(uint32, tag = "4")]
    pub score: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Rank {
    #[prost(uint32, tag = "1")]
    pub rank: u32,
}

impl Job for SaveScore {
    const NAME: &'static str = "save_score";
    type Answer = Rank;
}

/// The command. There is nothing to say about it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Press {}

/// The event, and the report.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub struct Won {
    #[prost(uint32, tag = "1")]
    pub round: u32,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(uint32, tag = "3")]
    pub score: u32,
    #[prost(uint32, tag = "4")]
    pub rank: u32,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Seconds, 1 to 600. Default 10.
    pub round_s: Option<u32>,
}

/// The game.
#[derive(Serialize, Deserialize)]
pub struct Buttons {
    seed: u64,
    round: u32,
    round_ticks: u32,
    ticks_left: u32,
    /// Names, and how often they have pressed in this round.
    players: BTreeMap<PlayerId, (String, u32)>,
    /// What is being saved, and which attempt that is.
    saving: BTreeMap<JobId, (SaveScore, u32)>,
}

impl Buttons {
    fn save(&mut self, score: SaveScore, attempt: u32, step: &mut Step<'_, Won>) {
        self.saving.insert(step.ask(&score), (score, attempt));
    }
}

impl Simulation for Buttons {
    const KIND: &'static str = "buttons";
    type Input = ();
    type Command = Press;
    type Event = Won;
    type Options = Options;

    fn schema() -> Schema {
        Schema::new().kind("player", |kind| kind.hold("round", &["presses", "ticks_left"], 1))
    }

    fn new(setup: &Setup<Options>) -> Result<Self, String> {
        let round_s = setup.options.round_s.unwrap_or(10);
        if !(1..=600).contains(&round_s) {
            return Err(format!("round_s is {round_s}, outside 1..=600"));
        }
        let ticks = round_s * setup.tick_rate;
        let (players, saving) = Default::default();
        Ok(Self { seed: setup.seed, round: 1, round_ticks: ticks, ticks_left: ticks, players, saving })
    }

    fn join(&mut self, player: PlayerId, name: &str, _step: &mut Step<'_, Won>) {
        self.players.insert(player, (name.to_owned(), 0));
    }

    fn leave(&mut self, player: PlayerId, _step: &mut Step<'_, Won>) {
        self.players.remove(&player);
    }

    fn command(&mut self, player: PlayerId, _: Press, _step: &mut Step<'_, Won>) -> Result<(), String> {
        self.players.get_mut(&player).ok_or("you do not play")?.1 += 1;
        Ok(())
    }

    fn step(&mut self, _inputs: &[PlayerInput<()>], step: &mut Step<'_, Won>) {
        self.ticks_left -= 1;
        if self.ticks_left > 0 {
            return;
        }
        // Of equals, it is who has been here longest.
        let best = self.players.values().rev().max_by_key(|(_, presses)| *presses);
        if let Some((name, score)) = best.filter(|(_, presses)| *presses > 0).cloned() {
            self.save(SaveScore { seed: self.seed, round: self.round, name, score }, 1, step);
        }
        self.players.values_mut().for_each(|(_, presses)| *presses = 0);
        self.round += 1;
        self.ticks_left = self.round_ticks;
    }

    fn answer(&mut self, answer: &Answer, step: &mut Step<'_, Won>) {
        let Some((score, attempt)) = self.saving.remove(&answer.id) else { return };
        match answer.of::<SaveScore>() {
            Some(Ok(Rank { rank })) => {
                let SaveScore { round, name, score, .. } = score;
                step.info("winner", &format!("{name}, {score} presses, place {rank}"));
                let won = Won { round, name, score, rank };
                step.report(&won);
                step.broadcast(won);
            }
            // Whether it was saved, nobody knows. With its key, it may be asked for again.
            Some(Err(error)) if attempt < 3 && error != JobError::NoHandler => {
                self.save(score, attempt + 1, step);
            }
            Some(Err(error)) => step.log(&format!("the score of round {} is lost: {error}", score.round)),
            None => {}
        }
    }

    fn snapshot(&self, out: &mut Snapshot) {
        for (&player, (_, presses)) in &self.players {
            out.table_mut(0).push(player, &[*presses as i32, self.ticks_left as i32]);
        }
    }
}
