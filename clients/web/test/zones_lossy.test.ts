// Whatever a network does to the messages of a room with zones, what is shown holds together.
import { describe, expect, it } from "vitest";
import { decodeClientMessage } from "../src/gen/driftless/v1/client_codec.js";
import { encodeServerMessage } from "../src/gen/driftless/v1/server_codec.js";
import { type Delivery, Session } from "../src/session/session.js";
import { random } from "./util/random.js";
import { type Sent, ZonedRoom, ZonedSender } from "./util/zoned_room.js";

const SCHEMA = {
  kinds: [
    {
      name: "cart",
      groups: [
        { name: "position", fields: [{ name: "x", quantaPerUnit: 100 }], predictor: 1 },
        { name: "status", fields: [{ name: "health", quantaPerUnit: 1 }] },
      ],
    },
  ],
};
const TICK = 50;
const ZONES = 6;

interface Network {
  loss: number;
  delay: number;
  duplicates: number;
}

/** A session in a room, of which it sees what comes through the network. */
class World {
  readonly room: ZonedRoom;
  readonly sender: ZonedSender;
  readonly session: Session;
  /** The tick of the content that the client should have of each zone that it has. */
  readonly known = new Map<number, number>([[0, 0]]);
  /** The ticks of each zone's contents that it has had since the zone came into view. */
  readonly seen = new Map<number, Set<number>>();
  /** The numbers of messages applied. */
  readonly applied: number[] = [];
  readonly ticks = new Set<number>();
  stale = 0;
  private now = 0;
  private readonly queue: { at: number; run: () => void }[] = [];

  constructor(
    private readonly rng: () => number,
    private readonly network: Network,
    delivery: Delivery,
    isViewFixed: boolean,
    private readonly check: (world: World, sent: Sent) => void,
  ) {
    this.room = new ZonedRoom(rng, ZONES, isViewFixed);
    this.sender = new ZonedSender(this.room, rng, delivery === "ordered");
    this.session = new Session(0, { room: "a", kind: "", name: "", options: "" }, delivery);
    this.session.pollTransmit(0);
    const value = { protocol: 1, player: 1, tickRate: 1000 / TICK, schema: SCHEMA, epochUs: 0n };
    this.session.handleMessage(
      0,
      encodeServerMessage({ body: { case: "welcome", value } } as never).finish(),
    );
    while (this.session.pollEvent());
  }

  run(ticks: number): void {
    for (let n = 0; n < ticks; n++) {
      for (const sent of this.sender.messages(this.room.step())) {
        this.carry(() => this.take(sent));
        if (this.rng() < this.network.duplicates) this.carry(() => this.take(sent));
      }
      this.now += TICK;
      this.queue.sort((a, b) => a.at - b.at);
      while (this.queue[0] && this.queue[0].at <= this.now) this.queue.shift()!.run();
      for (let out = this.session.pollTransmit(this.now); out; out = this.session.pollTransmit(this.now)) {
        const { body } = decodeClientMessage(out.bytes);
        if (body.case !== "ack") continue;
        const { stateAck, stateMissing } = body.value;
        this.carry(() => this.sender.acked(stateAck, stateMissing));
      }
    }
  }

  /** The entities shown, by id. */
  get shown(): Map<number, [number, number]> {
    const { ids, length, columns } = this.session.snapshot!.tables[0]!;
    const rows = Array.from(ids.subarray(0, length), (id, n): [number, [number, number]] => [
      id,
      [columns[0]![n]!, columns[1]![n]!],
    ]);
    const shown = new Map(rows);
    expect(shown.size).toBe(length);
    return shown;
  }

  private carry(run: () => void): void {
    const { loss, delay } = this.network;
    if (this.rng() >= loss) this.queue.push({ at: this.now + delay * this.rng(), run });
  }

  private take(sent: Sent): void {
    this.session.handleMessage(this.now, sent.bytes);
    for (let event = this.session.pollEvent(); event; event = this.session.pollEvent()) {
      if (event.type === "stale") this.stale++;
      if (event.type !== "state") continue;
      this.applied.push(sent.number);
      this.ticks.add(sent.tick);
      for (const zone of sent.left) {
        this.known.delete(zone);
        this.seen.delete(zone);
      }
      const same = sent.unchanged.filter((zone) => this.known.has(zone));
      for (const zone of [...sent.zones, ...same]) {
        this.known.set(zone, sent.tick);
        if (!this.seen.has(zone)) this.seen.set(zone, new Set());
        this.seen.get(zone)!.add(sent.tick);
      }
      expect(this.session.snapshot!.tick).toBe(sent.tick);
      this.check(this, sent);
    }
  }
}

/** Zones that are known at the newest tick are as they were, and the others no worse than their content. */
function isAsKnown({ room, known, shown }: World, { tick, deferred }: Sent): void {
  const wrong: unknown[] = [];
  for (const [zone, at] of known) {
    for (const [id, values] of at === 0 ? [] : room.at(at).zones[zone]!) {
      const now = shown.get(id);
      const isRight = at === tick ? now?.[0] === values[0] && now[1] === values[1] : now !== undefined;
      if (!isRight) wrong.push({ zone, at, id, values, now });
    }
  }
  expect(wrong).toEqual([]);
  if ([...known.values()].some((at) => at < tick)) return;
  // What has vanished may be in a zone of which nothing has come yet.
  if (deferred.some((zone) => !known.has(zone))) return;
  const all = [...known.keys()].flatMap((zone) => [...room.at(tick).zones[zone]!]);
  expect([...shown].sort(byId)).toEqual(all.sort(byId));
}

/** Whatever is shown was in a zone that is still in view, in a state that came. */
function isOfTheView({ room, seen, shown }: World): void {
  const wrong = [...shown].filter(([id, [, health]]) => {
    for (const [zone, ticks] of seen) {
      for (const tick of ticks) if (room.at(tick).zones[zone]!.get(id)?.[1] === health) return false;
    }
    return true;
  });
  expect(wrong).toEqual([]);
}

const byId = ([a]: readonly [number, unknown], [b]: readonly [number, unknown]): number => a - b;
const networks: [string, Network][] = [
  ["a good network", { loss: 0, delay: 10, duplicates: 0 }],
  ["loss", { loss: 0.2, delay: 10, duplicates: 0 }],
  ["jitter", { loss: 0, delay: 140, duplicates: 0.2 }],
  ["a bad network", { loss: 0.3, delay: 250, duplicates: 0.3 }],
];

describe.each(networks)("over %s", (_, network) => {
  it.each([1, 2, 3])("zones come and go (seed %i)", (seed) => {
    const world = new World(random(seed), network, "datagram", false, (world, sent) => {
      isAsKnown(world, sent);
      isOfTheView(world);
    });
    world.run(250);
    // Each once, whatever came twice, and not only the first of each tick.
    expect(new Set(world.applied).size).toBe(world.applied.length);
    expect(world.applied.length).toBeGreaterThan(world.ticks.size * 1.2);
    expect(world.ticks.size).toBeGreaterThan(70);
    if (network.delay > 100) expect(world.stale).toBeGreaterThan(20);
  });

  it.each([11, 12])("no entity vanishes that moves to another zone in view (seed %i)", (seed) => {
    let moved = 0;
    /** The tick at which each entity was seen last. */
    const lastSeen = new Map<number, number>();
    const world = new World(random(seed), network, "datagram", true, (world, sent) => {
      isAsKnown(world, sent);
      const { room, shown, known } = world;
      for (const [zone, at] of known) {
        for (const id of at === 0 ? [] : room.at(at).zones[zone]!.keys()) {
          lastSeen.set(id, Math.max(at, lastSeen.get(id) ?? 0));
        }
      }
      // Before all zones have come, it may be in one that is not known to be in view.
      if (known.size < ZONES) return lastSeen.clear();
      const lost: number[] = [];
      for (const [id, at] of lastSeen) {
        const moves = room.movesOf(id, at, sent.tick);
        if (moves === 1 && known.get(room.zoneOf(id, sent.tick)!)! < sent.tick) moved++;
        // After two moves, all zones may have been read when it was in another.
        if (moves !== undefined && moves <= 1 && !shown.has(id)) lost.push(id);
      }
      expect(lost).toEqual([]);
    });
    world.run(250);
    expect(moved).toBeGreaterThan(20);
  });
});

it.each([21, 22, 23])("over an ordered transport (seed %i)", (seed) => {
  const network = { loss: 0, delay: 0, duplicates: 0 };
  const world = new World(random(seed), network, "ordered", false, (world, sent) => {
    isAsKnown(world, sent);
    isOfTheView(world);
  });
  world.run(250);
  expect(world.applied).toHaveLength(250);
});
