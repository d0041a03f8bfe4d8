// The browser's WebSocket: when it is closed, and what is believed of an answer that is none.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CloseCode, connect, DialError, webSocket } from "../src/index.js";
import { OVERTAKEN } from "../src/transport/transport.js";

class Socket {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSED = 3;
  static last: Socket;
  readyState = Socket.CONNECTING;
  protocol = "driftless.v1";
  onopen?: (() => void) | null;
  onerror?: (() => void) | null;
  onclose?: ((event: { code: number; reason: string }) => void) | null;

  constructor(readonly url: URL) {
    Socket.last = this;
  }

  open() {
    this.readyState = Socket.OPEN;
    this.onopen?.();
  }

  /** As browsers tell of a connection that breaks, and of a handshake that fails. */
  break() {
    this.readyState = Socket.CLOSED;
    this.onerror?.();
    this.onclose?.({ code: 1006, reason: "" });
  }

  close() {
    this.readyState = Socket.CLOSED;
  }
}

beforeEach(() => void vi.stubGlobal("WebSocket", Socket));
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const target = { base: new URL("http://x/") };
const dial = (signal = new AbortController().signal) => webSocket.dial(target, signal);

describe("a handshake that hangs", () => {
  it("is closed when it is given up, because browsers make no other before", async () => {
    const stop = new AbortController();
    const dialed = expect(dial(stop.signal)).rejects.toThrow("no answer");
    stop.abort(new DialError("no answer"));
    await dialed;
    expect(Socket.last.readyState).toBe(Socket.CLOSED);
  });

  it("has a moment to end well when another transport was faster", async () => {
    vi.useFakeTimers();
    for (const opens of [true, false]) {
      const stop = new AbortController();
      const dialed = expect(dial(stop.signal)).rejects.toBe(OVERTAKEN);
      stop.abort(OVERTAKEN);
      await dialed;
      expect(Socket.last.readyState).toBe(Socket.CONNECTING);
      if (opens) Socket.last.open();
      else await vi.advanceTimersByTimeAsync(2000);
      expect(Socket.last.readyState).toBe(Socket.CLOSED);
    }
  });
});

it("a connection that breaks is told of once, whenever that is", async () => {
  for (const late of [true, false]) {
    const dialed = dial();
    Socket.last.open();
    const transport = await dialed;
    const closed = vi.fn();
    if (!late) Socket.last.break();
    transport.start({ message: () => {}, closed });
    if (late) Socket.last.break();
    expect(closed.mock.calls).toEqual([[{ code: 1006, reason: "" }]]);
  }
});

describe("of a handshake that fails", () => {
  const problem = "application/problem+json";
  const said = (code: string) => JSON.stringify({ type: "about:blank", detail: "why", code });
  const refused = async (status: number, type: string, body: string) => {
    const answer = new Response(body, { status, headers: { "content-type": type } });
    vi.stubGlobal("fetch", () => Promise.resolve(answer));
    const dialed = dial();
    Socket.last.break();
    return (await dialed.catch((error: unknown) => error)) as DialError;
  };

  it.each([
    [401, "no_token", CloseCode.Unauthenticated, false],
    [401, "token_expired", CloseCode.Unauthenticated, false],
    [401, "token_not_valid_yet", CloseCode.Unauthenticated, true],
    [403, "forbidden", CloseCode.Forbidden, false],
    [403, "room_forbidden", CloseCode.Forbidden, false],
    [403, "revoked", CloseCode.Forbidden, false],
  ])("the server's own word counts: %i %s", async (status, word, code, mayRetry) => {
    expect(await refused(status, problem, said(word))).toMatchObject({ message: "why", code, mayRetry });
  });

  it.each([
    [403, "application/json", '{"message":"Forbidden"}'],
    [401, "application/json", said("token_expired")],
    [403, problem, '{"type":"about:blank","title":"Forbidden","status":403,"detail":"rule 12"}'],
    [403, problem, said("waf_rule_12")],
    [403, problem, "<html>"],
    [404, "text/plain", "404 page not found"],
    [426, problem, said("upgrade_required")],
  ])("a proxy's does not: %i %s %s", async (status, type, body) => {
    const error = await refused(status, type, body);
    expect(error).toMatchObject({
      message: `cannot open a WebSocket to x: HTTP is answered with ${status}`,
      mayRetry: true,
    });
    expect(error.code).toBeUndefined();
  });

  it("nothing is known when nobody answers", async () => {
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("fetch failed")));
    const dialed = dial();
    Socket.last.break();
    await expect(dialed).rejects.toMatchObject({
      message: "cannot open a WebSocket to x",
      mayRetry: true,
    });
  });

  it("nor when what answers is something else: it may be the server again later", async () => {
    const dialed = dial();
    Socket.last.protocol = "";
    Socket.last.open();
    await expect(dialed).rejects.toMatchObject({
      message: "x does not speak driftless.v1",
      mayRetry: true,
    });
    expect(Socket.last.readyState).toBe(Socket.CLOSED);
  });
});

it("where there is no WebSocket, as in Node 20, that is said", async () => {
  vi.unstubAllGlobals();
  vi.stubGlobal("WebSocket", undefined);
  await expect(connect({ url: "http://x", room: "a" })).rejects.toMatchObject({
    mayReconnect: false,
    message: expect.stringMatching(
      /there is no transport here: Node has WebSocket since version 22\. Use a newer one/,
    ) as unknown,
  });
});
