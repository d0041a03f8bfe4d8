import type { MessageInitShape } from "@bufbuild/protobuf";
import { DeltaError } from "../codec/error.js";
import { Schema, SchemaError } from "../codec/schema.js";
import type { Snapshot } from "../codec/snapshot.js";
import { MAX_AGE, splitState, type StateHead } from "../codec/state.js";
import { encodeClientMessage } from "../gen/driftless/v1/client_codec.js";
import type { ClientMessageSchema, ColumnCoding } from "../gen/driftless/v1/client_pb.js";
import { decodeServerMessage } from "../gen/driftless/v1/server_codec.js";
import type {
  Event,
  Goodbye,
  Presence,
  Reliable,
  ServerPong,
  TopicMessage,
  Welcome,
} from "../gen/driftless/v1/server_pb.js";
import { Acks } from "./acks.js";
import { Commands } from "./commands.js";
import { ServerFault } from "./fault.js";
import { History } from "./history.js";
import { Inputs } from "./inputs.js";
import { Topics } from "./topics.js";

/** Version of the protocol. */
export const PROTOCOL = 1;
/**
 * What this end reads, preferred first. Numbers, because the generated types are used only as types, which
 * keeps their descriptors out of a bundle.
 */
const DENSE: ColumnCoding.DENSE = 2;
const RICE: ColumnCoding.RICE = 1;
/** Longest payloads, bytes. */
export const MAX_INPUT = 1024;
export const MAX_COMMAND = 4096;
/** Commands that may wait for the server's confirmation. */
const MAX_COMMANDS = 64;
/**
 * Time between the pings that measure the server's clock, ms; shorter until the clock filter has its samples.
 */
const PING_INTERVAL = 2000;
const FIRST_PINGS = 4;
const FIRST_PING_INTERVAL = 250;
/** How long the server may be silent, ms. (The timeout in the welcome is used if it is longer.) */
const TIMEOUT = 10_000;

/** Whether the transport delivers in order, or loses and reorders. */
export type Delivery = "ordered" | "datagram";

/** What to join, and as whom. */
export interface Join {
  readonly room: string;
  readonly kind: string;
  readonly name: string;
  /** JSON, or empty. */
  readonly options: string;
  /** Whether to watch instead of playing. */
  readonly spectate?: boolean;
  /** A seat that is kept, or empty. */
  readonly reservation?: string;
}

/** What the server said. */
export type SessionEvent =
  /** `undone`: the room has gone back to before a command of which it was said that the server has it. */
  | { type: "welcome"; welcome: Welcome; undone: boolean }
  /** `more`: it is more of the newest state, which was told before. */
  | { type: "state"; tick: number; input: number; full: boolean; more: boolean; bytes: number }
  | { type: "event"; event: Event }
  /** `full`: it lists who is already here, rather than changes. */
  | { type: "presence"; presence: Presence; full: boolean; bytes: number }
  | { type: "refused"; command: number; reason: string }
  | { type: "topic"; message: TopicMessage }
  | { type: "pong"; rtt: number; serverTimeUs: number; at: number }
  | { type: "stale"; tick: number }
  /** The player's token is about to expire: get a fresh one, and `renew`. */
  | { type: "tokenExpires" }
  | { type: "goodbye"; goodbye: Goodbye };

/** A message to send. `lossy`: it may go as a datagram. */
export interface Outgoing {
  readonly bytes: Uint8Array;
  readonly lossy: boolean;
}

/** Hello: the join or resume is sent, then nothing until the welcome. Closed: the server said goodbye. */
type Phase = "hello" | "active" | "closed" | "disconnected";

/** What a welcome gives, kept for a resume. */
interface Seat {
  token: Uint8Array;
  room: string;
  reliableReceived: bigint;
  /** Undefined: a token from an earlier page that has not been resumed yet. */
  welcome: Welcome | undefined;
  schema: Schema | undefined;
  inputs: Inputs;
  /** Version of the member list, and whether more of a list that started over is to come. */
  presenceVersion: bigint;
  listing: boolean;
}

/** What ends with the connection. */
interface Link {
  heardAt: number;
  nextPing: number;
  pings: number;
  /** Time in the ping that has not been answered yet. */
  pinged: bigint | undefined;
  /** Time in the server's ping that is to be answered. A newer ping replaces it. */
  pong: bigint | undefined;
  acks: Acks;
  hasState: boolean;
  helloSent: boolean;
  resume: boolean;
  leaveSent: boolean;
  /** A fresh token that is to be sent. */
  renew: string | undefined;
}

/** Why an unconfirmed command is refused when its seat was lost. The same words as in driftless-proto. */
const SEAT_LOST = "the seat was lost before the server confirmed it: it may have been carried out";

type Body = NonNullable<MessageInitShape<typeof ClientMessageSchema>["body"]>;

/**
 * One player's session, over any number of connections: the client's half of driftless-proto's `session`. It
 * knows no socket and no clock: `handle*` takes something in, `poll*` gives something out, and times are
 * milliseconds of any one clock.
 */
export class Session {
  private phase: Phase = "hello";
  private link: Link;
  private seat: Seat | undefined;
  private readonly commands = new Commands(MAX_COMMANDS);
  private history: History | undefined;
  private readonly events: SessionEvent[] = [];
  readonly topics = new Topics();
  private leaving = false;
  /** Acknowledge without waiting for an input: the page is hidden, so timers sleep and no inputs are sent. */
  ackAlone = false;

  constructor(
    now: number,
    private readonly join: Join,
    private delivery: Delivery,
    earlier?: { token: Uint8Array; reliableReceived: bigint },
  ) {
    if (earlier) {
      const inputs = new Inputs();
      const nothing = { welcome: undefined, schema: undefined, presenceVersion: 0n, listing: false };
      this.seat = { ...earlier, room: join.room, inputs, ...nothing };
    }
    this.link = newLink(now, delivery, earlier !== undefined);
  }

  get snapshot(): Snapshot | undefined {
    return this.history?.current;
  }

  /** Whether the snapshot shows an entity as it was, or should have moved since, at an earlier tick. */
  readonly isLate = (kind: number, id: number): boolean => this.history?.isLate(kind, id) === true;

  get welcome(): Welcome | undefined {
    return this.seat?.welcome;
  }

  get schema(): Schema | undefined {
    return this.seat?.schema;
  }

  /** The client has no seat, and may send nothing. */
  get spectating(): boolean {
    return this.seat?.welcome?.spectating === true;
  }

  get isActive(): boolean {
    return this.phase === "active";
  }

  /** What identifies the seat, for a resume from another page. */
  get resumption(): { token: Uint8Array; reliableReceived: bigint } | undefined {
    return this.seat?.token.length
      ? { token: this.seat.token, reliableReceived: this.seat.reliableReceived }
      : undefined;
  }

  /**
   * Handles a message. Throws a ServerFault, after which the session is disconnected. What arrives while
   * closed is ignored.
   */
  handleMessage(now: number, message: Uint8Array): void {
    if (this.phase === "closed" || this.phase === "disconnected") return;
    this.link.heardAt = now;
    try {
      this.take(now, message);
    } catch (error) {
      this.phase = "disconnected";
      throw asFault(error);
    }
  }

  pollEvent(): SessionEvent | undefined {
    return this.events.shift();
  }

  /**
   * The next message to send. An acknowledgement travels with the next input; if none comes, it is sent
   * alone.
   */
  pollTransmit(now: number, maxDatagram = Infinity): Outgoing | undefined {
    const body = this.nextBody(now);
    if (!body) return undefined;
    let bytes = encodeClientMessage({ body }).finish();
    if (body.case === "input") {
      // Repeated inputs that do not fit the datagram are left out, the oldest first.
      let previous = body.value.previous ?? [];
      while (bytes.length > maxDatagram && previous.length > 0) {
        previous = previous.slice(1);
        const previousMoments = body.value.previousMoments?.slice(-previous.length || Infinity);
        const value = { ...body.value, previous, previousMoments };
        const shorter: Body = { case: "input", value: value as typeof body.value };
        bytes = encodeClientMessage({ body: shorter }).finish();
      }
    }
    const lossy =
      body.case === "input" || body.case === "ack" || body.case === "ping" || body.case === "pong";
    return { bytes, lossy: lossy && bytes.length <= maxDatagram };
  }

  /** When to call `handleTimeout`, or `pollTransmit` for a message that is due by itself. */
  pollTimeout(): number | undefined {
    switch (this.phase) {
      case "hello":
        return this.silentAt();
      case "active": {
        if (this.link.leaveSent) return this.silentAt();
        const timer = Math.min(this.silentAt(), this.link.nextPing);
        return Math.min(timer, this.link.acks.dueAt ?? timer);
      }
      default:
        return undefined;
    }
  }

  /** Time has passed. Throws a ServerFault once the server has been silent for too long. */
  handleTimeout(now: number): void {
    if ((this.phase === "hello" || this.phase === "active") && now >= this.silentAt()) {
      this.phase = "disconnected";
      throw new ServerFault("silent", `nothing for ${Math.round(now - this.link.heardAt)} ms`);
    }
  }

  /**
   * The page slept (a frozen tab, a closed lid), so the silence meanwhile proves nothing. The server has
   * `grace` ms from now, and is pinged.
   */
  handleWake(now: number, grace: number): void {
    const silence = this.silentAt() - this.link.heardAt;
    this.link.heardAt = Math.max(this.link.heardAt, now - silence + grace);
    this.link.nextPing = now;
  }

  /** The clock is in doubt: it is measured anew, with a few pings in quick succession. */
  measure(now: number): void {
    if (this.link.pings <= FIRST_PINGS) return;
    this.link.pings = 0;
    this.link.nextPing = now;
  }

  /**
   * Queues an input and returns its number; undefined when not in the room. `moment`: tick and fraction that
   * the player was shown when acting; the newest state's, if nothing is said.
   */
  sendInput(payload: Uint8Array, moment = this.snapshot?.tick ?? 0): number | undefined {
    if (this.phase !== "active" || this.leaving || !this.seat || this.spectating) return undefined;
    return this.seat.inputs.push(moment, payload);
  }

  /**
   * Queues a command. It is kept, and sent again after a resume, until the server has it. Undefined: too many
   * are waiting.
   */
  sendCommand(payload: Uint8Array): number | undefined {
    return this.commands.push(payload);
  }

  /** Commands that the server has not confirmed. */
  get commandsWaiting(): number {
    return this.commands.length;
  }

  /** Sends a fresh token, in answer to `tokenExpires`. */
  renew(token: string): void {
    this.link.renew = token;
  }

  /** Gives up the seat: a leave is sent after what is queued. */
  leave(): void {
    this.leaving = true;
  }

  /** The connection was lost. What was queued for it is dropped; commands are kept. */
  disconnected(): void {
    if (this.phase !== "closed") this.phase = "disconnected";
    this.topics.disconnected();
  }

  /**
   * There is a new connection: resumes the seat if there is one and `rejoin` is false, else joins anew, as a
   * spectator always does.
   */
  reconnected(now: number, rejoin: boolean, delivery: Delivery): void {
    this.phase = "hello";
    this.delivery = delivery;
    this.link = newLink(now, delivery, this.resumption !== undefined && !rejoin);
    this.commands.disconnected();
    this.topics.disconnected();
  }

  private nextBody(now: number): Body | undefined {
    const { link, seat } = this;
    if (this.phase === "hello") {
      if (link.helloSent) return this.nextLeave();
      link.helloSent = true;
      const codings = [DENSE, RICE];
      if (seat && link.resume) {
        const { token, room, reliableReceived, presenceVersion } = seat;
        const value = { protocol: PROTOCOL, room, token, reliableReceived, codings, presenceVersion };
        return { case: "resume", value };
      }
      return { case: "join", value: { protocol: PROTOCOL, ...this.join, codings } };
    }
    if (this.phase !== "active" || !seat || link.leaveSent) return undefined;
    if (link.pong !== undefined) {
      const timeUs = link.pong;
      link.pong = undefined;
      return { case: "pong", value: { timeUs } };
    }
    // Half of the allowed commands are waiting: ask earlier which ones the server has.
    const crowded = link.pinged === undefined && this.commands.length * 2 > this.commands.most;
    if (now >= link.nextPing || crowded) {
      link.pinged = BigInt(Math.round(now * 1000));
      link.nextPing = now + (++link.pings <= FIRST_PINGS ? FIRST_PING_INTERVAL : PING_INTERVAL);
      return { case: "ping", value: { timeUs: link.pinged } };
    }
    if (link.renew !== undefined) {
      const token = link.renew;
      link.renew = undefined;
      return { case: "renew", value: { token } };
    }
    const asked = this.topics.next();
    if (asked) return asked;
    const command = this.spectating ? undefined : this.commands.next();
    if (command) return { case: "command", value: command };
    const input = seat.inputs.next();
    const tick = this.tickInterval;
    if (input) return { case: "input", value: { ...input, ...link.acks.take(now, tick) } };
    if (link.acks.dueAt !== undefined && now >= link.acks.dueAt)
      return { case: "ack", value: link.acks.take(now, tick) };
    return this.nextLeave();
  }

  private nextLeave(): Body | undefined {
    if (!this.leaving || this.link.leaveSent) return undefined;
    this.link.leaveSent = true;
    return { case: "leave", value: {} };
  }

  /** When something came last over this connection. */
  get heardAt(): number {
    return this.link.heardAt;
  }

  private silentAt(): number {
    return this.link.heardAt + Math.max(TIMEOUT, this.seat?.welcome?.timeoutMs ?? 0);
  }

  /** Time between two ticks of the room, ms. Before the welcome, a second. */
  get tickInterval(): number {
    return 1000 / (this.seat?.welcome?.tickRate || 1);
  }

  private take(now: number, bytes: Uint8Array): void {
    const head = splitState(bytes);
    if (head) return this.takeState(now, head, bytes.length);
    const { body } = decodeServerMessage(bytes);
    switch (body.case) {
      case undefined:
        return; // a kind of message that this version does not know
      case "welcome":
        if (this.phase === "hello" && this.link.helloSent) return this.takeWelcome(now, body.value);
        throw new ServerFault("unexpected", "welcome");
      case "goodbye":
        this.phase = "closed";
        this.events.push({ type: "goodbye", goodbye: body.value });
        return;
      case "serverPing":
        this.link.pong = body.value.timeUs;
        return;
      case "reliable":
        if (this.phase === "active") return this.takeReliable(now, body.value);
        throw new ServerFault("unexpected", "reliable message before the welcome");
      case "presence":
        if (this.phase === "active") return this.takePresence(body.value, bytes.length);
        throw new ServerFault("unexpected", "presence before the welcome");
      case "pong":
        if (this.phase === "active") return this.takePong(now, body.value);
        throw new ServerFault("unexpected", "pong before the welcome");
      case "topic":
        if (this.topics.take(body.value)) this.events.push({ type: "topic", message: body.value });
        return;
      case "tokenExpires":
        this.events.push({ type: "tokenExpires" });
        return;
    }
  }

  private takeWelcome(now: number, welcome: Welcome): void {
    if (welcome.protocol !== PROTOCOL) {
      throw new ServerFault(
        "version",
        `the server speaks protocol ${welcome.protocol}, this SDK ${PROTOCOL}`,
      );
    }
    if (welcome.resumed && !this.link.resume)
      throw new ServerFault("unexpected", "welcome that answers a resume, after a join");
    const schema = Schema.fromWire(welcome.schema);
    const old = welcome.resumed ? this.seat : undefined;
    const same = old?.schema?.equals(schema) === true;
    if (!same) this.history = new History(schema, welcome.tickRate);
    const lost = welcome.resumed ? [] : this.commands.newSeat();
    const received = Number(welcome.commandReceived);
    if (old && !old.welcome) this.commands.adopt(received);
    else this.commands.confirm(received);
    const inputs = old?.inputs ?? new Inputs();
    inputs.welcomed(this.delivery === "datagram", welcome.inputReceived, welcome.stoodStill);
    this.seat = {
      token: welcome.resumeToken,
      room: welcome.room,
      reliableReceived: old?.reliableReceived ?? 0n,
      welcome,
      // The snapshots that are kept refer to the old object.
      schema: same ? old.schema : schema,
      inputs,
      presenceVersion: old?.presenceVersion ?? 0n,
      listing: old?.listing ?? false,
    };
    this.phase = "active";
    this.link.nextPing = now;
    this.events.push({ type: "welcome", welcome, undone: this.commands.confirmed > received });
    for (const command of lost) this.events.push({ type: "refused", command, reason: SEAT_LOST });
  }

  private takeState(now: number, head: StateHead, bytes: number): void {
    const { seat, link, history } = this;
    const ordered = this.delivery === "ordered";
    if (this.phase !== "active" || !seat || !history) {
      if (ordered) throw new ServerFault("unexpected", "state before the welcome");
      return; // it overtook the welcome, which comes on a stream
    }
    const applied = history.tick;
    const { tick, input, number } = head;
    const first = !link.hasState;
    const full = head.baseline === undefined;
    // A resume begins with the room's newest state, which may be the one that was applied before the
    // connection was lost.
    const again = first && tick === applied && (full || head.apart);
    // The state of a tick may come in several datagrams.
    const more = !first && !ordered && tick === applied && !link.acks.has(number);
    if (applied !== undefined && tick <= applied && !again && !more) {
      this.events.push({ type: "stale", tick });
      if (ordered) throw new ServerFault("stale", `state of tick ${tick} after ${applied}`);
      return;
    }
    history.apply(head, ordered ? 2 : MAX_AGE + 1, first);
    link.hasState = true;
    link.acks.takeState(number);
    link.acks.want(now, this.tickInterval, this.ackAlone || this.spectating);
    seat.inputs.confirm(input);
    if (!again) this.events.push({ type: "state", tick, input, full: full && !head.apart, more, bytes });
  }

  private takeReliable(now: number, reliable: Reliable): void {
    const seat = this.seat!;
    const last = seat.reliableReceived;
    const { sequence, body } = reliable;
    // A repeat is acknowledged again: the acknowledgement may be what was lost.
    this.link.acks.takeReliable(sequence > last ? sequence : last);
    this.link.acks.want(now, this.tickInterval, this.ackAlone || this.spectating);
    if (sequence <= last) return;
    if (sequence - last > 1n) throw new ServerFault("gap", `reliable message ${sequence} after ${last}`);
    seat.reliableReceived = sequence;
    // A kind that this version does not know still has its number.
    if (body.case === "event") this.events.push({ type: "event", event: body.value });
    else if (body.case === "commandRefused") {
      const sequence = Number(body.value.command);
      // The server has it. Otherwise the loss of the seat would refuse it once more.
      this.commands.confirm(sequence);
      const command = this.commands.numberOf(sequence);
      this.events.push({ type: "refused", command, reason: body.value.reason });
    }
  }

  private takePresence(presence: Presence, bytes: number): void {
    const seat = this.seat!;
    const { since, version, more } = presence;
    if (since > seat.presenceVersion) {
      throw new ServerFault("gap", `members since version ${since} after ${seat.presenceVersion}`);
    }
    if (since === 0n) seat.listing = true;
    this.events.push({ type: "presence", presence, full: seat.listing, bytes });
    seat.presenceVersion = version;
    if (!more) seat.listing = false;
  }

  private takePong(now: number, pong: ServerPong): void {
    this.commands.confirm(Number(pong.commandReceived));
    if (this.link.pinged !== pong.timeUs) return;
    this.link.pinged = undefined;
    const rtt = Math.max(0, now - Number(pong.timeUs) / 1000);
    this.events.push({ type: "pong", rtt, serverTimeUs: Number(pong.serverTimeUs), at: now });
  }
}

function newLink(now: number, delivery: Delivery, resume: boolean): Link {
  return {
    heardAt: now,
    nextPing: now,
    pings: 0,
    pinged: undefined,
    pong: undefined,
    acks: new Acks(delivery === "datagram"),
    hasState: false,
    helloSent: false,
    resume,
    leaveSent: false,
    renew: undefined,
  };
}

/** Converts whatever reading threw, attributing it to whoever is at fault. */
function asFault(error: unknown): ServerFault {
  if (error instanceof ServerFault) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof DeltaError) return new ServerFault("delta", message);
  if (error instanceof SchemaError) return new ServerFault("schema", message);
  return new ServerFault("malformed", message);
}
