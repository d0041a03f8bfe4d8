//! An arena room as a client sees it: inputs as messages, states as snapshots, events as messages.

use driftless_sim::{
    Game, InView, Moment, Order, PlayerId, PlayerInput, Recipient, Setup, Snapshot,
    game::CommandError,
    games::arena::{
        ArenaCommand, ArenaEvent, ArenaInput, Body, Drive, Map, PLAYERS, PROJECTILES, arena_command,
        arena_event,
    },
};
use prost::Message;
use std::collections::BTreeMap;

pub struct Room {
    game: Box<dyn Game>,
    pub tick_rate: u32,
    pub tick: u32,
    pub seen: Snapshot,
    /// What each player saw in the last tick in which it was asked for.
    views: BTreeMap<PlayerId, Vec<InView>>,
    /// Number of the last NPC. Players of tests have smaller ones.
    npc: PlayerId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub x: i32,
    pub y: i32,
    pub aim: i32,
    pub health: i32,
    pub score: i32,
    pub spawns: i32,
    pub colour: i32,
}

impl Room {
    pub fn new(seed: u64, tick_rate: u32) -> Self {
        Self::with_options(seed, tick_rate, "")
    }

    pub fn with_options(seed: u64, tick_rate: u32, options: &str) -> Self {
        let kind = &driftless_sim::games::kinds()[0];
        let setup = Setup { options: options.into(), ..Setup::new(seed, tick_rate) };
        let (game, schema) = (kind.start(&setup).unwrap(), kind.schema());
        let mut room = Self {
            game,
            tick_rate,
            tick: 0,
            seen: Snapshot::new(&schema),
            views: BTreeMap::new(),
            npc: 10_000,
        };
        room.step(&[]);
        room
    }

    pub fn join(&mut self, player: PlayerId) {
        self.game.join(self.tick + 1, player, "somebody");
        self.game.snapshot(self.tick, &mut self.seen);
    }

    pub fn leave(&mut self, player: PlayerId) {
        self.game.leave(self.tick + 1, player);
        self.game.snapshot(self.tick, &mut self.seen);
    }

    pub fn step(&mut self, inputs: &[(PlayerId, ArenaInput)]) {
        let unseen: Vec<_> = inputs.iter().map(|(player, input)| (*player, None, *input)).collect();
        self.step_seen(&unseen);
    }

    /// A tick with inputs, and what their players were shown.
    pub fn step_seen(&mut self, inputs: &[(PlayerId, Option<Moment>, ArenaInput)]) {
        self.tick += 1;
        for (player, moment, input) in inputs {
            let input = input.encode_to_vec();
            self.game
                .input(PlayerInput { moment: *moment, ..PlayerInput::new(*player, &input[..]) })
                .unwrap();
        }
        self.game.step(self.tick);
        self.game.snapshot(self.tick, &mut self.seen);
        self.obey();
    }

    /// Does what the game asks of its room.
    fn obey(&mut self) {
        let mut orders = vec![];
        self.game.take_orders(&mut orders);
        for order in orders {
            match order {
                Order::SeatNpc { name } => {
                    self.npc += 1;
                    self.game.join_npc(self.tick + 1, self.npc, &name);
                }
                Order::Kick { player, .. } => self.game.leave(self.tick + 1, player),
                _ => {}
            }
        }
    }

    /// What a player's client has, if all that it may see arrives: the union of its zones.
    pub fn shown_to(&mut self, player: PlayerId) -> Snapshot {
        let had = self.views.remove(&player).unwrap_or_default();
        let mut view = vec![];
        self.game.view(player, &had, &mut view);
        let zones = view.iter().map(|seen| seen.zone);
        let shown = super::union(&self.seen, [0].into_iter().chain(zones));
        self.views.insert(player, view);
        shown
    }

    /// What spectators see.
    pub fn shown_to_spectators(&self) -> Snapshot {
        let mut view = vec![];
        self.game.spectate(&[], &mut view);
        super::union(&self.seen, [0].into_iter().chain(view.iter().map(|seen| seen.zone)))
    }

    /// All zones.
    pub fn all(&self) -> Snapshot {
        super::union(&self.seen, [0].into_iter().chain(self.seen.zones().map(|(zone, _)| zone)))
    }

    /// How many bots there are.
    pub fn bots(&self) -> usize {
        self.seen.tables()[PLAYERS].ids().iter().filter(|&&id| id > 10_000).count()
    }

    /// The first of them.
    pub fn find_bot(&self) -> Option<Seen> {
        let ids = self.seen.tables()[PLAYERS].ids();
        self.find(*ids.iter().find(|&&id| id > 10_000)?)
    }

    pub fn idle(&mut self, ticks: u32) {
        (0..ticks).for_each(|_| self.step(&[]));
    }

    pub fn command(&mut self, player: PlayerId, body: arena_command::Body) -> Result<(), CommandError> {
        let payload = ArenaCommand { body: Some(body) }.encode_to_vec();
        self.game.command(self.tick + 1, player, &payload)
    }

    /// What has been told of rounds; other events are dropped.
    pub fn rounds(&mut self) -> Vec<arena_event::Round> {
        let told = self.events().into_iter();
        told.filter_map(|event| match event {
            arena_event::Body::Round(round) => Some(round),
            _ => None,
        })
        .collect()
    }

    pub fn events(&mut self) -> Vec<arena_event::Body> {
        let events = self.events_to().into_iter().map(|(recipient, body)| {
            // A player who joins is told separately what the others already know.
            assert!(recipient == Recipient::All || matches!(body, arena_event::Body::Round(_)));
            body
        });
        events.collect()
    }

    pub fn events_to(&mut self) -> Vec<(Recipient, arena_event::Body)> {
        let mut events = vec![];
        self.game.take_events(&mut events);
        let decode =
            |(to, payload): (_, bytes::Bytes)| (to, ArenaEvent::decode(payload).unwrap().body.unwrap());
        events.into_iter().map(decode).collect()
    }

    pub fn find(&self, player: PlayerId) -> Option<Seen> {
        let contents = self.seen.zones().map(|(_, content)| content).chain([&self.seen]);
        let (table, row) = contents
            .map(|content| &content.tables()[PLAYERS])
            .find_map(|table| Some((table, table.row(player)?)))?;
        let at = |column: usize| table.column(column)[row];
        let [x, y, aim, health, score, spawns, colour] = std::array::from_fn(at);
        Some(Seen { x, y, aim, health, score, spawns, colour })
    }

    pub fn player(&self, player: PlayerId) -> Seen {
        self.find(player).unwrap()
    }

    /// Position and owner by id.
    pub fn projectiles(&self) -> BTreeMap<u32, (i32, i32, i32)> {
        let table = &self.seen.tables()[PROJECTILES];
        let at = |column: usize, row: usize| table.column(column)[row];
        let rows = table.ids().iter().enumerate();
        rows.map(|(row, &id)| (id, (at(0, row), at(1, row), at(2, row)))).collect()
    }

    /// Moves players to places near a wall, where no box is in the way.
    pub fn walk(&mut self, to: &[(PlayerId, i32, i32)]) {
        assert!(self.get(to), "players did not get to {to:?}");
    }

    /// Moves players to places. False: a box is in the way.
    pub fn get(&mut self, to: &[(PlayerId, i32, i32)]) -> bool {
        let inputs: Vec<_> = to.iter().map(|&(player, x, y)| (player, goto(x, y))).collect();
        for _ in 0..self.tick_rate * 60 {
            self.step(&inputs);
            if to.iter().all(|&(player, x, y)| (self.player(player).x, self.player(player).y) == (x, y)) {
                return true;
            }
        }
        false
    }
}

/// Where an input takes a body in one tick.
pub fn predict(map: &Map, mut body: Body, input: &ArenaInput, tick_rate: u32) -> Body {
    body.advance(map, Drive::of(input), tick_rate);
    body
}

pub fn stick(x: i32, y: i32) -> ArenaInput {
    ArenaInput { move_x: x, move_y: y, ..Default::default() }
}

pub fn goto(x: i32, y: i32) -> ArenaInput {
    ArenaInput { goto_x: Some(x), goto_y: Some(y), ..Default::default() }
}

pub fn fire(aim_x: i32, aim_y: i32) -> ArenaInput {
    ArenaInput { aim_x, aim_y, buttons: 1, ..Default::default() }
}
