//! `loadtest slow`: one of a room's players stops reading its socket for a while. A good server keeps only
//! the newest state for it, and nobody else notices.
//!
//! States that were stale on delivery are counted in two parts. The slow client's own kernel holds what
//! arrived while nobody was reading, which no server can take back (hence the small receive buffer). The rest
//! was still on its way, in the server's kernel or in the server itself.

mod figures;
mod table;

use crate::{
    bot::{Arrival, Bot, Crowd, Life},
    cast::{BotKind, Cast},
    cli::SlowArgs,
    measure::Measure,
    process::{Process, raise_open_files},
    report, require,
    server::Api,
    stop::Stop,
    swarm::{Drive, Plan, Swarm, Target},
    tls::Authorities,
    ws,
};
use driftless_client::Options;
pub use figures::SlowFigures;
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

/// The slow player among the bots.
const SLOW: usize = 0;
/// Bytes of its receive buffer (SO_RCVBUF, which the kernel doubles): small, so that what the server holds
/// back shows, not what the client's own kernel holds.
const RECEIVE_BUFFER: usize = 4096;
/// Time over which the players join.
const RAMP: Duration = Duration::from_secs(1);
/// How long joining may take.
const JOIN_PATIENCE: Duration = Duration::from_secs(10);

type Failure = Box<dyn std::error::Error>;

/// Plays, stalls, resumes and reports.
pub fn run(args: &SlowArgs, bots: &[BotKind]) -> Result<ExitCode, Failure> {
    require::check(&args.require, &SlowFigures::specimen())?;
    let cast = Cast::choose(bots, &args.game.kind, args.game.tick_rate, None)?;
    eprintln!("{cast}");
    let figures = Room::open(args, &cast)?.play()?;
    report::print_table(&table::slow(&figures), args.json.as_deref());
    if let Some(path) = &args.json {
        report::write_json(path, &figures)?;
    }
    let well = require::all_hold(&args.require, &figures)? && figures.errors == 0;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// A room full of players, the slow one among them.
struct Room<'a> {
    args: &'a SlowArgs,
    stop: Stop,
    process: Option<Process>,
    swarm: Swarm<Bot>,
}

/// How things stood when the slow player read again.
struct Resumed {
    at: Instant,
    newest_due: u32,
    /// Bytes of whole and half frames that this machine had for it, unread.
    own_buffers: u64,
}

impl<'a> Room<'a> {
    fn open(args: &'a SlowArgs, cast: &Cast) -> Result<Self, Failure> {
        let stop = Stop::on_signals()?;
        raise_open_files(args.room_size as usize)?;
        let process = args.server_pid.map(Process::find).transpose()?;
        let name = format!("slow-{:08x}", fastrand::u32(..));
        Api::new(args.url.plain()?, &args.operator, &Authorities::default()).create_room(
            &name,
            &args.game,
            args.room_size,
            0,
        )?;
        let options = Options::new(args.url.to_string(), &*name).kind(args.game.kind.clone());
        let options = Options { keep_members: false, ..options };
        let target = Target {
            address: args.url.resolve()?,
            request: ws::request(
                &args.url.authority(),
                args.url.path(),
                driftless_proto::limits::SUBPROTOCOL,
            ),
            tokens: args.tokens.read(&name, RAMP + JOIN_PATIENCE + 2 * args.around + args.stall)?,
            receive_buffer: Some((SLOW, RECEIVE_BUFFER)),
        };
        let tick = Duration::from_secs(1) / args.game.tick_rate;
        let plan = Plan { target, first: 0, start: Instant::now(), ramp: RAMP, tick };
        let bot = |index| Bot::new(0, cast.player(index));
        let crowd = Crowd::new(vec![options], &args.game.kind, args.game.tick_rate, args.around);
        let bots = (0..args.room_size as usize).map(bot).collect();
        Ok(Self { args, stop, process, swarm: Swarm::new(plan, crowd, bots)? })
    }
    fn play(mut self) -> Result<SlowFigures, Failure> {
        let players = u64::from(self.args.room_size);
        self.turn_until(RAMP + JOIN_PATIENCE, |room| room.swarm.shared.playing == players)?;
        self.turn_until(Duration::from_secs(1), |_| false)?;
        let connected = self.swarm.shared.playing;
        if self.swarm.peer(SLOW).life() != Life::Playing {
            return Err("the slow player got no seat, so there is nothing to measure".into());
        }

        let now = Instant::now();
        self.swarm.shared.begin(now);
        // Only the others: the slow player's gaps must not count.
        (SLOW + 1..players as usize).for_each(|other| self.swarm.peer_mut(other).begin(now));
        self.turn_until(self.args.around, |_| false)?;
        let before = self.cut(self.args.stall);

        let (rss_before, stalled_at) = (self.rss()?, Instant::now());
        let mut rss_most = rss_before;
        self.swarm.set_reading(SLOW, false);
        while stalled_at.elapsed() < self.args.stall && !self.stop.is_set() {
            self.turn_until(Duration::from_millis(100), |room| stalled_at.elapsed() >= room.args.stall)?;
            rss_most = rss_most.max(self.rss()?);
        }
        let during = self.cut(self.args.around);
        let resumed = self.resume();
        let stalled = stalled_at.elapsed();
        self.turn_until(self.args.around, |_| false)?;
        rss_most = rss_most.max(self.rss()?);
        let after = self.cut(Duration::from_secs(1));

        let mut figures = SlowFigures {
            clients: players,
            connected,
            tick_rate: self.args.game.tick_rate,
            stall_s: stalled.as_secs_f64(),
            server_rss_growth_bytes: Option::zip(rss_most, rss_before).map(|(most, before)| most - before),
            others_gap_before_ms: before.gap.quantiles_ms(),
            others_gap_during_ms: during.gap.quantiles_ms(),
            others_gap_after_ms: after.gap.quantiles_ms(),
            ..SlowFigures::default()
        };
        self.look_at_the_slow_one(&resumed, &mut figures);
        self.leave()?;
        figures.disconnects = self.swarm.shared.disconnects.clone();
        figures.errors = self.swarm.shared.violations.total();
        figures.errors_by_kind = self.swarm.shared.violations.counts();
        self.swarm.shared.violations.examples().for_each(|example| eprintln!("error: {example}"));
        Ok(figures)
    }

    fn resume(&mut self) -> Resumed {
        let (unread, half_read) =
            self.swarm.conn(SLOW).map_or((0, 0), |conn| (conn.unread(), conn.half_read()));
        let at = Instant::now();
        let slow = self.swarm.peer_mut(SLOW);
        slow.watch();
        let newest_due = slow.due_tick(at).unwrap_or(0);
        self.swarm.set_reading(SLOW, true);
        Resumed { at, newest_due, own_buffers: unread + half_read }
    }
    fn look_at_the_slow_one(&self, resumed: &Resumed, figures: &mut SlowFigures) {
        let slow = self.swarm.peer(SLOW);
        let tick = Duration::from_secs(1) / self.args.game.tick_rate;
        // As the server's gate: ceil(min_rtt / tick) + 1.
        figures.gate = slow
            .core()
            .and_then(|core| core.stats().min_rtt)
            .map(|rtt| rtt.as_nanos().div_ceil(tick.as_nanos()) as u64 + 1);
        figures.own_buffer_bytes = resumed.own_buffers;
        let Some(watch) = slow.watched() else { return };
        let (stale, fresh): (Vec<&Arrival>, Vec<&Arrival>) =
            watch.arrivals.iter().partition(|arrival| arrival.tick < resumed.newest_due);
        let own = stale.iter().filter(|arrival| arrival.end <= resumed.own_buffers).count() as u64;
        let ms = |us: i64| us as f64 / 1000.0;
        figures.stale_after_resume = stale.len() as u64;
        figures.stale_in_own_buffers = own;
        figures.stale_beyond_own_buffers = stale.len() as u64 - own;
        figures.first_state_age_ms = watch.arrivals.first().map(|arrival| ms(arrival.age_us));
        if let Some(first) = fresh.first() {
            let after = first.at.saturating_duration_since(resumed.at);
            figures.first_fresh_after_ms = Some(after.as_secs_f64() * 1000.0);
            figures.first_fresh_age_ms = Some(ms(first.age_us));
        }
    }
    /// Ends one part of the measuring and begins the next.
    fn cut(&mut self, next: Duration) -> Measure {
        self.swarm.shared.cut(Instant::now(), next)
    }
    fn turn_until(&mut self, most: Duration, done: impl Fn(&Self) -> bool) -> Result<(), Failure> {
        let until = Instant::now() + most;
        while Instant::now() < until && !done(self) && !self.stop.is_set() {
            self.swarm.turn(until.min(Instant::now() + Duration::from_millis(20)))?;
        }
        Ok(())
    }
    fn leave(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        self.swarm.each(now, &mut |bot, crowd, frames| bot.leave(crowd, now, frames));
        let until = now + Duration::from_secs(2);
        while self.swarm.open() > 0 && Instant::now() < until {
            self.swarm.turn(until.min(Instant::now() + Duration::from_millis(20)))?;
        }
        Ok(())
    }
    fn rss(&self) -> Result<Option<u64>, Failure> {
        Ok(self.process.map(|process| process.rss()).transpose()?)
    }
}
