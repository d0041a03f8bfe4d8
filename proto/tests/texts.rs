//! Texts come with the rows that refer to them, and are sent once.
#![allow(clippy::unwrap_used, clippy::expect_used)] // in helpers of tests

mod worlds;

use driftless_proto::{
    delta::{Decoder, DeltaError, Encoder, References},
    limits::{MAX_TEXT, MAX_TEXTS},
    schema::Schema,
    snapshot::Snapshot,
    wire::{self, ColumnCoding, TextDelta},
};
use prost::Message;

fn schema() -> Schema {
    Schema::new().kind("player", |k| k.linear("place", &["x"], 1).text("name", &["name"]))
}

/// Players with these names, whose ids count from 0.
fn state(tick: u32, names: &[&str]) -> Snapshot {
    let mut state = Snapshot::new(&schema());
    state.clear(tick);
    for (id, name) in (0..).zip(names) {
        let name = state.text(name);
        state.table_mut(0).push(id, &[5, name]);
    }
    state
}

fn encoded(baseline: Option<&Snapshot>, current: &Snapshot) -> Vec<u8> {
    let mut body = Vec::new();
    let references = References { baseline, prior: None };
    Encoder::default().encode(&schema(), references, current, ColumnCoding::Packed, None, &mut body);
    body
}

fn applied(baseline: &Snapshot, body: &[u8]) -> Result<Snapshot, DeltaError> {
    let mut out = Snapshot::default();
    let references = References { baseline: Some(baseline), prior: None };
    Decoder::default().apply(&schema(), references, baseline.tick() + 1, body, &mut out)?;
    Ok(out)
}

/// What comes of a change of the texts alone.
fn changed(baseline: &Snapshot, texts: TextDelta) -> Result<Snapshot, DeltaError> {
    applied(baseline, &wire::State { texts: Some(texts), ..Default::default() }.encode_to_vec())
}

fn sent(message: &[u8], text: &str) -> usize {
    message.windows(text.len()).filter(|bytes| *bytes == text.as_bytes()).count()
}

#[test]
fn a_text_is_sent_once_whoever_has_it() {
    let first = state(1, &["Ada", "Ada", "Bob"]);
    let full = encoded(None, &first);
    assert_eq!((sent(&full, "Ada"), sent(&full, "Bob")), (1, 1));
    assert!(encoded(Some(&first), &state(2, &["Ada", "Ada", "Bob"])).is_empty());
    // Another player takes the name; it is there.
    let renamed = encoded(Some(&first), &state(2, &["Ada", "Ada", "Ada"]));
    assert_eq!((sent(&renamed, "Ada"), sent(&renamed, "Bob")), (0, 0));
    let renamed = applied(&first, &renamed).unwrap();
    assert_eq!(renamed.texts().map(|(_, bytes)| bytes).collect::<Vec<_>>(), [b"Ada"], "Bob is gone");
}

#[test]
fn a_snapshot_without_texts_is_the_same_bytes_as_if_there_were_none() {
    let numbers = Schema::new().kind("player", |k| k.linear("place", &["x"], 1).hold("name", &["name"], 1));
    let mut plain = Snapshot::new(&numbers);
    plain.clear(1);
    plain.table_mut(0).push(0, &[5, 0]);
    let unnamed = state(1, &[""]);
    assert_eq!(unnamed.checksum(), plain.checksum());
    let mut body = Vec::new();
    let none = References::default();
    Encoder::default().encode(&numbers, none, &plain, ColumnCoding::Packed, None, &mut body);
    assert_eq!(encoded(None, &unnamed), body);
}

#[test]
fn the_checksum_is_that_of_the_documented_bytes() {
    let mut named = state(1, &["Ada L."]);
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
    let number = named.text("Ada L.") as u32;
    let mut bytes = words(&[1, 1, 0, 5, number, 1, number, 6]);
    bytes.extend(b"Ada L.\0\0");
    assert_eq!(named.checksum(), crc32c::crc32c(&bytes));
}

#[test]
fn a_text_is_of_its_zone() {
    let mut secret = state(1, &["Ada"]);
    let hand = secret.zone(4);
    let card = hand.text("the queen");
    hand.table_mut(0).push(9, &[0, card]);
    assert_eq!(sent(&encoded(None, &secret), "the queen"), 0);
    let hand = secret.content(4).unwrap();
    assert_eq!((hand.text_of(card), secret.text_of(card)), ("the queen", ""));
    let mut copy = Snapshot::default();
    copy.copy_from(&secret);
    assert_eq!(copy, secret);
    copy.zone(4).text("the king");
    assert_ne!(copy, secret);
}

#[test]
fn a_long_text_is_truncated_between_two_characters() {
    let mut state = state(1, &[]);
    let long = state.text(&"é".repeat(MAX_TEXT));
    assert_eq!(state.text_of(long), "é".repeat(MAX_TEXT / 2));
    let odd = state.text(&format!("x{}", "é".repeat(MAX_TEXT)));
    assert_eq!(state.text_of(odd).len(), MAX_TEXT - 1);
    let bytes = state.bytes(&[0xff; 2]);
    assert_eq!((state.bytes_of(bytes), state.text_of(bytes)), (&[0xff; 2][..], ""));
}

#[test]
fn texts_in_their_order_get_their_numbers_again() {
    let [a, b, c] = &worlds::colliding()[..] else { panic!("three texts") };
    let named = state(1, &[c, a, "Ada", b]);
    let mut again = state(1, &[]);
    for (number, bytes) in named.texts() {
        assert_eq!(again.bytes(bytes), number);
    }
}

#[test]
fn a_row_of_an_unknown_text_is_refused() {
    let baseline = state(1, &["Ada"]);
    let ada = baseline.tables()[0].column(1)[0];
    // It is gone, but a row still has it.
    assert_eq!(changed(&baseline, TextDelta { gone: vec![0], ..TextDelta::default() }), unknown(ada));
    // A new row has it, but it does not come.
    let mut body = encoded(Some(&baseline), &state(2, &["Ada", "Bob"]));
    let texts = TextDelta {
        numbers: vec![state(2, &["Bob"]).tables()[0].column(1)[0] as u32 - 1],
        gone: vec![],
        texts: vec!["Bob".into()],
    };
    let texts = wire::State { texts: Some(texts), ..Default::default() }.encode_to_vec();
    assert!(body.ends_with(&texts));
    body.truncate(body.len() - texts.len());
    assert_eq!(applied(&baseline, &body), unknown(state(2, &["Bob"]).tables()[0].column(1)[0]));
}

fn unknown(number: i32) -> Result<Snapshot, DeltaError> {
    Err(DeltaError::UnknownText(number))
}

#[test]
fn numbers_of_no_text_can_be_cleared_in_all_zones() {
    let mut state = state(1, &["Ada", "Bob", ""]);
    let [ada, bob] = [0, 1].map(|row| state.tables()[0].column(1)[row]);
    let hand = state.zone(4);
    assert_eq!(hand.text("Ada"), ada);
    hand.table_mut(0).push(9, &[5, ada]);
    let before = state.clone();
    assert_eq!(state.clear_unknown_texts(&schema()), None);
    assert_eq!(state, before);
    // Bob's text is of zone 0, and nobody's number is below 0.
    state.zone(4).table_mut(0).push(8, &[5, bob]);
    state.table_mut(0).push(3, &[5, -7]);
    let faulty = state.clone();
    assert_eq!(state.clear_unknown_texts(&schema()), Some((0, 1)));
    assert_eq!(state.tables()[0].column(1), [ada, bob, 0, 0]);
    assert_eq!(state.content(4).unwrap().tables()[0].column(1), [0, ada]);
    assert_eq!(state.tables()[0].column(0), [5; 4], "it is a column of numbers");
    assert_eq!(faulty.tables()[0].column(1)[3], -7, "a clone is not concerned");
}

#[test]
fn bad_texts_are_refused() {
    let baseline = state(1, &["Ada"]);
    let ada = baseline.tables()[0].column(1)[0] as u32;
    let new = |numbers: &[u32], texts: &[usize]| {
        let texts = texts.iter().map(|&len| vec![b'x'; len].into()).collect();
        changed(&baseline, TextDelta { gone: vec![], numbers: numbers.to_vec(), texts })
    };
    assert!(new(&[0, 0], &[1, MAX_TEXT]).is_ok());
    assert_eq!(new(&[0], &[0]), Err(DeltaError::TextLength(0)));
    assert_eq!(new(&[0], &[MAX_TEXT + 1]), Err(DeltaError::TextLength(MAX_TEXT + 1)));
    assert_eq!(new(&[0], &[]), Err(DeltaError::TextCount));
    assert_eq!(new(&[0], &[1, 1]), Err(DeltaError::TextCount));
    assert_eq!(new(&[ada - 1], &[1]), Err(DeltaError::TextTwice(ada)));
    let large = DeltaError::TooLarge { field: "numbers", value: 1 << 31 };
    assert_eq!(new(&[i32::MAX as u32 - 2, 0, 0], &[1, 1, 1]), Err(large));
    let gone = TextDelta { gone: vec![1], ..TextDelta::default() };
    assert_eq!(changed(&baseline, gone), Err(DeltaError::Row { field: "gone", rows: 1 }));
    let most = vec![0; MAX_TEXTS];
    assert_eq!(new(&most, &vec![1; MAX_TEXTS]), Err(DeltaError::TextCount), "with the one that is there");
}
