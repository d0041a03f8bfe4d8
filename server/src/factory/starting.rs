//! Starts rooms: new ones, and those that go on.

use super::{Factory, plan::Made};
use crate::{
    clock::{self, Clock},
    config::Config,
    ground::{durability::Durability, made_with::Maker, trace::TraceParent},
    nodes::Hold,
    registry::{Listed, Registry},
    room::{
        Checkpoints, Housing as _, Listing, Room, RoomSettings, Shell,
        core::{Carried, RoomCore, WaitingSeat},
        journal::Journal,
        reports::ReportLimit,
        schedule::Schedule,
        start::{self, Started},
        timetable::Timetable,
    },
    spans::Span,
};
use driftless_sim::{
    Setup,
    game::{Game, GameKind},
    replay::RecordingHeader,
};
use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};
use tracing::{info, warn};

/// The longest that a room may have stood still on its way, as far as the clocks of two machines agree.
const LONGEST_WAY: Duration = Duration::from_secs(10);

/// What a room goes on with.
pub(super) struct GoesOn {
    pub game: Box<dyn Game>,
    pub carried: Carried,
    pub waiting: Vec<WaitingSeat>,
    /// The store has it as it is.
    pub stored: bool,
    /// It comes from another node.
    pub came: Option<Came>,
}

/// A room that comes from another node, where it stands still.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Came {
    /// When its last tick was due, since 1970.
    pub due: Duration,
    /// Those who watched it.
    pub spectators: u32,
}

impl Factory {
    /// Starts a room, or has it go on.
    pub(super) fn start(&self, made: Made, goes_on: Option<GoesOn>) -> Listed {
        let stored = goes_on.as_ref().is_some_and(|goes_on| goes_on.stored);
        let kept = self.keep(&made, stored);
        let Made { shared, kind, made_with, budget, trace } = made;
        // What comes from another node has yet to become this node's.
        if goes_on.as_ref().is_none_or(|goes_on| goes_on.came.is_none()) {
            budget.hold.iter().for_each(Hold::begun);
        }
        let settings = self.settings(&kind, made_with.maker);
        let recorder = self.services.recorder.clone();
        if goes_on.is_some() && recorder.is_some() {
            warn!(room = %shared.name, "a room that goes on is not recorded: a recording begins with a room");
        }
        let recorder = recorder.filter(|_| goes_on.is_none());
        let seed = goes_on.is_none().then_some(made_with.setup.seed);
        let (game, goes_on) = goes_on
            .map(|GoesOn { game, carried, waiting, came, .. }| (game, (carried, waiting, came)))
            .unzip();
        let header = RecordingHeader {
            kind: kind.name().to_owned(),
            room: shared.name.to_string(),
            setup: made_with.setup.clone(),
        };
        let make = {
            let (kind, setup) = (kind.clone(), made_with.setup.clone());
            move || match game {
                None => start_new(&kind, setup, trace),
                Some(game) => Started { game, schema: kind.schema(), refused: None },
            }
        };
        let (of_room, limits) = (shared.clone(), self.config.limits.clone());
        let (clock, tick_rate) = (self.services.clock, shared.tick_rate);
        let report_limit = report_limit(&self.config, tick_rate);
        let seats_of_user = self.config.max_seats_per_user;
        // Who joins a room whose every tick is to survive has a seat that does.
        let at_once = made_with.durability == Durability::Journal && !stored;
        let room = Room::start_at(self.services.homes.common(), make, move |started, home, address| {
            let Started { game, schema, refused } = started;
            if let Some(seed) = seed.filter(|_| refused.is_none()) {
                info!(room = %of_room.name, kind = of_room.kind, tick_rate, seed, "room created");
            }
            let schedule = Timetable::here().schedule(clock.instant(0), clock::now(), tick_rate);
            let after = goes_on.as_ref().map_or(0, |(carried, _, came): &(Carried, _, Option<Came>)| {
                came.map_or(carried.tick(), |came| came.tick(carried, &schedule, clock))
            });
            let schedule = schedule.after(after);
            let recorder = recorder.filter(|_| refused.is_none());
            let record = recorder.map(|recorder| recorder.open(of_room.id, header, kind));
            let mut core = RoomCore::new(of_room, game, schema, schedule, limits, record.is_some());
            if let Some(limit) = report_limit {
                core.limit_reports(limit);
            }
            core.limit_seats_of_user(seats_of_user);
            let checkpoints = kept.filter(|_| refused.is_none()).map(|(checkpoints, journal)| {
                core.keep_journal(journal);
                checkpoints
            });
            let mut shell = Shell::new(core, refused, settings, record, home, address);
            match goes_on {
                None => shell.made(),
                Some((carried, waiting, None)) => shell.go_on(carried, waiting),
                Some((carried, waiting, Some(came))) => {
                    shell.is_ready(carried, waiting, after, came.instant(clock), came.spectators);
                }
            }
            checkpoints.into_iter().for_each(|checkpoints| shell.keep(checkpoints, at_once));
            shell
        });
        self.services.metrics.rooms.current.inc();
        Listed { shared, room, made_with, budget: Arc::new(budget) }
    }

    /// Where a room is kept that is to survive.
    fn keep(&self, made: &Made, stored: bool) -> Option<(Checkpoints, Box<dyn Journal>)> {
        let Made { shared, made_with, budget, .. } = made;
        if made_with.durability == Durability::None {
            return None;
        }
        let (made_with, services) = (made_with.clone(), &self.services);
        let ((sink, journal), every) = match (&services.depot, &budget.hold, services.store.get()) {
            (Some(depot), Some(hold), _) => (depot.room(shared, hold, made_with), depot.every()),
            (_, _, Some(store)) => (store.room(shared, made_with, stored), store.every()),
            _ => return None,
        };
        Some((Checkpoints::new(sink, every, shared.tick_rate), journal))
    }

    fn settings(&self, kind: &GameKind, maker: Maker) -> RoomSettings {
        let services = &self.services;
        let listing: Weak<Registry> = Arc::downgrade(&self.registry);
        RoomSettings {
            clock: services.clock,
            metrics: services.metrics.clone(),
            presence: services.presence.clone(),
            listing: listing as Weak<dyn Listing>,
            linger: match maker {
                Maker::Operator => self.config.operator_linger.unwrap_or(self.config.linger),
                Maker::Joiner(_) => self.config.linger,
            },
            wait_for_players: matches!(maker, Maker::Operator),
            resume_window: self.resume_window(kind),
            housing: services.homes.clone(),
            work: services.work.clone(),
            events: services.events.clone(),
        }
    }
}

/// Starts the game of a new room.
fn start_new(kind: &GameKind, setup: Setup<String>, trace: Option<TraceParent>) -> Started {
    let mut span = Span::within("room.start", trace);
    span.set("kind", kind.name());
    let started = start::start(kind, setup);
    started.refused.iter().for_each(|refused| span.fails(&refused.reason));
    started
}

impl Came {
    /// When its last tick was due, by this machine's clock.
    fn instant(self, clock: Clock) -> Instant {
        let ago = clock.unix().saturating_sub(self.due).min(LONGEST_WAY);
        clock::now().checked_sub(ago).unwrap_or_else(clock::now)
    }

    /// The number of the tick that is tick 0 of a schedule here: with it, ticks are due when they would have
    /// been due there, up to half a tick.
    fn tick(self, carried: &Carried, schedule: &Schedule, clock: Clock) -> u32 {
        let passed = schedule.deadline(0).saturating_duration_since(self.instant(clock));
        let ticks = passed.as_secs_f64() * f64::from(schedule.tick_rate());
        carried.last_tick().saturating_add(ticks.round() as u32)
    }
}

fn report_limit(config: &Config, tick_rate: u32) -> Option<ReportLimit> {
    let within = config.reports_window.as_secs_f64() * f64::from(tick_rate);
    let limit = ReportLimit { reports: config.reports_limit, within: within.ceil() as u32 };
    (limit.reports > 0).then_some(limit)
}
