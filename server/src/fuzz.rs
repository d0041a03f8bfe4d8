//! What the server reads that others have written, each by a name: `server/fuzz` has it read anything at all,
//! and the tests what that has found worth reading.

use crate::{carry, config, door, factory::RoomSpec, nodes, room, store, transport};
use driftless_sim::{
    Setup, games,
    replay::{replay, scene},
};

/// Reads some bytes.
type Target = fn(&[u8]);

/// All of it.
pub const TARGETS: [(&str, Target); 10] = [
    ("carry", carry::fuzz),
    ("config", config::fuzz),
    ("frames", room::journal::fuzz),
    ("nodes", nodes::fuzz),
    ("recording", recording),
    ("room", room_spec),
    ("stored", store::fuzz),
    ("token", door::fuzz_token),
    ("upgrade", door::fuzz),
    ("websocket", transport::fuzz),
];

/// What somebody asks of a room over HTTP, and the options in it.
fn room_spec(json: &[u8]) {
    let Ok(spec) = serde_json::from_slice::<RoomSpec>(json) else { return };
    let kinds = games::kinds();
    for kind in kinds.iter().filter(|kind| spec.kind.as_deref().is_none_or(|asked| asked == kind.name())) {
        let setup = Setup { options: spec.options.clone(), ..Setup::new(spec.seed.unwrap_or(1), 20) };
        if let Ok(mut game) = kind.start(&setup) {
            game.join(1, 1, "ann");
            game.step(1);
        }
    }
}

/// A recording: with the checksums that it has, and with those that it should have.
fn recording(bytes: &[u8]) {
    let kinds = games::kinds();
    for recording in [bytes.to_vec(), with_checksums(bytes)] {
        let _ = replay(&recording[..], &kinds);
        let _ = scene(&recording[..], &kinds, None);
    }
}

/// The same records with checksums that fit.
fn with_checksums(recording: &[u8]) -> Vec<u8> {
    let mut bytes = recording.to_vec();
    let mut at = 12;
    while let Some(length) =
        bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map(u32::from_le_bytes)
        && let Some(body) = bytes.get(at + 8..at.saturating_add(8).saturating_add(length as usize))
    {
        let crc = crc32c::crc32c(body).to_le_bytes();
        bytes[at + 4..at + 8].copy_from_slice(&crc);
        at += 8 + length as usize;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    // Promise 6: "Nothing a peer sends may panic the server."
    #[test]
    fn whatever_was_worth_reading_is_read_without_harm() {
        let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (name, target) in TARGETS {
            let files: Vec<_> = fs::read_dir(corpora.join(name)).unwrap().flatten().collect();
            assert!(!files.is_empty(), "{name}");
            files.iter().for_each(|file| target(&fs::read(file.path()).unwrap()));
        }
    }
}
