//! The desk in a real Redis does what its model does.

use super::{
    desk::{Assignment, Commit, Decision, Desk, LIFE_MS, Most, NotTaken, Refused, Seen},
    remote::Remote,
    ticket::{Ticket, TicketId},
};
use crate::{ground::source::Source, nodes::Way, redis_server};
use proptest::{prelude::*, test_runner::TestRunner};
use std::{cell::Cell, time::Duration};
use tokio::runtime::{Builder, Runtime};

struct Redis {
    server: redis_server::Redis,
    runtime: Runtime,
}

impl Redis {
    fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        Self { server: redis_server::Redis::start(), runtime }
    }

    fn desk(&self, prefix: &str) -> Remote {
        // The user of the guide has the keys of one prefix only.
        Remote::new(Way::new(&self.server.default_url().parse().unwrap(), prefix))
    }
}

#[derive(Debug, Clone)]
enum Ask {
    Add {
        id: u128,
        user: Option<u8>,
        kind: bool,
    },
    Look(u128),
    Away(u128),
    Decided(Vec<u128>),
    Cancel(u128),
    Lead(u8),
    GiveWay(u8),
    Waiting(bool),
    /// With this much less than the newest epoch.
    Commit {
        back: u64,
        ids: Vec<u128>,
    },
}

#[derive(Debug, PartialEq)]
enum Answer {
    Added(Result<(), NotTaken>),
    Seen(Option<Seen>),
    Decided(Vec<TicketId>),
    Leads(Option<u64>),
    Waiting(Vec<Ticket>),
    Committed(Commit),
    Done,
}

fn asks() -> impl Strategy<Value = Vec<Ask>> {
    let id = || 0..6u128;
    let ask = prop_oneof![
        4 => (id(), prop::option::of(0..2u8), any::<bool>())
            .prop_map(|(id, user, kind)| Ask::Add { id, user, kind }),
        2 => id().prop_map(Ask::Look),
        1 => id().prop_map(Ask::Away),
        1 => prop::collection::vec(id(), 0..4).prop_map(Ask::Decided),
        1 => id().prop_map(Ask::Cancel),
        2 => (0..2u8).prop_map(Ask::Lead),
        1 => (0..2u8).prop_map(Ask::GiveWay),
        1 => any::<bool>().prop_map(Ask::Waiting),
        3 => (0..2u64, prop::collection::btree_set(id(), 1..3))
            .prop_map(|(back, ids)| Ask::Commit { back, ids: ids.into_iter().collect() }),
    ];
    prop::collection::vec(ask, 1..30)
}

fn kind(which: bool) -> &'static str {
    if which { "arena" } else { "chess" }
}

fn ticket(id: u128, user: Option<u8>, which: bool) -> Ticket {
    let mut ticket = Ticket::new(TicketId::numbered(id), kind(which), 1 + id as u32);
    ticket.source = [None, Some("192.0.2.1"), Some("2001:db8::1")][id as usize % 3]
        .map(|address| Source::of(address.parse().unwrap()));
    ticket.user = user.map(|user| format!("user {user}").into());
    ticket.attributes.insert("mode".into(), "\"ctf\"\n".into());
    ticket
}

fn decided(ids: &[u128]) -> Vec<(TicketId, Decision)> {
    let decided = |id: &u128| {
        if id.is_multiple_of(3) {
            let refused = Refused { refused: "bad options".into(), lasts_ms: LASTS_MS };
            return (TicketId::numbered(*id), Decision::Refused(refused));
        }
        let assignment = Assignment {
            room: "match".into(),
            kind: "arena".into(),
            team: *id as u32,
            reservations: vec!["secret".into()],
            lasts_ms: LASTS_MS,
            url: None,
            quic: Some("host:1".into()),
        };
        (TicketId::numbered(*id), Decision::Match(assignment))
    };
    ids.iter().map(decided).collect()
}

/// Time goes on in the real one.
fn seen(seen: Option<Seen>) -> Answer {
    Answer::Seen(match seen {
        Some(Seen::Matched(assignment, LEFT_MS..=LASTS_MS)) => Some(Seen::Matched(assignment, LASTS_MS)),
        seen => seen,
    })
}

const LASTS_MS: u64 = 3_600_000;
const LEFT_MS: u64 = LASTS_MS / 2;
fn numbered(ids: &[u128]) -> Vec<TicketId> {
    ids.iter().copied().map(TicketId::numbered).collect()
}

const LEASE_MS: u64 = 3_600_000;
/// The parties have 1 to 6 players.
const MOST: Most = Most { tickets: 4, of_source: 7 };

fn model(desk: &mut Desk, ask: &Ask, newest: u64) -> Answer {
    match ask {
        Ask::Add { id, user, kind } => Answer::Added(desk.add(0, ticket(*id, *user, *kind), MOST)),
        Ask::Look(id) => Answer::Seen(desk.look(0, TicketId::numbered(*id), LIFE_MS)),
        Ask::Away(id) => {
            desk.away(0, TicketId::numbered(*id));
            Answer::Done
        }
        Ask::Decided(ids) => Answer::Decided(desk.decided(0, &numbered(ids))),
        Ask::Cancel(id) => Answer::Seen(desk.cancel(0, TicketId::numbered(*id))),
        Ask::Lead(who) => Answer::Leads(desk.lead(0, &who.to_string(), LEASE_MS)),
        Ask::GiveWay(who) => {
            desk.give_way(&who.to_string());
            Answer::Done
        }
        Ask::Waiting(which) => Answer::Waiting(desk.waiting(0, kind(*which))),
        Ask::Commit { back, ids } => {
            Answer::Committed(desk.commit(0, newest.saturating_sub(*back), &decided(ids)))
        }
    }
}

async fn real(desk: &Remote, ask: &Ask, newest: u64) -> Answer {
    match ask {
        Ask::Add { id, user, kind } => {
            Answer::Added(desk.add(&ticket(*id, *user, *kind), MOST).await.unwrap())
        }
        Ask::Look(id) => seen(desk.look(TicketId::numbered(*id), LIFE_MS).await.unwrap()),
        Ask::Away(id) => {
            desk.away(TicketId::numbered(*id)).await.unwrap();
            Answer::Done
        }
        Ask::Cancel(id) => seen(desk.cancel(TicketId::numbered(*id)).await.unwrap()),
        Ask::Decided(ids) => Answer::Decided(desk.decided(&numbered(ids)).await.unwrap()),
        Ask::Lead(who) => {
            let lasts = Duration::from_millis(LEASE_MS);
            Answer::Leads(desk.lead(&who.to_string(), lasts).await.unwrap())
        }
        Ask::GiveWay(who) => {
            desk.give_way(&who.to_string()).await.unwrap();
            Answer::Done
        }
        Ask::Waiting(which) => Answer::Waiting(desk.waiting(kind(*which)).await.unwrap()),
        Ask::Commit { back, ids } => {
            let made = decided(ids);
            Answer::Committed(desk.commit(newest.saturating_sub(*back), &made).await.unwrap())
        }
    }
}

#[test]
fn the_desk_in_redis_does_what_its_model_does() {
    let (redis, number) = (Redis::start(), Cell::new(0));
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    let told = TestRunner::new(config).run(&asks(), |story| {
        number.set(number.get() + 1);
        let prefix = format!("test-{}", number.get());
        let (remote, mut desk, mut newest) = (redis.desk(&prefix), Desk::default(), 0);
        for (at, ask) in story.iter().enumerate() {
            // A ticket's id is never used again.
            if let Ask::Add { id, .. } = ask
                && desk.knows(TicketId::numbered(*id))
            {
                continue;
            }
            let expected = model(&mut desk, ask, newest);
            let answer = redis.runtime.block_on(real(&remote, ask, newest));
            prop_assert_eq!(&answer, &expected, "{}: {:?}", at, ask);
            if let Answer::Leads(Some(epoch)) = answer {
                newest = epoch;
            }
        }
        Ok(())
    });
    told.unwrap();
}

#[test]
fn a_lease_of_before_the_clock_of_redis_was_set_back_binds_only_its_holder() {
    let redis = Redis::start();
    let (desk, lease) = (redis.desk("test"), Duration::from_millis(LEASE_MS));
    redis.runtime.block_on(async {
        let epoch = desk.lead("a", lease).await.unwrap().unwrap();
        let set_back = || redis.server.says("HSET {test}:queue until 9000000000000");
        set_back();
        assert_eq!(desk.lead("a", lease).await.unwrap(), Some(epoch), "its matches count");
        assert_eq!(desk.lead("b", lease).await.unwrap(), None, "it was renewed by the clock as it is now");
        set_back();
        let next = desk.lead("b", lease).await.unwrap().expect("nobody waits for the old time");
        assert!(next > epoch);
    });
}

#[test]
fn tickets_and_leases_in_redis_are_over_when_their_time_is() {
    let redis = Redis::start();
    let desk = redis.desk("test");
    redis.runtime.block_on(async {
        let short = Duration::from_millis(50);
        let first = desk.lead("a", short).await.unwrap().unwrap();
        assert_eq!(desk.lead("b", short).await.unwrap(), None);
        desk.add(&ticket(1, None, true), MOST).await.unwrap().unwrap();
        tokio::time::sleep(2 * short).await;
        assert_eq!(desk.commit(first, &decided(&[1])).await.unwrap(), Commit::LeaseLost);
        let second = desk.lead("b", Duration::from_secs(60)).await.unwrap().unwrap();
        assert!(second > first, "a slow server's match does not count");
        assert_eq!(desk.commit(first, &decided(&[1])).await.unwrap(), Commit::LeaseLost);
        let mut soon = decided(&[1]);
        let Decision::Match(assignment) = &mut soon[0].1 else { panic!("a match") };
        assignment.lasts_ms = 200;
        assert_eq!(desk.commit(second, &soon).await.unwrap(), Commit::Done);
        assert!(matches!(desk.look(TicketId::numbered(1), LIFE_MS).await.unwrap(), Some(Seen::Matched(..))));
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(desk.look(TicketId::numbered(1), LIFE_MS).await.unwrap(), None);
    });
}
