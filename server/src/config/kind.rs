//! Kinds of values: how they are parsed, shown, and described when a value is refused.

use super::{AdminToken, RedisUrl, TokenSecret};
use crate::ground::{identity::RoomPattern, key_source::KeySource, origin::OriginPattern};
use std::{
    fmt::Display,
    net::SocketAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

/// How values of one type are parsed and shown.
pub(super) struct Kind<T> {
    /// What they look like.
    pub form: Form,
    /// Parses a text without surrounding spaces. None: it is not allowed.
    pub read: Box<Read<T>>,
    /// A text that parses to the same value. None: there is none.
    pub show: Box<Show<T>>,
}

type Read<T> = dyn Fn(&str) -> Option<T>;
type Show<T> = dyn Fn(&T) -> Option<String>;

/// What values look like.
pub(super) struct Form {
    /// The placeholder for a value in the help.
    pub value_name: &'static str,
    /// Which values are allowed, for people.
    pub allowed: String,
    /// What the flag means without a value, if it may be given so.
    pub bare: Option<&'static str>,
    /// Whether values must not be shown.
    pub secret: bool,
}

impl<T> Kind<T> {
    fn new(
        value_name: &'static str,
        allowed: impl Into<String>,
        read: impl Fn(&str) -> Option<T> + 'static,
        show: impl Fn(&T) -> Option<String> + 'static,
    ) -> Self {
        let form = Form { value_name, allowed: allowed.into(), bare: None, secret: false };
        Self { form, read: Box::new(read), show: Box::new(show) }
    }
}

/// Any text that the type parses.
pub(super) fn text<T: FromStr + Display>(value_name: &'static str, allowed: &str) -> Kind<T> {
    Kind::new(value_name, allowed, |text| text.parse().ok(), |value: &T| Some(value.to_string()))
}

/// Any such text, for a setting without a default.
pub(super) fn optional<T: FromStr + Display>(value_name: &'static str, allowed: &str) -> Kind<Option<T>> {
    Kind::new(
        value_name,
        allowed,
        |text| text.parse().ok().map(Some),
        |value: &Option<T>| Some(value.as_ref()?.to_string()),
    )
}

/// A text without spaces, for a setting without a default.
pub(super) fn one_word(allowed: &str) -> Kind<Option<String>> {
    let fits = |text: &&str| !text.is_empty() && !text.contains(char::is_whitespace);
    let read = move |text: &str| Some(text).filter(fits).map(|text| Some(text.to_owned()));
    Kind::new("TEXT", allowed, read, Option::clone)
}

/// The name of a claim of tokens.
pub(super) fn claim() -> Kind<String> {
    let read = |text: &str| Some(text).filter(|text| !text.is_empty()).map(str::to_owned);
    Kind::new("TEXT", "the name of a claim", read, |text: &String| Some(text.clone()))
}

pub(super) fn address() -> Kind<SocketAddr> {
    text("ADDR:PORT", "an address and a port such as 127.0.0.1:7777")
}

/// One of these words.
pub(super) fn word<T: Copy + PartialEq>(words: &'static [(&str, T)]) -> Kind<T> {
    let allowed = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
    let read = |text: &str| words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    let show = |value: &T| words.iter().find(|(_, of)| of == value).map(|(word, _)| (*word).to_owned());
    Kind::new("WORD", allowed, read, show)
}

/// `--key` alone means true.
pub(super) fn flag() -> Kind<bool> {
    let mut kind = text("BOOL", "true or false");
    kind.form.bare = Some("true");
    kind
}

pub(super) fn number<T: FromStr + Display + PartialOrd + 'static>(range: RangeInclusive<T>) -> Kind<T> {
    within("N", "a whole number", "", range, |text| text.parse().ok(), T::to_string)
}

/// A duration: `250ms`, `10s`, `1m 30s`.
pub(super) fn span(range: RangeInclusive<Duration>) -> Kind<Duration> {
    let read = |text: &str| humantime::parse_duration(text).ok();
    let show = |span: &Duration| humantime::format_duration(*span).to_string();
    within("TIME", "a duration", ", such as 250ms, 10s or 5m", range, read, show)
}

/// A duration, or `never`: one that does not end.
pub(super) fn span_or_never(range: RangeInclusive<Duration>) -> Kind<Option<Duration>> {
    const NEVER: &str = "never";
    let Kind { mut form, read, show } = span(range);
    form.allowed += ", or never";
    Kind {
        form,
        read: Box::new(move |text| Some(if text == NEVER { Some(Duration::MAX) } else { Some(read(text)?) })),
        show: Box::new(move |span| match span {
            Some(Duration::MAX) => Some(NEVER.to_owned()),
            span => show(span.as_ref()?),
        }),
    }
}

/// A number of bytes: `4096`, `512B`, `16KiB`, `1MiB`, `1GiB`.
pub(super) fn size(range: RangeInclusive<usize>) -> Kind<usize> {
    within("SIZE", "a size", ", such as 4096 or 16KiB", range, read_size, show_size)
}

pub(super) fn file() -> Kind<Option<PathBuf>> {
    path("FILE", "the name of a file", |_| true)
}

pub(super) fn folder() -> Kind<Option<PathBuf>> {
    path("FOLDER", "a folder, created if it does not exist", |path| path.is_dir() || !path.exists())
}

pub(super) fn present_folder() -> Kind<Option<PathBuf>> {
    path("FOLDER", "a folder that is there", Path::is_dir)
}

pub(super) fn log_filter() -> Kind<String> {
    // Read when all is known (`Resolved::misfits`), because its errors say more than what is allowed.
    text("FILTER", "levels and TARGET=LEVEL, such as info,driftless_server=debug")
}

pub(super) fn admin_token() -> Kind<Option<AdminToken>> {
    let allowed = format!("at least {} letters, digits and signs, without spaces", AdminToken::MIN_BYTES);
    let read = |text: &str| AdminToken::new(text).map(Some);
    let mut kind = Kind::new("SECRET", allowed, read, |_| None);
    kind.form.secret = true;
    kind
}

pub(super) fn token_secret() -> Kind<Option<TokenSecret>> {
    let allowed = format!("at least {} bytes", TokenSecret::MIN_BYTES);
    let read = |text: &str| TokenSecret::new(text).map(Some);
    let mut kind = Kind::new("SECRET", allowed, read, |_| None);
    kind.form.secret = true;
    kind
}

/// The address of a Redis, which may have a password in it.
pub(super) fn redis_url() -> Kind<Option<RedisUrl>> {
    let allowed = "redis://[USER:PASSWORD@]HOST[:PORT], redis+sentinel://HOST,HOST/NAME, or \
                   redis+cluster://HOST,HOST; rediss with TLS; no database (/0) and no parameters (?…)";
    let mut kind = Kind::new("URL", allowed, |text: &str| text.parse().ok().map(Some), |_| None);
    kind.form.secret = true;
    kind
}

/// What names begin with.
pub(super) fn prefix() -> Kind<String> {
    let fits = |text: &&str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let read = move |text: &str| Some(text).filter(fits).map(str::to_owned);
    Kind::new("TEXT", "1 to 64 of A-Z, a-z, 0-9, -, _ and .", read, |text: &String| Some(text.clone()))
}

/// Patterns of origins, separated by commas.
pub(super) fn origins() -> Kind<Vec<OriginPattern>> {
    list(
        "ORIGINS",
        "https://example.com, https://*.example.com, capacitor://localhost, null or *, or several separated by commas",
    )
}

/// Names with stars, separated by commas.
pub(super) fn patterns() -> Kind<Vec<RoomPattern>> {
    list("NAMES", "a name, in which * stands for any characters, or several separated by commas")
}

/// Places with keys, separated by commas.
pub(super) fn key_sources() -> Kind<Vec<KeySource>> {
    list("FILES", "a file, https://HOST/PATH of a JWKS, secret:FILE, or several separated by commas")
}

/// Values separated by commas.
fn list<T: FromStr + Display>(value_name: &'static str, allowed: &str) -> Kind<Vec<T>> {
    let read = |text: &str| text.split(',').map(|text| text.trim().parse().ok()).collect();
    let show = |all: &Vec<T>| {
        let texts: Vec<_> = all.iter().map(T::to_string).collect();
        (!texts.is_empty()).then(|| texts.join(", "))
    };
    Kind::new(value_name, allowed, read, show)
}

fn path(value_name: &'static str, allowed: &str, fits: fn(&Path) -> bool) -> Kind<Option<PathBuf>> {
    let read =
        move |text: &str| Some(PathBuf::from(text)).filter(|path| !text.is_empty() && fits(path)).map(Some);
    Kind::new(value_name, allowed, read, |path: &Option<PathBuf>| Some(path.as_ref()?.display().to_string()))
}

fn within<T: PartialOrd + 'static>(
    value_name: &'static str,
    what: &str,
    example: &str,
    range: RangeInclusive<T>,
    read: fn(&str) -> Option<T>,
    show: fn(&T) -> String,
) -> Kind<T> {
    let allowed = format!("{what} from {} to {}{example}", show(range.start()), show(range.end()));
    let read = move |text: &str| read(text).filter(|value| range.contains(value));
    Kind::new(value_name, allowed, read, move |value| Some(show(value)))
}

const UNITS: [(&str, usize); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

fn read_size(text: &str) -> Option<usize> {
    let unit = UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)));
    let (number, unit) = unit.unwrap_or((text, 1));
    number.trim_end().parse::<usize>().ok()?.checked_mul(unit)
}

fn show_size(bytes: &usize) -> String {
    let fits = |unit: usize| *bytes >= unit && bytes.is_multiple_of(unit);
    let (name, unit) = UNITS.into_iter().find(|(_, unit)| fits(*unit)).unwrap_or(("B", 1));
    format!("{}{name}", bytes / unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [("0", 0), ("4096", 4096), ("12 B", 12), ("16KiB", 16384), ("1 MiB", 1 << 20)] {
            assert_eq!(read_size(text), Some(bytes), "{text}");
        }
        for text in ["", "KiB", "-1", "1.5KiB", "16kb", "99999999999999GiB", "1 2"] {
            assert_eq!(read_size(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_read() {
        let span = span(Duration::ZERO..=Duration::MAX);
        assert_eq!((span.read)("250ms"), Some(Duration::from_millis(250)));
        assert_eq!((span.read)("1m 30s"), Some(Duration::from_secs(90)));
        for text in ["", "10", "ten seconds", "-1s"] {
            assert_eq!((span.read)(text), None, "{text}");
        }
    }

    #[test]
    fn origins_are_read() {
        let origins = origins();
        let patterns = (origins.read)("https://a.example,  http://*.b.example:8080").unwrap();
        assert_eq!((origins.show)(&patterns).as_deref(), Some("https://a.example, http://*.b.example:8080"));
        for text in ["", "a.example", "https://a.example,"] {
            assert_eq!((origins.read)(text), None, "{text:?}");
        }
    }

    #[test]
    fn never_is_longer_than_anything() {
        let kind = span_or_never(Duration::ZERO..=Duration::from_secs(60));
        assert_eq!((kind.read)("never"), Some(Some(Duration::MAX)));
        assert_eq!((kind.show)(&Some(Duration::MAX)).as_deref(), Some("never"));
        assert_eq!((kind.read)("5s"), Some(Some(Duration::from_secs(5))));
        assert_eq!(((kind.read)("61s"), (kind.show)(&None)), (None, None));
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_read(bytes in 0usize.., millis in 0u64..1 << 40) {
            let (size, span) = (size(0..=usize::MAX), span(Duration::ZERO..=Duration::MAX));
            let duration = Duration::from_millis(millis);
            prop_assert_eq!((size.read)(&(size.show)(&bytes).unwrap()), Some(bytes));
            prop_assert_eq!((span.read)(&(span.show)(&duration).unwrap()), Some(duration));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let (size, span) = (size(0..=usize::MAX), span(Duration::ZERO..=Duration::MAX));
            let _ = ((size.read)(&text), (span.read)(&text));
        }
    }
}
