import { CloseCode } from "../code.js";
import { DialError, type Dialer, type Handlers, OVERTAKEN, type Transport } from "./transport.js";
import type { Outgoing } from "../session/session.js";

/** The WebSocket subprotocol. */
const SUBPROTOCOL = "driftless.v1";
/** Before a token among the subprotocols: a page cannot set headers. */
const TOKEN_PROTOCOL = "driftless.token.";
/** How long a handshake that was only slower than another transport may go on, ms. */
const SLOW = 2000;
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
      const fail = (error: unknown): void => {
        silence(socket);
        // Browsers make one handshake a host at a time, so one that hangs would hold up all later ones. They
        // log an error for one that is closed, so one that is only slow has a moment.
        if (signal.reason === OVERTAKEN) {
          socket.onopen = () => socket.close();
          setTimeout(() => socket.close(), SLOW);
        } else socket.close();
        reject(error);
      };
      // Node 20 tells of a refused connection by `error` alone.
      socket.onclose = socket.onerror = () => {
        silence(socket);
        void why(asked, token, signal).then((why) =>
          fail(
            why
              ? new DialError(why.detail, false, why.code)
              : new DialError(`cannot open a WebSocket to ${url.host}`),
          ),
        );
      };
      socket.onopen = () => {
        if (socket.protocol !== SUBPROTOCOL)
          return fail(new DialError(`${url.host} does not speak ${SUBPROTOCOL}`, false));
        silence(socket);
        resolve(new WebSocketTransport(socket));
      };
      signal.addEventListener("abort", () => {
        if (socket.readyState === WebSocket.CONNECTING) fail(signal.reason);
      });
    });
  },
};

function silence(socket: WebSocket): void {
  socket.onopen = socket.onclose = socket.onerror = null;
}

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
    socket.onclose = ({ code, reason }) => handlers.closed({ code, reason });
    if (socket.readyState === WebSocket.CLOSED) handlers.closed({ code: 1006, reason: "" });
  }

  send({ bytes }: Outgoing): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(bytes as Uint8Array<ArrayBuffer>);
  }

  close(code: number, reason: string): void {
    this.socket.onmessage = this.socket.onclose = null;
    this.socket.close(code, reason.slice(0, 100));
  }
}
