//! Promise 1: "A room's state MUST be a function of its seed, its joins and leaves, and its inputs. Replaying a
//! recording MUST give the same checksums."
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Script, record};
use driftless_sim::{
    GameKind, PlayerId, Schema, Simulation, Snapshot, Step, games,
    replay::{
        Action, MAX_RECORD, Recorder, Recording, RecordingHeader, ReplayError, TickRecord, Verdict, replay,
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

/// The recording written anew, with each tick passed through `change`.
fn rewritten(file: &[u8], mut change: impl FnMut(&mut TickRecord)) -> Vec<u8> {
    let mut recording = Recording::open(file).unwrap();
    let mut recorder = Recorder::new(Vec::new(), recording.header()).unwrap();
    while let Some(mut tick) = recording.next_tick().unwrap() {
        change(&mut tick);
        recorder.record(&tick).unwrap();
    }
    recorder.into_inner()
}

fn header_of(kind: &str, tick_rate: u32) -> RecordingHeader {
    RecordingHeader { kind: kind.into(), seed: 1, tick_rate, room: "r".into() }
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
    assert!(matches!(verdict(&file), Ok(Verdict::Same { ticks }) if ticks < TICKS.into()));
}

/// A game that remembers at which tick who came and went.
#[derive(Default, Serialize, Deserialize)]
struct Stamps(Vec<(PlayerId, u32)>);

impl Simulation for Stamps {
    const KIND: &'static str = "stamps";
    type Input = ();
    type Command = ();
    type Event = ();
    const RESUME_WINDOW_MS: Option<u32> = Some(90_000);

    fn schema() -> Schema {
        Schema::new().kind("stamp", |kind| kind.hold("tick", &["tick"], 1))
    }
    fn new(_seed: u64, _tick_rate: u32) -> Self {
        Self::default()
    }
    fn join(&mut self, player: PlayerId, _name: &str, step: &mut Step<'_, ()>) {
        self.0.push((player, step.tick()));
    }
    fn leave(&mut self, player: PlayerId, step: &mut Step<'_, ()>) {
        self.0.push((player, step.tick()));
    }
    fn away(&mut self, player: PlayerId, step: &mut Step<'_, ()>) {
        self.0.push((1_000 + player, step.tick()));
    }
    fn back(&mut self, player: PlayerId, step: &mut Step<'_, ()>) {
        self.0.push((2_000 + player, step.tick()));
    }
    fn step(&mut self, _inputs: &[(PlayerId, ())], _step: &mut Step<'_, ()>) {}
    fn snapshot(&self, _out: &mut Snapshot) {}
}

#[test]
fn comings_and_goings_before_skipped_ticks_get_the_tick_they_had() {
    let kind = GameKind::of::<Stamps>();
    let header = header_of("stamps", 20);
    let mut recorder = Recorder::new(Vec::new(), &header).unwrap();
    let mut room = kind.start(header.seed, header.tick_rate);
    let mut last = 0;
    for (player, tick) in [(1, 3), (2, 4), (3, 9)] {
        room.join(last + 1, player, "");
        room.away(last + 1, player);
        room.back(last + 1, player);
        room.leave(last + 1, player);
        room.step(tick);
        let actions = vec![
            Action::Join { player, name: "".into() },
            Action::Away { player },
            Action::Back { player },
            Action::Leave { player },
        ];
        recorder.record(&TickRecord { tick, actions, inputs: vec![], checksum: room.checksum() }).unwrap();
        last = tick;
    }
    let (_, verdict) = replay(&recorder.into_inner()[..], &[kind]).unwrap();
    assert_eq!(verdict, Verdict::Same { ticks: 3 });
}

#[test]
fn a_loss_or_return_of_a_connection_that_is_missing_diverges() {
    let kind = GameKind::of::<Stamps>();
    let header = header_of("stamps", 20);
    let mut room = kind.start(header.seed, header.tick_rate);
    room.join(1, 1, "");
    room.away(1, 1);
    room.back(1, 1);
    room.step(1);
    let all =
        [Action::Join { player: 1, name: "".into() }, Action::Away { player: 1 }, Action::Back { player: 1 }];
    for missing in [None, Some(1), Some(2)] {
        let actions = all.iter().enumerate().filter(|&(n, _)| Some(n) != missing);
        let actions = actions.map(|(_, action)| action.clone()).collect();
        let mut recorder = Recorder::new(Vec::new(), &header).unwrap();
        recorder.record(&TickRecord { tick: 1, actions, inputs: vec![], checksum: room.checksum() }).unwrap();
        let (_, verdict) = replay(&recorder.into_inner()[..], std::slice::from_ref(&kind)).unwrap();
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
                // Field 3 and 4: aim far to the left.
                for (_, payload) in &mut tick.inputs {
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
            Ok(Verdict::Cut { ticks } | Verdict::Same { ticks }) => {
                assert!(ticks >= last);
                last = ticks;
            }
            Err(ReplayError::NotARecording) => assert_eq!(end, 0),
            Err(ReplayError::HeaderCut) => assert!(end < 64, "{end}"),
            other => panic!("cut at {end}: {other:?}"),
        }
    }
    assert!(last > u64::from(TICKS) * 9 / 10);
    assert!(
        matches!(verdict(&file[..file.len() - 1]), Ok(Verdict::Cut { ticks }) if ticks + 1 == TICKS.into())
    );
}

#[test]
fn zeros_at_the_end_are_a_cut() {
    let mut file = recorded();
    file.extend([0; 4096]);
    assert_eq!(verdict(&file).unwrap(), Verdict::Cut { ticks: TICKS.into() });
}

#[test]
fn any_damaged_byte_is_refused_or_seen() {
    let file = recorded();
    for at in (0..file.len()).step_by(file.len() / 50) {
        let mut file = file.clone();
        file[at] ^= 0x40;
        match verdict(&file) {
            Ok(Verdict::Same { .. }) => panic!("the damage at {at} was not seen"),
            Ok(Verdict::Cut { .. } | Verdict::Diverged { .. }) | Err(_) => {}
        }
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
    file[8] = 2;
    assert!(matches!(verdict(&file), Err(ReplayError::UnknownVersion { found: 2 })));
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
    let inputs = vec![(1, vec![0; MAX_RECORD].into())];
    let error = recorder.record(&TickRecord { tick: 1, inputs, ..Default::default() }).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert_eq!(verdict(&recorder.into_inner()).unwrap(), Verdict::Same { ticks: 0 });
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
    let file = rewritten(&recorded(), |tick| tick.inputs = vec![(2, "".into()), (1, "".into())]);
    assert!(matches!(verdict(&file), Err(ReplayError::InputOrder { tick: 1 })));
}

#[test]
fn inputs_that_the_game_cannot_read_are_refused_by_name() {
    let file = rewritten(&recorded(), |tick| tick.inputs = vec![(1, "\u{7f}".into())]);
    assert!(matches!(verdict(&file), Err(ReplayError::Input { tick: 1, .. })));
}

#[test]
fn the_kind_is_found_among_others() {
    let kinds = [GameKind::of::<games::cursors::Cursors>(), GameKind::of::<games::arena::Arena>()];
    assert!(matches!(replay(&recorded()[..], &kinds), Ok((_, Verdict::Same { .. }))));
}

proptest! {
    /// A file is no more trusted than a peer.
    #[test]
    fn any_bytes_in_a_whole_record_are_refused_or_replayed(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..4),
        rest in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut file = Recorder::new(Vec::new(), &header_of("arena", 20)).unwrap().into_inner();
        for body in bodies {
            file.extend((body.len() as u32).to_le_bytes());
            file.extend(crc32c::crc32c(&body).to_le_bytes());
            file.extend(body);
        }
        file.extend(rest);
        let _ = verdict(&file);
    }
}
