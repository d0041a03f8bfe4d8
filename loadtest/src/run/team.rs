//! One thread of a run: a swarm of bots that follows the leader's steps.

use super::{
    Failure,
    control::{Control, Count, Step},
};
use crate::check::Violations;
use crate::{
    bot::{Bot, Crowd, Life},
    cast::Cast,
    check::Violation,
    cli::{RunArgs, TransportChoice},
    measure::Measure,
    swarm::{Carrier, Drive, Plan, Swarm, Target, TaskSwarm, Traffic},
};
use driftless_client::{Options, TokenSource};
use std::{
    collections::BTreeMap,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// A thread with its bots.
#[derive(Debug)]
pub struct Team {
    thread: JoinHandle<std::io::Result<Outcome>>,
}

/// What every team needs to know.
#[derive(Debug)]
pub struct TeamPlan {
    /// Where to connect.
    pub target: Target,
    /// The rooms.
    pub rooms: Vec<Options>,
    /// Where QUIC is and whom to trust there, if that is not as in the rooms' options.
    /// Bots in a room.
    pub room_size: usize,
    /// Who plays.
    pub cast: Cast,
    /// The rest.
    pub args: RunArgs,
}

/// What a team found out.
#[derive(Debug)]
pub struct Outcome {
    /// What was measured.
    pub measure: Measure,
    /// What went wrong.
    pub violations: Violations,
    /// Connections lost, by close code.
    pub disconnects: BTreeMap<u16, u64>,
    /// Bots that came back to their seats, and into new ones.
    pub returned: (u64, u64),
    /// How often bots were sent to another node.
    pub moved: u64,
    /// Ticks due, by room.
    pub due_by_room: Vec<u64>,
}

impl Team {
    /// Starts all threads.
    pub fn start_all(plan: &TeamPlan, control: &Arc<Control>) -> Result<Vec<Self>, Failure> {
        let (clients, threads) = (plan.args.bots(), usize::from(plan.args.threads));
        let start = Instant::now();
        (0..threads)
            .map(|thread| (thread * clients / threads, (thread + 1) * clients / threads))
            .filter(|(first, last)| first < last)
            .map(|(first, last)| Self::start(plan, control, start, first, last))
            .collect()
    }
    /// Waits for the thread.
    pub fn join(self) -> Result<Outcome, Failure> {
        match self.thread.join() {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err("a thread of the swarm panicked: a fault in loadtest".into()),
        }
    }

    fn start(
        plan: &TeamPlan,
        control: &Arc<Control>,
        start: Instant,
        first: usize,
        last: usize,
    ) -> Result<Self, Failure> {
        let args = &plan.args;
        let (readers, players, rooms) = (usize::from(args.readers), args.players(), plan.rooms.len());
        let bot = |index: usize| {
            let bot = match index.checked_sub(players) {
                None => Bot::new(index / plan.room_size, plan.cast.player(index)),
                Some(spectator) => Bot::spectator(spectator % rooms),
            };
            // Evenly spread, the first among them.
            if index * readers % 100 < readers { bot } else { bot.unreading() }
        };
        let tick = Duration::from_secs(1) / args.game.tick_rate;
        let (ramp, transport) = (args.ramp, args.transport);
        let mut crowd = Crowd::new(plan.rooms.clone(), &args.game.kind, args.game.tick_rate, args.duration);
        crowd.outages = args.outages;
        let bots: Vec<_> = (first..last).map(bot).collect();
        let control = control.clone();
        let thread = std::thread::Builder::new().name(format!("bots {first}..{last}"));
        let thread = if transport == TransportChoice::Websocket && !args.url.is_secure() {
            let swarm_plan = Plan { target: plan.target.clone(), first, start, ramp, tick };
            thread.spawn(move || {
                play_websockets(swarm_plan, crowd, bots, &control).inspect_err(|_| control.fail())
            })?
        } else {
            let carrier = |(index, bot): (usize, Bot)| {
                let (mut options, kind) = (bot.options(&crowd), transport.of(index));
                let token = plan.target.tokens.as_ref().map(|tokens| tokens.of(index));
                options.token = token.map(TokenSource::fixed);
                (bot, Carrier { options, kind })
            };
            let peers = (first..last).zip(bots).map(carrier).collect();
            thread.spawn(move || {
                let done = TaskSwarm::new(start, ramp, tick, crowd, peers);
                done.and_then(|swarm| play_tasks(swarm, &control)).inspect_err(|_| control.fail())
            })?
        };
        Ok(Self { thread })
    }
}

fn play_websockets(plan: Plan, crowd: Crowd, bots: Vec<Bot>, control: &Control) -> std::io::Result<Outcome> {
    let mut swarm = Swarm::new(plan, crowd, bots)?;
    follow(&mut swarm, control)?;
    Ok(swarm.shared.into())
}

fn play_tasks(mut swarm: TaskSwarm<Bot>, control: &Control) -> std::io::Result<Outcome> {
    follow(&mut swarm, control)?;
    let crowd = swarm.into_shared().ok_or_else(|| std::io::Error::other("a task of the swarm lives on"))?;
    Ok(crowd.into())
}

impl From<Crowd> for Outcome {
    fn from(crowd: Crowd) -> Self {
        Self {
            measure: crowd.measure,
            violations: crowd.violations,
            disconnects: crowd.disconnects,
            returned: (crowd.resumed, crowd.rejoined),
            moved: crowd.moved,
            due_by_room: crowd.due_by_room,
        }
    }
}

/// Turns the swarm, and takes the leader's steps as they come.
fn follow(swarm: &mut dyn Drive<Bot>, control: &Control) -> std::io::Result<()> {
    let mut step = Step::Play;
    let mut told = Count::default();
    let mut next_count = Instant::now();
    let mut before = Traffic::default();
    loop {
        let now = Instant::now();
        let wanted = control.step();
        // When the swarm is short of CPU time, a turn may outlast one of the leader's steps; no step is left
        // out.
        let comes_to = |to: Step| step < to && wanted >= to;
        if comes_to(Step::Measure) {
            swarm.with(&mut |crowd| crowd.begin(now));
            swarm.each_peer(&mut |bot, _| bot.begin(now));
            before = swarm.traffic();
        }
        if comes_to(Step::Finish) {
            swarm.each_peer(&mut |bot, crowd| bot.finish(crowd, now));
            let after = swarm.traffic();
            swarm.with(&mut |crowd| {
                crowd.finish(now);
                let counts = &mut crowd.measure.counts;
                counts.messages_up = after.messages_up - before.messages_up;
                counts.bytes_up = after.bytes_up - before.bytes_up;
                if let (Some(after), Some(before)) = (after.bytes_down, before.bytes_down) {
                    counts.bytes_down = after - before;
                }
            });
        }
        if comes_to(Step::Leave) {
            leave(swarm, now, wanted == Step::Leave);
        }
        if wanted == Step::End {
            return Ok(());
        }
        step = wanted;
        if now >= next_count {
            next_count = now + Duration::from_millis(20);
            let count = count(swarm);
            control.count(count, told);
            told = count;
        }
        swarm.turn(now + Duration::from_millis(10))?;
    }
}

fn leave(swarm: &mut dyn Drive<Bot>, now: Instant, all_must_play: bool) {
    swarm.each_peer(&mut |bot, crowd| {
        bot.give_up(crowd, now);
        let missing = match bot.life() {
            Life::Outside => Some("no connection until the end"),
            Life::Joining => Some("no welcome until the end"),
            Life::Away => Some("told to come back, and not back until the end"),
            Life::Playing | Life::Leaving | Life::Gone => None,
        };
        if let Some(what) = missing.filter(|_| all_must_play) {
            crowd.violations.add(&Violation::Refused(what.to_owned()));
        }
        bot.stay_away(crowd);
    });
    swarm.each(now, &mut |bot, crowd, frames| bot.leave(crowd, now, frames));
}

fn count(swarm: &mut dyn Drive<Bot>) -> Count {
    let mut count = Count::default();
    swarm.with(&mut |crowd| {
        count = Count {
            playing: crowd.playing,
            gone: crowd.gone,
            states: crowd.states,
            violations: crowd.violations.total(),
        };
    });
    count
}
