//! The server's end of the connections: what a transport does, without sockets.

use super::{
    game,
    line::Line,
    network::{Conditions, Parcel, Time},
    player::DATAGRAM,
    promise::{Kept, keep},
};
use bytes::{Bytes, BytesMut};
use driftless_proto::{
    session::Delivery,
    state::StateHead,
    wire::{self, server_message::Body},
};
use driftless_server::{
    connection::{End, Outbound, PeerRef, Worker},
    ground::{source::Source, transport_kind::TransportKind},
    server::Interior,
};
use driftless_sim::prost::Message as _;
use fastrand::Rng;
use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

/// How long a closing connection waits for its client.
const CLOSE: Duration = Duration::from_secs(3);

/// One connection at the server.
pub struct Wire {
    peer: PeerRef,
    /// The seat, once its welcome was sent. 0: it watches.
    seat: Option<u32>,
    /// How many ticks ago what it is shown was.
    delay: u32,
    /// The close was sent: when to stop waiting for the client's.
    closing: Option<Time>,
}

/// The network of the connection's client, as it is now.
#[derive(Clone, Copy)]
pub struct Path {
    pub on: Conditions,
    pub dark: Time,
}

/// One turn of a connection.
pub struct Turn<'a> {
    pub now: Time,
    /// The same on the server's clock.
    pub at: Instant,
    pub path: Path,
    pub dice: &'a mut Rng,
    /// Tells the rooms of one name apart.
    pub room: u64,
    pub spectate_delay: u32,
    /// Bytes of reliable messages that may wait.
    pub most_waiting: usize,
    /// The newest tick of the room that the servers before have shown; and this one, too.
    pub floor: u32,
    pub shown: &'a mut u32,
}

impl Wire {
    /// A client has connected.
    pub fn accept(server: &Interior, line: &mut Line, now: Time, path: Path, dice: &mut Rng) -> Self {
        let source = Source::of(Ipv4Addr::new(10, 0, line.moves, (line.player + 1) as u8).into());
        let transport = match line.delivery {
            Delivery::Ordered => TransportKind::WebSocket,
            Delivery::Datagram => TransportKind::Quic,
        };
        line.at_server = true;
        line.answered_at = Some(now.max(path.dark) + path.on.travel(dice));
        Self { peer: server.connect(source, transport, line.delivery), seat: None, delay: 0, closing: None }
    }

    /// Reads what has arrived. False: the connection has ended.
    pub fn read(&mut self, worker: &Worker, line: &mut Line, now: Time, at: Instant) -> bool {
        while let Some(parcel) = line.up.receive(now) {
            match parcel {
                Parcel::Message(message) => self.peer.borrow_mut().receive(worker, at, message),
                Parcel::Close(_) => {
                    self.end("closed by the peer");
                    return false;
                }
            }
        }
        if self.closing.is_some_and(|until| until <= now) {
            self.end("the close was not answered");
            return false;
        }
        true
    }

    /// The seat, once its welcome was sent.
    pub fn seat(&self) -> Option<u32> {
        self.seat
    }

    /// Whether it still has what its client may be shown.
    pub fn is_served(&self) -> bool {
        self.closing.is_none() && self.peer.borrow().session.closing().is_none()
    }

    /// The connection is lost.
    pub fn end(&self, why: &str) {
        self.peer.borrow_mut().end(End::Lost(why.to_owned()));
    }

    /// Sends what there is to send, as far as there is room.
    pub fn write(&mut self, worker: &Worker, line: &mut Line, turn: &mut Turn<'_>) -> Kept {
        let Turn { now, at, path, most_waiting, .. } = *turn;
        let waiting = self.peer.borrow().waiting();
        keep(4, waiting <= most_waiting, || format!("{waiting} bytes wait for a client"))?;
        let mut out = BytesMut::new();
        while self.closing.is_none() && line.down.has_room() && self.peer.borrow().wants_transmit() {
            let outbound = match line.delivery {
                Delivery::Ordered => self.peer.borrow_mut().next_message(worker, at, &mut out),
                Delivery::Datagram => self.peer.borrow_mut().next_reliable(worker, at, &mut out),
            };
            match outbound {
                Outbound::Message => {
                    let message = out.split().freeze();
                    self.check(&message, turn)?;
                    line.down.send(now, path.on, path.dark, turn.dice, Parcel::Message(message));
                }
                Outbound::Idle => break,
                Outbound::Close(code) => {
                    let why = self.peer.borrow().session.closing_reason().unwrap_or_default().to_owned();
                    let close = Parcel::Close(Some((code.number(), why)));
                    line.down.send(now, path.on, path.dark, turn.dice, close);
                    self.closing = Some(now + CLOSE);
                }
            }
        }
        if line.delivery == Delivery::Datagram && self.closing.is_none() {
            let mut sent = Vec::new();
            let mut each = |out: &mut BytesMut| sent.push(out.split().freeze());
            while self.peer.borrow().session.wants_transmit()
                && self.peer.borrow_mut().next_unreliable(worker, at, DATAGRAM, &mut out, &mut each)
            {
            }
            for message in sent {
                self.check(&message, turn)?;
                if !line.at_client {
                    continue;
                }
                if message.len() <= DATAGRAM {
                    line.down.throw(now, path.on, path.dark, turn.dice, message);
                } else {
                    line.down.post(now, path.on, path.dark, turn.dice, message);
                }
            }
        }
        Ok(())
    }

    /// Promise 8: not a byte of a zone that the game does not let the player see.
    fn check(&mut self, message: &Bytes, turn: &mut Turn<'_>) -> Kept {
        let Turn { room, spectate_delay, floor, .. } = *turn;
        let Some(seat) = self.seat else {
            if let Ok(wire::ServerMessage { body: Some(Body::Welcome(welcome)) }) =
                wire::ServerMessage::decode(message.clone())
            {
                self.seat = Some(welcome.player);
                if welcome.spectating {
                    self.delay =
                        (u64::from(spectate_delay) * u64::from(welcome.tick_rate)).div_ceil(1_000) as u32;
                }
            }
            return Ok(());
        };
        let Ok(Some((StateHead { tick, .. }, shared))) = StateHead::split(message) else { return Ok(()) };
        // "Ticks are above all that a client has seen", whatever has happened to a server.
        keep(2, tick > floor || self.delay > 0, || {
            format!("seat {seat} was sent tick {tick}, and a server before has shown tick {floor}")
        })?;
        *turn.shown = tick.max(*turn.shown);
        let state = wire::State::decode(shared).unwrap_or_default();
        let zones: BTreeSet<u32> = state
            .zones
            .iter()
            .scan(0, |last, zone| {
                *last += zone.zone + 1;
                Some(*last)
            })
            .collect();
        if let Some(newest) = game::newest(room) {
            keep(8, tick + self.delay <= newest, || {
                format!(
                    "seat {seat} was sent tick {tick} of {newest}, {} too early",
                    tick + self.delay - newest
                )
            })?;
        }
        let Some(seen) = game::seen(room, seat, tick) else { return Ok(()) };
        keep(8, zones.is_subset(&seen), || {
            format!("seat {seat} was sent zones {zones:?} of tick {tick}, of which it sees {seen:?}")
        })
    }
}
