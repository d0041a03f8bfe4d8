//! Stories that are told by hand: what nodes do with rooms that they cannot have go on.

use super::node::{ROOMS, TTL};
use crate::nodes::{
    ask::{Ask, Failure, Incarnation, Said},
    core::{Claim, Claimed, Core},
    depot::Written,
    model::{Keep, Model, Saved},
    node::tests::node,
    transfer::{Progress, Transfers},
};
use bytes::Bytes;
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

const STEP: Duration = Duration::from_millis(5);

#[test]
fn a_room_that_nobody_needs_when_it_is_taken_is_given_back_as_it_is_kept() {
    let (start, mut redis, room) = (Instant::now(), Model::new("r0", TTL), Arc::<str>::from("a"));
    let (mut core, says) = (Core::new("b", TTL, start), node("b", 0));
    let giver = Incarnation("a-1".into());
    let mut transfers = Transfers::default();
    let mut passed = Duration::ZERO;
    while passed < 2 * TTL {
        passed += STEP;
        redis.ask(passed, &giver, &says, &Ask::Renew { had: false });
        if let Some(question) = core.poll(start + passed) {
            let answer = redis.ask(passed, &question.me, &says, &question.ask);
            core.answered(start + passed, question.id, Ok(&answer));
        }
    }
    let now = start + passed;
    let claim = Ask::Claim { room: room.clone(), to: giver.clone(), make: true };
    let Said::Ours { epoch, .. } = redis.ask(passed, &giver, &says, &claim).said else {
        panic!("it is free")
    };
    redis.write(passed, (&room, &giver, epoch), 1, &Keep::Put(Saved::default()));
    let (to, parcel) = (core.me().clone(), Bytes::new());
    let offer = Ask::Offer { room: room.clone(), epoch, to, parcel };
    assert_eq!(redis.ask(passed, &giver, &says, &offer).said, Said::Done);
    transfers.offered(now, &room);
    let mut asks = |transfers: &mut Transfers, core: &Core| {
        let query = transfers.poll(now, core).unwrap();
        let answer = redis.ask(passed, &query.me, &says, &query.ask);
        (query, answer)
    };
    let (query, answer) = asks(&mut transfers, &core);
    let offered = transfers.answered(now, &mut core, &query, Ok(&answer));
    let Some(Progress::Offered { offered, grant, .. }) = offered else { panic!("it is offered") };
    assert!(transfers.is_ready(now, &core, &room, offered));
    let (query, answer) = asks(&mut transfers, &core);
    assert!(matches!(answer.said, Said::Ours { .. }), "it is this node's");
    // Meanwhile it has ended here.
    core.let_go(&room, &grant);
    transfers.abandon(now, &room, &grant);
    let taken = transfers.answered(now, &mut core, &query, Ok(&answer));
    assert!(matches!(taken, Some(Progress::NotTaken { .. })), "who waits for it is told");
    let release = core.poll(now).unwrap().ask;
    assert!(matches!(release, Ask::Release { stored: true, .. }), "somebody goes on with it: {release:?}");
}

#[test]
fn a_node_that_cannot_go_on_with_rooms_takes_the_next_ones() {
    let (start, mut redis) = (Instant::now(), Model::new("r0", TTL));
    let (mut core, says, dies) = (Core::new("b", TTL, start), node("b", 0), Incarnation("a-1".into()));
    let (mut tried, mut passed) = (BTreeSet::new(), Duration::ZERO);
    while passed < Duration::from_secs(10) {
        passed += STEP;
        let of_other = |redis: &mut Model, ask: Ask| redis.ask(passed, &dies, &says, &ask).said;
        if passed <= 2 * TTL {
            assert_eq!(of_other(&mut redis, Ask::Renew { had: false }), Said::Done);
        }
        if passed == 2 * TTL {
            for room in ROOMS.map(Arc::<str>::from) {
                let claim = Ask::Claim { room: room.clone(), to: dies.clone(), make: true };
                let Said::Ours { epoch, .. } = of_other(&mut redis, claim) else { panic!("it is free") };
                assert_eq!(
                    redis.write(passed, (&room, &dies, epoch), 1, &Keep::Put(Saved::default())),
                    Written::Done
                );
            }
        }
        let now = start + passed;
        assert_eq!(core.lapse(now), None);
        while let Some(question) = core.poll(now) {
            let answer = redis.ask(passed, &question.me, &says, &question.ask);
            for (room, grant) in core.answered(now, question.id, Ok(&answer)).taken {
                core.let_go(&room, &grant);
                tried.insert(room);
            }
        }
    }
    assert_eq!(tried.len(), ROOMS.len(), "{tried:?}");
    assert_eq!(redis.stored().count(), ROOMS.len(), "for whoever can");
}

#[test]
fn rooms_that_end_keep_none_of_a_dead_node_waiting_however_many_they_are() {
    const ROUND_TRIP: Duration = Duration::from_millis(20);
    let (start, mut redis) = (Instant::now(), Model::new("r0", TTL));
    let (mut core, says, dies) = (Core::new("b", TTL, start), node("b", 0), Incarnation("a-1".into()));
    let claim = |redis: &mut Model, passed: Duration, me: &Incarnation, room: &Arc<str>| {
        let claim = Ask::Claim { room: room.clone(), to: me.clone(), make: true };
        redis.ask(passed, me, &says, &claim)
    };
    let step = |core: &mut Core, redis: &mut Model, passed: Duration| {
        assert_eq!(core.lapse(start + passed), None);
        let Some(question) = core.poll(start + passed) else { return false };
        let answer = redis.ask(passed, &question.me, &says, &question.ask);
        !core.answered(start + passed, question.id, Ok(&answer)).taken.is_empty()
    };
    let mut passed = Duration::ZERO;
    while passed < 2 * TTL {
        passed += STEP;
        redis.ask(passed, &dies, &says, &Ask::Renew { had: false });
        step(&mut core, &mut redis, passed);
    }
    let room = Arc::<str>::from(ROOMS[0]);
    let Said::Ours { epoch, .. } = claim(&mut redis, passed, &dies, &room).said else { panic!("it is free") };
    redis.write(passed, (&room, &dies, epoch), 1, &Keep::Put(Saved::default()));
    for n in 0..500 {
        let (room, now) = (Arc::from(n.to_string()), start + passed);
        let Claim::Ask(me, id) = core.claim(now, &room) else { panic!("it asks") };
        let answer = claim(&mut redis, passed, &me, &room);
        let Some(Claimed::Ours(grant)) = core.claimed(now, id, &room, Ok(&answer)) else { panic!("free") };
        core.let_go(&room, &grant);
    }
    while !step(&mut core, &mut redis, passed) {
        passed += ROUND_TRIP;
        assert!(passed < 4 * TTL, "its lease was over at {:?}", 3 * TTL);
    }
    assert!(core.unrest().is_some(), "some are yet to be given back");
}

#[test]
fn the_answer_to_what_an_earlier_incarnation_has_asked_is_for_nobody_who_waits_now() {
    let (start, mut redis, room) = (Instant::now(), Model::new("r0", TTL), Arc::<str>::from("a"));
    let (mut core, says) = (Core::new("b", TTL, start), node("b", 0));
    let mut passed = Duration::ZERO;
    let join = |core: &mut Core, redis: &mut Model, passed: &mut Duration| {
        while !core.is_member(start + *passed) {
            *passed += STEP;
            if let Some(question) = core.poll(start + *passed) {
                let answer = redis.ask(*passed, &question.me, &says, &question.ask);
                core.answered(start + *passed, question.id, Ok(&answer));
            }
        }
        start + *passed
    };
    let now = join(&mut core, &mut redis, &mut passed);
    let Claim::Ask(_, earlier) = core.claim(now, &room) else { panic!("it asks") };
    passed += 2 * TTL;
    assert!(core.lapse(start + passed).is_some());
    let now = join(&mut core, &mut redis, &mut passed);
    let Claim::Ask(me, id) = core.claim(now, &room) else { panic!("it asks anew") };
    assert!(core.claimed(now, earlier, &room, Err(&Failure::Slow(TTL))).is_none());
    assert!(matches!(core.claim(now, &room), Claim::Wait), "its own answer is yet to come");
    let claim = Ask::Claim { room: room.clone(), to: me.clone(), make: true };
    let answer = redis.ask(passed, &me, &says, &claim);
    assert!(core.claimed(now, id, &room, Ok(&answer)).is_some());
}
