import { afterEach, describe, expect, it, vi } from "vitest";
import { connect, findMatch, queue, rawGame } from "../src/index.js";
import { FakeServer } from "./util/fake_server.js";
import { reportedErrors } from "./util/reported.js";
import { VirtualTimers } from "./util/virtual_timers.js";

/** Answers each request with what `answer` returns, and keeps it. */
function http(answer: (body: unknown) => [status: number, body: unknown]) {
  const asked: { url: string; headers: unknown; body: unknown }[] = [];
  vi.stubGlobal("fetch", (url: URL, init: RequestInit) => {
    const body: unknown = init.body ? JSON.parse(init.body as string) : init.method;
    asked.push({ url: url.href, headers: init.headers, body });
    if (init.signal?.aborted) return Promise.reject(init.signal.reason as Error);
    const [status, said] = answer(body);
    return Promise.resolve(new Response(JSON.stringify(said), { status }));
  });
  return asked;
}

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const FOUND = {
  room: { name: "room-3", kind: "tag" },
  made: true,
  reservations: ["mine", "yours"],
  expires_ms: 10_000,
};

describe("a match", () => {
  it("is asked for as who the player is, and its seat is taken", async () => {
    const asked = http(() => [200, FOUND]);
    const timers = new VirtualTimers();
    const server = new FakeServer(timers);
    const found = vi.fn();
    const room = await timers.until(
      connect({
        url: "ws://x:7777",
        match: { kind: "tag", filter: "players < 8", party: 2, found },
        identity: () => "who",
        transports: [server.dialer("fake", "ordered")],
        timers,
      }),
    );
    expect(room.status.phase).toBe("joined");
    expect(asked).toEqual([
      {
        url: "http://x:7777/v1/match",
        headers: { "content-type": "application/json", authorization: "Bearer who" },
        body: { kind: "tag", filter: "players < 8", party: 2 },
      },
    ]);
    expect(server.messages).toContainEqual(
      expect.objectContaining({
        case: "join",
        value: expect.objectContaining({ room: "room-3", kind: "tag", reservation: "mine" }) as unknown,
      }),
    );
    expect(found).toHaveBeenCalledWith(expect.objectContaining({ room: "room-3", others: ["yours"] }));
  });

  it.each([
    [{ match: { kind: "tag" }, kind: "chess" }, "tag"],
    [{ match: { kind: undefined }, kind: "tag" }, "tag"],
    [{ match: {}, game: { ...rawGame, kind: "tag" } }, "tag"],
    [{ match: {} }, undefined],
  ])("is one of the kind that was asked for: %o", async (options, kind) => {
    const asked = http(() => [404, { code: "no_match" }]);
    await expect(connect({ url: "http://x", ...options })).rejects.toThrow("no_match");
    expect(asked[0]!.body).toEqual({ kind });
  });

  it("is found on the server that has the room", async () => {
    http(() => [200, { ...FOUND, url: "ws://other:1" }]);
    expect(await findMatch({ url: "http://x", party: 2 })).toEqual({
      url: "ws://other:1",
      room: "room-3",
      kind: "tag",
      reservation: "mine",
      others: ["yours"],
      expiresMs: 10_000,
    });
  });

  it.each([
    ["http://x/game", "http://x/game/v1/match"],
    ["wss://x:1/a/b/?c#d", "https://x:1/a/b/v1/match"],
    ["ws://x/game/v1/connect", "http://x/game/v1/match"], // as the Rust client wants it
    ["http://x", "http://x/v1/match"],
  ])("is asked for at %s, whose path a proxy has before the server's", async (url, at) => {
    const asked = http(() => [200, FOUND]);
    const match = await findMatch({ url });
    expect(asked.map((request) => request.url)).toEqual([at]);
    await findMatch(match);
    expect(asked.map((request) => request.url)).toEqual([at, at]);
  });

  it("that there is none says why", async () => {
    http(() => [404, { code: "no_match", detail: "there is no room that fits" }]);
    await expect(findMatch({ url: "http://x", create: false })).rejects.toMatchObject({
      origin: "match",
      mayReconnect: false,
      message: expect.stringMatching(/there is no room that fits \(no_match\)/) as unknown,
    });
    http(() => [503, { code: "too_many_rooms", detail: "full" }]);
    await expect(findMatch({ url: "http://x" })).rejects.toMatchObject({ mayReconnect: true });
  });
});

describe("asking for a match", () => {
  it("ends, though the login or the server does not answer", async () => {
    vi.useFakeTimers();
    const never = new Promise<never>(() => {});
    const late = expect(findMatch({ url: "http://x", identity: () => never })).rejects.toMatchObject({
      name: "RoomError",
      message: expect.stringContaining("identity has not answered") as unknown,
    });
    await vi.advanceTimersByTimeAsync(11_000);
    await late;
    vi.stubGlobal(
      "fetch",
      (_: URL, { signal }: RequestInit) =>
        new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason as Error))),
    );
    const silent = expect(findMatch({ url: "http://x" })).rejects.toMatchObject({
      name: "RoomError",
      mayReconnect: true,
    });
    await vi.advanceTimersByTimeAsync(31_000);
    await silent;
  });

  it("is given up with the signal's reason", async () => {
    vi.stubGlobal(
      "fetch",
      (_: URL, { signal }: RequestInit) =>
        new Promise((_, reject) => signal?.addEventListener("abort", () => reject(new Error("aborted")))),
    );
    const stop = new AbortController();
    const enough = new Error("enough");
    const asked = expect(connect({ url: "http://x", match: {}, signal: stop.signal })).rejects.toBe(enough);
    await new Promise((later) => setTimeout(later, 0));
    stop.abort(enough);
    await asked;
  });

  it("says that what answers is no Driftless server", async () => {
    for (const page of ["<html>Log in to the hotel's network</html>", ""]) {
      vi.stubGlobal("fetch", () => Promise.resolve(new Response(page, { status: 200 })));
      await expect(findMatch({ url: "http://x" })).rejects.toMatchObject({
        name: "RoomError",
        message: expect.stringContaining("x gave no answer that Driftless gives (200)") as unknown,
      });
    }
  });

  it("goes on though a listener throws", async () => {
    const errors = reportedErrors();
    const states = [
      { state: "waiting", waited_ms: 5000 },
      { state: "matched", room: "room-7", kind: "tag", team: 1, reservations: ["mine"], expires_ms: 9000 },
    ];
    http((body) => (body ? [201, { id: "abc" }] : [200, states.shift()]));
    const fault = new Error("the page's own");
    const waiting = () => {
      throw fault;
    };
    expect((await queue({ url: "http://x", waiting })).room).toBe("room-7");
    expect(errors).toEqual([fault]);
  });
});

describe("a ticket in the queue", () => {
  it("is looked at once a second at most, whatever answers at once", async () => {
    vi.useFakeTimers();
    const stop = new AbortController();
    const asked = http((body) => (body ? [201, { id: "abc" }] : [200, { state: "waiting", waited_ms: 1 }]));
    const queued = expect(queue({ url: "http://x", signal: stop.signal })).rejects.toThrow();
    await vi.advanceTimersByTimeAsync(3500);
    expect(asked).toHaveLength(1 + 4);
    stop.abort();
    await vi.advanceTimersByTimeAsync(1000);
    await queued;
  });

  it("is looked at until it has a match", async () => {
    const states = [
      { state: "waiting", waited_ms: 5000, estimate_ms: 2000 },
      { state: "matched", room: "room-7", kind: "tag", team: 1, reservations: ["mine"], expires_ms: 9000 },
    ];
    const asked = http((body) => (body ? [201, { id: "abc" }] : [200, states.shift()]));
    const waiting = vi.fn();
    expect(await queue({ url: "http://x", kind: "tag", skill: 1500, waiting })).toMatchObject({
      room: "room-7",
      kind: "tag",
      team: 1,
      reservation: "mine",
      others: [],
      expiresMs: 9000,
    });
    expect(waiting.mock.calls).toEqual([[5000, 2000]]);
    expect(asked.map(({ url }) => url)).toEqual([
      "http://x/v1/queue",
      "http://x/v1/queue/abc?wait=5",
      "http://x/v1/queue/abc?wait=5",
    ]);
    expect(asked[0]!.body).toEqual({ kind: "tag", skill: 1500 });
  });

  it("is looked at again after an outage, for as long as it may still wait", async () => {
    vi.useFakeTimers();
    const matched = { ...FOUND, state: "matched", room: "room-7", kind: "tag", team: 1 };
    let outage = 3;
    const asked = http((body) => {
      if (body !== "DELETE" && typeof body === "object") return [201, { id: "abc" }];
      if (outage === 2) return (outage--, [403, { message: "Forbidden" }]); // a proxy
      return outage-- > 0 ? [503, { code: "queue_unavailable" }] : [200, matched];
    });
    const queued = queue({ url: "http://x" });
    await vi.advanceTimersByTimeAsync(500);
    vi.setSystemTime(Date.now() + 3_600_000); // somebody sets the clock
    await vi.advanceTimersByTimeAsync(2500);
    expect((await queued).room).toBe("room-7");
    expect(asked.map(({ body }) => body)).not.toContain("DELETE");

    outage = 1000;
    const lost = expect(queue({ url: "http://x" })).rejects.toThrow("queue_unavailable");
    await vi.advanceTimersByTimeAsync(29_000);
    expect(asked.at(-1)!.body).not.toBe("DELETE");
    await vi.advanceTimersByTimeAsync(3000);
    await lost;
    expect(asked.at(-1)!.body).toBe("DELETE");
  });

  it("is not looked at again if it is gone", async () => {
    http((body) => (body ? [201, { id: "abc" }] : [404, { code: "no_such_ticket" }]));
    await expect(queue({ url: "http://x" })).rejects.toThrow("no_such_ticket");
  });

  it("is given up when its player no longer wants to wait", async () => {
    const stop = new AbortController();
    const asked = http((body) => (body ? [201, { id: "abc" }] : [200, { state: "waiting", waited_ms: 1 }]));
    const waiting = () => stop.abort(new Error("enough"));
    const queued = queue({ url: "http://x", waiting, signal: stop.signal });
    await expect(queued).rejects.toThrow("enough");
    expect(asked.at(-1)).toMatchObject({ url: "http://x/v1/queue/abc", body: "DELETE" });
  });
});
