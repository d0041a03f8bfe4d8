//! `driftless replay FILE`: simulates a recorded room again and reports whether it went the same way.

use super::{EXIT_CUT, EXIT_FAILED, EXIT_USAGE};
use driftless_sim::{
    GameKind, Setup,
    replay::{EndReason, RecordingHeader, Verdict},
};
use std::{fs::File, io::BufReader, path::Path};

/// The result of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// One line for people.
    pub line: String,
    /// The exit code of the process: 0 if the replay matches to the end, 1 if it diverged, 2 if the file is
    /// unreadable, 3 if it matches as far as the recording goes.
    pub exit_code: u8,
}

/// Replays a recording with these games.
pub fn replay(file: &Path, games: &[GameKind]) -> Replayed {
    let outcome = File::open(file)
        .map_err(Into::into)
        .and_then(|recording| driftless_sim::replay::replay(BufReader::new(recording), games));
    let name = file.display();
    match outcome {
        Ok((header, verdict)) => told(&name.to_string(), &header, &verdict),
        Err(error) => Replayed { line: format!("{name}: {error}"), exit_code: EXIT_USAGE },
    }
}

fn told(name: &str, header: &RecordingHeader, verdict: &Verdict) -> Replayed {
    let RecordingHeader { kind, room, setup: Setup { seed, tick_rate, options, .. } } = header;
    let options = if options.is_empty() { String::new() } else { format!(", options {options}") };
    let of = format!("{name}: room {room:?}, {kind}, {tick_rate} Hz, seed {seed}{options}");
    let (exit_code, what) = match verdict {
        Verdict::Same { ticks } => (0, format!("the same; all {ticks} ticks have the recorded checksums")),
        Verdict::Cut { ticks, tick, why } => {
            let ends = ending(*why);
            (
                EXIT_CUT,
                format!("the same as far as it goes ({ticks} ticks), but it ends {ends} at tick {tick}"),
            )
        }
        Verdict::Diverged { tick, recorded, replayed } => (
            EXIT_FAILED,
            format!(
                "diverged at tick {tick}: checksum {replayed:08x} instead of the recorded {recorded:08x}"
            ),
        ),
        Verdict::Panicked { tick, recorded: true, replayed: Some(panic) } => {
            (0, format!("the same; the game panics in tick {tick}, as it did in the room: {panic}"))
        }
        Verdict::Panicked { tick, replayed: Some(panic), .. } => (
            EXIT_FAILED,
            format!("diverged at tick {tick}: the game panics, which it did not in the room: {panic}"),
        ),
        Verdict::Panicked { tick, replayed: None, .. } => (
            EXIT_FAILED,
            format!("diverged at tick {tick}: the game panicked in the room, but does not here"),
        ),
    };
    Replayed { line: format!("{of}: {what}"), exit_code }
}

/// How an incomplete recording ends.
fn ending(why: Option<EndReason>) -> &'static str {
    match why {
        None => {
            "without its end marker (its room still runs, or its server was killed, or stopped while the disk was full)"
        }
        Some(EndReason::Behind) => "because the disk was too slow",
        Some(EndReason::Quota) => "because record_quota was used up",
        Some(EndReason::Unwritable) => "because the disk could not be written",
        Some(EndReason::TooLong) => "because a message was longer than a record may be",
        Some(EndReason::RoomEnded | EndReason::RoomFailed | EndReason::ServerStopped) => {
            "with its room or server"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> RecordingHeader {
        RecordingHeader { kind: "arena".into(), room: "lobby".into(), setup: Setup::new(7, 20) }
    }

    #[test]
    fn a_divergence_names_its_tick_and_fails() {
        let verdict = Verdict::Diverged { tick: 42, recorded: 0xab, replayed: 0xcd };
        let replayed = told("x.rec", &header(), &verdict);
        assert_eq!(replayed.exit_code, EXIT_FAILED);
        assert_eq!(
            replayed.line,
            "x.rec: room \"lobby\", arena, 20 Hz, seed 7: diverged at tick 42: checksum 000000cd instead of the \
             recorded 000000ab"
        );
    }

    #[test]
    fn the_same_is_a_success_only_if_it_is_complete() {
        assert_eq!(told("x", &header(), &Verdict::Same { ticks: 3 }).exit_code, 0);
        let cut = told("x", &header(), &Verdict::Cut { ticks: 3, tick: 7, why: None });
        assert_eq!(cut.exit_code, EXIT_CUT);
        assert!(
            cut.line.contains("ends without its end marker") && cut.line.ends_with("at tick 7"),
            "{}",
            cut.line
        );
        for why in EndReason::ALL.into_iter().filter(|why| !why.is_complete()) {
            let cut = told("x", &header(), &Verdict::Cut { ticks: 3, tick: 7, why: Some(why) });
            assert!(cut.exit_code == EXIT_CUT && cut.line.contains(" because "), "{}", cut.line);
        }
    }

    #[test]
    fn a_panic_is_a_success_only_if_it_is_as_recorded() {
        for (recorded, replayed, code) in
            [(true, true, 0), (true, false, EXIT_FAILED), (false, true, EXIT_FAILED)]
        {
            let replayed = replayed.then(|| "oh".to_owned());
            let told = told("x", &header(), &Verdict::Panicked { tick: 9, recorded, replayed });
            assert_eq!(told.exit_code, code, "{}", told.line);
        }
    }
}
