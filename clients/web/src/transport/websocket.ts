import { CloseCode } from "../code.js";
import { type Closed, DialError, type Dialer, type Handlers, type Transport } from "./transport.js";
import type { Outgoing } from "../session/session.js";

/** The WebSocket subprotocol. */
const SUBPROTOCOL = "driftless.v1";
/** Before a token among the subprotocols: a page cannot set headers. */
const TOKEN_PROTOCOL = "driftless.token.";
/** A part of a subprotocol's name (RFC 9110, section 5.6.2). Other tokens are shown in the query. */
const IS_NAME = /^[-\w!#$%&'*+.^`|~]+$/;

/** WebSocket: works everywhere, delivers in order. */
export const webSocket: Dialer = {
  name: "websocket",

  available: () => typeof WebSocket !== "undefined",

  dial(target, signal) {
    const url = new URL("v1/connect", target.base);
    const { token } = target;
    const protocols = token && IS_NAME.test(token) ? [SUBPROTOCOL, TOKEN_PROTOCOL + token] : SUBPROTOCOL;
    const shown = token && protocols === SUBPROTOCOL && { token };
    url.search = new URLSearchParams({ ...target.asks, ...shown }).toString();
    const asked = new URL(url);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url, protocols);
      socket.binaryType = "arraybuffer";
      const fail = (error: Error): void => {
        socket.onclose = socket.onerror = null;
        // Closed after it has opened, because browsers log an error if it is closed earlier.
        socket.onopen = () => socket.close();
        if (socket.readyState === WebSocket.OPEN) socket.close();
        reject(error);
      };
      // Node 20 tells of a refused connection by `error` alone.
      socket.onclose = socket.onerror = () => {
        socket.onclose = socket.onerror = null;
        void why(asked, token, signal).then((why) =>
          fail(
            why
              ? new DialError(why.detail, false, why.code)
              : new DialError(`cannot open a WebSocket to ${url.host}`),
          ),
        );
      };
      socket.onopen = () => {
        socket.onclose = socket.onerror = null;
        if (socket.protocol === SUBPROTOCOL) resolve(new WebSocketTransport(socket));
        else fail(new DialError(`${url.host} does not speak ${SUBPROTOCOL}`, false));
      };
      signal.addEventListener("abort", () => {
        if (socket.readyState === WebSocket.CONNECTING) fail(new DialError("aborted"));
      });
    });
  },
};

/**
 * Why the server lets this player not in, if that is so. Browsers do not say whether nobody is there or the
 * server refused, so it is asked: without an upgrade, it answers alike.
 */
async function why(
  url: URL,
  token: string | undefined,
  signal: AbortSignal,
): Promise<{ detail: string; code: CloseCode } | undefined> {
  try {
    const answer = await fetch(url, { signal, headers: token ? { authorization: `Bearer ${token}` } : {} });
    if (answer.status !== 401 && answer.status !== 403) return undefined;
    const { detail } = (await answer.json()) as { detail: string };
    return { detail, code: answer.status === 401 ? CloseCode.Unauthenticated : CloseCode.Forbidden };
  } catch {
    return undefined;
  }
}

class WebSocketTransport implements Transport {
  readonly name = "websocket";
  readonly delivery = "ordered";
  readonly maxDatagram = Infinity;

  constructor(private readonly socket: WebSocket) {}

  get buffered(): number {
    return this.socket.bufferedAmount;
  }

  start(handlers: Handlers): void {
    const { socket } = this;
    socket.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) handlers.message(new Uint8Array(data));
    };
    socket.onclose = ({ code, reason }) => handlers.closed({ code, reason } satisfies Closed);
    if (socket.readyState > WebSocket.OPEN) handlers.closed({ code: 1006, reason: "" });
  }

  send({ bytes }: Outgoing): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(bytes as Uint8Array<ArrayBuffer>);
  }

  close(code: number, reason: string): void {
    this.socket.onmessage = this.socket.onclose = null;
    this.socket.close(code, reason.slice(0, 100));
  }
}
