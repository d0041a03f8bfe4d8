//! What rooms may be called, what players may call themselves, and what they may say to each other.
//!
//! Here rather than beside the chat of a game, because the handshake needs it too, and a client may want to ask before it
//! sends.
//!
//! Text for others to read is of the FreeformClass of PRECIS (RFC 8264 section 4.3): letters, digits, punctuation and
//! symbols of all scripts, but nothing invisible and nothing that rearranges the text around it. A display name also goes
//! through the rules of the Nickname profile (RFC 8266): spaces at its ends go, a run of them becomes one, and
//! compatibility forms become the usual ones (NFKC). Two players may have the same name; what tells them apart is the
//! user that presence gives with it.
//!
//! Where this is not the class by the letter:
//!
//! - Emoji may have the selectors and joiners that their sequences are made of (UTS #51). The class knows none.
//! - Visible characters that it takes in some neighbourhoods only (the middle dot) are taken in all, and so are the parts
//!   of Korean syllables: those rules keep the names of domains apart. The joiner and non-joiner of scripts are taken where
//!   they are written, but without the table of joining types (RFC 5892 appendix A.1).
//! - Symbols that look like nothing (the empty Braille pattern) are refused, as is a pile of combining marks
//!   (UTS #39 section 5.4).
//!
//! The tables are those of the `unicode-*` crates, and so of their version of Unicode. (The crate `precis-core` has them of
//! Unicode 6.3, of 2013: it refuses most emoji.)

use crate::limits::{MAX_NAME, MAX_ROOM_NAME};
use unicode_normalization::{UnicodeNormalization, char::canonical_combining_class};
use unicode_properties::{
    GeneralCategory::{DashPunctuation, EnclosingMark, Format, NonspacingMark, SpaceSeparator},
    GeneralCategoryGroup as Group, UnicodeEmoji, UnicodeGeneralCategory,
};

/// What the ids of guests begin with, which the server makes; no player may be called so.
pub const GUEST: &str = "guest-";
/// What a room may be called, for messages.
pub const ROOM_NAME: &str = "1 to 64 characters of A-Z a-z 0-9 . _ - that begin with no . or -";
/// Most combining marks on one character. (What is written in any language has fewer, once it is composed.)
pub const MAX_MARKS: usize = 4;

const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';
/// Say whether an emoji is to look like text or like a picture.
const SELECTORS: [char; 2] = ['\u{fe0e}', '\u{fe0f}'];
const KEYCAP: char = '\u{20e3}';

/// Why a text is not shown to others, and what its author can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// There is nothing to see.
    #[error("there is nothing to see in it")]
    Empty,
    /// More characters than a display name may have.
    #[error("{0} characters, at most {MAX_NAME} are allowed: shorten it")]
    TooLong(usize),
    /// A character that is invisible, controls something, or is not assigned.
    #[error("U+{:04X} is invisible, a control or unassigned: leave it out", u32::from(*.0))]
    Character(char),
    /// A combining mark with nothing before it to combine with, or one after [`MAX_MARKS`] others.
    #[error("U+{:04X} is a mark on no character or beside {MAX_MARKS} others: leave it out", u32::from(*.0))]
    Mark(char),
    /// A name that begins as the ids of guests do.
    #[error("only the server's own names begin with {GUEST:?}: choose another one")]
    Reserved,
}

/// Whether a room may be called `name`: 1 to 64 characters of `[A-Za-z0-9._-]`, of which the first is no `.` or `-`. So
/// it can be part of a path or a command line without being taken for something else.
pub fn is_room_name(name: &str) -> bool {
    is_plain(name) && !name.starts_with(['.', '-'])
}

/// Whether a kind of game can be called `name`.
pub(crate) fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=MAX_ROOM_NAME).contains(&name.len()) && name.bytes().all(plain)
}

/// The form in which a display name is shown. Giving that form again gives it unchanged.
pub fn display_name(name: &str) -> Result<String, TextError> {
    fits(name)?;
    check_characters(name)?;
    // Twice: what NFKC makes of an accent that stands alone begins with a space.
    let name = enforce(&enforce(name));
    fits(&name)?; // one character may have become many
    check_text(&name)?;
    if looks_like_a_guest(&name) { Err(TextError::Reserved) } else { Ok(name) }
}

/// Whether others may be shown this text (a line of a chat), as it is.
pub fn check_text(text: &str) -> Result<(), TextError> {
    check_characters(text)?;
    if text.trim().is_empty() { Err(TextError::Empty) } else { check_marks(text) }
}

fn fits(name: &str) -> Result<(), TextError> {
    match name.chars().count() {
        characters if characters > MAX_NAME => Err(TextError::TooLong(characters)),
        _ => Ok(()),
    }
}

/// The additional mapping rule and the normalization rule of RFC 8266 section 2.1.
fn enforce(name: &str) -> String {
    let is_space = |c: char| c.general_category() == SpaceSeparator;
    let words: Vec<&str> = name.split(is_space).filter(|word| !word.is_empty()).collect();
    words.join(" ").nfkc().collect()
}

/// In any case and with any dash. (Look-alikes from other scripts would need the tables of UTS #39.)
fn looks_like_a_guest(name: &str) -> bool {
    let folded = name.to_lowercase();
    let rest = folded.strip_prefix(GUEST.trim_end_matches('-'));
    rest.is_some_and(|rest| rest.starts_with(|c: char| c.general_category() == DashPunctuation))
}

fn check_characters(text: &str) -> Result<(), TextError> {
    if text.is_ascii() {
        return text.chars().find(char::is_ascii_control).map_or(Ok(()), |c| Err(TextError::Character(c)));
    }
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if !is_visible(c) && !joins(before, c, rest.peek().copied()) {
            return Err(TextError::Character(c));
        }
        before = Some(c);
    }
    Ok(())
}

fn check_marks(text: &str) -> Result<(), TextError> {
    let mut marks = MAX_MARKS; // nothing to combine with yet
    for c in text.chars() {
        match c.general_category() {
            NonspacingMark | EnclosingMark if marks == MAX_MARKS => return Err(TextError::Mark(c)),
            NonspacingMark | EnclosingMark => marks += 1,
            Format => {} // a joiner: what follows is on the same character
            _ => marks = 0,
        }
    }
    Ok(())
}

/// Whether a reader sees it, or the space it leaves.
fn is_visible(c: char) -> bool {
    match c.general_category_group() {
        // What Unicode calls default ignorable in these groups, and the symbols without ink: BRAILLE PATTERN BLANK and
        // MUSICAL SYMBOL NULL NOTEHEAD.
        Group::Letter | Group::Mark | Group::Number | Group::Punctuation | Group::Symbol => !matches!(
            c,
            '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180d}' | '\u{180f}'
                | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0100}'..='\u{e01ef}'
                | '\u{2800}' | '\u{1d159}'
        ),
        Group::Separator => c.general_category() == SpaceSeparator,
        Group::Other => false,
    }
}

/// Whether an invisible character is in a place where it changes how its neighbours look.
fn joins(before: Option<char>, c: char, after: Option<char>) -> bool {
    let is_emoji = |c: Option<char>| c.is_some_and(|c| !c.is_ascii() && c.is_emoji_char());
    // RFC 5892 appendix A.1 and A.2: in the scripts of India.
    let after_virama = before.is_some_and(|c| canonical_combining_class(c) == 9);
    // From Arabic to its extensions: the scripts whose letters join, in which the non-joiner parts a word's parts.
    let is_cursive =
        |c: Option<char>| c.is_some_and(|c| matches!(c, '\u{620}'..='\u{8ff}') && c.is_alphabetic());
    match c {
        ZERO_WIDTH_NON_JOINER => after_virama || is_cursive(before) && is_cursive(after),
        ZERO_WIDTH_JOINER => {
            let after_emoji = is_emoji(before) || before.is_some_and(|c| SELECTORS.contains(&c));
            after_virama || after_emoji && is_emoji(after)
        }
        // After an emoji, and in a keycap: a digit, the selector, the frame.
        _ => SELECTORS.contains(&c) && (is_emoji(before) || after == Some(KEYCAP)),
    }
}
