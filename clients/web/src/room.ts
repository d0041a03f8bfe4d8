import type { Snapshot } from "./codec/snapshot.js";
import type { Core, CoreEvent } from "./core.js";
import { Emitter, reported } from "./emitter.js";
import { RoomError, SendError } from "./errors.js";
import type { AnyKinds, Game, Kinds } from "./game.js";
import type { Welcome } from "./gen/driftless/v1/server_pb.js";
import { InputClock } from "./input_clock.js";
import { Interpolation, type InterpolationOptions } from "./interpolation.js";
import { type Member, takePresence } from "./members.js";
import type { Prediction } from "./prediction.js";
import { ServerFault } from "./session/fault.js";
import { MAX_COMMAND, MAX_INPUT } from "./session/session.js";
import { Sight } from "./sight.js";
import type { Stats } from "./stats.js";
import type { Timers } from "./timers.js";
import type { Paths } from "./transport/paths.js";
import type { Transport } from "./transport/transport.js";
import { View } from "./view.js";

/** The state of a room's connection. */
export type Status =
  /**
   * In the room. `resumed`: the seat was kept; otherwise this is a new player. Reported again when the
   * transport changes.
   */
  | { readonly phase: "joined"; readonly transport: string; readonly resumed: boolean }
  /** The connection was lost; the next attempt follows in `retryIn` ms. */
  | { readonly phase: "reconnecting"; readonly cause: RoomError; readonly retryIn: number }
  /** It has ended, and does not reconnect by itself. */
  | { readonly phase: "closed"; readonly cause: RoomError };

/** A newer state. At most one per frame where frames are drawn: those in between are superseded. */
export interface StateUpdate {
  readonly tick: number;
  /** Number of the player's last input that the state contains. */
  readonly input: number;
  readonly snapshot: Snapshot;
}

/** An entity, and of which kind it is. */
export type KindOf<K extends Kinds<K>> = {
  readonly [N in keyof K & string]: { readonly kind: N; readonly id: number; readonly entity: K[N] };
}[keyof K & string];

/** The events of a room. */
export interface RoomEvents<Input, Event, K extends Kinds<K> = AnyKinds> {
  state: StateUpdate;
  /**
   * An entity came into view: it is in the newest state and was not in the one before. `entity` is as in that
   * state, which `room.entities` shows `renderDelay` later. A first listener is told all that there are.
   */
  enter: KindOf<K>;
  /** An entity left the view: it is gone, or where this player does not see it. */
  leave: { readonly kind: keyof K & string; readonly id: number };
  /** Something happened in the game. Each event comes once, in order, also across reconnects. */
  event: { readonly tick: number; readonly event: Event };
  /**
   * The members of the room: `changed` is everybody (with `full`: after joining, one event for each page of a
   * long list), and then only those who changed.
   */
  presence: {
    readonly members: ReadonlyMap<string, Member>;
    readonly changed: readonly Member[];
    readonly full: boolean;
  };
  status: Status;
  /**
   * The next tick needs an input: call `send` in this very listener. Comes at the tick rate, whatever the
   * rate of other events.
   */
  tick: { readonly tick: number };
  /** An input was sent, with this number. */
  input: { readonly sequence: number; readonly input: Input };
  /**
   * The server did not carry out a command; or nobody knows whether it did, because the seat was lost before
   * it was confirmed.
   */
  refused: { readonly command: number; readonly reason: string };
  /**
   * The room was restored after a failure of its server: what happened after tick `after`, up to tick
   * `until`, the last one shown, is undone, although states and events have told of it. Comes before the
   * status `joined`.
   */
  rolledBack: { readonly after: number; readonly until: number };
}

/** What a topic says to those who read it. */
export interface TopicEvent {
  /**
   * `event`: something was published. `begun`: it is read from here. `gap`: the same, and something may have
   * been missed. `over`: it is not read any more; `event` says why, in a word, and `text` for developers.
   */
  readonly type: "event" | "begun" | "gap" | "over";
  readonly id: string;
  /** The name that its publisher gave it, or empty. */
  readonly event: string;
  readonly text: string;
}

/** A topic, as `Room.topic` gives it. */
export interface Topic {
  /**
   * Publishes a text of at most 4 KiB in the topic, if the player's token allows it, and resolves to the
   * event's id. `event` names it, for readers who listen to several kinds; with `latest`, it replaces the
   * event before it of which this was said. Rejects with a SendError whose `code` says why: "forbidden",
   * "too_often", "unavailable"; with "connection_lost" it may be published all the same.
   */
  publish(text: string, as?: { event?: string; latest?: boolean }): Promise<string>;
  /** Reads it no longer. */
  stop(): void;
}

const TOPIC_TYPES = ["event", "begun", "gap", "over"] as const;

/** The room's entities as they should be shown now. */
export interface Entities<K extends Kinds<K> = AnyKinds> {
  /** The entities of a kind, by ascending id; their fields are in units of the game's measure. */
  all<N extends keyof K & string>(kind: N): K[N][];
  get<N extends keyof K & string>(kind: N, id: number): K[N] | undefined;
}

/**
 * If more bytes than this wait in the transport, inputs and acknowledgements wait, and only the newest are
 * sent then.
 */
const MAX_BUFFERED = 16 * 1024;
/** Time until the next look at it, ms. */
const BUFFER_POLL = 30;
/** How long `leave` waits for the server's goodbye, ms. */
const LEAVE_TIMEOUT = 5000;
/**
 * A frame that is this late, ms, may never come: the page is not visible anywhere, although it is not hidden.
 */
const NO_PICTURE = 1000;
/** How far apart the epochs of a room at two nodes can be, ms. */
const SAME_CLOCK = 1000;
/** Time between two attempts to connect beside a connection over which nothing comes, ms. */
const BESIDE_AGAIN = 1000;
/** How long the seat may take to move to another transport, ms. */
const MOVE_TIMEOUT = 3000;

/** A player in a room. Made by `connect`. */
export class Room<
  Input = Uint8Array,
  Command = Uint8Array,
  Event = Uint8Array,
  K extends Kinds<K> = AnyKinds,
> {
  private readonly emitter = new Emitter<RoomEvents<Input, Event, K>>("event", "refused");
  private readonly sight = new Sight();
  private readonly memberMap = new Map<string, Member>();
  private readonly inputClock = new InputClock();
  private readonly topics = new Map<string, (event: TopicEvent) => void>();
  private transport: Transport | undefined;
  /**
   * While the seat moves: the transport that it comes from, until the server has sent a welcome over the
   * other one.
   */
  private retiring: Transport | undefined;
  /**
   * The attempt in progress, to reconnect or to move: never more than one. Its result counts only while it is
   * the current one.
   */
  private dialing: AbortController | undefined;
  private moveTimer: number | undefined;
  /** When the next attempt may begin to connect beside a connection over which nothing comes. */
  private besideAt = 0;
  private timer: number | undefined;
  private inputTimer: number | undefined;
  private interpolator: Interpolation | undefined;
  private pendingInput: { input: Input; payload: Uint8Array; moment: number | undefined } | undefined;
  private pendingState: { tick: number; input: number; since: number } | undefined;
  private readonly unwatch: () => void;
  private current: Status | undefined;
  private readonly ended: Promise<void>;
  private end: () => void = () => {};
  /** Time of the room's tick 0 by the server's clock, ms, as the last welcome says it. */
  private epoch: number | undefined;
  /** Tick of the newest state or event. 0: none. */
  private seen = 0;
  /** The last tick of the last roll-back that a welcome has told of. */
  private known = 0;
  private firstWelcome: { resolve: () => void; reject: (error: RoomError) => void } | undefined;

  /** @internal */
  constructor(
    private readonly core: Core,
    private readonly timers: Timers,
    private readonly game: Game<Input, Command, Event, K>,
    private readonly interpolation: InterpolationOptions | false,
    private readonly paths: Paths,
    /** Prediction of the player's own entity. Undefined: `connect` was given no rules for it. */
    readonly prediction: Prediction | undefined,
  ) {
    this.ended = new Promise((resolve) => (this.end = resolve));
    this.core.session.ackAlone = timers.hidden();
    this.unwatch = timers.watch(() => this.woken());
  }

  /**
   * Adds a listener, and returns a function that removes it. `event` and `refused` are kept until their first
   * listener is added.
   */
  on<T extends keyof RoomEvents<Input, Event>>(
    type: T,
    listener: (event: RoomEvents<Input, Event, K>[T]) => void,
  ): () => void {
    const off = this.emitter.on(type, listener);
    if (type === "tick") this.scheduleInput();
    return off;
  }

  /**
   * Sends an input with the next tick, and with it what `entities` shows now: a server with lag compensation
   * judges by that. Only the newest counts: calling this again before the tick replaces the input. Ignored
   * while not connected (the moment that it was meant for would be past). Throws what encoding it throws, and
   * a SendError if it is too long, or if the client only watches.
   */
  send(input: Input): void {
    this.checkPlays();
    const payload = this.game.encodeInput(input);
    if (payload.length > MAX_INPUT) {
      throw new SendError(`an input of ${payload.length} bytes; at most ${MAX_INPUT} are allowed`);
    }
    this.pendingInput = { input, payload, moment: this.shown?.time };
    this.scheduleInput();
  }

  /**
   * Sends a command, exactly once and in order, kept across reconnects until the server has it. Returns its
   * number, which a `refused` event names; the numbers of a room are unique. Throws a SendError.
   */
  command(command: Command): number {
    this.checkPlays();
    if (this.core.hasEnded) throw new SendError("the room has ended: connect again");
    const payload = this.game.encodeCommand(command);
    if (payload.length > MAX_COMMAND) {
      throw new SendError(
        `a command of ${payload.length} bytes; at most ${MAX_COMMAND} are allowed: split it`,
      );
    }
    const sequence = this.core.session.sendCommand(payload);
    if (sequence === undefined)
      throw new SendError("too many commands wait for the server's confirmation: send fewer");
    this.pump();
    return sequence;
  }

  /**
   * Reads a topic over the room's connection, and again after a reconnect: each event once, in order.
   * `after`: the id of the last event that is known, or "0" for everything that is kept; without it, it
   * begins with what is published from now on. Without a listener nothing is read, but `publish` is there.
   */
  topic(name: string, listener?: (event: TopicEvent) => void, after = ""): Topic {
    const { session } = this.core;
    const { topics } = session;
    if (listener) {
      this.topics.set(name, listener);
      topics.read(name, after);
      this.pump();
    }
    return {
      publish: (text, as) => {
        const published = topics.publish({ ...as, topic: name, text });
        if (session.isActive) this.pump();
        else topics.disconnected();
        return published;
      },
      stop: () => {
        if (this.topics.get(name) !== listener) return;
        this.topics.delete(name);
        topics.stop(name);
        this.pump();
      },
    };
  }

  private checkPlays(): void {
    if (this.spectating) throw new SendError("a spectator sends no inputs and no commands");
  }

  /** The entities as they should be shown now: interpolated, unless that is switched off. */
  get entities(): Entities<K> {
    return this.view ?? (NOTHING as unknown as Entities<K>);
  }

  /** What is shown now. Undefined before the first state. */
  get view(): View<K> | undefined {
    return this.shown?.withOwn(this.prediction?.shown(this.timers.now(), this.pendingInput?.payload));
  }

  /** The same without prediction. */
  private get shown(): View | undefined {
    const now = this.serverTime;
    const shown = now === undefined ? undefined : this.interpolator?.advance(now);
    return shown && this.interpolate ? shown : this.state && new View(this.state, undefined, 0, 0);
  }

  /** Whether `entities` interpolates. Can be switched at any time. */
  interpolate = true;

  /** The newest state as it arrived. */
  get state(): Snapshot | undefined {
    return this.core.session.snapshot;
  }

  /** The members of the room, by user. */
  get members(): ReadonlyMap<string, Member> {
    return this.memberMap;
  }

  /** The member in this player's seat: `room.member(entity.id)?.name`, where entities have players' ids. */
  member(player: number): Member | undefined {
    for (const member of this.memberMap.values()) if (member.players.includes(player)) return member;
    return undefined;
  }

  /** Counts and measurements; a live object. */
  get stats(): Readonly<Stats> {
    return this.core.meter.stats;
  }

  get status(): Status {
    return this.current!;
  }

  /** Whether the client only watches: because it asked to, or because of who it is. */
  get spectating(): boolean {
    return this.core.session.spectating;
  }

  /** How long ago what a spectator is shown was, ms: as long as the room says. */
  get delay(): number {
    return this.core.session.welcome?.delayMs ?? 0;
  }

  /** The player's number in this room. 0: a spectator. */
  get player(): number {
    return this.core.session.welcome?.player ?? 0;
  }

  /** The user id under which presence lists this player. */
  get user(): string {
    return this.core.session.welcome?.user ?? "";
  }

  get name(): string {
    return this.core.session.welcome?.room ?? "";
  }

  get kind(): string {
    return this.core.session.welcome?.kind ?? "";
  }

  /** Ticks per second. */
  get tickRate(): number {
    return this.core.session.welcome?.tickRate ?? 0;
  }

  /** What the server's clock shows now, ms. Those of nodes agree. */
  get serverTime(): number | undefined {
    return this.core.clock.serverTime(this.timers.now());
  }

  /** The age of the newest state, since its tick was due, ms. */
  get stateAge(): number | undefined {
    const due = this.state && this.core.tickDue(this.state.tick);
    return due === undefined || this.serverTime === undefined ? undefined : this.serverTime - due;
  }

  /** How far in the past entities are shown, ms. */
  get renderDelay(): number {
    return this.interpolate ? (this.interpolator?.renderDelay ?? 0) : 0;
  }

  /**
   * Identifies the seat: given to `connect` by the next page within the resume window, it continues where
   * this one stopped. A secret.
   */
  get token(): string {
    const seat = this.core.session.resumption;
    if (!seat) return "";
    return `${[...seat.token].map((byte) => byte.toString(16).padStart(2, "0")).join("")}.${seat.reliableReceived}`;
  }

  /** Gives up the seat and waits for the server's goodbye (at most 5 s). */
  async leave(): Promise<void> {
    if (this.core.hasEnded) return;
    this.core.leave(this.timers.now());
    const timer = this.timers.set(() => this.disconnected(RoomError.left()), LEAVE_TIMEOUT);
    this.pump();
    if (this.core.hasEnded) this.settle();
    await this.ended;
    this.timers.clear(timer);
  }

  /** Drops the connection like a broken network, for trying it out: the room reconnects. */
  disconnect(): void {
    if (this.core.phase.name !== "online") return;
    this.disconnected(RoomError.closed({ code: 1006, reason: "disconnect() was called" }));
  }

  /** @internal Takes the first transport, and waits for the welcome. */
  async open(transport: Transport): Promise<void> {
    const welcomed = new Promise<void>((resolve, reject) => (this.firstWelcome = { resolve, reject }));
    this.attach(transport);
    await welcomed;
  }

  private attach(transport: Transport): void {
    this.transport = transport;
    this.core.meter.stats.transport = transport.name;
    transport.start({
      message: (bytes, lossy = false) => {
        if (this.transport !== transport) return;
        if (lossy) this.core.meter.stats.unorderedDown++;
        try {
          this.core.handleMessage(this.timers.now(), bytes);
        } catch (error) {
          return this.fault(error);
        } finally {
          this.takeEvents();
        }
        this.pump();
      },
      closed: (closed) => {
        if (this.transport !== transport) return;
        this.transport = undefined;
        this.disconnected(RoomError.closed(closed));
      },
    });
    this.pump();
  }

  /** Sends what is due, and sets the timer for what will be due by itself. */
  private pump(): void {
    const { transport, core } = this;
    const now = this.timers.now();
    let next = core.pollTimeout();
    if (transport && core.phase.name === "online") {
      while (transport.buffered <= MAX_BUFFERED) {
        const out = core.pollTransmit(now, transport.maxDatagram);
        if (!out) break;
        transport.send(out);
      }
      next = core.pollTimeout();
      if (transport.buffered > MAX_BUFFERED) {
        next = now + BUFFER_POLL;
        // It is this client that gets nothing through.
        this.besideAt = now + BESIDE_AGAIN;
      }
    }
    this.timers.clear(this.timer);
    this.timer = undefined;
    const due = Math.min(next ?? Infinity, this.doubtAt);
    if (due === Infinity) return;
    this.timer = this.timers.set(() => this.timeout(due), Math.max(0, due - now));
  }

  private timeout(due: number): void {
    this.timer = undefined;
    if (this.core.phase.name === "waiting") return this.redial();
    try {
      this.core.handleTimeout(this.timers.now(), due);
    } catch (error) {
      return this.fault(error);
    }
    if (this.timers.now() >= this.doubtAt) this.beside();
    this.pump();
  }

  private redial(): void {
    this.core.handleDialing();
    this.paths.node = this.core.node;
    this.dial(
      (signal) => this.paths.dial(signal),
      (transport) => {
        this.core.handleConnected(this.timers.now(), transport.delivery);
        this.attach(transport);
      },
      (error) => this.disconnected(RoomError.dial(error)),
    );
  }

  private get doubtAt(): number {
    return this.dialing ? Infinity : Math.max(this.core.doubtAt, this.besideAt);
  }

  /** Nothing comes: opens another connection, which takes the place of this one if it is there first. */
  private beside(): void {
    this.paths.node = undefined;
    const again = (): void => {
      this.besideAt = this.timers.now() + BESIDE_AGAIN;
      this.paths.node = this.core.node;
      this.scheduleMove();
      this.pump();
    };
    this.dial(
      (signal) => this.paths.dial(signal),
      (transport) => {
        const now = this.timers.now();
        if (now < this.core.doubtAt) {
          transport.close(1000, "not needed any more");
          return again();
        }
        this.disconnected(RoomError.fault(new ServerFault("silent", "another connection is there")));
        this.core.handleDialing();
        this.core.handleConnected(now, transport.delivery);
        this.attach(transport);
      },
      again,
    );
  }

  /** Makes the attempt, of which there is one at most. One that was abandoned has no effect. */
  private dial(
    start: (signal: AbortSignal) => Promise<Transport>,
    opened: (transport: Transport) => void,
    failed: (error: unknown) => void,
  ): void {
    this.dialing?.abort();
    const dialing = (this.dialing = new AbortController());
    this.paths.rtt = this.stats.smoothedRtt;
    const isCurrent = (): boolean => {
      if (this.dialing !== dialing) return false;
      this.dialing = undefined;
      return true;
    };
    start(dialing.signal).then(
      (transport) => (isCurrent() ? opened(transport) : transport.close(1000, "not needed any more")),
      (error: unknown) => void (isCurrent() && failed(error)),
    );
  }

  /**
   * On a transport that is not the preferred one: tries for a better one when it is time, unnoticed, and
   * moves the seat to it.
   */
  private scheduleMove(): void {
    this.timers.clear(this.moveTimer);
    const at = this.paths.retryAt;
    if (at === undefined) return;
    this.moveTimer = this.timers.set(
      () => {
        if (!this.core.mayMove || this.dialing) return; // scheduled again when there is a welcome, or that attempt is over
        this.dial(
          (signal) => this.paths.dialBetter(signal),
          (transport) =>
            this.core.mayMove ? this.move(transport) : transport.close(1000, "not needed any more"),
          () => this.scheduleMove(),
        );
      },
      Math.max(0, at - this.timers.now()),
    );
  }

  private move(transport: Transport): void {
    this.retiring = this.transport;
    this.core.handleMoved(this.timers.now(), transport.delivery);
    const cause = RoomError.closed({ code: 1006, reason: `no welcome over ${transport.name}` });
    this.moveTimer = this.timers.set(() => this.disconnected(cause), MOVE_TIMEOUT);
    this.attach(transport);
  }

  private fault(error: unknown): void {
    if (!(error instanceof ServerFault)) throw error;
    this.disconnected(RoomError.fault(error));
  }

  private disconnected(cause: RoomError): void {
    this.dialing?.abort();
    this.dialing = undefined;
    this.transport?.close(
      this.core.isClosing || cause.origin === "left" ? 1000 : cause.code >= 4000 ? cause.code : 3000,
      "",
    );
    this.transport = undefined;
    if (this.retiring) this.paths.failed(this.retiring.name);
    this.retiring?.close(1000, "");
    this.retiring = undefined;
    this.timers.clear(this.moveTimer);
    this.core.handleDisconnected(this.timers.now(), cause);
    this.settle();
    this.pump();
  }

  /** Reports what became of the room when its connection was lost. */
  private settle(): void {
    const { phase } = this.core;
    if (phase.name === "waiting") {
      this.setStatus({
        phase: "reconnecting",
        cause: phase.cause,
        retryIn: Math.max(0, phase.until - this.timers.now()),
      });
    } else if (phase.name === "ended" && this.current?.phase !== "closed") {
      this.unwatch();
      this.timers.clear(this.timer);
      this.timers.clear(this.inputTimer);
      this.dialing?.abort();
      this.dialing = undefined;
      this.transport?.close(1000, "");
      this.transport = undefined;
      this.firstWelcome?.reject(phase.cause);
      this.firstWelcome = undefined;
      this.setStatus({ phase: "closed", cause: phase.cause });
      this.end();
    }
  }

  private setStatus(status: Status): void {
    this.current = status;
    this.emitter.emit("status", status);
  }

  private takeEvents(): void {
    for (let event = this.core.pollEvent(); event; event = this.core.pollEvent()) this.takeEvent(event);
  }

  private takeEvent(event: CoreEvent): void {
    switch (event.type) {
      case "welcome":
        return this.takeWelcome(event.welcome, event.undone);
      case "state": {
        const state = this.state;
        const now = this.timers.now();
        this.seen = Math.max(this.seen, event.tick);
        if (state) {
          this.interpolator?.push(this.serverTime ?? 0, state);
          this.prediction?.state(now, event.input, state, this.core.session.isLate);
        }
        if (this.pendingState && !event.more) this.core.meter.stats.superseded++;
        if (!this.pendingState && !this.timers.hidden()) this.timers.frame(() => this.tellState());
        this.pendingState = { tick: event.tick, input: event.input, since: this.pendingState?.since ?? now };
        if (this.timers.hidden() || now - this.pendingState.since > NO_PICTURE) this.tellState();
        return;
      }
      case "event": {
        const { tick, payload } = event.event;
        this.seen = Math.max(this.seen, tick);
        // If the game cannot decode it, that is the game's fault, and no reason to stop.
        return reported(() => this.emitter.emit("event", { tick, event: this.game.decodeEvent(payload) }));
      }
      case "presence": {
        const changed = takePresence(this.memberMap, event.presence);
        return this.emitter.emit("presence", {
          members: this.memberMap,
          changed,
          full: event.full,
        });
      }
      case "refused":
        return this.emitter.emit("refused", { command: event.command, reason: event.reason });
      case "topic": {
        const { topic, kind, id, event: name, text } = event.message;
        const type = TOPIC_TYPES[kind as 0 | 1 | 2 | 3] ?? "event";
        return reported(() => this.topics.get(topic)?.({ type, id, event: name, text }));
      }
      case "clock":
        return this.interpolator?.restart();
      case "tokenExpires":
        return void this.renew();
    }
  }

  private takeWelcome(welcome: Welcome, commandsUndone: boolean): void {
    const { schema } = this.core.session;
    const { resumed, undone } = welcome;
    const epoch = Number(welcome.epochUs) / 1000;
    if (!resumed) {
      this.seen = 0;
      this.memberMap.clear();
      this.sight.clear(this.tellLeft);
    }
    // A server that was started again and continues its rooms times them by another clock; nodes do not.
    if (!resumed || Math.abs(epoch - (this.epoch ?? 0)) > SAME_CLOCK) this.interpolator = undefined;
    else if (this.interpolator) this.interpolator.epoch = epoch;
    // A page that takes the seat of an earlier one has predicted nothing yet.
    const first = this.epoch === undefined;
    this.epoch = epoch;
    if (schema) {
      if (!resumed || first) this.prediction?.start(schema, welcome.player, welcome.tickRate);
      if (this.interpolation !== false) {
        const tickRate = Math.max(welcome.tickRate, 1);
        this.interpolator ??= new Interpolation(schema, tickRate, epoch, this.interpolation);
      }
    }
    // All that was shown is of before the first of those that are news.
    const after = undone.find(({ until }) => until > this.known)?.after ?? Infinity;
    this.known = undone.at(-1)?.until ?? 0;
    // Although nothing shown is undone, a command that was confirmed may be.
    const until = Math.max(this.seen, commandsUndone ? after + 1 : 0);
    if (this.seen && until > after) this.emitter.emit("rolledBack", { after, until });
    this.retiring?.close(1000, "");
    this.retiring = undefined;
    if (this.transport) this.paths.works(this.transport.name);
    this.scheduleMove();
    this.setStatus({ phase: "joined", transport: this.transport?.name ?? "", resumed });
    this.firstWelcome?.resolve();
    this.firstWelcome = undefined;
    this.scheduleInput();
  }

  /** Sends a fresh token. Without one the connection ends with the old one, and the next one asks again. */
  private async renew(): Promise<void> {
    try {
      const { transport } = this;
      const token = await this.paths.token();
      // Another connection has brought a token of its own.
      if (token !== undefined && transport === this.transport) this.core.session.renew(token);
      this.pump();
    } catch (error) {
      console.warn("driftless:", error);
    }
  }

  private tellState(): void {
    const pending = this.pendingState;
    this.pendingState = undefined;
    if (!pending || !this.state) return;
    if (this.emitter.has("enter") || this.emitter.has("leave")) {
      this.sight.update(this.state, this.tellLeft, this.tellCame);
    }
    this.emitter.emit("state", { tick: pending.tick, input: pending.input, snapshot: this.state });
  }

  private readonly tellLeft = (kind: string, id: number): void =>
    this.emitter.emit("leave", { kind: kind as keyof K & string, id });

  private readonly tellCame = (kind: string, id: number): void => {
    if (!this.state || !this.emitter.has("enter")) return;
    const entity = new View(this.state, undefined, 0, 0).get(kind, id);
    this.emitter.emit("enter", { kind, id, entity } as unknown as KindOf<K>);
  };

  private scheduleInput(): void {
    const { core } = this;
    const interval = core.tickInterval;
    const due = core.tickDue(0);
    const serverTime = this.serverTime;
    const wanted = this.pendingInput !== undefined || this.emitter.has("tick");
    if (this.inputTimer !== undefined || !wanted || !core.session.isActive || this.spectating) return;
    if (interval === undefined || due === undefined || serverTime === undefined) return;
    const { tick, wait } = this.inputClock.next(serverTime, interval, due, core.clock.way, this.stats.jitter);
    this.inputTimer = this.timers.set(() => this.sendInput(tick), wait);
  }

  private sendInput(tick: number): void {
    this.inputTimer = undefined;
    this.inputClock.sent(tick);
    // Listeners call `send`, which must not set a timer for what is sent right here.
    this.inputTimer = -1;
    this.emitter.emit("tick", { tick });
    this.inputTimer = undefined;
    const pending = this.pendingInput;
    this.pendingInput = undefined;
    if (pending) {
      const sequence = this.core.session.sendInput(pending.payload, pending.moment);
      if (sequence !== undefined) this.prediction?.push(this.timers.now(), sequence, pending.payload);
      if (sequence !== undefined) this.emitter.emit("input", { sequence, input: pending.input });
      this.pump();
    }
    this.scheduleInput();
  }

  /** The page was shown or hidden, or the network is back. */
  private woken(): void {
    const hidden = this.timers.hidden();
    this.core.session.ackAlone = hidden;
    // The frame that a state waits for will not be drawn now.
    if (hidden) this.tellState();
    else this.core.handleWake(this.timers.now());
    this.pump();
  }
}

const NOTHING: Entities = { all: () => [], get: () => undefined };
