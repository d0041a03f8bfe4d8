//! Promise 1: "A room's state is a function of its seed, its joins and leaves, its inputs and commands. A
//! replay gives the same checksums."
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Script, record};
use driftless_sim::{
    Away, GameKind, PlayerId, PlayerInput, Schema, Setup, Simulation, Snapshot, Step, games,
    replay::{
        Action, EndReason, MAX_RECORD, Recorder, Recording, RecordingHeader, ReplayError, TickRecord,
        Verdict, replay,
    },
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

const TICKS: u32 = 200;

fn recorded() -> Vec<u8> {
    record("arena", &mut Script::new(11), 20, TICKS)
}

fn verdict(file: &[u8]) -> Result<Verdict, ReplayError> {
    replay(file, &games::kinds()).map(|(_, verdict)| verdict)
}

/// The recording rewritten, with each tick passed through `change`.
fn rewritten(file: &[u8], mut change: impl FnMut(&mut TickRecord)) -> Vec<u8> {
    let mut recording = Recording::open(file).unwrap();
    let mut recorder = Recorder::new(Vec::new(), recording.header()).unwrap();
    while let Some(mut tick) = recording.next_record().unwrap() {
        change(&mut tick);
        recorder.record(&tick).unwrap();
    }
    recorder.end(recording.end().unwrap()).unwrap();
    recorder.into_inner()
}

/// A recording of these ticks, with an end marker if there is a reason.
fn of(header: &RecordingHeader, ticks: &[TickRecord], end: Option<EndReason>) -> Vec<u8> {
    let mut recorder = Recorder::new(Vec::new(), header).unwrap();
    ticks.iter().for_each(|tick| recorder.record(tick).unwrap());
    end.into_iter().for_each(|reason| recorder.end(reason).unwrap());
    recorder.into_inner()
}

fn header_of(kind: &str, tick_rate: u32) -> RecordingHeader {
    RecordingHeader { kind: kind.into(), room: "r".into(), setup: Setup::new(1, tick_rate) }
}

#[test]
fn a_replay_gives_the_same_checksums() {
    let (header, verdict) = replay(&recorded()[..], &games::kinds()).unwrap();
    assert_eq!(header.kind, "arena");
    assert_eq!(verdict, Verdict::Same { ticks: TICKS.into() });
}

#[test]
fn skipped_ticks_have_no_record() {
    let file = record("cursors", &mut Script::new(3).skipping(), 60, TICKS);
    assert!(matches!(verdict(&file), Ok(Verdict::Same { ticks }) if ticks < u64::from(TICKS)));
}

#[test]
fn a_room_is_replayed_up_to_the_last_tick_there_is() {
    const LAST: u32 = u32::MAX - 1;
    // Cursors do not use the number. (The arena does: what its players were shown is a moment of the room.)
    let young = record("cursors", &mut Script::new(11), 20, TICKS);
    let old = rewritten(&young, |tick| tick.tick += LAST - TICKS);
    assert_eq!(verdict(&old).unwrap(), Verdict::Same { ticks: TICKS.into() });
    let mut recording = Recording::open(&old[..]).unwrap();
    let last = std::iter::from_fn(|| recording.next_record().unwrap()).last().unwrap();
    assert_eq!(last.tick, LAST);
}

/// A game that records at which ticks players joined and left.
#[derive(Default, Serialize, Deserialize)]
struct Stamps(Vec<(PlayerId, u32)>);

impl Simulation for Stamps {
    const KIND: &'static str = "stamps";
    type Input = ();
    type Command = ();
    type Event = ();
    type Options = ();
    const RESUME_WINDOW_MS: Option<u32> = Some(90_000);

    fn schema() -> Schema {
        Schema::new().kind("stamp", |kind| kind.hold("tick", &["tick"], 1))
    }
    fn new(_setup: &Setup) -> Result<Self, String> {
        Ok(Self::default())
    }
    fn join(&mut self, player: PlayerId, _name: &str, step: &mut Step<'_, ()>) {
        self.0.push((player, step.tick()));
    }
    fn leave(&mut self, player: PlayerId, step: &mut Step<'_, ()>) {
        self.0.push((player, step.tick()));
    }
    fn away(&mut self, player: PlayerId, why: Away, step: &mut Step<'_, ()>) {
        self.0.push((1_000 * (1 + why as u32) + player, step.tick()));
    }
    fn back(&mut self, player: PlayerId, step: &mut Step<'_, ()>) {
        self.0.push((9_000 + player, step.tick()));
    }
    fn step(&mut self, _inputs: &[PlayerInput<()>], _step: &mut Step<'_, ()>) {}
    fn snapshot(&self, _out: &mut Snapshot) {}
}

#[test]
fn comings_and_goings_before_skipped_ticks_get_the_tick_they_had() {
    let kind = GameKind::of::<Stamps>();
    let header = header_of("stamps", 20);
    let mut recorder = Recorder::new(Vec::new(), &header).unwrap();
    let mut room = kind.start(&header.setup).unwrap();
    let mut last = 0;
    for (player, tick) in [(1, 3), (2, 4), (3, 9)] {
        room.join(last + 1, player, "");
        room.away(last + 1, player, Away::Disconnected);
        room.back(last + 1, player);
        room.leave(last + 1, player);
        room.step(tick);
        let actions = vec![
            Action::Join { player, name: "".into() },
            Action::Away { player, why: Away::Disconnected },
            Action::Back { player },
            Action::Leave { player },
        ];
        recorder
            .record(&TickRecord { tick, actions, inputs: vec![], checksum: Some(room.checksum()) })
            .unwrap();
        last = tick;
    }
    recorder.end(EndReason::RoomEnded).unwrap();
    let (_, verdict) = replay(&recorder.into_inner()[..], &[kind]).unwrap();
    assert_eq!(verdict, Verdict::Same { ticks: 3 });
}

#[test]
fn a_loss_or_return_of_a_connection_that_is_missing_diverges() {
    let kind = GameKind::of::<Stamps>();
    let header = header_of("stamps", 20);
    let mut room = kind.start(&header.setup).unwrap();
    room.join(1, 1, "");
    room.away(1, 1, Away::TimedOut);
    room.back(1, 1);
    room.step(1);
    let all = [
        Action::Join { player: 1, name: "".into() },
        Action::Away { player: 1, why: Away::TimedOut },
        Action::Back { player: 1 },
    ];
    for missing in [None, Some(1), Some(2)] {
        let actions = all.iter().enumerate().filter(|&(n, _)| Some(n) != missing);
        let actions = actions.map(|(_, action)| action.clone()).collect();
        let tick = TickRecord { tick: 1, actions, inputs: vec![], checksum: Some(room.checksum()) };
        let file = of(&header, &[tick], Some(EndReason::RoomEnded));
        let (_, verdict) = replay(&file[..], std::slice::from_ref(&kind)).unwrap();
        assert_eq!(matches!(verdict, Verdict::Same { .. }), missing.is_none(), "{verdict:?}");
    }
}

#[test]
fn a_kind_says_how_long_it_wants_seats_kept() {
    assert_eq!(GameKind::of::<Stamps>().resume_window_ms(), Some(90_000));
    assert_eq!(GameKind::of::<games::arena::Arena>().resume_window_ms(), None);
}

#[test]
fn a_changed_input_diverges_at_its_tick() {
    let file = recorded();
    for at in [50, 171, TICKS - 3] {
        let mut changed = None;
        let file = rewritten(&file, |tick| {
            if tick.tick >= at && changed.is_none() && !tick.inputs.is_empty() {
                // Fields 3 and 4: aim far to the left.
                for PlayerInput { input: payload, .. } in &mut tick.inputs {
                    *payload = bytes::Bytes::from_static(&[0x18, 0xff, 0x7f, 0x20, 0x11]);
                }
                changed = Some(tick.tick);
            }
        });
        let changed = changed.unwrap();
        assert!(matches!(verdict(&file), Ok(Verdict::Diverged { tick, .. }) if tick == changed));
    }
}

#[test]
fn a_missing_join_diverges_at_its_tick() {
    let mut first = None;
    let file = rewritten(&recorded(), |tick| {
        if !tick.actions.is_empty() && first.is_none() {
            tick.actions.clear();
            first = Some(tick.tick);
        }
    });
    assert!(matches!(verdict(&file), Ok(Verdict::Diverged { tick, .. }) if Some(tick) == first));
}

#[test]
fn a_recording_cut_anywhere_replays_to_its_last_whole_record() {
    let file = recorded();
    let mut last = 0;
    for end in (0..file.len()).step_by(file.len() / 50) {
        match verdict(&file[..end]) {
            Ok(Verdict::Cut { ticks, tick, why: None }) => {
                assert!(ticks >= last && u64::from(tick) == ticks);
                last = ticks;
            }
            Err(ReplayError::NotARecording) => assert_eq!(end, 0),
            Err(ReplayError::HeaderCut) => assert!(end < 64, "{end}"),
            other => panic!("cut at {end}: {other:?}"),
        }
    }
    assert!(last > u64::from(TICKS) * 9 / 10);
    assert!(
        matches!(verdict(&file[..file.len() - 1]), Ok(Verdict::Cut { ticks, why: None, .. }) if ticks == u64::from(TICKS))
    );
}

#[test]
fn zeros_at_the_end_are_a_cut() {
    let mut file = of(&header_of("arena", 20), &[], None);
    file.extend([0; 4096]);
    assert_eq!(verdict(&file).unwrap(), Verdict::Cut { ticks: 0, tick: 0, why: None });
}

#[test]
fn any_damaged_byte_is_refused_or_seen() {
    let file = recorded();
    for at in (0..file.len()).step_by(file.len() / 50) {
        let mut file = file.clone();
        file[at] ^= 0x40;
        let verdict = verdict(&file);
        assert!(!matches!(verdict, Ok(Verdict::Same { .. })), "the damage at {at} was not seen");
    }
}

#[test]
fn what_is_no_recording_is_refused_by_name() {
    assert!(matches!(verdict(b""), Err(ReplayError::NotARecording)));
    assert!(matches!(verdict(b"hello, world"), Err(ReplayError::NotARecording)));
    assert!(matches!(verdict(b"DRIFTREC"), Err(ReplayError::HeaderCut)));
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let mut file = recorded();
    file[8] += 1;
    let newer = u32::from(file[8]);
    assert!(matches!(verdict(&file), Err(ReplayError::UnknownVersion { found }) if found == newer));
}

#[test]
fn an_unknown_kind_is_refused_by_name() {
    let file = Recorder::new(Vec::new(), &header_of("chess", 20)).unwrap().into_inner();
    assert!(matches!(verdict(&file), Err(ReplayError::UnknownKind(kind)) if kind == "chess"));
}

#[test]
fn a_tick_rate_out_of_range_is_refused_by_name() {
    for rate in [0, 129] {
        let file = Recorder::new(Vec::new(), &header_of("arena", rate)).unwrap().into_inner();
        assert!(matches!(verdict(&file), Err(ReplayError::TickRate(found)) if found == rate));
    }
}

#[test]
fn an_announced_length_of_2_gib_is_refused() {
    let mut file = Recorder::new(Vec::new(), &header_of("arena", 20)).unwrap().into_inner();
    file.extend((2u32 << 30).to_le_bytes());
    file.extend([1; 100]);
    assert!(matches!(verdict(&file), Err(ReplayError::RecordLength { record: 1, bytes: 0x8000_0000 })));
}

#[test]
fn a_record_that_is_too_long_is_not_written() {
    let mut recorder = Recorder::new(Vec::new(), &header_of("arena", 20)).unwrap();
    let inputs = vec![PlayerInput::new(1, vec![0; MAX_RECORD].into())];
    let error = recorder.record(&TickRecord { tick: 1, inputs, ..Default::default() }).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    recorder.end(EndReason::TooLong).unwrap();
    let cut = Verdict::Cut { ticks: 0, tick: 0, why: Some(EndReason::TooLong) };
    assert_eq!(verdict(&recorder.into_inner()).unwrap(), cut);
}

#[test]
fn a_record_that_is_no_message_is_refused_by_name() {
    let mut file = Recorder::new(Vec::new(), &header_of("arena", 20)).unwrap().into_inner();
    let body = [0xff; 3];
    file.extend(3u32.to_le_bytes());
    file.extend(crc32c::crc32c(&body).to_le_bytes());
    file.extend(body);
    assert!(matches!(verdict(&file), Err(ReplayError::Malformed { record: 1, .. })));
}

#[test]
fn a_tick_that_goes_backwards_is_refused_by_name() {
    let file = rewritten(&recorded(), |tick| tick.tick = if tick.tick == 9 { 8 } else { tick.tick });
    assert!(matches!(verdict(&file), Err(ReplayError::TickBackwards { tick: 8, after: 8 })));
}

#[test]
fn inputs_out_of_order_are_refused_by_name() {
    let file = rewritten(&recorded(), |tick| {
        tick.inputs = vec![PlayerInput::new(2, "".into()), PlayerInput::new(1, "".into())]
    });
    assert!(matches!(verdict(&file), Err(ReplayError::InputOrder { tick: 1 })));
}

#[test]
fn inputs_that_the_game_cannot_read_are_refused_by_name() {
    let file = rewritten(&recorded(), |tick| tick.inputs = vec![PlayerInput::new(1, "\u{7f}".into())]);
    assert!(matches!(verdict(&file), Err(ReplayError::Input { tick: 1, .. })));
}

#[test]
fn the_kind_is_found_among_others() {
    let kinds = [GameKind::of::<games::cursors::Cursors>(), GameKind::of::<games::arena::Arena>()];
    assert!(matches!(replay(&recorded()[..], &kinds), Ok((_, Verdict::Same { .. }))));
}

/// Depends on every byte that a player sends.
#[derive(Default, Serialize, Deserialize)]
struct Listener(Vec<(PlayerId, u64, u32)>);

#[derive(Clone, PartialEq, prost::Message)]
struct Said {
    #[prost(bytes = "bytes", tag = "1")]
    text: bytes::Bytes,
}

impl Listener {
    fn hear(&mut self, player: PlayerId, said: &Said) {
        assert_ne!(&*said.text, b"panic", "a fault in the game, as asked");
        self.0.push((player, said.text.len() as u64, crc32c::crc32c(&said.text)));
    }
}

impl Simulation for Listener {
    const KIND: &'static str = "listener";
    type Input = Said;
    type Command = Said;
    type Event = ();
    type Options = ();

    fn schema() -> Schema {
        Stamps::schema()
    }
    fn new(_setup: &Setup) -> Result<Self, String> {
        Ok(Self::default())
    }
    fn join(&mut self, _player: PlayerId, _name: &str, _step: &mut Step<'_, ()>) {}
    fn leave(&mut self, _player: PlayerId, _step: &mut Step<'_, ()>) {}
    fn command(&mut self, player: PlayerId, said: Said, _step: &mut Step<'_, ()>) -> Result<(), String> {
        self.hear(player, &said);
        Ok(())
    }
    fn step(&mut self, inputs: &[PlayerInput<Said>], _step: &mut Step<'_, ()>) {
        inputs.iter().for_each(|said| self.hear(said.player, &said.input));
    }
    fn snapshot(&self, _out: &mut Snapshot) {}
}

fn listener() -> [GameKind; 1] {
    [GameKind::of::<Listener>()]
}

fn says(text: &[u8]) -> bytes::Bytes {
    prost::Message::encode_to_vec(&Said { text: text.to_vec().into() }).into()
}

/// The tick with the checksum that a room has after it.
fn stepped(mut tick: TickRecord) -> TickRecord {
    let mut room = listener()[0].start(&Setup::new(1, 20)).unwrap();
    tick.checksum = Some(common::play(&mut *room, &tick));
    tick
}

#[test]
fn a_tick_of_many_mebibytes_is_split_and_replays() {
    let text = vec![7; 60_000];
    let actions = (0..500).map(|n| Action::Command { player: n % 6, payload: says(&text) }).collect();
    let inputs = (0..500).map(|n| PlayerInput::new(n / 100, says(&text[n as usize..]))).collect();
    let tick = stepped(TickRecord { tick: 1, actions, inputs, checksum: None });
    let next = TickRecord { tick: 2, ..TickRecord::default() };
    let mut room = listener()[0].start(&Setup::new(1, 20)).unwrap();
    common::play(&mut *room, &tick);
    let next = TickRecord { checksum: Some(common::play(&mut *room, &next)), ..next };

    let file = of(&header_of("listener", 20), &[tick, next], Some(EndReason::RoomEnded));
    assert!(file.len() > MAX_RECORD, "{}", file.len());
    assert_eq!(replay(&file[..], &listener()).unwrap().1, Verdict::Same { ticks: 2 });
    let mut recording = Recording::open(&file[..]).unwrap();
    let mut parts = 0;
    while let Some(part) = recording.next_record().unwrap() {
        let bytes: usize = part.inputs.iter().map(|input| input.input.len()).sum();
        assert!(bytes <= 1 << 20, "{bytes}");
        parts += 1;
    }
    assert!(parts > 50, "{parts}");
}

#[test]
fn one_message_of_16_mib_is_recorded() {
    let inputs = vec![PlayerInput::new(1, says(&vec![7; 16 << 20]))];
    let tick = stepped(TickRecord { tick: 1, inputs, ..TickRecord::default() });
    let file = of(&header_of("listener", 20), &[tick], Some(EndReason::RoomEnded));
    assert_eq!(replay(&file[..], &listener()).unwrap().1, Verdict::Same { ticks: 1 });
}

#[test]
fn how_a_recording_ends_is_told() {
    let tick = stepped(TickRecord { tick: 7, ..TickRecord::default() });
    for end in EndReason::ALL.into_iter().map(Some).chain([None]) {
        let file = of(&header_of("listener", 20), std::slice::from_ref(&tick), end);
        let verdict = replay(&file[..], &listener()).unwrap().1;
        let expected = match end {
            Some(EndReason::RoomEnded | EndReason::ServerStopped) => Verdict::Same { ticks: 1 },
            // The step that is recorded as failed succeeds.
            Some(EndReason::RoomFailed) => Verdict::Panicked { tick: 8, recorded: true, replayed: None },
            why => Verdict::Cut { ticks: 1, tick: 7, why },
        };
        assert_eq!(verdict, expected);
    }
}

#[test]
fn what_happened_after_the_last_tick_is_kept() {
    let join = Action::Join { player: 1, name: "ann".into() };
    let unfinished = TickRecord { tick: 1, actions: vec![join], ..TickRecord::default() };
    let file = of(&header_of("listener", 20), std::slice::from_ref(&unfinished), Some(EndReason::RoomEnded));
    let mut recording = Recording::open(&file[..]).unwrap();
    assert_eq!(recording.next_record().unwrap(), Some(unfinished));
    assert_eq!(replay(&file[..], &listener()).unwrap().1, Verdict::Same { ticks: 0 });
}

#[test]
fn a_panic_of_the_game_is_replayed() {
    let first = stepped(TickRecord { tick: 1, ..TickRecord::default() });
    let actions = vec![Action::Command { player: 1, payload: says(b"panic") }];
    let by_command = TickRecord { tick: 2, actions, ..TickRecord::default() };
    let by_step =
        TickRecord { tick: 2, inputs: vec![PlayerInput::new(1, says(b"panic"))], ..TickRecord::default() };
    for fatal in [by_command, by_step] {
        let file =
            of(&header_of("listener", 20), &[first.clone(), fatal.clone()], Some(EndReason::RoomFailed));
        let verdict = replay(&file[..], &listener()).unwrap().1;
        let Verdict::Panicked { tick: 2, recorded: true, replayed: Some(said) } = verdict else {
            panic!("{verdict:?}")
        };
        assert!(said.contains("as asked"), "{said}");
        // If the room continued, it is a difference.
        let fatal = TickRecord { checksum: Some(1), ..fatal };
        let file = of(&header_of("listener", 20), &[first.clone(), fatal], Some(EndReason::RoomEnded));
        let verdict = replay(&file[..], &listener()).unwrap().1;
        assert!(matches!(verdict, Verdict::Panicked { tick: 2, recorded: false, .. }), "{verdict:?}");
    }
}

#[test]
fn unknown_fields_are_not_recorded() {
    let mut long = says(b"hi").to_vec();
    // Field 9, 4,000 bytes.
    long.extend([0x4a, 0xa0, 0x1f]);
    long.extend([1; 4_000]);
    let long = bytes::Bytes::from(long);
    let actions = vec![Action::Command { player: 1, payload: long.clone() }];
    let mut tick =
        stepped(TickRecord { tick: 1, actions, inputs: vec![PlayerInput::new(1, long)], checksum: None });
    tick.shorten(&listener()[0]);
    assert_eq!(tick.inputs, [PlayerInput::new(1, says(b"hi"))]);
    assert_eq!(tick.actions, [Action::Command { player: 1, payload: says(b"hi") }]);
    let file = of(&header_of("listener", 20), &[tick], Some(EndReason::RoomEnded));
    assert!(file.len() < 200, "{}", file.len());
    assert_eq!(replay(&file[..], &listener()).unwrap().1, Verdict::Same { ticks: 1 });
}

#[test]
fn ticks_that_are_missing_are_seen_by_the_end_marker() {
    let header = header_of("listener", 20);
    let [one, two] = [1, 2].map(|tick| stepped(TickRecord { tick, ..TickRecord::default() }));
    let whole = of(&header, &[one.clone(), two.clone()], Some(EndReason::RoomEnded));
    let (start, first, both) = (
        of(&header, &[], None).len(),
        of(&header, std::slice::from_ref(&one), None).len(),
        of(&header, &[one, two], None).len(),
    );
    let without_the_second = [&whole[..first], &whole[both..]].concat();
    let without_the_first = [&whole[..start], &whole[first..]].concat();
    for file in [without_the_first, without_the_second] {
        let refused = replay(&file[..], &listener());
        assert!(matches!(refused, Err(ReplayError::TicksMissing { counted: 2, found: 1 })), "{refused:?}");
    }
}

#[test]
fn what_follows_the_end_marker_is_refused_by_name() {
    let mut file = recorded();
    file.push(0);
    assert!(matches!(verdict(&file), Err(ReplayError::AfterEnd { .. })));
}

#[test]
fn a_tick_after_an_unfinished_one_is_refused_by_name() {
    let [one, two] = [1, 2].map(|tick| TickRecord { tick, ..TickRecord::default() });
    let file = of(&header_of("arena", 20), &[one, two], None);
    assert!(matches!(verdict(&file), Err(ReplayError::Unfinished { tick: 2, after: 1 })));
}

#[test]
fn parts_of_a_tick_in_the_wrong_order_are_refused_by_name() {
    let part = |actions, inputs| TickRecord { tick: 1, actions, inputs, checksum: None };
    let leave = part(vec![Action::Leave { player: 1 }], vec![]);
    let [one, two] = [1, 2].map(|player| part(vec![], vec![PlayerInput::new(player, bytes::Bytes::new())]));
    for parts in [[two.clone(), one], [two, leave]] {
        let file = of(&header_of("arena", 20), &parts, None);
        assert!(matches!(verdict(&file), Err(ReplayError::InputOrder { tick: 1 })));
    }
}

proptest! {
    /// A file is trusted no more than a peer.
    #[test]
    fn any_bytes_in_a_whole_record_are_refused_or_replayed(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..4),
        rest in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut file = Recorder::new(Vec::new(), &header_of("arena", 20)).unwrap().into_inner();
        for body in bodies {
            // Any bytes, and any bytes as a tick (field 2).
            let tick = [&[0x12, body.len() as u8], &body[..]].concat();
            for body in [tick, body] {
                file.extend((body.len() as u32).to_le_bytes());
                file.extend(crc32c::crc32c(&body).to_le_bytes());
                file.extend(body);
            }
        }
        file.extend(rest);
        let _ = verdict(&file);
    }

    /// Whatever is cut off, changed, removed or inserted: the recording is refused by name, or replayed up to
    /// the damage. It is never mistaken for the complete recording.
    #[test]
    fn a_recording_that_was_changed_anywhere_is_not_taken_for_whole(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..4, 0usize..300, any::<u8>()), 1..4),
    ) {
        let whole = of_a_few_ticks();
        let mut file = whole.clone();
        for (at, what, length, byte) in edits {
            if file.is_empty() {
                break;
            }
            let at = at.index(file.len());
            let end = (at + length).min(file.len());
            match what {
                0 => file.truncate(at),
                1 => file[at] ^= byte,
                2 => drop(file.drain(at..end)),
                _ => drop(file.splice(at..at, vec![byte; length])),
            }
        }
        match verdict(&file) {
            Ok(Verdict::Same { .. }) => prop_assert!(file == whole),
            Ok(_) => {}
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}

fn of_a_few_ticks() -> Vec<u8> {
    record("arena", &mut Script::new(11), 20, 20)
}

#[test]
fn a_recording_keeps_the_options_of_its_room() {
    let of_options = |options: &str| {
        let setup = Setup { options: options.to_owned(), ..Setup::new(5, 20) };
        RecordingHeader { setup, ..header_of("arena", 20) }
    };
    let slow = of_options(r#"{"respawn_s": 60}"#);
    let kind = &games::kinds()[0];
    let mut room = kind.start(&slow.setup).unwrap();
    room.step(1);
    let tick = TickRecord { tick: 1, checksum: Some(room.checksum()), ..TickRecord::default() };
    let end = Some(EndReason::RoomEnded);
    let file = of(&slow, std::slice::from_ref(&tick), end);
    assert_eq!(replay(&file[..], &games::kinds()).unwrap(), (slow, Verdict::Same { ticks: 1 }));

    let other = of(&of_options(""), std::slice::from_ref(&tick), end);
    assert!(matches!(verdict(&other), Ok(Verdict::Diverged { tick: 1, .. })), "{:?}", verdict(&other));
    let refused = verdict(&of(&of_options(r#"{"respawn_s": 0}"#), &[tick], end)).unwrap_err();
    assert_eq!(refused.to_string(), "the game refuses the recorded options: respawn_s is 0, outside 1..=60");
}
