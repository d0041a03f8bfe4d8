//! `driftless replay FILE`: simulates a recorded room again and tells whether it went the same way.

use super::{EXIT_FAILED, EXIT_USAGE};
use driftless_sim::{
    games,
    replay::{RecordingHeader, Verdict},
};
use std::{fs::File, io::BufReader, path::Path};

/// What a replay came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// One line for people.
    pub line: String,
    /// The exit code of the process: 0 the same, 1 diverged, 2 unreadable.
    pub exit_code: u8,
}

/// Replays a recording with the games that come with Driftless.
pub fn replay(file: &Path) -> Replayed {
    let outcome = File::open(file)
        .map_err(Into::into)
        .and_then(|recording| driftless_sim::replay::replay(BufReader::new(recording), &games::kinds()));
    let name = file.display();
    match outcome {
        Ok((header, verdict)) => told(&name.to_string(), &header, &verdict),
        Err(error) => Replayed { line: format!("{name}: {error}"), exit_code: EXIT_USAGE },
    }
}

fn told(name: &str, header: &RecordingHeader, verdict: &Verdict) -> Replayed {
    let RecordingHeader { kind, seed, tick_rate, room } = header;
    let of = format!("{name}: room {room:?}, {kind}, {tick_rate} Hz, seed {seed}");
    match verdict {
        Verdict::Same { ticks } => Replayed {
            line: format!("{of}: the same; all {ticks} ticks have the recorded checksums"),
            exit_code: 0,
        },
        Verdict::Cut { ticks } => Replayed {
            line: format!(
                "{of}: the same; {ticks} ticks have the recorded checksums, then the recording breaks off"
            ),
            exit_code: 0,
        },
        Verdict::Diverged { tick, recorded, replayed } => Replayed {
            line: format!(
                "{of}: diverged at tick {tick}: checksum {replayed:08x} instead of the recorded {recorded:08x}"
            ),
            exit_code: EXIT_FAILED,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> RecordingHeader {
        RecordingHeader { kind: "arena".into(), seed: 7, tick_rate: 20, room: "lobby".into() }
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
    fn the_same_is_a_success() {
        assert_eq!(told("x", &header(), &Verdict::Same { ticks: 3 }).exit_code, 0);
        assert_eq!(told("x", &header(), &Verdict::Cut { ticks: 3 }).exit_code, 0);
    }
}
