//! What rooms and players may be called, and what players may say.

use driftless_proto::{
    limits::MAX_NAME,
    names::{GUEST, MAX_MARKS, TextError, check_text, display_name, is_room_name},
};
use proptest::prelude::*;

/// Characters that nobody sees, or that rearrange the text around them.
const REFUSED: [char; 24] = [
    '\0',
    '\n',
    '\u{7f}',
    '\u{ad}',
    '\u{34f}',
    '\u{61c}',
    '\u{1160}',
    '\u{180e}',
    '\u{200b}',
    '\u{200c}',
    '\u{200d}',
    '\u{200f}',
    '\u{2028}',
    '\u{202e}',
    '\u{2066}',
    '\u{2800}',
    '\u{3164}',
    '\u{e000}',
    '\u{fe0f}',
    '\u{feff}',
    '\u{ffa0}',
    '\u{fff9}',
    '\u{e0041}',
    '\u{e01ef}',
];

fn shown(name: &str) -> String {
    display_name(name).unwrap_or_else(|error| panic!("{name:?}: {error}"))
}

#[test]
fn a_character_that_nobody_sees_is_refused_and_named() {
    for c in REFUSED {
        for text in [c.to_string(), format!("{c}nimda"), format!("ni{c}mda"), format!("nimda{c}")] {
            assert_eq!(display_name(&text), Err(TextError::Character(c)), "{text:?}");
            assert_eq!(check_text(&text), Err(TextError::Character(c)), "{text:?}");
        }
    }
    let reason = TextError::Character('\u{202e}').to_string();
    assert_eq!(reason, "U+202E is invisible, a control character or unassigned: leave it out");
}

#[test]
fn a_name_of_spaces_is_refused() {
    for name in ["", " ", "\u{a0}\u{3000}", "\u{2003} \u{2009}"] {
        assert_eq!(display_name(name), Err(TextError::Empty), "{name:?}");
        assert_eq!(check_text(name), Err(TextError::Empty), "{name:?}");
    }
}

#[test]
fn names_that_look_alike_are_shown_alike() {
    for name in ["Alice", "Alice ", "  Alice", "\u{3000}Alice\u{a0}", "Ａｌｉｃｅ", "𝐀𝓵ⅰ𝖼ｅ"]
    {
        assert_eq!(shown(name), "Alice", "{name:?}");
    }
    assert_eq!(shown("Alice \u{2003}  in   Chains"), "Alice in Chains");
    assert_eq!(shown("Zoe\u{308}"), "Zoë", "composed");
    assert_eq!(shown("ALICE"), "ALICE", "case is the player's");
}

#[test]
fn names_of_all_scripts_are_taken() {
    let names = [
        "Zoë",
        "Đặng",
        "Владимир",
        "Ελένη",
        "עומר",
        "سارة",
        "नेहा",
        "สมชาย",
        "李小龙",
        "さくら",
        "김하늘",
        "ጸሃይ",
        "x_X*7*X_x",
        "L'Été & Fils",
        "10 €",
        "a·b",
        "¿Qué?",
        "ⵣ",
        "𞤀𞤣𞤤𞤢𞤥",
        "می\u{200c}خواهم", // Persian: the non-joiner within a word
        "क्\u{200d}ष",
        "ශ්\u{200d}රී", // the joiner after a virama
        "🙂",
        "🤣🥳",
        "❤\u{fe0f}",
        "👍🏽",
        "🇺🇦",
        "👩🏽\u{200d}🚀",
        "🏳\u{fe0f}\u{200d}🌈",
        "❤\u{fe0f}\u{200d}🔥",
        "1\u{fe0f}\u{20e3}",
    ];
    for name in names {
        assert_eq!(shown(name), name);
        assert_eq!(check_text(name), Ok(()), "{name:?}");
    }
}

#[test]
fn joiners_are_taken_only_where_they_join() {
    for (name, refused) in [
        ("🙂\u{200d}", '\u{200d}'),
        ("🙂\u{200d}\u{200d}🙂", '\u{200d}'),
        ("🙂\u{200d}a", '\u{200d}'),
        ("❤\u{fe0f}\u{fe0f}", '\u{fe0f}'),
        ("1\u{fe0f}", '\u{fe0f}'),
        ("می\u{200c}", '\u{200c}'),
        ("ab\u{200c}cd", '\u{200c}'),
        ("🏴\u{e0067}\u{e007f}", '\u{e0067}'),
    ] {
        assert_eq!(display_name(name), Err(TextError::Character(refused)), "{name:?}");
    }
}

#[test]
fn a_pile_of_marks_is_refused() {
    let piled = |marks| format!("Zalgo{}", "\u{316}".repeat(marks));
    assert_eq!(shown(&piled(MAX_MARKS)), piled(MAX_MARKS));
    for marks in [MAX_MARKS + 1, 27] {
        assert_eq!(display_name(&piled(marks)), Err(TextError::Mark('\u{316}')));
        assert_eq!(check_text(&piled(marks)), Err(TextError::Mark('\u{316}')));
    }
    assert_eq!(display_name(&format!("e{}", "\u{301}".repeat(31))), Err(TextError::Mark('\u{301}')));
    assert_eq!(display_name("\u{301}a"), Err(TextError::Mark('\u{301}')), "on nothing");
    assert_eq!(display_name("´"), Err(TextError::Mark('\u{301}')), "which is a space and a mark");
    assert_eq!(display_name("क्\u{200d}््््"), Err(TextError::Mark('\u{94d}')), "a joiner ends no pile");
}

#[test]
fn a_name_is_as_long_as_it_is_shown() {
    assert_eq!(shown(&"ü".repeat(MAX_NAME)).chars().count(), MAX_NAME);
    assert_eq!(display_name(&"ü".repeat(MAX_NAME + 1)), Err(TextError::TooLong(MAX_NAME + 1)));
    // ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM is 18 characters.
    assert_eq!(shown("\u{fdfa}").chars().count(), 18);
    assert_eq!(display_name("\u{fdfa}\u{fdfa}"), Err(TextError::TooLong(36)));
}

#[test]
fn nobody_is_called_as_a_guest_is() {
    for name in
        [GUEST, "guest-1", "Guest-1", " GUEST-x", "ｇｕｅｓｔ－1", "guest‐1", "guest\u{2011}1", "gueſt—1"]
    {
        assert_eq!(display_name(name), Err(TextError::Reserved), "{name:?}");
    }
    for name in ["guest", "Guest 1", "guests-1", "my guest-1"] {
        assert_eq!(shown(name), name);
    }
}

#[test]
fn a_room_is_no_path_and_no_option() {
    for name in ["lobby", "a", "A-1_b.c", "_", "0", &"r".repeat(64)] {
        assert!(is_room_name(name), "{name:?}");
    }
    for name in
        ["", ".", "..", ".hidden", "-", "--help", "a b", "a/b", "ä", "a\n", "\u{ff41}", &"r".repeat(65)]
    {
        assert!(!is_room_name(name), "{name:?}");
    }
}

#[test]
fn every_character_alone_is_shown_stably_or_refused() {
    // Beyond these planes only private-use characters are assigned.
    for c in ('\0'..'\u{40000}').chain('\u{e0000}'..'\u{e1000}') {
        let Ok(name) = display_name(&c.to_string()) else { continue };
        assert_eq!(display_name(&name), Ok(name.clone()), "{c:?}");
        assert!(!REFUSED.contains(&c), "{c:?}");
    }
}

/// Letters, spaces, marks, compatibility forms, and refused characters, often enough in combination.
fn text() -> impl Strategy<Value = String> {
    let some = prop::sample::select(
        "aGueſt-﹣ \u{a0}´¨\u{301}\u{345}ﬁ①\u{fdfa}각ᄀ\u{1161}\u{11a8}क\u{94d}\u{200d}🙂\u{fe0f}"
            .chars()
            .collect::<Vec<_>>(),
    );
    prop::collection::vec(prop_oneof![3 => some, 1 => any::<char>()], 0..40).prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn a_shown_name_is_short_visible_trimmed_and_stays_as_it_is(text in text()) {
        if let Ok(name) = display_name(&text) {
            prop_assert_eq!(display_name(&name), Ok(name.clone()));
            prop_assert_eq!(check_text(&name), Ok(()));
            prop_assert!((1..=MAX_NAME).contains(&name.chars().count()));
            prop_assert!(!name.contains("  ") && name.trim() == name);
            prop_assert!(!name.to_lowercase().starts_with(GUEST));
        }
    }

    #[test]
    fn spaces_around_a_name_change_nothing(text in text()) {
        let spaced = display_name(&format!(" {text}\u{a0}"));
        if text.chars().count() + 2 <= MAX_NAME {
            prop_assert_eq!(spaced, display_name(&text));
        }
    }

    #[test]
    fn no_text_makes_a_check_panic(text in any::<String>()) {
        let _ = (check_text(&text), display_name(&text), is_room_name(&text));
    }
}
