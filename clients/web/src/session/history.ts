import { Decoder } from "../codec/delta.js";
import type { Schema } from "../codec/schema.js";
import { Snapshot } from "../codec/snapshot.js";
import type { StateHead } from "../codec/state.js";
import { readZones, type ZoneDelta } from "../codec/zones.js";
import { type Content, Contents } from "./contents.js";
import { ServerFault } from "./fault.js";
import { Moving } from "./moving.js";
import { Union } from "./union.js";

/** Most zones that a player sees, without zone 0. */
const MAX_ZONES_IN_VIEW = 1024;
/** How long the movement in a zone whose content is late is continued, as a part of a second. */
const CONTINUED = 1 / 4;

/** A zone of a message, read but not applied yet. */
interface Read {
  readonly zone: number;
  readonly content: Content;
}

/**
 * The contents of each zone that deltas may refer to, and all zones together, which a game shows. Their
 * memory is reused.
 */
export class History {
  /** Tick of the newest state. Undefined: there is none. */
  tick: number | undefined;
  /** Zone 0, and the others that the player sees. */
  private readonly zone0 = new Contents();
  private readonly zones = new Map<number, Contents>();
  private spare: Content[] = [];
  private readonly decoder = new Decoder();
  private readonly moving = new Moving();
  private movingRows: Snapshot | undefined;
  private union: Union | undefined;
  /** Whether `union` is of the newest state. */
  private isUnited = false;
  /** Messages applied, to know of which zones the last one spoke. */
  private messages = 0;

  /** `tickRate`: of the room, ticks per second. */
  constructor(
    private readonly schema: Schema,
    private readonly tickRate: number,
  ) {}

  /** All zones at the newest tick. The next state may change the object. */
  get current(): Snapshot | undefined {
    const { tick, zone0 } = this;
    if (tick === undefined) return undefined;
    if (this.zones.size === 0 && zone0.newest?.until === tick) return zone0.newest.state;
    this.union ??= new Union(this.schema);
    if (!this.isUnited) this.union.unite(tick, this.sources(tick));
    this.isUnited = true;
    return this.union.state;
  }

  /** Whether an entity is shown as of an earlier tick than that of the newest state. */
  isLate(kind: number, id: number): boolean {
    if (this.zones.size === 0 || this.lastSeen(kind, id) === this.tick) return false;
    return (this.current?.tables[kind]?.row(id) ?? -1) >= 0;
  }

  /**
   * Applies a state, and keeps `keep` contents of each zone. A state with the tick of the newest one adds to
   * it. `first`: it is the first of a connection, whose server does not know which zones this end has. On
   * error nothing changes.
   */
  apply(head: StateHead, keep: number, first: boolean): void {
    const { tick } = head;
    if (head.zones.length === 0 && this.zones.size === 0 && !head.apart) {
      this.zone0.push(this.read(tick, this.zone0, 0, head), this.spare);
      this.zone0.trim(keep, tick, this.spare);
    } else {
      this.applyZones(head, keep, first);
    }
    this.tick = tick;
    this.isUnited = false;
  }

  private applyZones(head: StateHead, keep: number, first: boolean): void {
    const { tick } = head;
    const { left, deferred, deltas } = readZones(head);
    const read: Read[] = [];
    try {
      if (!head.apart) read.push({ zone: 0, content: this.read(tick, this.zone0, 0, head) });
      for (const delta of deltas) {
        const { zone } = delta;
        const contents = first ? undefined : this.zones.get(zone);
        read.push({ zone, content: this.read(tick, contents, zone, delta) });
      }
      this.check(left, deltas, first);
    } catch (error) {
      this.spare.push(...read.map(({ content }) => content));
      throw error;
    }

    for (const zone of first ? [...this.zones.keys()] : left) this.forget(zone);
    const message = ++this.messages;
    let awaits = false; // a zone in view of which nothing has come yet
    for (const zone of deferred) {
      const contents = this.zones.get(zone);
      if (contents) contents.spoken = message;
      else awaits = true;
    }
    for (const { zone } of read) this.contents(zone).spoken = message;
    for (const { spoken, newest } of this.zones.values()) {
      if (newest && spoken !== message) newest.until = tick;
    }
    for (const { zone, content } of read) this.contents(zone).push(content, this.spare);
    const oldest = awaits ? -1 : this.oldest(tick);
    this.moving.settle(oldest);
    for (const { zone, content } of read) {
      const contents = this.contents(zone);
      if (oldest < tick && contents.previous) {
        this.moving.compare(zone, contents.previous, content.state, this.lastSeen);
      }
      contents.trim(keep, tick, this.spare);
    }
  }

  private read(
    tick: number,
    contents: Contents | undefined,
    zone: number,
    delta: Pick<ZoneDelta, "baseline" | "prior" | "shared">,
  ): Content {
    const { baseline: baselineTick, prior: priorTick } = delta;
    const baseline = find(contents, zone, tick, baselineTick);
    const references = { baseline, prior: find(contents, zone, tick, priorTick), baselineTick, priorTick };
    const content = this.spare.pop() ?? { state: new Snapshot(this.schema), until: 0 };
    try {
      this.decoder.apply(references, tick, delta.shared, content.state);
    } catch (error) {
      this.spare.push(content);
      throw error;
    }
    content.until = tick;
    return content;
  }

  private check(left: readonly number[], deltas: readonly ZoneDelta[], first: boolean): void {
    let count = deltas.length;
    if (!first) {
      count = this.zones.size;
      for (const zone of left) if (this.zones.has(zone)) count--;
      for (const { zone } of deltas) if (!this.zones.has(zone)) count++;
    }
    if (count > MAX_ZONES_IN_VIEW) {
      const allowed = `at most ${MAX_ZONES_IN_VIEW} are allowed`;
      throw new ServerFault("too many zones", `${count} zones in view; ${allowed}`);
    }
    if (deltas.some(({ zone }) => left.includes(zone))) {
      throw new ServerFault("unexpected", "zone that has left and has not");
    }
  }

  private contents(zone: number): Contents {
    if (zone === 0) return this.zone0;
    let contents = this.zones.get(zone);
    if (!contents) this.zones.set(zone, (contents = new Contents()));
    return contents;
  }

  private forget(zone: number): void {
    const contents = this.zones.get(zone);
    this.moving.forget(zone, contents?.newest);
    contents?.clear(this.spare);
    this.zones.delete(zone);
  }

  /** The tick of the oldest of the zones' contents. */
  private oldest(tick: number): number {
    let oldest = this.zone0.newest?.until ?? tick;
    for (const { newest } of this.zones.values()) if (newest) oldest = Math.min(oldest, newest.until);
    return oldest;
  }

  /** The tick of the newest content that has an entity, -1 if none has. */
  private readonly lastSeen = (kind: number, id: number): number => {
    let last = -1;
    const look = ({ newest }: Contents): void => {
      if (newest && newest.until > last && newest.state.tables[kind]!.row(id) >= 0) last = newest.until;
    };
    look(this.zone0);
    this.zones.forEach(look);
    return last;
  };

  /** What is shown of the zones, by precedence: newer contents first, then higher zones. */
  private sources(tick: number): Snapshot[] {
    const { schema, decoder } = this;
    const most = Math.floor(this.tickRate * CONTINUED);
    const zones = [...this.zones.entries(), [0, this.zone0] as const];
    const until = (contents: Contents): number => contents.newest?.until ?? -1;
    zones.sort(([a, x], [b, y]) => until(y) - until(x) || b - a);
    const sources = zones.flatMap(([, contents]) => contents.shownAt(tick, most, schema, decoder) ?? []);
    if (this.moving.isEmpty) return sources;
    this.movingRows ??= new Snapshot(schema);
    this.moving.fill(this.movingRows, this.lastSeen);
    return [this.movingRows, ...sources];
  }
}

/** The content that a delta of `tick` refers to. */
function find(
  contents: Contents | undefined,
  zone: number,
  tick: number,
  reference: number | undefined,
): Snapshot | undefined {
  if (reference === undefined) return undefined;
  const state = contents?.at(reference);
  if (state) return state;
  const of = zone === 0 ? "state" : `zone ${zone}`;
  throw new ServerFault("unknown baseline", `${of} of tick ${tick} against tick ${reference}`);
}
