//! The queue: takes tickets, makes matches in rounds, and tells those who wait.

use super::{
    MatchError, Matchmaker,
    attendance::{NotAsked, NotNow, Party, Who},
    desk::{Assignment, Commit, Decision, LIFE_MS, Most, NotTaken, Refused, Seen, WATCHED_LIFE_MS},
    desks::{DeskAway, Desks},
    function::{MatchFunction, Proposal, Round, possible},
    groups::Groups,
    others::RoomWanted,
    ticket::{Ticket, TicketId},
};
use crate::{
    clock::{self, Clock},
    config::Config,
    factory::FactoryError,
    ground::{close::GOING_DOWN, reservation::Reservation, revocations::Revocations, source::Source},
    metrics::Metrics,
    nodes::Way,
    room::Release,
};
use futures_util::{
    StreamExt as _,
    future::{Either, join, pending, select},
    stream,
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    convert::Infallible,
    mem,
    pin::pin,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};
use tokio::{
    sync::oneshot,
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tracing::{info, warn};

/// Time between two rounds.
const ROUND: Duration = Duration::from_millis(500);
/// How long one server makes matches before another may.
pub(super) const LEASE: Duration = Duration::from_secs(3);
/// Matches that are being made at a time.
const AT_ONCE: usize = 16;
/// Matches of a kind that are made in a round, at most.
const A_ROUND: usize = 500;
/// Most bytes of a ticket, as JSON: all of them are read in each round.
const MAX_TICKET: usize = 2_048;
/// How long those are left out for whom no room may be made, milliseconds: others play meanwhile.
const ASIDE_MS: u64 = 5_000;
/// Waits from which the next ones are estimated.
const REMEMBERED: usize = 64;

/// Match functions, by kind of game.
pub(crate) type Functions = BTreeMap<String, Arc<dyn MatchFunction>>;

/// Who waits for a match.
pub(crate) struct Queue {
    desks: Desks,
    functions: Functions,
    matchmaker: Arc<Matchmaker>,
    metrics: Arc<Metrics>,
    /// Users who may not play, whatever tickets they have.
    revocations: Arc<Revocations>,
    /// Most tickets, and those of one source: it has as many players as may play from there.
    most: Most,
    /// Names this server among those that make matches.
    me: String,
    /// What recent matches have waited, by kind, milliseconds.
    waits: Mutex<BTreeMap<String, VecDeque<u64>>>,
    waiters: Waiters,
    watched: Mutex<Watched>,
    /// Tickets that have found others, but no room may be made for them: until when they are left out.
    aside: Mutex<HashMap<TicketId, u64>>,
}

/// Tickets of which somebody reads what becomes of them.
#[derive(Debug, Default)]
struct Watched {
    /// By how many.
    by: BTreeMap<TicketId, usize>,
    /// Those of which nobody does any more, until the desk knows.
    left: BTreeSet<TicketId>,
}

/// Somebody reads what becomes of a ticket, until this is dropped.
pub(crate) struct Watch {
    queue: Arc<Queue>,
    id: TicketId,
}

/// Who waits here for the matches of tickets.
#[derive(Default)]
struct Waiters(Mutex<HashMap<TicketId, Vec<oneshot::Sender<()>>>>);

/// What a party that comes says.
pub(crate) struct QueueTicket {
    pub(crate) kind: String,
    pub(crate) user: Option<Arc<str>>,
    pub(crate) party: u32,
    pub(crate) skill: f64,
    pub(crate) latencies: BTreeMap<String, u32>,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) filter: String,
    /// None: nobody in particular.
    pub(crate) source: Option<Source>,
}

/// Why there is no ticket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueueError {
    #[error("there is no queue for {0:?}: the server's `queue` names the kinds that have one")]
    NoQueue(String),
    #[error("{GOING_DOWN}")]
    Draining,
    #[error("{0} tickets wait already: try again")]
    Full(usize),
    #[error("{of} waits for as many players as one address may have: {max}")]
    SourceFull { of: Source, max: usize },
    #[error("a party of {party} is never matched for {kind:?}: a team has {most} players at most")]
    PartyTooLarge { kind: String, party: u32, most: u32 },
    #[error(
        "a ticket takes at most {MAX_TICKET} bytes, and this one {0}: of attributes, latencies and filter"
    )]
    TooLarge(usize),
    #[error(transparent)]
    NotNow(#[from] NotNow),
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    #[error(transparent)]
    Away(#[from] DeskAway),
}

impl From<NotAsked> for QueueError {
    fn from(error: NotAsked) -> Self {
        match error {
            NotAsked::NotNow(why) => why.into(),
            NotAsked::Away(why) => why.into(),
        }
    }
}

/// What is known of a ticket.
pub(crate) struct Look {
    pub(crate) seen: Seen,
    /// How long it has waited, milliseconds.
    pub(crate) waited_ms: u64,
    /// How much longer it will, as far as recent matches tell.
    pub(crate) estimate_ms: Option<u64>,
}

impl Queue {
    /// A queue of the kinds that the configuration names, and of those that have a function of their own.
    pub(crate) fn new(
        config: &Config,
        mut functions: Functions,
        matchmaker: Arc<Matchmaker>,
        metrics: Arc<Metrics>,
        revocations: Arc<Revocations>,
    ) -> Arc<Self> {
        for size in config.queue.iter() {
            let groups = || Arc::new(Groups::new(size.teams, size.team_size)) as Arc<dyn MatchFunction>;
            functions.entry(size.kind.clone()).or_insert_with(groups);
        }
        let me = format!("{:032x}", getrandom::u64().unwrap_or_default());
        let (waits, waiters, watched) = (Mutex::default(), Waiters::default(), Mutex::default());
        let desks = Desks::new(Way::of(config));
        let most = Most { tickets: config.queue_tickets, of_source: config.max_connections_per_address };
        let aside = Mutex::default();
        Arc::new(Self {
            desks,
            functions,
            matchmaker,
            metrics,
            revocations,
            most,
            me,
            waits,
            waiters,
            watched,
            aside,
        })
    }

    /// Whether it makes no more matches, and no other server makes them instead.
    fn is_closed(&self) -> bool {
        self.matchmaker.is_draining() && !self.desks.are_shared()
    }

    /// Whether it has anything to do.
    pub(crate) fn is_used(&self) -> bool {
        !self.functions.is_empty()
    }

    /// Takes a ticket.
    pub(crate) async fn add(&self, wanted: QueueTicket) -> Result<TicketId, QueueError> {
        let Some(function) = self.functions.get(&wanted.kind) else {
            return Err(QueueError::NoQueue(wanted.kind));
        };
        if self.is_closed() {
            return Err(QueueError::Draining);
        }
        let (party, most) = (wanted.party, function.most_party());
        if party > most {
            return Err(QueueError::PartyTooLarge { kind: wanted.kind, party, most });
        }
        let id = TicketId::random().map_err(QueueError::Random)?;
        let QueueTicket { user, party, skill, latencies, attributes, filter, kind: of, source } = wanted;
        let source = source.filter(|source| !source.is_loopback());
        let new = Ticket::new(id, &of, party);
        let since_ms = unix_ms();
        let ticket = Ticket { user, skill, latencies, attributes, filter, since_ms, source, ..new };
        let size = serde_json::to_vec(&ticket).map_or(0, |says| says.len());
        if size > MAX_TICKET {
            return Err(QueueError::TooLarge(size));
        }
        // Whoever has a match goes there first, and spoils no others after it.
        self.matchmaker.attendance.check(&Who::new(ticket.user.clone(), source)).await?;
        match self.desks.add(ticket, self.most).await? {
            Ok(()) => Ok(id),
            Err(NotTaken::Full) => Err(QueueError::Full(self.most.tickets)),
            Err(NotTaken::SourceFull) => {
                let of = source.unwrap_or(Source::UNKNOWN);
                Err(QueueError::SourceFull { of, max: self.most.of_source })
            }
        }
    }

    /// Looks at a ticket; while it waits, for at most so long. None: there is none.
    pub(crate) async fn look(&self, id: TicketId, wait: Duration) -> Result<Option<Look>, QueueError> {
        self.look_for(id, wait, LIFE_MS).await
    }

    /// The ticket stays for `life_ms` after each look.
    async fn look_for(&self, id: TicketId, wait: Duration, life_ms: u64) -> Result<Option<Look>, QueueError> {
        // From now on, so that nothing is missed.
        let decided = self.waiters.wait(id);
        let mut seen = self.desks.look(id, life_ms).await?;
        if let Some(Seen::Waiting(_)) = seen
            && timeout(wait, decided).await.is_ok()
        {
            seen = self.desks.look(id, life_ms).await?;
        }
        match &seen {
            None | Some(Seen::Waiting(_)) if self.is_closed() => Err(QueueError::Draining),
            Some(Seen::Waiting(ticket)) if self.is_revoked(ticket) => {
                self.desks.cancel(id).await?;
                Ok(None)
            }
            _ => Ok(seen.map(|seen| self.known(seen))),
        }
    }

    /// Somebody begins to read what becomes of a ticket.
    pub(crate) fn watch(self: &Arc<Self>, id: TicketId) -> Watch {
        let mut watched = self.watched.lock();
        watched.left.remove(&id);
        *watched.by.entry(id).or_default() += 1;
        Watch { queue: self.clone(), id }
    }

    /// Tells the desk of tickets that nobody reads about any more.
    async fn tell_left(&self) -> Result<(), DeskAway> {
        let left = std::mem::take(&mut self.watched.lock().left);
        for id in left {
            self.desks.away(id).await?;
        }
        Ok(())
    }

    fn known(&self, seen: Seen) -> Look {
        let Seen::Waiting(ticket) = &seen else { return Look { seen, waited_ms: 0, estimate_ms: None } };
        let waited_ms = ticket.waited_ms(unix_ms());
        let usual = self.waits.lock().get(&ticket.kind).and_then(median);
        let least = ROUND.as_millis() as u64;
        Look { waited_ms, estimate_ms: usual.map(|usual| usual.saturating_sub(waited_ms).max(least)), seen }
    }

    /// Takes a ticket back. Returns what it was; None: there is none.
    pub(crate) async fn cancel(&self, id: TicketId) -> Result<Option<Seen>, QueueError> {
        Ok(self.desks.cancel(id).await?)
    }

    /// Makes matches, and tells those who wait here of matches that other servers have made, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        if !self.is_used() {
            return;
        }
        let make = async {
            let mut is_away = false;
            loop {
                sleep(ROUND).await;
                // If that fails, they are soon over: nobody has looked at them.
                let told = self.tell_left().await;
                if self.matchmaker.is_draining() {
                    self.metrics.matching.tickets_waiting.set(0);
                    continue;
                }
                let round = self.round().await.and(told);
                let was_away = mem::replace(&mut is_away, round.is_err());
                match round {
                    Err(DeskAway(why)) if !was_away => warn!(why, "no matches can be made at present"),
                    Err(_) => {
                        self.metrics.matching.tickets_waiting.set(0);
                    }
                    Ok(()) if was_away => info!("matches can be made again"),
                    Ok(()) => {}
                }
            }
        };
        let look = async {
            loop {
                sleep(ROUND).await;
                // Whoever waits in vain looks again.
                let waiting = self.waiters.tickets();
                let decided = match self.is_closed() {
                    true => waiting,
                    false => self.desks.decided(&waiting).await.unwrap_or_default(),
                };
                self.waiters.tell(&decided);
            }
        };
        let ((), ()) = join(make, look).await;
    }

    async fn round(&self) -> Result<(), DeskAway> {
        let (mut waiting, mut made_some) = (0, false);
        for (kind, function) in &self.functions {
            let Some(epoch) = self.desks.lead(&self.me, LEASE).await? else {
                self.metrics.matching.tickets_waiting.set(0);
                return Ok(());
            };
            let mut tickets = self.desks.waiting(kind).await?;
            self.remove_revoked(&mut tickets).await?;
            waiting += tickets.len();
            self.leave_out(&mut tickets);
            if tickets.is_empty() {
                continue;
            }
            let (function, backfills) = (function.clone(), self.matchmaker.backfills(kind));
            let (seed, start) = (getrandom::u64().unwrap_or(epoch), Instant::now());
            let proposed = spawn_blocking(move || {
                let round = Round { now_ms: unix_ms(), seed, tickets: &tickets, backfills: &backfills };
                let mut proposals = possible(&round, function.propose(&round));
                proposals.truncate(A_ROUND);
                let made = proposals.into_iter().map(|proposal| Making::of(&*function, &round, proposal));
                made.collect::<Vec<_>>()
            });
            // A function that panics makes no matches.
            let Ok(made) = self.while_leading(epoch, proposed).await else { continue };
            made_some |= !made.is_empty();
            self.metrics.matching.round.observe(start.elapsed());
            let making = made.into_iter().map(|making| self.make(epoch, kind, making));
            // A game may take longer to start than the lease lasts.
            self.while_leading(epoch, stream::iter(making).buffer_unordered(AT_ONCE).collect::<()>()).await;
        }
        self.metrics.matching.tickets_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        if made_some {
            // Rooms are made where matches are: each server has its turn.
            self.desks.give_way(&self.me).await?;
        }
        Ok(())
    }

    /// Whether its user may not play any more.
    fn is_revoked(&self, ticket: &Ticket) -> bool {
        ticket.user.as_ref().is_some_and(|user| self.revocations.is_revoked(user, clock::now()))
    }

    /// Removes the tickets of users who may not play any more.
    async fn remove_revoked(&self, tickets: &mut Vec<Ticket>) -> Result<(), DeskAway> {
        for revoked in tickets.extract_if(.., |ticket| self.is_revoked(ticket)) {
            self.desks.cancel(revoked.id).await?;
        }
        Ok(())
    }

    /// Leaves out those for whom no room may be made.
    fn leave_out(&self, tickets: &mut Vec<Ticket>) {
        let (mut aside, now) = (self.aside.lock(), unix_ms());
        aside.retain(|_, until| *until > now);
        tickets.retain(|ticket| !aside.contains_key(&ticket.id));
    }

    /// Goes on leading until something is done, however long it takes. (If another server leads by then, no
    /// match is made of it.)
    async fn while_leading<T>(&self, epoch: u64, doing: impl Future<Output = T>) -> T {
        let lead = async {
            loop {
                sleep(LEASE / 3).await;
                // One that does not answer may know again the next time.
                if self.desks.lead(&self.me, LEASE).await.is_ok_and(|leads| leads != Some(epoch)) {
                    return pending::<Infallible>().await;
                }
            }
        };
        match select(pin!(doing), pin!(lead)).await {
            Either::Left((done, _)) => done,
            Either::Right((never, _)) => match never {},
        }
    }

    /// Keeps the seats of a match, then gives it to its tickets.
    async fn make(&self, epoch: u64, kind: &str, making: Making) {
        let Making { teams, options, room, region } = making;
        // No room is made for nothing.
        match self.desks.lead(&self.me, LEASE).await {
            Ok(Some(now)) if now == epoch => {}
            Ok(_) => return,
            Err(DeskAway(why)) => return warn!(why, "a match cannot be made"),
        }
        let seats =
            teams.iter().flatten().map(|ticket| Reservation::of_party(ticket.party, ticket.user.as_ref()));
        let seats = seats.collect::<Result<Vec<_>, _>>();
        let Ok(seats) = seats else { return };
        let all = seats.concat();
        let reserved = match &room {
            Some(room) => self.matchmaker.keep(room, &all).await,
            None => {
                let sources = teams.iter().flatten().filter_map(|ticket| ticket.source);
                let wanted = RoomWanted { kind: kind.to_owned(), options, seats: all, of: sources.collect() };
                self.matchmaker.make_for_queue(region.as_deref(), wanted).await
            }
        };
        let reserved = match reserved {
            Ok(reserved) => reserved,
            Err(error) => {
                if let MatchError::Factory(FactoryError::TooManyRoomsOfAddress { .. }) = error {
                    let until = unix_ms() + ASIDE_MS;
                    self.aside.lock().extend(teams.iter().flatten().map(|ticket| (ticket.id, until)));
                }
                if let MatchError::Factory(FactoryError::BadOptions(_)) = error {
                    return self.refuse(epoch, kind, &teams, &error).await;
                }
                return warn!(kind, %error, "there is no room for a match: its tickets wait");
            }
        };
        let lasts_ms = reserved.lasts.as_millis() as u64;
        let with_teams =
            teams.iter().enumerate().flat_map(|(team, all)| all.iter().map(move |one| (team, one)));
        let assigned = |((team, ticket), seats): ((usize, &Ticket), &Vec<Reservation>)| {
            let assignment = Assignment {
                room: reserved.room.clone(),
                kind: kind.to_owned(),
                team: u32::try_from(team).unwrap_or(u32::MAX),
                reservations: seats.iter().map(|seat| seat.token.to_text()).collect(),
                lasts_ms,
                url: reserved.at.as_ref().map(|at| at.url.clone()),
                quic: reserved.at.as_ref().and_then(|at| at.quic.clone()),
            };
            (ticket.id, Decision::Match(assignment))
        };
        let made: Vec<_> = with_teams.zip(&seats).map(assigned).collect();
        let party = |(ticket, seats): (&Ticket, &Vec<Reservation>)| Party {
            who: Who::new(ticket.user.clone(), ticket.source),
            tokens: seats.iter().map(|seat| seat.token).collect(),
        };
        let parties: Vec<_> = teams.iter().flatten().zip(&seats).map(party).collect();
        let named: Vec<_> = seats.iter().flat_map(|seats| seats.first()).map(|seat| seat.token).collect();
        // Before anybody is told, who would come at once.
        if let Err(DeskAway(why)) = self.matchmaker.attendance.expect(parties, reserved.lasts).await {
            return warn!(why, "a match cannot be made");
        }
        // Meanwhile, too.
        let committed = match teams.iter().flatten().any(|ticket| self.is_revoked(ticket)) {
            true => Ok(Commit::Gone),
            false => self.desks.commit(epoch, &made).await,
        };
        match committed {
            Ok(Commit::Done) => {
                self.count(kind, &teams);
                self.waiters.tell(&made.iter().map(|(id, _)| *id).collect::<Vec<_>>());
            }
            Ok(Commit::LeaseLost | Commit::Gone) => {
                if let Err(DeskAway(why)) = self.matchmaker.attendance.forget(&named).await {
                    warn!(why, "those whose match was not made may count as not having come");
                }
                // One that is elsewhere gives them up at their deadline.
                if let Some(listed) = reserved.here {
                    let tokens = seats.iter().flatten().map(|seat| seat.token).collect();
                    listed.room.do_send(Release(tokens));
                }
            }
            // They may have it. If not, the seats are free at their deadline.
            Err(DeskAway(why)) => warn!(why, "it is unknown whether a match was made"),
        }
    }

    /// Says that there is no match for these, whom the game would refuse again and again.
    async fn refuse(&self, epoch: u64, kind: &str, teams: &[Vec<Ticket>], why: &MatchError) {
        warn!(kind, %why, "a match is refused, and its tickets: do options() of the match function fit the game?");
        let refused = || Decision::Refused(Refused { refused: why.to_string(), lasts_ms: LIFE_MS });
        let all: Vec<_> = teams.iter().flatten().map(|ticket| (ticket.id, refused())).collect();
        if let Ok(Commit::Done) = self.desks.commit(epoch, &all).await {
            self.waiters.tell(&all.iter().map(|(id, _)| *id).collect::<Vec<_>>());
        }
    }

    fn count(&self, kind: &str, teams: &[Vec<Ticket>]) {
        let now = unix_ms();
        let mut waits = self.waits.lock();
        let recent = waits.entry(kind.to_owned()).or_default();
        for ticket in teams.iter().flatten() {
            let waited = ticket.waited_ms(now);
            self.metrics.matching.wait.observe(Duration::from_millis(waited));
            if recent.len() == REMEMBERED {
                recent.pop_front();
            }
            recent.push_back(waited);
        }
        self.metrics.matching.from_queue.inc();
    }
}

impl Watch {
    /// The same as [`Queue::look`], again and again.
    pub(crate) async fn look(&self, wait: Duration) -> Result<Option<Look>, QueueError> {
        self.queue.look_for(self.id, wait, WATCHED_LIFE_MS).await
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = self.queue.watched.lock();
        let Some(by) = watched.by.get_mut(&self.id) else { return };
        *by -= 1;
        if *by == 0 {
            watched.by.remove(&self.id);
            watched.left.insert(self.id);
        }
    }
}

impl Waiters {
    /// Is answered when the ticket waits no longer.
    fn wait(&self, id: TicketId) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        self.0.lock().entry(id).or_default().push(tell);
        told
    }

    /// Those for which somebody waits.
    fn tickets(&self) -> Vec<TicketId> {
        let mut waiters = self.0.lock();
        waiters.retain(|_, of| {
            of.retain(|tell| !tell.is_closed());
            !of.is_empty()
        });
        waiters.keys().copied().collect()
    }

    fn tell(&self, decided: &[TicketId]) {
        let mut waiters = self.0.lock();
        for tell in decided.iter().filter_map(|id| waiters.remove(id)).flatten() {
            let _ = tell.send(());
        }
    }
}

/// A match that is to be made.
struct Making {
    teams: Vec<Vec<Ticket>>,
    /// For a room that is made for it.
    options: String,
    /// The room that wants them. None: a new one.
    room: Option<String>,
    /// Where that should be. None: anywhere.
    region: Option<String>,
}

impl Making {
    fn of(function: &dyn MatchFunction, round: &Round<'_>, proposal: Proposal) -> Self {
        let of_team = |team: &Vec<usize>| team.iter().map(|at| round.tickets[*at].clone()).collect();
        let teams: Vec<Vec<Ticket>> = proposal.teams.iter().map(of_team).collect();
        let room = proposal.backfill.and_then(|at| Some(round.backfills.get(at)?.room.name.clone()));
        let options = if room.is_none() { function.options(&teams) } else { String::new() };
        Self { teams, options, room, region: proposal.region }
    }
}

fn median(waits: &VecDeque<u64>) -> Option<u64> {
    let mut sorted: Vec<_> = waits.iter().copied().collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

/// The queue's clock: milliseconds since 1970, as the system's clock showed at the start. It goes on evenly
/// when that is set, or all tickets would be over.
pub(super) fn unix_ms() -> u64 {
    static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::among_nodes);
    CLOCK.now() / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{self, Machine};

    #[test]
    fn the_queues_clock_goes_on_evenly_when_the_systems_is_set() {
        let before = unix_ms();
        for hours in [1, 1_000_000] {
            let shows = Duration::from_secs(hours * 3_600);
            Machine { boot: "".into(), at: clock::now(), shows, up: Duration::ZERO }.enter();
            assert!((before..before + 3_600_000).contains(&unix_ms()));
        }
    }
}
