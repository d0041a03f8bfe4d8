//! A shooter: stands in the middle of the runners, and sees as a page shows. Without sockets and clocks.

use super::{
    marksman::{Marksman, Tally},
    screen::{Picture, Target, Vector},
    witness::Witness,
};
use driftless_client::{Interpolation, InterpolationConfig};
use driftless_proto::{schema::Schema, wire::Welcome};
use driftless_sim::{
    Moment, PlayerId, Prediction, Snapshot,
    games::arena::{Arena, ArenaInput, rules},
};

/// A shooter goes to within this far of the middle of the world, before it begins; metres.
const IN_THE_MIDDLE: f64 = 3.0;

/// What a shooter's screen shows, and who acts by it. All times are microseconds of the server's clock.
pub struct Shooter {
    player: PlayerId,
    tick_rate: u32,
    screen: Interpolation,
    own: Prediction<Arena>,
    marksman: Marksman,
}

impl Shooter {
    /// The player of this welcome, to the room's schema.
    pub fn new(schema: &Schema, welcome: &Welcome, seed: u64) -> Self {
        let &Welcome { player, tick_rate, .. } = welcome;
        Self {
            player,
            tick_rate,
            screen: Interpolation::new(schema, welcome, InterpolationConfig::default()),
            own: Prediction::new(player, tick_rate),
            marksman: Marksman::new(player, tick_rate, seed),
        }
    }

    /// A state has come, which contains the inputs up to this one.
    pub fn learn(&mut self, arrived_us: Option<u64>, input: u32, state: &Snapshot, witness: &Witness) {
        self.own.reconcile(input, state);
        self.marksman.learn(state, witness);
        if let Some(arrived_us) = arrived_us {
            self.screen.push(arrived_us, state);
        }
    }

    /// The server's clock has moved.
    pub fn restart(&mut self) {
        self.screen.restart();
    }

    /// Draws a picture.
    pub fn show(&mut self, now_us: u64) {
        let view = self.screen.advance(now_us);
        let Some(targets) = view.map(|view| Target::in_view(&view, self.player)) else { return };
        if let Some(moment) = self.screen.shown() {
            self.marksman.look(Picture::at(moment, self.tick_rate, targets));
        }
    }

    /// What it does now, and what it was shown then. `counts`: whether shots are part of what is measured;
    /// until then it goes to the middle.
    pub fn act(&mut self, now_us: u64, counts: bool) -> (ArenaInput, Option<Moment>) {
        // What is shown when the player acts.
        self.show(now_us);
        let mut input = ArenaInput::default();
        let place = self.own.shown().map(|row| [row[0], row[1]].map(|cm| f64::from(cm) / 100.0));
        let Some([x, y]) = place else { return (input, self.marksman.moment()) };
        if counts {
            if let Some(aim) = self.marksman.shoot(Vector { x, y }) {
                // As precise as the message can be.
                let long = aim * (32_000.0 / aim.length());
                (input.aim_x, input.aim_y) = (long.x.round() as i32, long.y.round() as i32);
                input.buttons = rules::BUTTON_FIRE;
                self.note_age(now_us);
            }
        } else {
            let home = f64::from(rules::WORLD_SIZE) / 200.0;
            let way = Vector { x: home - x, y: home - y };
            if way.length() > IN_THE_MIDDLE {
                let stick = way * (f64::from(rules::FULL_STICK) / way.length());
                (input.move_x, input.move_y) = (stick.x.round() as i32, stick.y.round() as i32);
            }
        }
        (input, self.marksman.moment())
    }

    /// An input was sent, as this number.
    pub fn sent(&mut self, number: u32, input: ArenaInput) {
        self.own.push(number, input);
    }

    /// What came of its shots.
    pub fn tally(&mut self) -> &mut Tally {
        &mut self.marksman.tally
    }

    fn note_age(&mut self, now_us: u64) {
        if let (Ok(now_us), Some(shown_us)) = (i64::try_from(now_us), self.screen.shown_us()) {
            self.marksman.tally.picture_age.record_us(now_us - shown_us);
        }
    }
}
