//! Reads the text of a `.proto`: as much of proto3 as messages need. A compiler of the whole language would
//! be a tenth of the server.
//!
//! (The language: protobuf.dev/reference/protobuf/proto3-spec.)

use std::{iter::Peekable, str::Chars};

/// What a file defines, in its order.
#[derive(Debug, Default)]
pub(super) struct File {
    pub package: String,
    pub messages: Vec<Message>,
    pub enums: Vec<Enum>,
}

#[derive(Debug)]
pub(super) struct Message {
    pub name: String,
    pub comment: String,
    pub fields: Vec<Field>,
    pub messages: Vec<Message>,
    pub enums: Vec<Enum>,
}

#[derive(Debug)]
pub(super) struct Field {
    pub name: String,
    pub comment: String,
    pub number: i32,
    /// As it is written: a scalar, or a name.
    pub of: String,
    pub label: Label,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Label {
    None,
    Optional,
    Repeated,
    OneOf(String),
}

#[derive(Debug)]
pub(super) struct Enum {
    pub name: String,
    pub comment: String,
    pub values: Vec<(String, i32)>,
}

/// Reads a whole text. An error says the line, and what is wrong there.
pub(super) fn parse(text: &str) -> Result<File, String> {
    let mut parser = Parser { tokens: Tokens::new(text).collect::<Result<Vec<_>, _>>()?, at: 0 };
    parser.file()
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// A name (with dots in it), or a number.
    Word(String),
    Text(String),
    Sign(char),
}

#[derive(Debug, Clone)]
struct Token {
    kind: Kind,
    line: usize,
    /// What the comment lines right above it say.
    comment: String,
}

struct Tokens<'a> {
    chars: Peekable<Chars<'a>>,
    line: usize,
    /// Of the token before.
    last: usize,
    /// The comment that was last read, and the line that it ends on.
    comment: (String, usize),
}

impl<'a> Tokens<'a> {
    fn new(text: &'a str) -> Self {
        Self { chars: text.chars().peekable(), line: 1, last: 0, comment: (String::new(), 0) }
    }

    fn next_char(&mut self) -> Option<char> {
        let c = self.chars.next();
        self.line += usize::from(c == Some('\n'));
        c
    }

    /// What comes after a slash.
    fn comment(&mut self) -> Result<(), String> {
        let begins = self.line;
        let mut text = String::new();
        match self.next_char() {
            Some('/') => {
                while let Some(c) = self.chars.next_if(|&c| c != '\n') {
                    text.push(c);
                }
            }
            Some('*') => loop {
                match self.next_char() {
                    Some('*') if self.chars.next_if_eq(&'/').is_some() => break,
                    Some(c) => text.push(c),
                    None => return Err(format!("line {begins}: a comment does not end")),
                }
            },
            _ => return Err(format!("line {begins}: unexpected /")),
        }
        let lines = text.lines().map(|line| line.trim().trim_start_matches('*').trim());
        let text = lines.collect::<Vec<_>>().join("\n").trim().to_owned();
        if begins == self.last {
            return Ok(()); // it is about what is before it in the line
        }
        let (before, ended) = &mut self.comment;
        if *ended + 1 == begins && !before.is_empty() {
            *before = format!("{before}\n{text}");
        } else {
            *before = text;
        }
        *ended = self.line;
        Ok(())
    }

    fn token(&mut self) -> Result<Option<Kind>, String> {
        while let Some(c) = self.next_char() {
            return match c {
                c if c.is_whitespace() => continue,
                '/' => {
                    self.comment()?;
                    continue;
                }
                '"' | '\'' => {
                    let mut text = String::new();
                    loop {
                        match self.next_char() {
                            Some(end) if end == c => break Ok(Some(Kind::Text(text))),
                            Some('\\') => text.extend(self.next_char()),
                            Some('\n') | None => {
                                break Err(format!("line {}: a text does not end", self.line));
                            }
                            Some(c) => text.push(c),
                        }
                    }
                }
                c if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') => {
                    let mut word = String::from(c);
                    let belongs = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
                    while let Some(c) = self.chars.next_if(belongs) {
                        word.push(c);
                    }
                    Ok(Some(Kind::Word(word)))
                }
                c if "{}[]()<>=;,:-+".contains(c) => Ok(Some(Kind::Sign(c))),
                c => Err(format!("line {}: unexpected {c}", self.line)),
            };
        }
        Ok(None)
    }
}

impl Iterator for Tokens<'_> {
    type Item = Result<Token, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let kind = match self.token().transpose()? {
            Ok(kind) => kind,
            Err(error) => return Some(Err(error)),
        };
        let (text, ended) = std::mem::take(&mut self.comment);
        let comment = if ended + 1 == self.line || ended == self.line { text } else { String::new() };
        self.last = self.line;
        Some(Ok(Token { kind, line: self.line, comment }))
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn file(&mut self) -> Result<File, String> {
        let mut file = File::default();
        let mut syntax = String::new();
        while let Some(token) = self.tokens.get(self.at).cloned() {
            self.at += 1;
            let Kind::Word(word) = &token.kind else {
                if token.kind == Kind::Sign(';') {
                    continue;
                }
                return Err(unexpected(&token));
            };
            match word.as_str() {
                "syntax" => {
                    self.sign('=')?;
                    syntax = self.text()?;
                    self.sign(';')?;
                }
                "package" => {
                    file.package = self.word()?;
                    self.sign(';')?;
                }
                "import" => {
                    return Err(format!(
                        "line {}: it imports another file: have all that the game's messages need in one",
                        token.line
                    ));
                }
                "message" => file.messages.push(self.message(token.comment)?),
                "enum" => file.enums.push(self.enumeration(token.comment)?),
                "option" | "service" | "extend" => self.skip()?,
                _ => return Err(unexpected(&token)),
            }
        }
        if syntax != "proto3" {
            return Err("it is not proto3: begin it with `syntax = \"proto3\";`".into());
        }
        Ok(file)
    }

    fn message(&mut self, comment: String) -> Result<Message, String> {
        let name = self.word()?;
        let mut message =
            Message { name, comment, fields: Vec::new(), messages: Vec::new(), enums: Vec::new() };
        self.sign('{')?;
        loop {
            let token = self.next()?;
            let word = match &token.kind {
                Kind::Sign('}') => break,
                Kind::Sign(';') => continue,
                Kind::Word(word) => word.clone(),
                _ => return Err(unexpected(&token)),
            };
            match word.as_str() {
                "message" => message.messages.push(self.message(token.comment)?),
                "enum" => message.enums.push(self.enumeration(token.comment)?),
                "option" | "reserved" | "extensions" | "extend" => self.skip()?,
                "oneof" => {
                    let oneof = self.word()?;
                    self.sign('{')?;
                    loop {
                        let token = self.next()?;
                        match &token.kind {
                            Kind::Sign('}') => break,
                            Kind::Word(word) if word == "option" => self.skip()?,
                            Kind::Word(of) => {
                                let (of, label) = (of.clone(), Label::OneOf(oneof.clone()));
                                self.field(&mut message, token.comment, of, label)?;
                            }
                            _ => return Err(unexpected(&token)),
                        }
                    }
                }
                "optional" => {
                    let of = self.word()?;
                    self.field(&mut message, token.comment, of, Label::Optional)?;
                }
                "repeated" => {
                    let of = self.word()?;
                    self.field(&mut message, token.comment, of, Label::Repeated)?;
                }
                _ => self.field(&mut message, token.comment, word, Label::None)?,
            }
        }
        Ok(message)
    }

    /// From its name on.
    fn field(
        &mut self,
        message: &mut Message,
        comment: String,
        of: String,
        label: Label,
    ) -> Result<(), String> {
        if of == "map" && self.peek() == Some(&Kind::Sign('<')) {
            while self.next()?.kind != Kind::Sign('>') {}
            let (field, message) = (self.word()?, &message.name);
            return Err(format!(
                "field `{field}` of message `{message}` is a map: use a repeated message with a key and a value"
            ));
        }
        let name = self.word()?;
        self.sign('=')?;
        let line = self.line();
        let number = self.number()?;
        if !(1..1 << 29).contains(&number) {
            return Err(format!(
                "line {line}: field `{name}` has the number {number}, outside 1..=536870911"
            ));
        }
        if let Some(other) = message.fields.iter().find(|field| field.number == number) {
            return Err(format!(
                "line {line}: fields `{}` and `{name}` have the same number {number}",
                other.name
            ));
        }
        if message.fields.iter().any(|field| field.name == name) {
            return Err(format!("line {line}: message `{}` has two fields `{name}`", message.name));
        }
        if self.peek() == Some(&Kind::Sign('[')) {
            while self.next()?.kind != Kind::Sign(']') {}
        }
        self.sign(';')?;
        message.fields.push(Field { name, comment, number, of, label });
        Ok(())
    }

    fn enumeration(&mut self, comment: String) -> Result<Enum, String> {
        let name = self.word()?;
        let mut values = Vec::new();
        self.sign('{')?;
        loop {
            let token = self.next()?;
            match &token.kind {
                Kind::Sign('}') => return Ok(Enum { name, comment, values }),
                Kind::Sign(';') => {}
                Kind::Word(word) if word == "option" || word == "reserved" => self.skip()?,
                Kind::Word(value) => {
                    self.sign('=')?;
                    values.push((value.clone(), self.number()?));
                    if self.peek() == Some(&Kind::Sign('[')) {
                        while self.next()?.kind != Kind::Sign(']') {}
                    }
                    self.sign(';')?;
                }
                _ => return Err(unexpected(&token)),
            }
        }
    }

    /// To the end of a statement or of a block.
    fn skip(&mut self) -> Result<(), String> {
        let mut depth = 0_usize;
        loop {
            match self.next()?.kind {
                Kind::Sign(';') if depth == 0 => return Ok(()),
                Kind::Sign('{') => depth += 1,
                Kind::Sign('}') if depth <= 1 => return Ok(()),
                Kind::Sign('}') => depth -= 1,
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<Token, String> {
        let token = self.tokens.get(self.at).cloned().ok_or_else(|| "it ends too early".to_owned())?;
        self.at += 1;
        Ok(token)
    }

    fn peek(&self) -> Option<&Kind> {
        self.tokens.get(self.at).map(|token| &token.kind)
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).map_or(0, |token| token.line)
    }

    fn sign(&mut self, sign: char) -> Result<(), String> {
        let token = self.next()?;
        if token.kind == Kind::Sign(sign) {
            return Ok(());
        }
        Err(format!("{}, where {sign} is wanted", unexpected(&token)))
    }

    fn word(&mut self) -> Result<String, String> {
        let token = self.next()?;
        match token.kind {
            Kind::Word(word) => Ok(word),
            _ => Err(format!("{}, where a name is wanted", unexpected(&token))),
        }
    }

    fn text(&mut self) -> Result<String, String> {
        let token = self.next()?;
        match token.kind {
            Kind::Text(text) => Ok(text),
            _ => Err(format!("{}, where a text in quotes is wanted", unexpected(&token))),
        }
    }

    fn number(&mut self) -> Result<i32, String> {
        let negative = self.peek() == Some(&Kind::Sign('-'));
        self.at += usize::from(negative);
        let token = self.next()?;
        let Kind::Word(word) = &token.kind else { return Err(unexpected(&token)) };
        let number = match word.strip_prefix("0x") {
            Some(digits) => i64::from_str_radix(digits, 16),
            None => word.parse(),
        };
        let number = number.ok().map(|number| if negative { -number } else { number });
        let number = number.and_then(|number| i32::try_from(number).ok());
        number.ok_or_else(|| format!("{}, where a number is wanted", unexpected(&token)))
    }
}

fn unexpected(token: &Token) -> String {
    let found = match &token.kind {
        Kind::Word(word) => word.clone(),
        Kind::Text(text) => format!("{text:?}"),
        Kind::Sign(sign) => sign.to_string(),
    };
    format!("line {}: unexpected {found}", token.line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_proto_is_refused_with_its_line() {
        let refused = |text: &str| parse(&format!("syntax = \"proto3\";\n{text}")).unwrap_err();
        assert_eq!(refused("message A {"), "it ends too early");
        assert_eq!(refused("message A { int32 x; }"), "line 2: unexpected ;, where = is wanted");
        assert_eq!(refused("\nmessage { }"), "line 3: unexpected {, where a name is wanted");
        assert_eq!(refused("mesage A {}"), "line 2: unexpected mesage");
        assert_eq!(
            refused("message A { int32 x = one; }"),
            "line 2: unexpected one, where a number is wanted"
        );
        assert_eq!(
            refused("message A { int32 x = 0; }"),
            "line 2: field `x` has the number 0, outside 1..=536870911"
        );
        assert_eq!(
            refused("message A { int32 x = 1; int32 y = 1; }"),
            "line 2: fields `x` and `y` have the same number 1"
        );
        assert_eq!(
            refused("message A { int32 x = 1; int32 x = 2; }"),
            "line 2: message `A` has two fields `x`"
        );
        assert_eq!(refused("/* a"), "line 2: a comment does not end");
        assert_eq!(refused("option a = \"b"), "line 2: a text does not end");
        assert_eq!(refused("message A { § }"), "line 2: unexpected §");
        assert!(parse("message A {}").unwrap_err().starts_with("it is not proto3"));
    }

    // Promise 6: "Nothing a peer sends panics the server." A text is the game's own; still, it is refused,
    // whatever it is.
    #[test]
    fn a_text_that_is_cut_anywhere_is_read_or_refused() {
        let text = include_str!("../../../sim/schema/driftless/arena/v1/arena.proto");
        for (end, _) in text.char_indices() {
            let _ = parse(&text[..end]);
        }
        assert_eq!(parse(text).unwrap().messages.len(), 3);
    }

    #[test]
    fn what_messages_do_not_need_is_skipped() {
        let file = parse(
            "// At the top.

            syntax = 'proto3'; package a.b;
            option java_package = \"c\";
            option (custom) = { x: 1, y: { z: -2.5 } };
            /* Of several
             * lines. */
            message A { // about A
                reserved 2, 4 to 6; reserved \"gone\";
                .a.b.A next = 1 [deprecated = true]; ; // after it
                message B {}
                // Not right above.

                optional B b = 0x10;
                oneof one { option (x) = true; string s = 7; }
            }
            service S { rpc Call (A) returns (A) { option (x) = 1; } }
            enum E { option allow_alias = true; ZERO = 0; MINUS = -1 [deprecated = true]; }",
        )
        .unwrap();
        let a = &file.messages[0];
        assert_eq!((file.package.as_str(), a.comment.as_str()), ("a.b", "Of several\nlines."));
        let fields: Vec<_> =
            a.fields.iter().map(|f| (f.name.as_str(), f.number, f.of.as_str(), &f.label)).collect();
        let one = Label::OneOf("one".into());
        let expected =
            [("next", 1, ".a.b.A", &Label::None), ("b", 16, "B", &Label::Optional), ("s", 7, "string", &one)];
        assert_eq!(fields, expected);
        assert!(a.fields.iter().all(|field| field.comment.is_empty()), "{:?}", a.fields);
        assert_eq!(file.enums[0].values, [("ZERO".to_owned(), 0), ("MINUS".to_owned(), -1)]);
    }
}
