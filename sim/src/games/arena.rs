//! The arena: a top-down shooter on a square of 100 m, or [more](ArenaOptions::side_m); the default room.
//!
//! Players run (with acceleration and friction), slide along walls and boxes, aim, and shoot. A projectile
//! that hits a player takes health; a player without health is dead, and respawns elsewhere after a while.
//! Players pass through each other, so that a client can predict its own player from the map alone: see
//! [`OwnPlayer`].
//!
//! A room can have rounds ([`ArenaOptions::round_s`]): when a round is over, nobody can shoot, and the player
//! with the most kills has won; after a pause everybody respawns with a score of 0. It can also have
//! [bots](ArenaOptions::bots) while few people are there. If the room's maker chose neither, a player's
//! command starts a match, which has both; the page sends it.
//!
//! In a world larger than 100 m players see what is near them, and in a room with
//! [teams](ArenaOptions::teams) no enemies but those in sight of their team.
//!
//! Everything is an integer: positions are in units of 1/1024 cm, and roots are `i64::isqrt`. The numbers are
//! in [`rules`]. A tick of any length is cut into moves of at most 1/20 s, so the game plays alike from 1 to
//! 128 ticks per second.
//!
//! The snapshot, in quanta of 1 cm: `player` (position, aim, status), `projectile` (position, owner),
//! `obstacle` (box; in a world larger than 100 m, number 0 is the world itself). Speeds are not in it,
//! because the delta codec predicts from two earlier states. A player's position may jump only when its
//! `spawns` column changes; a dead player has health 0. The tables of the schema are [`PLAYERS`],
//! [`PROJECTILES`] and [`OBSTACLES`].

mod body;
mod bot;
mod bots;
mod cells;
mod map;
mod npc;
mod options;
mod own;
mod player;
mod projectile;
mod rewind;
mod rounds;
pub mod rules;
mod sight;
mod spawn;
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
pub use sight::SIGHT;
pub use wire::{ArenaCommand, ArenaEvent, ArenaInput, arena_command, arena_event};

use crate::{
    Moment, PlayerId, PlayerInput, Rng, Schema, SecretRng, Setup, Simulation, Snapshot, Step, View,
    chat::Chat,
};
use arena_command::Body as Command;
use arena_event::{Body as Event, Kill, Typing};
use bots::{Bots, Change};
use npc::World;
use player::Player;
use projectile::Projectile;
use rewind::Fired;
use rounds::Rounds;
use serde::{Deserialize, Serialize};
use sight::{Fog, Zones};
use std::cmp::Reverse;
use targets::Targets;

/// Index of the schema's kind `player`: columns x, y, aim (sector), health, score, spawns, colour.
pub const PLAYERS: usize = 0;
/// Index of the schema's kind `projectile`: columns x, y, owner.
pub const PROJECTILES: usize = 1;
/// Index of the schema's kind `obstacle`: columns x, y, width, height.
pub const OBSTACLES: usize = 2;

/// So many ids are drawn from: more than there are projectiles, and few enough for three bytes.
const SECRET_IDS: u32 = 1 << 21;

/// A room of the arena.
#[derive(Debug, Serialize, Deserialize)]
pub struct Arena {
    tick_rate: u32,
    options: ArenaOptions,
    rng: Rng,
    map: Map,
    /// By id, ascending.
    players: Vec<Player>,
    /// In the order in which they were fired.
    projectiles: Vec<Projectile>,
    next_projectile: u32,
    /// With teams, for the ids of projectiles: those of a counter would tell how many are hidden.
    secret: Option<Box<SecretRng>>,
    rounds: Option<Box<Rounds>>,
    bots: Option<Box<Bots>>,
    chat: Chat,
    #[serde(skip)]
    targets: Targets,
    #[serde(skip)]
    fog: Fog,
}

impl Simulation for Arena {
    const KIND: &'static str = "arena";
    type Input = ArenaInput;
    type Command = ArenaCommand;
    type Event = ArenaEvent;
    type Options = ArenaOptions;
    const PROTO: &'static str = include_str!("../../schema/driftless/arena/v1/arena.proto");
    /// A player whose input is late continues its last movement, so late inputs have nothing to catch up on
    /// and are taken together: of each tick's inputs the last movement counts, and one move is made.
    const INPUTS_PER_TICK: u32 = 4;
    const REWIND_MS: u32 = *options::REWIND_MS.end();

    fn schema() -> Schema {
        Schema::new()
            .kind("player", |kind| {
                kind.linear("position", &["x", "y"], 100)
                    .hold("aim", &["sector"], 1)
                    .hold("status", &["health", "score", "spawns"], 1)
                    .hold("look", &["colour"], 1)
                    .life("spawns")
            })
            .kind("projectile", |kind| {
                kind.linear("position", &["x", "y"], 100).hold("owner", &["player"], 1)
            })
            .kind("obstacle", |kind| kind.hold("box", &["x", "y", "width", "height"], 100))
    }

    fn new(setup: &Setup<ArenaOptions>) -> Result<Self, String> {
        let options = setup.options.clone().checked()?;
        let tick_rate = setup.tick_rate.clamp(1, 128);
        let mut secret = options.teams.then(|| Box::new(SecretRng::new(setup.seed)));
        let mut rng = secret.as_mut().map_or_else(|| Rng::new(setup.seed), |secret| secret.rng());
        let map = Map::generate(&mut rng, options.side());
        Ok(Self {
            tick_rate,
            rounds: rounds(&options, tick_rate),
            bots: bots(&options, tick_rate),
            options,
            rng,
            map,
            players: Vec::new(),
            projectiles: Vec::new(),
            next_projectile: 1,
            secret,
            chat: Chat::new(tick_rate),
            targets: Targets::default(),
            fog: Fog::default(),
        })
    }

    fn rewind_ms(&self) -> u32 {
        self.options.rewind_ms
    }

    fn join(&mut self, player: PlayerId, _name: &str, step: &mut Step<'_, ArenaEvent>) {
        if self.enter(player, false)
            && let Some(rounds) = &self.rounds
        {
            step.send(player, event(Event::Round(rounds.told())));
        }
    }

    fn join_npc(&mut self, player: PlayerId, _name: &str, _step: &mut Step<'_, ArenaEvent>) {
        if let Some(bots) = &mut self.bots {
            bots.join(player);
            self.enter(player, true);
        }
    }

    fn leave(&mut self, player: PlayerId, step: &mut Step<'_, ArenaEvent>) {
        if let Ok(at) = self.find(player) {
            self.players.remove(at);
            if let Some(bots) = &mut self.bots {
                bots.leave(player);
            }
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
            Some(Command::Colour(_)) if self.options.teams => {
                return Err("players have the colours of their teams".into());
            }
            Some(Command::Colour(colour)) => {
                let at = self.find(player).map_err(|_| "the player is not in the room")?;
                self.players[at].choose_colour(colour, self.tick_rate)?;
            }
            Some(Command::Match(wanted)) if self.options.is_open() => {
                self.options.start_match(wanted.round_s, wanted.bots)?;
                self.rounds = rounds(&self.options, self.tick_rate);
                self.bots = bots(&self.options, self.tick_rate);
                self.change_round(true);
                self.tell_round(step);
            }
            Some(Command::Match(_)) => {}
            Some(Command::Again(again)) => {
                if let Ok(at) = self.find(player) {
                    self.players[at].again = again;
                }
            }
            None => return Err("a command without contents".into()),
        }
        Ok(())
    }

    fn step(&mut self, inputs: &[PlayerInput<ArenaInput>], step: &mut Step<'_, ArenaEvent>) {
        for PlayerInput { player, input, .. } in inputs {
            if let Ok(at) = self.find(*player) {
                self.players[at].input(input, self.tick_rate);
            }
        }
        self.step_bots(step);
        if self.rounds.as_ref().is_none_or(|rounds| rounds.is_playing()) {
            self.shoot(inputs, step);
        }
        let moves = rules::moves_per_tick(self.tick_rate);
        for _ in 0..moves {
            self.move_once(self.tick_rate * moves, step);
        }
        self.projectiles.retain_mut(Projectile::end_tick);
        self.end_tick();
        self.chat.step(|player| step.broadcast(typing(player, false)));
        self.step_round(step);
        if self.options.teams {
            self.fog.lift(&self.map, &mut self.players, &mut self.projectiles);
        }
    }

    fn snapshot(&self, out: &mut Snapshot) {
        let zones = self.zones();
        for player in &self.players {
            let zone = zones.of(player.body.place(), player.team, player.is_spotted);
            out.zone(zone).table_mut(PLAYERS).push(player.id, &player.columns());
        }
        for shot in &self.projectiles {
            let zone = zones.of(shot.place(), shot.team, shot.is_spotted);
            out.zone(zone).table_mut(PROJECTILES).push(shot.id, &shot.columns());
        }
        self.map.show(out, |b| zones.of_obstacle(b));
    }

    fn view(&self, player: PlayerId, view: &mut View<'_>) {
        if let Ok(at) = self.find(player) {
            self.zones().see(&self.players[at], view);
        }
    }

    fn spectate(&self, view: &mut View<'_>) {
        let leader = self.players.iter().max_by_key(|player| (player.score, Reverse(player.id)));
        let centre = self.map.side() / 2;
        self.zones().show(leader.map_or((centre, centre), |player| player.body.place()), view);
    }

    fn past(&self, out: &mut Snapshot) {
        let players = out.table_mut(PLAYERS);
        self.players.iter().for_each(|player| players.push(player.id, &player.columns()));
    }
}

impl Arena {
    fn find(&self, player: PlayerId) -> Result<usize, usize> {
        self.players.binary_search_by_key(&player, |p| p.id)
    }

    /// A player or bot enters. Returns false if it is already here.
    fn enter(&mut self, player: PlayerId, npc: bool) -> bool {
        let Err(at) = self.find(player) else { return false };
        self.gather_targets();
        let team = self.next_team();
        let body = self.free_place(npc, team);
        if self.players.len() == self.players.capacity() {
            self.players.reserve_exact(at / 2 + 1); // most rooms are small
        }
        self.players.insert(at, Player { npc, team, ..Player::new(player, body) });
        if !npc {
            self.chat.join(player);
        }
        true
    }

    fn step_bots(&mut self, step: &mut Step<'_, ArenaEvent>) {
        let Some(bots) = &mut self.bots else { return };
        match bots.step(&self.players) {
            Some(Change::Seat(name)) => step.seat_npc(&name),
            Some(Change::Remove(bot)) => step.kick(bot, "somebody joined"),
            None => {}
        }
        for bot in bots.iter_mut() {
            let (players, projectiles) = (&self.players, &self.projectiles);
            let world = World { map: &self.map, players, projectiles, tick_rate: self.tick_rate };
            if let Some(input) = bot.think(world, &mut self.rng)
                && let Ok(at) = self.players.binary_search_by_key(&bot.id, |player| player.id)
            {
                self.players[at].input(&input, self.tick_rate);
            }
        }
    }

    fn step_round(&mut self, step: &mut Step<'_, ArenaEvent>) {
        let Some(rounds) = &mut self.rounds else { return };
        let mut people = self.players.iter().filter(|player| !player.npc).peekable();
        if people.peek().is_some() && people.all(|player| player.again) {
            rounds.hurry();
        }
        if rounds.step(&self.players) {
            let playing = rounds.is_playing();
            self.change_round(playing);
            self.tell_round(step);
        }
    }

    fn tell_round(&mut self, step: &mut Step<'_, ArenaEvent>) {
        let Some(rounds) = &self.rounds else { return };
        let told = rounds.told();
        step.info("round", &told.number.to_string());
        step.broadcast(event(Event::Round(told)));
    }

    fn shoot(&mut self, inputs: &[PlayerInput<ArenaInput>], step: &mut Step<'_, ArenaEvent>) {
        let flying = self.projectiles.len();
        for at in 0..self.players.len() {
            if let Some(aim) = self.players[at].shoots(self.tick_rate) {
                let id = self.projectile_id();
                self.projectiles.push(Projectile::new(id, &self.players[at], aim, self.tick_rate));
            }
        }
        if self.projectiles.len() > flying {
            self.gather_targets();
            let mut projectiles = std::mem::take(&mut self.projectiles);
            let mut at = 0;
            projectiles.retain_mut(|shot| {
                at += 1;
                at <= flying || self.catch_up(shot, inputs, step)
            });
            self.projectiles = projectiles;
        }
    }

    /// The id of the next projectile.
    fn projectile_id(&mut self) -> u32 {
        let Self { projectiles, secret, next_projectile, .. } = self;
        let Some(secret) = secret else {
            let id = *next_projectile;
            *next_projectile = id.wrapping_add(1);
            return id;
        };
        loop {
            let id = 1 + secret.below(SECRET_IDS);
            if !projectiles.iter().any(|projectile| projectile.id == id) {
                return id;
            }
        }
    }

    /// Flies a shot from what its shooter was shown to the newest state. Whether it flies on.
    fn catch_up(
        &mut self,
        shot: &mut Projectile,
        inputs: &[PlayerInput<ArenaInput>],
        step: &mut Step<'_, ArenaEvent>,
    ) -> bool {
        let Some(past) = step.past(view_of_shot(inputs, shot.owner)) else { return true };
        let then = |moment| step.past(Some(moment));
        match rewind::catch_up(shot, past, then, (&self.players, &self.targets), &self.map, self.tick_rate) {
            Fired::Flies => true,
            Fired::Ends => false,
            Fired::Hits(victim) => {
                self.hit(victim, shot, step);
                false
            }
        }
    }

    /// A round has ended, or the next one begins.
    fn change_round(&mut self, begins: bool) {
        self.projectiles.clear();
        self.gather_targets();
        for at in 0..self.players.len() {
            self.players[at].again = false;
            if begins {
                let Player { npc, team, .. } = self.players[at];
                let body = self.free_place(npc, team);
                self.players[at].restart(body);
                self.targets.add(at as u32, body);
            }
        }
    }

    /// Moves everything for `1/rate` seconds.
    fn move_once(&mut self, rate: u32, step: &mut Step<'_, ArenaEvent>) {
        if !self.projectiles.is_empty() {
            self.gather_targets();
        }
        // In a match nobody is faster than those who run.
        let fastest = if self.rounds.is_some() { rules::RUN_SPEED } else { rules::MAX_SPEED };
        for player in self.players.iter_mut().filter(|p| p.is_alive()) {
            player.body.advance_once(&self.map, player.drive, fastest, i64::from(rate));
        }
        let mut projectiles = std::mem::take(&mut self.projectiles);
        projectiles.retain_mut(|projectile| {
            let flight = projectile.flight(&self.map, rate as i32);
            projectile.arrive(flight);
            match self.targets.first_hit(&self.players, flight, projectile) {
                Some(victim) => {
                    self.hit(victim, projectile, step);
                    false
                }
                None => !flight.ends(),
            }
        });
        self.projectiles = projectiles;
    }

    fn hit(&mut self, victim: usize, by: &Projectile, step: &mut Step<'_, ArenaEvent>) {
        let Projectile { owner, rewound_ms, .. } = *by;
        let respawn_ms = self.options.respawn_ms();
        if self.players[victim].hit(respawn_ms, self.tick_rate) {
            let kill = Kill { killer: owner, victim: self.players[victim].id, respawn_ms, rewound_ms };
            self.tell_kill(victim, kill, step);
            if let Ok(at) = self.find(owner) {
                self.players[at].score = self.players[at].score.saturating_add(1);
            }
        }
    }

    /// Tells all of a kill; in a large world the two, and those alive near it.
    fn tell_kill(&self, victim: usize, kill: Kill, step: &mut Step<'_, ArenaEvent>) {
        if !self.options.is_large() {
            return step.broadcast(event(Event::Kill(kill)));
        }
        let Body { x, y, .. } = self.players[victim].body;
        let reach = SIGHT * rules::UNITS;
        let near = self.targets.near(&self.players, (x, y), reach).filter(|(_, player)| {
            let is_near = player.body.x.abs_diff(x).max(player.body.y.abs_diff(y)) <= reach.unsigned_abs();
            is_near && player.is_alive() && player.id != kill.killer
        });
        let told = [kill.victim, kill.killer].into_iter().chain(near.map(|(_, player)| player.id));
        told.for_each(|player| step.send(player, event(Event::Kill(kill))));
    }

    /// Respawns those whose time it is.
    fn end_tick(&mut self) {
        let mut is_gathered = false;
        for at in 0..self.players.len() {
            if self.players[at].end_tick() {
                if !is_gathered {
                    self.gather_targets();
                    is_gathered = true;
                }
                let Player { npc, team, .. } = self.players[at];
                let body = self.free_place(npc, team);
                self.players[at].respawn(body);
                self.targets.add(at as u32, body);
            }
        }
    }

    /// The smaller team; 0 in a room without teams.
    fn next_team(&self) -> u8 {
        let of = |team: u8| self.players.iter().filter(|player| player.team == team).count();
        u8::from(self.options.teams) * (1 + u8::from(of(2) < of(1)))
    }

    fn zones(&self) -> Zones {
        Zones::new(self.map.side(), self.options.teams)
    }

    fn gather_targets(&mut self) {
        self.targets.gather(&self.players, self.map.side() * rules::UNITS);
    }

    /// A place to spawn at; `targets` must be the living players.
    fn free_place(&mut self, npc: bool, team: u8) -> Body {
        spawn::place(&self.map, &self.players, &self.targets, (npc, team), &mut self.rng)
    }
}

fn rounds(options: &ArenaOptions, tick_rate: u32) -> Option<Box<Rounds>> {
    let seconds = options.round_s.filter(|&seconds| seconds > 0)?;
    Some(Box::new(Rounds::new(seconds, tick_rate)))
}

fn bots(options: &ArenaOptions, tick_rate: u32) -> Option<Box<Bots>> {
    let most = options.bots.filter(|&bots| bots > 0)?;
    Some(Box::new(Bots::new(most, tick_rate)))
}

/// What a player was shown when it fired. None: it says nothing, or is a bot.
fn view_of_shot(inputs: &[PlayerInput<ArenaInput>], player: PlayerId) -> Option<Moment> {
    let first = inputs.partition_point(|input| input.player < player);
    let own = inputs[first..].iter().take_while(|input| input.player == player);
    own.filter(|input| input.input.buttons & rules::BUTTON_FIRE != 0).find_map(|input| input.moment)
}

fn event(body: Event) -> ArenaEvent {
    ArenaEvent { body: Some(body) }
}

fn typing(player: PlayerId, on: bool) -> ArenaEvent {
    event(Event::Typing(Typing { player, on }))
}
