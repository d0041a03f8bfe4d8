//! The presence actor with rooms that answer, are full, or are dead. The tests wait for messages, never for
//! time to pass.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

use actix::prelude::*;
use driftless_server::{
    clock::Clock,
    ground::{
        id::RoomId,
        report::{LeaveReason, LostReason, Report, SeatExpired},
        vitals::Vitals,
    },
    presence::{Change, Presence, PresenceChange, PresenceView, Query, Watcher},
};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::mpsc;

/// A room that reports the requests it gets, and carries them out.
struct TestRoom {
    asked: mpsc::UnboundedSender<SeatExpired>,
    presence: Addr<Presence>,
}

impl Actor for TestRoom {
    type Context = Context<Self>;
}

impl Handler<SeatExpired> for TestRoom {
    type Result = ();

    fn handle(&mut self, expired: SeatExpired, _: &mut Self::Context) {
        let SeatExpired { player, why } = expired;
        self.presence.do_send(Report::Left { room: room(), player, why, at: 2 });
        let _ = self.asked.send(expired);
    }
}

fn room() -> Arc<str> {
    "lobby".into()
}

/// A join to a room that keeps seats for `resume_window`.
fn joined(to_room: Recipient<SeatExpired>, resume_window: Duration, player: u32, user: &str) -> Report {
    Report::Joined {
        room: room(),
        id: RoomId(1),
        to_room,
        members: Arc::default(),
        resume_window,
        player,
        user: user.into(),
        name: user.into(),
        vitals: Arc::new(Vitals::seen(0)),
        npc: false,
        at: 1,
    }
}

fn lost(player: u32, why: LostReason) -> Report {
    Report::Lost { room: room(), player, why, at: 1 }
}

async fn view(presence: &Addr<Presence>) -> PresenceView {
    presence.send(Query { room: None, after: None, limit: 100 }).await.unwrap()
}

/// Promise 5: "[...] with the true reason; no ghosts after the timeout."
#[actix::test]
async fn a_lost_seat_is_ended_by_its_room_when_the_window_is_over() {
    let presence = Presence::start(Clock::start());
    let (asked, mut inbox) = mpsc::unbounded_channel();
    let address = TestRoom { asked, presence: presence.clone() }.start();
    presence.do_send(joined(address.recipient(), Duration::ZERO, 1, "ann"));
    presence.do_send(lost(1, LostReason::TimedOut));
    assert_eq!(inbox.recv().await, Some(SeatExpired { player: 1, why: LeaveReason::TimedOut }));
    let view = view(&presence).await;
    assert_eq!((view.players, view.totals.timed_out), (0, 1));
}

#[actix::test]
async fn a_room_that_died_without_a_word_leaves_no_ghost() {
    let presence = Presence::start(Clock::start());
    let (asked, _inbox) = mpsc::unbounded_channel();
    let address = TestRoom { asked, presence: presence.clone() }.start();
    presence.do_send(joined(address.clone().recipient(), Duration::ZERO, 1, "ann"));
    assert_eq!(view(&presence).await.players, 1);
    let dead = Dead::stop(address).await;
    assert!(!dead.connected());
    // The next request finds nobody.
    presence.do_send(lost(1, LostReason::Disconnected));
    while view(&presence).await.players > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(view(&presence).await.totals.removed, 1);
}

#[actix::test]
async fn a_new_room_of_the_same_name_ends_the_seats_of_the_old() {
    let presence = Presence::start(Clock::start());
    let (asked, _inbox) = mpsc::unbounded_channel();
    let start = || TestRoom { asked: asked.clone(), presence: presence.clone() }.start().recipient();
    presence.do_send(joined(start(), Duration::MAX, 7, "ann"));
    let mut other = joined(start(), Duration::MAX, 1, "bob");
    if let Report::Joined { id, .. } = &mut other {
        *id = RoomId(2);
    }
    presence.do_send(other);
    // The old room reports its end when another one already has the name.
    presence.do_send(Report::RoomEnded { room: room(), id: RoomId(1) });
    let view = view(&presence).await;
    assert_eq!((view.players, view.totals.removed, view.totals.joined), (1, 1, 2));
    assert_eq!(&*view.members[0].user, "bob");
}

/// Reports what it is told.
struct Told {
    tell: mpsc::UnboundedSender<PresenceChange>,
    watching: Arc<AtomicBool>,
}

impl Watcher for Told {
    fn is_watching(&self) -> bool {
        self.watching.load(Relaxed)
    }

    fn note(&self, change: PresenceChange) {
        self.tell.send(change).unwrap();
    }
}

#[actix::test]
async fn who_watches_hears_what_happens_in_any_room() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let watching = Arc::new(AtomicBool::new(false));
    let presence =
        Presence::new(Clock::start()).watched_by(Told { tell, watching: watching.clone() }).start();
    let (asked, _inbox) = mpsc::unbounded_channel();
    let address = TestRoom { asked, presence: presence.clone() }.start();
    presence.do_send(joined(address.recipient(), Duration::MAX, 1, "ann"));
    assert_eq!(view(&presence).await.players, 1);
    assert!(told.try_recv().is_err(), "nobody watches yet");
    watching.store(true, Relaxed);
    presence.do_send(lost(1, LostReason::TimedOut));
    presence.do_send(Report::Back { room: room(), player: 1, at: 1 });
    presence.do_send(lost(2, LostReason::TimedOut)); // there is none
    presence.do_send(Report::RoomEnded { room: room(), id: RoomId(1) });
    let mut heard = Vec::new();
    for _ in 0..3 {
        let change = told.recv().await.unwrap();
        assert_eq!((&*change.room, change.player, &*change.user), ("lobby", 1, "ann"));
        heard.push((change.change, change.why));
    }
    let expected = [
        (Change::Lost, Some(LeaveReason::TimedOut)),
        (Change::Back, None),
        (Change::Left, Some(LeaveReason::Removed)),
    ];
    assert_eq!(heard, expected);
}

/// Stops a room and waits until it has ended.
struct Dead;

#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

impl Handler<Stop> for TestRoom {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.terminate();
    }
}

impl Dead {
    async fn stop(room: Addr<TestRoom>) -> Addr<TestRoom> {
        room.send(Stop).await.unwrap();
        while room.connected() {
            tokio::task::yield_now().await;
        }
        room
    }
}

/// A room that does not read its mailbox until it may.
struct BusyRoom {
    asked: mpsc::UnboundedSender<SeatExpired>,
    presence: Addr<Presence>,
    wake: Option<tokio::sync::oneshot::Receiver<()>>,
}

impl Actor for BusyRoom {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(1);
        if let Some(wake) = self.wake.take() {
            ctx.wait(async move { drop(wake.await) }.into_actor(self));
        }
    }
}

impl Handler<SeatExpired> for BusyRoom {
    type Result = ();

    fn handle(&mut self, expired: SeatExpired, _: &mut Self::Context) {
        let SeatExpired { player, why } = expired;
        self.presence.do_send(Report::Left { room: room(), player, why, at: 2 });
        let _ = self.asked.send(expired);
    }
}

/// A request that did not fit into the room's mailbox is repeated: memory stays bounded, and no seat is
/// forgotten.
#[actix::test]
async fn a_room_that_was_busy_is_asked_again() {
    let presence = Presence::start(Clock::start());
    let (asked, mut inbox) = mpsc::unbounded_channel();
    let (wake, sleep) = tokio::sync::oneshot::channel();
    let address = BusyRoom { asked, presence: presence.clone(), wake: Some(sleep) }.start();
    tokio::task::yield_now().await;
    let mut missing: BTreeSet<u32> = (1..=3).collect();
    for player in &missing {
        presence.do_send(joined(address.clone().recipient(), Duration::ZERO, *player, &format!("u{player}")));
        presence.do_send(lost(*player, LostReason::Disconnected));
    }
    assert_eq!(view(&presence).await.connections, 0);
    wake.send(()).unwrap();
    while !missing.is_empty() {
        missing.remove(&inbox.recv().await.unwrap().player);
    }
}
