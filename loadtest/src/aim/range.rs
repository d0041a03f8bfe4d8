//! A shooting range: a shooter, runners and a room in virtual time, over a link that delays and loses.

use super::{marksman::Tally, runner::Runner, shooter::Shooter, witness::Witness};
use driftless_proto::wire::Welcome;
use driftless_sim::{
    Game, GameKind, Moment, PlayerId, PlayerInput, Seen, Setup, Simulation, Snapshot,
    games::arena::{Arena, PLAYERS},
};
use prost::Message;
use std::collections::{BTreeMap, VecDeque};

/// The shooter; the others follow.
const SHOOTER: PlayerId = 1;
/// Between two pictures, microseconds.
const FRAME_US: u64 = 16_667;
/// Until then the shooter goes to the middle.
const WARM_UP_US: u64 = 4_000_000;

/// What is played.
#[derive(Debug, Clone, Copy)]
struct Range {
    tick_rate: u32,
    rewind_ms: u32,
    runners: u32,
    /// Each way, microseconds.
    latency_us: u64,
    /// So much more at most, either way; an ordered link keeps the order.
    jitter_us: u64,
    /// Of a hundred messages, so many are lost, either way. The next input repeats the lost ones.
    loss: u64,
    seconds: u64,
}

impl Default for Range {
    fn default() -> Self {
        Self {
            tick_rate: 20,
            rewind_ms: 250,
            runners: 4,
            latency_us: 75_000,
            jitter_us: 0,
            loss: 0,
            seconds: 120,
        }
    }
}

/// An input on its way.
struct Sent {
    number: u32,
    moment: Option<Moment>,
    payload: Vec<u8>,
}

/// A room in which a range is played.
struct Room {
    game: Box<dyn Game>,
    tick: u32,
    state: Snapshot,
    taken: u32,
}

impl Range {
    /// What comes of the shots of some rooms.
    fn play_in(self, rooms: u64) -> Tally {
        let mut sum = Tally::default();
        (1..=rooms).for_each(|seed| sum.add(&self.play(seed)));
        sum
    }

    fn play(self, seed: u64) -> Tally {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut room = Room::new(self, seed);
        let tick_us = 1_000_000 / u64::from(self.tick_rate);
        let welcome = Welcome { player: SHOOTER, tick_rate: self.tick_rate, ..Welcome::default() };
        let mut shooter = Shooter::new(&Arena::schema(), &welcome, seed);
        let mut witness = Witness::new(self.tick_rate);
        let mut runners: BTreeMap<_, _> = (1..=self.runners)
            .map(|n| (SHOOTER + n, Runner::new(seed << 16 | u64::from(n), self.tick_rate)))
            .collect();
        let mut down: VecDeque<(u64, u32, Snapshot)> = VecDeque::new();
        let mut up: VecDeque<(u64, Sent)> = VecDeque::new();
        let mut lost: Vec<Sent> = Vec::new();
        let (mut next_frame, mut next_act) = (random.u64(..FRAME_US), random.u64(..tick_us));
        for now_us in (0..self.seconds * 1_000_000).step_by(500) {
            while u64::from(room.tick + 1) * tick_us <= now_us {
                while let Some((_, sent)) = up.pop_front_if(|(at, _)| *at <= now_us) {
                    room.take(SHOOTER, sent.number, sent.moment, &sent.payload);
                }
                for (&player, runner) in &mut runners {
                    let seen = Seen { state: &room.state, player, tick_rate: self.tick_rate };
                    let place = seen.row::<2>(PLAYERS).map_or((0, 0), |[x, y]| (x, y));
                    room.take(player, 0, None, &runner.run(place).encode_to_vec());
                }
                room.step();
                witness.push(&room.state);
                if random.u64(..100) >= self.loss {
                    let last = down.back().map_or(0, |(at, ..)| *at);
                    let at = now_us + self.latency_us + random.u64(..=self.jitter_us);
                    down.push_back((at.max(last), room.taken, room.state.clone()));
                }
            }
            while let Some((_, input, state)) = down.pop_front_if(|(at, ..)| *at <= now_us) {
                shooter.learn(Some(now_us), input, &state, &witness);
            }
            if next_frame <= now_us {
                next_frame += FRAME_US;
                shooter.show(now_us);
            }
            if next_act <= now_us {
                next_act += tick_us;
                let counts = now_us >= WARM_UP_US;
                let (input, moment) = shooter.act(now_us, counts);
                let number = (next_act / tick_us) as u32;
                shooter.sent(number, input);
                let sent = Sent { number, moment, payload: input.encode_to_vec() };
                lost.push(sent);
                if random.u64(..100) >= self.loss {
                    let last = up.back().map_or(0, |(at, _)| *at);
                    let at = (now_us + self.latency_us + random.u64(..=self.jitter_us)).max(last);
                    up.extend(lost.drain(..).map(|sent| (at, sent)));
                }
            }
        }
        std::mem::take(shooter.tally())
    }
}

impl Room {
    fn new(range: Range, seed: u64) -> Self {
        let options = format!(r#"{{"rewind_ms": {}, "respawn_s": 1, "bots": 0}}"#, range.rewind_ms);
        let setup = Setup { options, ..Setup::new(seed, range.tick_rate) };
        let kind = GameKind::of::<Arena>();
        let mut game = kind.start(&setup).unwrap();
        (SHOOTER..=SHOOTER + range.runners).for_each(|player| game.join(1, player, "somebody"));
        Self { game, tick: 0, state: Snapshot::new(&kind.schema()), taken: 0 }
    }

    fn take(&mut self, player: PlayerId, number: u32, moment: Option<Moment>, payload: &[u8]) {
        // As the server: nobody has been shown more than was sent.
        let moment = moment.map(|moment| moment.min(Moment::at(self.tick)));
        self.game.input(PlayerInput { moment, ..PlayerInput::new(player, payload) }).unwrap();
        self.taken = self.taken.max(number);
    }

    fn step(&mut self) {
        self.tick += 1;
        self.game.step(self.tick);
        self.game.snapshot(self.tick, &mut self.state);
    }
}

/// What is told of a failure.
fn told(range: Range, tally: &Tally) -> String {
    let Tally { shots, shown, confirmed, another, misses, unseen, .. } = tally;
    format!(
        "{range:?}: {shots} shots, {shown} hit on the screen, of these {confirmed} in the room, {another} \
         another, {misses:?}; {unseen} in the room only"
    )
}

/// The share of the shots that hit on the screen which hit the same player in the room.
fn ratio(tally: &Tally) -> f64 {
    tally.confirmed as f64 / tally.shown as f64
}

#[test]
fn shots_that_hit_on_the_shooters_screen_hit_in_the_room() {
    for tick_rate in [20, 60] {
        for (jitter_us, loss) in [(0, 0), (10_000, 0), (5_000, 5)] {
            let range = Range { tick_rate, jitter_us, loss, ..Range::default() };
            let on = range.play_in(4);
            assert!(on.shown > 150 && ratio(&on) > 0.97, "{}", told(range, &on));
            // The test can fail.
            let off = Range { rewind_ms: 0, ..range }.play_in(4);
            assert!(off.shown > 150 && ratio(&off) < 0.35, "{}", told(range, &off));
            assert!(off.misses.late > off.shown / 2, "{}", told(range, &off));
        }
    }
}

#[test]
fn what_is_missed_on_a_link_beyond_the_limit_is_missed_because_the_room_did_not_go_back_as_far() {
    let range = Range { latency_us: 200_000, ..Range::default() };
    let far = range.play_in(4);
    let missed = far.shown - far.confirmed - far.another;
    // Of a shot that ends before it is shown, no state says when it was fired.
    assert!(ratio(&far) < 0.5 && far.misses.late + far.misses.not_fired == missed, "{}", told(range, &far));
    let more = Range { rewind_ms: 500, ..range }.play_in(4);
    assert!(ratio(&more) > 0.97, "{}", told(range, &more));
}
