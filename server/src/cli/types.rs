//! `types`: the types of a page, written to a file.

use crate::types::typescript;
use driftless_sim::GameKind;
use std::{
    fs,
    io::{self, Write},
    path::Path,
};

/// Writes the TypeScript of these games, or of the one that is named. Returns what is to be said about it.
pub(super) fn write(file: &Path, kind: Option<&str>, games: &[GameKind]) -> Result<Vec<String>, String> {
    let chosen: Vec<_> =
        games.iter().filter(|game| kind.is_none_or(|kind| game.name() == kind)).cloned().collect();
    if let (Some(kind), true) = (kind, chosen.is_empty()) {
        let known: Vec<_> = games.iter().map(GameKind::name).collect();
        return Err(format!("--kind: there is no game `{kind}` here, only {}", known.join(", ")));
    }
    let (text, notes) = typescript(&chosen)?;
    if file == Path::new("-") {
        return match io::stdout().write_all(text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("--ts -: {error}")),
            _ => Ok(notes),
        };
    }
    // One that says the same is left as it is, so that nobody who watches it is woken.
    if fs::read_to_string(file).is_ok_and(|before| before == text) {
        return Ok(notes);
    }
    fs::write(file, text).map_err(|error| format!("--ts {}: {error}", file.display()))?;
    Ok(notes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_sim::games;

    #[test]
    fn the_one_game_that_is_named_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cursors.ts");
        write(&file, Some("cursors"), &games::kinds()).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("CursorEntity") && !text.contains("ArenaInput"), "{text}");
        let refused = write(&file, Some("chess"), &games::kinds()).unwrap_err();
        assert_eq!(refused, "--kind: there is no game `chess` here, only arena, cursors, hands");
        let nowhere = folder.path().join("no").join("file.ts");
        assert!(write(&nowhere, None, &games::kinds()).unwrap_err().starts_with("--ts "), "{nowhere:?}");
    }
}
