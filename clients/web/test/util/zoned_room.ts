// A room with zones, and the server's half of sending them to one client.
import { type Content, encodeBody, encodeState, lags, type Message, type ZoneEntry } from "./encoder.js";
import { CARTS } from "./carts.js";

/** The columns of a cart: x, health. */
type Values = readonly [number, number];
type Carts = ReadonlyMap<number, Values>;

/** All zones at a tick, and which of them the player sees. Zone 0 is seen by everybody. */
export interface Room {
  readonly tick: number;
  readonly zones: readonly Carts[];
  readonly view: ReadonlySet<number>;
}

/** A message, and what the server knows of it. */
export interface Sent {
  readonly bytes: Uint8Array;
  readonly number: number;
  readonly tick: number;
  /** The zones that are in it, and those of which it says that they have not changed. */
  readonly zones: readonly number[];
  readonly unchanged: readonly number[];
  readonly left: readonly number[];
  readonly deferred: readonly number[];
}

/** A room in which carts move, change zone, come and go. */
export class ZonedRoom {
  readonly past: Room[] = [];
  private readonly carts = new Map<number, { zone: number; x: number; speed: number; health: number }>();
  private view = new Set<number>();
  private nextId = 1;

  constructor(
    private readonly random: () => number,
    private readonly count: number,
    private readonly isViewFixed: boolean,
  ) {
    for (let zone = 0; zone < count; zone++) {
      this.view.add(zone);
      for (let n = 0; n < 3; n++) this.spawn(zone);
    }
  }

  step(): Room {
    const { random, carts, count } = this;
    for (const [id, cart] of carts) {
      // In some zones nothing happens for a while.
      if (random() < 0.3 || cart.zone % 3 === 2) continue;
      cart.x += cart.speed;
      if (random() < 0.1) cart.speed = Math.floor(random() * 41) - 20;
      if (random() < 0.1) cart.health--;
      if (random() < 0.02) carts.delete(id);
    }
    for (const cart of carts.values()) if (random() < 0.05) cart.zone = this.anyZone();
    if (random() < 0.3) this.spawn(this.anyZone());
    if (!this.isViewFixed && random() < 0.2) {
      const zone = 1 + Math.floor(random() * (count - 1));
      if (!this.view.delete(zone)) this.view.add(zone);
    }
    const zones = Array.from({ length: count }, () => new Map<number, Values>());
    for (const [id, { zone, x, health }] of carts) zones[zone]!.set(id, [x, health]);
    const room = { tick: this.past.length + 1, zones, view: new Set(this.view) };
    this.past.push(room);
    return room;
  }

  at(tick: number): Room {
    return this.past[tick - 1]!;
  }

  zoneOf(id: number, tick: number): number | undefined {
    const zone = this.at(tick).zones.findIndex((carts) => carts.has(id));
    return zone < 0 ? undefined : zone;
  }

  /** How often an entity changed zone between two ticks. Undefined: it does not exist any more. */
  movesOf(id: number, from: number, to: number): number | undefined {
    if (this.zoneOf(id, to) === undefined) return undefined;
    let moves = 0;
    for (let tick = from + 1; tick <= to; tick++) {
      if (this.zoneOf(id, tick) !== this.zoneOf(id, tick - 1)) moves++;
    }
    return moves;
  }

  /** Whether a zone is the same at both ticks and all between. */
  isSame(zone: number, from: number, to: number): boolean {
    const first = this.at(from).zones[zone]!;
    for (let tick = from + 1; tick <= to; tick++) {
      const carts = this.at(tick).zones[zone]!;
      if (carts.size !== first.size) return false;
      for (const [id, [x, health]] of carts) {
        const before = first.get(id);
        if (before?.[0] !== x || before[1] !== health) return false;
      }
    }
    return true;
  }

  private anyZone(): number {
    return Math.floor(this.random() * this.count);
  }

  private spawn(zone: number): void {
    const { random } = this;
    this.carts.set(this.nextId++, { zone, x: Math.floor(random() * 1000), speed: 5, health: 100 });
  }
}

/**
 * What the server knows of one client, and what it sends it. It refers to contents that were acknowledged
 * only, and defers and divides at random.
 */
export class ZonedSender {
  readonly sent = new Map<number, Sent>();
  private number = 0;
  /** The ticks at which the client is known to have each zone's content. */
  private readonly had = new Map<number, Set<number>>();
  /** Zones that the client may have and no longer sees, with the first message that says so. */
  private readonly leaving = new Map<number, number>();
  private readonly held = new Set<number>();

  constructor(
    private readonly room: ZonedRoom,
    private readonly random: () => number,
    /** Nothing gets lost, so that all that was sent counts as acknowledged, and a state is one message. */
    private readonly ordered: boolean,
  ) {}

  acked(state: number, missing: number): void {
    for (const [number, sent] of this.sent) {
      const n = state - 1 - number;
      if (number === state || (n >= 0 && n < 32 && ((missing >>> n) & 1) === 0)) this.applied(sent);
    }
  }

  /** The messages of a state. */
  messages({ tick, view }: Room): Sent[] {
    const { random, room } = this;
    for (const zone of view) {
      if (zone === 0 || this.held.has(zone)) continue;
      this.held.add(zone);
      this.leaving.delete(zone);
      this.had.delete(zone);
    }
    for (const zone of this.held) {
      if (view.has(zone)) continue;
      this.held.delete(zone);
      this.had.delete(zone);
      this.leaving.set(zone, this.number + 1);
    }
    const news: number[] = [];
    const unchanged: number[] = [];
    for (const zone of ascending(this.held)) {
      const last = Math.max(-1, ...(this.had.get(zone) ?? []));
      (last > 0 && room.isSame(zone, last, tick) ? unchanged : news).push(zone);
    }
    // Each goes into a part, or waits.
    const parts: number[][] = [[]];
    for (const zone of news) {
      if (random() < 0.25) continue;
      if (!this.ordered && random() < 0.3) parts.push([]);
      parts.at(-1)!.push(zone);
    }
    const left = ascending(this.leaving.keys());
    return parts
      .map((zones, part) => {
        const number = (this.number = Math.max(this.number + 1, tick));
        const deferred = news.filter((zone) => !zones.includes(zone));
        const message: Message = {
          ...this.references(0, tick),
          tick,
          number,
          apart: part > 0,
          input: 0,
          ...(part === 0 && { body: this.body(0, tick) }),
          left,
          deferred,
          zones: zones.map((zone) => this.entry(zone, tick)),
        };
        const inside = part === 0 ? [0, ...zones] : zones;
        const sent = { bytes: encodeState(message), number, tick, zones: inside, unchanged, left, deferred };
        this.sent.set(number, sent);
        return sent;
      })
      .map((sent) => {
        if (this.ordered) this.applied(sent);
        return sent;
      });
  }

  private applied(sent: Sent): void {
    if (!this.sent.delete(sent.number)) return;
    for (const zone of [...sent.zones, ...sent.unchanged]) {
      if (zone !== 0 && !this.held.has(zone)) continue;
      // It may have left and come back since, which made the client forget it.
      if (zone !== 0 && this.enteredAt(zone) > sent.tick) continue;
      let ticks = this.had.get(zone);
      if (!ticks) this.had.set(zone, (ticks = new Set()));
      ticks.add(sent.tick);
    }
    for (const [zone, first] of this.leaving) if (sent.number >= first) this.leaving.delete(zone);
  }

  private enteredAt(zone: number): number {
    const { past } = this.room;
    let n = past.length;
    while (n > 0 && past[n - 1]!.view.has(zone)) n--;
    return n + 1;
  }

  private entry(zone: number, tick: number): ZoneEntry {
    const { baseline, prior } = this.references(zone, tick);
    return { zone, references: lags(tick, baseline, prior), body: this.body(zone, tick) };
  }

  private references(zone: number, tick: number): { baseline?: number; prior?: number } {
    const ticks = ascending(this.had.get(zone) ?? []).filter((known) => tick - known <= 60);
    const usable = this.ordered ? ticks.slice(-2) : ticks;
    const baseline = usable.at(-1);
    if (baseline === undefined) return {};
    const prior = usable.at(-2);
    return prior === undefined ? { baseline } : { baseline, prior };
  }

  private body(zone: number, tick: number): Uint8Array {
    const { baseline, prior } = this.references(zone, tick);
    const content = (at: number): Content => ({ tick: at, kinds: [this.room.at(at).zones[zone]!] });
    return encodeBody(CARTS, content(tick), {
      baseline: baseline === undefined ? undefined : content(baseline),
      prior: prior === undefined ? undefined : content(prior),
    });
  }
}

function ascending(numbers: Iterable<number>): number[] {
  return [...numbers].sort((a, b) => a - b);
}
