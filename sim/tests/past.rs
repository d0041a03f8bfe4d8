//! The past as players were shown it: `Simulation::REWIND_MS` and `Step::past`.

#![allow(clippy::unwrap_used, reason = "test helpers may panic, too")]

use driftless_sim::{
    Game, GameKind, Moment, PlayerId, PlayerInput, Rng, Schema, Setup, Simulation, Snapshot, Step,
};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A player looks at another one.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Look {
    #[prost(uint32, tag = "1")]
    at: PlayerId,
}

/// What a room's maker says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Limit {
    rewind_ms: Option<u32>,
    jump: Option<u32>,
}

/// Everybody runs 100 a tick, times their number, and starts anew at every fiftieth tick. A player's row has
/// where it is, its lap, and what it saw when it looked: the other's place and lap, how much later that was
/// than asked for, and the moment, in 1/128 of a tick.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Runners<const MS: u32> {
    rewind_ms: Option<u32>,
    /// What changes by more in a tick has jumped.
    jump: Option<u32>,
    players: BTreeMap<PlayerId, Runner>,
}

#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
struct Runner {
    x: i32,
    lap: i32,
    saw: [i32; 4],
}

impl<const MS: u32> Simulation for Runners<MS> {
    const KIND: &'static str = "runners";
    type Input = Look;
    type Command = ();
    type Event = ();
    type Options = Limit;
    const REWIND_MS: u32 = MS;

    fn schema() -> Schema {
        Schema::new().kind("runner", |kind| {
            let kind = kind.linear("place", &["x"], 1);
            kind.hold("rest", &["lap", "x_seen", "lap_seen", "clamped", "at"], 1).life("lap")
        })
    }
    fn new(setup: &Setup<Limit>) -> Result<Self, String> {
        let Limit { rewind_ms, jump } = setup.options;
        Ok(Self { rewind_ms, jump, players: BTreeMap::new() })
    }
    fn rewind_ms(&self) -> u32 {
        self.rewind_ms.unwrap_or(MS)
    }
    fn join(&mut self, player: PlayerId, _name: &str, _step: &mut Step<'_, ()>) {
        self.players.insert(player, Runner::default());
    }
    fn leave(&mut self, player: PlayerId, _step: &mut Step<'_, ()>) {
        self.players.remove(&player);
    }
    fn step(&mut self, inputs: &[PlayerInput<Look>], step: &mut Step<'_, ()>) {
        for PlayerInput { player, moment, input, .. } in inputs {
            let past = step.past(*moment).map(|past| past.with_jump(self.jump.unwrap_or(u32::MAX)));
            let saw = past.and_then(|past| {
                let [x, lap] = past.row(0, input.at)?;
                Some([x, lap, past.clamped() as i32, past.moment().parts() as i32])
            });
            if let Some(runner) = self.players.get_mut(player) {
                runner.saw = saw.unwrap_or([-1; 4]);
            }
        }
        for (&player, runner) in &mut self.players {
            runner.x += 100 * player as i32;
            if step.tick().is_multiple_of(50) {
                (runner.x, runner.lap) = (0, runner.lap + 1);
            }
        }
    }
    fn snapshot(&self, out: &mut Snapshot) {
        for (&player, &Runner { x, lap, saw: [x_seen, lap_seen, clamped, at] }) in &self.players {
            out.table_mut(0).push(player, &[x, lap, x_seen, lap_seen, clamped, at]);
        }
    }
}

/// Everybody is in a zone of its own, and has another name in every tick. A player's row has it, and the name
/// that it saw when it looked.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Disguised {
    saw: BTreeMap<PlayerId, String>,
    tick: u32,
}

impl Simulation for Disguised {
    const KIND: &'static str = "disguised";
    type Input = Look;
    type Command = ();
    type Event = ();
    type Options = ();
    const REWIND_MS: u32 = 500;

    fn schema() -> Schema {
        Schema::new().kind("player", |kind| kind.hold("place", &["x"], 1).text("names", &["name", "seen"]))
    }
    fn new(_setup: &Setup) -> Result<Self, String> {
        Ok(Self::default())
    }
    fn join(&mut self, player: PlayerId, _name: &str, _step: &mut Step<'_, ()>) {
        self.saw.insert(player, String::new());
    }
    fn leave(&mut self, player: PlayerId, _step: &mut Step<'_, ()>) {
        self.saw.remove(&player);
    }
    fn step(&mut self, inputs: &[PlayerInput<Look>], step: &mut Step<'_, ()>) {
        self.tick = step.tick();
        for PlayerInput { player, moment, input, .. } in inputs {
            let past = step.past(*moment).unwrap();
            let [_, name] = past.row(0, input.at).unwrap();
            self.saw.insert(*player, past.text_of(name).to_owned());
        }
    }
    fn snapshot(&self, out: &mut Snapshot) {
        for (&player, saw) in &self.saw {
            let zone = out.zone(player);
            let row = [player as i32, zone.text(&format!("{player} at {}", self.tick)), zone.text(saw)];
            zone.table_mut(0).push(player, &row);
        }
    }
}

struct Room {
    game: Box<dyn Game>,
    tick: u32,
}

impl Room {
    /// At 20 ticks a second, with players 1 and 2, after so many ticks.
    fn after<const MS: u32>(ticks: u32) -> Self {
        Self::limited::<MS>("", ticks)
    }

    /// The same, with options.
    fn limited<const MS: u32>(options: &str, ticks: u32) -> Self {
        let setup = Setup { options: options.into(), ..Setup::new(1, 20) };
        let game = GameKind::of::<Runners<MS>>().start(&setup).unwrap();
        let mut room = Self { game, tick: 0 };
        (1..=2).for_each(|player| room.game.join(1, player, ""));
        (0..ticks).for_each(|_| room.step());
        room
    }

    fn step(&mut self) {
        self.tick += 1;
        self.game.step(self.tick);
    }

    /// What player 2 sees of player 1 in the next tick: place, lap, how much was clamped, and the moment.
    fn look(&mut self, moment: Option<Moment>) -> [i32; 4] {
        let look = Look { at: 1 }.encode_to_vec();
        self.game.input(PlayerInput { moment, ..PlayerInput::new(2, &look[..]) }).unwrap();
        self.step();
        let mut state = Snapshot::new(&Runners::<0>::schema());
        self.game.snapshot(self.tick, &mut state);
        [2, 3, 4, 5].map(|column| state.tables()[0].value(2, column).unwrap())
    }
}

fn at(tick: u32, part: u64) -> Option<Moment> {
    Some(Moment::of_parts(u64::from(tick) * 128 + part))
}

const NOTHING: [i32; 4] = [-1; 4];

#[test]
fn a_place_is_between_two_states_and_the_rest_as_in_the_earlier() {
    let parts = |tick: i32, part: i32| tick * 128 + part;
    assert_eq!(Room::after::<500>(20).look(at(16, 0)), [1_600, 0, 0, parts(16, 0)]);
    assert_eq!(Room::after::<500>(20).look(at(16, 64)), [1_650, 0, 0, parts(16, 64)]);
    assert_eq!(Room::after::<500>(20).look(at(20, 0)), [2_000, 0, 0, parts(20, 0)]);
    // Nobody runs from 4,900 to 0: that is another lap, which the schema says is another life.
    assert_eq!(Room::after::<500>(52).look(at(49, 127)), [4_900, 0, 0, parts(49, 127)]);
    assert_eq!(Room::after::<500>(52).look(at(50, 32)), [25, 1, 0, parts(50, 32)]);
}

#[test]
fn a_number_that_changes_by_more_than_a_game_says_has_jumped() {
    let at_16 = |jump: u32| Room::limited::<500>(&format!(r#"{{"jump": {jump}}}"#), 20).look(at(16, 64))[0];
    assert_eq!([99, 100].map(at_16), [1_600, 1_650]);
}

#[test]
fn a_tick_that_was_skipped_was_shown_between_its_neighbours() {
    let mut room = Room::after::<500>(20);
    room.tick += 3;
    room.step(); // 24: a tick's time after 20
    assert_eq!(room.look(at(21, 0)), [2_025, 0, 0, 21 * 128]);
    assert_eq!(room.look(at(23, 64)), [2_087, 0, 0, 23 * 128 + 64]);
}

#[test]
fn a_view_of_longer_ago_is_clamped_and_says_so() {
    // 500 ms are 10 ticks, counted from the newest state. A room can have less, but not more.
    let own = [r#"{"rewind_ms": 150}"#, r#"{"rewind_ms": 9999}"#];
    let moments =
        [("", 10, 10), ("", 9, 10), ("", 0, 10), (own[0], 17, 17), (own[0], 16, 17), (own[1], 1, 10)];
    for (options, moment, seen) in moments {
        let saw = Room::limited::<500>(options, 20).look(at(moment, 1));
        let seen = seen.max(moment) * 128 + u32::from(seen <= moment);
        assert_eq!(saw[3], seen as i32, "{options}, tick {moment}: {saw:?}");
        assert_eq!(saw[2], saw[3] - (moment * 128 + 1) as i32);
    }
    // Nor longer than there are states.
    assert_eq!(Room::after::<500>(2).look(at(0, 1)), [100, 0, 127, 128]);
}

#[test]
fn a_view_after_the_newest_state_is_that_state() {
    assert_eq!(Room::after::<500>(20).look(at(u32::MAX, 0)), [2_000, 0, 0, 20 * 128]);
}

#[test]
fn there_is_no_past_of_what_is_unknown() {
    assert_eq!(Room::after::<500>(20).look(None), NOTHING);
    assert_eq!(Room::after::<500>(0).look(at(1, 0)), NOTHING, "before the first tick");
    assert_eq!(Room::after::<0>(20).look(at(16, 0)), NOTHING, "a game that does not rewind");
    let mut room = Room::limited::<500>(r#"{"rewind_ms": 0}"#, 20);
    assert_eq!(room.look(at(20, 0)), NOTHING, "a room that does not rewind");
}

// Promise 1: "A room's state is a function of its seed, its joins and leaves, its inputs and commands."
#[test]
fn a_restored_room_has_the_same_past() {
    for (ticks, options) in [(0, ""), (1, ""), (7, ""), (30, ""), (51, ""), (51, r#"{"rewind_ms": 100}"#)] {
        let kind = GameKind::of::<Runners<500>>();
        let mut room = Room::limited::<500>(options, ticks);
        let mut restored = Room { game: kind.restore(&room.game.save()).unwrap(), tick: room.tick };
        let mut rng = Rng::new(1);
        for _ in 0..30 {
            let moment = Moment::at(room.tick + 1).before(rng.below(13 * 128).into());
            assert_eq!(room.look(Some(moment)), restored.look(Some(moment)));
            assert_eq!(room.game.checksum(), restored.game.checksum());
        }
    }
}

#[test]
fn texts_are_those_of_the_time_and_of_the_entitys_zone() {
    let kind = GameKind::of::<Disguised>();
    let mut game = kind.start(&Setup::new(1, 20)).unwrap();
    (1..=2).for_each(|player| game.join(1, player, ""));
    (1..=9).for_each(|tick| game.step(tick));
    let restored = kind.restore(&game.save()).unwrap();
    for mut game in [game, restored] {
        for (tick, moment) in [(10, 7), (11, 10), (12, 3)] {
            let look = Look { at: 1 }.encode_to_vec();
            game.input(PlayerInput { moment: at(moment, 5), ..PlayerInput::new(2, &look[..]) }).unwrap();
            game.step(tick);
            let mut state = Snapshot::new(&kind.schema());
            game.snapshot(tick, &mut state);
            let zone = state.content(2).unwrap();
            let seen = zone.text_of(zone.tables()[0].value(2, 2).unwrap());
            assert_eq!(seen, format!("1 at {moment}"), "tick {tick}");
        }
    }
}

#[test]
fn a_past_that_is_damaged_or_of_another_game_is_refused() {
    let room = Room::after::<500>(5);
    let kind = GameKind::of::<Runners<500>>();
    let saved = room.game.save();
    for at in 0..saved.len() {
        let mut damaged = saved.clone();
        damaged[at] ^= 4;
        assert!(kind.restore(&damaged).is_err(), "byte {at} of {}", saved.len());
        assert!(kind.restore(&saved[..at]).is_err(), "cut at {at} of {}", saved.len());
    }
    assert!(kind.restore(&Room::after::<0>(5).game.save()).is_err(), "one that has no past");
    assert!(GameKind::of::<Runners<0>>().restore(&saved).is_err(), "one that wants none");
    // A shorter limit than when it was saved takes the newest of it.
    let shorter = GameKind::of::<Runners<100>>().restore(&saved).unwrap();
    assert_eq!(shorter.checksum(), room.game.checksum());
}

#[test]
fn a_room_saves_no_more_of_its_past_than_it_rewinds() {
    let saved = |options| Room::limited::<500>(options, 51).game.save().len();
    let [all, half, none] = ["", r#"{"rewind_ms": 250}"#, r#"{"rewind_ms": 0}"#].map(saved);
    // 11 states, 6 and 0.
    assert!(none < half && (all - none) * 6 / 11 + 8 >= half - none, "{all}, {half}, {none}");
}
