//! A room that fails goes on as if it had not: whatever happens in it, what its journal makes of its first
//! newest checkpoint is what it was.

use super::*;
use crate::{
    ground::{
        id::RoomId,
        reservation::{Reservation, ReservationToken},
    },
    room::{
        jobs::Asked,
        journal::{Journal, Written},
        reports::ReportLimit,
        schedule::Due,
    },
};
use bytes::Bytes;
use driftless_proto::session::server::PlayerInput as Sent;
use driftless_sim::{Schema, Setup, Simulation, Snapshot, Step, Validation, job::Job};
use parking_lot::Mutex;
use proptest::prelude::*;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

const PLAYERS: u32 = 3;

/// What a player sends, as an input or as a command.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Say {
    #[prost(int32, tag = "1")]
    what: i32,
}

/// Work for others.
#[derive(Clone, PartialEq, prost::Message)]
struct Ask {}

impl Job for Ask {
    const NAME: &'static str = "ask";
    type Answer = Say;
}

/// Of inputs, 1 is rejected, 2 reported, and 3 changed. Of commands, 0 asks for NPCs, 1 is refused, 2 removes
/// the player, 3 an NPC, and 4 requests two jobs.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Diary {
    people: BTreeMap<PlayerId, i64>,
    npcs: Vec<PlayerId>,
    told: i64,
}

impl Diary {
    fn note(&mut self, player: PlayerId, what: i64) {
        let page = self.people.entry(player).or_default();
        *page = page.wrapping_mul(31).wrapping_add(what);
    }
}

impl Simulation for Diary {
    const KIND: &'static str = "diary";
    type Input = Say;
    type Command = Say;
    type Event = Say;
    type Options = ();

    fn schema() -> Schema {
        Schema::new().kind("page", |kind| kind.hold("all", &["x"], 1))
    }
    fn new(_setup: &Setup) -> Result<Self, String> {
        Ok(Self::default())
    }
    fn join(&mut self, player: PlayerId, _name: &str, step: &mut Step<'_, Say>) {
        self.note(player, 100);
        step.seat_npc("a companion");
    }
    fn join_npc(&mut self, player: PlayerId, _name: &str, step: &mut Step<'_, Say>) {
        self.npcs.push(player);
        if self.npcs.len() == 1 {
            step.seat_npc("a friend");
        }
    }
    fn leave(&mut self, player: PlayerId, step: &mut Step<'_, Say>) {
        self.people.remove(&player);
        self.npcs.retain(|npc| *npc != player);
        step.broadcast(Say { what: player as i32 });
    }
    fn away(&mut self, player: PlayerId, _why: Away, _step: &mut Step<'_, Say>) {
        self.note(player, 101);
    }
    fn back(&mut self, player: PlayerId, _step: &mut Step<'_, Say>) {
        self.note(player, 102);
    }
    fn validate(&self, _player: PlayerId, input: &Say) -> Validation<Say> {
        match input.what {
            1 => Validation::Reject,
            2 => Validation::report("it says 2".to_owned()),
            3 => Validation::Clamp(Say { what: 4 }),
            _ => Validation::Accept,
        }
    }
    fn command(&mut self, player: PlayerId, said: Say, step: &mut Step<'_, Say>) -> Result<(), String> {
        match said.what {
            0 => (0..3).for_each(|_| step.seat_npc("another")),
            1 => return Err("no".into()),
            2 => step.kick(player, "as it wishes"),
            3 => self.npcs.first().into_iter().for_each(|npc| step.kick(*npc, "as others wish")),
            4 => {
                step.ask(&Ask {});
                step.ask(&Ask {});
            }
            _ => {}
        }
        self.note(player, said.what.into());
        step.broadcast(said);
        Ok(())
    }
    fn answer(&mut self, answer: &Answer, step: &mut Step<'_, Say>) {
        self.note(PlayerId::MAX, i64::from(answer.id.tick) * 10 + i64::from(answer.id.index));
        if answer.id.index == 1 {
            step.ask(&Ask {}); // and so on
        }
        step.broadcast(Say { what: 8 });
    }
    fn step(&mut self, inputs: &[PlayerInput<Say>], _step: &mut Step<'_, Say>) {
        for input in inputs {
            self.note(input.player, input.input.what.into());
        }
        self.told += self.people.values().sum::<i64>() % 7;
    }
    fn snapshot(&self, out: &mut Snapshot) {
        let people = self.people.iter().filter(|(player, _)| **player != PlayerId::MAX);
        people.for_each(|(player, x)| out.table_mut(0).push(*player, &[*x as i32]));
    }
}

/// The frames of a room.
#[derive(Debug, Clone, Default)]
struct Frames(Arc<Mutex<Vec<Vec<u8>>>>);

impl Journal for Frames {
    fn is_full(&self) -> bool {
        true
    }
    fn write(&mut self, frame: &Written<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.0.lock().push(bytes);
    }
}

/// What happens. Numbers choose among the players who are there.
#[derive(Debug, Clone)]
enum What {
    Join,
    /// Two seats are kept for so many ticks.
    Reserve(u32),
    /// Somebody comes with a token; whether or not the welcome arrives.
    Take(usize, bool),
    Release(usize),
    Lose(usize),
    Resume(usize),
    Leave(usize),
    Expire(usize),
    /// An operator removes a player.
    Kick(usize),
    Input(usize, i32),
    /// Bytes that are no input.
    BadInput(usize),
    Command(usize, i32),
    /// A player acknowledges what there is.
    Acknowledge(usize),
    /// A job is answered.
    Answered(usize),
    Tick,
    /// A tick, after which there is a checkpoint: the room goes on from that one.
    Checkpoint,
}
use What::*;

struct Story {
    core: RoomCore,
    frames: Frames,
    /// The newest checkpoint.
    beginning: Carried,
    jobs: Vec<Asked>,
    seats: Vec<(Arc<Seat>, u32, u64)>,
    connections: u64,
    tokens: Vec<ReservationToken>,
}

fn kind() -> GameKind {
    GameKind::of::<Diary>()
}

impl Story {
    fn new() -> Self {
        let shared = Arc::new(RoomShared::new(RoomId(9), "den".into(), kind().name(), 20, PLAYERS));
        let setup = Setup { max_players: PLAYERS, ..Setup::new(5, 20) };
        let schedule = Schedule::new(Instant::now(), 20);
        let game = kind().start(&setup).unwrap();
        let mut core = RoomCore::new(shared, game, kind().schema(), schedule, Limits::default(), false);
        core.limit_reports(ReportLimit { reports: 3, within: 100 });
        let frames = Frames::default();
        core.keep_journal(Box::new(frames.clone()));
        let beginning = core.checkpoint().unwrap();
        Self {
            core,
            frames,
            beginning,
            jobs: Vec::new(),
            seats: Vec::new(),
            connections: 0,
            tokens: Vec::new(),
        }
    }

    fn happens(&mut self, what: &What) {
        self.connections += 1;
        let (core, connection) = (&mut self.core, ConnectionId(self.connections));
        let at = match what {
            Join | Reserve(_) | Take(..) | Release(_) | Tick | Checkpoint => 0,
            Lose(n)
            | Acknowledge(n)
            | Answered(n)
            | Resume(n)
            | Leave(n)
            | Expire(n)
            | Kick(n)
            | Input(n, _)
            | BadInput(n)
            | Command(n, _) => *n,
        };
        let count = self.seats.len();
        let of = self.seats.get_mut(at % count.max(1));
        let of = of.map(|(seat, inputs, commands)| (seat.clone(), inputs, commands));
        let connected = |core: &RoomCore, seat: &Seat| core.seats().get(seat.player)?.connection;
        let effects = match (what, of) {
            (Join, _) => {
                let name: Arc<str> = format!("n{connection}").into();
                if let Ok(seat) = core.join(connection, name.clone(), name) {
                    self.seats.push((seat, 0, 0));
                }
                false
            }
            (Reserve(ticks), _) => {
                let reservation = || Reservation { token: ReservationToken::random().unwrap(), user: None };
                let reservations = vec![reservation(), reservation()];
                let tokens: Vec<_> = reservations.iter().map(|reservation| reservation.token).collect();
                if core.reserve(reservations, core.tick_number() + ticks).is_ok() {
                    self.tokens.extend(tokens);
                }
                false
            }
            (Take(n, welcomed), _) => {
                let name: Arc<str> = format!("n{connection}").into();
                let token = self.tokens.get(n % self.tokens.len().max(1)).copied();
                match token.map(|token| core.join_reserved(connection, name.clone(), name, token)) {
                    Some(Ok(seat)) if *welcomed => self.seats.push((seat, 0, 0)),
                    _ => drop(core.lost(connection, false, Away::Disconnected)),
                }
                false
            }
            (Release(n), _) => {
                let token = self.tokens.get(n % self.tokens.len().max(1)).copied();
                core.release(token.as_slice());
                false
            }
            (Tick | Checkpoint, _) => {
                let tick = u64::from(core.tick_number()) + 1;
                core.tick(Due { tick, late: Duration::ZERO, skipped: 0 }).unwrap();
                if let (Checkpoint, Some(checkpoint)) = (what, core.checkpoint()) {
                    self.beginning = checkpoint;
                    self.frames.0.lock().clear();
                }
                true
            }
            (Answered(n), _) => {
                let at = n % self.jobs.len().max(1);
                if let Some(Asked { id, job, .. }) = self.jobs.get(at).cloned() {
                    self.jobs.remove(at);
                    core.answered(Answer { id, job: job.to_owned(), result: Ok(Bytes::new()) });
                }
                false
            }
            (_, None) => false,
            (Acknowledge(_), Some((seat, ..))) => {
                if connected(core, &seat).is_some() {
                    let received = received(&seat);
                    assert!(seat.outbox.lock().queue().acked(received));
                }
                false
            }
            (Lose(_), Some((seat, ..))) => {
                connected(core, &seat).and_then(|old| core.lost(old, true, Away::TimedOut));
                false
            }
            (Resume(_), Some((seat, ..))) => {
                let received = received(&seat);
                core.resume(connection, seat.player, seat.token, received).is_ok()
            }
            (Leave(_), Some((seat, ..))) => {
                connected(core, &seat).and_then(|old| core.leave(old));
                false
            }
            (Expire(_), Some((seat, ..))) => {
                core.expire(seat.player);
                false
            }
            (Kick(_), Some((seat, ..))) => core.kick(seat.player, CloseCode::Kicked, "go").is_some(),
            (Input(_, said), Some((seat, inputs, _))) => {
                *inputs += 1;
                let payload = Say { what: *said }.encode_to_vec().into();
                seat.take_input(Sent { sequence: *inputs, moment: None, payload });
                false
            }
            (BadInput(_), Some((seat, inputs, _))) => {
                *inputs += 1;
                seat.take_input(Sent {
                    sequence: *inputs,
                    moment: None,
                    payload: Bytes::from_static(b"\xff"),
                });
                false
            }
            (Command(_, said), Some((seat, _, commands))) => {
                *commands += 1;
                seat.take_command(*commands, Some(Say { what: *said }.encode_to_vec().into()));
                false
            }
        };
        if effects {
            self.carry_out();
        }
    }

    /// As the room's shell does. Connections that are closed do not end yet.
    fn carry_out(&mut self) {
        for effect in self.core.take_effects() {
            match effect {
                Effect::Kick { player, reason } => {
                    drop(self.core.kick(player, CloseCode::Kicked, &reason));
                }
                Effect::Unresumable(player) => drop(self.core.expire(player)),
                Effect::Ask(Asked { id, job, payload: Err(error) }) => {
                    self.core.answered(Answer { id, job: job.to_owned(), result: Err(error) });
                }
                Effect::Ask(asked) => self.jobs.push(asked),
                _ => {}
            }
        }
    }

    /// The room as it is, and as it is made of its beginning and its journal.
    fn ends(mut self) -> (Carried, Carried) {
        let checkpoint = postcard::from_bytes(&postcard::to_stdvec(&self.beginning).unwrap()).unwrap();
        let frames = self.frames.0.lock().iter().map(|bytes| Frame::decode(bytes).unwrap()).collect();
        let until = self.core.tick_number();
        let failed = Failed { checkpoint, frames, newest: until, until, tick_rate: 20, max_players: PLAYERS };
        let mut restored = restore(failed, &kind()).unwrap().unwrap();
        loop {
            self.core.part(Away::Disconnected);
            if !self.core.carry_out() {
                break;
            }
        }
        let mut lived = self.core.carry().unwrap();
        lived.members = restored.members;
        lived.seats.iter_mut().for_each(|seat| seat.failed(false));
        // Answers that have come since the last tick are lost with the process.
        lived.fail_jobs();
        restored.fail_jobs();
        (lived, restored)
    }
}

/// The number of the last message, if the player has received them all.
fn received(seat: &Seat) -> u64 {
    let mut outbox = seat.outbox.lock();
    while outbox.queue().pop_unsent().is_some() {}
    outbox.queue().save().sent
}

fn survives(story: &[What]) {
    let mut room = Story::new();
    story.iter().for_each(|what| room.happens(what));
    room.happens(&Tick);
    let (mut lived, mut restored) = room.ends();
    // Places that were free at the checkpoint are not there any more.
    lived.seats.sort_by_key(|seat| seat.player);
    restored.seats.sort_by_key(|seat| seat.player);
    // The journal has acknowledgements once a second: the next resume says what the player has.
    for (lived, restored) in lived.seats.iter().zip(&mut restored.seats) {
        restored.acknowledge(lived.acknowledged());
    }
    let shown = |carried: &Carried| format!("{carried:?}");
    assert_eq!(shown(&lived), shown(&restored));
}

#[test]
fn an_input_that_the_game_rejects_stays_confirmed() {
    survives(&[Join, Input(0, 5), Tick, Input(0, 1), Tick]);
    survives(&[Join, Input(0, 5), Input(0, 2)]);
    survives(&[Join, BadInput(0)]);
}

#[test]
fn who_has_come_back_with_messages_since_the_checkpoint_has_them() {
    survives(&[Join, Command(0, 5), Tick, Command(0, 6), Tick, Lose(0), Tick, Resume(0), Tick]);
}

// "Every job is answered once, if only with a JobError, as long as its room exists."
#[test]
fn jobs_that_were_pending_at_a_checkpoint_are_answered_once_each() {
    survives(&[Join, Command(0, 4), Tick, Checkpoint, Answered(0), Tick]);
    survives(&[Join, Command(0, 4), Checkpoint, Tick, Command(0, 4), Tick, Answered(1), Tick, Tick]);
    let mut room = Story::new();
    [Join, Command(0, 4), Checkpoint, Answered(0), Tick].iter().for_each(|what| room.happens(what));
    let answers = room.ends().1.jobs();
    assert_eq!(answers.len(), 1, "the other one has yet to be answered");
}

#[test]
fn a_checkpoint_has_what_waits_and_who_is_away() {
    survives(&[Join, Join, Lose(0), Command(1, 0), Checkpoint, Tick, Tick, Command(1, 0), Tick]);
    survives(&[Join, Command(0, 5), Checkpoint, Command(0, 6), Tick, Lose(0), Tick, Resume(0), Tick]);
    survives(&[Join, Lose(0), Checkpoint, Tick, Resume(0), Checkpoint, Command(0, 5), Tick]);
    // A place that was free is taken again.
    survives(&[Join, Join, Leave(2), Checkpoint, Join, Join, Kick(5), BadInput(2)]);
}

#[test]
fn a_room_whose_journal_is_of_no_use_goes_back_to_its_checkpoint_and_says_so() {
    let mut room = Story::new();
    [Join, Command(0, 5), Checkpoint, Command(0, 6)].iter().for_each(|what| room.happens(what));
    (0..30).for_each(|_| room.happens(&Tick));
    let failed = |room: &Story| Failed {
        checkpoint: room.beginning.clone(),
        frames: room.frames.0.lock().iter().map(|bytes| Frame::decode(bytes).unwrap()).collect(),
        newest: room.core.tick_number(),
        until: room.core.tick_number(),
        tick_rate: 20,
        max_players: PLAYERS,
    };
    let (restored, why) = restore_or_go_back(failed(&room), &kind()).unwrap();
    assert_eq!((restored.unwrap().undone, why), (Vec::new(), None), "it is of use");
    let mut unordered = failed(&room);
    unordered.frames[0].inputs = [2, 1].map(|player| (player, 1, None, Vec::new())).into();
    assert!(restore(unordered, &kind()).unwrap_err().contains("not in the order of their players"));
    let mut without_tick = failed(&room);
    (without_tick.frames[0].tick, without_tick.frames[0].inputs) = (None, vec![(1, 1, None, Vec::new())]);
    assert!(restore(without_tick, &kind()).unwrap_err().contains("or of no tick"));
    let mut changed = failed(&room);
    changed.frames.iter_mut().for_each(|frame| frame.checksum = frame.checksum.map(|checksum| checksum ^ 1));
    let (restored, why) = restore_or_go_back(changed, &kind()).unwrap();
    assert!(why.unwrap().contains("does something else"));
    let restored = restored.unwrap();
    assert_eq!(restored.undone, [Undone { after: 1, until: 31 }]);
    assert_eq!((restored.tick, restored.players()), (31, 1));
}

// Promise 9: "A seat survives it." The clock may be wrong, and what may be lost need not be.
#[test]
fn time_that_may_have_passed_does_not_count_against_who_was_away() {
    let mut room = Story::new();
    [Join, Tick, Lose(0), Checkpoint, Tick].iter().for_each(|what| room.happens(what));
    let window = Duration::from_secs(15);
    let left = |newest: u32| {
        let (checkpoint, frames, until) = (room.beginning.clone(), Vec::new(), 100_000);
        let failed = Failed { checkpoint, frames, newest, until, tick_rate: 20, max_players: PLAYERS };
        let restored = restore(failed, &kind()).unwrap().unwrap();
        assert_eq!(restored.tick, until);
        restored.seats[0].left(window, 20)
    };
    let at = room.beginning.last_tick();
    let tick = Duration::from_millis(50);
    assert_eq!(left(at), window - tick);
    assert_eq!(left(at + 100), window - 101 * tick, "so much is known to have");
}

// Otherwise a room keeps for each player all that was sent since the checkpoint, which may be more than is
// kept for anybody.
#[test]
fn what_players_have_acknowledged_is_in_the_journal_once_a_second() {
    let mut room = Story::new();
    [Join, Command(0, 5), Tick, Acknowledge(0)].iter().for_each(|what| room.happens(what));
    (0..20).for_each(|_| room.happens(&Tick));
    let (lived, restored) = room.ends();
    assert_eq!(lived.seats[0].acknowledged(), 1);
    assert_eq!(restored.seats[0].acknowledged(), 1);
}

// Promise 10: "What was acknowledged as durable MUST survive the death of its node."
#[test]
fn seats_that_are_kept_for_a_match_are_kept_in_the_process_that_goes_on() {
    let reserved = |story: &[What]| {
        survives(story);
        let mut room = Story::new();
        story.iter().for_each(|what| room.happens(what));
        room.ends().1.reserved()
    };
    assert_eq!(reserved(&[Tick, Reserve(200)]), 2, "also before the next tick");
    assert_eq!(reserved(&[Reserve(200), Checkpoint, Tick, Take(0, true), Tick]), 1);
    assert_eq!(reserved(&[Reserve(200), Tick, Take(0, true), Tick, Leave(0), Tick]), 1, "it is used up");
    assert_eq!(reserved(&[Reserve(200), Tick, Take(0, false), Tick]), 2, "it is given back");
    assert_eq!(reserved(&[Reserve(200), Tick, Release(0), Tick]), 1);
    assert_eq!(reserved(&[Tick, Reserve(2), Tick, Tick, Tick]), 0, "their time is over");
}

#[test]
fn npcs_without_a_place_are_not_seated_later() {
    // Three have places; of six who are asked for, and one for each who joins, the others are forgotten.
    survives(&[Join, Command(0, 0), Tick, Command(0, 0), Tick, Tick, Command(0, 3), Tick]);
    survives(&[Join, Tick, Join, Join, Tick, Command(0, 3), Tick, Tick]);
}

#[test]
fn whom_an_operator_has_removed_does_not_come_back() {
    for lost in [false, true] {
        let mut room = Story::new();
        room.happens(&Join);
        room.happens(&Tick);
        if lost {
            room.happens(&Lose(0));
        }
        room.happens(&Kick(0)); // and the process fails before the next tick
        let (lived, restored) = room.ends();
        assert_eq!(lived.players(), 0);
        assert_eq!(restored.players(), 0);
    }
}

#[test]
fn whom_reports_have_removed_does_not_come_back() {
    survives(&[Join, Input(0, 2), Tick, Input(0, 2), Tick, Input(0, 2), Tick]);
    let mut room = Story::new();
    [Join, Input(0, 2), Tick, Input(0, 2), Tick, Input(0, 2), Tick]
        .iter()
        .for_each(|what| room.happens(what));
    assert_eq!(room.ends().1.players(), 0);
}

#[test]
fn who_has_left_has_left_at_once() {
    let mut room = Story::new();
    [Join, Tick, Leave(0)].iter().for_each(|what| room.happens(what));
    assert_eq!(room.ends().1.players(), 0);
}

fn anything() -> impl Strategy<Value = What> {
    let n = 0..PLAYERS as usize * 2;
    prop_oneof![
        2 => Just(Join),
        1 => (0..9u32).prop_map(Reserve),
        1 => (n.clone(), any::<bool>()).prop_map(|(n, welcomed)| Take(n, welcomed)),
        1 => n.clone().prop_map(Release),
        1 => n.clone().prop_map(Lose),
        1 => n.clone().prop_map(Resume),
        1 => n.clone().prop_map(Leave),
        1 => n.clone().prop_map(Expire),
        1 => n.clone().prop_map(Kick),
        4 => (n.clone(), 0..6).prop_map(|(n, what)| Input(n, what)),
        1 => n.clone().prop_map(BadInput),
        3 => (n.clone(), 0..6).prop_map(|(n, what)| Command(n, what)),
        1 => n.clone().prop_map(Acknowledge),
        2 => n.prop_map(Answered),
        4 => Just(Tick),
        1 => Just(Checkpoint),
    ]
}

proptest! {
    // Promise 1: "A room's state is a function of its seed, its joins and leaves, its inputs and commands."
    #[test]
    fn a_room_goes_on_from_its_journal_as_if_nothing_had_happened(
        story in proptest::collection::vec(anything(), 0..60),
    ) {
        survives(&story);
    }
}
