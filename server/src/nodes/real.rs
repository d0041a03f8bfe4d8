//! The script in a real Redis.

use super::{
    ask::{Answer, Ask, Failure, Incarnation, Owned, Said},
    link::Link,
    node::{Node, tests::node},
    script::Call,
    way::Way,
};
use crate::redis_server;
use redis::{Commands as _, ErrorKind, ServerErrorKind};
use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Runtime};

const TTL: Duration = Duration::from_millis(400);
const WRITE: &str = include_str!("depot.lua");

/// A Redis, and the way to it.
struct Redis {
    server: redis_server::Redis,
    runtime: Runtime,
    link: Link,
}

impl Redis {
    fn start() -> Self {
        let server = redis_server::Redis::start();
        let way = Way::new(&server.default_url().parse().unwrap(), "test");
        let link = Link::new(way, Call::new("test", TTL), 0, Duration::from_secs(5));
        Self { server, runtime: Builder::new_current_thread().enable_all().build().unwrap(), link }
    }

    fn try_ask(&self, me: &str, ask: Ask) -> Result<Answer, Failure> {
        self.runtime.block_on(self.link.ask(&name(me), &node(me, 0), &ask))
    }

    fn ask(&self, me: &str, ask: Ask) -> Said {
        self.try_ask(me, ask).unwrap().said
    }

    fn client(&self) -> redis::Connection {
        self.server.client()
    }

    /// Waits until rooms can be claimed, with these nodes alive.
    fn settle(&self, nodes: &[&str]) {
        loop {
            for node in nodes {
                assert_eq!(self.ask(node, Ask::Renew { had: false }), Said::Done);
            }
            if self.try_ask("x", Ask::Nodes).unwrap().settling.is_zero() {
                return;
            }
            sleep(TTL / 8);
        }
    }
}

#[test]
fn a_connection_that_redis_has_closed_meanwhile_costs_no_question() {
    let redis = Redis::start();
    redis.ask("a", Ask::Renew { had: false });
    let killed: u32 =
        redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").query(&mut redis.client()).unwrap();
    assert!(killed > 0);
    // Longer than whoever is in use is silent.
    redis.runtime.block_on(async {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(2)).await;
        tokio::time::resume();
    });
    redis.ask("a", Ask::Renew { had: false });
}

#[test]
fn a_redis_that_removes_keys_is_told_from_one_that_does_not() {
    let redis = Redis::start();
    let way = Way::new(&redis.server.default_url().parse().unwrap(), "test");
    let set = |key: &str, value: &str| {
        redis::cmd("CONFIG").arg("SET").arg(key).arg(value).exec(&mut redis.client()).unwrap();
        redis.runtime.block_on(way.evicts(Duration::from_secs(5))).unwrap()
    };
    assert_eq!(set("maxmemory-policy", "volatile-lru"), None, "it has no limit");
    assert_eq!(set("maxmemory", "1gb").as_deref(), Some("volatile-lru"));
    assert_eq!(set("maxmemory-policy", "noeviction"), None);
}

/// Three masters, a third of the slots each.
struct Cluster(Vec<(Child, u16)>);

impl Cluster {
    fn start() -> Self {
        let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = std::env::temp_dir();
        let members = (0..3).map(|_| {
            let (port, bus) = (port(), port());
            let mut command = Command::new("redis-server");
            command.args(["--cluster-enabled", "yes", "--save", "", "--bind", "127.0.0.1"]);
            command.args(["--port", &port.to_string(), "--cluster-port", &bus.to_string()]);
            command.args(["--cluster-config-file", &format!("nodes-{port}.conf")]);
            command.args(["--dir", &folder.display().to_string()]).stdout(Stdio::null());
            (command.spawn().expect("redis-server is installed"), port, bus)
        });
        let members: Vec<_> = members.collect();
        for (n, (_, port, _)) in members.iter().enumerate() {
            let slots = [[0, 5_460], [5_461, 10_922], [10_923, 16_383]][n];
            until("it has its slots", || {
                say(*port, redis::cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(&slots[..]))
            });
            let (_, first, bus) = members[0];
            let meet = redis::cmd("CLUSTER").arg("MEET").arg("127.0.0.1").arg(first).arg(bus).to_owned();
            assert!(say(*port, &meet));
        }
        let cluster = Self(members.into_iter().map(|(child, port, _)| (child, port)).collect());
        // Each of them sends to the one that has the key.
        let hears = |port: &u16| {
            let asked = client(*port)?.exists::<_, bool>("{test}:generation");
            asked
                .map_or_else(|error| error.kind() == ErrorKind::Server(ServerErrorKind::Moved), |_| true)
                .then_some(())
        };
        until("they know each other", || cluster.0.iter().all(|(_, port)| hears(port).is_some()));
        cluster
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for (child, port) in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
            let _ = std::fs::remove_file(std::env::temp_dir().join(format!("nodes-{port}.conf")));
        }
    }
}

fn client(port: u16) -> Option<redis::Connection> {
    redis::Client::open(("127.0.0.1", port)).unwrap().get_connection().ok()
}

fn say(port: u16, what: &redis::Cmd) -> bool {
    client(port).is_some_and(|mut client| what.query::<()>(&mut client).is_ok())
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        sleep(Duration::from_millis(10));
    }
}

#[test]
fn of_a_cluster_the_master_is_asked_that_has_the_keys_whoever_is_known() {
    let cluster = Cluster::start();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    for (_, port) in &cluster.0 {
        // The first that is named is not there.
        let url = format!("redis+cluster://127.0.0.1:1,127.0.0.1:{port}").parse().unwrap();
        let link = Link::new(Way::new(&url, "test"), Call::new("test", TTL), 0, Duration::from_secs(5));
        let ask = |ask| runtime.block_on(link.ask(&name("a"), &node("a", 0), &ask)).unwrap().said;
        until("it settles", || {
            assert_eq!(ask(Ask::Renew { had: false }), Said::Done);
            matches!(ask(claim("r", "a")), Said::Ours { .. })
        });
    }
}

fn name(name: &str) -> Incarnation {
    Incarnation(name.into())
}

fn claim(room: &str, to: &str) -> Ask {
    Ask::Claim { room: room.into(), to: name(to), make: true }
}

fn find(room: &str) -> Ask {
    Ask::Claim { room: room.into(), to: name("nobody"), make: false }
}

fn inherit(from: &str) -> Ask {
    Ask::Inherit { from: name(from), most: 10, again: false }
}

fn release(room: &str, epoch: u64, stored: bool) -> Ask {
    Ask::Release { room: room.into(), epoch, stored }
}

/// Where it is said to be.
fn at(said: Said) -> Node {
    match said {
        Said::At(node, left) if left > Duration::ZERO && left <= TTL => node,
        said => panic!("{said:?}"),
    }
}

fn all(said: Said) -> Vec<(Incarnation, Option<Node>)> {
    let Said::Nodes(nodes) = said else { panic!("{said:?}") };
    let mut nodes: Vec<_> =
        nodes.into_iter().map(|(name, node)| (name, node.map(|(node, _)| node))).collect();
    nodes.sort_by(|(a, _), (b, _)| a.cmp(b));
    nodes
}

fn epoch(said: Said) -> u64 {
    match said {
        Said::Ours { epoch, .. } => epoch,
        said => panic!("{said:?}"),
    }
}

fn own(room: &str, epoch: u64) -> Ask {
    Ask::Restore(vec![Owned { room: room.into(), epoch }])
}

#[test]
fn a_room_has_the_node_that_came_first_until_that_has_no_lease() {
    let redis = Redis::start();
    assert_eq!(redis.ask("a", Ask::Renew { had: false }), Said::Done);
    assert_eq!(redis.ask("a", claim("r", "a")), Said::Settling, "a new Redis may have forgotten something");
    redis.settle(&["a", "b"]);
    let first = epoch(redis.ask("a", claim("r", "a")));
    assert_eq!(at(redis.ask("b", claim("r", "b"))), node("a", 0));
    assert_eq!(at(redis.ask("b", find("r"))), node("a", 0));
    assert_eq!(redis.ask("b", find("s")), Said::Nowhere);
    assert_eq!(epoch(redis.ask("a", claim("r", "b"))), first, "it is a's whatever a says");
    // A script that Redis has lost is loaded again.
    let mut client = redis.client();
    let _: () = redis::cmd("SCRIPT").arg("FLUSH").query(&mut client).unwrap();
    redis.settle(&["a", "b"]);
    sleep(TTL + TTL / 4);
    assert_eq!(redis.ask("b", claim("r", "b")), Said::Lost, "b has no lease");
    assert_eq!(redis.ask("b", Ask::Renew { had: true }), Said::Lost, "and cannot have it back");
    redis.settle(&["b"]);
    epoch(redis.ask("b", claim("r", "b")));
}

#[test]
fn a_room_is_given_to_another_node_and_given_back() {
    let redis = Redis::start();
    redis.settle(&["a", "b"]);
    assert_eq!(at(redis.ask("a", claim("r", "b"))), node("b", 0));
    let mut client = redis.client();
    let left: i64 = client.ttl("{test}:room:r").unwrap();
    assert!((1..=30).contains(&left), "until somebody comes there: {left}");
    redis.settle(&["a", "b"]);
    let second = epoch(redis.ask("b", claim("r", "a")));
    assert_eq!(epoch(redis.ask("b", claim("r", "a"))), second, "it is b's already");
    assert_eq!(client.ttl::<_, i64>("{test}:room:r").unwrap(), -1);
    let release = |epoch| release("r", epoch, false);
    assert_eq!(redis.ask("b", release(second - 1)), Said::Done);
    assert!(client.exists::<_, bool>("{test}:room:r").unwrap(), "that was of an earlier one");
    assert_eq!(redis.ask("a", release(second)), Said::Done);
    assert!(client.exists::<_, bool>("{test}:room:r").unwrap(), "it is not a's");
    assert_eq!(redis.ask("b", release(second)), Said::Done);
    assert!(!client.exists::<_, bool>("{test}:room:r").unwrap());
    epoch(redis.ask("a", claim("s", "nobody"))); // who is not there gets none
}

#[test]
fn what_was_forgotten_is_registered_again_before_anybody_claims_it() {
    let redis = Redis::start();
    redis.settle(&["a", "b"]);
    let had = epoch(redis.ask("a", claim("r", "a")));
    let before = redis.try_ask("a", Ask::Nodes).unwrap().generation;
    let mut client = redis.client();
    let _: () = redis::cmd("FLUSHALL").query(&mut client).unwrap();
    let renewed = redis.try_ask("a", Ask::Renew { had: true }).unwrap();
    assert_eq!(renewed.said, Said::Done, "its lease was forgotten, not over");
    assert_ne!(renewed.generation, before);
    assert_eq!(redis.ask("b", claim("r", "b")), Said::Settling);
    assert_eq!(redis.ask("a", own("r", had)), Said::Restored { refused: vec![] });
    redis.settle(&["a", "b"]);
    assert_eq!(at(redis.ask("b", claim("r", "b"))), node("a", 0));
    // Whoever has the newer claim keeps the room.
    let refused: Arc<str> = "r".into();
    assert_eq!(redis.ask("b", own("r", had - 1)), Said::Restored { refused: vec![refused] });
    assert_eq!(redis.ask("b", own("r", had + 1)), Said::Restored { refused: vec![] });
    assert_eq!(at(redis.ask("a", claim("r", "a"))), node("b", 0));
}

#[test]
fn a_dead_node_is_forgotten_with_rooms_that_are_not_kept_and_a_living_one_is_not() {
    let redis = Redis::start();
    redis.settle(&["a", "b"]);
    epoch(redis.ask("a", claim("r", "a")));
    assert_eq!(redis.ask("b", inherit("a")), Said::Done);
    let mut client = redis.client();
    assert!(client.exists::<_, bool>("{test}:room:r").unwrap());
    sleep(TTL + TTL / 4);
    redis.settle(&["b"]);
    assert_eq!(all(redis.ask("b", Ask::Nodes)), [(name("a"), None), (name("b"), Some(node("b", 0)))]);
    assert_eq!(redis.ask("b", inherit("a")), Said::Taken(vec![]));
    assert!(!client.exists::<_, bool>("{test}:room:r").unwrap());
    assert_eq!(all(redis.ask("b", Ask::Nodes)), [(name("b"), Some(node("b", 0)))]);
    assert_eq!(redis.ask("b", Ask::Leave), Said::Done);
    assert_eq!(redis.ask("b", Ask::Nodes), Said::Nodes(vec![]));
}

#[test]
fn it_is_only_a_question_where_a_room_is() {
    let redis = Redis::start();
    redis.settle(&["a", "b"]);
    let mut client = redis.client();
    let where_is = |room: &str| Ask::Where { room: room.into() };
    let had = epoch(redis.ask("a", claim("r", "a")));
    assert_eq!(put(&mut client, "r", "a", had, "row"), "done");
    assert_eq!(at(redis.ask("b", where_is("r"))), node("a", 0));
    assert_eq!(redis.ask("a", where_is("r")), Said::Nowhere, "elsewhere, it is not");
    assert_eq!(redis.ask("b", where_is("s")), Said::Nowhere);
    sleep(TTL + TTL / 4);
    redis.settle(&["b"]);
    assert_eq!(redis.ask("b", where_is("r")), Said::Nowhere, "its node is dead");
    let Said::Taken(taken) = redis.ask("b", inherit("a")) else { panic!("a is dead") };
    assert_eq!(taken.iter().map(|owned| &*owned.room).collect::<Vec<_>>(), ["r"], "it is still its own");
}

/// Calls a script of what is stored.
fn depot(client: &mut redis::Connection, script: &str, arguments: &[&str]) -> Vec<String> {
    let script = redis::Script::new(script);
    let mut call = script.prepare_invoke();
    call.key("{test}:generation").arg("{test}");
    for argument in arguments {
        call.arg(*argument);
    }
    call.invoke(client).unwrap()
}

fn put(client: &mut redis::Connection, room: &str, node: &str, epoch: u64, row: &str) -> String {
    let put = ["write", room, node, &epoch.to_string(), "2", "put", "0", "f", "arena", row];
    depot(client, WRITE, &put).remove(0)
}

/// `numbers`: of what is written, and of what was before.
fn append(
    client: &mut redis::Connection,
    node: &str,
    epoch: u64,
    numbers: [&str; 2],
    frames: &str,
) -> String {
    let [number, after] = numbers;
    let write = ["write", "r", node, &epoch.to_string(), number, "append", after, frames, "", ""];
    depot(client, WRITE, &write).remove(0)
}

fn read(client: &mut redis::Connection, node: &str, epoch: u64) -> Vec<String> {
    let mut read = depot(client, include_str!("depot/read.lua"), &["r", node, &epoch.to_string()]);
    if read.len() > 1 {
        assert!(read.remove(1).parse::<u64>().unwrap() < 60_000, "since the checkpoint");
    }
    read
}

// Promise 10
#[test]
fn what_is_kept_is_written_by_the_owner_alone_and_taken_over_with_a_new_epoch() {
    let redis = Redis::start();
    redis.settle(&["a", "b"]);
    let mut client = redis.client();
    let old = epoch(redis.ask("a", claim("r", "a")));
    assert_eq!(append(&mut client, "a", old, ["1", "0"], "x"), "gap", "there is no checkpoint");
    assert_eq!(put(&mut client, "r", "a", old, "row"), "done");
    assert_eq!(put(&mut client, "r", "b", old, "bad"), "fenced");
    assert_eq!(put(&mut client, "r", "a", old - 1, "bad"), "fenced");
    assert_eq!(append(&mut client, "a", old, ["3", "2"], "gh"), "done");
    assert_eq!(append(&mut client, "a", old, ["3", "2"], "gh"), "done", "it was there already");
    assert_eq!(append(&mut client, "a", old, ["4", "2"], "gh"), "gap");
    assert_eq!(put(&mut client, "r", "a", old, "late"), "fenced", "something was written after that");
    assert_eq!(read(&mut client, "a", old), ["stored", "row", "fgh"]);
    let plain = epoch(redis.ask("a", claim("plain", "a")));
    let other = epoch(redis.ask("a", claim("other", "a")));
    assert_eq!(put(&mut client, "other", "a", other, "row"), "done");
    sleep(TTL + TTL / 4);
    redis.settle(&["b"]);
    // Somebody knocks for one, and b looks for the rest.
    let Said::Ours { epoch: new, stored: true } = redis.ask("b", find("r")) else { panic!("it is stored") };
    let Said::Taken(taken) = redis.ask("b", inherit("a")) else { panic!("a is dead") };
    assert_eq!(taken.iter().map(|owned| &*owned.room).collect::<Vec<_>>(), ["other"]);
    let again = Ask::Inherit { from: name("a"), most: 10, again: true };
    assert_eq!(redis.ask("b", again), Said::Taken(taken), "the answer was lost");
    assert_eq!(redis.ask("b", find("plain")), Said::Nowhere, "nothing was stored");
    assert!(new > old && plain > old);
    assert_eq!(append(&mut client, "a", old, ["5", "4"], "late"), "fenced");
    assert_eq!(put(&mut client, "r", "a", old, "late"), "fenced");
    assert_eq!(read(&mut client, "a", old), ["fenced"]);
    assert_eq!(read(&mut client, "b", new), ["stored", "row", "fgh"]);
    // It is given back as it is, and is there for whoever wants it. When it has ended, nothing is.
    assert_eq!(redis.ask("b", release("r", new, true)), Said::Done);
    let newer = epoch(redis.ask("b", claim("r", "a")));
    assert_eq!(read(&mut client, "b", newer), ["stored", "row", "fgh"]);
    assert_eq!(client.ttl::<_, i64>("{test}:stored:r").unwrap(), -1);
    assert_eq!(redis.ask("b", release("r", newer, false)), Said::Done);
    assert_eq!(redis.ask("b", find("r")), Said::Nowhere);
}

#[test]
fn rooms_are_left_to_nodes_that_have_their_game_and_place() {
    let redis = Redis::start();
    redis.settle(&["a", "b"]);
    let mut client = redis.client();
    let had = epoch(redis.ask("a", claim("r", "a")));
    assert_eq!(put(&mut client, "r", "a", had, "row"), "done");
    sleep(TTL + TTL / 4);
    redis.settle(&["b", "c"]);
    let ask =
        |says: &Node, ask: Ask| redis.runtime.block_on(redis.link.ask(&name("b"), says, &ask)).unwrap().said;
    let lacks = Node { kinds: vec!["chess".into()], ..node("b", 0) };
    let mut drains = node("b", 0);
    drains.load.draining = true;
    let foreign = || Said::Foreign { kind: "arena".into() };
    // Somebody knocks.
    assert_eq!(ask(&lacks, claim("r", "b")), foreign());
    assert_eq!(ask(&lacks, find("r")), foreign());
    assert_eq!(ask(&drains, find("r")), foreign());
    assert_eq!(client.ttl::<_, i64>("{test}:stored:r").unwrap(), -1);
    // Nobody does.
    assert_eq!(ask(&node("b", 1_000), inherit("a")), Said::Taken(vec![]), "b is full");
    assert_eq!(ask(&lacks, inherit("a")), Said::Taken(vec![]));
    assert_eq!(all(redis.ask("c", Ask::Nodes)).len(), 3, "it is nobody's now: of a, nothing is left");
    for key in ["room:r", "stored:r", "rooms:nobody"] {
        let left: i64 = client.ttl(format!("{{test}}:{key}")).unwrap();
        assert!((3_590..=3_600).contains(&left), "{key}: {left}");
    }
    assert_eq!(ask(&lacks, inherit("nobody")), Said::Taken(vec![]));
    assert_eq!(ask(&lacks, find("r")), foreign());
    redis.settle(&["b", "c"]);
    let Said::Taken(taken) = redis.ask("c", inherit("nobody")) else { panic!("it is nobody's") };
    assert_eq!(taken.len(), 1);
    for key in ["room:r", "stored:r"] {
        assert_eq!(client.ttl::<_, i64>(format!("{{test}}:{key}")).unwrap(), -1);
    }
    // It cannot go on there either: whoever wants it may try at once, and others later.
    assert_eq!(redis.ask("c", release("r", taken[0].epoch, true)), Said::Done);
    assert_eq!(redis.ask("b", inherit("nobody")), Said::Taken(vec![]));
    let tried = epoch(redis.ask("b", find("r")));
    assert_eq!(redis.ask("b", release("r", tried, true)), Said::Done);
    let _: () = client.hset("{test}:stored:r", "after", 0).unwrap();
    let Said::Taken(taken) = redis.ask("c", inherit("nobody")) else { panic!("it is nobody's") };
    // Where it goes on, it is as new.
    assert_eq!(put(&mut client, "r", "c", taken[0].epoch, "row"), "done");
    for field in ["until", "tries", "after"] {
        assert!(!client.hexists::<_, _, bool>("{test}:stored:r", field).unwrap(), "{field}");
    }
    assert_eq!(redis.ask("c", release("r", taken[0].epoch, false)), Said::Done);
    assert!(!client.exists::<_, bool>("{test}:stored:r").unwrap());
}

// Its renewal may lie in Redis's socket while that stands still, and be done when the node has given it up.
#[test]
fn a_life_that_is_over_is_not_prolonged_by_its_last_renewal_when_the_next_has_begun() {
    let redis = Redis::start();
    redis.settle(&["a-1", "b-1"]);
    epoch(redis.ask("a-1", claim("r", "a-1")));
    assert_eq!(redis.ask("a-1", Ask::Renew { had: true }), Said::Done);
    assert_eq!(redis.ask("a-2", Ask::Renew { had: false }), Said::Done);
    let Said::At(_, left) = redis.ask("b-1", claim("r", "b-1")) else { panic!("for a moment") };
    assert!(left <= TTL / 8, "nobody waits for it for longer: {left:?}");
    assert_eq!(redis.ask("a-1", Ask::Renew { had: true }), Said::Lost, "it comes late");
    sleep(TTL / 8);
    redis.settle(&["a-2"]);
    epoch(redis.ask("a-2", claim("r", "a-2")));
}

#[test]
fn a_full_redis_keeps_leases_and_one_that_only_reads_says_so() {
    let redis = Redis::start();
    redis.settle(&["a"]);
    let mut client = redis.client();
    let _: () = redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("1").query(&mut client).unwrap();
    assert!(client.set::<_, _, ()>("more", "x").is_err(), "it is full");
    redis.settle(&["a"]);
    epoch(redis.ask("a", claim("r", "a")));
    let _: () = redis::cmd("REPLICAOF").arg("127.0.0.1").arg("1").query(&mut client).unwrap();
    let failed = redis.try_ask("a", Ask::Renew { had: true });
    assert!(matches!(failed, Err(Failure::ReadOnly(_))), "{failed:?}");
}

fn offer(room: &str, epoch: u64, to: &str, parcel: &'static [u8]) -> Ask {
    Ask::Offer { room: room.into(), epoch, to: name(to), parcel: parcel.into() }
}

fn take(room: &str, offered: u64) -> Ask {
    Ask::Take { room: room.into(), offered }
}

fn conclude(room: &str, offered: u64) -> Ask {
    Ask::Conclude { room: room.into(), offered }
}

/// Not text, as parcels are.
const PARCEL: &[u8] = &[0, 0xff, 0xc3, 0x28, b'\n'];

#[test]
fn a_room_is_given_to_another_node_or_kept_whoever_says_so_first() {
    let redis = Redis::start();
    redis.settle(&["a", "b", "c"]);
    let room = || -> Arc<str> { "r".into() };
    let first = epoch(redis.ask("a", claim("r", "a")));
    assert_eq!(redis.ask("a", offer("r", first, "nobody", PARCEL)), Said::Nowhere, "it has no lease");
    assert_eq!(redis.ask("b", offer("r", first, "a", PARCEL)), Said::Nowhere, "it is not b's");
    assert_eq!(redis.ask("a", offer("r", first, "b", PARCEL)), Said::Done);
    let mut client = redis.client();
    assert_eq!(client.lpop::<_, String>("{test}:inbox:b", None).unwrap(), "offer r");
    let left: i64 = client.ttl("{test}:moving:r").unwrap();
    assert!((1..=10).contains(&left), "{left}");
    assert_eq!(redis.ask("c", Ask::Look { room: room() }), Said::Nowhere);
    let offered = Said::Offered { epoch: first, parcel: PARCEL.into() };
    assert_eq!(redis.ask("b", Ask::Look { room: room() }), offered);
    assert_eq!(redis.ask("c", take("r", first)), Said::Nowhere);
    assert_eq!(redis.ask("b", take("r", first - 1)), Said::Nowhere, "of another offer");

    // The owner is first.
    let Said::Stayed { epoch: again, why: None } = redis.ask("a", conclude("r", first)) else {
        panic!("stayed")
    };
    let Said::Stayed { epoch: second, .. } = redis.ask("a", conclude("r", first)) else {
        panic!("asked again")
    };
    assert!(second > again && again > first);
    assert_eq!(redis.ask("b", take("r", first)), Said::Nowhere);
    assert_eq!(redis.ask("a", offer("r", first, "b", PARCEL)), Said::Nowhere, "asked before, come late");

    // The other node cannot.
    assert_eq!(redis.ask("a", offer("r", second, "b", PARCEL)), Said::Done);
    let decline = Ask::Decline { room: room(), offered: second, why: "no such game".into() };
    assert_eq!(redis.ask("b", decline), Said::Done);
    assert_eq!(client.lpop::<_, String>("{test}:inbox:a", None).unwrap(), "over r");
    assert_eq!(redis.ask("b", take("r", second)), Said::Nowhere);
    let Said::Stayed { epoch: third, why: Some(why) } = redis.ask("a", conclude("r", second)) else {
        panic!("stayed")
    };
    assert_eq!(why, "no such game");

    // It is first.
    assert_eq!(redis.ask("a", offer("r", third, "b", PARCEL)), Said::Done);
    let fourth = epoch(redis.ask("b", take("r", third)));
    assert!(fourth > third);
    assert_eq!(epoch(redis.ask("b", take("r", third))), fourth, "asked again, because no answer came");
    assert!(!client.exists::<_, bool>("{test}:moving:r").unwrap());
    assert!(matches!(redis.ask("a", conclude("r", third)), Said::At(is, _) if is == node("b", 0)));
    assert_eq!(redis.ask("a", Ask::Release { room: room(), epoch: third, stored: false }), Said::Done);
    assert_eq!(at(redis.ask("c", claim("r", "c"))), node("b", 0), "and only b lets it go");
    assert_eq!(redis.ask("b", Ask::Release { room: room(), epoch: fourth, stored: false }), Said::Done);
    assert_eq!(redis.ask("a", conclude("r", third)), Said::Nowhere);
    assert_eq!(at(redis.ask("c", claim("r", "a"))), node("a", 0));
    assert_eq!(redis.ask("a", conclude("r", third)), Said::Nowhere, "it is another room");
}

#[test]
fn a_redis_that_may_have_forgotten_something_gives_no_room_to_anybody() {
    let redis = Redis::start();
    redis.settle(&["a", "b"]);
    let had = epoch(redis.ask("a", claim("r", "a")));
    assert_eq!(redis.ask("a", offer("r", had, "b", PARCEL)), Said::Done);
    let mut client = redis.client();
    let _: () = redis::cmd("FLUSHALL").query(&mut client).unwrap();
    assert_eq!(redis.ask("b", take("r", had)), Said::Settling);
    assert_eq!(redis.ask("a", conclude("r", had)), Said::Settling);
    assert_eq!(redis.ask("a", offer("r", had, "b", PARCEL)), Said::Settling);
}
