import { describe, expect, it, vi } from "vitest";
import { CloseCode } from "../src/code.js";
import { connect } from "../src/connect.js";
import type { RoomError } from "../src/errors.js";
import { FakeServer } from "./util/fake_server.js";
import { reportedErrors } from "./util/reported.js";
import { VirtualTimers } from "./util/virtual_timers.js";
import { type Dialer, DialError, type Target } from "../src/transport/transport.js";
import { webSocket } from "../src/transport/websocket.js";

/** A server, and what dialers were told about who the player is. */
function world(identity: () => string | Promise<string>) {
  const timers = new VirtualTimers();
  const server = new FakeServer(timers);
  const targets: Target[] = [];
  const inner = server.dialer("fake", "ordered");
  const dialer: Dialer = {
    ...inner,
    dial: (target, signal) => (targets.push(target), inner.dial(target, signal)),
  };
  const options = { url: "http://x", room: "lobby", kind: "tag", transports: [dialer], timers, identity };
  return { timers, server, targets, options };
}

/** The same, whose server refuses these tokens. */
function refusing(refused: readonly string[], identity: () => string) {
  const { timers, server, targets, options } = world(identity);
  const [inner] = options.transports;
  const dialer: Dialer = {
    name: "fake",
    dial: async (target, signal) => {
      const transport = await inner!.dial(target, signal);
      if (!refused.includes(target.token ?? "")) return transport;
      transport.close(1000, "");
      throw new DialError("the token is stale", false, CloseCode.Unauthenticated);
    },
  };
  return { timers, targets, options: { ...options, transports: [dialer], server } };
}

describe("a trace", () => {
  it("is told with each connection, whoever the player is", async () => {
    let spans = 0;
    const { timers, server, targets, options } = world(() => "token");
    const { identity: _, ...guest } = options;
    await timers.until(connect({ ...guest, traceparent: () => `00-a-${++spans}-01` }));
    server.cut();
    await timers.advance(5000);
    expect(targets).toMatchObject([
      { asks: { traceparent: "00-a-1-01" } },
      { asks: { traceparent: "00-a-2-01" } },
    ]);
    await timers.until(connect({ ...options, traceparent: "00-b-1-01" }));
    expect(targets[2]).toMatchObject({
      token: "token",
      asks: { room: "lobby", kind: "tag", traceparent: "00-b-1-01" },
    });
  });
});

it("a trace that cannot be told keeps no player out", async () => {
  const { timers, options } = world(() => "token");
  const errors = reportedErrors();
  const fault = new Error("the page's own");
  const traceparent = () => {
    throw fault;
  };
  expect((await timers.until(connect({ ...options, traceparent }))).status.phase).toBe("joined");
  expect(errors).toEqual([fault]);
  vi.unstubAllGlobals();
});

describe("an identity", () => {
  it("is asked for each connection, and shown with it", async () => {
    let asked = 0;
    const { timers, server, targets, options } = world(() => `token ${++asked}`);
    const room = await timers.until(connect(options));
    expect(targets).toMatchObject([{ token: "token 1", asks: { room: "lobby", kind: "tag" } }]);
    server.cut();
    await timers.advance(5000);
    expect(room.status.phase).toBe("joined");
    expect(targets[1]).toMatchObject({ token: "token 2" });
  });

  it("is shown without the line break of the file that it comes from", async () => {
    const { timers, targets, options } = world(() => "token\n");
    await timers.until(connect(options));
    expect(targets).toMatchObject([{ token: "token" }]);
  });

  // RFC 6455, section 4.1: a subprotocol is a token of HTTP, and browsers refuse to send anything else.
  it.each([
    ["a.b-c_d", "?room=lobby", ["driftless.v1", "driftless.token.a.b-c_d"]],
    ["ab/c+d==", "?room=lobby&token=ab%2Fc%2Bd%3D%3D", "driftless.v1"],
    ["a b", "?room=lobby&token=a+b", "driftless.v1"],
  ])("%s is shown over WebSocket where it can be", (token, search, protocols) => {
    const made: unknown[] = [];
    class Socket {
      constructor(url: URL, protocols: unknown) {
        made.push(url.search, protocols);
      }
    }
    vi.stubGlobal("WebSocket", Socket);
    const target = { base: new URL("http://x/"), token, asks: { room: "lobby" } };
    void webSocket.dial(target, new AbortController().signal);
    vi.unstubAllGlobals();
    expect(made).toEqual([search, protocols]);
  });

  it("is asked again before the old token expires", async () => {
    let asked = 0;
    const { timers, server, options } = world(() => Promise.resolve(`token ${++asked}`));
    await timers.until(connect(options));
    server.links[0]!.tell({ case: "tokenExpires", value: { inMs: 60_000 } });
    await timers.advance(100);
    expect(server.messages).toContainEqual(
      expect.objectContaining({
        case: "renew",
        value: expect.objectContaining({ token: "token 2" }) as unknown,
      }),
    );
  });

  it("that the server refuses ends the attempt with its code, whatever other transports say", async () => {
    const { timers, options } = world(() => "expired");
    const failing = (name: string, error: Error): Dialer => ({ name, dial: () => Promise.reject(error) });
    const transports = [
      failing("webtransport", new DialError("no UDP")),
      failing("websocket", new DialError("the token has expired", false, CloseCode.Unauthenticated)),
    ];
    await expect(timers.until(connect({ ...options, transports }))).rejects.toMatchObject({
      code: CloseCode.Unauthenticated,
      mayReconnect: false,
      message: expect.stringMatching(/^the token has expired\. Log in/) as unknown,
    });
  });

  it("that does not answer fails the attempt, and the next one asks again", async () => {
    let asked = 0;
    const { timers, server, targets, options } = world(() =>
      asked++ === 1 ? new Promise(() => {}) : `token ${asked}`,
    );
    const room = await timers.until(connect(options));
    const causes: string[] = [];
    room.on("status", (status) => {
      if (status.phase === "reconnecting") causes.push(status.cause.message);
    });
    server.cut();
    await timers.advance(30_000);
    expect(causes.at(-1)).toContain("gave no token: identity has not answered within 10 s");
    expect(room.status.phase).toBe("joined");
    expect(targets[1]).toMatchObject({ token: "token 3" });
  });

  it("that does not answer leaves a player in the room whose token expires", async () => {
    let asked = 0;
    const { timers, server, options } = world(() => (asked++ === 1 ? new Promise(() => {}) : "token"));
    const room = await timers.until(connect(options));
    const renewals = () => server.messages.filter((message) => message.case === "renew").length;
    server.links[0]!.tell({ case: "tokenExpires", value: { inMs: 60_000 } });
    await timers.advance(15_000);
    server.links[0]!.tell({ case: "tokenExpires", value: { inMs: 45_000 } });
    await timers.advance(100);
    expect([room.status.phase, renewals()]).toEqual(["joined", 1]);
  });

  it("that answers with a stale token after the room was entered is asked again", async () => {
    // The second and third are refused; those of a login that is well again are not.
    for (const stale of ["expired", ""]) {
      const tokens = ["first", stale, "fresh"];
      const { timers, targets, options } = refusing([stale], () => tokens.shift()!);
      const room = await timers.until(connect(options));
      const causes: RoomError[] = [];
      room.on("status", (status) => void (status.phase === "reconnecting" && causes.push(status.cause)));
      options.server.cut();
      await timers.advance(10_000);
      expect(room.status).toMatchObject({ phase: "joined", resumed: true });
      expect(targets.map(({ token }) => token)).toEqual(["first", stale, "fresh"]);
      expect(causes[1]).toMatchObject({ code: CloseCode.Unauthenticated, mayReconnect: true });
    }
  });

  it("that answers with the refused token again ends the room", async () => {
    const tokens = ["first", "expired", "expired"];
    const { timers, targets, options } = refusing(["expired"], () => tokens.shift()!);
    const room = await timers.until(connect(options));
    options.server.cut();
    await timers.advance(10_000);
    expect(room.status).toMatchObject({
      phase: "closed",
      cause: { code: CloseCode.Unauthenticated, mayReconnect: false },
    });
    expect(targets).toHaveLength(3);
  });

  it("that gave a token again which was good meanwhile is asked again", async () => {
    const tokens = ["a", "b", "a", "b", "a"];
    const refused = ["b"];
    const { timers, options } = refusing(refused, () => tokens.shift()!);
    const room = await timers.until(connect(options));
    for (let n = 0; n < 2; n++) {
      options.server.cut();
      await timers.advance(10_000);
      expect(room.status.phase).toBe("joined");
    }
    expect(tokens).toEqual([]);
  });

  it("that gives a bad token to renew with loses the connection, and is asked again", async () => {
    const tokens = ["first", "bad", "fresh"];
    const { timers, server, options } = world(() => tokens.shift()!);
    const room = await timers.until(connect(options));
    server.links[0]!.tell({ case: "tokenExpires", value: { inMs: 60_000 } });
    await timers.advance(100);
    server.goodbye(CloseCode.Unauthenticated, "the token has no user");
    await timers.advance(5000);
    expect([room.status.phase, tokens]).toEqual(["joined", []]);
  });

  it("that cannot be had fails the attempt with its reason", async () => {
    const { timers, targets, options } = world(() => Promise.reject(new Error("log in first")));
    await expect(timers.until(connect(options))).rejects.toMatchObject({
      origin: "dial",
      code: CloseCode.Unauthenticated,
      mayReconnect: true,
      message: expect.stringContaining("your login gave no token: log in first") as unknown,
      advice: expect.stringContaining("identity") as unknown,
      cause: expect.any(DialError) as unknown,
    });
    expect(targets).toEqual([]);
  });
});
