//! Shows the entities of others a little in the past, between two states.
//!
//! States arrive at their own pace, but the screen needs one now. So they are kept, each with the time when
//! its tick was due, and the world is shown as it was a *render delay* ago: between two states, numbers of
//! linear groups are interpolated, and those of hold groups keep the earlier value. The delay follows the
//! link (see [`RenderDelay`]): it is just long enough for the later state to be there in time. When it is
//! not, entities continue their movement for a short time ([`InterpolationConfig::extrapolation`]) and then
//! stand still.
//!
//! - The time shown never goes backwards, unless the server's clock turns out to have moved.
//! - An entity that begins another [life](driftless_proto::schema::Kind::life) jumps: it is shown where it
//!   was until the state in which it is elsewhere.
//! - An entity is shown from the first state that contains it until the first state that does not.
//!
//! (Yahn Bernier, "Source Multiplayer Networking", Valve: entity interpolation; Glenn Fiedler, "Snapshot
//! Interpolation", 2014.)

mod delay;
mod view;

pub use delay::RenderDelay;
pub use view::{Entity, View};

use crate::clock::{LONGEST_US, bounded};
use driftless_proto::{
    moment::{Moment, PARTS},
    schema::{Predictor, Schema},
    snapshot::Snapshot,
    wire,
};
use std::{collections::VecDeque, time::Duration};

/// Most states that are kept.
const MAX_FRAMES: usize = 64;

/// How entities are interpolated.
#[derive(Debug, Clone, PartialEq)]
pub struct InterpolationConfig {
    /// How long entities continue their movement when no state comes. Default: 100 ms.
    pub extrapolation: Duration,
    /// Minimum of the render delay. Default: 0.
    pub min_delay: Duration,
    /// Maximum of the render delay. Default: 1 s.
    pub max_delay: Duration,
    /// A number that changes by more than this between two states has jumped and is not interpolated, in
    /// quanta: for games whose schema does not say it better, by [`Kind::life`]. Default: none.
    ///
    /// [`Kind::life`]: driftless_proto::schema::Kind::life
    pub jump: Option<u32>,
}

impl Default for InterpolationConfig {
    fn default() -> Self {
        Self {
            extrapolation: Duration::from_millis(100),
            min_delay: Duration::ZERO,
            max_delay: Duration::from_secs(1),
            jump: None,
        }
    }
}

/// The states of a room, on the server's clock.
#[derive(Debug)]
pub struct Interpolation {
    config: InterpolationConfig,
    columns: Vec<Vec<Column>>,
    /// For each kind, the column that counts lives.
    lives: Vec<Option<usize>>,
    epoch_us: i64,
    tick_rate: i64,
    /// Ascending by tick.
    frames: VecDeque<Frame>,
    /// Snapshots to reuse.
    spare: Vec<Snapshot>,
    delay: RenderDelay,
    shown_us: Option<i64>,
}

#[derive(Debug)]
struct Frame {
    due_us: i64,
    snapshot: Snapshot,
}

/// Properties of a column.
#[derive(Debug, Clone, Copy)]
struct Column {
    linear: bool,
    quanta_per_unit: u32,
}

impl Interpolation {
    /// For the room of this welcome, whose states have this schema.
    pub fn new(schema: &Schema, welcome: &wire::Welcome, config: InterpolationConfig) -> Self {
        let columns =
            schema.kinds().iter().map(|kind| kind.groups().iter().flat_map(columns).collect()).collect();
        let delay = RenderDelay::new(config.min_delay, config.max_delay);
        Self {
            config,
            columns,
            lives: schema.kinds().iter().map(|kind| kind.life_column()).collect(),
            epoch_us: welcome.epoch_us.clamp(-LONGEST_US, LONGEST_US),
            tick_rate: i64::from(welcome.tick_rate.max(1)),
            frames: VecDeque::new(),
            spare: Vec::new(),
            delay,
            shown_us: None,
        }
    }

    /// A state was applied when the server's clock showed `arrived_us`
    /// ([`Clock::server_time_us`](crate::Clock)). One of the same tick as the last replaces it: more of its
    /// zones have come. False: it is older than the last one, and is ignored.
    pub fn push(&mut self, arrived_us: u64, snapshot: &Snapshot) -> bool {
        let arrived_us = bounded(arrived_us);
        let due_us = self.due_us(snapshot.tick());
        let gap_us = match self.frames.back() {
            Some(last) if last.snapshot.tick() > snapshot.tick() => return false,
            Some(last) => due_us - last.due_us,
            None => 1_000_000 / self.tick_rate,
        };
        if let Some(last) = self.frames.back_mut().filter(|last| last.snapshot.tick() == snapshot.tick()) {
            // Its age has been measured: how long the rest takes is no property of the link.
            last.snapshot.copy_from(snapshot);
            return true;
        }
        self.delay.state(arrived_us - due_us, gap_us);
        if self.frames.len() == MAX_FRAMES {
            self.drop_first();
        }
        let mut kept = self.spare.pop().unwrap_or_default();
        kept.copy_from(snapshot);
        self.frames.push_back(Frame { due_us, snapshot: kept });
        true
    }

    /// Advances to `now_us` on the server's clock and returns what to show. None before the first state.
    pub fn advance(&mut self, now_us: u64) -> Option<View<'_>> {
        let shown_us = self.delay.advance(bounded(now_us))?;
        self.shown_us = Some(shown_us);
        // Keep one state that is not after the time shown, and always two to extrapolate from.
        while self.frames.len() > 2 && self.frames[1].due_us <= shown_us {
            self.drop_first();
        }
        self.view(shown_us)
    }

    /// The server's clock turned out to have moved ([`Event::ClockMoved`](crate::Event::ClockMoved)): the
    /// time shown is chosen anew.
    pub fn restart(&mut self) {
        self.delay.restart();
    }

    /// The room goes on at another node ([`Event::Welcome`](crate::Event::Welcome), resumed), which times its
    /// later ticks a little differently. What is shown goes on without a jump.
    pub fn resumed(&mut self, welcome: &wire::Welcome) {
        self.epoch_us = welcome.epoch_us.clamp(-LONGEST_US, LONGEST_US);
    }

    /// The time shown, microseconds of the server's clock.
    pub fn shown_us(&self) -> Option<i64> {
        self.shown_us
    }

    /// The moment shown, for an input ([`Client::send_input_seen`](crate::Client::send_input_seen)). None
    /// before the first [`advance`](Self::advance).
    pub fn shown(&self) -> Option<Moment> {
        let first = self.frames.front()?.due_us;
        let cap = i64::try_from(self.config.extrapolation.as_micros()).unwrap_or(i64::MAX);
        let last = self.frames.back()?.due_us.saturating_add(cap);
        let since_epoch = self.shown_us?.clamp(first, last).saturating_sub(self.epoch_us).max(0);
        let parts = i128::from(since_epoch) * i128::from(self.tick_rate) * i128::from(PARTS) / 1_000_000;
        Some(Moment::of_parts(u64::try_from(parts).unwrap_or(u64::MAX)))
    }

    /// How far in the past the time shown should be.
    pub fn delay(&self) -> Duration {
        self.delay.target()
    }

    fn view(&self, shown_us: i64) -> Option<View<'_>> {
        let after = self.frames.partition_point(|f| f.due_us <= shown_us);
        let base = &self.frames.get(after.saturating_sub(1))?;
        let (other, offset_us) = if after == 0 {
            (None, 0) // before the first state: show that one
        } else if let Some(next) = self.frames.get(after) {
            (Some(next), shown_us - base.due_us)
        } else {
            let previous = after.checked_sub(2).and_then(|i| self.frames.get(i));
            let cap = i64::try_from(self.config.extrapolation.as_micros()).unwrap_or(i64::MAX);
            (previous, (shown_us - base.due_us).min(cap))
        };
        Some(View {
            columns: &self.columns,
            lives: &self.lives,
            base: &base.snapshot,
            other: other.map(|o| &o.snapshot),
            // `span` is from base to other; negative if other is the earlier one, to extrapolate away from
            // it.
            offset_us,
            span_us: other.map_or(1, |o| o.due_us - base.due_us),
            jump: self.config.jump,
        })
    }

    fn due_us(&self, tick: u32) -> i64 {
        self.epoch_us + i64::from(tick) * 1_000_000 / self.tick_rate
    }

    fn drop_first(&mut self) {
        if let Some(frame) = self.frames.pop_front() {
            self.spare.push(frame.snapshot);
        }
    }
}

fn columns(group: &driftless_proto::schema::Group) -> impl Iterator<Item = Column> {
    let linear = group.predictor() == Predictor::Linear;
    group.fields().iter().map(move |f| Column { linear, quanta_per_unit: f.quanta_per_unit().max(1) })
}
