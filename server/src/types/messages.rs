//! A game's messages, from the text of its `.proto`.

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, SourceCodeInfo,
    field_descriptor_proto::{Label, Type},
};
use protox::{
    Compiler, Error,
    file::{File, FileResolver, GoogleFileResolver},
};
use std::collections::HashMap;

/// What the text is called in errors.
const FILE: &str = "PROTO";

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

#[derive(Debug)]
pub(super) struct Enum {
    pub name: String,
    pub comment: String,
    pub values: Vec<(String, i32)>,
}

impl Messages {
    pub(super) fn none() -> Self {
        Self::default()
    }

    /// Reads the text, and finds what the game names.
    pub(super) fn read(said: &driftless_sim::Messages) -> Result<Self, String> {
        let file = compile(said.proto)?;
        if file.syntax() != "proto3" {
            return Err("its .proto is not proto3: begin it with `syntax = \"proto3\";`".into());
        }
        let mut reader = Reader { names: HashMap::new(), comments: comments(&file), out: Self::none() };
        reader.name_all(&file)?;
        reader.read_all(&file)?;
        let mut out = reader.out;
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
        out.are_known = true;
        Ok(out)
    }
}

/// The one text, beside what comes with protobuf.
struct Text {
    text: &'static str,
    google: GoogleFileResolver,
}

impl FileResolver for Text {
    fn open_file(&self, name: &str) -> Result<File, Error> {
        if name == FILE { File::from_source(name, self.text) } else { self.google.open_file(name) }
    }
}

fn compile(text: &'static str) -> Result<FileDescriptorProto, String> {
    let mut compiler = Compiler::with_file_resolver(Text { text, google: GoogleFileResolver::new() });
    compiler.include_source_info(true);
    if let Err(error) = compiler.open_file(FILE) {
        // Its debug form says where, too.
        return Err(format!("its .proto cannot be read: {error:?}"));
    }
    let file = compiler.file_descriptor_set().file.into_iter().find(|file| file.name() == FILE);
    file.ok_or_else(|| "its .proto is empty".into())
}

/// The comments in front of things, by their paths in the descriptor.
fn comments(file: &FileDescriptorProto) -> HashMap<Vec<i32>, String> {
    let SourceCodeInfo { location } = file.source_code_info.clone().unwrap_or_default();
    let said = location.into_iter().filter_map(|at| Some((at.path, at.leading_comments?)));
    said.map(|(path, comment)| (path, comment.trim().to_owned())).collect()
}

struct Reader {
    /// Full names in the text (`.game.v1.Event.Kill`), and what they are called here.
    names: HashMap<String, String>,
    comments: HashMap<Vec<i32>, String>,
    out: Messages,
}

/// Field numbers of the descriptor, which make paths.
const FILE_MESSAGE: i32 = 4;
const FILE_ENUM: i32 = 5;
const MESSAGE_FIELD: i32 = 2;
const MESSAGE_MESSAGE: i32 = 3;
const MESSAGE_ENUM: i32 = 4;

impl Reader {
    fn name_all(&mut self, file: &FileDescriptorProto) -> Result<(), String> {
        let package = if file.package().is_empty() { String::new() } else { format!(".{}", file.package()) };
        for message in &file.message_type {
            self.name_message(&package, "", message)?;
        }
        file.enum_type.iter().try_for_each(|e| self.name(&package, "", e.name()))
    }

    fn name_message(&mut self, path: &str, prefix: &str, message: &DescriptorProto) -> Result<(), String> {
        self.name(path, prefix, message.name())?;
        let (path, prefix) = (format!("{path}.{}", message.name()), format!("{prefix}{}", message.name()));
        for nested in &message.nested_type {
            self.name_message(&path, &prefix, nested)?;
        }
        message.enum_type.iter().try_for_each(|e| self.name(&path, &prefix, e.name()))
    }

    fn name(&mut self, path: &str, prefix: &str, name: &str) -> Result<(), String> {
        let short = format!("{prefix}{name}");
        if self.names.values().any(|other| *other == short) {
            return Err(format!("two messages of its .proto would both be `{short}`: rename one"));
        }
        self.names.insert(format!("{path}.{name}"), short);
        Ok(())
    }

    fn read_all(&mut self, file: &FileDescriptorProto) -> Result<(), String> {
        for (message, n) in file.message_type.iter().zip(0..) {
            self.message(&[FILE_MESSAGE, n], "", message)?;
        }
        file.enum_type.iter().zip(0..).for_each(|(e, n)| self.enumeration(&[FILE_ENUM, n], "", e));
        Ok(())
    }

    fn message(&mut self, path: &[i32], prefix: &str, message: &DescriptorProto) -> Result<(), String> {
        let name = format!("{prefix}{}", message.name());
        let mut fields = Vec::new();
        for (field, n) in message.field.iter().zip(0..) {
            let fault = |fault: &str| format!("field `{}` of message `{name}` {fault}", field.name());
            let entry = message.nested_type.iter().find(|nested| {
                nested.options.as_ref().is_some_and(|options| options.map_entry())
                    && field.type_name().ends_with(&format!(".{}", nested.name()))
            });
            if entry.is_some() {
                return Err(fault("is a map: use a repeated message with a key and a value"));
            }
            let kind = self.kind(field).ok_or_else(|| fault("is of a type of another file"))?;
            fields.push(Field {
                name: field.json_name().to_owned(),
                comment: self.comment(path, MESSAGE_FIELD, n),
                number: field.number(),
                kind,
                how: how(message, field),
            });
        }
        let comment = self.comments.get(path).cloned().unwrap_or_default();
        self.out.messages.push(Message { name: name.clone(), comment, fields });
        for (nested, n) in message.nested_type.iter().zip(0..) {
            self.message(&[path, &[MESSAGE_MESSAGE, n]].concat(), &name, nested)?;
        }
        for (nested, n) in message.enum_type.iter().zip(0..) {
            self.enumeration(&[path, &[MESSAGE_ENUM, n]].concat(), &name, nested);
        }
        Ok(())
    }

    fn enumeration(&mut self, path: &[i32], prefix: &str, found: &EnumDescriptorProto) {
        let values = found.value.iter().map(|value| (value.name().to_owned(), value.number())).collect();
        let comment = self.comments.get(path).cloned().unwrap_or_default();
        self.out.enums.push(Enum { name: format!("{prefix}{}", found.name()), comment, values });
    }

    /// None: it is not of this file.
    fn kind(&self, field: &FieldDescriptorProto) -> Option<Kind> {
        let named = || self.names.get(field.type_name()).cloned();
        Some(match field.r#type() {
            Type::Double => Kind::Scalar("double"),
            Type::Float => Kind::Scalar("float"),
            Type::Int64 => Kind::Scalar("int64"),
            Type::Uint64 => Kind::Scalar("uint64"),
            Type::Int32 => Kind::Scalar("int32"),
            Type::Fixed64 => Kind::Scalar("fixed64"),
            Type::Fixed32 => Kind::Scalar("fixed32"),
            Type::Bool => Kind::Scalar("bool"),
            Type::String => Kind::Scalar("string"),
            Type::Bytes => Kind::Scalar("bytes"),
            Type::Uint32 => Kind::Scalar("uint32"),
            Type::Sfixed32 => Kind::Scalar("sfixed32"),
            Type::Sfixed64 => Kind::Scalar("sfixed64"),
            Type::Sint32 => Kind::Scalar("sint32"),
            Type::Sint64 => Kind::Scalar("sint64"),
            Type::Enum => Kind::Enum(named()?),
            Type::Message | Type::Group => Kind::Message(named()?),
        })
    }

    fn comment(&self, path: &[i32], what: i32, n: i32) -> String {
        self.comments.get(&[path, &[what, n]].concat()).cloned().unwrap_or_default()
    }
}

fn how(message: &DescriptorProto, field: &FieldDescriptorProto) -> How {
    if field.label() == Label::Repeated {
        return How::Repeated;
    }
    if field.proto3_optional() {
        return How::Optional;
    }
    let oneof = field.oneof_index.and_then(|index| message.oneof_decl.get(usize::try_from(index).ok()?));
    match oneof {
        Some(oneof) => How::OneOf(camel(oneof.name())),
        None => How::Plain,
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
        assert!(refused("syntax = \"proto2\"; message Move {}").starts_with("its .proto is not proto3"));
        let map = "syntax = \"proto3\"; message Move { map<uint32, string> names = 1; }";
        assert!(refused(map).starts_with("field `names` of message `Move` is a map"), "{}", refused(map));
        let foreign = "syntax = \"proto3\"; import \"google/protobuf/empty.proto\"; \
                       message Move { google.protobuf.Empty none = 1; }";
        assert_eq!(refused(foreign), "field `none` of message `Move` is of a type of another file");
        assert!(refused("syntax = \"proto3\"; message Move { int33 x = 1; }").contains("int33"));
        assert!(refused("syntax = \"proto3\"; import \"other.proto\";").contains("other.proto"));
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
