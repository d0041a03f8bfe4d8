//! What a room's journal says about each of its ticks, so that the room can be had again: everything that its
//! game got, in order, and what its seats and their reliable messages depend on besides.
//!
//! A room writes a frame after each step, before anybody is told of it: no state, event or confirmation
//! leaves that is not in the journal. New seats and reservations are written at once, because somebody gets
//! their tokens between two ticks. [`core::restore`](super::core::restore) has a room go through its frames
//! again.
//!
//! A room that keeps checkpoints only writes frames, too, but they say no more than which ticks there were:
//! whoever restores it knows how far it had come.

use super::reservations::Change;
use crate::ground::seat::{ResumeToken, Seat};
use bytes::Bytes;
use driftless_sim::{
    Answer, Away, JobError, JobId, Moment, PlayerId, PlayerInput,
    replay::{Action, TickRecord},
};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// Where a room's frames go.
pub trait Journal: Send + fmt::Debug {
    /// Whether it wants all that happens, or only which ticks there are.
    fn is_full(&self) -> bool;
    /// Takes a frame. It must not wait for a disk.
    fn write(&mut self, frame: &Written<'_>);
}

/// What happened in a room in a tick, or between two: as it is written.
#[derive(Debug, Default, Serialize)]
pub struct Written<'a> {
    /// The last tick before it. What happens between ticks, happens after this one.
    pub since: u32,
    /// The tick. None: it has yet to come.
    pub tick: Option<u32>,
    /// What changes the room, in order. Commands that the game refused are left out.
    #[serde(serialize_with = "actions")]
    pub actions: &'a [Action],
    /// Inputs in the order of the step.
    #[serde(serialize_with = "inputs")]
    pub inputs: &'a [PlayerInput<Bytes>],
    /// The seats of those who joined.
    pub joined: &'a [Joined],
    /// What has happened to reservations, before all else.
    pub reserved: &'a [Change],
    /// The last reliable message that each player had who is back, in order.
    pub resumed: &'a [(PlayerId, u64)],
    /// Players who are removed: nobody comes back to their seats, which end with their connections.
    pub removed: &'a [PlayerId],
    /// Players of whom the game did not take every input.
    pub passed: &'a [Passed],
    /// The numbers of all commands that the room has carried out or refused.
    pub done: &'a [(PlayerId, u64)],
    /// The refused ones, and what their players are told.
    pub refused: &'a [(PlayerId, u64, String)],
    /// The last reliable message that each player has acknowledged, where that is another one; once a second.
    pub acknowledged: &'a [(PlayerId, u64)],
    /// `Game::checksum` after the step, once a second.
    pub checksum: Option<u32>,
}

/// What happened, as it is read.
#[derive(Debug, Deserialize)]
pub struct Frame {
    pub(super) since: u32,
    pub(super) tick: Option<u32>,
    pub(super) actions: Vec<Acted>,
    pub(super) inputs: Vec<Input>,
    pub(super) joined: Vec<Joined>,
    pub(super) reserved: Vec<Change>,
    pub(super) resumed: Vec<(PlayerId, u64)>,
    pub(super) removed: Vec<PlayerId>,
    pub(super) passed: Vec<Passed>,
    pub(super) done: Vec<(PlayerId, u64)>,
    pub(super) refused: Vec<(PlayerId, u64, String)>,
    pub(super) acknowledged: Vec<(PlayerId, u64)>,
    pub(super) checksum: Option<u32>,
}

/// A new seat.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Joined {
    pub(super) player: PlayerId,
    pub(super) user: String,
    pub(super) token: ResumeToken,
}

/// An action as it is read.
#[derive(Debug, Deserialize)]
pub(super) enum Acted {
    Join(PlayerId, String),
    JoinNpc(PlayerId, String),
    Leave(PlayerId),
    Away(PlayerId, Lost),
    Back(PlayerId),
    Command(PlayerId, Vec<u8>),
    Answer(JobId, String, Result<Vec<u8>, JobError>),
    User(PlayerId, String),
}

impl Acted {
    /// Whether it is part of a tick, and did not happen before it.
    pub(super) fn is_of_tick(&self) -> bool {
        matches!(self, Acted::JoinNpc(..) | Acted::Command(..) | Acted::Answer(..))
    }
}

/// An action as it is written: the same as [`Acted`].
#[derive(Serialize)]
enum Act<'a> {
    Join(PlayerId, &'a str),
    JoinNpc(PlayerId, &'a str),
    Leave(PlayerId),
    Away(PlayerId, Lost),
    Back(PlayerId),
    Command(PlayerId, &'a [u8]),
    Answer(JobId, &'a str, Result<&'a [u8], &'a JobError>),
    User(PlayerId, &'a str),
}

/// [`Away`].
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Lost {
    TimedOut,
    Disconnected,
    Closed,
}

/// Player, number of its last input, and its moment in parts of a tick: what states confirm, whether or not
/// the game took that input.
pub(super) type Passed = (PlayerId, u32, Option<u64>);

/// Player, number, moment in parts of a tick, and the game's message.
pub(super) type Input = (PlayerId, u32, Option<u64>, Vec<u8>);

impl Frame {
    /// A frame as it was written.
    ///
    /// # Errors
    /// It is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, postcard::Error> {
        postcard::from_bytes(bytes)
    }

    /// The newest tick that it speaks of.
    pub fn newest(&self) -> u32 {
        self.tick.unwrap_or(self.since)
    }
}

impl Frame {
    /// As a recording has it: the last tick before it, and its own; without one, what happened is to come
    /// with the next. The checksum is the journal's, which has one a second.
    pub(crate) fn into_record(self) -> (u32, Option<u32>, TickRecord) {
        let newest = self.newest();
        let inputs = self.inputs.into_iter().map(|(player, number, moment, input)| PlayerInput {
            player,
            number,
            moment: moment.map(Moment::of_parts),
            input: input.into(),
        });
        let record = TickRecord {
            tick: newest,
            actions: self.actions.into_iter().map(Action::from).collect(),
            inputs: inputs.collect(),
            checksum: self.checksum,
        };
        (self.since, self.tick, record)
    }
}

impl From<Acted> for Action {
    fn from(acted: Acted) -> Self {
        match acted {
            Acted::Join(player, name) => Action::Join { player, name },
            Acted::JoinNpc(player, name) => Action::JoinNpc { player, name },
            Acted::Leave(player) => Action::Leave { player },
            Acted::Away(player, why) => Action::Away { player, why: why.into() },
            Acted::Back(player) => Action::Back { player },
            Acted::Command(player, payload) => Action::Command { player, payload: payload.into() },
            Acted::Answer(id, job, result) => {
                Action::Answer(Answer { id, job, result: result.map(Bytes::from) })
            }
            Acted::User(player, user) => Action::User { player, user },
        }
    }
}

impl Written<'_> {
    /// Appends it to `out`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let into = std::mem::take(out);
        // Neither running out of memory nor a length unknown to serde can happen here.
        *out = postcard::to_extend(self, into).unwrap_or_default();
    }
}

impl Joined {
    pub(super) fn of(seat: &Seat) -> Self {
        Self { player: seat.player, user: seat.user.to_string(), token: seat.token }
    }
}

fn actions<S: Serializer>(actions: &[Action], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(actions.iter().map(Act::from))
}

fn inputs<S: Serializer>(inputs: &[PlayerInput<Bytes>], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(inputs.iter().map(|PlayerInput { player, number, moment, input }| {
        (*player, *number, moment.map(Moment::parts), &input[..])
    }))
}

impl<'a> From<&'a Action> for Act<'a> {
    fn from(action: &'a Action) -> Self {
        match action {
            Action::Join { player, name } => Act::Join(*player, name),
            Action::JoinNpc { player, name } => Act::JoinNpc(*player, name),
            Action::Leave { player } => Act::Leave(*player),
            Action::Away { player, why } => Act::Away(*player, (*why).into()),
            Action::Back { player } => Act::Back(*player),
            Action::Command { player, payload } => Act::Command(*player, payload),
            Action::User { player, user } => Act::User(*player, user),
            Action::Answer(Answer { id, job, result }) => Act::Answer(*id, job, result.as_deref()),
        }
    }
}

impl From<Away> for Lost {
    fn from(away: Away) -> Self {
        match away {
            Away::TimedOut => Lost::TimedOut,
            Away::Disconnected => Lost::Disconnected,
            Away::Closed => Lost::Closed,
        }
    }
}

impl From<Lost> for Away {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::TimedOut => Away::TimedOut,
            Lost::Disconnected => Away::Disconnected,
            Lost::Closed => Away::Closed,
        }
    }
}

/// A frame, of a room that had none before.
#[cfg(any(test, fuzzed))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let frames: Vec<_> = bytes.split(|byte| *byte == 0xfe).map_while(|one| Frame::decode(one).ok()).collect();
    if !frames.is_empty() {
        super::core::restore::fuzz(frames);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Both are told apart by their order alone.
    #[test]
    fn each_action_is_read_as_what_was_written() {
        let (player, name) = (7, "ann".to_owned());
        let id: JobId = postcard::from_bytes(&[5, 3]).unwrap();
        let answer = |result| Action::Answer(Answer { id, job: "save".to_owned(), result });
        let mut actions = vec![
            Action::Join { player, name: name.clone() },
            Action::JoinNpc { player, name: name.clone() },
            Action::Leave { player },
            Action::Back { player },
            Action::Command { player, payload: Bytes::from_static(b"go") },
            Action::User { player, user: name.clone() },
            answer(Ok(Bytes::from_static(b"done"))),
            answer(Err(JobError::Busy)),
        ];
        let lost = [Away::TimedOut, Away::Disconnected, Away::Closed];
        actions.extend(lost.map(|why| Action::Away { player, why }));
        for action in actions {
            let mut bytes = Vec::new();
            let written = Written { actions: std::slice::from_ref(&action), ..Written::default() };
            written.encode(&mut bytes);
            let Frame { actions: read, .. } = Frame::decode(&bytes).unwrap();
            let [read] = &read[..] else { panic!("{read:?}") };
            let same = match (read, &action) {
                (Acted::Join(of, n), Action::Join { player, name })
                | (Acted::JoinNpc(of, n), Action::JoinNpc { player, name }) => (of, n) == (player, name),
                (Acted::Leave(of), Action::Leave { player }) | (Acted::Back(of), Action::Back { player }) => {
                    of == player
                }
                (Acted::Away(of, lost), Action::Away { player, why }) => {
                    of == player && Away::from(*lost) == *why
                }
                (Acted::Command(of, bytes), Action::Command { player, payload }) => {
                    of == player && bytes == payload
                }
                (Acted::User(of, n), Action::User { player, user }) => (of, n) == (player, user),
                (Acted::Answer(id, job, result), Action::Answer(answer)) => {
                    let result = result.clone().map(Bytes::from);
                    (id, job) == (&answer.id, &answer.job) && result == answer.result
                }
                _ => false,
            };
            assert!(same, "{action:?} is read as {read:?}");
        }
    }
}
