//! The presence actor against rooms that answer, are full, or are dead. Messages are waited for, never time.

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests, too, may fail loudly

use actix::prelude::*;
use driftless_server::{
    clock::Clock,
    ground::{
        report::{Announce, LeaveReason, LostReason, Report, ToRoom},
        vitals::Vitals,
    },
    presence::{Presence, PresenceView, Query},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// A room that passes on what it is told, and ends seats when asked.
struct TestRoom {
    told: mpsc::UnboundedSender<ToRoom>,
    presence: Addr<Presence>,
}

impl Actor for TestRoom {
    type Context = Context<Self>;
}

impl Handler<ToRoom> for TestRoom {
    type Result = ();

    fn handle(&mut self, message: ToRoom, _: &mut Self::Context) {
        if let ToRoom::SeatExpired { player, why } = message {
            self.presence.do_send(Report::Left { room: room(), player, why, at: 2 });
        }
        let _ = self.told.send(message);
    }
}

fn room() -> Arc<str> {
    "lobby".into()
}

fn joined(to_room: Recipient<ToRoom>, player: u32, user: &str) -> Report {
    let vitals = Arc::new(Vitals::seen(0));
    Report::Joined { room: room(), to_room, player, user: user.into(), name: user.into(), vitals, at: 1 }
}

async fn view(presence: &Addr<Presence>) -> PresenceView {
    presence.send(Query { room: None, limit: 100 }).await.unwrap()
}

fn full(message: Option<ToRoom>) -> bool {
    matches!(message, Some(ToRoom::Announce(Announce { presence, .. })) if presence.full)
}

/// Promise 5: "[...] with the true reason; no ghosts after the timeout."
#[actix::test]
async fn a_lost_seat_is_ended_by_its_room_when_the_window_is_over() {
    let presence = Presence::start(Clock::start(), Duration::ZERO);
    let (told, mut inbox) = mpsc::unbounded_channel();
    let address = TestRoom { told, presence: presence.clone() }.start();
    presence.do_send(joined(address.recipient(), 1, "ann"));
    presence.do_send(Report::Lost { room: room(), player: 1, why: LostReason::TimedOut, at: 1 });
    assert!(full(inbox.recv().await));
    loop {
        match inbox.recv().await.unwrap() {
            ToRoom::SeatExpired { player, why } => {
                assert_eq!((player, why), (1, LeaveReason::TimedOut));
                break;
            }
            ToRoom::Announce(_) => {}
        }
    }
    let view = view(&presence).await;
    assert_eq!((view.players, view.totals.timed_out), (0, 1));
}

#[actix::test]
async fn a_room_that_died_without_a_word_leaves_no_ghost() {
    let presence = Presence::start(Clock::start(), Duration::from_secs(15));
    let (told, mut inbox) = mpsc::unbounded_channel();
    let address = TestRoom { told, presence: presence.clone() }.start();
    let to_room = address.clone().recipient();
    presence.do_send(joined(to_room.clone(), 1, "ann"));
    assert!(full(inbox.recv().await));
    assert_eq!(view(&presence).await.players, 1);
    let dead = Dead::stop(address).await;
    assert!(!dead.connected());
    // The next thing there is to tell finds nobody.
    presence.do_send(Report::Lost { room: room(), player: 1, why: LostReason::Disconnected, at: 2 });
    let view = view(&presence).await;
    assert_eq!((view.players, view.totals.removed), (0, 1));
}

#[actix::test]
async fn a_new_room_of_the_same_name_ends_the_seats_of_the_old() {
    let presence = Presence::start(Clock::start(), Duration::from_secs(15));
    let (told, mut inbox) = mpsc::unbounded_channel();
    let start = || TestRoom { told: told.clone(), presence: presence.clone() }.start().recipient();
    presence.do_send(joined(start(), 7, "ann"));
    presence.do_send(joined(start(), 1, "bob"));
    assert!(full(inbox.recv().await));
    let view = view(&presence).await;
    assert_eq!((view.players, view.totals.removed, view.totals.joined), (1, 1, 2));
    assert_eq!(&*view.members[0].user, "bob");
}

/// Stops a room and waits until it is gone.
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

/// A room that never gets to its mailbox until it is let.
struct BusyRoom {
    told: mpsc::UnboundedSender<ToRoom>,
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

impl Handler<ToRoom> for BusyRoom {
    type Result = ();

    fn handle(&mut self, message: ToRoom, _: &mut Self::Context) {
        let _ = self.told.send(message);
    }
}

/// What did not fit into the room's mailbox is made up for by one full list: memory stays bounded, nobody is missed.
#[actix::test]
async fn a_room_that_was_busy_gets_a_full_list_afterwards() {
    let presence = Presence::start(Clock::start(), Duration::from_secs(15));
    let (told, mut inbox) = mpsc::unbounded_channel();
    let (wake, sleep) = tokio::sync::oneshot::channel();
    let address = BusyRoom { told, wake: Some(sleep) }.start();
    tokio::task::yield_now().await;
    for player in 1..=20 {
        presence.do_send(joined(address.clone().recipient(), player, &format!("u{player}")));
    }
    assert_eq!(view(&presence).await.players, 20);
    wake.send(()).unwrap();
    loop {
        if let Some(ToRoom::Announce(announce)) = inbox.recv().await
            && announce.presence.full
            && announce.presence.members.len() == 20
        {
            assert_eq!(announce.to, driftless_sim::simulation::Recipient::All);
            break;
        }
    }
}
