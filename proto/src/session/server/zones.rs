//! The zones that a peer sees: what it has of each, and what to send it next.

use super::{Delivery, StateTick, baselines::Baselines, capacity::Capacity, had::Had};
use crate::{
    delta::MAX_AGE,
    limits::MAX_ZONES_IN_VIEW,
    state::{
        StateHead,
        zones::{List, Ticks, ZoneHead},
    },
    view::{InView, ZoneId},
};
use bytes::{BufMut as _, Bytes, BytesMut};

/// A zone that has just come into view is as urgent as one that has waited for so many ticks.
const NEW: u32 = 8;
/// Most messages that a state takes over datagrams. What does not fit waits for the next.
pub(super) const MAX_PARTS: usize = 8;
/// Most zones that a peer has left and not acknowledged that it knows.
const MAX_LEAVING: usize = MAX_ZONES_IN_VIEW;
/// Most bytes of a zone's fields in a message, besides the shared ones and their length.
const ZONE_OVERHEAD: usize = 1 + 5 + 6 + 4;
/// Most bytes of a message's head and lengths.
const HEAD_OVERHEAD: usize = 48;

/// A room with zones, as a session needs it to write a state for its player.
pub trait Zoned<S> {
    /// The zones that the player sees in a state, ascending.
    fn view<'a>(&'a self, state: &'a S) -> &'a [InView];
    /// What became of a zone up to a state.
    fn content(&self, state: &S, zone: ZoneId) -> ZoneContent;
    /// The shared fields of a zone (0 as well): the delta of its content in `current` against that in
    /// `baseline`, if there is one, and `prior`.
    fn delta(&mut self, zone: ZoneId, current: &S, baseline: Option<&S>, prior: Option<&S>) -> Bytes;
}

/// What is known of a zone's content without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneContent {
    /// Tick at which it last changed. (Contents of up to [`MAX_AGE`] ticks before are the same only if this
    /// says so.)
    pub changed: u32,
    /// Whether there is no entity in it.
    pub is_empty: bool,
}

/// How much of a state may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ZoneLimits {
    /// Longest message, bytes. A zone that is longer alone still goes as one message.
    pub(super) message_bytes: usize,
    /// Bytes that this state should take at most. Zones for which there is no room wait; zone 0 and at least
    /// one other are always sent.
    pub(super) state_bytes: usize,
}

/// What the peer has of the zones other than zone 0.
#[derive(Debug, Default)]
pub(super) struct Zones {
    /// Zones that it may have, ascending.
    held: Vec<Held>,
    /// Zones that it may have and no longer sees, ascending, each with the number of the first message that
    /// says so.
    leaving: Vec<(ZoneId, u32)>,
    /// What its path carries.
    pub(super) capacity: Capacity,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    zone: ZoneId,
    had: Had,
    /// When it was last sent, or, before that, a while before it came into view.
    sent: u32,
    /// How long its delta was then. 0: it was not sent yet.
    bytes: u32,
    priority: u8,
}

/// Memory for writing states of rooms with zones; one serves many sessions.
#[derive(Debug, Default)]
pub struct ZoneWriter {
    /// What could be sent, ascending by zone.
    news: Vec<News>,
    /// Indices of `news`, the most urgent first.
    order: Vec<u32>,
}

/// A zone that has changed.
#[derive(Debug)]
struct News {
    zone: ZoneId,
    /// Its index in `held`.
    held: usize,
    urgency: u64,
    /// Bytes that it took the last time. 0: unknown.
    expected: usize,
    ticks: Ticks,
    /// None: it waits, because there is no room even for more urgent ones.
    delta: Option<Bytes>,
    /// The message that it goes into. None: it waits.
    part: Option<u32>,
}

impl Zones {
    /// Whether the peer may have zones, or has yet to be told that it no longer sees them.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.leaving.is_empty()
    }

    /// Whether the peer goes from zone to zone and acknowledges nothing.
    pub(super) fn is_stuck(&self) -> bool {
        self.leaving.len() > MAX_LEAVING
    }

    /// The peer has the content that a zone had at this tick.
    pub(super) fn had(&mut self, zone: ZoneId, tick: u32, delivery: Delivery) {
        if let Ok(at) = self.held.binary_search_by_key(&zone, |held| held.zone) {
            self.held[at].had.add(tick, delivery);
        }
    }

    /// The peer has applied the message with this number.
    pub(super) fn acked(&mut self, number: u32) {
        self.leaving.retain(|(_, first)| *first > number);
    }

    /// Forgets what the peer has of the zones, but not which it may have.
    pub(super) fn forget(&mut self) {
        self.held.iter_mut().for_each(|held| held.had = Had::default());
    }

    /// The earliest tick of which a content is needed.
    pub(super) fn oldest_needed(&self, common: bool) -> Option<u32> {
        let held = self.held.iter().filter(|held| held.had.newest().is_some());
        held.map(|held| held.had.oldest_needed(common)).min()
    }

    /// Writes the messages of a state, and calls `each` after each of them. Returns their bytes.
    #[allow(clippy::too_many_arguments, reason = "the parts of one session and what it writes with")]
    pub(super) fn write<S: StateTick + Clone>(
        &mut self,
        current: &S,
        input: u32,
        room: &mut impl Zoned<S>,
        limits: ZoneLimits,
        baselines: &mut Baselines<S>,
        writer: &mut ZoneWriter,
        out: &mut BytesMut,
        mut each: impl FnMut(&mut BytesMut),
    ) -> usize {
        let tick = current.tick();
        self.look(room.view(current), |zone| room.content(current, zone).is_empty, tick, baselines);
        writer.find_news(&self.held, current, room);
        let zone_0 = baselines.references(current);
        let message = zone_0.ticks();
        let body = room.delta(0, current, zone_0.baseline, zone_0.prior);
        writer.encode(&self.held, current, room, baselines, limits.state_bytes);
        let lists = List::field_len(self.leaving.iter().map(|(zone, _)| *zone))
            + List::field_len(writer.news.iter().map(|news| news.zone));
        let parts = writer.choose(limits, HEAD_OVERHEAD + lists, body.len());
        let mut bytes = 0;
        for part in 0..parts {
            let (number, apart) = (baselines.next_number(tick), part > 0);
            let mine = |news: &&News| news.part == Some(part);
            let (baseline, prior) = match apart {
                true => writer.news.iter().find(mine).map_or(message, |news| news.ticks),
                false => message,
            };
            let head = StateHead { tick, baseline, prior, input, number, apart };
            let start = out.len();
            let left = self.leaving.iter().map(|(zone, _)| *zone);
            let deferred = writer.news.iter().filter(|news| !mine(news)).map(|news| news.zone);
            let body: &[u8] = if apart { &[] } else { &body };
            let zones = || {
                let mut last = 0;
                writer.news.iter().filter(mine).map(move |news| {
                    let head = ZoneHead::new(news.zone, last, tick, news.ticks, (baseline, prior));
                    last = news.zone;
                    (head, news.delta.as_deref().unwrap_or_default())
                })
            };
            let shared = body.len()
                + List::field_len(left.clone())
                + List::field_len(deferred.clone())
                + zones().map(|(head, delta)| head.field_len(delta.len())).sum::<usize>();
            out.reserve(head.message_len(shared));
            head.write(shared, out);
            out.put_slice(body);
            List::Left.write(left, out);
            List::Deferred.write(deferred, out);
            for (head, delta) in zones() {
                head.write(delta.len(), out);
                out.put_slice(delta);
            }
            bytes += out.len() - start;
            let mut covers = baselines.covers(!apart);
            self.note(tick, part, writer, baselines.delivery(), &mut covers.zones);
            baselines.sent(current.clone(), number, covers);
            each(out);
        }
        if baselines.delivery() == Delivery::Ordered {
            self.leaving.clear();
        }
        writer.news.clear();
        bytes
    }

    /// Compares what the player sees with what it saw.
    fn look<S: StateTick>(
        &mut self,
        view: &[InView],
        is_empty: impl Fn(ZoneId) -> bool,
        tick: u32,
        baselines: &mut Baselines<S>,
    ) {
        let number = baselines.next_number(tick);
        let same = self.held.len() == view.len()
            && self.held.iter().zip(view).all(|(held, seen)| held.zone == seen.zone);
        if same {
            self.held.iter_mut().zip(view).for_each(|(held, seen)| held.priority = seen.priority);
            return;
        }
        let Self { held, leaving, .. } = self;
        held.retain(|held| {
            let stays = view.binary_search_by_key(&held.zone, |seen| seen.zone).is_ok();
            if !stays {
                baselines.left(held.zone);
                if let Err(at) = leaving.binary_search_by_key(&held.zone, |(zone, _)| *zone) {
                    leaving.insert(at, (held.zone, number));
                }
            }
            stays
        });
        for &InView { zone, priority } in view {
            match held.binary_search_by_key(&zone, |held| held.zone) {
                Ok(at) => held[at].priority = priority,
                Err(_) if is_empty(zone) => {}
                Err(at) => {
                    let sent = tick.saturating_sub(NEW);
                    held.insert(at, Held { zone, had: Had::default(), sent, bytes: 0, priority });
                    // What it may have had of the zone before, it forgets with the first content.
                    leaving.retain(|(left, _)| *left != zone);
                }
            }
        }
    }

    /// A message was written: notes which zones were in it, and which it covers.
    fn note(
        &mut self,
        tick: u32,
        part: u32,
        writer: &ZoneWriter,
        delivery: Delivery,
        covers: &mut Vec<ZoneId>,
    ) {
        let mut news = writer.news.iter().peekable();
        for (at, held) in self.held.iter_mut().enumerate() {
            let covered = match news.next_if(|news| news.held == at) {
                Some(news) => {
                    if news.part == Some(part) {
                        let bytes = news.delta.as_ref().map_or(0, Bytes::len);
                        (held.sent, held.bytes) = (tick, u32::try_from(bytes).unwrap_or(u32::MAX));
                    }
                    news.part == Some(part)
                }
                None => true, // it has not changed
            };
            match (covered, delivery) {
                (false, _) => {}
                (true, Delivery::Ordered) => held.had.add(tick, delivery),
                (true, Delivery::Datagram) => covers.push(held.zone),
            }
        }
    }
}

impl ZoneWriter {
    /// Finds the zones whose content the peer does not have.
    fn find_news<S: StateTick>(&mut self, all: &[Held], current: &S, room: &impl Zoned<S>) {
        self.news.clear();
        let tick = current.tick();
        for (held, Held { zone, had, sent, bytes, priority }) in all.iter().copied().enumerate() {
            let is_known = had.newest().is_some_and(|newest| {
                tick.saturating_sub(newest) < MAX_AGE && room.content(current, zone).changed <= newest
            });
            if is_known {
                continue;
            }
            let urgency = u64::from(priority.max(1)) * u64::from(tick.saturating_sub(sent).max(1));
            let (expected, ticks) = (bytes as usize, (None, None));
            self.news.push(News { zone, held, urgency, expected, ticks, delta: None, part: None });
        }
    }

    /// Encodes the news: of those that would take much more than the `state_bytes` that there are, by what
    /// they took the last time, the most urgent.
    fn encode<S: StateTick>(
        &mut self,
        all: &[Held],
        current: &S,
        room: &mut impl Zoned<S>,
        baselines: &Baselines<S>,
        state_bytes: usize,
    ) {
        let mut left = state_bytes.saturating_mul(2);
        if self.news.iter().map(|news| news.expected).sum::<usize>() > left {
            self.order_by_urgency();
        } else {
            self.order.clear();
            self.order.extend(0..self.news.len() as u32);
        }
        for (nth, &at) in self.order.iter().enumerate() {
            let news = &mut self.news[at as usize];
            if news.expected > left && nth > 0 {
                continue;
            }
            left = left.saturating_sub(news.expected);
            let pair = baselines.references_of(all[news.held].had, current);
            news.ticks = pair.ticks();
            news.delta = Some(room.delta(news.zone, current, pair.baseline, pair.prior));
        }
    }

    /// Makes `order` that of all news, the most urgent first.
    fn order_by_urgency(&mut self) {
        let Self { news, order } = self;
        order.clear();
        order.extend(0..news.len() as u32);
        order.sort_unstable_by_key(|&at| {
            let news = &news[at as usize];
            (std::cmp::Reverse(news.urgency), news.zone)
        });
    }

    /// Decides which news go into which message. `head` is what every message needs, `zone_0` the length of
    /// zone 0's fields. Returns the number of messages.
    fn choose(&mut self, limits: ZoneLimits, head: usize, zone_0: usize) -> u32 {
        // What is not encoded has no room.
        let cost = |news: &News| Some(news.delta.as_ref()?.len() + ZONE_OVERHEAD);
        let all: usize =
            self.news.iter().map(cost).fold(0, |all, cost| all.saturating_add(cost.unwrap_or(usize::MAX)));
        // Messages are not filled to the last byte.
        let parts_bytes = limits.message_bytes.saturating_mul(MAX_PARTS * 3 / 4);
        let state_bytes = limits.state_bytes.min(parts_bytes);
        let total = all.saturating_add(head + zone_0);
        if total <= state_bytes.min(limits.message_bytes) {
            self.news.iter_mut().for_each(|news| news.part = Some(0));
            return 1;
        }
        self.order_by_urgency();
        let Self { news, order } = self;
        if total > state_bytes {
            let mut left = state_bytes.saturating_sub(head + zone_0);
            let mut chosen = 0;
            order.retain(|&at| {
                let Some(cost) = cost(&news[at as usize]) else { return false };
                let takes = cost <= left || chosen == 0;
                if takes {
                    left = left.saturating_sub(cost);
                    chosen += 1;
                }
                takes
            });
        }
        order.sort_unstable();
        let (mut part, mut room) = (0, limits.message_bytes.saturating_sub(head + zone_0));
        for &at in &*order {
            let news = &mut news[at as usize];
            let Some(cost) = cost(news) else { continue };
            if cost > room {
                if part + 1 == MAX_PARTS as u32 {
                    break;
                }
                part += 1;
                room = limits.message_bytes.saturating_sub(head);
            }
            room = room.saturating_sub(cost);
            news.part = Some(part);
        }
        part + 1
    }
}
