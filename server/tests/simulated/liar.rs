//! A stranger who lies. Whatever it sends, the server does not panic, closes with a code that has a name, and
//! nobody else notices.

use super::{
    line::Line,
    network::{Conditions, Parcel, Time},
    player::ROOM,
    promise::{Kept, keep},
    story::Lie,
};
use bytes::Bytes;
use driftless_proto::{
    code::CloseCode,
    limits::PROTOCOL,
    session::Delivery,
    wire::{self, client_message::Body},
};
use driftless_sim::prost::Message as _;
use fastrand::Rng;
use std::time::Duration;

/// Its network.
pub const NETWORK: Conditions = Conditions { delay: 2, jitter: 2, loss: 0, twice: 0 };
/// Time between two lies.
const PAUSE: Duration = Duration::from_millis(30);
/// How many times it lies before it goes, or falls silent.
const LIES: u32 = 40;

/// A stranger on a connection of its own.
#[derive(Debug)]
pub struct Liar {
    lie: Lie,
    joined: bool,
    lies: u32,
    next: Time,
}

impl Liar {
    pub fn new(lie: Lie) -> Self {
        Self { lie, joined: false, lies: 0, next: Time::ZERO }
    }

    /// When it lies next.
    pub fn next(&self) -> Option<Time> {
        (self.lies < LIES).then_some(self.next)
    }

    /// Reads, and lies.
    pub fn play(&mut self, line: &mut Line, kind: &str, now: Time, dice: &mut Rng) -> Kept {
        while let Some(parcel) = line.down.receive(now) {
            if let Parcel::Close(Some((code, reason))) = parcel {
                line.hang_up(now, NETWORK, Time::ZERO, dice);
                return keep(6, CloseCode::from_number(code).is_some(), || {
                    format!("closed with {code}: {reason}")
                });
            }
        }
        if line.answered_at.is_none_or(|at| at > now) || self.next > now || self.lies >= LIES {
            return Ok(());
        }
        self.next = now + PAUSE;
        if !self.joined {
            self.joined = true;
            if !matches!(self.lie, Lie::Token | Lie::Mute) {
                self.send(line, join(kind), now, dice);
                return Ok(());
            }
        }
        self.lies += 1;
        for message in self.messages(kind, dice) {
            self.send(line, message, now, dice);
        }
        if self.lies == LIES && dice.bool() {
            line.hang_up(now, NETWORK, Time::ZERO, dice);
        }
        Ok(())
    }

    fn send(&self, line: &mut Line, message: Bytes, now: Time, dice: &mut Rng) {
        if !line.up.has_room() {
            return;
        }
        let lost = line.delivery == Delivery::Datagram && dice.bool() && self.joined && self.lies > 0;
        if lost {
            line.up.throw(now, NETWORK, Time::ZERO, dice, message);
        } else {
            line.up.send(now, NETWORK, Time::ZERO, dice, Parcel::Message(message));
        }
    }

    fn messages(&self, kind: &str, dice: &mut Rng) -> Vec<Bytes> {
        let number = |dice: &mut Rng| {
            let bits = dice.u32(..33);
            dice.u32(..).checked_shr(32 - bits.max(1)).unwrap_or(0)
        };
        match self.lie {
            Lie::Garbage => vec![(0..dice.usize(..64)).map(|_| dice.u8(..)).collect::<Vec<_>>().into()],
            Lie::Changed => {
                let mut message = input(self.lies, 8).to_vec();
                let at = dice.usize(..message.len());
                message[at] = dice.u8(..);
                message.truncate(message.len() - dice.usize(..message.len() / 2));
                vec![message.into()]
            }
            Lie::Acks => {
                let ack = wire::Ack {
                    state_ack: number(dice),
                    state_missing: dice.u32(..),
                    reliable_ack: if dice.bool() { 0 } else { number(dice).into() },
                };
                vec![client(Body::Ack(ack))]
            }
            Lie::Flood => (0..400)
                .map(|n| match n % 3 {
                    0 => input(self.lies * 400 + n, 8),
                    1 => {
                        let sequence = u64::from(self.lies * 134 + n / 3);
                        client(Body::Command(wire::Command { sequence, payload: vec![8, 1].into() }))
                    }
                    _ => client(Body::Ping(wire::Ping { time_us: n.into() })),
                })
                .collect(),
            Lie::Huge => vec![input(self.lies, dice.usize(1_000..20_000))],
            Lie::Twice => vec![join(kind)],
            Lie::Token => {
                let resume = wire::Resume {
                    protocol: PROTOCOL,
                    room: ROOM.into(),
                    token: (0..16).map(|_| dice.u8(..)).collect::<Vec<_>>().into(),
                    reliable_received: number(dice).into(),
                    ..wire::Resume::default()
                };
                vec![client(Body::Resume(resume))]
            }
            Lie::Mute => Vec::new(),
            Lie::Nonsense => {
                let payload = vec![0xff; dice.usize(1..9)];
                let sequence = u64::from(self.lies);
                if dice.bool() {
                    vec![client(Body::Command(wire::Command { sequence, payload: payload.into() }))]
                } else {
                    let input = wire::Input {
                        sequence: self.lies,
                        payload: payload.into(),
                        ..wire::Input::default()
                    };
                    vec![client(Body::Input(input))]
                }
            }
        }
    }
}

fn join(kind: &str) -> Bytes {
    let join =
        wire::Join { protocol: PROTOCOL, room: ROOM.into(), kind: kind.into(), ..wire::Join::default() };
    client(Body::Join(join))
}

fn input(sequence: u32, bytes: usize) -> Bytes {
    let payload = vec![8; bytes & !1].into();
    client(Body::Input(wire::Input { sequence, payload, ..wire::Input::default() }))
}

fn client(body: Body) -> Bytes {
    wire::ClientMessage { body: Some(body) }.encode_to_vec().into()
}
