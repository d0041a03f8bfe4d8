//! Filters: what must be true of a room, or of a ticket.
//!
//! ```text
//! filter     = all *( "or" all )
//! all        = one *( "and" one )
//! one        = "not" one / "(" filter ")" / NAME test
//! test       = ( "=" / "!=" ) value / ( "<" / "<=" / ">" / ">=" ) NUMBER / "in" "(" value *( "," value ) ")"
//! value      = NUMBER / TEXT / "true" / "false"
//! NAME       = a letter or "_", then letters, digits, "_", "." or "-"
//! TEXT       = in double quotes, with \" and \\ for these two
//! ```
//!
//! What rooms publish are texts, so the value decides how they are read: `players < 8` compares numbers,
//! `mode = "ctf"` texts, `ranked = true` the words `true` and `false`. A comparison with what is not there,
//! or cannot be read so, is false; `not` turns that round, too.

use std::fmt;

/// Longest filter, bytes.
pub(crate) const MAX_FILTER: usize = 512;
/// Most values that it may compare with: for each room, or each pair of tickets, all may have to be.
const MAX_VALUES: usize = 16;
/// How deep parentheses and `not` may go.
const MAX_DEPTH: usize = 16;

/// A filter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filter(Expr);

#[derive(Debug, Clone, PartialEq)]
enum Expr {
    Any(Vec<Expr>),
    All(Vec<Expr>),
    Not(Box<Expr>),
    Is(String, Test, Value),
    In(String, Vec<Value>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// A value in a filter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Number(f64),
    Flag(bool),
}

/// What is known of something, by name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fact<'a> {
    Text(&'a str),
    Number(f64),
}

/// What a filter is about.
pub(crate) trait Facts {
    /// What is known under this name.
    fn fact(&self, name: &str) -> Option<Fact<'_>>;
}

/// Why a text is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the filter is wrong at character {}: {what}", .at + 1)]
pub(crate) struct FilterError {
    /// Characters before the place.
    pub(crate) at: usize,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum What {
    #[error("it may have at most {MAX_FILTER} bytes")]
    TooLong,
    #[error("it may compare with at most {MAX_VALUES} values")]
    TooManyValues,
    #[error("it may be at most {MAX_DEPTH} deep")]
    TooDeep,
    #[error("expected {expected}, found {found}")]
    Unexpected { expected: &'static str, found: String },
    #[error("the text has no end")]
    Unclosed,
    #[error("this is no number")]
    BadNumber,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub(crate) fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > MAX_FILTER {
            return Err(FilterError { at: 0, what: What::TooLong });
        }
        let mut parser = Parser { text, at: 0, values: 0 };
        let expr = parser.any(0)?;
        parser.end()?;
        Ok(Self(expr))
    }

    /// Whether it is true of these facts.
    pub(crate) fn fits(&self, facts: &impl Facts) -> bool {
        self.0.is_true(facts)
    }

    /// What must be equal to something for it to be true, whatever else is.
    pub(crate) fn equalities(&self) -> impl Iterator<Item = (&str, &Value)> {
        let all = match &self.0 {
            Expr::All(all) => all.as_slice(),
            one => std::slice::from_ref(one),
        };
        all.iter().filter_map(|one| match one {
            Expr::Is(name, Test::Equal, value) => Some((&**name, value)),
            _ => None,
        })
    }
}

impl Expr {
    fn is_true(&self, facts: &impl Facts) -> bool {
        match self {
            Expr::Any(any) => any.iter().any(|one| one.is_true(facts)),
            Expr::All(all) => all.iter().all(|one| one.is_true(facts)),
            Expr::Not(one) => !one.is_true(facts),
            Expr::Is(name, test, value) => facts.fact(name).is_some_and(|fact| test.holds(fact, value)),
            Expr::In(name, values) => {
                let is = |fact| values.iter().any(|value| Test::Equal.holds(fact, value));
                facts.fact(name).is_some_and(is)
            }
        }
    }
}

impl Test {
    fn holds(self, fact: Fact<'_>, value: &Value) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let order = match (fact, value) {
            (Fact::Text(text), Value::Text(value)) => Some(text.cmp(value)),
            (Fact::Number(number), Value::Number(value)) => number.partial_cmp(value),
            (Fact::Text(text), Value::Number(value)) => number_of(text).and_then(|n| n.partial_cmp(value)),
            (Fact::Text("true"), Value::Flag(value)) => Some(true.cmp(value)),
            (Fact::Text("false"), Value::Flag(value)) => Some(false.cmp(value)),
            _ => None,
        };
        order.is_some_and(|order| match self {
            Test::Equal => order == Equal,
            Test::Unequal => order != Equal,
            Test::Less => order == Less,
            Test::AtMost => order != Greater,
            Test::More => order == Greater,
            Test::AtLeast => order != Less,
        })
    }

    fn sign(self) -> &'static str {
        match self {
            Test::Equal => "=",
            Test::Unequal => "!=",
            Test::Less => "<",
            Test::AtMost => "<=",
            Test::More => ">",
            Test::AtLeast => ">=",
        }
    }
}

/// A number as filters write it: `inf` and the like are words.
fn number_of(text: &str) -> Option<f64> {
    let begins = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    text.parse().ok().filter(|number: &f64| begins && number.is_finite())
}

struct Parser<'a> {
    text: &'a str,
    /// Bytes read.
    at: usize,
    /// Values read.
    values: usize,
}

impl<'a> Parser<'a> {
    fn any(&mut self, depth: usize) -> Result<Expr, FilterError> {
        let mut any = vec![self.all(depth)?];
        while self.word("or") {
            any.push(self.all(depth)?);
        }
        Ok(only(any, Expr::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Expr, FilterError> {
        let mut all = vec![self.one(depth)?];
        while self.word("and") {
            all.push(self.one(depth)?);
        }
        Ok(only(all, Expr::All))
    }

    fn one(&mut self, depth: usize) -> Result<Expr, FilterError> {
        if depth > MAX_DEPTH {
            return Err(self.wrong(What::TooDeep));
        }
        if self.word("not") {
            return Ok(Expr::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.sign("(") {
            let inner = self.any(depth + 1)?;
            self.need(")", "\")\", \"and\" or \"or\"")?;
            return Ok(inner);
        }
        let name = self.name().ok_or_else(|| self.unexpected("a name, \"not\" or \"(\""))?.to_owned();
        if self.word("in") {
            self.need("(", "\"(\"")?;
            let mut values = vec![self.value()?];
            while self.sign(",") {
                values.push(self.value()?);
            }
            self.need(")", "\",\" or \")\"")?;
            return Ok(Expr::In(name, values));
        }
        let signs = [Test::AtMost, Test::AtLeast, Test::Unequal, Test::Less, Test::More, Test::Equal];
        let test = signs.into_iter().find(|test| self.sign(test.sign()));
        let test = test.ok_or_else(|| self.unexpected("=, !=, <, <=, >, >= or in"))?;
        self.skip();
        let at = self.at;
        let value = self.value()?;
        if !matches!((test, &value), (Test::Equal | Test::Unequal, _) | (_, Value::Number(_))) {
            self.at = at;
            return Err(self.unexpected("a number: only numbers have an order"));
        }
        Ok(Expr::Is(name, test, value))
    }

    fn value(&mut self) -> Result<Value, FilterError> {
        self.skip();
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(self.wrong(What::TooManyValues));
        }
        if self.rest().starts_with('"') {
            return self.quoted().map(Value::Text);
        }
        for flag in [true, false] {
            if self.word(if flag { "true" } else { "false" }) {
                return Ok(Value::Flag(flag));
            }
        }
        if !self.rest().starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            return Err(self.unexpected("a number, a text in double quotes, true or false"));
        }
        let of_number = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let length = self.rest().find(|c| !of_number(c)).unwrap_or(self.rest().len());
        let number = number_of(&self.rest()[..length]).ok_or_else(|| self.wrong(What::BadNumber))?;
        self.at += length;
        Ok(Value::Number(number))
    }

    fn quoted(&mut self) -> Result<String, FilterError> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += at + 1;
                    return Ok(text);
                }
                '\\' => match chars.next() {
                    Some((_, c @ ('"' | '\\'))) => text.push(c),
                    _ => {
                        self.at += at + 1;
                        return Err(self.unexpected("\\\" or \\\\"));
                    }
                },
                c => text.push(c),
            }
        }
        Err(self.wrong(What::Unclosed))
    }

    fn name(&mut self) -> Option<&'a str> {
        self.skip();
        let rest = self.rest();
        let length = rest.find(|c| !of_name(c)).unwrap_or(rest.len());
        let name = &rest[..length];
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') || is_word(name) {
            return None;
        }
        self.at += length;
        Some(name)
    }

    /// Reads this word if it comes next.
    fn word(&mut self, word: &str) -> bool {
        self.skip();
        let comes = self.rest().strip_prefix(word).is_some_and(|rest| !rest.starts_with(of_name));
        self.at += if comes { word.len() } else { 0 };
        comes
    }

    /// Reads this sign if it comes next.
    fn sign(&mut self, sign: &str) -> bool {
        self.skip();
        let comes = self.rest().starts_with(sign);
        self.at += if comes { sign.len() } else { 0 };
        comes
    }

    fn need(&mut self, sign: &str, expected: &'static str) -> Result<(), FilterError> {
        if self.sign(sign) { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    fn end(&mut self) -> Result<(), FilterError> {
        self.skip();
        if self.rest().is_empty() { Ok(()) } else { Err(self.unexpected("\"and\", \"or\" or the end")) }
    }

    fn skip(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn unexpected(&self, expected: &'static str) -> FilterError {
        let rest = self.rest();
        let length = rest.find(|c| !of_name(c)).unwrap_or(rest.len());
        let found = match (rest.chars().next(), length) {
            (None, _) => "the end".to_owned(),
            (Some(c), 0) => format!("{c:?}"),
            (Some(_), length) => format!("{:?}", &rest[..length]),
        };
        self.wrong(What::Unexpected { expected, found })
    }

    fn wrong(&self, what: What) -> FilterError {
        FilterError { at: self.text[..self.at].chars().count(), what }
    }
}

fn of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_.-".contains(c)
}

fn is_word(name: &str) -> bool {
    ["and", "or", "not", "in", "true", "false"].contains(&name)
}

fn only(mut list: Vec<Expr>, several: fn(Vec<Expr>) -> Expr) -> Expr {
    if list.len() == 1 { list.remove(0) } else { several(list) }
}

/// As it would be written, with all parentheses.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, list: &[Expr], between: &str| {
            for (n, one) in list.iter().enumerate() {
                f.write_str(if n == 0 { "" } else { between })?;
                match one {
                    Expr::Any(_) | Expr::All(_) => write!(f, "({one})")?,
                    _ => one.fmt(f)?,
                }
            }
            Ok(())
        };
        match self {
            Expr::Any(any) => list(f, any, " or "),
            Expr::All(all) => list(f, all, " and "),
            Expr::Not(one) => write!(f, "not ({one})"),
            Expr::Is(name, test, value) => write!(f, "{name} {} {value}", test.sign()),
            Expr::In(name, values) => {
                write!(f, "{name} in (")?;
                for (n, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if n == 0 { "" } else { ", " })?;
                }
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
            Value::Number(number) => number.fmt(f),
            Value::Flag(flag) => flag.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    struct Known(BTreeMap<&'static str, Fact<'static>>);

    impl Facts for Known {
        fn fact(&self, name: &str) -> Option<Fact<'_>> {
            self.0.get(name).copied()
        }
    }

    fn known() -> Known {
        let (text, number) = (Fact::Text, Fact::Number);
        Known(BTreeMap::from([
            ("mode", text("ctf")),
            ("round", text("3")),
            ("ranked", text("true")),
            ("map.size", text("big")),
            ("players", number(5.0)),
        ]))
    }

    #[track_caller]
    fn fits(text: &str) -> bool {
        Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).fits(&known())
    }

    #[test]
    fn what_is_wanted_is_compared_as_its_value_is_written() {
        for text in [
            r#"mode = "ctf" and players < 8"#,
            r#"mode="ctf""#,
            "players = 5 and players >= 5 and players <= 5.0 and not players != 5",
            r#"round = 3 and round < 4 and round = "3""#,
            "ranked = true and ranked != false",
            r#"mode in ("dm", "ctf") and players in (1, 5)"#,
            r#"players > 8 or mode != "dm""#,
            "not players > 8 and (players = 1 or players = 5)",
            r#"not (mode = "dm") and map.size = "big""#,
            "players > -1 and players < 1e3",
        ] {
            assert!(fits(text), "{text}");
        }
        for text in [
            r#"mode = "CTF""#,
            r#"players = "5""#,
            "mode = 3",
            "mode = true",
            "nothing = 1",
            "nothing != 1",
            r#"nothing in ("", "x")"#,
            "players = 5 and not players = 5",
            r#"players = 5 and (mode = "dm" or players = 6)"#,
        ] {
            assert!(!fits(text), "{text}");
        }
        assert!(fits("players = 5 or players = 6 and players = 7"), "and binds closer than or");
        assert!(fits("not players = 6 and players = 5"), "and not closest");
    }

    #[test]
    fn an_error_says_where_and_what() {
        for (text, at, said) in [
            ("", 0, "expected a name, \"not\" or \"(\", found the end"),
            ("mode", 4, "expected =, !=, <, <=, >, >= or in, found the end"),
            ("mode = ctf", 7, "expected a number, a text in double quotes, true or false, found \"ctf\""),
            ("mode == \"ctf\"", 6, "expected a number, a text in double quotes, true or false, found '='"),
            ("mode < \"ctf\"", 7, "expected a number: only numbers have an order, found '\"'"),
            ("a = 1 b = 2", 6, "expected \"and\", \"or\" or the end, found \"b\""),
            ("(a = 1", 6, "expected \")\", \"and\" or \"or\", found the end"),
            ("ä = 1", 0, "expected a name, \"not\" or \"(\", found 'ä'"),
            ("a = \"ää\" ö", 9, "expected \"and\", \"or\" or the end, found 'ö'"),
            ("a = \"x", 4, "the text has no end"),
            ("a = \"\\n\"", 6, "expected \\\" or \\\\, found \"n\""),
            ("a = 1.2.3", 4, "this is no number"),
            ("a = -inf", 4, "this is no number"),
            ("a in ()", 6, "expected a number, a text in double quotes, true or false, found ')'"),
            ("and = 1", 0, "expected a name, \"not\" or \"(\", found \"and\""),
        ] {
            let error = Filter::parse(text).unwrap_err();
            assert_eq!((error.at, error.what.to_string()), (at, said.to_owned()), "{text}");
        }
        assert!(Filter::parse("a = ctf").unwrap_err().to_string().contains("at character 5:"));
    }

    // Promise 6
    #[test]
    fn a_filter_is_bounded() {
        let error = |text: String| Filter::parse(&text).unwrap_err().what;
        assert_eq!(error("a".repeat(MAX_FILTER + 1)), What::TooLong);
        assert_eq!(error(format!("{}a = 1{}", "(".repeat(100), ")".repeat(100))), What::TooDeep);
        assert_eq!(error(format!("{}a = 1", "not ".repeat(100))), What::TooDeep);
        let deep = format!("{}a = 1{}", "(".repeat(MAX_DEPTH), ")".repeat(MAX_DEPTH));
        assert!(Filter::parse(&deep).is_ok());
        let compared = |values: usize| vec!["1"; values].join(", ");
        for (values, one) in [(MAX_VALUES, true), (MAX_VALUES + 1, false)] {
            let apart = vec!["a = 1"; values].join(" or ");
            let within = format!("b in ({}) and a = 1", compared(values - 1));
            for text in [apart, within] {
                let read = Filter::parse(&text).map_err(|error| error.what);
                assert!(if one { read.is_ok() } else { read == Err(What::TooManyValues) }, "{text}");
            }
        }
    }

    #[test]
    fn equalities_are_those_that_must_hold() {
        let of = |text: &str| {
            let filter = Filter::parse(text).unwrap();
            filter.equalities().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        assert_eq!(of(r#"a = 1 and b < 2 and c = "x" and not d = 1"#), ["a=1", "c=\"x\""]);
        assert_eq!(of("a = true"), ["a=true"]);
        assert!(of("a = 1 or b = 2").is_empty());
    }

    fn expr() -> impl Strategy<Value = Expr> {
        let value = prop_oneof![
            ".{0,4}".prop_map(Value::Text),
            (-1e6..1e6).prop_map(Value::Number),
            any::<bool>().prop_map(Value::Flag),
        ];
        let name = || prop::sample::select(vec!["mode", "round", "players", "nothing", "x-y.z_1"]);
        let signs = vec![Test::Less, Test::AtMost, Test::More, Test::AtLeast, Test::Equal, Test::Unequal];
        let leaf = prop_oneof![
            (name(), value.clone(), any::<bool>()).prop_map(|(name, value, equal): (&str, _, _)| {
                Expr::Is(name.into(), if equal { Test::Equal } else { Test::Unequal }, value)
            }),
            (name(), -9..9i32, prop::sample::select(signs)).prop_map(|(name, n, sign): (&str, i32, Test)| {
                Expr::Is(name.into(), sign, Value::Number(n.into()))
            }),
            (name(), prop::collection::vec(value, 1..4)).prop_map(|(n, v): (&str, _)| Expr::In(n.into(), v)),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::Any),
                prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::All),
                inner.prop_map(|one| Expr::Not(Box::new(one))),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused_at_a_place_in_it(text in ".{0,80}") {
            if let Err(error) = Filter::parse(&text) {
                prop_assert!(error.at <= text.chars().count());
            }
        }

        #[test]
        fn nearly_filters_are_read_or_refused(
            parts in prop::collection::vec(
                prop::sample::select(vec!["a", "=", "<", "!", "(", ")", "and", "or", "not", "in", "\"x\"", "\"", "\\",
                    "1", "-", "true", ",", " "]), 0..16),
        ) {
            let _ = Filter::parse(&parts.concat());
            let _ = Filter::parse(&parts.join(" "));
        }

        #[test]
        fn a_filter_is_read_as_it_was_written(expr in expr()) {
            let written = expr.to_string();
            match Filter::parse(&written) {
                Ok(read) => prop_assert_eq!(read.0, expr, "{}", written),
                Err(error) => {
                    prop_assert!([What::TooLong, What::TooManyValues].contains(&error.what), "{}", written)
                }
            }
        }
    }
}
