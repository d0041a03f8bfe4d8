//! The queue in virtual time: whatever match functions propose and servers do, no party is split, no ticket
//! is matched twice, and none is lost.

use super::{
    desk::{Assignment, Commit, Decision, Desk, LIFE_MS, Most, NotTaken, Seen},
    function::{Backfill, MatchFunction, Proposal, Round, possible},
    groups::Groups,
    open_room::tests::room,
    ticket::{Ticket, TicketId},
};
use crate::ground::{queue_sizes::QueueSizes, source::Source};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn ticket(id: u128, party: u32, skill: f64, since_ms: u64) -> Ticket {
    Ticket { skill, since_ms, ..Ticket::new(TicketId::numbered(id), "arena", party) }
}

fn round<'a>(now_ms: u64, tickets: &'a [Ticket], backfills: &'a [Backfill]) -> Round<'a> {
    Round::new(now_ms, 1, tickets, backfills)
}

/// The ids of the matches' teams, of tickets whose ids are their places.
fn matched(groups: &Groups, now_ms: u64, tickets: &[Ticket]) -> Vec<Vec<Vec<usize>>> {
    groups.propose(&round(now_ms, tickets, &[])).into_iter().map(|proposal| proposal.teams).collect()
}

#[test]
fn those_nearest_in_skill_play_and_who_came_first_comes_first() {
    let skills = [1000.0, 1500.0, 1010.0, 1490.0, 1020.0];
    let tickets: Vec<_> = (0..5).map(|n| ticket(n as u128, 1, skills[n], 0)).collect();
    assert_eq!(matched(&Groups::new(2, 1), 0, &tickets), [vec![vec![2], vec![0]], vec![vec![1], vec![3]]]);
}

#[test]
fn the_window_widens_with_the_time_waited() {
    let tickets = [ticket(0, 1, 1000.0, 0), ticket(1, 1, 1200.0, 0)];
    let groups = Groups::new(2, 1);
    assert!(matched(&groups, 9_000, &tickets).is_empty());
    assert_eq!(matched(&groups, 10_000, &tickets).len(), 1);
}

#[test]
fn teams_are_as_equal_as_they_can_be_and_parties_whole() {
    let of = |parties: &[(u32, f64)]| -> Vec<Ticket> {
        parties.iter().enumerate().map(|(n, (party, skill))| ticket(n as u128, *party, *skill, 0)).collect()
    };
    let groups = Groups { skill_window: 1e6, ..Groups::new(2, 2) };
    let teams = matched(&groups, 0, &of(&[(1, 10.0), (1, 20.0), (1, 30.0), (1, 40.0)]));
    let sums: BTreeSet<_> =
        teams[0].iter().map(|team| team.iter().map(|n| 10 * (n + 1)).sum::<usize>()).collect();
    assert_eq!(sums, BTreeSet::from([50]));

    // Parties of three, and of two, fit into teams of six in one way only.
    let groups = Groups { skill_window: 1e6, ..Groups::new(2, 6) };
    let teams = matched(&groups, 0, &of(&[(3, 1.0), (2, 1.0), (3, 1.0), (2, 1.0), (2, 1.0)]));
    let mut sizes: Vec<_> = teams[0].iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [2, 3]);
    assert!(matched(&Groups::new(2, 3), 0, &of(&[(2, 1.0), (2, 1.0), (2, 1.0)])).is_empty(), "none is split");
}

#[test]
fn a_party_that_does_not_fit_in_keeps_nobody_from_playing() {
    let tickets = [
        ticket(0, 2, 0.0, 0),
        ticket(1, 2, 1.0, 0),
        ticket(2, 2, 2.0, 0),
        ticket(3, 1, 3.0, 0),
        ticket(4, 1, 4.0, 0),
    ];
    let teams = matched(&Groups::new(2, 3), 0, &tickets);
    assert_eq!(teams.len(), 1);
    assert_eq!(
        teams[0].iter().map(|team| team.iter().map(|n| tickets[*n].party).sum::<u32>()).collect::<Vec<_>>(),
        [3, 3]
    );
    // Nor does one that is too large for any team.
    let tickets = [ticket(0, 5, 0.0, 0), ticket(1, 1, 0.0, 0), ticket(2, 1, 0.0, 0)];
    assert_eq!(matched(&Groups::new(2, 1), 0, &tickets).len(), 1);
}

#[test]
fn a_region_is_near_enough_for_all_and_the_nearest_of_those() {
    let at = |id, regions: &[(&str, u32)]| Ticket {
        latencies: regions.iter().map(|(name, ms)| ((*name).to_owned(), *ms)).collect(),
        ..ticket(id, 1, 0.0, 0)
    };
    let groups = Groups::new(2, 1);
    let propose = |now_ms, tickets: &[Ticket]| groups.propose(&round(now_ms, tickets, &[]));
    let (ann, bob) = (at(0, &[("eu", 20), ("us", 90), ("asia", 300)]), at(1, &[("eu", 120), ("us", 30)]));
    assert_eq!(propose(0, &[ann.clone(), bob.clone()])[0].region.as_deref(), Some("us"));
    let cy = at(2, &[("asia", 20), ("eu", 130)]);
    assert!(propose(0, &[ann.clone(), cy.clone()]).is_empty(), "too far away");
    assert_eq!(
        propose(3_000, &[ann.clone(), cy])[0].region.as_deref(),
        Some("eu"),
        "after a while it will do"
    );
    assert_eq!(
        propose(0, &[ann, ticket(3, 1, 0.0, 0)])[0].region.as_deref(),
        Some("eu"),
        "who does not say goes anywhere"
    );
}

#[test]
fn everybodys_filter_is_true_of_everybody_else() {
    let with = |id, mode: &str, filter: &str| Ticket {
        attributes: BTreeMap::from([("mode".to_owned(), mode.to_owned())]),
        filter: filter.to_owned(),
        ..ticket(id, 1, 0.0, 0)
    };
    let tickets = [
        with(0, "ctf", "mode = \"ctf\""),
        with(1, "dm", "mode = \"dm\" and party = 1"),
        with(2, "ctf", ""),
        with(3, "dm", "skill < 100"),
    ];
    assert_eq!(matched(&Groups::new(2, 1), 0, &tickets), [vec![vec![0], vec![2]], vec![vec![1], vec![3]]]);
}

#[test]
fn a_room_gets_no_more_players_than_it_wants_and_those_who_suit_it() {
    let backfills = [Backfill::new(room("a", 3), 3, Some(1000.0))];
    let tickets = [
        ticket(0, 2, 1050.0, 0),
        ticket(1, 2, 1000.0, 0),
        ticket(2, 1, 3000.0, 0),
        Ticket { filter: "mode = \"dm\"".into(), ..ticket(3, 1, 1000.0, 0) },
        Ticket { filter: "mode = \"ctf\" and players = 3".into(), ..ticket(4, 1, 1000.0, 0) },
    ];
    let proposals = Groups::new(2, 4).propose(&round(0, &tickets, &backfills));
    assert_eq!(proposals, [Proposal { teams: vec![vec![0, 4]], region: None, backfill: Some(0) }]);
}

#[test]
fn a_match_may_have_as_many_players_as_a_queue_accepts() {
    let tickets: Vec<_> = (0..1_000).map(|n| ticket(n, 1, n as f64 / 100.0, 0)).collect();
    for (teams, size) in [(1, 1_000), (1_000, 1), (2, 500)] {
        let accepted = |teams: u32| format!("arena={teams}x{size}").parse::<QueueSizes>().is_ok();
        assert!(accepted(teams) && !accepted(teams + 1), "it is the largest");
        let made = matched(&Groups::new(teams, size), 0, &tickets);
        assert_eq!(made.len(), 1, "{teams}x{size}");
        assert!(made[0].len() == teams as usize && made[0].iter().all(|team| team.len() == size as usize));
    }
}

// Promise 4: "One client, however slow or hostile, MUST NOT delay another's tick": nor a match.
#[test]
fn a_large_match_that_lacks_one_keeps_nobody_from_playing() {
    let friend = |n| Ticket {
        attributes: BTreeMap::from([("friends".to_owned(), "yes".to_owned())]),
        filter: "friends = \"yes\"".to_owned(),
        ..ticket(n, 1, 0.0, 0)
    };
    let loner = |n| Ticket { filter: "friends = \"no\"".to_owned(), ..ticket(n, 1, 50.0, 0) };
    let mut tickets: Vec<_> = (0..999).map(friend).chain((999..1_299).map(loner)).collect();
    tickets.extend((1_299..2_299).map(|n| ticket(n, 1, 1_000.0, 1_000)));
    let mut seeds = (0..10u64).map(|n| n * 1_500);
    let made = |seed| Groups::new(1, 1_000).propose(&Round::new(1_000, seed, &tickets, &[])).len();
    assert!(seeds.any(|seed| made(seed) == 1));
}

// Promise 4: "One client, however slow or hostile, MUST NOT delay another's tick": nor a match.
#[test]
fn those_who_fit_nobody_keep_nobody_from_playing() {
    // Squads that lack one, and would have nobody else: each of them is compared with very many.
    let squad = |n: usize| Ticket {
        attributes: BTreeMap::from([("squad".to_owned(), format!("{}", n / 7))]),
        filter: format!("squad = \"{}\"", n / 7),
        ..ticket(n as u128, 1, 1e6 + n as f64 / 100.0, 0)
    };
    let mut tickets: Vec<_> = (0..5_000).map(squad).collect();
    tickets.extend((5_000..5_008).map(|n| ticket(n, 1, 0.0, 1_000)));
    let groups = Groups::new(2, 4);
    let rounds = (0..100u64).map(|n| Round::new(1_000, n * 977, &tickets, &[]));
    let made = rounds.map(|round| groups.propose(&round).len()).take_while(|made| *made == 0).count();
    assert!(made < 20, "after {made} rounds");
}

#[test]
fn those_who_fit_nobody_part_nobody_from_another() {
    let misfit = |n| Ticket { filter: "party > 1".into(), ..ticket(n, 1, 1_500.0, 0) };
    let mut tickets: Vec<_> = (0..1_000).map(misfit).collect();
    tickets.extend([ticket(1_000, 1, 1_480.0, 0), ticket(1_001, 1, 1_520.0, 0)]);
    let rounds = (0..200u64).map(|n| Round::new(0, n.wrapping_mul(0x1234_5678_9abc_def1), &tickets, &[]));
    let groups = Groups::new(2, 1);
    let made = rounds.map(|round| groups.propose(&round).len()).take_while(|made| *made == 0).count();
    assert!(made < 40, "after {made} rounds");
}

#[test]
fn regions_that_others_invent_leave_everybody_elses_alone() {
    let at = |id, regions: Vec<String>| Ticket {
        latencies: regions.into_iter().map(|region| (region, 20)).collect(),
        ..ticket(id, 1, 0.0, 0)
    };
    let mut tickets: Vec<_> =
        (0..8).map(|n| at(n, (0..16).map(|of| format!("{n}-{of}")).collect())).collect();
    tickets.extend([8, 9].map(|n| at(n, vec!["eu".to_owned()])));
    let proposals = Groups::new(2, 1).propose(&round(0, &tickets, &[]));
    let made = Proposal { teams: vec![vec![8], vec![9]], region: Some("eu".to_owned()), backfill: None };
    assert_eq!(proposals, [made]);
    let mut place = room("a", 0);
    place.region = Some("eu".into());
    let proposals = Groups::new(2, 1).propose(&round(0, &tickets, &[Backfill::new(place, 4, None)]));
    assert_eq!(proposals[0].teams, [vec![8, 9]]);
}

#[test]
fn a_source_waits_for_no_more_players_than_may_play_from_there() {
    let mut desk = Desk::default();
    let [here, there] = ["192.0.2.1", "192.0.2.2"].map(|address| Source::of(address.parse().unwrap()));
    let of = |id, party, source| Ticket { source: Some(source), ..ticket(id, party, 0.0, 0) };
    let most = Most { tickets: 100, of_source: 4 };
    desk.add(0, of(1, 3, here), most).unwrap();
    assert_eq!(desk.add(0, of(2, 2, here), most), Err(NotTaken::SourceFull));
    desk.add(0, of(2, 1, here), most).unwrap();
    desk.add(0, of(3, 4, there), most).unwrap();
    // With a match as without one, until its seats are over.
    let epoch = desk.lead(0, "a", LEASE_MS).unwrap();
    assert_eq!(
        desk.commit(0, epoch, &[(TicketId::numbered(1), Decision::Match(assignment()))]),
        Commit::Done
    );
    assert_eq!(desk.add(1, of(4, 1, here), most), Err(NotTaken::SourceFull));
    desk.cancel(1, TicketId::numbered(2)).unwrap();
    desk.add(1, of(4, 1, here), most).unwrap();
    // What is given up because nobody looks counts no more.
    desk.add(LIFE_MS + 1, of(5, 4, there), most).unwrap();
}

/// Proposes anything.
fn anything(tickets: usize) -> impl Strategy<Value = Vec<Proposal>> {
    let team = prop::collection::vec(0..tickets + 2, 0..4);
    let proposal = (prop::collection::vec(team, 0..3), prop::option::of(0..3usize));
    let proposal = proposal.prop_map(|(teams, backfill)| Proposal { teams, region: None, backfill });
    prop::collection::vec(proposal, 0..8)
}

fn some_tickets(most: usize) -> impl Strategy<Value = Vec<Ticket>> {
    let one = (1..4u32, 0..400i32, 0..30_000u64, prop::sample::select(vec!["", "party < 3", "skill > 100"]));
    prop::collection::vec(one, 0..most).prop_map(|all| {
        let of = |(n, (party, skill, since, filter)): (usize, (u32, i32, u64, &str))| Ticket {
            filter: filter.to_owned(),
            ..ticket(n as u128, party, skill.into(), since)
        };
        all.into_iter().enumerate().map(of).collect()
    })
}

proptest! {
    #[test]
    fn whatever_a_function_proposes_only_what_is_possible_is_taken(
        tickets in some_tickets(8), proposals in anything(8), players in 0..6u32,
    ) {
        let backfills = [Backfill::new(room("a", 0), players, None)];
        let round = round(0, &tickets, &backfills);
        let taken = possible(&round, proposals);
        let all: Vec<_> = taken.iter().flat_map(Proposal::tickets).collect();
        prop_assert!(all.iter().all(|at| *at < tickets.len()));
        prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "no ticket twice");
        let into_room = taken.iter().filter(|proposal| proposal.backfill.is_some());
        prop_assert!(into_room.flat_map(Proposal::tickets).map(|at| tickets[at].party).sum::<u32>() <= players);
    }

    #[test]
    fn groups_are_of_the_size_asked_for_whatever_the_parties(
        tickets in some_tickets(40), teams in 1..4u32, size in 1..5u32,
    ) {
        let groups = Groups::new(teams, size);
        let asked = round(40_000, &tickets, &[]);
        let proposals = groups.propose(&asked);
        prop_assert_eq!(&possible(&asked, proposals.clone()), &proposals, "all are possible together");
        prop_assert_eq!(&groups.propose(&asked), &proposals, "the same again");
        for Proposal { teams: made, .. } in &proposals {
            prop_assert_eq!(made.len(), teams as usize);
            for team in made {
                prop_assert_eq!(team.iter().map(|at| tickets[*at].party).sum::<u32>(), size);
            }
            let members: Vec<_> = made.iter().flatten().map(|at| &tickets[*at]).collect();
            for (one, other) in members.iter().flat_map(|one| members.iter().map(move |other| (*one, *other))) {
                let wants = one.wants();
                prop_assert!(one.id == other.id || wants.is_none_or(|wants| wants.fits(other)));
            }
        }
    }
}

/// One of several servers that make matches, between two of its steps.
#[derive(Debug, Clone, Default)]
enum At {
    #[default]
    Idle,
    /// It has read who waits, and keeps seats for what it has proposed.
    Proposed { epoch: u64, matches: Vec<Vec<(TicketId, Assignment)>> },
}

/// What happens. Numbers choose.
#[derive(Debug, Clone)]
enum What {
    Come {
        party: u32,
        skill: i32,
    },
    Cancel(usize),
    Look(usize),
    /// A server goes a step further.
    Step(usize),
    /// A server dies, and another process begins in its place.
    Die(usize),
    Pass {
        ms: u64,
    },
}

fn happens() -> impl Strategy<Value = What> {
    prop_oneof![
        4 => (1..4u32, 0..500).prop_map(|(party, skill)| What::Come { party, skill }),
        1 => any::<usize>().prop_map(What::Cancel),
        3 => any::<usize>().prop_map(What::Look),
        6 => (0..3usize).prop_map(What::Step),
        1 => (0..3usize).prop_map(What::Die),
        2 => (1..3_000u64).prop_map(|ms| What::Pass { ms }),
    ]
}

const LEASE_MS: u64 = 2_000;

fn assignment() -> Assignment {
    Assignment {
        room: "match".into(),
        kind: "arena".into(),
        team: 0,
        reservations: vec!["secret".into()],
        lasts_ms: 10_000,
        url: None,
        quic: None,
    }
}

fn most(tickets: usize) -> Most {
    Most { tickets, ..MOST }
}

const MOST: Most = Most { tickets: 1_000, of_source: 1_000 };

/// Players, servers and a desk.
#[derive(Default)]
struct World {
    desk: Desk,
    now_ms: u64,
    came: Vec<Ticket>,
    cancelled: BTreeSet<TicketId>,
    looked: BTreeMap<TicketId, u64>,
    /// And up to when.
    assigned: BTreeMap<TicketId, (Assignment, u64)>,
    servers: [At; 3],
    lives: [u32; 3],
    rooms: u32,
    /// Who was told to lead last, up to when, and the number of the lease.
    led: Option<(String, u64, u64)>,
}

impl World {
    fn happens(&mut self, what: What) {
        match what {
            What::Come { party, skill } => {
                let ticket = ticket(self.came.len() as u128, party, skill.into(), self.now_ms);
                self.desk.add(self.now_ms, ticket.clone(), MOST).unwrap();
                self.looked.insert(ticket.id, self.now_ms);
                self.came.push(ticket);
            }
            What::Cancel(n) => {
                if let Some(id) = self.any(n)
                    && let Some(Seen::Waiting(_)) = self.desk.cancel(self.now_ms, id)
                {
                    self.cancelled.insert(id);
                }
            }
            What::Look(n) => {
                let Some(id) = self.any(n) else { return };
                self.look(id);
            }
            What::Step(server) => self.step(server),
            What::Die(server) => {
                self.servers[server] = At::Idle;
                self.lives[server] += 1;
            }
            What::Pass { ms } => self.now_ms += ms,
        }
    }

    fn any(&self, n: usize) -> Option<TicketId> {
        (!self.came.is_empty()).then(|| self.came[n % self.came.len()].id)
    }

    /// Whoever looks sees the ticket wait, or its match: always the same one. Unless it was taken back, or
    /// nobody has looked for too long.
    fn look(&mut self, id: TicketId) {
        let seen = self.desk.look(self.now_ms, id, LIFE_MS);
        let forgotten = self.now_ms >= self.looked[&id] + LIFE_MS;
        match &seen {
            Some(Seen::Waiting(ticket)) => {
                assert!(!self.cancelled.contains(&id) && !self.assigned.contains_key(&id));
                assert_eq!(
                    **ticket,
                    self.came[usize::try_from(u128::from_str_radix(&id.to_string(), 16).unwrap()).unwrap()]
                );
                self.looked.insert(id, self.now_ms);
            }
            Some(Seen::Matched(assignment, left)) => {
                assert_eq!(Some(&(assignment.clone(), self.now_ms + left)), self.assigned.get(&id));
            }
            Some(Seen::Refused(why)) => panic!("nobody has refused {id:?}: {why}"),
            None => {
                let over = self.assigned.get(&id).is_some_and(|(_, until)| self.now_ms >= *until);
                assert!(self.cancelled.contains(&id) || over || forgotten, "{id:?} is lost");
            }
        }
    }

    fn step(&mut self, server: usize) {
        let who = format!("{server}.{}", self.lives[server]);
        match std::mem::take(&mut self.servers[server]) {
            At::Idle => {
                let Some(epoch) = self.desk.lead(self.now_ms, &who, LEASE_MS) else { return };
                if let Some((other, until, _)) = &self.led {
                    assert!(*other == who || *until <= self.now_ms, "two lead");
                }
                self.led = Some((who, self.now_ms + LEASE_MS, epoch));
                let tickets = self.desk.waiting(self.now_ms, "arena");
                let asked = round(self.now_ms, &tickets, &[]);
                let proposals = possible(&asked, Groups::new(2, 3).propose(&asked));
                let matches = proposals.into_iter().map(|proposal| self.seats(&tickets, &proposal)).collect();
                self.servers[server] = At::Proposed { epoch, matches };
            }
            At::Proposed { epoch, matches } => {
                for made in matches {
                    let decided = |(id, assignment): &(TicketId, Assignment)| {
                        (*id, Decision::Match(assignment.clone()))
                    };
                    let decided: Vec<_> = made.iter().map(decided).collect();
                    if self.desk.commit(self.now_ms, epoch, &decided) == Commit::Done {
                        let leads = self
                            .led
                            .as_ref()
                            .is_some_and(|(_, until, of)| *of == epoch && *until > self.now_ms);
                        assert!(leads, "only who leads makes matches");
                        self.committed(made);
                    }
                }
            }
        }
    }

    fn seats(&mut self, tickets: &[Ticket], proposal: &Proposal) -> Vec<(TicketId, Assignment)> {
        self.rooms += 1;
        let assigned = |(team, at): (usize, usize)| {
            let assignment = Assignment {
                room: format!("match-{}", self.rooms),
                kind: "arena".into(),
                team: team as u32,
                reservations: (0..tickets[at].party).map(|n| n.to_string()).collect(),
                lasts_ms: 10_000,
                url: None,
                quic: None,
            };
            (tickets[at].id, assignment)
        };
        let teams = proposal.teams.iter().enumerate();
        teams.flat_map(|(team, tickets)| tickets.iter().map(move |at| (team, *at))).map(assigned).collect()
    }

    fn committed(&mut self, made: Vec<(TicketId, Assignment)>) {
        let rooms: BTreeSet<_> = made.iter().map(|(_, assignment)| assignment.room.clone()).collect();
        assert_eq!(rooms.len(), 1);
        for (id, assignment) in made {
            let party = self.came.iter().find(|ticket| ticket.id == id).map(|ticket| ticket.party as usize);
            assert_eq!(Some(assignment.reservations.len()), party, "all of a party are in one team, or none");
            assert!(!self.cancelled.contains(&id), "who has gone is not matched");
            assert!(self.now_ms < self.looked[&id] + LIFE_MS, "nor who does not look any more");
            let until = self.now_ms + assignment.lasts_ms;
            assert!(self.assigned.insert(id, (assignment, until)).is_none(), "{id:?} is matched twice");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_024, ..ProptestConfig::default() })]

    #[test]
    fn whoever_dies_no_ticket_is_matched_twice_and_none_is_lost(
        story in prop::collection::vec(happens(), 0..120),
    ) {
        let mut world = World::default();
        for what in story {
            world.happens(what);
        }
        for id in world.came.iter().map(|ticket| ticket.id).collect::<Vec<_>>() {
            world.look(id);
        }
        // Whoever is left makes the matches that are left: nothing that has happened is in the way.
        world.now_ms += LEASE_MS;
        let waiting = world.desk.waiting(world.now_ms, "arena").len();
        world.happens(What::Die(0));
        // One round may make another match possible.
        (0..2 * world.came.len()).for_each(|_| world.step(0));
        if world.came.is_empty() {
            return Ok(());
        }
        let tickets = world.desk.waiting(world.now_ms, "arena");
        let asked = round(world.now_ms, &tickets, &[]);
        prop_assert!(waiting >= tickets.len() && Groups::new(2, 3).propose(&asked).is_empty());
    }
}

#[test]
fn a_lease_of_before_the_clock_was_set_back_binds_only_its_holder() {
    let mut desk = Desk::default();
    let epoch = desk.lead(1_000_000, "a", LEASE_MS).unwrap();
    assert_eq!(desk.lead(5_000, "a", LEASE_MS), Some(epoch), "its matches count");
    assert_eq!(desk.lead(5_001, "b", LEASE_MS), None, "it has been renewed by the clock as it is now");
    desk.lead(1_000_000, "a", LEASE_MS).unwrap();
    let next = desk.lead(10_000, "b", LEASE_MS).expect("if it has died, nobody waits for the old time");
    assert!(next > epoch);
    assert_eq!(desk.commit(10_000, epoch, &[]), Commit::LeaseLost);
}

#[test]
fn who_gets_no_other_ticket_keeps_the_one_that_waits() {
    let mut desk = Desk::default();
    let [here, there] = ["192.0.2.1", "192.0.2.2"].map(|address| Source::of(address.parse().unwrap()));
    let of = |id, party, source| Ticket { source: Some(source), party, ..of_ann(id, "arena") };
    let most = Most { tickets: 100, of_source: 4 };
    desk.add(0, of(1, 2, here), most).unwrap();
    desk.add(0, Ticket { user: None, ..of(2, 3, there) }, most).unwrap();
    assert_eq!(desk.add(1, of(3, 2, there), most), Err(NotTaken::SourceFull));
    assert!(desk.look(1, TicketId::numbered(1), LIFE_MS).is_some());
    assert_eq!(desk.add(1, of(3, 5, here), most), Err(NotTaken::SourceFull));
    assert!(desk.look(1, TicketId::numbered(1), LIFE_MS).is_some());
    desk.add(1, of(3, 4, here), most).expect("instead of the one that waits");
    assert_eq!(desk.look(1, TicketId::numbered(1), LIFE_MS), None);
}

fn of_ann(id: u128, kind: &str) -> Ticket {
    Ticket { user: Some("ann".into()), kind: kind.into(), ..ticket(id, 1, 0.0, 0) }
}

#[test]
fn who_has_lost_the_answer_takes_another_ticket_and_nobody_is_matched_with_the_lost_one() {
    let mut desk = Desk::default();
    let [lost, other, bob] = [1, 2, 3].map(TicketId::numbered);
    desk.add(0, of_ann(1, "arena"), most(2)).unwrap();
    desk.add(0, ticket(3, 1, 0.0, 0), most(2)).unwrap();
    desk.add(1_000, of_ann(2, "arena"), most(2)).expect("in the place of the lost one");
    assert_eq!(desk.look(1_000, lost, LIFE_MS), None);
    let waiting: Vec<_> = desk.waiting(1_000, "arena").iter().map(|ticket| ticket.id).collect();
    assert_eq!(waiting, [bob, other]);
    // Of a match that she has not heard of, she may still; but it keeps her from no other one.
    let epoch = desk.lead(1_000, "a", LEASE_MS).unwrap();
    let assignment = assignment();
    assert_eq!(desk.commit(1_000, epoch, &[(other, Decision::Match(assignment.clone()))]), Commit::Done);
    desk.add(2_000, of_ann(4, "arena"), most(3)).unwrap();
    assert_eq!(desk.look(3_000, other, LIFE_MS), Some(Seen::Matched(assignment, 8_000)));
    // That match is over by now.
    desk.add(11_000, of_ann(5, "arena"), most(2)).expect("in the place of her last one");
}

#[test]
fn a_user_has_one_ticket_a_game_and_there_are_no_more_than_may_be() {
    let of = of_ann;
    let mut desk = Desk::default();
    desk.add(0, of(7, "arena"), most(3)).unwrap();
    desk.add(0, of(1, "arena"), most(3)).unwrap();
    desk.add(0, of(2, "chess"), most(3)).unwrap();
    desk.add(0, ticket(3, 1, 0.0, 0), most(3)).unwrap();
    assert_eq!(desk.add(0, ticket(4, 1, 0.0, 0), most(3)), Err(NotTaken::Full));
    assert!(matches!(desk.cancel(0, TicketId::numbered(1)), Some(Seen::Waiting(_))));
    assert_eq!(desk.cancel(0, TicketId::numbered(1)), None);
    desk.add(1, of(5, "arena"), most(3)).unwrap();
    // Nobody has looked at the others.
    desk.add(LIFE_MS, of(6, "chess"), most(2)).unwrap();
}
