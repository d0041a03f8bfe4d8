//! The arena: a top-down shooter on a square of 100 m, the default room.
//!
//! Players run (acceleration, friction), slide along walls and boxes, aim, and shoot. A projectile that meets a player
//! takes health; a player without health is dead, and enters again at another place after a while. Players pass
//! through each other, so that a client can predict its own player from the map alone: see [`OwnPlayer`].
//!
//! A room can have rounds ([`ArenaOptions::round_s`]): when one is over nobody shoots, and who has most kills has won; after a pause
//! all enter anew, without scores.
//!
//! Everything is integers: places are 1/1024 cm, roots are `i64::isqrt`. The numbers are in [`rules`]. A tick of any
//! length is cut into moves of at most 1/20 s, so the game plays alike from 1 to 128 ticks a second.
//!
//! Snapshot, in quanta of 1 cm: `player` (position, aim, status), `projectile` (position, owner), `obstacle` (box).
//! Speeds are not in it: the delta codec predicts from two earlier states. A player's position may jump only when its
//! `spawns` column changes; a dead player has health 0. Tables of the schema: [`PLAYERS`], [`PROJECTILES`],
//! [`OBSTACLES`].

mod body;
mod bot;
mod map;
mod options;
mod own;
mod player;
mod projectile;
mod rounds;
pub mod rules;
mod targets;
mod wire {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/driftless.arena.v1.rs"));
}

pub use body::{Body, Drive};
pub use bot::BotMemory;
pub use map::{Map, Obstacle};
pub use options::ArenaOptions;
pub use own::OwnPlayer;
pub use player::sector;
pub use wire::{ArenaCommand, ArenaEvent, ArenaInput, arena_command, arena_event};

use crate::{PlayerId, PlayerInput, Rng, Schema, Setup, Simulation, Snapshot, Step, chat::Chat};
use arena_command::Body as Command;
use arena_event::{Body as Event, Kill, Typing};
use player::Player;
use projectile::Projectile;
use rounds::Rounds;
use serde::{Deserialize, Serialize};
use targets::Targets;

/// Index of the schema's kind `player`: columns x, y, aim (sector), health, score, spawns.
pub const PLAYERS: usize = 0;
/// Index of the schema's kind `projectile`: columns x, y, owner.
pub const PROJECTILES: usize = 1;
/// Index of the schema's kind `obstacle`: columns x, y, width, height.
pub const OBSTACLES: usize = 2;

/// Places that are tried for a player that enters.
const PLACES: u32 = 32;
/// Distance to the living that a player enters with, if a place is found, cm.
const ELBOW_ROOM: i32 = 300;

/// A room of the arena.
#[derive(Debug, Serialize, Deserialize)]
pub struct Arena {
    tick_rate: u32,
    options: ArenaOptions,
    rng: Rng,
    map: Map,
    /// By id, ascending.
    players: Vec<Player>,
    /// By id, ascending.
    projectiles: Vec<Projectile>,
    next_projectile: u32,
    rounds: Option<Box<Rounds>>,
    chat: Chat,
    #[serde(skip)]
    targets: Targets,
}

impl Simulation for Arena {
    const KIND: &'static str = "arena";
    type Input = ArenaInput;
    type Command = ArenaCommand;
    type Event = ArenaEvent;
    type Options = ArenaOptions;
    /// Who sends nothing in time goes on as before, so that late inputs have nothing to make up for: they are taken together. Of
    /// each tick's inputs the last movement counts, and one move is made.
    const INPUTS_PER_TICK: u32 = 4;

    fn schema() -> Schema {
        Schema::new()
            .kind("player", |kind| {
                kind.linear("position", &["x", "y"], 100).hold("aim", &["sector"], 1).hold(
                    "status",
                    &["health", "score", "spawns"],
                    1,
                )
            })
            .kind("projectile", |kind| {
                kind.linear("position", &["x", "y"], 100).hold("owner", &["player"], 1)
            })
            .kind("obstacle", |kind| kind.hold("box", &["x", "y", "width", "height"], 100))
    }

    fn new(setup: &Setup<ArenaOptions>) -> Result<Self, String> {
        let options = setup.options.clone().checked()?;
        let tick_rate = setup.tick_rate.clamp(1, 128);
        let mut rng = Rng::new(setup.seed);
        let map = Map::generate(&mut rng);
        Ok(Self {
            tick_rate,
            rounds: (options.round_s > 0).then(|| Box::new(Rounds::new(options.round_s, tick_rate))),
            options,
            rng,
            map,
            players: Vec::new(),
            projectiles: Vec::new(),
            next_projectile: 1,
            chat: Chat::new(tick_rate),
            targets: Targets::default(),
        })
    }

    fn join(&mut self, player: PlayerId, _name: &str, step: &mut Step<'_, ArenaEvent>) {
        if let Err(at) = self.find(player) {
            let body = self.free_place();
            if self.players.len() == self.players.capacity() {
                self.players.reserve_exact(at / 2 + 1); // most rooms are small
            }
            self.players.insert(at, Player::new(player, body));
            self.chat.join(player);
            if let Some(rounds) = &self.rounds {
                step.send(player, event(Event::Round(rounds.told())));
            }
        }
    }

    fn leave(&mut self, player: PlayerId, step: &mut Step<'_, ArenaEvent>) {
        if let Ok(at) = self.find(player) {
            self.players.remove(at);
            if self.chat.leave(player) {
                step.broadcast(typing(player, false));
            }
        }
    }

    fn command(
        &mut self,
        player: PlayerId,
        command: ArenaCommand,
        step: &mut Step<'_, ArenaEvent>,
    ) -> Result<(), String> {
        match command.body {
            Some(Command::Chat(text)) => {
                let said = self.chat.say(player, &text).map_err(|refused| refused.to_string())?;
                if said.ended_typing {
                    step.broadcast(typing(player, false));
                }
                step.broadcast(event(Event::Chat(arena_event::Chat { player, text: said.text })));
            }
            Some(Command::Typing(on)) => {
                if self.chat.typing(player, on) {
                    step.broadcast(typing(player, on));
                }
            }
            None => return Err("a command without content".into()),
        }
        Ok(())
    }

    fn step(&mut self, inputs: &[PlayerInput<ArenaInput>], step: &mut Step<'_, ArenaEvent>) {
        for PlayerInput { player, input, .. } in inputs {
            if let Ok(at) = self.find(*player) {
                self.players[at].input(input, self.tick_rate);
            }
        }
        if self.rounds.as_ref().is_none_or(|rounds| rounds.is_playing()) {
            self.shoot();
        }
        let moves = rules::moves_per_tick(self.tick_rate);
        for _ in 0..moves {
            self.move_once(self.tick_rate * moves, step);
        }
        self.projectiles.retain_mut(Projectile::end_tick);
        for at in 0..self.players.len() {
            if self.players[at].end_tick() {
                let body = self.free_place();
                self.players[at].respawn(body);
            }
        }
        self.chat.step(|player| step.broadcast(typing(player, false)));
        if let Some(rounds) = &mut self.rounds
            && rounds.step(&self.players)
        {
            let told = rounds.told();
            self.change_round(told.playing);
            step.info("round", &told.number.to_string());
            step.broadcast(event(Event::Round(told)));
        }
    }

    fn snapshot(&self, out: &mut Snapshot) {
        let players = out.table_mut(PLAYERS);
        self.players.iter().for_each(|player| players.push(player.id, &player.columns()));
        let projectiles = out.table_mut(PROJECTILES);
        self.projectiles.iter().for_each(|projectile| projectiles.push(projectile.id, &projectile.columns()));
        let obstacles = out.table_mut(OBSTACLES);
        for (id, b) in (1..).zip(self.map.obstacles()) {
            obstacles.push(id, &[b.x, b.y, b.width, b.height]);
        }
    }
}

impl Arena {
    fn find(&self, player: PlayerId) -> Result<usize, usize> {
        self.players.binary_search_by_key(&player, |p| p.id)
    }

    fn shoot(&mut self) {
        for player in &mut self.players {
            if player.shoots(self.tick_rate) {
                self.projectiles.push(Projectile::new(self.next_projectile, player, self.tick_rate));
                self.next_projectile = self.next_projectile.wrapping_add(1);
            }
        }
    }

    /// A round has ended, or the next begun.
    fn change_round(&mut self, begins: bool) {
        self.projectiles.clear();
        if begins {
            for at in 0..self.players.len() {
                let body = self.free_place();
                self.players[at].restart(body);
            }
        }
    }

    /// Moves everything for `1/rate` seconds.
    fn move_once(&mut self, rate: u32, step: &mut Step<'_, ArenaEvent>) {
        for player in self.players.iter_mut().filter(|p| p.is_alive()) {
            player.body.advance_once(&self.map, player.drive, i64::from(rate));
        }
        if self.projectiles.is_empty() {
            return;
        }
        self.targets.gather(&self.players);
        let mut projectiles = std::mem::take(&mut self.projectiles);
        projectiles.retain_mut(|projectile| {
            let Some(flight) = projectile.flight(&self.map, rate as i32) else { return false };
            projectile.arrive(flight);
            match self.targets.first_hit(&self.players, flight, projectile.owner) {
                Some(victim) => {
                    self.hit(victim, projectile.owner, step);
                    false
                }
                None => true,
            }
        });
        self.projectiles = projectiles;
    }

    fn hit(&mut self, victim: usize, owner: PlayerId, step: &mut Step<'_, ArenaEvent>) {
        let victim = &mut self.players[victim];
        if victim.hit(self.options.respawn_ms(), self.tick_rate) {
            step.broadcast(event(Event::Kill(Kill { killer: owner, victim: victim.id })));
            if let Ok(at) = self.find(owner) {
                self.players[at].score = self.players[at].score.saturating_add(1);
            }
        }
    }

    /// A place that touches no box and, if one is soon found, is not near a living player.
    fn free_place(&mut self) -> Body {
        let radius = rules::PLAYER_RADIUS;
        let mut place = Body::at(radius, radius);
        for _ in 0..PLACES {
            let (x, y) = (
                self.rng.range(radius..rules::WORLD_SIZE - radius),
                self.rng.range(radius..rules::WORLD_SIZE - radius),
            );
            let body = Body::at(x, y);
            if !self.map.is_free((body.x, body.y), radius * rules::UNITS) {
                continue;
            }
            place = body;
            let crowded = self.players.iter().filter(|p| p.is_alive()).any(|p| {
                let (px, py) = p.body.place();
                (px - x).abs() < ELBOW_ROOM && (py - y).abs() < ELBOW_ROOM
            });
            if !crowded {
                break;
            }
        }
        place
    }
}

fn event(body: Event) -> ArenaEvent {
    ArenaEvent { body: Some(body) }
}

fn typing(player: PlayerId, on: bool) -> ArenaEvent {
    event(Event::Typing(Typing { player, on }))
}
