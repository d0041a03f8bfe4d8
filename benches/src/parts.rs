//! What a tick of a game costs, part by part.

use crate::room::{SETS, UnknownGame, input};
use bytes::Bytes;
use driftless_proto::{
    delta::{Encoder, References},
    schema::{Kind, Predictor},
    wire::ColumnCoding,
};
use driftless_sim::{
    Game, InView, Moment, Order, PlayerId, PlayerInput, Recipient, Schema, Setup, Snapshot, ZoneId,
    games::{self},
};
use std::time::{Duration, Instant};

/// The parts of a tick, in their order.
pub const PARTS: [&str; 4] = ["step", "snapshot", "views", "encodes"];

/// A game without a room or clients, in which everybody keeps moving, and some shoot.
pub struct Parts {
    game: Box<dyn Game>,
    tick_rate: u32,
    tick: u32,
    /// The newest state, its baseline, and the prior.
    states: [Snapshot; 3],
    schema: Schema,
    encoder: Encoder,
    /// Bytes of each zone's newest delta; the first is zone 0's.
    deltas: Vec<(ZoneId, usize)>,
    out: Vec<u8>,
    /// What each player saw the tick before, and sees.
    views: Vec<[Vec<InView>; 2]>,
    /// For each set, each player's input, encoded.
    inputs: Vec<Vec<Bytes>>,
    events: Vec<(Recipient, Bytes)>,
    orders: Vec<Order>,
}

impl Parts {
    /// A game of `players`, of whom `firing` of a hundred shoot.
    ///
    /// # Errors
    /// The kind is not one of those that the benchmarks know, or refuses the options.
    pub fn new(
        kind: &str,
        options: &str,
        tick_rate: u32,
        players: u32,
        firing: u32,
    ) -> Result<Self, UnknownGame> {
        let unknown = || UnknownGame(kind.to_owned());
        let game_kind = games::kinds().into_iter().find(|k| k.name() == kind).ok_or_else(unknown)?;
        let setup = Setup { max_players: players, options: options.to_owned(), ..Setup::new(1, tick_rate) };
        let mut game = game_kind.start(&setup).map_err(|_| unknown())?;
        (1..=players).for_each(|player| game.join(1, player, ""));
        let of_set =
            |set| (1..=players).map(|player| input(kind, set, player, player % 100 < firing)).collect();
        Ok(Self {
            game,
            tick_rate,
            tick: 0,
            states: std::array::from_fn(|_| Snapshot::new(&game_kind.schema())),
            schema: (*game_kind.schema()).clone(),
            encoder: Encoder::default(),
            deltas: Vec::new(),
            out: Vec::new(),
            views: (0..players).map(|_| Default::default()).collect(),
            inputs: (0..SETS).map(of_set).collect::<Option<_>>().ok_or_else(unknown)?,
            events: Vec::new(),
            orders: Vec::new(),
        })
    }

    /// Runs the next tick. How long each of [`PARTS`] took.
    ///
    /// # Panics
    /// If the game refuses its inputs.
    #[allow(clippy::expect_used)]
    pub fn tick(&mut self) -> [Duration; PARTS.len()] {
        let start = Instant::now();
        self.tick += 1;
        let set = (self.tick / self.tick_rate % SETS) as usize;
        let moment = Some(Moment::at(self.tick - 1));
        for (player, input) in (1..).zip(&self.inputs[set]) {
            self.game
                .input(PlayerInput { moment, ..PlayerInput::new(player, &input[..]) })
                .expect("an input");
        }
        self.game.step(self.tick);
        self.game.take_events(&mut self.events);
        self.game.take_orders(&mut self.orders);
        self.events.clear();
        self.orders.clear();
        let stepped = Instant::now();
        self.states.rotate_right(1);
        self.game.snapshot(self.tick, &mut self.states[0]);
        let written = Instant::now();
        for (player, [had, sees]) in (1..).zip(&mut self.views) {
            std::mem::swap(had, sees);
            self.game.view(player, had, sees);
        }
        let seen = Instant::now();
        self.encode();
        [stepped - start, written - stepped, seen - written, seen.elapsed()]
    }

    /// Encodes each zone once, as for players who all keep up.
    fn encode(&mut self) {
        let Self { states: [state, baseline, prior], schema, encoder, deltas, out, .. } = self;
        deltas.clear();
        for (zone, content) in std::iter::once((0, &*state)).chain(state.zones()) {
            out.clear();
            let references = References { baseline: baseline.content(zone), prior: prior.content(zone) };
            encoder.encode(schema, references, content, ColumnCoding::Dense, None, out);
            deltas.push((zone, out.len()));
        }
    }

    /// Bytes of a state message of a player who keeps up, about: without what comes into view.
    pub fn message_bytes(&self, player: PlayerId) -> usize {
        const HEAD: usize = 12;
        const ZONE_HEAD: usize = 4;
        let of = |zone: ZoneId| {
            let at = self.deltas.binary_search_by_key(&zone, |(of, _)| *of).ok();
            at.map_or(0, |at| self.deltas[at].1 + ZONE_HEAD)
        };
        HEAD + of(0) + self.view(player).iter().map(|seen| of(seen.zone)).sum::<usize>()
    }

    /// Entities of a content that can move: of kinds with a linear group.
    pub fn moving(&self, content: &Snapshot) -> usize {
        let moves = |kind: &Kind| kind.groups().iter().any(|group| group.predictor() == Predictor::Linear);
        let kinds = self.schema.kinds().iter().zip(content.tables());
        kinds.filter(|(kind, _)| moves(kind)).map(|(_, table)| table.len()).sum()
    }

    /// The newest state.
    pub fn state(&self) -> &Snapshot {
        &self.states[0]
    }

    /// The zones that a player sees, besides zone 0.
    pub fn view(&self, player: PlayerId) -> &[InView] {
        &self.views[player as usize - 1][1]
    }
}
