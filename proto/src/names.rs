//! What rooms and players may be called, and what players may say to each other.
//!
//! This is not part of a game's chat, because the handshake needs it too, and a client may want to check a
//! name before sending it.
//!
//! Text for others to read follows the FreeformClass of PRECIS (RFC 8264 section 4.3): letters, digits,
//! punctuation and symbols of all scripts, but nothing invisible and nothing that rearranges the text around
//! it. A display name also follows the Nickname profile (RFC 8266): leading and trailing spaces are removed,
//! runs of spaces become one, and compatibility forms become the usual ones (NFKC). Two players may have the
//! same name; the user id in presence tells them apart.
//!
//! Deviations from the class:
//!
//! - Emoji may contain the selectors and joiners of their sequences (UTS #51). The class allows none.
//! - Visible characters that the class allows only next to certain others (the middle dot) are allowed
//!   anywhere, and so are the parts of Korean syllables: those rules protect domain names. The joiner and
//!   non-joiner are allowed in the scripts that use them, but without the table of joining types (RFC 5892
//!   appendix A.1).
//! - Symbols that look like nothing (the empty Braille pattern) are refused, and so are piles of combining
//!   marks (UTS #39 section 5.4).
//!
//! The tables come from the `unicode-*` crates, and thus from their version of Unicode. (The crate
//! `precis-core` has those of Unicode 6.3, of 2013: it refuses most emoji.)

use crate::limits::{MAX_NAME, MAX_ROOM_NAME};
use unicode_normalization::{UnicodeNormalization, char::canonical_combining_class};
use unicode_properties::{
    GeneralCategory::{DashPunctuation, EnclosingMark, Format, NonspacingMark, SpaceSeparator},
    GeneralCategoryGroup as Group, UnicodeEmoji, UnicodeGeneralCategory,
};

/// Prefix of the ids that the server gives to guests. No player's name may begin with it.
pub const GUEST: &str = "guest-";
/// Prefix of the ids that the server gives to NPCs.
pub const NPC: &str = "npc-";
/// A topic that begins with it says where the user is whose id follows. The server alone publishes there.
pub const PRESENCE: &str = "presence:";
/// Longest id of a user, bytes.
pub const MAX_USER_ID: usize = 255;
/// The rule for room names, for messages: "... is not {ROOM_NAME}".
pub const ROOM_NAME: &str = "1 to 64 characters of A-Z a-z 0-9 . _ - that do not begin with . or -";
/// Most combining marks on one character. (No language needs as many, once its text is composed.)
pub const MAX_MARKS: usize = 4;

const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';
/// They select whether an emoji looks like text or like a picture.
const SELECTORS: [char; 2] = ['\u{fe0e}', '\u{fe0f}'];
const KEYCAP: char = '\u{20e3}';

/// Why a text is not shown to others, and what its author can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// The text contains nothing visible.
    #[error("it contains nothing visible")]
    Empty,
    /// More characters than a display name may have.
    #[error("{0} characters; at most {MAX_NAME} are allowed: shorten it")]
    TooLong(usize),
    /// A character that is invisible, a control character, or unassigned.
    #[error("U+{:04X} is invisible, a control character or unassigned: leave it out", u32::from(*.0))]
    Character(char),
    /// A combining mark with nothing before it to combine with, or one after [`MAX_MARKS`] others.
    #[error("U+{:04X} is a combining mark without a character or after {MAX_MARKS} others: leave it out", u32::from(*.0))]
    Mark(char),
    /// A name that begins like the ids of guests.
    #[error("names that begin with {GUEST:?} are reserved for the server: choose another one")]
    Reserved,
}

/// Whether a room may be called `name`: 1 to 64 characters of `[A-Za-z0-9._-]`, not beginning with `.` or
/// `-`. So a name can be part of a path or a command line without being mistaken for something else.
pub fn is_room_name(name: &str) -> bool {
    is_plain(name) && !name.starts_with(['.', '-'])
}

/// Whether a user may have this id: 1 to 255 visible ASCII characters, but not `.` or `..`. These are parts
/// of no path, however they are written (URL Standard, section 4.4), so nobody could name such a user in one.
pub fn is_user_id(id: &str) -> bool {
    (1..=MAX_USER_ID).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_graphic())
        && ![".", ".."].contains(&id)
}

/// Whether a kind of game can be called `name`.
pub(crate) fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=MAX_ROOM_NAME).contains(&name.len()) && name.bytes().all(plain)
}

/// The form in which a display name is shown. Applying it twice changes nothing more.
pub fn display_name(name: &str) -> Result<String, TextError> {
    fits(name)?;
    check_characters(name)?;
    // Twice, because NFKC turns an accent that stands alone into a sequence that begins with a space.
    let name = enforce(&enforce(name));
    fits(&name)?; // NFKC may have made one character into many
    check_text(&name)?;
    if looks_like_a_guest(&name) { Err(TextError::Reserved) } else { Ok(name) }
}

/// Whether others may be shown this text (a line of chat) as it is.
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
    let mut marks = MAX_MARKS; // there is nothing to combine with yet
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

/// Whether a reader sees the character, or the space that it leaves.
fn is_visible(c: char) -> bool {
    match c.general_category_group() {
        // Characters of these groups that Unicode calls default ignorable, and symbols without ink: BRAILLE
        // PATTERN BLANK and MUSICAL SYMBOL NULL NOTEHEAD.
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
    // RFC 5892 appendices A.1 and A.2: in the scripts of India.
    let after_virama = before.is_some_and(|c| canonical_combining_class(c) == 9);
    // From Arabic to its extensions: cursive scripts, in which the non-joiner separates parts of a word.
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
