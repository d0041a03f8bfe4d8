//! Another node with this one's address or name, as servers have that were multiplied with one configuration.
//! Of those with one address, clients get to one only: those whose room is at another are sent round in
//! circles. Of those with one name, operators move rooms to either, and drain either.

use super::{ask::Incarnation, node::Node};
use std::time::{Duration, Instant};

/// The other node that seems to have this one's address or name, and since when.
#[derive(Debug, Default)]
pub(super) struct Twin(Option<(Incarnation, Instant)>);

impl Twin {
    /// These are there. Returns one that has had this one's address or name for longer than a lease: it is no
    /// earlier life of this node. One with its address comes first.
    pub(super) fn among<'a>(
        &mut self,
        now: Instant,
        ttl: Duration,
        (me, says): (&Incarnation, &Node),
        nodes: impl Iterator<Item = (&'a Incarnation, &'a Node)>,
    ) -> Option<&'a Node> {
        let same = |node: &Node| node.has_address_of(says) || node.name == says.name;
        let twins = nodes.filter(|(name, node)| *name != me && !node.load.draining && same(node));
        let Some((name, node)) = twins.min_by_key(|(name, node)| (!node.has_address_of(says), *name)) else {
            self.0 = None;
            return None;
        };
        match &self.0 {
            Some((is, since)) if is == name => (now.saturating_duration_since(*since) > ttl).then_some(node),
            _ => {
                self.0 = Some((name.clone(), now));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::node::tests::node;

    const TTL: Duration = Duration::from_secs(2);

    #[test]
    fn a_node_that_keeps_this_ones_address_is_a_twin_and_an_earlier_life_of_this_one_is_not() {
        let start = Instant::now();
        let name = |name: &str| Incarnation(name.into());
        let (me, says) = (name("a-2"), node("a", 0));
        let (earlier, other) = (name("a-1"), name("b-1"));
        let mut twin = Twin::default();
        let mut look = |ms: u64, nodes: &[(&Incarnation, &Node)]| {
            let now = start + Duration::from_millis(ms);
            twin.among(now, TTL, (&me, &says), nodes.iter().copied()).map(|node| node.name.clone())
        };
        let (itself, b) = ((&me, &says), node("b", 0));
        for ms in [0, 1_000, 2_000] {
            assert_eq!(look(ms, &[itself, (&earlier, &says), (&other, &b)]), None, "its lease lasts so long");
        }
        assert_eq!(look(3_000, &[itself, (&other, &b)]), None);
        let copy = Node { url: says.url.clone(), ..node("b", 0) };
        for ms in [4_000, 5_000, 6_000] {
            assert_eq!(look(ms, &[itself, (&other, &copy)]), None);
        }
        assert_eq!(look(7_000, &[itself, (&other, &copy)]).as_deref(), Some("b"));
        assert_eq!(look(8_000, &[itself, (&other, &b)]), None, "it has another one now");
        let namesake = Node { name: says.name.clone(), ..node("b", 0) };
        assert_eq!(look(9_000, &[itself, (&other, &namesake)]), None);
        assert_eq!(look(12_000, &[itself, (&other, &namesake)]).as_deref(), Some("a"));
        let quic = |name: &str| Node { quic: Some("play:7777".into()), ..node(name, 0) };
        let (says, b, mut twin) = (quic("a"), quic("b"), Twin::default());
        twin.among(start, TTL, (&me, &says), [(&other, &b)].into_iter());
        assert!(twin.among(start + 2 * TTL, TTL, (&me, &says), [(&other, &b)].into_iter()).is_some());
    }
}
