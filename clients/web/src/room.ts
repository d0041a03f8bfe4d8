import type { Snapshot } from "./codec/snapshot.js";
import { Connector } from "./connector.js";
import type { Core, CoreEvent } from "./core.js";
import { Emitter, reported } from "./emitter.js";
import { RoomError, SendError } from "./errors.js";
import type { AnyKinds, Game, Kinds } from "./game.js";
import type { Welcome } from "./gen/driftless/v1/server_pb.js";
import { InputPacer } from "./input_pacer.js";
import { Interpolation, type InterpolationOptions } from "./interpolation.js";
import { type Member, takePresence } from "./members.js";
import type { Prediction } from "./prediction.js";
import type { KindOf, RoomEvents, Status } from "./room_events.js";
import { MAX_COMMAND, MAX_INPUT } from "./session/session.js";
import { Sight } from "./sight.js";
import type { Stats } from "./stats.js";
import type { Timers } from "./timers.js";
import { type Topic, type TopicEvent, topicEvent } from "./topic.js";
import type { Paths } from "./transport/paths.js";
import type { Transport } from "./transport/transport.js";
import { View } from "./view.js";

/** The room's entities as they should be shown now. */
export interface Entities<K extends Kinds<K> = AnyKinds> {
  /** The entities of a kind, by ascending id; their fields are in units of the game's measure. */
  all<N extends keyof K & string>(kind: N): K[N][];
  get<N extends keyof K & string>(kind: N, id: number): K[N] | undefined;
}

/** How long `leave` waits for the server's goodbye, ms. */
const LEAVE_TIMEOUT = 5000;
/**
 * A frame that is this late, ms, may never come: the page is not visible anywhere, although it is not hidden.
 */
const NO_PICTURE = 1000;
/** How far apart the epochs of a room at two nodes can be, ms. */
const SAME_CLOCK = 1000;
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
  private readonly topics = new Map<string, (event: TopicEvent) => void>();
  private readonly connector: Connector;
  private readonly pacer: InputPacer<Input>;
  private interpolator: Interpolation | undefined;
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
  private firstWelcome: { resolve: () => void; reject: (error: unknown) => void } | undefined;

  /** @internal */
  constructor(
    private readonly core: Core,
    private readonly timers: Timers,
    private readonly game: Game<Input, Command, Event, K>,
    private readonly interpolation: InterpolationOptions | false,
    paths: Paths,
    /** Prediction of the player's own entity. Undefined: `connect` was given no rules for it. */
    readonly prediction: Prediction | undefined,
  ) {
    this.connector = new Connector(
      core,
      timers,
      paths,
      () => this.takeEvents(),
      () => this.settle(),
    );
    this.pacer = new InputPacer(core, timers, this.emitter, (sequence, { input, payload }) => {
      prediction?.push(timers.now(), sequence, payload);
      this.emitter.emit("input", { sequence, input });
      this.connector.pump();
    });
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
    if (type === "tick") this.pacer.schedule();
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
    this.pacer.offer({ input, payload, moment: this.shown?.time });
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
    this.connector.pump();
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
      this.connector.pump();
    }
    return {
      publish: (text, as) => {
        const published = topics.publish({ ...as, topic: name, text });
        if (session.isActive) this.connector.pump();
        else topics.disconnected();
        return published;
      },
      stop: () => {
        if (this.topics.get(name) !== listener) return;
        this.topics.delete(name);
        topics.stop(name);
        this.connector.pump();
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
    return this.shown?.withOwn(this.prediction?.shown(this.timers.now(), this.pacer.pending?.payload));
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

  /** In the room, on the way back to it, or at the end. */
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

  /** The room's name. (The player's own is among its `members`, by `user`.) */
  get name(): string {
    return this.core.session.welcome?.room ?? "";
  }

  /** The kind of its game. */
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
    const timer = this.timers.set(() => this.connector.disconnected(RoomError.left()), LEAVE_TIMEOUT);
    this.connector.pump();
    if (this.core.hasEnded) this.settle();
    await this.ended;
    this.timers.clear(timer);
  }

  /** Drops the connection like a broken network, for trying it out: the room reconnects. */
  disconnect(): void {
    if (this.core.phase.name !== "online") return;
    this.connector.disconnected(RoomError.closed({ code: 1006, reason: "disconnect() was called" }));
  }

  /** @internal Takes the first transport, and waits for the welcome. */
  async open(transport: Transport, signal: AbortSignal): Promise<void> {
    const welcomed = new Promise<void>((resolve, reject) => (this.firstWelcome = { resolve, reject }));
    const abort = (): void => {
      this.firstWelcome?.reject(signal.reason);
      void this.leave();
    };
    signal.addEventListener("abort", abort);
    this.connector.attach(transport);
    await welcomed.finally(() => signal.removeEventListener("abort", abort));
  }

  /** Reports what became of the room when its connection was lost. */
  private settle(): void {
    const { phase } = this.core;
    this.pacer.pending = undefined;
    if (phase.name === "waiting") {
      this.setStatus({
        phase: "reconnecting",
        cause: phase.cause,
        retryIn: Math.max(0, phase.until - this.timers.now()),
      });
    } else if (phase.name === "ended" && this.current?.phase !== "closed") {
      this.unwatch();
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
        const { message } = event;
        return reported(() => this.topics.get(message.topic)?.(topicEvent(message)));
      }
      case "clock":
        return this.interpolator?.restart();
      case "tokenExpires":
        return void this.connector.renew();
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
    this.connector.welcomed();
    this.setStatus({ phase: "joined", transport: this.connector.name ?? "", resumed });
    this.firstWelcome?.resolve();
    this.firstWelcome = undefined;
    this.pacer.schedule();
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

  /** The page was shown or hidden, or the network is back. */
  private woken(): void {
    const hidden = this.timers.hidden();
    this.core.session.ackAlone = hidden;
    // The frame that a state waits for will not be drawn now.
    if (!hidden) return this.connector.woken();
    this.tellState();
    this.connector.pump();
  }
}

const NOTHING: Entities = { all: () => [], get: () => undefined };
