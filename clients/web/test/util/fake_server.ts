import { decodeClientMessage } from "../../src/gen/driftless/v1/client_codec.js";
import type { ClientMessage } from "../../src/gen/driftless/v1/client_pb.js";
import { encodeServerMessage } from "../../src/gen/driftless/v1/server_codec.js";
import type { Delivery, Outgoing } from "../../src/session/session.js";
import { DialError, type Dialer, type Handlers, type Transport } from "../../src/transport/transport.js";
import { type Content, encodeBody, encodeState } from "./encoder.js";
import type { VirtualTimers } from "./virtual_timers.js";

type ServerBody = Parameters<typeof encodeServerMessage>[0]["body"];
type ReliableBody =
  | { case: "event"; value: { tick: number; payload: Uint8Array } }
  | { case: "commandRefused"; value: { command: bigint; reason: string } };
interface Presence {
  since: bigint;
  version: bigint;
  more?: boolean;
  members: { user: string; name: string; players: number[]; connections: number; change: number }[];
}

/** A player's seat. Its x is the sum of its inputs, each a signed byte. */
interface Seat {
  /** 0: a spectator. */
  readonly player: number;
  readonly token: Uint8Array;
  x: number;
  inputReceived: number;
  pendingInputs: number[];
  /** Inputs taken in each tick. */
  inputsByTick: number[];
  commandReceived: number;
  commands: string[];
  reliable: { sequence: bigint; body: ReliableBody }[];
  nextReliable: bigint;
  link: Link | undefined;
}

/** The server's half of the protocol, as far as a client's tests need it, in virtual time. */
export class FakeServer {
  down = false;
  /** Dials that are never answered. */
  hanging = false;
  tick = 0;
  readonly seats: Seat[] = [];
  readonly links: Link[] = [];
  readonly messages: ClientMessage["body"][] = [];
  /** What spectators are told. */
  delayMs = 0;
  /** What is undone, as all are told who come. */
  readonly undone: { after: number; until: number }[] = [];
  /** Whoever resumes is told that the room has come from another node. */
  stoodStill = false;
  /** States are not sent while this is set. */
  silent = false;
  /** Every newcomer is told this, and nothing else. */
  refusal: { code: number; reason: string; moved?: { node: string; url: string; quic: string } } | undefined;
  /** Connections whose join or resume is not answered. */
  mute: (link: Link) => boolean = () => false;
  private readonly history: Content[] = [];
  private ahead = 0;

  constructor(
    readonly timers: VirtualTimers,
    readonly tickRate = 20,
  ) {
    const tick = (): void => {
      this.timers.set(tick, 1000 / this.tickRate);
      this.step();
    };
    this.timers.set(tick, 1000 / this.tickRate);
  }

  /** The server's clock, ms. */
  get now(): number {
    return this.timers.now() + this.ahead;
  }

  /** Time passes that the page's clock does not count, because its machine sleeps. */
  passUnseen(ms: number): void {
    this.ahead += ms;
    this.tick += (ms * this.tickRate) / 1000;
  }

  dialer(name: string, delivery: Delivery): Dialer {
    return {
      name,
      dial: (_, signal) =>
        new Promise((resolve, reject) => {
          signal.addEventListener("abort", () => reject(new DialError("aborted")));
          if (this.hanging) return;
          if (this.down) return reject(new DialError("connection refused"));
          const link = new Link(this, name, delivery);
          this.links.push(link);
          resolve(link);
        }),
    };
  }

  /** All connections break. */
  cut(): void {
    for (const link of this.links.filter((l) => l.open)) link.drop({ code: 1006, reason: "" });
  }

  /** Everything is forgotten. */
  restart(): void {
    this.cut();
    this.seats.length = 0;
  }

  /** It fails: the room goes back to this tick, and on from another. */
  fail(after: number, until: number): void {
    this.cut();
    this.undone.push({ after, until });
    this.tick = until + 2;
  }

  /** An event for all players. */
  event(text: string): void {
    const payload = new TextEncoder().encode(text);
    for (const seat of this.seats)
      this.reliable(seat, { case: "event", value: { tick: this.tick, payload } });
  }

  reliable(seat: Seat, body: ReliableBody): void {
    const item = { sequence: seat.nextReliable++, body };
    seat.reliable.push(item);
    seat.link?.tell({ case: "reliable", value: item });
  }

  /** To everybody. */
  presence(value: Presence): void {
    this.tellAll({ case: "presence", value });
  }

  /** The same, of any message. */
  tellAll(body: object): void {
    for (const link of this.links) if (link.open && link.seat) link.tell(body as never);
  }

  goodbye(
    code: number,
    reason: string,
    reconnectAfterMs = 0,
    moved?: { node: string; url: string; quic: string },
  ): void {
    for (const link of this.links.filter((l) => l.open)) {
      link.tell({ case: "goodbye", value: { code, reason, reconnectAfterMs, ...(moved && { moved }) } });
      link.drop({ code, reason });
    }
  }

  /** @internal */
  take(link: Link, bytes: Uint8Array): void {
    if (link.deaf) return;
    const { body } = decodeClientMessage(bytes);
    this.messages.push(body);
    if (!link.seat && this.mute(link)) return;
    switch (body.case) {
      case "join": {
        const { spectate } = body.value;
        const player = spectate ? 0 : this.seats.length + 1;
        const token = Uint8Array.from({ length: spectate ? 0 : 16 }, () => player);
        const seat: Seat = {
          player,
          token,
          x: 0,
          inputReceived: 0,
          pendingInputs: [],
          inputsByTick: [],
          commandReceived: 0,
          commands: [],
          reliable: [],
          nextReliable: 1n,
          link: undefined,
        };
        this.seats.push(seat);
        return this.welcome(link, seat, false);
      }
      case "resume": {
        const { token, reliableReceived } = body.value;
        const seat = this.seats.find((s) => s.token.every((byte, n) => byte === token[n]));
        if (!seat) {
          link.tell({ case: "goodbye", value: { code: 4009, reason: "no such seat", reconnectAfterMs: 0 } });
          return link.drop({ code: 4009, reason: "no such seat" });
        }
        seat.reliable = seat.reliable.filter((item) => item.sequence > reliableReceived);
        return this.welcome(link, seat, true);
      }
      case "ping": {
        const commandReceived = BigInt(link.seat?.commandReceived ?? 0);
        const serverTimeUs = BigInt(Math.round(this.now * 1000));
        return link.tell({
          case: "pong",
          value: { timeUs: body.value.timeUs, serverTimeUs, commandReceived },
        });
      }
      case "command": {
        const seat = link.seat!;
        const sequence = Number(body.value.sequence);
        if (sequence !== seat.commandReceived + 1) return;
        seat.commandReceived = sequence;
        seat.commands.push(new TextDecoder().decode(body.value.payload));
        return;
      }
      case "input": {
        const seat = link.seat!;
        const { sequence, payload, previous, stateAck, reliableAck } = body.value;
        [...previous, payload].forEach((input, n, all) => {
          const number = sequence - (all.length - 1 - n);
          if (number <= seat.inputReceived) return;
          seat.inputReceived = number;
          seat.pendingInputs.push((input[0]! << 24) >> 24);
        });
        return this.acked(link, stateAck, reliableAck);
      }
      case "ack":
        return this.acked(link, body.value.stateAck, body.value.reliableAck);
      case "leave":
        link.tell({ case: "goodbye", value: { code: 4500, reason: "left", reconnectAfterMs: 0 } });
        return link.drop({ code: 4500, reason: "left" });
      default:
        return;
    }
  }

  private acked(link: Link, state: number, reliable: bigint): void {
    if (state > link.ackedTick) link.ackedTick = state;
    const seat = link.seat!;
    seat.reliable = seat.reliable.filter((item) => item.sequence > reliable);
  }

  private welcome(link: Link, seat: Seat, resumed: boolean): void {
    seat.link?.drop({ code: 4509, reason: "replaced" });
    seat.link = link;
    link.seat = seat;
    link.tell({
      case: "welcome",
      value: {
        protocol: 1,
        player: seat.player,
        resumeToken: seat.token,
        resumeWindowMs: 15_000,
        tickRate: this.tickRate,
        serverTimeUs: BigInt(Math.round(this.now * 1000)),
        epochUs: BigInt(Math.round((this.now - (this.tick * 1000) / this.tickRate) * 1000)),
        schema: SCHEMA,
        room: "lobby",
        kind: "fake",
        user: `guest-${seat.player}`,
        inputReceived: seat.inputReceived,
        commandReceived: BigInt(seat.commandReceived),
        resumed,
        timeoutMs: 10_000,
        undone: this.undone,
        stoodStill: resumed && this.stoodStill,
        spectating: seat.player === 0,
        delayMs: seat.player === 0 ? this.delayMs : 0,
      },
    });
    for (const item of seat.reliable) link.tell({ case: "reliable", value: item });
  }

  private step(): void {
    this.tick++;
    for (const seat of this.seats) {
      seat.inputsByTick.push(seat.pendingInputs.length);
      for (const input of seat.pendingInputs) seat.x += input;
      seat.pendingInputs = [];
    }
    this.history.push(places(this.tick, new Map(this.seats.map((s) => [s.player, s.x]))));
    if (this.history.length > 65) this.history.shift();
    if (this.silent) return;
    for (const link of this.links) if (link.open && link.seat) this.sendState(link);
  }

  private sendState(link: Link): void {
    // At most three states in flight.
    if (link.delivery === "ordered" && link.sentTicks.filter((t) => t > link.ackedTick).length >= 3) return;
    const current = this.history[this.history.length - 1]!;
    const from = link.delivery === "ordered" ? link.sentTicks.at(-1) : link.ackedTick;
    const baseline = this.history.find((s) => s.tick === from && current.tick - s.tick <= 64);
    link.sentTicks.push(current.tick);
    const { tick } = current;
    const body = encodeBody(LAYOUT, current, { baseline });
    const input = link.seat!.inputReceived;
    link.sendRaw(encodeState({ tick, baseline: baseline?.tick, input, body }), true);
  }
}

/** One connection, as the client's transport. */
export class Link implements Transport {
  readonly maxDatagram: number;
  buffered = 0;
  open = true;
  /** What it is sent gets lost. */
  deaf = false;
  seat: Seat | undefined;
  ackedTick = 0;
  sentTicks: number[] = [];
  closedWith: { code: number; reason: string } | undefined;
  private handlers: Handlers | undefined;

  constructor(
    private readonly server: FakeServer,
    readonly name: string,
    readonly delivery: Delivery,
  ) {
    this.maxDatagram = delivery === "datagram" ? 1200 : Infinity;
  }

  start(handlers: Handlers): void {
    this.handlers = handlers;
    const { refusal } = this.server;
    if (!refusal) return;
    this.tell({ case: "goodbye", value: { ...refusal, reconnectAfterMs: 0 } });
    this.drop(refusal);
  }

  send({ bytes }: Outgoing): void {
    if (this.open) this.server.take(this, bytes);
  }

  close(code: number, reason: string): void {
    this.closedWith = { code, reason };
    this.end();
  }

  /** Sent by the server, in the next turn. */
  tell(body: NonNullable<ServerBody>): void {
    this.sendRaw(encodeServerMessage({ body }).finish(), body.case === "pong");
  }

  sendRaw(bytes: Uint8Array, lossy: boolean): void {
    if (!this.open) return;
    this.server.timers.set(() => this.handlers?.message(bytes, lossy && this.delivery === "datagram"), 0);
  }

  /** The server or the network ends the connection, after what was sent. */
  drop(closed: { code: number; reason: string }): void {
    if (!this.open) return;
    this.end();
    const { handlers } = this;
    this.server.timers.set(() => {
      this.handlers = undefined;
      handlers?.closed(closed);
    }, 0);
  }

  private end(): void {
    this.open = false;
    if (this.seat?.link === this) this.seat.link = undefined;
  }
}

const SCHEMA = {
  kinds: [
    {
      name: "player",
      groups: [{ name: "position", fields: [{ name: "x", quantaPerUnit: 10 }], predictor: 1 }],
    },
  ],
};

/** Its layout, for the encoder. */
export const LAYOUT = [[-1]];

/** The players' places as a zone's content. */
export function places(tick: number, xs: ReadonlyMap<number, number>): Content {
  return { tick, kinds: [new Map([...xs].map(([id, x]) => [id, [x]]))] };
}
