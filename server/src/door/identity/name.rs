//! The display name that a token gives. Its issuer knows nothing of games, and neither it nor the player can
//! shorten a name that is too long for one: so it is cut.

use driftless_proto::{
    limits::MAX_NAME,
    names::{TextError, display_name},
};
use unicode_segmentation::UnicodeSegmentation;

/// The name in the form in which it is shown: as much of it as fits, and no character or emoji in part.
///
/// # Errors
/// It has something in it that is not shown, or is reserved.
pub(super) fn fitted(name: &str) -> Result<String, TextError> {
    let name = name.trim();
    let whole = display_name(name);
    if !matches!(whole, Err(TextError::TooLong(_))) {
        return whole;
    }
    let longest = name.char_indices().nth(MAX_NAME).map_or(name.len(), |(at, _)| at);
    let graphemes = name.grapheme_indices(true).map(|(at, grapheme)| at + grapheme.len());
    let mut ends: Vec<_> = graphemes.take_while(|end| *end <= longest).collect();
    if ends.is_empty() {
        // It has one that is longer than a name.
        ends = name.char_indices().skip(1).map(|(at, _)| at).take_while(|end| *end <= longest).collect();
    }
    // Mostly the last: what is shown may be longer than what was written.
    let mut cut = ends.into_iter().rev().map(|end| display_name(&name[..end]));
    cut.find(|cut| !matches!(cut, Err(TextError::TooLong(_)))).unwrap_or(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_too_long_is_cut_between_characters() {
        let family = "👨\u{200d}👩\u{200d}👧";
        for (name, shown) in [
            ("Ann", "Ann".to_owned()),
            ("Maximiliane Theodora von Hohenstein-Liebenau", "Maximiliane Theodora von Hohenst".to_owned()),
            ("  Ann", "Ann".to_owned()),
            // A space at the end is none.
            ("Ann of the very long street name x y", "Ann of the very long street name".to_owned()),
            (&"ü".repeat(40), "ü".repeat(32)),
            // Written with combining marks, it fits when it is composed, or is cut before a mark.
            (&"u\u{308}".repeat(40), "ü".repeat(16)),
            (&format!("{}{family}", "x".repeat(30)), "x".repeat(30)),
            (&"\u{fdfa}".repeat(2), display_name("\u{fdfa}").unwrap()),
            (&format!("{:>60}", "Ann"), "Ann".to_owned()),
        ] {
            assert_eq!(fitted(name).as_deref(), Ok(&*shown), "{name:?}");
        }
        for (name, refused) in [
            ("", TextError::Empty),
            (&*" ".repeat(60), TextError::Empty),
            ("guest-7 of the very long street name x y", TextError::Reserved),
            ("Ann\u{202e} of the very long street name x y", TextError::Character('\u{202e}')),
        ] {
            assert_eq!(fitted(name), Err(refused), "{name:?}");
        }
        assert_eq!(fitted(&"क\u{94d}\u{200d}".repeat(20)).map(|name| name.is_empty()), Ok(false));
    }
}
