// Reconnecting: one attempt at a time, each counted once.
import { describe, expect, it } from "vitest";
import { CloseCode, connect, DialError, type Dialer, type RoomError, type Transport } from "../src/index.js";
import { record, world } from "./util/world.js";

/** A dialer whose attempts end when the test says so. */
function held(dialer: Dialer) {
  const attempts: { open: () => void; fail: (error: DialError) => void; signal: AbortSignal }[] = [];
  let holding = false;
  const made: Dialer = {
    name: dialer.name,
    dial: (target, signal) => {
      if (!holding) return dialer.dial(target, signal);
      return new Promise<Transport>((resolve, reject) =>
        attempts.push({
          open: () => void dialer.dial(target, new AbortController().signal).then(resolve, reject),
          fail: reject,
          signal,
        }),
      );
    },
  };
  return { dialer: made, attempts, hold: (on: boolean) => (holding = on) };
}

async function hung(more: { maxAttempts?: number } = {}) {
  const made = world();
  const { dialer, attempts, hold } = held(made.server.dialer("fake", "ordered"));
  const room = await made.join({ transports: [dialer], ...more });
  const { statuses } = record(room);
  await made.timers.advance(500);
  hold(true);
  made.server.cut();
  while (attempts.length === 0) await made.timers.advance(50);
  return { ...made, room, statuses, attempts, hold };
}

describe("while an attempt hangs", () => {
  type Hung = Awaited<ReturnType<typeof hung>>;
  it.each<[string, (it: Hung) => void]>([
    ["a command", ({ room }) => void room.command(Uint8Array.of(1))],
    ["an input", ({ room }) => room.send(Uint8Array.of(1))],
    ["a page that hides", ({ timers }) => timers.setHidden(true)],
  ])("%s starts no other", async (_, act) => {
    const it = await hung();
    for (let n = 0; n < 5; n++) {
      act(it);
      await it.timers.advance(500);
    }
    expect(it.attempts).toHaveLength(1);
    it.attempts[0]!.open();
    await it.timers.advance(500);
    expect(it.room.status).toMatchObject({ phase: "joined", resumed: true });
    expect(it.server.links).toHaveLength(2);
  });

  it("a late failure of one that was given up takes nothing away", async () => {
    const it = await hung({ maxAttempts: 3 });
    await it.timers.advance(10_000); // the longest that an attempt may take
    expect(it.room.status.phase).toBe("reconnecting");
    expect(it.attempts[0]!.signal.aborted).toBe(true);
    it.hold(false);
    await it.timers.advance(15_000);
    expect(it.room.status.phase).toBe("joined");
    it.statuses.length = 0;
    it.attempts[0]!.fail(new DialError("cannot be reached", false));
    await it.timers.advance(1000);
    expect(it.statuses).toEqual([]);
  });

  it("a late success of one that was given up is closed, and leaves no ghost", async () => {
    const it = await hung();
    await it.timers.advance(10_000);
    it.hold(false);
    await it.timers.advance(15_000);
    expect(it.room.status.phase).toBe("joined");
    it.statuses.length = 0;
    it.attempts[0]!.open();
    await it.timers.advance(1000);
    expect(it.server.links.filter((link) => link.open)).toHaveLength(1);
    expect(it.server.seats).toHaveLength(1);
    expect(it.statuses).toEqual([]);
  });

  it("the network's return lets the next follow at once should this one fail", async () => {
    const it = await hung();
    it.timers.setHidden(false);
    it.hold(false);
    it.attempts[0]!.fail(new DialError("the network was down"));
    await it.timers.advance(50);
    expect(it.room.status.phase).toBe("joined");
  });

  it("the network's return makes another in its place, if it hangs", async () => {
    const it = await hung();
    it.timers.setHidden(false); // it has only begun
    await it.timers.advance(900);
    expect(it.attempts).toHaveLength(1);
    await it.timers.advance(200);
    it.timers.setHidden(false);
    await it.timers.advance(50);
    it.timers.setHidden(false);
    await it.timers.advance(50);
    expect(it.attempts.map(({ signal }) => signal.aborted)).toEqual([true, false]);
    it.attempts[1]!.open();
    await it.timers.advance(50);
    expect(it.room.status).toMatchObject({ phase: "joined", resumed: true });
    it.attempts[0]!.open();
    await it.timers.advance(50);
    expect(it.server.links.filter((link) => link.open)).toHaveLength(1);
  });

  it("leave() ends the room when it fails, and gives up the seat when it does not", async () => {
    for (const succeeds of [true, false]) {
      const it = await hung();
      const left = it.room.leave();
      if (succeeds) it.attempts[0]!.open();
      else it.attempts[0]!.fail(new DialError("cannot be reached"));
      await it.timers.until(left);
      expect(it.room.status).toMatchObject({ phase: "closed", cause: { origin: "left" } });
      expect(it.server.messages.at(-1)!.case === "leave").toBe(succeeds);
    }
  });
});

describe("connecting", () => {
  const enough = new Error("enough");

  it("is given up while it is dialed", async () => {
    const { timers, server, options } = world();
    server.hanging = true;
    const stop = new AbortController();
    const given = expect(connect({ ...options, signal: stop.signal })).rejects.toBe(enough);
    await timers.advance(1000);
    stop.abort(enough);
    await timers.advance(5);
    await given;
    await expect(connect({ ...options, signal: stop.signal })).rejects.toBe(enough);
    await timers.advance(20_000);
    expect(server.links).toEqual([]);
  });

  it("is given up before the welcome, and with it the seat", async () => {
    const { timers, server, options } = world();
    const stop = new AbortController();
    const given = expect(connect({ ...options, signal: stop.signal })).rejects.toBe(enough);
    await timers.advance(30);
    stop.abort(enough);
    await timers.advance(5);
    await given;
    await timers.advance(1000);
    expect(server.messages.map((body) => body.case)).toEqual(["join", "leave"]);
    expect(server.links.filter((link) => link.open)).toEqual([]);
  });

  it("is over when it has succeeded: then the signal takes nothing away", async () => {
    const { timers, join } = world();
    const stop = new AbortController();
    const room = await join({ signal: stop.signal });
    stop.abort(enough);
    await timers.advance(10_000);
    expect(room.status.phase).toBe("joined");
  });
});

describe("attempts", () => {
  it("are each counted once", async () => {
    const { timers, server, join } = world();
    const room = await join({ random: () => 0.999 });
    const { statuses } = record(room);
    server.mute = () => true;
    server.cut();
    await timers.advance(100);
    for (let n = 0; n < 40; n++) {
      // Opened, and lost before the welcome.
      await timers.advance(1000);
      server.cut();
    }
    const waits = statuses.map((s) => (s.phase === "reconnecting" ? Math.round(s.retryIn / 1000) : -1));
    expect(waits.slice(0, 5)).toEqual([1, 2, 4, 8, 16]);
  });

  it("that end in a room which fails at once are made less and less often", async () => {
    const { timers, server, join } = world();
    const room = await join({ random: () => 0.999 });
    const { statuses } = record(room);
    for (let n = 0; n < 120; n++) {
      await timers.advance(500);
      if (room.status.phase === "joined") server.goodbye(CloseCode.RoomFailed, "it failed");
    }
    const waits = statuses.flatMap((s) => (s.phase === "reconnecting" ? [Math.round(s.retryIn / 1000)] : []));
    expect(waits.slice(0, 6)).toEqual([1, 2, 4, 8, 16, 30]);
  });

  it("with a token that the server does not know do not hide that the room fails", async () => {
    const { timers, server, join } = world();
    const room = await join({ random: () => 0.999 });
    const { statuses } = record(room);
    for (let n = 0; n < 200; n++) {
      await timers.advance(500);
      if (room.status.phase === "joined") server.restart();
    }
    const waits = statuses.flatMap((s) =>
      s.phase === "reconnecting" && s.cause.code !== CloseCode.UnknownSession
        ? [Math.round(s.retryIn / 1000)]
        : [],
    );
    expect(waits.slice(0, 5)).toEqual([1, 2, 4, 8, 16]);
  });

  it("begin with short waits again after a new seat that lasted, though the wait before was long", async () => {
    const { timers, server, join } = world();
    const room = await join({ random: () => 0.999 });
    const { statuses } = record(room);
    server.restart();
    server.down = true;
    await timers.advance(120_000);
    server.down = false;
    while (room.status.phase !== "joined") await timers.advance(100);
    expect(room.status).toMatchObject({ resumed: false });
    await timers.advance(5100);
    statuses.length = 0;
    server.cut();
    await timers.advance(50);
    expect((statuses[0] as { retryIn: number }).retryIn).toBeLessThan(1001);
  });

  it("begin with short waits again after connections that lasted", async () => {
    const { timers, server, join } = world();
    const room = await join({ random: () => 0.999 });
    for (let n = 0; n < 4; n++) {
      server.restart();
      await timers.advance(60_000);
      expect(room.status.phase).toBe("joined");
    }
    const { statuses } = record(room);
    server.restart();
    await timers.advance(50);
    expect((statuses[0] as { retryIn: number }).retryIn).toBeLessThan(1001);
  });

  it("to join anew, cut before the welcome, do not try the old seat again", async () => {
    const { timers, server, join } = world();
    const room = await join();
    server.restart();
    let joins = 0;
    server.mute = () => server.messages.at(-1)!.case === "join" && ++joins === 1;
    while (joins === 0) await timers.advance(50);
    server.cut();
    server.messages.length = 0;
    await timers.advance(5000);
    expect(room.status).toMatchObject({ phase: "joined", resumed: false });
    expect(server.messages.map((body) => body.case)).not.toContain("resume");
  });
});

describe("leaving while the connection is lost", () => {
  it("gives up the seat, so that nobody sees a ghost", async () => {
    const { timers, server, join } = world();
    const room = await join();
    server.cut();
    await timers.advance(25);
    expect(room.status.phase).toBe("reconnecting");
    await timers.until(room.leave());
    expect(server.messages.slice(-2).map((body) => body.case)).toEqual(["resume", "leave"]);
    expect(room.status).toMatchObject({ phase: "closed", cause: { origin: "left" } });
  });

  it("does not wait long for a server that is gone", async () => {
    const { timers, server, join } = world();
    const room = await join();
    server.hanging = true;
    server.cut();
    await timers.advance(25);
    await timers.until(room.leave(), 5100);
    expect(room.status.phase).toBe("closed");
  });
});

it("the network's return gives up a hung attempt beside a silent connection, too", async () => {
  const it = world();
  const { dialer, attempts, hold } = held(it.server.dialer("fake", "ordered"));
  const room = await it.join({ transports: [dialer] });
  await it.timers.advance(500);
  hold(true);
  [it.server.links[0]!.deaf, it.server.silent] = [true, true];
  while (attempts.length === 0) await it.timers.advance(50);
  await it.timers.advance(1500);
  it.timers.setHidden(false);
  hold(false);
  await it.timers.advance(2500);
  expect(room.status).toMatchObject({ phase: "joined", resumed: true });
  expect(it.server.links).toHaveLength(2);
});

describe("after the room has ended", () => {
  it("no connection is left that was opened beside a silent one", async () => {
    const it = world();
    const { dialer, attempts, hold } = held(it.server.dialer("fake", "ordered"));
    const room = await it.join({ transports: [dialer] });
    await it.timers.advance(500);
    hold(true);
    [it.server.links[0]!.deaf, it.server.silent] = [true, true];
    await it.timers.advance(2500);
    expect(attempts).toHaveLength(1);
    const left = room.leave();
    attempts[0]!.open();
    await it.timers.until(left);
    await it.timers.advance(100);
    expect(it.server.links.filter((link) => link.open)).toEqual([]);
  });

  it("nothing is dialed, though a token comes late", async () => {
    const it = world();
    let tell: ((token: string) => void) | undefined;
    let asked = 0;
    const identity = () =>
      asked++ === 0 ? "first" : new Promise<string>((resolve) => void (tell = resolve));
    const { dialer, attempts, hold } = held(it.server.dialer("fake", "ordered"));
    const room = await it.join({ transports: [dialer], identity });
    hold(true);
    it.server.cut();
    await it.timers.advance(1500);
    await it.timers.until(room.leave());
    tell!("second");
    await it.timers.advance(100);
    expect(attempts).toEqual([]);
  });
});

// What the server says before it admits anybody.
describe("a refusal", () => {
  it.each([
    [CloseCode.ServerFull, true],
    [4513, false],
  ])("with %i is told with its reason (tried again: %s)", async (code, mayReconnect) => {
    const { timers, server, options } = world();
    server.refusal = { code, reason: "too many from this address" };
    const error = (await timers.until(connect(options)).catch((e: unknown) => e)) as RoomError;
    expect(error).toMatchObject({ name: "RoomError", origin: "goodbye", code, mayReconnect });
    expect(error.message).toContain("too many from this address");
    expect(error.message).not.toContain("Is the server up?");
  });

  it("that is only a close is told with its code and reason, too", async () => {
    const { timers, server, options } = world();
    server.mute = (link) => (link.drop({ code: 4008, reason: "no free place" }), true);
    await expect(timers.until(connect(options))).rejects.toMatchObject({
      origin: "transport",
      code: 4008,
      message: expect.stringContaining("no free place") as unknown,
    });
  });

  it("while the room comes back is waited out, or ends it", async () => {
    for (const [code, phase] of [
      [CloseCode.ServerFull, "joined"],
      [4513, "closed"],
    ] as const) {
      const { timers, server, join } = world();
      const room = await join();
      server.refusal = { code, reason: "no" };
      server.cut();
      await timers.advance(2000);
      server.refusal = undefined;
      await timers.advance(30_000);
      expect(room.status.phase).toBe(phase);
    }
  });
});
