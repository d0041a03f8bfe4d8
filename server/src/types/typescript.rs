//! Kinds, messages and games as TypeScript.

use super::messages::{Field, How, Kind, Message, Messages, camel};
use driftless_proto::{
    limits::MAX_TEXT,
    schema::{self, FieldType, Predictor, Schema},
};
use std::{collections::BTreeSet, fmt::Write};

/// Names that no constant can have.
const RESERVED: [&str; 14] = [
    "case", "class", "const", "default", "delete", "enum", "export", "function", "import", "new", "package",
    "return", "switch", "void",
];

/// A file that grows, a game after the other.
pub(super) struct Text {
    out: String,
    /// What is exported.
    names: BTreeSet<String>,
}

impl Text {
    pub(super) fn new() -> Self {
        let out = "// Written by `driftless types`: what changes here is lost.\n\
                   import { type Game, gameOf, type MessageFields } from \"driftless\";\n"
            .to_owned();
        Self { out, names: BTreeSet::new() }
    }

    pub(super) fn finish(self) -> String {
        self.out
    }

    pub(super) fn game(&mut self, kind: &str, schema: &Schema, messages: &Messages) -> Result<(), String> {
        self.entities(kind, schema)?;
        for found in &messages.enums {
            self.enumeration(found)?;
        }
        for message in &messages.messages {
            self.message(message)?;
        }
        for message in &messages.messages {
            self.fields(message);
        }
        self.constant(kind, messages)
    }

    fn entities(&mut self, kind: &str, schema: &Schema) -> Result<(), String> {
        for found in schema.kinds() {
            let name = self.export(format!("{}Entity", pascal(found.name())))?;
            self.line(&format!("\n/** An entity of kind `{}`. */", found.name()));
            self.line(&format!("export type {name} = {{\n  readonly id: number;"));
            for group in found.groups() {
                for field in group.fields() {
                    let (mut says, of) = column(field);
                    if group.predictor() == Predictor::Linear {
                        says.push_str(", interpolated between two states");
                    }
                    self.line(&format!("  /** {says}. */\n  readonly {}: {of};", property(field.name())));
                }
            }
            self.line("};");
        }
        let name = self.export(format!("{}Entities", pascal(kind)))?;
        self.line(&format!(
            "\n/** What there is in a room of `{kind}`, by kind. */\nexport interface {name} {{"
        ));
        for found in schema.kinds() {
            let entity = format!("{}Entity", pascal(found.name()));
            self.line(&format!("  readonly {}: {entity};", property(found.name())));
        }
        self.line("}");
        Ok(())
    }

    fn enumeration(&mut self, found: &super::proto::Enum) -> Result<(), String> {
        let name = self.export(found.name.clone())?;
        self.line("");
        self.comment("", &found.comment);
        self.line(&format!("export const {name} = {{"));
        for (value, number) in &found.values {
            self.line(&format!("  {value}: {number},"));
        }
        self.line("} as const;");
        self.line(&format!("export type {name} = (typeof {name})[keyof typeof {name}];"));
        Ok(())
    }

    fn message(&mut self, message: &Message) -> Result<(), String> {
        let name = self.export(message.name.clone())?;
        self.line("");
        self.comment("", &message.comment);
        self.line(&format!("export interface {name} {{"));
        let mut oneofs = BTreeSet::new();
        for field in &message.fields {
            let (of, property) = (type_of(&field.kind), property(&field.name));
            match &field.how {
                How::OneOf(oneof) => {
                    if oneofs.insert(oneof) {
                        self.oneof(message, oneof);
                    }
                    continue;
                }
                how => {
                    self.comment("  ", &field.comment);
                    let line = match how {
                        How::Repeated => format!("  {property}: {of}[];"),
                        How::Plain if !matches!(field.kind, Kind::Message(_)) => {
                            format!("  {property}: {of};")
                        }
                        _ => format!("  {property}?: {of};"),
                    };
                    self.line(&line);
                }
            }
        }
        self.line("}");
        Ok(())
    }

    fn oneof(&mut self, message: &Message, oneof: &str) {
        self.line(&format!("  {oneof}:"));
        for field in fields_of(message, oneof) {
            self.comment("    ", &field.comment);
            self.line(&format!("    | {{ case: \"{}\"; value: {} }}", field.name, type_of(&field.kind)));
        }
        self.line("    | { case: undefined; value?: undefined };");
    }

    /// How the SDK writes and reads a message.
    fn fields(&mut self, message: &Message) {
        self.line(&format!("const {}Fields: MessageFields = {{", camel_start(&message.name)));
        for field in &message.fields {
            let of = match &field.kind {
                Kind::Scalar(scalar) => format!("\"{scalar}\""),
                Kind::Enum(_) => "\"int32\"".to_owned(),
                Kind::Message(name) => format!("() => {}Fields", camel_start(name)),
            };
            let how = match &field.how {
                How::Plain => String::new(),
                How::Optional => ", \"optional\"".into(),
                How::Repeated => ", \"repeated\"".into(),
                How::OneOf(oneof) => format!(", \":{oneof}\""),
            };
            self.line(&format!("  {}: [{}, {of}{how}],", property(&field.name), field.number));
        }
        self.line("};");
    }

    fn constant(&mut self, kind: &str, messages: &Messages) -> Result<(), String> {
        let name = self.export(constant(kind))?;
        let nothing = if messages.are_known { "never" } else { "Uint8Array" };
        let of = |message: &Option<String>| message.clone().unwrap_or_else(|| nothing.into());
        let (input, command, event) = (of(&messages.input), of(&messages.command), of(&messages.event));
        let entities = format!("{}Entities", pascal(kind));
        self.line(&format!("\n/** The game `{kind}`, for `connect({{ game: {name} }})`. */"));
        self.line(&format!("export const {name}: Game<{input}, {command}, {event}, {entities}> = gameOf({{"));
        self.line(&format!("  kind: \"{kind}\","));
        let three = [("input", &messages.input), ("command", &messages.command), ("event", &messages.event)];
        for (what, message) in three {
            if let Some(message) = message {
                self.line(&format!("  {what}: {}Fields,", camel_start(message)));
            }
        }
        self.line("});");
        Ok(())
    }

    fn export(&mut self, name: String) -> Result<String, String> {
        if self.names.insert(name.clone()) {
            return Ok(name);
        }
        Err(format!(
            "two things would both be `{name}` in TypeScript: rename one, or write a file for each game (--kind)"
        ))
    }

    fn comment(&mut self, indent: &str, text: &str) {
        let lines: Vec<_> = text.lines().map(|line| line.trim().replace("*/", "* /")).collect();
        match &lines[..] {
            [] => {}
            [line] => self.line(&format!("{indent}/** {line} */")),
            lines => {
                self.line(&format!("{indent}/**"));
                lines.iter().for_each(|line| self.line(format!("{indent} * {line}").trim_end()));
                self.line(&format!("{indent} */"));
            }
        }
    }

    fn line(&mut self, line: &str) {
        // Writing to a text cannot fail.
        let _ = writeln!(self.out, "{line}");
    }
}

fn fields_of<'a>(message: &'a Message, oneof: &'a str) -> impl Iterator<Item = &'a Field> {
    message.fields.iter().filter(move |field| matches!(&field.how, How::OneOf(of) if of == oneof))
}

fn type_of(kind: &Kind) -> &str {
    match kind {
        Kind::Scalar("bool") => "boolean",
        Kind::Scalar("string") => "string",
        Kind::Scalar("bytes") => "Uint8Array",
        Kind::Scalar(scalar) if scalar.ends_with("64") => "bigint",
        Kind::Scalar(_) => "number",
        Kind::Enum(name) | Kind::Message(name) => name,
    }
}

/// What an entity's field is, in words and as a type.
fn column(field: &schema::Field) -> (String, &'static str) {
    match (field.field_type(), field.quanta_per_unit()) {
        (FieldType::Number, 1) => ("An integer".to_owned(), "number"),
        (FieldType::Number, quanta) => (format!("In steps of 1/{quanta}"), "number"),
        (FieldType::Text, _) => (format!("At most {MAX_TEXT} bytes of UTF-8"), "string"),
        (FieldType::Bytes, _) => (format!("At most {MAX_TEXT} bytes"), "Uint8Array"),
    }
}

/// A name as a type has it; what no name can have is left out.
pub(crate) fn pascal(name: &str) -> String {
    let mut characters = camel(name).chars().filter(|c| c.is_alphanumeric()).collect::<Vec<_>>().into_iter();
    let first = characters
        .next()
        .map(|c| if c.is_ascii_digit() { format!("Kind{c}") } else { c.to_uppercase().collect() });
    first.into_iter().chain([characters.collect()]).collect()
}

/// The same as a constant has it.
/// The name of a game's constant.
pub(crate) fn constant(kind: &str) -> String {
    let mut name = camel_start(&pascal(kind));
    if RESERVED.contains(&name.as_str()) || name.is_empty() {
        name.push_str("Game");
    }
    name
}

fn camel_start(name: &str) -> String {
    let mut characters = name.chars();
    let first = characters.next().map(|c| c.to_lowercase().collect::<String>());
    first.into_iter().chain([characters.collect()]).collect()
}

/// A property's name, in quotes where it needs them.
fn property(name: &str) -> String {
    let mut characters = name.chars();
    let is_plain = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_plain { name.to_owned() } else { format!("{name:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_as_typescript_has_them() {
        assert_eq!(["tag", "king-of_the.hill", "2048"].map(pascal), ["Tag", "KingOfTheHill", "Kind2048"]);
        assert_eq!(["x", "max-speed", "2nd"].map(property), ["x", "\"max-speed\"", "\"2nd\""]);
        assert_eq!(camel_start("ArenaInput"), "arenaInput");
    }

    #[test]
    fn what_a_game_does_not_have_cannot_be_sent() {
        let messages = Messages { are_known: true, ..Messages::none() };
        let mut text = Text::new();
        text.game("tag", &Schema::new(), &messages).unwrap();
        assert!(text.finish().contains("tag: Game<never, never, never, TagEntities>"));
    }

    #[test]
    fn texts_are_strings_and_bytes_are_bytes() {
        let schema =
            Schema::new().kind("tree", |kind| kind.text("name", &["name"]).bytes("shape", &["shape"]));
        let mut text = Text::new();
        text.game("wood", &schema, &Messages::none()).unwrap();
        let text = text.finish();
        assert!(
            text.contains("  readonly name: string;") && text.contains("  readonly shape: Uint8Array;"),
            "{text}"
        );
    }

    #[test]
    fn two_things_of_one_name_are_refused() {
        let schema = Schema::new()
            .kind("ball", |kind| kind.hold("place", &["x"], 1))
            .kind("Ball", |kind| kind.hold("place", &["x"], 1));
        let refused = Text::new().game("tag", &schema, &Messages::none()).unwrap_err();
        assert!(refused.starts_with("two things would both be `BallEntity`"), "{refused}");
    }
}
