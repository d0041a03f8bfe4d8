//! What a room provides to a game during a call, and what the game can ask of it.
//!
//! What a game asks of its room is not part of its state, and a replay ignores it: its effects (a player
//! leaves) are recorded.

use crate::{
    Moment, Past, PlayerId,
    job::{JOBS_A_TICK, Job, JobError, JobId},
    past::History,
    users::{self, Users},
};
use bytes::Bytes;
use serde::Serialize;

/// Longest reason for a removal or an end, bytes. Longer ones are truncated.
pub const MAX_REASON: usize = 256;
/// Most keys that a room publishes.
pub const MAX_INFO: usize = 16;
/// Longest key that a room publishes, bytes. Longer ones are truncated.
pub const MAX_INFO_KEY: usize = 32;
/// Longest value that a room publishes, bytes. Longer ones are truncated.
pub const MAX_INFO_VALUE: usize = 128;
/// Longest name of an NPC, bytes. Longer ones are truncated.
pub const MAX_NPC_NAME: usize = 128;
/// Most NPCs that a game can request in a tick. Further requests are ignored.
pub const NPCS_A_TICK: u16 = 64;
/// Longest report, bytes of JSON. Longer ones are dropped.
pub const MAX_REPORT: usize = 16 * 1024;
/// Most reports in a tick. More are dropped.
pub const REPORTS_A_TICK: u8 = 4;
/// Longest line that a game logs, bytes. Longer ones are truncated.
pub const MAX_LOG: usize = 256;
/// Most lines that a game logs in a tick.
const LOGS_A_TICK: u8 = 8;

/// What the room provides to a game during a call, and takes from it.
#[derive(Debug)]
pub struct Step<'a, E> {
    tick: u32,
    output: &'a mut Output<E>,
    past: Option<&'a History>,
    users: &'a Users,
}

/// What a game has sent and requested since its room last looked.
#[derive(Debug)]
pub struct Output<E> {
    /// Events for players, in this order.
    pub events: Vec<(Recipient, E)>,
    /// Requests to its room, in this order.
    pub orders: Vec<Order>,
    asked: Asked,
}

/// What a game has asked for in a tick, of what is limited per tick. By tick, not by call, because a replay
/// collects a game's orders less often than its room did.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    tick: u32,
    jobs: u32,
    npcs: u16,
    reports: u8,
    logs: u8,
}

/// How much of an [`Output`] there was at some moment.
pub(crate) struct Mark {
    events: usize,
    orders: usize,
    asked: Asked,
}

/// The recipient of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipient {
    /// Every player in the room, and every spectator.
    All,
    /// One player.
    Player(PlayerId),
}

/// What a game asks of its room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Removes a player.
    Kick {
        /// The player. Nothing happens if it has no seat.
        player: PlayerId,
        /// The reason that the player is told.
        reason: String,
    },
    /// Ends the room, once its players have the newest state.
    End {
        /// The reason that they are told.
        reason: String,
    },
    /// Refuses new players from now on, or admits them again.
    CloseJoins(bool),
    /// Publishes something in the room list.
    Info {
        /// The key.
        key: String,
        /// The value. Empty: removes the key.
        value: String,
    },
    /// Gives an NPC a seat.
    SeatNpc {
        /// Display name.
        name: String,
    },
    /// Requests a job.
    Ask {
        /// Its id.
        id: JobId,
        /// The name by which its handler is found.
        job: &'static str,
        /// The job's message, encoded; or why it must not be started.
        payload: Result<Bytes, JobError>,
    },
    /// Reports something, as JSON.
    Report(String),
    /// Writes to the server's log.
    Log(String),
}

impl<'a, E> Step<'a, E> {
    /// For a room, or a game's test.
    pub fn new(tick: u32, output: &'a mut Output<E>) -> Self {
        Self { tick, output, past: None, users: &users::NONE }
    }
    pub(crate) fn of(
        tick: u32,
        output: &'a mut Output<E>,
        past: Option<&'a History>,
        users: &'a Users,
    ) -> Self {
        Self { tick, output, past, users }
    }
    /// The tick being computed. Ascends; ticks that the room had to skip are left out of the numbers, but
    /// each step still represents one tick's time.
    pub fn tick(&self) -> u32 {
        self.tick
    }
    /// The room as a player was shown it when acting: `moment` is that of its
    /// [`PlayerInput`](crate::PlayerInput). If that is longer before the newest state than the room
    /// [rewinds](crate::Simulation::rewind_ms), it is the room of so long before, and
    /// [`Past::clamped`](crate::Past::clamped) says so.
    ///
    /// None: the moment is unknown, the room has had no tick yet, or it does not rewind. Then there is only
    /// the present to judge by.
    pub fn past(&self, moment: Option<Moment>) -> Option<Past<'a>> {
        self.past?.at(moment?)
    }
    /// The user that a player with a seat is, as a token or the server's own authentication has named it: the
    /// same whenever and wherever this user plays. None: a guest, an NPC, or nobody. Recorded, so that
    /// replays know it, too. (In a game's test: [`Game::identify`](crate::Game::identify).)
    pub fn user(&self, player: PlayerId) -> Option<&'a str> {
        self.users.get(player)
    }
    /// Sends an event to every player, and to spectators, reliably.
    pub fn broadcast(&mut self, event: E) {
        self.output.events.push((Recipient::All, event));
    }
    /// Sends an event to one player, reliably.
    pub fn send(&mut self, player: PlayerId, event: E) {
        self.output.events.push((Recipient::Player(player), event));
    }
    /// Removes a player, who is told the reason and should not come back. `leave` follows.
    pub fn kick(&mut self, player: PlayerId, reason: &str) {
        self.order(Order::Kick { player, reason: bounded(reason, MAX_REASON) });
    }
    /// Ends the room: this step is its last. Its events and the state after it are still sent, then all
    /// players are told the reason, and the next join makes a new room.
    pub fn end(&mut self, reason: &str) {
        self.order(Order::End { reason: bounded(reason, MAX_REASON) });
    }
    /// Closes the room for new players, or opens it again. Players who have a seat keep it, and may come back
    /// to it after losing the connection.
    pub fn close_joins(&mut self, closed: bool) {
        self.order(Order::CloseJoins(closed));
    }
    /// Publishes a value under a key in the room list (`GET /v1/rooms`); an empty value removes the key. At
    /// most [`MAX_INFO`] keys: further ones are ignored.
    pub fn info(&mut self, key: &str, value: &str) {
        let (key, value) = (bounded(key, MAX_INFO_KEY), bounded(value, MAX_INFO_VALUE));
        self.order(Order::Info { key, value });
    }
    /// Requests a seat for an NPC: a player without a connection that the game itself controls. Before the
    /// next step, [`join_npc`](crate::Simulation::join_npc) says which player it is; [`kick`](Self::kick)
    /// ends its seat, and `leave` follows. In presence it is a member like any other, marked as an NPC.
    ///
    /// A room may have as many NPCs as players, counted separately: NPCs take no seats from people, and a
    /// room with only NPCs counts as empty. Requests beyond that, or beyond [`NPCS_A_TICK`], are ignored.
    pub fn seat_npc(&mut self, name: &str) {
        let asked = self.asked();
        if asked.npcs < NPCS_A_TICK {
            asked.npcs += 1;
            self.order(Order::SeatNpc { name: bounded(name, MAX_NPC_NAME) });
        }
    }
    /// Requests work that is too slow for a tick, to be done by the server's handler of this job. The answer
    /// arrives in [`answer`](crate::Simulation::answer) in a later tick: see [`job`](crate::job).
    ///
    /// The first [`JOBS_A_TICK`] jobs of a tick are started; more are answered with
    /// [`Busy`](crate::job::JobError::Busy).
    pub fn ask<J: Job>(&mut self, job: &J) -> JobId {
        let asked = self.asked();
        let id = JobId { tick: asked.tick, index: asked.jobs };
        asked.jobs += 1;
        let may_start = id.index < JOBS_A_TICK;
        let payload = if may_start { Ok(job.encode_to_vec().into()) } else { Err(JobError::Busy) };
        self.order(Order::Ask { id, job: J::NAME, payload });
        id
    }
    /// Reports something to the program, above all how a match has ended: listeners for the server's rooms
    /// (`Server::on`) get it as JSON. At most [`REPORTS_A_TICK`] per tick, each at most [`MAX_REPORT`] long;
    /// instead of others, a line is logged.
    pub fn report(&mut self, report: &impl Serialize) {
        let json = serde_json::to_string(report).map_err(|e| e.to_string());
        let report = match json {
            Ok(json) if json.len() > MAX_REPORT => {
                Err(format!("{} bytes, more than {MAX_REPORT}", json.len()))
            }
            Ok(_) if self.asked().reports >= REPORTS_A_TICK => {
                Err(format!("more than {REPORTS_A_TICK} in a tick"))
            }
            json => json,
        };
        match report {
            Ok(json) => {
                self.asked().reports += 1;
                self.order(Order::Report(json));
            }
            Err(why) => self.log(&format!("a report is not passed on: {why}")),
        }
    }
    /// Writes a line to the server's log, with the room's name. At most eight per tick; the server may leave
    /// some out if there are too many.
    pub fn log(&mut self, text: &str) {
        let asked = self.asked();
        if asked.logs < LOGS_A_TICK {
            asked.logs += 1;
            self.order(Order::Log(bounded(text, MAX_LOG)));
        }
    }

    /// What has been asked for in this tick.
    fn asked(&mut self) -> &mut Asked {
        let asked = &mut self.output.asked;
        if asked.tick != self.tick {
            *asked = Asked { tick: self.tick, ..Asked::default() };
        }
        asked
    }

    fn order(&mut self, order: Order) {
        self.output.orders.push(order);
    }
}

impl<E> Output<E> {
    /// Nothing.
    pub fn new() -> Self {
        Self { events: Vec::new(), orders: Vec::new(), asked: Asked::default() }
    }

    /// Takes the requests, and appends them to `out`.
    pub(crate) fn take_orders(&mut self, out: &mut Vec<Order>) {
        out.append(&mut self.orders);
    }

    /// For [`undo`](Self::undo).
    pub(crate) fn mark(&self) -> Mark {
        Mark { events: self.events.len(), orders: self.orders.len(), asked: self.asked }
    }

    /// Forgets what has come since, as if it had never been asked for. (Nothing may have been taken since.)
    pub(crate) fn undo(&mut self, mark: Mark) {
        self.events.truncate(mark.events);
        self.orders.truncate(mark.orders);
        self.asked = mark.asked;
    }
}

impl<E> Default for Output<E> {
    fn default() -> Self {
        Self::new()
    }
}

/// The text without line breaks and control characters, truncated to this length.
pub(crate) fn bounded(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise 4
    #[test]
    fn what_a_game_shows_and_logs_is_bounded() {
        let mut output = Output::<()>::new();
        let mut step = Step::new(1, &mut output);
        let long = "\u{e9}\n".repeat(1_000);
        step.info(&long, &long);
        (0..100).for_each(|_| step.log(&long));
        assert_eq!(output.orders.len(), 1 + usize::from(LOGS_A_TICK));
        (0..1_000).for_each(|_| Step::new(1, &mut output).seat_npc(&long));
        assert_eq!(output.orders.len(), 1 + usize::from(LOGS_A_TICK) + usize::from(NPCS_A_TICK));
        let Order::Info { key, value } = &output.orders[0] else { panic!("{:?}", output.orders[0]) };
        assert!((30..=MAX_INFO_KEY).contains(&key.len()) && value.len() <= MAX_INFO_VALUE);
        let Order::Log(line) = &output.orders[1] else { panic!("{:?}", output.orders[1]) };
        assert!(line.starts_with("\u{e9} \u{e9}") && line.len() <= MAX_LOG && !line.contains('\n'));

        // However often the room looks, because every join and leave makes it look.
        output.take_orders(&mut Vec::new());
        let mut step = Step::new(1, &mut output);
        step.log("more");
        step.seat_npc("more");
        (0..100).for_each(|n| step.report(&n));
        assert_eq!(output.orders.len(), usize::from(REPORTS_A_TICK));
        output.take_orders(&mut Vec::new());
        Step::new(1, &mut output).report(&5);
        assert_eq!(output.orders, []);
        Step::new(2, &mut output).log("again");
        assert_eq!(output.orders, [Order::Log("again".into())]);
    }
}
