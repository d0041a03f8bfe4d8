//! The scripts do in a real Redis what their model does.

use super::{
    ask::{Answer, Ask, Epoch, Incarnation, Owned, Said},
    link::Link,
    model::{Keep, Model, Saved},
    node::{Node, tests::node},
    script::Call,
    way::Way,
};
use crate::redis_server::Redis;
use bytes::Bytes;
use proptest::{prelude::*, test_runner::TestRunner};
use redis::{Commands as _, Connection};
use std::{cell::Cell, collections::BTreeMap, sync::Arc, time::Duration};
use tokio::runtime::Builder;

const TTL: Duration = Duration::from_secs(600);
const ROOMS: [&str; 3] = ["r", "s", "t"];
/// The third of the nodes has another game.
const NODES: [&str; 3] = ["a", "b", "c"];

const FRAME: &[u8] = b"frame";

#[derive(Debug, Clone)]
enum Act {
    Renew {
        had: bool,
    },
    Dies,
    Leaves,
    Claim {
        to: usize,
        make: bool,
    },
    Where,
    /// Epochs are told by how many newer ones there are of the room.
    Release {
        back: usize,
        stored: bool,
    },
    /// From one of the nodes, or of what is nobody's.
    Inherit {
        from: usize,
        again: bool,
    },
    Restore {
        back: usize,
    },
    /// Numbers rise, but for what comes late.
    Write {
        back: usize,
        number: u64,
        what: Writes,
    },
    /// How many rooms of its own the node knows.
    Rooms {
        known: usize,
    },
    /// What could not go on may be tried again.
    Due,
    Offer {
        back: usize,
        to: usize,
    },
    Look,
    Take {
        back: usize,
    },
    Decline {
        back: usize,
    },
    Conclude {
        back: usize,
    },
}

#[derive(Debug, Clone, Copy)]
enum Writes {
    Put,
    Append { after: u64 },
    Forget,
}

/// What a node does, of one of the rooms.
#[derive(Debug, Clone)]
struct Step {
    node: usize,
    room: usize,
    act: Act,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (to, back) = (|| 0..NODES.len(), || prop_oneof![4 => Just(0_usize), 1 => Just(1)]);
    let writes = prop_oneof![
        5 => Just(Writes::Put),
        2 => (1..3_u64).prop_map(|after| Writes::Append { after }),
        1 => Just(Writes::Forget),
    ];
    let act = prop_oneof![
        2 => any::<bool>().prop_map(|had| Act::Renew { had }),
        2 => Just(Act::Dies),
        1 => Just(Act::Leaves),
        6 => (to(), any::<bool>()).prop_map(|(to, make)| Act::Claim { to, make }),
        1 => Just(Act::Where),
        3 => (back(), any::<bool>()).prop_map(|(back, stored)| Act::Release { back, stored }),
        5 => (0..=NODES.len(), any::<bool>()).prop_map(|(from, again)| Act::Inherit { from, again }),
        1 => back().prop_map(|back| Act::Restore { back }),
        6 => (back(), 1..4_u64, writes).prop_map(|(back, number, what)| Act::Write { back, number, what }),
        1 => (0..3_usize).prop_map(|known| Act::Rooms { known }),
        1 => Just(Act::Due),
        4 => (back(), to()).prop_map(|(back, to)| Act::Offer { back, to }),
        2 => Just(Act::Look),
        4 => back().prop_map(|back| Act::Take { back }),
        1 => back().prop_map(|back| Act::Decline { back }),
        3 => back().prop_map(|back| Act::Conclude { back }),
    ];
    let step = (to(), 0..ROOMS.len(), act).prop_map(|(node, room, act)| Step { node, room, act });
    prop::collection::vec(step, 1..60)
}

/// Both, and which epoch of the one is which of the other.
struct Both<'a> {
    model: Model,
    now: Duration,
    link: Link,
    client: &'a mut Connection,
    prefix: String,
    runtime: &'a tokio::runtime::Runtime,
    lives: [u32; NODES.len()],
    /// Of each room, in order.
    epochs: BTreeMap<Arc<str>, Vec<(Epoch, Epoch)>>,
}

impl Both<'_> {
    fn name(&self, node: usize) -> Incarnation {
        Incarnation(format!("{}-{}", NODES[node], self.lives[node]).into())
    }

    /// Its last life; or nobody.
    fn dead(&self, node: usize) -> Incarnation {
        let name = NODES.get(node).map(|name| format!("{name}-{}", self.lives[node].saturating_sub(1)));
        Incarnation(name.unwrap_or_else(|| "nobody".to_owned()).into())
    }

    fn says(&self, node: usize) -> Node {
        let says = self::node(&self.name(node).to_string(), 0);
        if node == 2 { Node { kinds: vec!["chess".into()], ..says } } else { says }
    }

    fn key(&self, key: &str) -> String {
        format!("{{{}}}:{key}", self.prefix)
    }

    /// An epoch of the room, as each of them counts. Before the first one: one that nothing has.
    fn epoch(&self, room: &str, back: usize) -> (Epoch, Epoch) {
        let of = self.epochs.get(room).map_or(&[][..], |of| &of[..]);
        of.get(of.len().saturating_sub(1 + back)).copied().unwrap_or((0, 0))
    }

    fn pair(&mut self, room: &Arc<str>, (model, real): (Epoch, Epoch)) -> Result<(), TestCaseError> {
        let of = self.epochs.entry(room.clone()).or_default();
        let known = of.iter().position(|(a, b)| *a == model || *b == real);
        match known {
            Some(at) => prop_assert_eq!(of[at], (model, real), "another epoch of {}", room),
            None => {
                let newer = of.last().is_none_or(|(a, b)| *a < model && *b < real);
                prop_assert!(newer, "epochs of {} rise", room);
                of.push((model, real));
            }
        }
        Ok(())
    }

    /// What both say to the same, but for times and epochs.
    fn ask(
        &mut self,
        node: usize,
        room: &Arc<str>,
        of: impl Fn(Epoch) -> Ask,
        epochs: (Epoch, Epoch),
    ) -> Result<(), TestCaseError> {
        let (me, says) = (self.name(node), self.says(node));
        let expected = self.model.ask(self.now, &me, &says, &of(epochs.0)).said;
        let ask = of(epochs.1);
        let Answer { said, .. } = self.runtime.block_on(self.link.ask(&me, &says, &ask)).unwrap();
        match (&expected, &said) {
            (Said::Ours { epoch: a, .. }, Said::Ours { epoch: b, .. })
            | (Said::Offered { epoch: a, .. }, Said::Offered { epoch: b, .. })
            | (Said::Stayed { epoch: a, .. }, Said::Stayed { epoch: b, .. }) => self.pair(room, (*a, *b))?,
            (Said::Taken(all), Said::Taken(same)) => {
                for Owned { room, epoch } in all {
                    let same = same.iter().find(|same| same.room == *room).map(|same| same.epoch);
                    self.pair(room, (*epoch, same.unwrap_or(0)))?;
                }
            }
            _ => {}
        }
        prop_assert_eq!(plain(said), plain(expected), "{:?}", ask);
        Ok(())
    }

    fn act(&mut self, Step { node, room, act }: &Step) -> Result<(), TestCaseError> {
        let (node, room) = (*node, Arc::<str>::from(ROOMS[*room]));
        let named = room.clone();
        let plain = (0, 0);
        match act {
            Act::Renew { had } => self.ask(node, &room, |_| Ask::Renew { had: *had }, plain),
            Act::Dies => {
                let me = self.name(node);
                self.model.lapse(&me);
                let _: () = self.client.del(self.key(&format!("lease:{me}"))).unwrap();
                self.lives[node] += 1;
                Ok(())
            }
            Act::Leaves => {
                self.ask(node, &room, |_| Ask::Leave, plain)?;
                self.lives[node] += 1;
                Ok(())
            }
            Act::Claim { to, make } => {
                let to = self.name(*to);
                let claim = |_| Ask::Claim { room: named.clone(), to: to.clone(), make: *make };
                self.ask(node, &room, claim, plain)
            }
            Act::Where => self.ask(node, &room, |_| Ask::Where { room: named.clone() }, plain),
            Act::Release { back, stored } => {
                let epochs = self.epoch(&room, *back);
                let release = |epoch| Ask::Release { room: named.clone(), epoch, stored: *stored };
                self.ask(node, &room, release, epochs)?;
                // However slow this test is.
                let key = self.key(&format!("stored:{room}"));
                if self.client.hexists(&key, "after").unwrap() {
                    let _: () = self.client.hincr(&key, "after", 600_000).unwrap();
                }
                Ok(())
            }
            Act::Inherit { from, again } => {
                let from = self.dead(*from);
                let inherit = |_| Ask::Inherit { from: from.clone(), most: 10, again: *again };
                self.ask(node, &room, inherit, plain)
            }
            Act::Restore { back } => {
                let epochs = self.epoch(&room, *back);
                self.epochs.entry(room.clone()).or_insert_with(|| vec![epochs]);
                let restore = |epoch| Ask::Restore(vec![Owned { room: named.clone(), epoch }]);
                self.ask(node, &room, restore, epochs)
            }
            Act::Write { back, number, what } => {
                let (me, (epoch, real)) = (self.name(node), self.epoch(&room, *back));
                let frames = FRAME.to_vec();
                let (keep, arguments) = match *what {
                    Writes::Put => {
                        let row = Bytes::from_static(b"row");
                        (Keep::Put(Saved { row, frames }), ["put", "0", "frame", super::model::KIND, "row"])
                    }
                    Writes::Append { after } => {
                        let at = if after == 1 { "1" } else { "2" };
                        (Keep::Append { after, frames }, ["append", at, "frame", "", ""])
                    }
                    Writes::Forget => (Keep::Forget, ["forget", "", "", "", ""]),
                };
                let expected = self.model.write(self.now, (&room, &me, epoch), *number, &keep);
                let script = redis::Script::new(include_str!("depot.lua"));
                let mut call = script.prepare_invoke();
                call.key(self.key("generation")).arg(format!("{{{}}}", self.prefix)).arg("write");
                call.arg(&*room).arg(me.to_string()).arg(real).arg(*number).arg(&arguments);
                let said: Vec<String> = call.invoke(self.client).unwrap();
                prop_assert_eq!(&said[0], &format!("{expected:?}").to_lowercase());
                Ok(())
            }
            Act::Rooms { known } => self.ask(node, &room, |_| Ask::Rooms { known: *known }, plain),
            Act::Due => {
                self.model.is_due(&room);
                let _: () = self.client.hdel(self.key(&format!("stored:{room}")), "after").unwrap();
                Ok(())
            }
            Act::Offer { back, to } => {
                let (to, epochs) = (self.name(*to), self.epoch(&room, *back));
                let parcel = Bytes::from_static(b"parcel");
                let offer =
                    |epoch| Ask::Offer { room: named.clone(), epoch, to: to.clone(), parcel: parcel.clone() };
                self.ask(node, &room, offer, epochs)
            }
            Act::Look => self.ask(node, &room, |_| Ask::Look { room: named.clone() }, plain),
            Act::Take { back } => {
                let epochs = self.epoch(&room, *back);
                self.ask(node, &room, |offered| Ask::Take { room: named.clone(), offered }, epochs)
            }
            Act::Decline { back } => {
                let epochs = self.epoch(&room, *back);
                let decline = |offered| Ask::Decline { room: named.clone(), offered, why: "no".into() };
                self.ask(node, &room, decline, epochs)
            }
            Act::Conclude { back } => {
                let epochs = self.epoch(&room, *back);
                self.ask(node, &room, |offered| Ask::Conclude { room: named.clone(), offered }, epochs)
            }
        }
    }

    /// What both know.
    fn compare(&mut self) -> Result<(), TestCaseError> {
        self.ask(0, &ROOMS[0].into(), |_| Ask::Nodes, (0, 0))?;
        for room in ROOMS {
            let (record, stored) = (self.key(&format!("room:{room}")), self.key(&format!("stored:{room}")));
            let is: (Option<String>, Option<Epoch>, Option<Epoch>, Option<Epoch>) = redis::cmd("HMGET")
                .arg(&record)
                .arg(&["node", "epoch", "taken", "stayed"])
                .query(self.client)
                .unwrap();
            let of = self.epochs.get(room).cloned().unwrap_or_default();
            let in_model = |real: Epoch| of.iter().find(|(_, b)| *b == real).map_or(0, |(a, _)| *a);
            let expires = self.client.pttl::<_, i64>(&record).unwrap() > 0;
            let node = is.0.clone().unwrap_or_default();
            let alive: bool = self.client.exists(self.key(&format!("lease:{node}"))).unwrap();
            // What was meant for a node that has died before anybody came there is forgotten by itself.
            if !expires || alive || node == "nobody" {
                let seen = self.model.seen(room);
                let named = seen.as_ref().map(|seen| seen.0.to_string());
                prop_assert_eq!(&is.0, &named, "whose {} is", room);
                // Nobody was told the epoch of what was given to another.
                if let Some((_, epoch, taken, stays)) = seen.filter(|_| !expires) {
                    let real = (is.1.map_or(0, in_model), is.2.map(in_model), is.3.map(in_model));
                    prop_assert_eq!(real, (epoch, taken, stays), "epochs of {}", room);
                }
            }
            let row: Option<Vec<u8>> = self.client.hget(&stored, "row").unwrap();
            let frames: Option<Vec<u8>> = self.client.get(self.key(&format!("frames:{room}"))).unwrap();
            let saved = row.map(|row| Saved { row: row.into(), frames: frames.unwrap_or_default() });
            prop_assert_eq!(saved.as_ref(), self.model.saved(room), "what is stored of {}", room);
            let there = saved.is_some();
            let tries: Option<u32> = self.client.hget(&stored, "tries").unwrap();
            let tries = there.then(|| tries.unwrap_or(0));
            prop_assert_eq!(tries, self.model.tries(room), "what is stored of {}", room);
        }
        Ok(())
    }
}

/// Without epochs and times, in order.
fn plain(said: Said) -> Said {
    match said {
        Said::Ours { stored, .. } => Said::Ours { epoch: 0, stored },
        Said::Offered { parcel, .. } => Said::Offered { epoch: 0, parcel },
        Said::Stayed { why, .. } => Said::Stayed { epoch: 0, why },
        Said::At(node, _) => Said::At(node, Duration::ZERO),
        Said::Taken(mut rooms) => {
            rooms.iter_mut().for_each(|owned| owned.epoch = 0);
            rooms.sort_by(|a, b| a.room.cmp(&b.room));
            Said::Taken(rooms)
        }
        Said::Nodes(mut nodes) => {
            nodes.iter_mut().filter_map(|(_, node)| node.as_mut()).for_each(|node| node.1 = Duration::ZERO);
            nodes.sort_by(|(a, _), (b, _)| a.cmp(b));
            Said::Nodes(nodes)
        }
        said => said,
    }
}

#[test]
fn the_scripts_in_redis_do_what_their_model_does() {
    let (redis, number) = (Redis::start(), Cell::new(0));
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let client = std::cell::RefCell::new(redis.client());
    let config = ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() };
    let told = TestRunner::new(config).run(&steps(), |story| {
        number.set(number.get() + 1);
        let prefix = format!("test-{}", number.get());
        let call = Call::new(&prefix, TTL);
        let way = Way::new(&redis.default_url().parse().unwrap(), &prefix);
        let link = Link::new(way, call, 0, Duration::from_secs(5));
        let mut client = client.borrow_mut();
        let (model, lives) = (Model::new("r0", TTL), [0; NODES.len()]);
        let now = Duration::ZERO;
        let (client, runtime) = (&mut *client, &runtime);
        let epochs = BTreeMap::new();
        let mut both = Both { model, now, link, client, prefix, runtime, lives, epochs };
        both.ask(0, &ROOMS[0].into(), |_| Ask::Nodes, (0, 0))?;
        // Both have settled.
        both.now = 2 * TTL;
        let generation = both.key("generation");
        let _: () = both.client.hset(generation, "settles", 0).unwrap();
        for node in 0..NODES.len() {
            both.ask(node, &ROOMS[0].into(), |_| Ask::Renew { had: false }, (0, 0))?;
        }
        for (at, step) in story.iter().enumerate() {
            let told = both.act(step).and_then(|()| both.compare());
            told.map_err(|error| TestCaseError::fail(format!("step {at}, {step:?}: {error}")))?;
        }
        Ok(())
    });
    told.unwrap();
}
