// A room over a fake network, in virtual time.
import { afterEach, describe, expect, it, vi } from "vitest";
import { CloseCode, connect, RoomError } from "../src/index.js";
import { random } from "./util/random.js";
import { numbers, record, world } from "./util/world.js";

afterEach(() => vi.restoreAllMocks());

describe.each(["ordered", "datagram"] as const)("over %s delivery", (delivery) => {
  it("a player joins and sees the room", async () => {
    const { timers, server, join } = world(delivery);
    const room = await join();
    const { ticks } = record(room);
    await timers.advance(1000);
    expect(room.status).toMatchObject({ phase: "joined", resumed: false });
    expect([room.player, room.tickRate, room.kind, room.user]).toEqual([1, 20, "fake", "guest-1"]);
    expect(ticks.length).toBeGreaterThan(15);
    expect(server.seats[0]!.x).toBe(0);
    expect(room.entities.all("player")).toEqual([{ id: 1, x: 0 }]);
  });

  it("a join brings the options for the room", async () => {
    const { server, join } = world(delivery);
    await join();
    await join({ options: { respawn_s: 5 } });
    const joins = server.messages.filter((body) => body.case === "join");
    expect(joins.map(({ value }) => value.options)).toEqual(["", '{"respawn_s":5}']);
  });

  // Promise 2: "A client never applies a state older than one it has applied."
  it("states only ever go forward, whatever the link does", async () => {
    const { timers, join } = world(delivery, { latency: 10, jitter: 180, loss: 0.15 }, 7);
    const room = await join();
    const { ticks, statuses } = record(room);
    await timers.advance(20_000);
    expect(ticks.length).toBeGreaterThan(50);
    for (let n = 1; n < ticks.length; n++) expect(ticks[n]).toBeGreaterThan(ticks[n - 1]!);
    if (delivery === "datagram") expect(room.stats.stale).toBeGreaterThan(0);
    expect(statuses).toEqual([]);
  });

  // Promise 3: "Reliable events arrive exactly once, in order, across a resume within the window."
  it.each([1, 2, 3, 4, 5])(
    "events and commands arrive once and in order over broken connections (seed %i)",
    async (seed) => {
      const { timers, server, join } = world(delivery, { latency: 30, jitter: 40, loss: 0.1 }, seed);
      const rng = random(100 + seed);
      const room = await join();
      const { events } = record(room);
      for (let n = 1; n <= 60; n++) {
        server.event(`${n}`);
        room.command(new TextEncoder().encode(`${n}`));
        await timers.advance(rng() * 300);
        if (rng() < 0.15) server.cut();
        if (rng() < 0.1) room.disconnect();
      }
      await timers.advance(60_000);
      expect(events).toEqual(numbers(1, 60));
      expect(server.seats).toHaveLength(1);
      expect(server.seats[0]!.commands).toEqual(numbers(1, 60));
      expect(room.stats.resumes).toBeGreaterThan(3);
    },
  );

  it("an event that comes again is told once, and acknowledged again", async () => {
    const { timers, server, join } = world(delivery);
    const { events } = record(await join());
    server.event("1");
    const [seat] = server.seats;
    const [item] = seat!.reliable;
    await timers.advance(500);
    server.messages.length = 0;
    seat!.link!.tell({ case: "reliable", value: item! });
    await timers.advance(500);
    expect(events).toEqual(["1"]);
    const acks = server.messages.map((body) => (body.case === "ack" ? body.value.reliableAck : 0n));
    expect(acks).toContain(1n);
  });

  it("an event that was skipped is the server's fault", async () => {
    const { timers, server, join } = world(delivery);
    const room = await join();
    const { events } = record(room);
    const value = {
      sequence: 2n,
      body: { case: "event" as const, value: { tick: 1, payload: new Uint8Array(1) } },
    };
    server.seats[0]!.link!.tell({ case: "reliable", value });
    await timers.advance(500);
    expect(events).toEqual([]);
    expect(room.status).toMatchObject({ phase: "closed", cause: { origin: "server" } });
  });

  it("inputs are each taken once, and the state says which", async () => {
    const { timers, server, join } = world(delivery, { latency: 30, jitter: 60, loss: 0.2 }, 3);
    const room = await join();
    let sent = 0;
    room.on("tick", () => room.send(Uint8Array.of(1)));
    room.on("input", ({ sequence }) => (sent = sequence));
    await timers.advance(10_000);
    expect(sent).toBeGreaterThan(150);
    const { x, inputReceived, pendingInputs } = server.seats[0]!;
    expect(x + pendingInputs.length).toBe(inputReceived);
    expect(sent - inputReceived).toBeLessThan(20);
  });

  it("a seat that is gone is taken anew", async () => {
    const { timers, server, join } = world(delivery);
    const room = await join();
    const { statuses, ticks } = record(room);
    server.restart();
    await timers.advance(10_000);
    expect(statuses.map((s) => s.phase)).toEqual(["reconnecting", "reconnecting", "joined"]);
    expect(statuses.at(-1)).toMatchObject({ resumed: false });
    expect(ticks.at(-1)).toBeGreaterThan(server.tick - 4);
  });
});

describe("inputs", () => {
  it("go on after one that is too long, which the caller is told", async () => {
    const { timers, join } = world("ordered");
    const room = await join();
    const sequences: number[] = [];
    const refused: unknown[] = [];
    room.on("input", ({ sequence }) => sequences.push(sequence));
    let n = 0;
    room.on("tick", () => {
      try {
        room.send(new Uint8Array(++n === 5 ? 5000 : 1));
      } catch (error) {
        refused.push(error);
      }
    });
    await timers.advance(1000);
    expect(refused).toEqual([expect.objectContaining({ name: "SendError" })]);
    expect(sequences.length).toBeGreaterThan(12);
  });

  it("come one for each tick of the room, whatever the page's events do", async () => {
    const { timers, server, join } = world("ordered", { latency: 35, jitter: 4, loss: 0 });
    const room = await join();
    // The mouse moves every 4 ms.
    const move = (): void => {
      room.send(Uint8Array.of(1));
      timers.set(move, 4);
    };
    move();
    await timers.advance(3000);
    server.seats[0]!.inputsByTick.length = 0;
    await timers.advance(5000);
    const counts = server.seats[0]!.inputsByTick;
    expect(counts.length).toBeGreaterThan(95);
    expect(counts.filter((count) => count !== 1)).toEqual([]);
  });

  it("that were replaced before their tick are not sent", async () => {
    const { timers, server, join } = world();
    const room = await join();
    await timers.advance(100);
    room.send(Uint8Array.of(100));
    room.send(Uint8Array.of(7));
    await timers.advance(500);
    expect([server.seats[0]!.x, server.seats[0]!.inputReceived]).toEqual([7, 1]);
  });

  it("that no connection could take are not sent late", async () => {
    const { timers, server, join } = world();
    const room = await join();
    await timers.advance(100);
    server.cut();
    await timers.advance(25);
    expect(room.status.phase).toBe("reconnecting");
    let ticks = 0;
    const off = room.on("tick", () => ticks++);
    await timers.advance(100);
    off();
    expect([room.status.phase, ticks]).toEqual(["reconnecting", 0]);
    room.send(Uint8Array.of(100));
    await timers.advance(5000);
    expect([room.status.phase, server.seats[0]!.x]).toEqual(["joined", 0]);
  });

  it("carry the acknowledgements, and without inputs those go alone", async () => {
    const { timers, server, join } = world();
    const room = await join();
    await timers.advance(1000);
    const kinds = (): string[] => server.messages.splice(0).map((body) => body.case!);
    kinds();
    await timers.advance(2000);
    expect(kinds().filter((kind) => kind === "ack").length).toBeGreaterThan(15);
    room.on("tick", () => room.send(Uint8Array.of(0)));
    await timers.advance(300);
    kinds();
    await timers.advance(2000);
    expect(kinds().filter((kind) => kind === "ack").length).toBeLessThan(3);
  });

  it("wait while the transport's buffer is full, and then the newest go", async () => {
    const { timers, server, join } = world();
    const room = await join();
    await timers.advance(500);
    const link = server.links[0]!;
    link.buffered = 100_000;
    await timers.advance(100); // what is on its way arrives
    server.messages.length = 0;
    room.on("tick", () => room.send(Uint8Array.of(1)));
    await timers.advance(2000);
    expect(server.messages).toEqual([]);
    link.buffered = 0;
    await timers.advance(200);
    const inputs = server.messages.filter((body) => body.case === "input");
    expect(inputs.length).toBeGreaterThan(0);
    expect(inputs.length).toBeLessThan(6);
    expect(inputs[0]!.value).toMatchObject({
      previous: expect.arrayContaining([Uint8Array.of(1)]) as unknown,
    });
  });
});

describe("a page", () => {
  it("that is slow gets the newest state, not a backlog", async () => {
    const { timers, join } = world();
    const room = await join();
    timers.frameInterval = 400;
    await timers.advance(400);
    const { ticks } = record(room);
    await timers.advance(4000);
    expect(ticks.length).toBeLessThanOrEqual(10);
    for (let n = 1; n < ticks.length; n++) expect(ticks[n]! - ticks[n - 1]!).toBeGreaterThan(4);
    expect(room.stats.superseded).toBeGreaterThan(50);
  });

  it("that is hidden acknowledges without timers, so that states keep coming", async () => {
    const { timers, server, join } = world();
    const room = await join();
    await timers.advance(500);
    timers.setHidden(true);
    server.messages.length = 0;
    const before = room.stats.states;
    await timers.advance(2000);
    expect(room.stats.states - before).toBeGreaterThanOrEqual(38);
    expect(server.messages.filter((body) => body.case === "ack").length).toBeGreaterThanOrEqual(30);
  });

  // Strangers join and leave 250 times per second, and each is an event.
  it.each([true, false])("acknowledges at tick rate, however much comes (hidden: %s)", async (hidden) => {
    const { timers, server, join } = world();
    await join();
    await timers.advance(500);
    timers.setHidden(hidden);
    server.messages.length = 0;
    for (let n = 0; n < 1000; n++) {
      server.event(`${n}`);
      await timers.advance(2);
    }
    await timers.advance(100);
    const acks = server.messages.flatMap((body) => (body.case === "ack" ? [body.value.reliableAck] : []));
    expect(acks.length).toBeLessThanOrEqual(43);
    expect(acks).toContain(1000n);
  });

  it("is told states though it is hidden while one waits for a picture", async () => {
    const { timers, server, join } = world();
    const { ticks } = record(await join());
    for (let n = 0; n < 20; n++) {
      // At any moment between two states, so that sometimes one is waiting.
      await timers.advance(203);
      timers.setHidden(true);
      await timers.advance(500);
      expect(ticks.at(-1)).toBeGreaterThanOrEqual(server.tick - 2);
      timers.setHidden(false);
      await timers.advance(100);
      expect(ticks.at(-1)).toBeGreaterThanOrEqual(server.tick - 2);
    }
    for (let n = 1; n < ticks.length; n++) expect(ticks[n]).toBeGreaterThan(ticks[n - 1]!);
  });

  it("that is drawn nowhere is told states though it is not hidden", async () => {
    const { timers, server, join } = world();
    timers.frameInterval = Infinity;
    const { ticks } = record(await join());
    await timers.advance(10_000);
    expect(ticks.at(-1)).toBeGreaterThan(server.tick - 25);
  });

  it("whose clock stood while it slept shows the newest states again at once", async () => {
    const { timers, server, join } = world();
    const room = await join();
    await timers.advance(20_000);
    // 5 s that the page's clock does not count.
    server.passUnseen(5000);
    await timers.advance(300);
    expect(room.serverTime! - server.now).toBeCloseTo(0, 0);
    expect(room.view!.tick).toBeGreaterThan(server.tick - 8);
    expect(room.renderDelay).toBeLessThan(300);
  });

  it("that slept does not take the server for dead, nor doubt it", async () => {
    const { timers, server, join } = world();
    const room = await join();
    const { statuses } = record(room);
    await timers.advance(500);
    timers.sleep(60_000);
    await timers.advance(5000);
    expect(statuses).toEqual([]);
    expect(server.links).toHaveLength(1);
  });

  // Chrome, five minutes after the page was hidden.
  it("whose timers fire once a minute notices that the server is gone", async () => {
    const { timers, server, join } = world();
    const room = await join();
    const { statuses } = record(room);
    await timers.advance(500);
    timers.hiddenGrain = 60_000;
    timers.setHidden(true);
    await timers.advance(180_000);
    expect(statuses).toEqual([]);
    [server.links[0]!.deaf, server.silent] = [true, true];
    await timers.advance(180_000);
    expect(statuses[0]).toMatchObject({ phase: "reconnecting", cause: { code: CloseCode.TimedOut } });
    expect(room.status.phase).toBe("joined");
  });

  // A page that was frozen, or comes from the back/forward cache, is told of it after it was shown.
  it("whose connection was lost while it slept tries at once", async () => {
    const { timers, server, join } = world();
    const room = await join({ random: () => 0.999 });
    const { statuses } = record(room);
    await timers.advance(500);
    server.cut();
    timers.sleep(8000);
    timers.setHidden(false);
    await timers.advance(100);
    expect(statuses).toMatchObject([{ phase: "reconnecting" }, { phase: "joined", resumed: true }]);
    server.goodbye(CloseCode.Draining, "going down", 7000);
    await timers.advance(100);
    expect(statuses.at(-1)).toMatchObject({ phase: "reconnecting", retryIn: 7000 });
  });

  it("that is shown again tries at once", async () => {
    const { timers, server, join } = world();
    const room = await join();
    server.down = true;
    server.cut();
    await timers.advance(100_000);
    expect(room.status.phase).toBe("reconnecting");
    server.down = false;
    timers.setHidden(true);
    timers.setHidden(false);
    await timers.advance(300);
    expect(room.status.phase).toBe("joined");
  });
});

describe("when the connection ends", () => {
  it("silence is noticed, and the seat resumed", async () => {
    const { timers, server, join, conditions } = world();
    const room = await join();
    const { statuses } = record(room);
    conditions.latency = 1e9;
    await timers.advance(10_500);
    expect(statuses[0]).toMatchObject({ phase: "reconnecting", cause: { code: CloseCode.TimedOut } });
    conditions.latency = 20;
    await timers.advance(20_000);
    expect(room.status).toMatchObject({ phase: "joined", resumed: true });
    expect(server.seats).toHaveLength(1);
  });

  it("what is undone is told once, and no more of it than was shown", async () => {
    const { timers, server, join } = world();
    const room = await join();
    const told: { after: number; until: number }[] = [];
    room.on("rolledBack", (undone) => told.push(undone));
    await timers.advance(1000);
    const shown = room.state!.tick;
    server.fail(shown - 3, shown + 100);
    server.silent = true;
    await timers.advance(3000);
    expect([room.status.phase, told]).toEqual(["joined", [{ after: shown - 3, until: shown }]]);
    server.fail(server.tick - 10, server.tick + 100); // of that, nothing was shown
    server.silent = false;
    await timers.advance(3000);
    expect([room.status.phase, told.length]).toEqual(["joined", 1]);
    const newest = room.state!.tick;
    server.fail(newest - 5, newest + 100);
    await timers.advance(3000);
    expect(told.slice(1)).toEqual([{ after: newest - 5, until: newest }]);
  });

  it.each([true, false])("inputs are sent again to a room that stood still meanwhile: %s", async (stood) => {
    const { timers, server, join } = world();
    const room = await join();
    await timers.advance(1000);
    const [seat] = server.seats;
    server.links.find((link) => link.open)!.deaf = true;
    for (let n = 0; n < 3; n++) {
      room.send(new Uint8Array([1]));
      await timers.advance(50);
    }
    const before = seat!.x;
    server.stoodStill = stood;
    server.cut();
    await timers.advance(5000);
    expect([room.status.phase, seat!.x - before]).toEqual(["joined", stood ? 3 : 0]);
  });

  it("waits grow from at most 1 s to at most 30 s", async () => {
    const { timers, server, join } = world();
    const room = await join({ random: () => 0.999 });
    const { statuses } = record(room);
    server.down = true;
    server.cut();
    await timers.advance(200_000);
    const waits = statuses.map((s) => (s.phase === "reconnecting" ? Math.round(s.retryIn / 1000) : -1));
    expect(waits.slice(0, 8)).toEqual([1, 2, 4, 8, 16, 30, 30, 30]);
    expect(room.status.phase).toBe("reconnecting");
  });

  it("the server's wish to wait is granted", async () => {
    const { timers, server, join } = world();
    const { statuses } = record(await join());
    server.goodbye(CloseCode.Draining, "going down", 7000);
    await timers.advance(1000);
    expect(statuses[0]).toMatchObject({ phase: "reconnecting", cause: { origin: "goodbye", code: 4000 } });
    expect((statuses[0] as { retryIn: number }).retryIn).toBeGreaterThanOrEqual(7000);
    await timers.advance(7000);
    expect(statuses.at(-1)!.phase).toBe("joined");
  });

  const codes = Object.values(CloseCode).filter((code): code is CloseCode => typeof code === "number");
  it.each(codes)("with %i, it is tried again only where the code allows that", async (code) => {
    const { timers, server, join } = world();
    const room = await join();
    server.goodbye(code, "because");
    await timers.advance(30_000);
    expect(room.status.phase).toBe(code < 4500 ? "joined" : "closed");
    if (code >= 4500) {
      const { cause } = room.status as { cause: RoomError };
      expect(cause.code).toBe(code);
      expect(cause.advice).not.toBe("");
      expect(() => room.command(Uint8Array.of(1))).toThrow("the room has ended");
    }
    const anew = [CloseCode.RoomClosed, CloseCode.RoomFailed, CloseCode.UnknownSession];
    if (code < 4500) expect(server.seats).toHaveLength(anew.includes(code) ? 2 : 1);
  });

  it("a server that breaks the protocol is not tried again", async () => {
    const { timers, server, join } = world();
    const room = await join();
    await timers.advance(300);
    server.links[0]!.sendRaw(Uint8Array.of(10, 3, 8, 1, 16), true);
    await timers.advance(300);
    expect(room.status).toMatchObject({ phase: "closed", cause: { origin: "server", mayReconnect: false } });
    expect(server.links[0]!.closedWith?.code).toBe(CloseCode.Malformed);
  });

  it("it gives up after as many attempts as were asked for", async () => {
    const { timers, server, join } = world();
    const room = await join({ maxAttempts: 3 });
    server.down = true;
    server.cut();
    await timers.advance(100_000);
    expect(room.status).toMatchObject({ phase: "closed", cause: { origin: "gave up" } });
  });

  it("a server that knows no seat, not even for a join, is given up as well", async () => {
    const { timers, server, join } = world();
    const room = await join({ maxAttempts: 3 });
    server.refusal = { code: CloseCode.UnknownSession, reason: "no such seat" };
    server.cut();
    await timers.advance(100_000);
    expect(room.status).toMatchObject({ phase: "closed", cause: { origin: "gave up" } });
  });

  it("the first attempt fails with what happened", async () => {
    const { timers, server, options } = world();
    server.down = true;
    await expect(timers.until(connect(options))).rejects.toMatchObject({
      name: "RoomError",
      origin: "dial",
      message: expect.not.stringContaining("tries again") as unknown,
    });
    await expect(connect({ ...options, url: "ftp://x" })).rejects.toMatchObject({ origin: "options" });
  });
});

it("options that are no JSON open no connection", async () => {
  const { timers, server, options } = world();
  const joined = timers.until(connect({ ...options, options: { respawn_s: 5n } }));
  await expect(joined).rejects.toThrow("BigInt");
  expect(server.links).toEqual([]);
});

describe("leaving", () => {
  it("gives up the seat and ends the room", async () => {
    const { timers, server, join } = world();
    const room = await join();
    await timers.until(room.leave());
    expect(room.status).toMatchObject({ phase: "closed", cause: { origin: "left" } });
    expect(server.messages.at(-1)!.case).toBe("leave");
    await timers.advance(10_000);
    expect(server.links.filter((link) => link.open)).toEqual([]);
  });

  it("does not wait for a server that does not answer", async () => {
    const { timers, join, conditions } = world();
    const room = await join();
    conditions.latency = 1e9;
    await timers.until(room.leave(), 6000);
    expect(room.status.phase).toBe("closed");
  });

  it("with the token of an earlier page, the next one has the same seat", async () => {
    const { timers, server, join } = world();
    const first = await join();
    const before = record(first);
    server.event("1");
    await timers.advance(500);
    const { token } = first;
    server.cut();
    server.event("2");
    const second = await join({ token });
    const after = record(second);
    await timers.advance(500);
    expect([before.events, after.events]).toEqual([["1"], ["2"]]);
    expect(second.player).toBe(1);
    expect(server.seats).toHaveLength(1);
  });

  it("with the token of an earlier page, the next one is told when the first attempt fails", async () => {
    const { timers, server, join, options } = world();
    const { token } = await join();
    server.refusal = { code: CloseCode.ServerFull, reason: "full" };
    await expect(timers.until(connect({ ...options, token }))).rejects.toMatchObject({
      code: CloseCode.ServerFull,
    });
    server.refusal = undefined;
    server.restart();
    server.mute = () => server.messages.at(-1)!.case === "join";
    await expect(timers.until(connect({ ...options, token }))).rejects.toMatchObject({
      code: CloseCode.TimedOut,
    });
    server.mute = () => false;
    expect((await join({ token })).stats).toMatchObject({ reconnects: 0, resumes: 0 });
  });

  it("with a token that is too old, the next one joins anew", async () => {
    const { timers, server, join } = world();
    const { token } = await join();
    server.restart();
    const room = await timers.until(join({ token }));
    expect(room.status).toMatchObject({ phase: "joined", resumed: false });
  });
});
