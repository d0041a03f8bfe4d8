//! The match function that comes with the server: groups of as many as play, of about the same skill.
//!
//! Who has waited longest comes first, and takes those nearest in skill within a window that widens as it
//! waits; a region must be near enough for all; everybody's filter must be true of everybody else. Parties
//! stay whole, and teams are as equal in skill as they can be.
//!
//! A round is bounded. Half of it is for those who have waited longest; the other half for all, beginning
//! with another one in each round. Who has too many around who do not fit looks at others then, from anywhere
//! in the window on: those who fit nobody, however many, near whom, and however long they wait, keep nobody
//! from playing for good.

use super::{
    filter::Filter,
    function::{Backfill, MatchFunction, Proposal, Round},
    near::Near,
    ticket::Ticket,
};
use std::{collections::BTreeMap, iter::Chain, mem, ops::Range};

/// How many others are looked at for one who has waited, at most, beyond those that a match has.
const LOOKED_AT: usize = 256;
/// How many pairs are compared in a round: when there have been as many, no further match is begun.
const COMPARED: usize = 500_000;
/// After how many those have their turn who have not waited longest: one large match may take more, and the
/// others have as many for themselves.
const COMPARED_OF_LONGEST: usize = COMPARED / 2;
/// After how many tickets do, instead of rooms that want players.
const COMPARED_OF_BACKFILLS: usize = COMPARED / 4;
/// How many steps are taken to make the teams of one match, at most, beyond the one for each of its parties.
const TEAMS_TRIED: usize = 1_000;

/// Groups of a size.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Groups {
    /// How many teams a match has.
    pub teams: u32,
    /// How many players a team has.
    pub team_size: u32,
    /// How far from one another in skill those are who have just come.
    pub skill_window: f64,
    /// How much farther for each second that the first has waited.
    pub skill_widens: f64,
    /// How far away a region may be, milliseconds, for one who has just come.
    pub latency_ms: u32,
    /// How much farther for each second of waiting.
    pub latency_widens: u32,
}

impl Groups {
    /// So many teams of so many.
    pub fn new(teams: u32, team_size: u32) -> Self {
        let (teams, team_size) = (teams.max(1), team_size.max(1));
        let (skill_window, skill_widens, latency_ms, latency_widens) = (100.0, 10.0, 100, 10);
        Self { teams, team_size, skill_window, skill_widens, latency_ms, latency_widens }
    }

    fn window(&self, waited_ms: u64) -> f64 {
        self.skill_window + self.skill_widens * (waited_ms as f64 / 1_000.0)
    }
}

impl MatchFunction for Groups {
    fn most_party(&self) -> u32 {
        self.team_size
    }

    fn propose(&self, round: &Round<'_>) -> Vec<Proposal> {
        let mut pool = Pool::new(self, round);
        let mut proposals = Vec::new();
        // Whoever plays already waits for others, too.
        for (at, backfill) in round.backfills.iter().enumerate() {
            proposals.extend(self.fill(&mut pool, at, backfill));
        }
        let all = round.tickets.len();
        let start = usize::try_from(round.seed % all.max(1) as u64).unwrap_or(0);
        let mut tried = vec![Tried::No; all];
        let mut most = COMPARED_OF_LONGEST;
        for (first, in_turn) in [(0, false), (start, true)] {
            for place in (first..all).chain(0..first) {
                while pool.compared < most && pool.is_free(place) {
                    let (others, with) = match tried[place] {
                        Tried::No => (pool.nearest(place), Tried::WithNearest),
                        Tried::WithNearest if in_turn => {
                            (pool.around(place, self, round.seed), Tried::WithAll)
                        }
                        _ => break,
                    };
                    match self.group(&mut pool, place, others) {
                        Ok(proposal) => {
                            proposal.tickets().for_each(|at| pool.take(at));
                            proposals.push(proposal);
                        }
                        Err(reached) => tried[place] = reached.max(with),
                    }
                }
            }
            most = pool.compared + (COMPARED - COMPARED_OF_LONGEST);
        }
        proposals
    }
}

impl Groups {
    /// A match of this one with others, or who was tried.
    fn group(&self, pool: &mut Pool<'_>, first: usize, mut others: Others) -> Result<Proposal, Tried> {
        let size = self.teams.saturating_mul(self.team_size);
        let mut group = Group::of(pool, first);
        if group.players > size || pool.tickets[first].party > self.team_size {
            return Err(Tried::WithAll);
        }
        let (skill, window) = (pool.tickets[first].skill, self.window(pool.waited(first)));
        let mut looked_at = 0;
        loop {
            if group.players == size {
                if let Some(teams) = self.teams(pool, &group.members) {
                    return Ok(Proposal { teams, region: pool.region(&group), backfill: None });
                }
                // The last one does not fit in: their parties are too large.
                group = group.without_last(pool);
            }
            if looked_at == LOOKED_AT + size as usize {
                return Err(Tried::WithNearest);
            }
            looked_at += 1;
            let next = others.next(pool, skill, window).ok_or(Tried::WithAll)?;
            let party = pool.tickets[next].party;
            if party <= self.team_size && group.players + party <= size && pool.fits(&group, next) {
                group.add(pool, next);
            }
        }
    }

    /// Players for a room that wants some: as many as there are. What they want must be true of the room.
    fn fill(&self, pool: &mut Pool<'_>, at: usize, backfill: &Backfill) -> Option<Proposal> {
        let mut group = Group { members: Vec::new(), players: 0, near: Near::anywhere() };
        for place in 0..pool.tickets.len() {
            let ticket = &pool.tickets[place];
            let near = backfill
                .skill
                .is_none_or(|skill| (ticket.skill - skill).abs() <= self.window(pool.waited(place)));
            let wants = pool.wants[place].as_ref().is_none_or(|filter| filter.fits(&backfill.room));
            let here = backfill.room.region.as_ref().is_none_or(|region| pool.can_reach(place, region));
            if group.players + ticket.party <= backfill.players
                && pool.is_free(place)
                && near
                && wants
                && here
            {
                group.add(pool, place);
            }
            pool.compared += 1;
            if group.players == backfill.players || pool.compared >= COMPARED_OF_BACKFILLS {
                break;
            }
        }
        if group.members.is_empty() {
            return None;
        }
        group.members.iter().for_each(|place| pool.take(*place));
        Some(Proposal { teams: vec![group.members], region: None, backfill: Some(at) })
    }

    /// Teams of these, whole parties each, as equal in skill as a search of bounded length finds. None: there
    /// are none.
    fn teams(&self, pool: &Pool<'_>, members: &[usize]) -> Option<Vec<Vec<usize>>> {
        let mut parties = members.to_vec();
        // The largest first: they are the hardest to place.
        parties.sort_by(|one, other| {
            let (one, other) = (&pool.tickets[*one], &pool.tickets[*other]);
            other.party.cmp(&one.party).then(other.skill.total_cmp(&one.skill)).then(one.id.cmp(&other.id))
        });
        let free = vec![(self.team_size, 0.0); self.teams as usize];
        let mut search = Search { pool, parties: &parties, best: None, tried: 0 };
        search.place(&mut vec![0; parties.len()], 0, &mut free.clone());
        let (_, chosen) = search.best?;
        let mut teams = vec![Vec::new(); self.teams as usize];
        for (party, team) in parties.iter().zip(chosen) {
            teams[team].push(*party);
        }
        Some(teams)
    }
}

/// A search for equal teams: depth first, the weakest team first, so that the first find is a good one.
struct Search<'a> {
    pool: &'a Pool<'a>,
    parties: &'a [usize],
    /// How unequal the teams are, and the team of each party.
    best: Option<(f64, Vec<usize>)>,
    tried: usize,
}

impl Search<'_> {
    fn place(&mut self, chosen: &mut Vec<usize>, at: usize, teams: &mut [(u32, f64)]) {
        if self.tried >= TEAMS_TRIED + self.parties.len()
            || self.best.as_ref().is_some_and(|(unequal, _)| *unequal == 0.0)
        {
            return;
        }
        self.tried += 1;
        let Some(party) = self.parties.get(at) else {
            let skills = teams.iter().map(|(_, skill)| *skill);
            let (least, most) = skills.fold((f64::MAX, f64::MIN), |(l, m), s| (l.min(s), m.max(s)));
            if self.best.as_ref().is_none_or(|(unequal, _)| most - least < *unequal) {
                self.best = Some((most - least, chosen.clone()));
            }
            return;
        };
        let ticket = &self.pool.tickets[*party];
        let adds = ticket.skill * f64::from(ticket.party);
        let mut order: Vec<usize> = (0..teams.len()).filter(|team| teams[*team].0 >= ticket.party).collect();
        order.sort_by(|one, other| teams[*one].1.total_cmp(&teams[*other].1));
        // Teams that are alike so far are tried once.
        order.dedup_by(|one, other| teams[*one] == teams[*other]);
        for team in order {
            let before = teams[team];
            teams[team] = (before.0 - ticket.party, before.1 + adds);
            chosen[at] = team;
            self.place(chosen, at + 1, teams);
            teams[team] = before;
        }
    }
}

/// With whom a match of somebody was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tried {
    No,
    /// Only with those nearest in skill, because there are so many.
    WithNearest,
    /// With all, or with as many as may be.
    WithAll,
}

/// Those who are to play together, so far.
struct Group {
    members: Vec<usize>,
    players: u32,
    /// Regions that are near enough for all.
    near: Near,
}

impl Group {
    fn of(pool: &Pool<'_>, first: usize) -> Self {
        Self { members: vec![first], players: pool.tickets[first].party, near: pool.near[first].clone() }
    }

    fn add(&mut self, pool: &Pool<'_>, place: usize) {
        self.members.push(place);
        self.players += pool.tickets[place].party;
        self.near.narrow(&pool.near[place]);
    }

    fn without_last(mut self, pool: &Pool<'_>) -> Self {
        self.members.pop();
        let mut near = Near::anywhere();
        self.members.iter().for_each(|place| near.narrow(&pool.near[*place]));
        let players = self.members.iter().map(|place| pool.tickets[*place].party).sum();
        Self { members: self.members, players, near }
    }
}

/// All who wait, in the order of their skill.
struct Pool<'a> {
    tickets: &'a [Ticket],
    now_ms: u64,
    wants: Vec<Option<Filter>>,
    /// For each ticket, the regions that are near enough.
    near: Vec<Near>,
    /// Names of regions, and their numbers.
    names: Vec<&'a str>,
    numbers: BTreeMap<&'a str, u32>,
    /// Places by skill.
    by_skill: Vec<usize>,
    /// For each ticket, its index there.
    rank: Vec<usize>,
    /// Neighbours in skill who are not taken: a list that is linked both ways, with one end before and one
    /// after all.
    before: Vec<usize>,
    after: Vec<usize>,
    taken: Vec<bool>,
    compared: usize,
}

impl<'a> Pool<'a> {
    fn new(groups: &Groups, round: &Round<'a>) -> Self {
        let tickets = round.tickets;
        let mut by_skill: Vec<usize> = (0..tickets.len()).collect();
        by_skill
            .sort_by(|one, other| tickets[*one].skill.total_cmp(&tickets[*other].skill).then(one.cmp(other)));
        let mut rank = vec![0; tickets.len()];
        by_skill.iter().enumerate().for_each(|(at, place)| rank[*place] = at);
        let mut numbers = BTreeMap::new();
        let near = |ticket: &'a Ticket, numbers: &mut BTreeMap<&'a str, u32>| {
            if ticket.latencies.is_empty() {
                return Near::anywhere();
            }
            let waited = ticket.waited_ms(round.now_ms) / 1_000;
            let most = u64::from(groups.latency_ms) + u64::from(groups.latency_widens).saturating_mul(waited);
            let near =
                ticket.latencies.iter().filter(|(_, ms)| u64::from(**ms) <= most).map(|(region, _)| {
                    let next = numbers.len() as u32; // at most 16 a ticket
                    *numbers.entry(&**region).or_insert(next)
                });
            Near::only(near.collect())
        };
        let near = tickets.iter().map(|ticket| near(ticket, &mut numbers)).collect();
        let mut names = vec![""; numbers.len()];
        numbers.iter().for_each(|(name, number)| names[*number as usize] = name);
        Self {
            now_ms: round.now_ms,
            wants: tickets.iter().map(Ticket::wants).collect(),
            near,
            names,
            numbers,
            by_skill,
            rank,
            before: (0..tickets.len() + 2).map(|n| n.saturating_sub(1)).collect(),
            after: (1..tickets.len() + 3).collect(),
            taken: vec![false; tickets.len()],
            compared: 0,
            tickets,
        }
    }

    fn waited(&self, place: usize) -> u64 {
        self.tickets[place].waited_ms(self.now_ms)
    }

    fn is_free(&self, place: usize) -> bool {
        !self.taken[place]
    }

    fn take(&mut self, place: usize) {
        if mem::replace(&mut self.taken[place], true) {
            return;
        }
        let link = self.rank[place] + 1;
        let (before, after) = (self.before[link], self.after[link]);
        (self.after[before], self.before[after]) = (after, before);
    }

    /// Whether all are content with one more, and that one with all.
    fn fits(&mut self, group: &Group, place: usize) -> bool {
        let content = |wants: &Option<Filter>, with: &Ticket| wants.as_ref().is_none_or(|w| w.fits(with));
        let compared = &mut self.compared;
        *compared += 1;
        group.near.meets(&self.near[place])
            && group.members.iter().all(|member| {
                *compared += 1;
                content(&self.wants[*member], &self.tickets[place])
                    && content(&self.wants[place], &self.tickets[*member])
            })
    }

    fn can_reach(&self, place: usize, region: &str) -> bool {
        match self.numbers.get(region) {
            Some(number) => self.near[place].contains(*number),
            None => self.tickets[place].latencies.is_empty(),
        }
    }

    /// The region that is nearest to a group.
    fn region(&self, group: &Group) -> Option<String> {
        let total = |name: &str| -> u64 {
            let latencies = group.members.iter().filter_map(|place| self.tickets[*place].latencies.get(name));
            latencies.map(|ms| u64::from(*ms)).sum()
        };
        let near = group.near.regions()?.iter().map(|number| self.names[*number as usize]);
        near.min_by_key(|name| (total(name), *name)).map(str::to_owned)
    }

    /// The others, from the nearest in skill to the farthest.
    fn nearest(&self, place: usize) -> Others {
        let link = self.rank[place] + 1;
        Others::Nearest { below: self.before[link], above: self.after[link] }
    }

    /// The others within the window, from any of them on.
    fn around(&self, place: usize, groups: &Groups, seed: u64) -> Others {
        let (skill, window) = (self.tickets[place].skill, groups.window(self.waited(place)));
        let skill_at = |rank: &usize| self.tickets[*rank].skill;
        let begin = self.by_skill.partition_point(|at| skill_at(at) < skill - window);
        let end = self.by_skill.partition_point(|at| skill_at(at) <= skill + window);
        // Weyl's sequence: each place another one, and each round.
        let chance = seed.wrapping_add((place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 32;
        let from = begin + chance as usize % (end - begin).max(1);
        Others::Around { place, ranks: (from..end).chain(begin..from) }
    }
}

/// The others, in an order.
enum Others {
    /// Two links of the list, going apart.
    Nearest { below: usize, above: usize },
    /// Ranks of all, this one's own included.
    Around { place: usize, ranks: Chain<Range<usize>, Range<usize>> },
}

impl Others {
    /// The next one within the window.
    fn next(&mut self, pool: &mut Pool<'_>, skill: f64, window: f64) -> Option<usize> {
        let (below, above) = match self {
            Self::Nearest { below, above } => (below, above),
            Self::Around { place, ranks } => {
                return ranks.find_map(|rank| {
                    pool.compared += 1;
                    let other = pool.by_skill[rank];
                    (other != *place && pool.is_free(other)).then_some(other)
                });
            }
        };
        let end = pool.tickets.len() + 1;
        let at = |link: usize| {
            let place = (link != 0 && link != end).then(|| pool.by_skill[link - 1])?;
            let away = (pool.tickets[place].skill - skill).abs();
            (away <= window).then_some((away, place))
        };
        let (place, is_below) = match (at(*below), at(*above)) {
            (Some((near, below)), Some((far, _))) if near <= far => (below, true),
            (_, Some((_, above))) => (above, false),
            (Some((_, below)), None) => (below, true),
            (None, None) => return None,
        };
        match is_below {
            true => *below = pool.before[*below],
            false => *above = pool.after[*above],
        }
        Some(place)
    }
}
