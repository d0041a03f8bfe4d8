//! What a node says of itself, and which one is to have a new room.

use super::ask::Incarnation;
use driftless_proto::wire;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A node takes a room of another's only if that has this much less to do, per mille: moving a client costs a
/// round trip.
const ABOUT_EQUAL: u32 = 100;

/// What a node says of itself. It is the value of its lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Node {
    /// Its name, for people.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where its WebSockets are: `ws://HOST:PORT` or `wss://…`.
    pub url: String,
    /// Where its QUIC and WebTransport are: `HOST:PORT`. Absent: it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quic: Option<String>,
    /// Its kinds of games.
    pub kinds: Vec<String>,
    /// What it has to do.
    #[serde(default)]
    pub load: Load,
}

/// What a node has to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Load {
    /// Per mille of what it can do: CPU, ticks, rooms or connections, whichever is most.
    pub used: u32,
    /// Rooms.
    pub rooms: u32,
    /// Players.
    pub players: u32,
    /// It takes no new rooms, because it will stop.
    pub draining: bool,
}

impl From<Node> for wire::Moved {
    fn from(node: Node) -> Self {
        let Node { name, url, quic, .. } = node;
        Self { node: name, url, quic: quic.unwrap_or_default() }
    }
}

impl Node {
    /// Whether clients are sent to the same address.
    pub(super) fn has_address_of(&self, other: &Node) -> bool {
        self.url == other.url || self.quic.is_some() && self.quic == other.quic
    }

    /// Whether it takes a room of this kind now.
    pub(super) fn takes(&self, kind: &str) -> bool {
        self.takes_more() && self.kinds.iter().any(|own| own == kind)
    }

    /// The kinds of games with which it goes on where another node has stopped.
    pub(super) fn goes_on_with(&self) -> &[String] {
        if self.load.draining { &[] } else { &self.kinds }
    }

    /// Whether it takes any more rooms.
    pub(super) fn takes_more(&self) -> bool {
        !self.load.draining && self.load.used < 1_000
    }
}

/// Which node is to have a new room of this kind: this one, if another has not clearly less to do.
/// `given` is how many rooms were given to a node since it said how much it has to do.
pub(super) fn choose<'a>(
    me: (&'a Incarnation, &Node),
    others: impl Iterator<Item = (&'a Incarnation, &'a Node)>,
    given: impl Fn(&Incarnation) -> u32,
    kind: &str,
) -> &'a Incarnation {
    let others = others.filter(|(name, node)| *name != me.0 && node.takes(kind));
    let burdened = |name: &Incarnation, node: &Node| node.load.used.saturating_add(given(name));
    let least = others.map(|(name, node)| (burdened(name, node), name)).min();
    match least {
        Some((used, name)) if !me.1.takes(kind) || used + ABOUT_EQUAL < me.1.load.used => name,
        _ => me.0,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::nodes) fn node(name: &str, used: u32) -> Node {
        Node {
            name: name.into(),
            version: "1".into(),
            url: format!("ws://{name}"),
            quic: None,
            kinds: vec!["arena".into()],
            load: Load { used, ..Load::default() },
        }
    }

    fn chosen(nodes: &[Node], given: u32, kind: &str) -> String {
        let all: Vec<_> = nodes.iter().map(|node| (Incarnation(node.name.as_str().into()), node)).collect();
        let others = all.iter().map(|(name, node)| (name, *node));
        let given = |name: &Incarnation| if *name.0 == *"b" { given } else { 0 };
        choose((&all[0].0, all[0].1), others, given, kind).to_string()
    }

    #[test]
    fn a_room_goes_to_who_has_least_to_do_and_stays_where_that_is_about_equal() {
        let with = |a, b, c| [node("a", a), node("b", b), node("c", c)];
        assert_eq!(chosen(&with(200, 150, 120), 0, "arena"), "a");
        assert_eq!(chosen(&with(400, 150, 200), 0, "arena"), "b");
        assert_eq!(chosen(&with(400, 150, 200), 60, "arena"), "c", "b was given some since");
        assert_eq!(chosen(&with(1_000, 999, 1_000), 0, "arena"), "b", "a is full");
        assert_eq!(chosen(&with(1_000, 1_000, 1_000), 0, "arena"), "a", "all are full: a says so");
    }

    #[test]
    fn nobody_gives_a_room_to_a_node_that_drains_or_lacks_its_game() {
        let mut nodes = [node("a", 900), node("b", 0), node("c", 0)];
        nodes[1].load.draining = true;
        nodes[2].kinds = vec!["chess".into()];
        assert_eq!(chosen(&nodes, 0, "arena"), "a");
        assert_eq!(chosen(&nodes, 0, "chess"), "c");
        nodes[0].load.draining = true;
        nodes[1].load.draining = false;
        assert_eq!(chosen(&nodes, 0, "arena"), "b");
    }
}
