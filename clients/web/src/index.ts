/**
 * Browser client of Driftless. `connect` enters a room. The room reports what happens, and sends what the
 * player does. See README.md.
 */
export { advice, CloseCode, mayReconnect } from "./code.js";
export { connect } from "./connect.js";
export { type Column, type Field, type Group, type Kind, Schema } from "./codec/schema.js";
export { Snapshot, Table } from "./codec/snapshot.js";
export { type Cause, RoomError, SendError } from "./errors.js";
export { type AnyKinds, type Game, type Kinds, rawGame } from "./game.js";
export type { Identity } from "./identity.js";
export { Interpolation, type InterpolationOptions } from "./interpolation.js";
export {
  type Asker,
  findMatch,
  type Match,
  type MatchOptions,
  queue,
  type QueueOptions,
  type QueueWatch,
} from "./match.js";
export type { Change, Member } from "./members.js";
export {
  decodeMessage,
  encodeMessage,
  gameOf,
  type MessageField,
  type MessageFields,
  type Scalar,
} from "./messages.js";
export type { ConnectOptions, TransportName } from "./options.js";
export type { Prediction } from "./prediction.js";
export { type Entities, Room } from "./room.js";
export type { KindOf, RoomEvents, StateUpdate, Status } from "./room_events.js";
export type { Delivery, Outgoing } from "./session/session.js";
export type { Stats } from "./stats.js";
export { type Timers } from "./timers.js";
export type { Topic, TopicEvent } from "./topic.js";
export {
  type Closed,
  DialError,
  type Dialer,
  type Handlers,
  type Target,
  type Transport,
} from "./transport/transport.js";
export { type Conditions, impaired } from "./transport/impaired.js";
export { webSocket } from "./transport/websocket.js";
export { webTransport } from "./transport/webtransport.js";
export { type Entity, type OwnRow, View } from "./view.js";
export { Rules, type RulesSource, wasm } from "./wasm.js";
