// Which transport is used: the best one that works, and how one that does not work is handled.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { connect, DialError, type Dialer, type Target, type Transport } from "../src/index.js";
import { record, world } from "./util/world.js";

beforeEach(() => void vi.spyOn(console, "info").mockReturnValue());
afterEach(() => vi.restoreAllMocks());

/** A better transport, for datagrams, that is slow or does not work; and one that always works. */
function two(rtt = 20) {
  const made = world();
  const { timers, server } = made;
  const link = { blocked: false, setup: 0, heard: undefined as number | undefined };
  const after = (ms: number) => new Promise<void>((resolve) => timers.set(resolve, ms));
  const inner = server.dialer("datagrams", "datagram");
  const datagrams: Dialer = {
    name: "datagrams",
    async dial(target: Target, signal: AbortSignal): Promise<Transport> {
      if (link.heard !== undefined) {
        await after(link.heard);
        target.heard?.(link.heard);
      }
      await after(link.setup);
      if (link.blocked) throw new DialError("udp is blocked");
      return inner.dial(target, signal);
    },
  };
  const stream = server.dialer("stream", "ordered");
  const dials: string[] = [];
  const slow = (dialer: Dialer, ms: number): Dialer => ({
    name: dialer.name,
    dial: async (target, signal) => {
      dials.push(dialer.name);
      await after(ms);
      return dialer.dial(target, signal);
    },
  });
  const join = () =>
    made.join({ transports: [slow(datagrams, 0), slow(stream, 2 * rtt)], random: () => 0.5 });
  return { ...made, link, dials, join };
}

describe("the better transport's head start", () => {
  it.each([20, 200, 400])("lets it win at a round trip of %i ms", async (rtt) => {
    const { link, join } = two(rtt);
    Object.assign(link, { heard: rtt, setup: 3 * rtt });
    const room = await join();
    expect(room.stats.transport).toBe("datagrams");
    expect(console.info).not.toHaveBeenCalled();
  });

  it("is 2 s at the most", async () => {
    const { timers, link, join } = two();
    Object.assign(link, { heard: 900, setup: 1e9 });
    const start = timers.now();
    expect((await join()).stats.transport).toBe("stream");
    expect(timers.now() - start).toBeLessThan(900 + 2000 + 200);
  });

  it("follows the round trip of the connection before", async () => {
    const { timers, server, conditions, options, link } = two();
    conditions.latency = 150;
    const setups = { datagrams: 0 };
    const after = (ms: number) => new Promise<void>((resolve) => timers.set(resolve, ms));
    const better = options.transports![0] as Dialer;
    const dialer: Dialer = {
      name: "fake",
      dial: async (target, signal) => (await after(setups.datagrams), better.dial(target, signal)),
    };
    const transports = [dialer, server.dialer("stream", "ordered")];
    const room = await timers.until(connect({ ...options, transports }));
    await timers.advance(5000);
    expect(room.stats.smoothedRtt).toBeGreaterThanOrEqual(300);
    setups.datagrams = 1100; // of a head start of 1200
    server.cut();
    await timers.advance(5000);
    expect(room.status).toMatchObject({ phase: "joined", transport: "fake" });
    expect(link.blocked).toBe(false);
  });
});

describe("a better transport that does not work", () => {
  it("is told of once in the console, with the reason", async () => {
    const { timers, server, link, join } = two();
    const info = vi.spyOn(console, "info").mockReturnValue();
    link.blocked = true;
    const room = await join();
    server.cut();
    await timers.advance(60_000);
    expect(room.stats.transport).toBe("stream");
    expect(info.mock.calls.map(String)).toEqual([
      "driftless: connected by stream. datagrams: udp is blocked",
    ]);
  });

  it("is told of when the browser does not have it, or it does not answer", async () => {
    const { timers, link, join, options, server } = two();
    const info = vi.spyOn(console, "info").mockReturnValue();
    link.setup = 1e9;
    await join();
    expect(String(info.mock.lastCall)).toContain("datagrams: no answer after 10");
    const missing: Dialer = { name: "none", available: () => false, dial: () => Promise.reject(new Error()) };
    await timers.until(connect({ ...options, transports: [missing, server.dialer("stream", "ordered")] }));
    expect(String(info.mock.lastCall)).toContain("none: not in this browser");
  });

  it("is tried again, seldom, and the seat moves over to it unseen", async () => {
    const { timers, server, link, dials, join } = two();
    link.blocked = true;
    const room = await join();
    const { events, ticks, statuses } = record(room);
    room.on("tick", () => room.send(Uint8Array.of(1)));
    dials.length = 0;
    await timers.advance(95_000); // tried after 30 s, and 60 s after that
    expect(dials).toEqual(["datagrams", "datagrams"]);
    expect(statuses).toEqual([]);
    link.blocked = false;
    await timers.advance(119_000);
    server.event("before");
    room.command(new TextEncoder().encode("1"));
    await timers.advance(5000);
    server.event("after");
    room.command(new TextEncoder().encode("2"));
    await timers.advance(5000);
    expect(statuses).toEqual([{ phase: "joined", transport: "datagrams", resumed: true }]);
    expect(room.stats).toMatchObject({ transport: "datagrams", reconnects: 0 });
    expect(events).toEqual(["before", "after"]);
    expect(server.seats).toHaveLength(1);
    expect(server.seats[0]!.commands).toEqual(["1", "2"]);
    expect(server.links.filter((l) => l.open).map((l) => l.name)).toEqual(["datagrams"]);
    for (let n = 1; n < ticks.length; n++) expect(ticks[n]! - ticks[n - 1]!).toBeLessThan(6);
    dials.length = 0;
    await timers.advance(700_000);
    expect(dials).toEqual([]);
  });

  it("though it opens: the seat goes back, and it is tried less and less often", async () => {
    const { timers, server, link, join } = two();
    link.blocked = true;
    const room = await join();
    const { statuses } = record(room);
    server.mute = (to) => to.name === "datagrams";
    link.blocked = false;
    await timers.advance(36_000);
    expect(statuses.map((s) => s.phase)).toEqual(["reconnecting", "joined"]);
    expect(room.status).toMatchObject({ transport: "stream", resumed: true });
    await timers.advance(55_000); // not before 60 s have passed
    expect(statuses).toHaveLength(2);
    await timers.advance(120_000);
    expect(statuses).toHaveLength(4);
    expect(server.seats).toHaveLength(1);
  });

  it("is not held against it for ever: a later reconnect tries it first", async () => {
    const { timers, server, link, dials, join } = two();
    const room = await join();
    expect(room.stats.transport).toBe("datagrams");
    link.blocked = true;
    server.cut();
    await timers.advance(3000);
    expect(room.stats.transport).toBe("stream");
    dials.length = 0;
    server.cut();
    await timers.advance(3000);
    expect(dials).toEqual(["stream"]); // what worked a moment ago
    link.blocked = false;
    server.down = true;
    server.cut();
    await timers.advance(40_000);
    server.down = false;
    await timers.advance(60_000);
    expect(room.stats.transport).toBe("datagrams");
  });

  it("is tried again though the server was in doubt when its time came", async () => {
    const { timers, server, link, dials, join } = two();
    link.blocked = true;
    const room = await join();
    await timers.advance(27_500);
    // Nothing comes for 5 s, nor opens.
    [server.silent, server.hanging, server.links[0]!.deaf, link.setup] = [true, true, true, 1e9];
    await timers.advance(5000);
    [server.silent, server.hanging, server.links[0]!.deaf, link.setup] = [false, false, false, 0];
    link.blocked = false;
    expect(dials.length).toBeGreaterThan(2);
    await timers.advance(20_000);
    expect(room.status).toMatchObject({ phase: "joined", transport: "datagrams", resumed: true });
    expect(room.stats.reconnects).toBe(0);
  });

  it("and whose attempt is under way when the connection is lost is not in the way", async () => {
    const { timers, server, link, join } = two();
    link.blocked = true;
    const room = await join();
    link.setup = 8000;
    await timers.advance(31_000);
    server.cut();
    await timers.advance(3000);
    expect(room.status).toMatchObject({ phase: "joined", transport: "stream", resumed: true });
    link.blocked = false;
    await timers.advance(9000);
    expect(server.links.filter((l) => l.open)).toHaveLength(1);
    expect(server.seats).toHaveLength(1);
  });
});

describe("transports", () => {
  it("that fail give way at once, and the one that works goes first the next time", async () => {
    const { timers, server, options } = world();
    const dialled: string[] = [];
    const broken = {
      name: "broken",
      dial: () => (dialled.push("broken"), Promise.reject(new Error("blocked"))),
    };
    const works = server.dialer("works", "ordered");
    const spied = {
      ...works,
      dial: ((...args) => (dialled.push("works"), works.dial(...args))) as typeof works.dial,
    };
    const start = timers.now();
    const room = await timers.until(connect({ ...options, transports: [broken, spied] }));
    expect(timers.now() - start).toBeLessThan(50);
    server.cut();
    await timers.advance(3000);
    expect(room.status).toMatchObject({ phase: "joined", transport: "works", resumed: true });
    expect(dialled).toEqual(["broken", "works", "works"]);
  });

  it("that hang are overtaken after their head start, and closed if they come late", async () => {
    const { timers, server, options } = world();
    const slow = server.dialer("slow", "datagram");
    const late = {
      name: "slow",
      dial: (...args: Parameters<typeof slow.dial>) =>
        new Promise<Awaited<ReturnType<typeof slow.dial>>>((resolve, reject) =>
          timers.set(() => void slow.dial(...args).then(resolve, reject), 5000),
        ),
    };
    const start = timers.now();
    const room = await timers.until(
      connect({ ...options, transports: [late, server.dialer("fast", "ordered")] }),
    );
    expect(room.stats.transport).toBe("fast");
    // The distance to the server is unknown.
    expect(timers.now() - start).toBeGreaterThanOrEqual(1000);
    expect(timers.now() - start).toBeLessThan(1100);
    await timers.advance(10_000);
    const other = server.links.find((link) => link.name === "slow");
    expect(other?.open ?? false).toBe(false);
    expect(server.seats).toHaveLength(1);
  });

  it("of which none answers are given up after 10 s", async () => {
    const { timers, server, options } = world();
    server.hanging = true;
    await expect(timers.until(connect(options))).rejects.toMatchObject({ origin: "dial" });
  });

  it("can change on the way: the seat moves from datagrams to a stream", async () => {
    const { timers, server, options } = world();
    const [datagrams, stream] = [server.dialer("datagrams", "datagram"), server.dialer("stream", "ordered")];
    let blocked = false;
    const first = {
      ...datagrams,
      dial: ((...args) =>
        blocked
          ? Promise.reject(new Error("udp is blocked"))
          : datagrams.dial(...args)) as typeof datagrams.dial,
    };
    const room = await timers.until(connect({ ...options, transports: [first, stream] }));
    const { events, ticks } = record(room);
    room.on("tick", () => room.send(Uint8Array.of(1)));
    await timers.advance(1000);
    blocked = true;
    server.cut();
    server.event("while away");
    await timers.advance(3000);
    expect(room.status).toMatchObject({ phase: "joined", transport: "stream", resumed: true });
    expect(events).toEqual(["while away"]);
    expect(ticks.at(-1)).toBeGreaterThan(server.tick - 4);
    expect(server.seats[0]!.x + server.seats[0]!.pendingInputs.length).toBe(server.seats[0]!.inputReceived);
  });
});
