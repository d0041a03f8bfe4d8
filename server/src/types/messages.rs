//! A game's messages, from the text of its `.proto`.

use super::proto::{self, Enum, File, Label};
use std::collections::HashMap;

/// The messages of a game.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// All of them, in the order of the text, those within others after these.
    pub messages: Vec<Message>,
    /// All enums.
    pub enums: Vec<Enum>,
    /// Whether there is a text that they are of.
    pub are_known: bool,
    /// Names of the game's own three, as they are in `messages`.
    pub input: Option<String>,
    pub command: Option<String>,
    pub event: Option<String>,
}

/// A message; its name has those around it in front.
#[derive(Debug)]
pub(super) struct Message {
    pub name: String,
    pub comment: String,
    pub fields: Vec<Field>,
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    /// As protobuf's JSON has it: `moveX`.
    pub name: String,
    pub comment: String,
    pub number: i32,
    pub kind: Kind,
    pub how: How,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// By protobuf's name.
    Scalar(&'static str),
    Enum(String),
    Message(String),
}

/// How often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum How {
    /// Always there: 0 stands for what is left out.
    Plain,
    Optional,
    Repeated,
    /// One of the fields of this oneof.
    OneOf(String),
}

impl Messages {
    pub(super) fn none() -> Self {
        Self::default()
    }

    /// Reads the text, and finds what the game names.
    pub(super) fn read(said: &driftless_sim::Messages) -> Result<Self, String> {
        let file = proto::parse(said.proto).map_err(|fault| format!("its .proto cannot be read: {fault}"))?;
        let mut names = Names(HashMap::new());
        names.of_file(&file)?;
        let mut out = Self { are_known: true, ..Self::none() };
        let package = if file.package.is_empty() { String::new() } else { format!(".{}", file.package) };
        for message in &file.messages {
            out.add(&names, &package, "", message)?;
        }
        file.enums.iter().for_each(|found| out.add_enum("", found));
        let find = |name: Option<&'static str>, what: &str| match name {
            None => Ok(None),
            Some(name) if out.messages.iter().any(|message| message.name == name) => {
                Ok(Some(name.to_owned()))
            }
            Some(name) => Err(format!(
                "its .proto has no message `{name}`, which is what its {what} is in Rust: name them alike"
            )),
        };
        let (input, command, event) =
            (find(said.input, "Input")?, find(said.command, "Command")?, find(said.event, "Event")?);
        (out.input, out.command, out.event) = (input, command, event);
        Ok(out)
    }

    /// `path`: what is around it in the text; `prefix`: the same in its name here.
    fn add(
        &mut self,
        names: &Names,
        path: &str,
        prefix: &str,
        message: &proto::Message,
    ) -> Result<(), String> {
        let (path, name) = (format!("{path}.{}", message.name), format!("{prefix}{}", message.name));
        let mut fields = Vec::new();
        for field in &message.fields {
            let unknown =
                || format!("field `{}` of message `{name}` is of no known type `{}`", field.name, field.of);
            fields.push(Field {
                name: camel(&field.name),
                comment: field.comment.clone(),
                number: field.number,
                kind: names.find(&path, &field.of).ok_or_else(unknown)?,
                how: match &field.label {
                    Label::None => How::Plain,
                    Label::Optional => How::Optional,
                    Label::Repeated => How::Repeated,
                    Label::OneOf(oneof) => How::OneOf(camel(oneof)),
                },
            });
        }
        self.messages.push(Message { name: name.clone(), comment: message.comment.clone(), fields });
        for nested in &message.messages {
            self.add(names, &path, &name, nested)?;
        }
        message.enums.iter().for_each(|found| self.add_enum(&name, found));
        Ok(())
    }

    fn add_enum(&mut self, prefix: &str, found: &Enum) {
        let (name, comment) = (format!("{prefix}{}", found.name), found.comment.clone());
        self.enums.push(Enum { name, comment, values: found.values.clone() });
    }
}

/// Protobuf's types of one number or text.
const SCALARS: [&str; 15] = [
    "double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64",
    "sfixed32", "sfixed64", "bool", "string", "bytes",
];

/// Full names in the text (`.game.v1.Event.Kill`), and what they are.
struct Names(HashMap<String, Kind>);

impl Names {
    fn of_file(&mut self, file: &File) -> Result<(), String> {
        let package = if file.package.is_empty() { String::new() } else { format!(".{}", file.package) };
        self.of_message(&package, "", &file.messages, &file.enums)
    }

    fn of_message(
        &mut self,
        path: &str,
        prefix: &str,
        messages: &[proto::Message],
        enums: &[Enum],
    ) -> Result<(), String> {
        for found in enums {
            self.name(path, prefix, &found.name, Kind::Enum)?;
        }
        for message in messages {
            self.name(path, prefix, &message.name, Kind::Message)?;
            let (path, prefix) = (format!("{path}.{}", message.name), format!("{prefix}{}", message.name));
            self.of_message(&path, &prefix, &message.messages, &message.enums)?;
        }
        Ok(())
    }

    fn name(&mut self, path: &str, prefix: &str, name: &str, kind: fn(String) -> Kind) -> Result<(), String> {
        let short = format!("{prefix}{name}");
        let is_taken =
            |other: &Kind| matches!(other, Kind::Enum(other) | Kind::Message(other) if *other == short);
        if self.0.values().any(is_taken) {
            return Err(format!("two messages of its .proto would both be `{short}`: rename one"));
        }
        self.0.insert(format!("{path}.{name}"), kind(short));
        Ok(())
    }

    /// What a type is, as it is written within `path`: looked for there, and then around it.
    fn find(&self, path: &str, of: &str) -> Option<Kind> {
        if let Some(scalar) = SCALARS.iter().find(|scalar| **scalar == of) {
            return Some(Kind::Scalar(scalar));
        }
        if of.starts_with('.') {
            return self.0.get(of).cloned();
        }
        let mut around = Some(path);
        while let Some(path) = around {
            if let Some(kind) = self.0.get(&format!("{path}.{of}")) {
                return Some(kind.clone());
            }
            around = path.rsplit_once('.').map(|(outer, _)| outer);
        }
        None
    }
}

/// `snake_case` as `camelCase`.
pub(super) fn camel(name: &str) -> String {
    let mut out = String::new();
    let mut upper = false;
    for c in name.chars() {
        match c {
            '_' | '-' | '.' | ' ' => upper = !out.is_empty(),
            c if upper => {
                out.extend(c.to_uppercase());
                upper = false;
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(proto: &'static str) -> Result<Messages, String> {
        Messages::read(&driftless_sim::Messages { proto, input: Some("Move"), command: None, event: None })
    }

    #[test]
    fn what_cannot_be_written_is_refused_by_name() {
        let refused = |proto| read(proto).unwrap_err();
        assert!(
            refused("syntax = \"proto3\"; message Push {}").starts_with("its .proto has no message `Move`")
        );
        assert!(refused("syntax = \"proto2\"; message Move {}").contains("it is not proto3"));
        let map = "syntax = \"proto3\"; message Move { map<uint32, string> names = 1; }";
        assert!(refused(map).contains("field `names` of message `Move` is a map"), "{}", refused(map));
        let foreign = "syntax = \"proto3\"; message Move { google.protobuf.Empty none = 1; }";
        let expected = "field `none` of message `Move` is of no known type `google.protobuf.Empty`";
        assert_eq!(refused(foreign), expected);
        let import = "syntax = \"proto3\"; import \"other.proto\"; message Move {}";
        assert!(refused(import).contains("line 1: it imports another file"), "{}", refused(import));
        assert!(refused("syntax = \"proto3\"; message Move { int33 x = 1; }").contains("int33"));
        let twice = "syntax = \"proto3\"; message AB {} message A { message B {} } message Move {}";
        assert_eq!(refused(twice), "two messages of its .proto would both be `AB`: rename one");
    }

    #[test]
    fn fields_are_found_with_their_comments() {
        let messages = read(
            "syntax = \"proto3\"; package game.v1;
            // How to move.
            message Move {
                // To the right.
                sint32 move_x = 1;
                optional bool run = 2;
                repeated Step steps = 3;
                Mood mood = 4;
                oneof arm_of { Step sword = 5; uint64 bow = 6; }
                message Step { float far = 1; }
                enum Mood { MOOD_CALM = 0; MOOD_WILD = 3; }
            }",
        )
        .unwrap();
        let [moves, step] = &messages.messages[..] else { panic!("{messages:?}") };
        assert!(messages.are_known);
        assert_eq!((moves.name.as_str(), moves.comment.as_str()), ("Move", "How to move."));
        assert_eq!(step.name, "MoveStep");
        let found: Vec<_> =
            moves.fields.iter().map(|f| (f.name.as_str(), f.number, &f.kind, &f.how)).collect();
        let (step, arm) = (Kind::Message("MoveStep".into()), How::OneOf("armOf".into()));
        let expected = [
            ("moveX", 1, &Kind::Scalar("sint32"), &How::Plain),
            ("run", 2, &Kind::Scalar("bool"), &How::Optional),
            ("steps", 3, &step, &How::Repeated),
            ("mood", 4, &Kind::Enum("MoveMood".into()), &How::Plain),
            ("sword", 5, &step, &arm),
            ("bow", 6, &Kind::Scalar("uint64"), &arm),
        ];
        assert_eq!(found, expected);
        assert_eq!(moves.fields[0].comment, "To the right.");
        assert_eq!(messages.enums[0].values, [("MOOD_CALM".to_owned(), 0), ("MOOD_WILD".to_owned(), 3)]);
    }
}
