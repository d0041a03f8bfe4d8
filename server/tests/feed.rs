//! The events of the stream: what a reader gets that is new, was away, or is slow.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

use driftless_server::{
    feed::{Feed, MAX_READERS, Reader, Topic},
    presence::{Change, PresenceChange, Watcher},
};
use serde_json::{Value, json};
use std::sync::Arc;

struct Event {
    id: Option<String>,
    name: String,
    data: Value,
}

/// Everything that can be read now, without the greeting.
fn read(reader: &mut Reader) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(text) = reader.take() {
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert!(text.ends_with("\n\n") && text.matches("\n\n").count() == 1, "{text:?}");
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let name = field("event: ").unwrap();
        if name != "hello" {
            let data = serde_json::from_str(&field("data: ").unwrap()).unwrap();
            events.push(Event { id: field("id: "), name, data });
        }
    }
    events
}

fn numbers(events: &[Event], name: &str) -> Vec<u64> {
    events.iter().filter(|event| event.name == name).map(|event| event.data.as_u64().unwrap()).collect()
}

fn change(player: u32) -> PresenceChange {
    PresenceChange {
        at_unix_ms: 5,
        room: "lobby".into(),
        player,
        user: "ann".into(),
        name: "Ann".into(),
        change: Change::Joined,
        why: None,
    }
}

#[test]
fn a_new_reader_gets_the_history_of_the_server_and_the_newest_of_the_rooms() {
    let feed = Feed::new(1);
    for n in 0..400 {
        feed.push(Topic::Server, &n);
        feed.push(Topic::Rooms, &n);
    }
    let mut reader = feed.reader(None).unwrap();
    let events = read(&mut reader);
    assert_eq!(numbers(&events, "server"), (100..400).collect::<Vec<_>>());
    assert_eq!(numbers(&events, "rooms"), [399]);
    feed.push(Topic::Server, &400);
    assert_eq!(numbers(&read(&mut reader), "server"), [400]);
    assert_eq!(read(&mut reader).len(), 0);
}

#[test]
fn a_reader_that_comes_back_gets_what_it_missed() {
    let feed = Feed::new(0xABC);
    for n in 0..10 {
        feed.push(Topic::Server, &n);
        feed.push(Topic::Presence, &n);
    }
    let mut reader = feed.reader(None).unwrap();
    let events = read(&mut reader);
    let last = events[9].id.clone().unwrap(); // of presence 4
    assert!(last.starts_with("abc-"), "{last}");
    drop(reader);
    let mut back = feed.reader(Some(&last)).unwrap();
    let events = read(&mut back);
    assert_eq!(numbers(&events, "server"), [5, 6, 7, 8, 9]);
    assert_eq!(numbers(&events, "presence"), [5, 6, 7, 8, 9]);
}

#[test]
fn an_id_that_is_not_of_this_process_is_as_none() {
    let feed = Feed::new(1);
    feed.push(Topic::Server, &0);
    for id in ["2-1", "1-999", "1", "", "-", "1-", "1--1", "x-1", "1-1-1", "99999999999999999999-1"] {
        assert_eq!(read(&mut feed.reader(Some(id)).unwrap()).len(), 1, "{id:?}");
    }
    assert_eq!(read(&mut feed.reader(Some("1-1")).unwrap()).len(), 0);
}

// Promise 2: "State it misses is superseded, never replayed late", also for figures.
#[test]
fn a_slow_reader_gets_the_newest_figures_and_every_change_of_presence() {
    let feed = Feed::new(1);
    let mut slow = feed.reader(None).unwrap();
    read(&mut slow);
    for n in 0..50 {
        feed.push(Topic::Server, &n);
        feed.push(Topic::Presence, &n);
        feed.push(Topic::Rooms, &n);
    }
    let events = read(&mut slow);
    assert_eq!(numbers(&events, "server"), [49]);
    assert_eq!(numbers(&events, "rooms"), [49]);
    assert_eq!(numbers(&events, "presence"), (0..50).collect::<Vec<_>>());
    let ids = events.iter().map(|event| event.id.as_ref().unwrap()[2..].parse::<u64>().unwrap());
    assert!(ids.is_sorted(), "in order");
}

#[test]
fn a_reader_that_missed_changes_for_good_is_told_once() {
    let feed = Feed::new(1);
    let mut slow = feed.reader(None).unwrap();
    read(&mut slow);
    for n in 0..300 {
        feed.push(Topic::Presence, &n);
    }
    let events = read(&mut slow);
    assert_eq!((&*events[0].name, &events[0].data), ("missed", &json!({ "topic": "presence" })));
    assert_eq!(numbers(&events[1..], "presence"), (44..300).collect::<Vec<_>>());
    // A new reader has missed nothing, and one that comes back has been told.
    assert!(!read(&mut feed.reader(None).unwrap()).iter().any(|event| event.name == "missed"));
    assert_eq!(read(&mut feed.reader(Some("1-1")).unwrap())[0].name, "missed");
}

// Promise 4: "One client, however slow or hostile, does not [...] grow memory without bound."
#[test]
fn there_are_only_so_many_readers_and_places_are_given_back() {
    let feed = Feed::new(1);
    let mut readers: Vec<_> = (0..MAX_READERS).map(|_| feed.reader(None).unwrap()).collect();
    assert!(feed.reader(None).is_err());
    assert_eq!(feed.readers(), MAX_READERS);
    readers.pop();
    feed.reader(None).unwrap();
}

#[test]
fn changes_of_presence_are_told_together_and_a_flood_is_counted() {
    let feed = Feed::new(1);
    let mut reader = feed.reader(None).unwrap();
    feed.flush();
    assert!(read(&mut reader).is_empty(), "nothing to tell");
    (1..=100).for_each(|player| feed.note(change(player)));
    feed.flush();
    feed.flush();
    let events = read(&mut reader);
    assert_eq!(events.len(), 1);
    let data = &events[0].data;
    assert_eq!(data["changes"].as_array().unwrap().len(), 64);
    assert_eq!(data["more"], 36);
    let first = json!({ "at_unix_ms": 5, "room": "lobby", "player": 1, "user": "ann", "name": "Ann", "change": "joined" });
    assert_eq!(data["changes"][0], first);
}

#[test]
fn changes_are_of_no_interest_until_somebody_reads_and_then_also_while_he_is_away() {
    let feed = Feed::new(1);
    assert!(!feed.is_watching());
    drop(feed.reader(None).unwrap());
    assert_eq!((feed.readers(), feed.is_watching()), (0, true));
}

#[actix_web::test]
async fn a_waiting_reader_is_woken_by_an_event_and_not_by_those_it_had() {
    let feed: Arc<Feed> = Feed::new(1);
    let mut reader = feed.reader(None).unwrap();
    feed.push(Topic::Server, &1);
    read(&mut reader);
    let waiting = actix_rt::spawn(async move {
        reader.changed().await;
        read(&mut reader)
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    feed.push(Topic::Server, &2);
    assert_eq!(numbers(&waiting.await.unwrap(), "server"), [2]);
}
