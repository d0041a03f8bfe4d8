import { CloseCode } from "../code.js";
import { DialError, type Dialer, type Handlers, OVERTAKEN, type Transport } from "./transport.js";
import type { Outgoing } from "../session/session.js";

/** The WebSocket subprotocol. */
const SUBPROTOCOL = "driftless.v1";
/** Before a token among the subprotocols: a page cannot set headers. */
const TOKEN_PROTOCOL = "driftless.token.";
/** How long a handshake that was only slower than another transport may go on, ms. */
const SLOW = 2000;
/** The codes with which a server says of a player that it may not come in. */
const OURS = /^(unauthenticated|no_token|token_.*|revoked|(.*_)?forbidden)$/;
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
        void why(asked, token, signal).then(fail);
      };
      socket.onopen = () => {
        if (socket.protocol !== SUBPROTOCOL)
          return fail(new DialError(`${url.host} does not speak ${SUBPROTOCOL}`));
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
 * Why there is no WebSocket. Browsers do not say whether nobody is there or the server lets this player not
 * in, so it is asked: without an upgrade, it answers alike. What a proxy answers in its place says nothing of
 * the player.
 */
async function why(url: URL, token: string | undefined, signal: AbortSignal): Promise<DialError> {
  let said = "";
  try {
    const answer = await fetch(url, { signal, headers: token ? { authorization: `Bearer ${token}` } : {} });
    said = `: HTTP is answered with ${answer.status}`;
    if (answer.headers.get("content-type") === "application/problem+json") {
      const { detail, code } = (await answer.json()) as { detail: string; code: string };
      // The time comes at which a token is valid.
      if (OURS.test(code))
        return new DialError(
          detail,
          code === "token_not_valid_yet",
          answer.status === 401 ? CloseCode.Unauthenticated : CloseCode.Forbidden,
        );
    }
  } catch {
    // Nobody is there, or it is no Driftless server.
  }
  return new DialError(`cannot open a WebSocket to ${url.host}${said}`);
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
