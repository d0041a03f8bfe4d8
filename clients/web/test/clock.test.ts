// The server's clock, and when to send what.
import { describe, expect, it } from "vitest";
import { Backoff } from "../src/backoff.js";
import { Clock } from "../src/clock.js";
import { InputClock } from "../src/input_clock.js";
import { random } from "./util/random.js";

describe("the clock", () => {
  it("is off by at most half of the best round trip", () => {
    const rng = random(3);
    const clock = new Clock();
    clock.handleWelcome(0, 500_000);
    let best = Infinity;
    for (let n = 1; n < 100; n++) {
      const [there, back] = [10 + 200 * rng() ** 3, 10 + 200 * rng() ** 3];
      const at = n * 1000;
      clock.handlePong(at, there + back, 500_000 + at - back);
      if (n > 92) best = Math.min(best, there + back);
    }
    expect(Math.abs(clock.serverTime(100_000)! - 600_000)).toBeLessThanOrEqual(best / 2 + 1);
  });

  it("of another server replaces all samples; a welcome of the same does not", () => {
    const clock = new Clock();
    clock.handleWelcome(0, 1000);
    clock.handlePong(100, 20, 1090);
    clock.handleWelcome(200, 1150); // it was in transit for 50 ms
    expect(clock.serverTime(200)).toBe(1200);
    clock.handleWelcome(300, 9_000_000);
    expect(clock.serverTime(300)).toBe(9_000_000);
  });

  // A page that slept: its own clock stood still meanwhile, or the server's did.
  it.each([5000, 400, -5000])("that moved by %i ms is believed at once", (moved) => {
    const clock = new Clock();
    clock.handleWelcome(0, 0);
    for (let n = 1; n <= 8; n++) clock.handlePong(n * 2000, 20, n * 2000 - 10);
    clock.handlePong(18_000, 21, 18_000 - 10.5 + moved);
    expect(clock.serverTime(18_000)).toBeCloseTo(18_000 + moved);
    expect(clock.moves).toBe(1);
    clock.handlePong(20_000, 80, 20_000 - 40 + moved);
    expect(clock.serverTime(20_000)).toBeCloseTo(20_000 + moved);
  });

  it("that a slow pong tells of is not taken for another one", () => {
    const clock = new Clock();
    clock.handleWelcome(0, 0);
    for (let n = 1; n <= 4; n++) clock.handlePong(n * 2000, 20, n * 2000 - 10);
    // All of the 400 ms were on the way back.
    clock.handlePong(10_000, 400, 10_000 - 395);
    expect([clock.moves, clock.serverTime(10_000)]).toEqual([0, 10_000]);
  });

  it("cannot be behind what a welcome says", () => {
    const clock = new Clock();
    clock.handleWelcome(0, 0);
    clock.handlePong(100, 20, 90);
    clock.handleWelcome(1000, 1400);
    expect([clock.moves, clock.serverTime(1000)]).toEqual([1, 1400]);
  });

  it("is another one where a sample contradicts any older one", () => {
    const clock = new Clock();
    clock.handlePong(1000, 20, 990);
    clock.handlePong(2000, 60, 2000 - 30 + 60); // it may just come from the same clock: off by 30 and the clocks' errors
    clock.handlePong(3000, 18, 3000 - 9 - 50);
    expect([clock.moves, clock.serverTime(3000)]).toEqual([1, 2950]);
  });

  it("of a welcome is replaced by another server's before there is a pong", () => {
    const clock = new Clock();
    clock.handleWelcome(0, 1000);
    clock.handleWelcome(100, 9_000_000);
    expect([clock.moves, clock.serverTime(100)]).toEqual([1, 9_000_000]);
  });

  it("is unknown before the first welcome", () => expect(new Clock().serverTime(5)).toBeUndefined());
});

describe("waits", () => {
  it("are drawn evenly from 0 to a ceiling that doubles up to 30 s", () => {
    const backoff = new Backoff(1000, 30_000, () => 0.5);
    expect(Array.from({ length: 8 }, () => backoff.next())).toEqual([
      500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000,
    ]);
    backoff.reset();
    expect(backoff.next()).toBe(500);
  });

  it("are as long as the server asks for, up to 5 minutes", () => {
    const backoff = new Backoff(1000, 30_000, () => 0);
    expect([backoff.next(7000), backoff.next(1e9)]).toEqual([7000, 300_000]);
  });

  it("begin with what the server asks for, which has spread its clients itself", () => {
    const backoff = new Backoff(1000, 30_000, () => 0.5);
    const waits = Array.from({ length: 4 }, () => backoff.next(10));
    expect(waits).toEqual([10, 10, 10, 4000]);
  });

  it("are drawn from no more than a waiting seat allows", () => {
    const backoff = new Backoff(1000, 30_000, () => 0.5);
    expect(Array.from({ length: 5 }, () => backoff.next(0, 3000))).toEqual([500, 1000, 1500, 1500, 1500]);
  });
});

describe("inputs", () => {
  it("arrive shortly before a tick, one for each", () => {
    const rng = random(8);
    const clock = new InputClock();
    const way = 30;
    let now = 12_345;
    const arrivals: number[] = [];
    for (let n = 0; n < 1000; n++) {
      const { tick, wait } = clock.next(now, 50, 100, way, 2);
      now += wait + 4 * rng(); // timers are late
      clock.sent(tick);
      arrivals.push((now + way - 100) / 50);
    }
    const ticks = arrivals.map(Math.ceil);
    for (let n = 1; n < ticks.length; n++) expect(ticks[n]! - ticks[n - 1]!).toBe(1);
    for (const arrival of arrivals) expect(Math.ceil(arrival) - arrival).toBeLessThan(0.35);
  });

  it("go on at once when the clock jumps", () => {
    const clock = new InputClock();
    clock.sent(clock.next(1_000_000, 50, 0, 0, 0).tick);
    expect(clock.next(1000, 50, 0, 0, 0).wait).toBeLessThanOrEqual(50);
    expect(clock.next(5_000_000, 50, 0, 0, 0).wait).toBeLessThanOrEqual(50);
  });
});
