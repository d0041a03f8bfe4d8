//! What is written, without rooms: books and calls, and a real Redis.

use super::{
    About, Written,
    books::{Books, Order, Write},
    flusher::Flusher,
    queue::{Queue, Waiting, What},
    reader,
    writer::{Packed, Writer, calls},
};
use crate::{
    ground::ownership::Ownership,
    health::{Health, Matters, PartName},
    metrics::Metrics,
    nodes::{Grant, ask::Incarnation, script::Call, way::Way},
    redis_server::Redis,
    store::{self, Append as _, Row},
};
use redis::Commands as _;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(30);

fn about(name: &str) -> Arc<About> {
    let owned = Ownership::new(Instant::now());
    owned.extend(Instant::now() + 2 * PATIENCE);
    Arc::new(About {
        name: name.into(),
        kind: "cursors".into(),
        grant: Grant {
            owned: Arc::new(owned),
            node: Incarnation("me".into()),
            epoch: Arc::new(AtomicU64::new(1)),
            stored: Arc::default(),
        },
        wanted: AtomicBool::new(false),
    })
}

fn row(room: u64) -> Arc<Row> {
    Arc::new(store::row(room, "den"))
}

fn put(queue: &Queue, room: u64, about: &Arc<About>) {
    queue.change(room, What::Put { row: row(room), about: about.clone(), taken: Instant::now() });
}

fn taken(books: &mut Books, queue: &Queue) -> Vec<Write> {
    books.take(&mut queue.take(Waiting::default()))
}

#[test]
fn nothing_is_written_of_a_room_that_has_moved_away_and_its_books_are_closed() {
    let (queue, mut books, about) = (Queue::default(), Books::default(), about("a"));
    put(&queue, 1, &about);
    assert_eq!(taken(&mut books, &queue).len(), 1);
    queue.append(1, 1, b"tick");
    put(&queue, 1, &about);
    queue.change(1, What::Left);
    queue.append(1, 2, b"tick");
    assert_eq!(taken(&mut books, &queue).len(), 0);
    assert!(books.is_empty(), "nothing is left to look after");
}

#[test]
fn a_room_that_is_refused_is_not_asked_for_another_checkpoint_and_one_with_a_gap_is() {
    let (queue, mut books, about) = (Queue::default(), Books::default(), about("a"));
    put(&queue, 1, &about);
    let writes = taken(&mut books, &queue);
    books.refused(&writes[0]);
    assert!(!about.wanted.load(Relaxed), "it would be refused again");
    queue.append(1, 1, b"tick");
    assert!(taken(&mut books, &queue).is_empty(), "it follows nothing");
    assert_eq!(books.count_refused(), 1);
    put(&queue, 1, &about);
    let writes = taken(&mut books, &queue);
    books.written(&writes[0], Written::Gap);
    assert!(about.wanted.load(Relaxed));
    assert_eq!(books.count_refused(), 0);
}

#[test]
fn calls_are_bounded_by_checkpoints_too_and_so_is_what_is_on_its_way() {
    let packed = |bytes: usize| {
        let order = Order::Put { row: row(1), taken: Instant::now() };
        let write = Write { number: 1, room: 1, about: about("a"), order, frames: Vec::new() };
        Packed { write, row: vec![0; bytes] }
    };
    let rows: Vec<_> = (0..200).map(|_| packed(100 << 10)).collect();
    let calls_of = calls(&rows);
    assert!(calls_of.iter().all(|call| call.len() == 2), "200 kB each");
    let all: usize = calls_of.iter().map(|call| call.len()).sum();
    assert!((40..50).contains(&all), "4 MiB in all, and then the next: {all}");
    let large = [packed(9 << 20), packed(1)];
    assert_eq!(calls(&large).len(), 1, "a large one goes alone");
}

/// Runs the flusher until Redis has what it should.
async fn until(client: &mut redis::Connection, has: impl Fn(&mut redis::Connection) -> bool) {
    let waited = async {
        while !has(client) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waited).await.expect("it is written");
}

// Promise 10, too: what it has not taken yet waits.
#[tokio::test]
async fn what_a_full_redis_does_not_take_is_written_when_it_does_and_is_read_meanwhile() {
    let server = Redis::start();
    let mut client = server.client();
    let _: () = client.hset_multiple("{test}:room:a", &[("node", "me"), ("epoch", "1")]).unwrap();
    let (queue, metrics) = (Arc::<Queue>::default(), Arc::new(Metrics::new()));
    let health = Health::new(metrics.clone(), Instant::now());
    let part = health.part(PartName::Store, Matters::ToOperators);
    let way = || Way::new(&server.default_url().parse().unwrap(), "test");
    let call = Call::new("test", Duration::from_secs(5));
    let writer = Writer::new(way(), call.clone(), Duration::from_secs(5));
    let flusher = Flusher::new(queue.clone(), writer, metrics.clone(), part);
    let about = about("a");
    put(&queue, 1, &about);
    let wrong = |health: &Health| health.report(Instant::now()).pop().and_then(|report| report.why);
    let (reads, wanted) = tokio::sync::mpsc::unbounded_channel();
    let test = async {
        until(&mut client, |client| client.exists("{test}:stored:a").unwrap()).await;
        server.memory(1);
        queue.append(1, 1, b"tick");
        until(&mut client, |_| wrong(&health).is_some_and(|why| why.contains("Redis is full"))).await;
        let (tell, told) = tokio::sync::oneshot::channel();
        let (room, node) = (about.name.clone(), about.grant.node.clone());
        let _ = reads.send(reader::Reading { room, node, epoch: 1, limit: PATIENCE, tell });
        assert!(told.await.unwrap().is_ok_and(|stored| stored.is_some()));
        server.memory(0);
        until(&mut client, |client| client.strlen::<_, usize>("{test}:frames:a").unwrap() > 0).await;
        until(&mut client, |_| wrong(&health).is_none()).await;
        assert!(metrics.store.failures.get("refused") == 0 && !about.wanted.load(Relaxed));
    };
    tokio::select! {
        () = flusher.run() => {}
        () = reader::read(wanted, way(), call) => {}
        () = test => {}
    }
}

// Promise 10: "What was acknowledged as durable survives the death of its node."
#[tokio::test]
async fn a_room_of_which_redis_takes_nothing_keeps_no_other_from_being_written() {
    let server = Redis::start();
    let mut client = server.client();
    for room in ["a", "b", "c"] {
        let record = format!("{{test}}:room:{room}");
        let _: () = client.hset_multiple(record, &[("node", "me"), ("epoch", "1")]).unwrap();
    }
    // Somebody else's key stands in the way.
    let _: () = client.set("{test}:stored:b", "in the way").unwrap();
    let (queue, metrics) = (Arc::<Queue>::default(), Arc::new(Metrics::new()));
    let health = Health::new(metrics.clone(), Instant::now());
    let part = health.part(PartName::Store, Matters::ToOperators);
    let way = Way::new(&server.default_url().parse().unwrap(), "test");
    let writer = Writer::new(way, Call::new("test", Duration::from_secs(5)), Duration::from_secs(5));
    let flusher = Flusher::new(queue.clone(), writer, metrics.clone(), part);
    let rooms = ["a", "b", "c"].map(about);
    rooms.iter().zip(1..).for_each(|(about, room)| put(&queue, room, about));
    let wrong = |health: &Health| health.report(Instant::now()).pop().and_then(|report| report.why);
    let test = async {
        let there = |key: &'static str| move |client: &mut redis::Connection| client.exists(key).unwrap();
        until(&mut client, there("{test}:stored:a")).await;
        until(&mut client, there("{test}:stored:c")).await;
        queue.append(3, 1, b"tick");
        until(&mut client, |client| client.strlen::<_, usize>("{test}:frames:c").unwrap() > 0).await;
        assert!(wrong(&health).is_some_and(|why| why.contains("1 rooms")), "{:?}", wrong(&health));
        assert_eq!(metrics.store.failures.get("refused"), 1, "once");
        let _: () = client.del("{test}:stored:b").unwrap();
        put(&queue, 2, &rooms[1]);
        until(&mut client, there("{test}:stored:b")).await;
        until(&mut client, |_| wrong(&health).is_none()).await;
    };
    tokio::select! {
        () = flusher.run() => {}
        () = test => {}
    }
}
