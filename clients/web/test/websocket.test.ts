// The browser's WebSocket: when it is closed, and what is believed of an answer that is none.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { DialError, webSocket } from "../src/index.js";
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
