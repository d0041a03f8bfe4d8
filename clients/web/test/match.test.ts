import { afterEach, describe, expect, it, vi } from "vitest";
import { connect, findMatch } from "../src/index.js";
import { FakeServer } from "./util/fake_server.js";
import { VirtualTimers } from "./util/virtual_timers.js";

/** Answers each request with what `answer` returns, and keeps it. */
function http(answer: (body: unknown) => [status: number, body: unknown]) {
  const asked: { url: string; headers: unknown; body: unknown }[] = [];
  vi.stubGlobal("fetch", (url: URL, init: RequestInit) => {
    const body: unknown = JSON.parse(init.body as string);
    asked.push({ url: url.href, headers: init.headers, body });
    const [status, said] = answer(body);
    return Promise.resolve(new Response(JSON.stringify(said), { status }));
  });
  return asked;
}

afterEach(() => vi.unstubAllGlobals());

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
