import { afterEach, expect, it, vi } from "vitest";
import { webSocket } from "../src/index.js";

afterEach(() => vi.unstubAllGlobals());

it("a connection that breaks, of which browsers tell as an error first, has ended", async () => {
  const sockets: Socket[] = [];
  class Socket {
    static readonly OPEN = 1;
    readonly readyState = Socket.OPEN;
    readonly protocol = "driftless.v1";
    onopen?: () => void;
    onerror?: (() => void) | null;
    onclose?: ((closed: { code: number; reason: string }) => void) | null;
    constructor() {
      sockets.push(this);
    }
  }
  const fetched = vi.fn();
  vi.stubGlobal("WebSocket", Socket);
  vi.stubGlobal("fetch", fetched);
  const dialed = webSocket.dial({ base: new URL("http://x/") }, new AbortController().signal);
  const [socket] = sockets;
  socket!.onopen?.();
  const closed = vi.fn();
  (await dialed).start({ message: () => {}, closed });
  socket!.onerror?.();
  socket!.onclose?.({ code: 1006, reason: "" });
  expect(closed.mock.calls).toEqual([[{ code: 1006, reason: "" }]]);
  expect(fetched).not.toHaveBeenCalled();
});
