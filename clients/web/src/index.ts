export { advice, CloseCode, mayReconnect } from "./code.js";
export { Decoder, type References } from "./codec/delta.js";
export { DeltaError, type DeltaFault } from "./codec/error.js";
export { type Column, type Field, type Group, type Kind, Schema, SchemaError } from "./codec/schema.js";
export { Snapshot, Table } from "./codec/snapshot.js";
export { splitState, type StateHead } from "./codec/state.js";
