//! What is published, and how it is sent.

use super::id::EventId;
use crate::ground::identity::Identity;
use bytes::{BufMut, Bytes, BytesMut};
use std::{
    fmt,
    sync::{Arc, OnceLock},
};

/// Longest name of a kind of event, bytes.
const MAX_KIND: usize = 64;
/// What an event takes in memory besides its text, about, bytes.
const OVERHEAD: usize = 128;

/// Something to publish.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// What it says.
    pub(crate) text: Bytes,
    /// What kind of event it is. None: the one that readers expect without a name.
    pub(crate) kind: Option<EventKind>,
    /// Whether it replaces the one before it of which the same was said.
    pub(crate) latest: bool,
    /// Who says it. None: an operator, or the server itself.
    pub(crate) author: Option<Author>,
}

/// The user who publishes, as the server knows it, whatever the text says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Author {
    pub(super) user: Arc<str>,
    /// The display name that the user's token gives.
    pub(super) name: Option<Arc<str>>,
}

impl Author {
    pub(crate) fn of(identity: &Identity) -> Self {
        Self { user: identity.user.id().clone(), name: identity.name.clone() }
    }

    /// As it was kept. None: it would say something else than who it is.
    pub(super) fn read(user: &str, name: Option<&str>) -> Option<Self> {
        let plain = |text: &str| !text.is_empty() && !text.contains(char::is_control);
        let name = name.filter(|name| plain(name)).map(Into::into);
        plain(user).then(|| Self { user: user.into(), name })
    }
}

/// The name of a kind of event: 1 to 64 of `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`; not those of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventKind(Arc<str>);

impl EventKind {
    /// What the stream itself says, or a page's `EventSource` of its connection, and no publisher can.
    const OWN: [&str; 4] = ["gap", "goodbye", "open", "error"];

    /// None: nothing can be called so.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let fits = (1..=MAX_KIND).contains(&name.len()) && name.bytes().all(plain);
        (fits && !Self::OWN.contains(&name)).then(|| Self(name.into()))
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Something that was published. Readers share it.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) id: EventId,
    pub(super) latest: bool,
    pub(super) kind: Option<EventKind>,
    pub(super) author: Option<Author>,
    pub(super) text: Bytes,
    /// As it is sent to all who read by HTTP.
    pub(crate) sse: Bytes,
    /// As it is sent to all who read over the connection of a game, once somebody does.
    wire: OnceLock<Bytes>,
}

impl Event {
    pub(super) fn new(id: EventId, message: Message) -> Arc<Self> {
        let Message { text, kind, latest, author } = message;
        let sse = sse(id, kind.as_ref(), author.as_ref(), &text);
        // Mostly the one is a part of the other, which is kept once.
        let (end, length) = (sse.len().saturating_sub(2), text.len());
        let part = end.checked_sub(length).map(|start| sse.slice(start..end));
        let text = part.filter(|part| *part == text).unwrap_or(text);
        Arc::new(Self { id, latest, kind, author, text, sse, wire: OnceLock::new() })
    }

    /// As it is sent over the connections of games. `encode` makes it, for the first.
    pub(super) fn wire(&self, encode: impl FnOnce(&Self) -> Bytes) -> Bytes {
        self.wire.get_or_init(|| encode(self)).clone()
    }

    /// What it takes in memory, about. (Twice that, if it is also sent over connections of games.)
    pub(super) fn size(&self) -> usize {
        self.sse.len() + OVERHEAD
    }
}

/// As the format of Server-Sent Events has it (WHATWG HTML, section 9.2.6). A line break of any kind is one
/// of that format, and arrives as a line feed. Who has published it stands in fields of our own, which the
/// `EventSource` of a page passes over.
fn sse(id: EventId, kind: Option<&EventKind>, author: Option<&Author>, text: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(text.len() + 96);
    out.put_slice(format!("id: {id}\n").as_bytes());
    if let Some(kind) = kind {
        out.put_slice(format!("event: {kind}\n").as_bytes());
    }
    if let Some(Author { user, name }) = author {
        out.put_slice(format!("user: {user}\n").as_bytes());
        if let Some(name) = name {
            out.put_slice(format!("name: {name}\n").as_bytes());
        }
    }
    for line in lines(text) {
        out.put_slice(b"data: ");
        out.put_slice(line);
        out.put_u8(b'\n');
    }
    out.put_u8(b'\n');
    out.freeze()
}

/// The lines of a text, which end with CR LF, LF or CR. There is at least one.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.iter().position(|b| matches!(b, b'\r' | b'\n')) else {
            return rest.take();
        };
        let after = &text[end + 1..];
        rest = Some(if text[end] == b'\r' { after.strip_prefix(b"\n").unwrap_or(after) } else { after });
        Some(&text[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text_of(kind: Option<&str>, text: &str) -> String {
        let kind = kind.map(|kind| EventKind::new(kind).unwrap());
        let message = Message { text: text.to_owned().into(), kind, ..Message::default() };
        String::from_utf8(Event::new(EventId { ms: 7, seq: 1 }, message).sse.to_vec()).unwrap()
    }

    #[test]
    fn an_event_is_written_as_the_format_has_it() {
        assert_eq!(text_of(None, "hello"), "id: 7-1\ndata: hello\n\n");
        assert_eq!(text_of(Some("price"), "{}"), "id: 7-1\nevent: price\ndata: {}\n\n");
        assert_eq!(text_of(None, ""), "id: 7-1\ndata: \n\n");
        assert_eq!(
            text_of(None, "a\nb\r\nc\rd\n"),
            "id: 7-1\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \n\n"
        );
    }

    #[test]
    fn an_author_is_written_beside_the_text_and_is_nothing_but_a_name() {
        let author = Author::read("ann", Some("Ann O."));
        let message = Message { text: "user: bob".into(), author, ..Message::default() };
        let event = Event::new(EventId { ms: 7, seq: 1 }, message);
        assert_eq!(event.sse, "id: 7-1\nuser: ann\nname: Ann O.\ndata: user: bob\n\n");
        assert_eq!(Author::read("ann\ndata: x", None), None);
        assert_eq!(Author::read("ann", Some("a\ndata: x")), Author::read("ann", None));
    }

    #[test]
    fn names_that_would_be_mistaken_are_refused() {
        for bad in ["", "gap", "goodbye", "a b", "a\nb", "ä", &"x".repeat(65)] {
            assert_eq!(EventKind::new(bad), None, "{bad:?}");
        }
        assert!(EventKind::new("job.done-1_2").is_some());
    }

    /// What a reader makes of it (WHATWG HTML, section 9.2.6).
    fn read(sse: &str) -> (String, Vec<String>) {
        let lines: Vec<&str> = sse.split('\n').collect();
        let of = |name: &str| {
            let values = lines.iter().filter_map(|line| line.strip_prefix(name));
            values.map(str::to_owned).collect::<Vec<_>>()
        };
        (of("data: ").join("\n"), of("id: "))
    }

    proptest! {
        // What is published can add nothing to the stream but its text.
        #[test]
        fn whatever_is_said_arrives_as_data(text in "(?s).{0,60}") {
            let (data, ids) = read(&text_of(Some("x"), &text));
            prop_assert_eq!(data, text.replace("\r\n", "\n").replace('\r', "\n"));
            prop_assert_eq!(ids.len(), 1);
        }
    }
}
