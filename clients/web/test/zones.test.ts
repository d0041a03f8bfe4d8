// What messages say of zones, and what is shown of them, by hand.
import { describe, expect, it } from "vitest";
import { Schema } from "../src/codec/schema.js";
import { splitState } from "../src/codec/state.js";
import { readZones } from "../src/codec/zones.js";
import { Acks } from "../src/session/acks.js";
import { History } from "../src/session/history.js";
import { type Content, encodeBody, encodeState, lags, type Message, type ZoneEntry } from "./util/encoder.js";
import { CARTS, cartSchema } from "./util/carts.js";

type Carts = Record<number, [x: number, health: number]>;

const content = (tick: number, carts: Carts): Content => ({
  tick,
  kinds: [new Map(Object.entries(carts).map(([id, values]) => [Number(id), values]))],
});
const full = (zone: number, now: Content): ZoneEntry => ({
  zone,
  references: 1,
  body: encodeBody(CARTS, now),
});
/** Against a content as of `baselineTick`, and maybe another as of `priorTick`. */
const delta = (
  zone: number,
  now: Content,
  [baseline, baselineTick]: [Content, number],
  [prior, priorTick]: [Content?, number?] = [],
): ZoneEntry => ({
  zone,
  references: lags(now.tick, baselineTick, priorTick),
  body: encodeBody(CARTS, now, { baseline, prior, baselineTick, priorTick }),
});

/** A client at tick 1, with nothing in zone 0. */
function client(zones: ZoneEntry[] = [], schema = cartSchema) {
  const history = new History(schema, 20);
  const take = (message: Partial<Message> & { tick: number }, keep = 65, first = false): Carts => {
    history.apply(
      splitState(encodeState({ body: encodeBody(CARTS, content(0, {})), ...message }))!,
      keep,
      first,
    );
    return shown(history);
  };
  take({ tick: 1, zones }, 65, true);
  return { history, take };
}

function shown({ current }: History): Carts {
  const { ids, length, columns } = current!.tables[0]!;
  const carts: Carts = {};
  for (let n = 0; n < length; n++) carts[ids[n]!] = [columns[0]![n]!, columns[1]![n]!];
  return carts;
}

const a1 = content(1, { 7: [100, 5] });
const b1 = content(1, { 3: [0, 1], 9: [50, 2] });

describe("what is shown", () => {
  it("is all zones, by ascending id", () => {
    const { history, take } = client([full(4, a1), full(70_000, b1)]);
    expect(shown(history)).toEqual({ 3: [0, 1], 7: [100, 5], 9: [50, 2] });
    const common = encodeBody(CARTS, content(2, { 8: [1, 1] }));
    expect(Object.keys(take({ tick: 2, body: common }))).toEqual(["3", "7", "8", "9"]);
    expect(history.current!.tick).toBe(2);
  });

  it("without zones is zone 0 itself, which is not copied", () => {
    const { history, take } = client();
    const before = history.current;
    take({ tick: 2, body: encodeBody(CARTS, content(2, { 8: [1, 1] })) });
    expect(history.current).not.toBe(before);
    take({ tick: 3 }, 2);
    take({ tick: 4 }, 2);
    expect(history.current).toBe(before);
  });

  it("keeps zones of which a message does not speak", () => {
    const { take } = client([full(4, a1), full(5, b1)]);
    expect(take({ tick: 2, zones: [delta(5, content(2, { 3: [10, 1] }), [b1, 1])] })).toEqual({
      3: [10, 1],
      7: [100, 5],
    });
  });

  it("is nothing of a zone that has left, however often that is said", () => {
    const { take } = client([full(4, a1), full(5, b1)]);
    expect(take({ tick: 2, left: [4] })).toEqual({ 3: [0, 1], 9: [50, 2] });
    expect(take({ tick: 3, left: [4, 6] })).toEqual({ 3: [0, 1], 9: [50, 2] });
    expect(take({ tick: 4, left: [4, 5] })).toEqual({});
    expect(() => take({ tick: 5, zones: [delta(4, content(5, {}), [a1, 1])] })).toThrow("unknown baseline");
    expect(take({ tick: 5, zones: [full(4, content(5, { 1: [2, 3] }))] })).toEqual({ 1: [2, 3] });
  });

  it("is nothing that another connection had brought, unless this one brings it, too", () => {
    const { take } = client([full(4, a1), full(5, b1)]);
    const again = full(5, content(2, { 3: [1, 1] }));
    expect(take({ tick: 2, zones: [again] }, 65, true)).toEqual({ 3: [1, 1] });
    expect(take({ tick: 3 }, 65, true)).toEqual({});
  });

  it("an entity that two zones have is as in the newer content, then as in the higher zone", () => {
    const { take } = client([full(4, a1), full(5, content(1, { 7: [0, 0] }))]);
    expect(take({ tick: 2 })).toEqual({ 7: [0, 0] });
    expect(take({ tick: 3, deferred: [5] })).toEqual({ 7: [100, 5] });
  });

  it("a change of the same tick may come in several messages, in any order", () => {
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 0, 2],
    ]) {
      const { history, take } = client([full(4, a1), full(5, b1)]);
      const common = encodeBody(CARTS, content(2, { 8: [1, 1] }));
      const parts: Message[] = [
        { tick: 2, body: common, deferred: [4, 5] },
        { tick: 2, number: 3, apart: true, deferred: [5], zones: [full(4, content(2, { 7: [101, 5] }))] },
        { tick: 2, number: 4, apart: true, deferred: [4], zones: [full(5, content(2, { 3: [1, 1] }))] },
      ];
      for (const n of order) take({ ...parts[n]!, ...(n > 0 && { body: new Uint8Array(0) }) });
      expect(shown(history)).toEqual({ 3: [1, 1], 7: [101, 5], 8: [1, 1] });
      expect(history.current!.tick).toBe(2);
    }
  });
});

describe("a zone that is deferred", () => {
  const moving = (tick: number) => content(tick, { 7: [100 * tick, tick] });

  it("goes on as it moved for a quarter of a second, then stands", () => {
    const { take } = client([full(4, moving(1))]);
    take({ tick: 2, zones: [delta(4, moving(2), [moving(1), 1])] });
    expect(take({ tick: 3, deferred: [4] })).toEqual({ 7: [300, 2] });
    expect(take({ tick: 7, deferred: [4] })).toEqual({ 7: [700, 2] });
    expect(take({ tick: 8, deferred: [4] })).toEqual({ 7: [700, 2] });
    expect(take({ tick: 9, zones: [delta(4, moving(9), [moving(2), 2])] })).toEqual({ 7: [900, 9] });
  });

  it("does not carry on who was placed elsewhere", () => {
    const schema = new Schema([{ ...cartSchema.kinds[0]!, life: 1 }]); // "health" counts lives here
    const { take } = client([full(4, content(1, { 7: [0, 1], 8: [0, 1] }))], schema);
    const placed = content(2, { 7: [5000, 2], 8: [10, 1] });
    take({ tick: 2, zones: [full(4, placed)] });
    expect(take({ tick: 3, deferred: [4] })).toEqual({ 7: [5000, 2], 8: [20, 1] });
  });

  it("stands if it had not changed for a tick", () => {
    const { take } = client([full(4, moving(1))]);
    take({ tick: 2, zones: [delta(4, moving(2), [moving(1), 1])] });
    take({ tick: 3 });
    expect(take({ tick: 4, deferred: [4] })).toEqual({ 7: [200, 2] });
  });

  it("has not changed after all if a later message does not speak of it", () => {
    const { take } = client([full(4, moving(1))]);
    take({ tick: 2, zones: [delta(4, moving(2), [moving(1), 1])] });
    take({ tick: 3, deferred: [4] });
    expect(take({ tick: 4 })).toEqual({ 7: [200, 2] });
  });

  it("and came in another message of this tick, is as that says", () => {
    const { take } = client([full(4, moving(1))]);
    take({ tick: 2, zones: [delta(4, moving(2), [moving(1), 1])] });
    take({ tick: 3, zones: [delta(4, moving(3), [moving(2), 2])] });
    const apart = { tick: 3, number: 4, apart: true, body: new Uint8Array(0) };
    expect(take({ ...apart, deferred: [4] })).toEqual({ 7: [300, 3] });
  });

  it("may be zone 0, if the message with it is lost", () => {
    const { take } = client([full(4, a1)]);
    take({ tick: 2, body: encodeBody(CARTS, content(2, { 1: [10, 1] })) });
    take({ tick: 3, body: encodeBody(CARTS, content(3, { 1: [20, 2] })) });
    const apart = { tick: 5, number: 7, apart: true, body: new Uint8Array(0) };
    expect(take(apart)).toEqual({ 1: [40, 2], 7: [100, 5] });
  });
});

describe("an entity that is missing in its zone", () => {
  it("is gone at once if all zones are known at that tick", () => {
    const { take } = client([full(4, a1), full(5, b1)]);
    expect(take({ tick: 2, zones: [full(4, content(2, {}))] })).toEqual({ 3: [0, 1], 9: [50, 2] });
  });

  it("stays as it was while another zone is behind, and is gone when that comes without it", () => {
    const { take } = client([full(4, a1), full(5, b1)]);
    expect(take({ tick: 2, zones: [full(4, content(2, {}))], deferred: [5] })[7]).toEqual([100, 5]);
    expect(take({ tick: 3, deferred: [5] })[7]).toEqual([100, 5]);
    expect(take({ tick: 4, zones: [full(5, content(4, b1Carts))] })).toEqual(b1Carts);
  });

  it("is where that zone has it", () => {
    const { take } = client([full(4, a1), full(5, b1)]);
    take({ tick: 2, zones: [full(4, content(2, {}))], deferred: [5] });
    const moved = full(5, content(3, { ...b1Carts, 7: [130, 5] }));
    expect(take({ tick: 3, zones: [moved] })[7]).toEqual([130, 5]);
    expect(take({ tick: 4, left: [5] })).toEqual({});
  });

  it("may come from zone 0, or go there", () => {
    const { take } = client([full(4, a1)]);
    take({ tick: 2, body: encodeBody(CARTS, content(2, { 1: [9, 9] })) });
    expect(take({ tick: 3, deferred: [4] })[1]).toEqual([9, 9]);
    expect(take({ tick: 4 })[1]).toBeUndefined();
    const apart = { tick: 5, number: 9, apart: true, body: new Uint8Array(0) };
    expect(take({ ...apart, zones: [full(4, content(5, {}))] })).toEqual({ 7: [100, 5] });
    expect(take({ tick: 5, deferred: [4] })).toEqual({});
  });

  it("is gone with the zone in which it was, whatever is behind", () => {
    const { take } = client([full(4, a1), full(5, b1)]);
    take({ tick: 2, zones: [full(4, content(2, {}))], deferred: [5] });
    expect(take({ tick: 3, left: [4], deferred: [5] })).toEqual(b1Carts);
  });

  it("is as it was seen last, not as in an older content that has it, too", () => {
    // From zone 5 to 4, of which 5 does not tell, and from there to somewhere else.
    const { take } = client([full(4, a1), full(5, content(1, { 6: [1, 1] })), full(6, b1)]);
    take({ tick: 2, zones: [full(4, content(2, { 6: [2, 2] }))], deferred: [5, 6] });
    const gone = { tick: 3, zones: [full(4, content(3, {}))], deferred: [5, 6] };
    expect(take(gone)[6]).toEqual([2, 2]);
    expect(take({ tick: 4, zones: [full(5, content(4, {}))], deferred: [6] })[6]).toEqual([2, 2]);
    expect(take({ tick: 5, zones: [full(6, content(5, {}))] })).toEqual({});
  });

  it("does not come back when the zone leaves in which it was found", () => {
    const { take } = client([full(4, a1), full(5, content(1, { 7: [1, 1] })), full(6, b1)]);
    take({ tick: 2, zones: [full(4, content(2, {}))], deferred: [5, 6] });
    // Zone 5 has not changed: it is there.
    expect(take({ tick: 3, deferred: [6] })[7]).toEqual([1, 1]);
    expect(take({ tick: 4, left: [5], deferred: [6] })).toEqual(b1Carts);
  });
});

const b1Carts: Carts = { 3: [0, 1], 9: [50, 2] };

describe("references", () => {
  it("may be any tick at which a content was valid", () => {
    const { take } = client([full(4, content(1, { 7: [100, 5] }))]);
    const second = content(3, { 7: [104, 5] });
    take({ tick: 3, zones: [delta(4, second, [a1, 1])] });
    take({ tick: 4 });
    take({ tick: 8 });
    // Between ticks 2 and 6 it moved by 4.
    const now = content(10, { 7: [300, 5] });
    expect(() => take({ tick: 10, zones: [delta(4, now, [second, 6], [a1, 2])] })).toThrow(
      "unknown baseline",
    );
    expect(take({ tick: 10, zones: [delta(4, now, [second, 6], [a1, 1])] })).toEqual({ 7: [300, 5] });
  });

  it("of a zone may be those of the message", () => {
    const { take } = client([full(4, a1), full(5, b1)]);
    const now = content(2, { 7: [120, 5] });
    const body = encodeBody(CARTS, now, { baseline: a1 });
    const common = encodeBody(CARTS, content(2, {}), { baseline: content(1, {}) });
    expect(
      take({ tick: 2, baseline: 1, body: common, zones: [{ zone: 4, references: 0, body }] })[7],
    ).toEqual([120, 5]);
  });

  it("over an ordered transport are the newest content and the one before", () => {
    const { take } = client([full(4, a1)]);
    const contents = [2, 3].map((tick) => content(tick, { 7: [100 * tick, 5] }));
    take({ tick: 2, zones: [delta(4, contents[0]!, [a1, 1])] }, 2);
    take({ tick: 3, zones: [delta(4, contents[1]!, [contents[0]!, 2], [a1, 1])] }, 2);
    const now = content(4, { 7: [0, 0] });
    expect(() => take({ tick: 4, zones: [delta(4, now, [a1, 1])] }, 2)).toThrow("unknown baseline");
    expect(take({ tick: 4, zones: [delta(4, now, [contents[0]!, 2])] }, 2)).toEqual({ 7: [0, 0] });
  });
});

it("a state that comes again replaces what it was, and not the one before", () => {
  const { take } = client([full(4, a1)]);
  const again = content(2, { 7: [120, 5] });
  for (let n = 0; n < 3; n++) take({ tick: 2, zones: [full(4, again)] }, 2);
  const now = content(3, { 7: [150, 5] });
  expect(take({ tick: 3, zones: [delta(4, now, [again, 2], [a1, 1])] }, 2)).toEqual({ 7: [150, 5] });
});

describe("a message that is refused changes nothing", () => {
  const zone = full(4, content(2, { 7: [1, 1] }));
  const bad: [string, Partial<Message>, string][] = [
    [
      "a zone against a content that is not there",
      { zones: [zone, { ...zone, zone: 5, references: 2 + 64 }] },
      "zone 5",
    ],
    [
      "a zone that this end does not have, not full",
      { zones: [{ ...zone, zone: 6, references: 0 }], baseline: 1 },
      "zone 6",
    ],
    [
      "a reference too far back",
      { zones: [zone, { ...zone, zone: 5, references: 2 + 64 * 65 }] },
      "references",
    ],
    ["a reference before tick 0", { zones: [{ ...zone, references: 2 + 5 }] }, "before start"],
    [
      "a checksum that is wrong",
      { zones: [{ ...zone, body: encodeBody(CARTS, content(2, {}), {}, 1) }] },
      "checksum",
    ],
    [
      "the head's fields in a zone",
      { zones: [{ ...zone, body: Uint8Array.of(3 << 3, 1) }] },
      "head in shared",
    ],
    [
      "a zone above the last",
      {
        zones: [
          { ...zone, zone: 2 ** 32 - 1 },
          { ...zone, zone: 2 ** 32 },
        ],
      },
      "zone",
    ],
    ["a zone that left and is there", { left: [4], zones: [zone] }, "zone that has left and has not"],
    [
      "more zones than allowed",
      { zones: Array.from({ length: 1024 }, (_, n) => ({ ...full(n + 10, content(2, {})), zone: n + 10 })) },
      "1026 zones in view; at most 1024 are allowed",
    ],
  ];
  it.each(bad)("%s", (_, message, error) => {
    const { history, take } = client([full(4, a1), full(5, b1)]);
    const before = shown(history);
    expect(() => take({ tick: 2, ...message })).toThrow(error);
    expect([shown(history), history.tick]).toEqual([before, 1]);
    expect(take({ tick: 2 })).toEqual(before);
  });

  it("fields in another order", () => {
    const fields = (...bytes: number[]) =>
      splitState(Uint8Array.from([10, bytes.length + 4, 8, 1, 16, 1, ...bytes]))!;
    const left = [(11 << 3) | 2, 1, 0];
    const zone = [(13 << 3) | 2, 0];
    expect(readZones(fields(...left, ...zone)).left).toEqual([1]);
    const bad: [number[], number][] = [
      [[...zone, ...left], 11],
      [[...left, (9 << 3) | 2, 0], 9],
      [[...left, 6 << 3, 1], 6],
    ];
    for (const [bytes, field] of bad) {
      expect(() => readZones(fields(...bytes))).toThrow(`field order: field ${field}`);
    }
  });
});

describe("acknowledgements", () => {
  const taken = (acks: Acks) => {
    const { stateAck, stateMissing } = acks.take(0, 50);
    return [stateAck, stateMissing];
  };

  it("say which messages before the newest are missing", () => {
    const acks = new Acks(true);
    expect(taken(acks)).toEqual([0, 0]);
    acks.takeState(3);
    expect(taken(acks)).toEqual([3, 0b11]);
    acks.takeState(6);
    expect(taken(acks)).toEqual([6, 0b11011]);
    acks.takeState(4);
    expect([3, 4, 5, 6, 7].map((n) => acks.has(n))).toEqual([true, true, false, true, false]);
    expect(taken(acks)).toEqual([6, 0b11001]);
    for (let number = 7; number < 100; number++) acks.takeState(number);
    expect(taken(acks)).toEqual([99, 0]);
    acks.takeState(131);
    expect(taken(acks)).toEqual([131, 0x7fffffff]);
    acks.takeState(164);
    expect(taken(acks)).toEqual([164, 0xffffffff]);
    acks.takeState(132);
    expect(taken(acks)).toEqual([164, 0x7fffffff]);
  });

  it("say nothing is missing where nothing gets lost, and nothing twice", () => {
    const acks = new Acks(false);
    acks.takeState(3);
    acks.takeState(9);
    expect(taken(acks)).toEqual([9, 0]);
    expect(taken(acks)).toEqual([0, 0]);
    acks.takeState(10);
    expect(taken(acks)).toEqual([10, 0]);
  });
});
