//! A room as it was when its process failed, from its newest checkpoint and what its journal says since. It
//! knows no file and no clock: bytes come in, and a room comes out that another process can go on with.
//!
//! The room goes through its frames again: its game gets what it got, and its seats and their reliable
//! messages become what they were, with the same numbers. Then everybody is away. What had been asked of
//! others (jobs) counts as failed, and what had been told to others (reports) is not told again.

use super::{Carried, Effect, RoomCore, Undone};
use crate::{
    ground::{
        id::ConnectionId,
        seat::{ResumeToken, Seat},
        shared::RoomShared,
    },
    room::{
        journal::{Acted, Frame},
        npcs::Npc,
        schedule::Schedule,
        start,
    },
};
use driftless_proto::{code::CloseCode, limits::Limits};
use driftless_sim::{
    Answer, Away, Moment, PlayerId, PlayerInput,
    checksum::schema_checksum,
    game::{CommandError, GameKind, panic_message},
};
use std::{
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

/// How much higher the version of the list of members is after a failure than in the checkpoint: higher than
/// whatever readers have.
const MEMBERS_SINCE: u64 = 1 << 32;
/// Bytes of reliable messages that may wait while a room goes through its frames: acknowledgements are in the
/// journal once a second only.
const ALL_BYTES: usize = 1 << 40;

/// What is known of a room that failed.
#[derive(Debug)]
pub struct Failed {
    /// Its newest checkpoint.
    pub checkpoint: Carried,
    /// What its journal says since, without a gap.
    pub frames: Vec<Frame>,
    /// The last tick that it is known to have run.
    pub newest: u32,
    /// The last tick that somebody may have seen.
    pub until: u32,
    /// Ticks a second.
    pub tick_rate: u32,
    /// Most players.
    pub max_players: u32,
}

/// Restores a room. None: its game has ended it.
///
/// # Errors
/// Why that is impossible: the game has changed, or fails.
pub fn restore(failed: Failed, kind: &GameKind) -> Result<Option<Carried>, String> {
    if schema_checksum(&kind.schema()) != failed.checkpoint.schema {
        return Err("the schema of its game has changed".into());
    }
    match catch_unwind(AssertUnwindSafe(|| redo(failed, kind))) {
        Ok(restored) => restored,
        Err(panic) => Err(format!("its game panicked: {}", panic_message(&*panic))),
    }
}

/// The same; but if its journal is of no use, it goes back to its checkpoint: then there is also why.
///
/// # Errors
/// Why that is impossible, too.
pub fn restore_or_go_back(
    failed: Failed,
    kind: &GameKind,
) -> Result<(Option<Carried>, Option<String>), String> {
    let Failed { newest, until, tick_rate, max_players, .. } = failed;
    let checkpoint = (!failed.frames.is_empty()).then(|| failed.checkpoint.clone());
    match (restore(failed, kind), checkpoint) {
        (Err(why), Some(checkpoint)) => {
            let failed = Failed { checkpoint, frames: Vec::new(), newest, until, tick_rate, max_players };
            Ok((restore(failed, kind)?, Some(why)))
        }
        (restored, _) => restored.map(|carried| (carried, None)),
    }
}

fn redo(failed: Failed, kind: &GameKind) -> Result<Option<Carried>, String> {
    let Failed { checkpoint, frames, newest, until, tick_rate, max_players } = failed;
    let game = start::restore(kind, &checkpoint.state)?;
    let name: Arc<str> = checkpoint.name.as_str().into();
    let shared = RoomShared::new(checkpoint.id, name, kind.name(), tick_rate, max_players);
    let shared = Arc::new(RoomShared { spectating: checkpoint.spectating, ..shared });
    checkpoint.show(&shared);
    let limits = Limits { reliable_bytes: ALL_BYTES, ..Limits::default() };
    let schedule = Schedule::new(Instant::now(), tick_rate); // no tick is run by it
    let mut core = RoomCore::new(shared.clone(), game, kind.schema(), schedule, limits.clone(), false);
    let members = checkpoint.members.saturating_add(MEMBERS_SINCE);
    let connected: Vec<_> =
        checkpoint.seats.iter().filter(|seat| seat.connected).map(|seat| seat.player).collect();
    let seats = checkpoint.seats(&shared, &limits);
    core.tick = checkpoint.tick;
    core.take_over(checkpoint, seats);
    for player in connected {
        core.seats.attach(player, connection_of(player));
    }
    for frame in frames {
        core.redo(frame)?;
        if core.over {
            return Ok(None);
        }
    }
    let after = core.tick;
    let here: HashSet<_> =
        core.seats.iter().filter(|taken| taken.connection.is_some()).map(|taken| taken.seat.player).collect();
    loop {
        core.part(Away::Disconnected);
        if !core.carry_out() {
            break;
        }
    }
    Ok(core.carry().map(|mut carried| {
        carried.members = members;
        for seat in &mut carried.seats {
            seat.failed(until > after);
            // Only the time that is known to have passed: in the rest, there may have been nobody to come to.
            if !here.contains(&seat.player) {
                seat.absence = seat.absence.longer(newest.saturating_sub(after));
            }
        }
        if until > after {
            carried.goes_back(Undone { after, until });
        }
        carried.tick = until.max(after);
        carried
    }))
}

/// Stands for the connection that a player had.
fn connection_of(player: PlayerId) -> ConnectionId {
    ConnectionId(player.into())
}

impl RoomCore {
    /// Goes through a frame.
    fn redo(&mut self, frame: Frame) -> Result<(), String> {
        let Frame { since, tick, actions, inputs, joined, reserved, resumed, .. } = frame;
        let Frame { removed, passed, done, refused, acknowledged, checksum, .. } = frame;
        self.tick = since;
        self.carry_out_redone();
        reserved.iter().for_each(|change| self.reservations.apply(change));
        let (mut joined, mut resumed) = (joined.into_iter(), resumed.into_iter());
        let step = tick.unwrap_or(since.saturating_add(1));
        let mut begun = false;
        for action in actions {
            if !begun && action.is_of_tick() {
                begun = true;
                self.begin_tick_again();
            }
            match action {
                Acted::Join(player, name) => {
                    let joined = joined.next().filter(|joined| joined.player == player);
                    let joined = joined.ok_or("its journal has a player without a seat")?;
                    self.join_again(player, joined.user.as_str().into(), name.as_str().into(), joined.token)?;
                }
                Acted::Back(player) => {
                    let received = resumed.next().filter(|(of, _)| *of == player);
                    let (_, received) =
                        received.ok_or("its journal has a player who came back to nothing")?;
                    self.back_again(player, received)?;
                }
                action => self.act_again(action, step)?,
            }
            self.take_orders();
        }
        if tick.is_some() && !begun {
            self.begin_tick_again();
        }
        for player in removed {
            self.remove(player);
        }
        if !inputs.is_sorted_by_key(|(player, ..)| *player) || tick.is_none() && !inputs.is_empty() {
            return Err(
                "its journal has inputs that are not in the order of their players, or of no tick".into()
            );
        }
        for (player, number, moment, input) in inputs {
            let moment = moment.map(Moment::of_parts);
            let given = PlayerInput { player, number, moment, input: &input[..] };
            self.game.input(given).map_err(|e| e.to_string())?;
            self.has_applied(player, number, moment);
        }
        for (player, number, moment) in passed {
            self.has_applied(player, number, moment.map(Moment::of_parts));
        }
        let Some(tick) = tick else { return Ok(()) };
        self.tick = tick;
        self.reservations.expire(tick, self.shared.max_players);
        self.game.step(tick);
        self.take_orders();
        if checksum.is_some_and(|checksum| checksum != self.game.checksum()) {
            return Err(format!("its game does something else in tick {tick} than it did before"));
        }
        for (player, last) in acknowledged {
            self.acknowledge_again(player, last)?;
        }
        (self.done, self.refused) = (done, refused);
        self.settle_commands();
        self.deliver_events();
        Ok(())
    }

    /// Each tick begins by seating the NPCs that were asked for. Those who got seats are in its frame, and
    /// the others got none.
    fn begin_tick_again(&mut self) {
        drop(self.npcs.take_asked());
    }

    fn has_applied(&mut self, player: PlayerId, number: u32, moment: Option<Moment>) {
        if let Some(taken) = self.seats.get_mut(player) {
            taken.applied = taken.applied.max(number);
            taken.moment = taken.moment.max(moment);
        }
    }

    fn join_again(
        &mut self,
        player: PlayerId,
        user: Arc<str>,
        name: Arc<str>,
        token: ResumeToken,
    ) -> Result<(), String> {
        let (shared, limits, shown) = (self.shared.clone(), self.limits.clone(), name.clone());
        self.seats.count_from(player.saturating_sub(1));
        let connection = connection_of(player);
        let seat = self
            .seats
            .take(connection, |number, index| Seat::new(shared, number, index, user, name, token, &limits))
            .filter(|seat| seat.player == player)
            .ok_or("its journal gives a number twice")?;
        seat.outbox.lock().attach(connection, 0);
        self.game.join(self.tick + 1, player, &shown);
        Ok(())
    }

    fn back_again(&mut self, player: PlayerId, received: u64) -> Result<(), String> {
        let connection = connection_of(player);
        let taken = self.seats.get(player).ok_or("its journal has a player without a seat")?;
        {
            let mut outbox = taken.seat.outbox.lock();
            // Who has not been back since an earlier failure was sent nothing of what was queued since.
            if !outbox.queue().is_unsure() {
                outbox.queue().send_all();
            }
            // With the same result as then: what had been lost before gets the same numbers.
            if !outbox.attach(connection, received) {
                return Err("its journal has a player with messages that were never sent".into());
            }
        }
        self.seats.attach(player, connection);
        self.game.back(self.tick + 1, player);
        Ok(())
    }

    fn acknowledge_again(&mut self, player: PlayerId, last: u64) -> Result<(), String> {
        let Some(taken) = self.seats.get(player) else { return Ok(()) }; // its end is in the same frame
        let mut outbox = taken.seat.outbox.lock();
        outbox.queue().send_all();
        match outbox.queue().acked(last) {
            true => Ok(()),
            false => Err("its journal has a player who acknowledged what was never sent".into()),
        }
    }

    fn act_again(&mut self, action: Acted, tick: u32) -> Result<(), String> {
        let between = self.tick + 1;
        match action {
            Acted::Join(..) | Acted::Back(_) => {}
            Acted::User(player, user) => self.game.identify(player, &user),
            Acted::JoinNpc(player, name) => {
                self.seats.count_from(player);
                self.npcs.seat(Npc::new(player, &name));
                self.game.join_npc(between, player, &name);
            }
            Acted::Leave(player) => {
                self.game.leave(between, player);
                self.take_orders();
                if self.npcs.remove(player).is_none() {
                    self.seats.free(player);
                    self.reservations.ended(player);
                }
            }
            Acted::Away(player, why) => {
                self.seats.detach(connection_of(player), self.tick);
                self.game.away(between, player, why.into());
            }
            Acted::Command(player, payload) => match self.game.command(tick, player, &payload) {
                Ok(()) => {}
                Err(CommandError::Refused(why) | CommandError::Malformed(why)) => {
                    return Err(format!("its game refuses a command that it took before: {why}"));
                }
            },
            Acted::Answer(id, job, result) => {
                // Of the others that were pending, it is still to hear.
                self.jobs.forget(id);
                self.game.answer(tick, &Answer { id, job, result: result.map(Into::into) });
            }
        }
        self.count();
        Ok(())
    }

    /// What an earlier tick brought about was carried out in later ones, as their frames say; but whoever was
    /// to be removed is not to come back.
    fn carry_out_redone(&mut self) {
        for effect in self.take_effects() {
            if let Effect::Kick { player, .. } = effect {
                self.remove(player);
            }
        }
    }

    /// What the last tick brought about, and the end of the seats. False: there is nothing more to do.
    fn carry_out(&mut self) -> bool {
        let mut any = false;
        for effect in self.take_effects() {
            match effect {
                Effect::Kick { player, reason } => {
                    any |= self.kick(player, CloseCode::Kicked, &reason).is_some()
                }
                Effect::Unresumable(player) => any |= self.expire(player).is_some(),
                _ => {}
            }
        }
        any
    }
}

/// A new room that goes through these frames.
#[cfg(any(test, fuzzed))]
pub(crate) fn fuzz(frames: Vec<Frame>) {
    use driftless_sim::{Setup, games::cursors::Cursors};
    let (kind, setup) = (GameKind::of::<Cursors>(), Setup::new(1, 20));
    let shared = Arc::new(RoomShared::new(crate::ground::id::RoomId(1), "den".into(), kind.name(), 20, 4));
    let Ok(game) = kind.start(&setup) else { return };
    let schedule = Schedule::new(Instant::now(), 20);
    let core = RoomCore::new(shared, game, kind.schema(), schedule, Limits::default(), false);
    let Some(checkpoint) = core.checkpoint() else { return };
    let until = frames.iter().map(Frame::newest).max().unwrap_or(0);
    let failed = Failed { checkpoint, frames, newest: until, until, tick_rate: 20, max_players: 4 };
    if let Ok(Some(carried)) = restore(failed, &kind) {
        assert!(carried.tick() >= until, "ticks go on above what anybody has seen");
    }
}

#[cfg(test)]
mod tests;
