// A plugin for buf, on protobuf-es's own framework. It generates straight-line functions that write and read
// the messages whose types protoc-gen-es generates, using only protobuf-es's reader and writer. protobuf-es
// itself walks descriptors at run time, which takes 18 kB (gzipped) more than the whole SDK.
import { ScalarType } from "@bufbuild/protobuf";
import { createEcmaScriptPlugin, runNodeJs } from "@bufbuild/protoplugin";

const WIRE_TYPE = {
  fixed32: 5,
  sfixed32: 5,
  float: 5,
  fixed64: 1,
  sfixed64: 1,
  double: 1,
  string: 2,
  bytes: 2,
};

/** What the SDK reads by hand: the generated functions do not read it, and a bundle is shorter for it. */
const READ_BY_HAND = new Set(["driftless.v1.State"]);

runNodeJs(createEcmaScriptPlugin({ name: "protoc-gen-codec", version: "v1", generateTs }));

function generateTs(schema) {
  for (const file of schema.files) {
    const f = schema.generateFile(`${file.name}_codec.ts`);
    f.preamble(file);
    const visit = (message) => {
      generateEncode(f, message);
      generateDecode(f, message);
      message.nestedMessages.forEach(visit);
    };
    file.messages.forEach(visit);
  }
}

/** The name of a message's function; for a nested message it contains the path. */
function localName(message, verb) {
  return `${verb}${message.typeName.replace(`${message.file.proto.package}.`, "").replaceAll(".", "")}`;
}

/** A message's function, imported if it is in another file. */
function call(f, from, message, verb) {
  const name = localName(message, verb);
  return from.file === message.file ? name : f.import(name, `./${message.file.name}_codec.js`);
}

function generateEncode(f, message) {
  const Writer = f.import("BinaryWriter", "@bufbuild/protobuf/wire");
  const Init = f.import("MessageInitShape", "@bufbuild/protobuf", true);
  f.print("/** Writes a `", message.typeName, "`. */");
  f.print(
    "export function ",
    localName(message, "encode"),
    "(message: ",
    Init,
    "<typeof ",
    f.importSchema(message, true),
    ">, writer = new ",
    Writer,
    "()): ",
    Writer,
    " {",
  );
  const named = new Set();
  for (const field of message.fields) {
    if (field.oneof) {
      if (named.has(field.oneof)) continue;
      named.add(field.oneof);
      f.print("  switch (message.", field.oneof.localName, "?.case) {");
      for (const member of field.oneof.fields) {
        f.print('    case "', member.localName, '":');
        f.print("      ", ...put(f, message, member, `message.${field.oneof.localName}.value`), ";");
        f.print("      break;");
      }
      f.print("  }");
    } else if (field.fieldKind === "list") {
      generateEncodeList(f, message, field);
    } else {
      const value = `message.${field.localName}`;
      const explicit = field.fieldKind === "message" || field.presence === 1;
      const there = explicit
        ? `${value} !== undefined`
        : field.scalar === ScalarType.BYTES
          ? `${value}?.length`
          : value;
      f.print("  if (", there, ") ", ...put(f, message, field, value), ";");
    }
  }
  if (message.fields.length === 0) f.print("  void message;");
  f.print("  return writer;");
  f.print("}");
  f.print();
}

function generateEncodeList(f, message, field) {
  const value = `message.${field.localName}`;
  if (field.packed) {
    f.print("  if (", value, "?.length) {");
    f.print("    writer.tag(", field.number, ", 2).fork();");
    f.print("    for (const value of ", value, ") writer.", scalar(field), "(value);");
    f.print("    writer.join();");
    f.print("  }");
  } else {
    f.print("  for (const value of ", value, " ?? []) ", ...put(f, message, field, "value"), ";");
  }
}

/** Writes one value with its tag. */
function put(f, from, field, value) {
  if (field.message) {
    return [
      call(f, from, field.message, "encode"),
      "(",
      value,
      ", writer.tag(",
      field.number,
      ", 2).fork()).join()",
    ];
  }
  return ["writer.tag(", field.number, ", ", wireType(field), ").", scalar(field), "(", value, ")"];
}

function generateDecode(f, message) {
  const Reader = f.import("BinaryReader", "@bufbuild/protobuf/wire", true);
  const type = f.importShape(message);
  f.print("/** Reads a `", message.typeName, "`: all of `bytes`, or the next `length` of a reader. */");
  f.print(
    "export function ",
    localName(message, "decode"),
    "(bytes: Uint8Array | ",
    Reader,
    ", length?: number): ",
    type,
    " {",
  );
  // Without its `$typeName`, which nobody asks for, and which is a text in the bundle for each message.
  f.print("  const message: Omit<", type, ', "$typeName"> = {');
  const oneofs = new Set();
  for (const field of message.fields) {
    if (field.oneof) {
      if (!oneofs.has(field.oneof)) f.print("    ", field.oneof.localName, ": { case: undefined },");
      oneofs.add(field.oneof);
    } else if (field.fieldKind === "list") {
      f.print("    ", field.localName, ": [],");
    } else if (field.fieldKind !== "message" && field.presence !== 1) {
      f.print("    ", field.localName, ": ", zero(field), ",");
    }
  }
  f.print("  };");
  const fields = message.fields.filter((field) => !READ_BY_HAND.has(field.message?.typeName));
  const reader = fields.length > 0 ? "reader" : "_";
  const readFields = f.import("readFields", "./../codec/fields.js");
  f.print("  ", readFields, "(bytes, length, (", reader, ", key): true | void => {");
  f.print("    switch (key) {");
  for (const field of fields) generateDecodeField(f, message, field);
  f.print("      default:");
  f.print("        return true;");
  f.print("    }");
  f.print("  });");
  f.print("  return message as ", type, ";");
  f.print("}");
  f.print();
}

function generateDecodeField(f, message, field) {
  const value = get(f, message, field);
  if (field.fieldKind === "list" && !field.message && wireType(field) !== 2) {
    f.print("      case ", field.number * 8 + 2, ":");
    f.print(
      "        for (const stop = reader.uint32() + reader.pos; reader.pos < stop; ) message.",
      field.localName,
      ".push(",
      ...value,
      ");",
    );
    f.print("        break;");
  }
  f.print("      case ", field.number * 8 + wireType(field), ":");
  if (field.oneof) {
    f.print(
      "        message.",
      field.oneof.localName,
      ' = { case: "',
      field.localName,
      '", value: ',
      ...value,
      " };",
    );
  } else if (field.fieldKind === "list") {
    f.print("        message.", field.localName, ".push(", ...value, ");");
  } else {
    f.print("        message.", field.localName, " = ", ...value, ";");
  }
  f.print("        break;");
}

function get(f, from, field) {
  if (field.message) return [call(f, from, field.message, "decode"), "(reader, reader.uint32())"];
  if (field.enum) return ["reader.int32()"];
  const name = scalar(field);
  return [`reader.${name}()`, name.endsWith("64") && name !== "double" ? " as bigint" : ""];
}

function scalar(field) {
  return field.enum ? "int32" : ScalarType[field.scalar].toLowerCase();
}

function wireType(field) {
  return field.message ? 2 : (WIRE_TYPE[scalar(field)] ?? 0);
}

function zero(field) {
  const name = scalar(field);
  if (name === "string") return '""';
  if (name === "bytes") return "new Uint8Array(0)";
  if (name === "bool") return "false";
  return name.endsWith("64") ? "0n" : "0";
}
