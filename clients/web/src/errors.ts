import { advice, CloseCode, mayReconnect } from "./code.js";
import { ServerFault } from "./session/fault.js";
import { type Closed, DialError } from "./transport/transport.js";

/** Why a connection, or the room, ended. */
export type Cause =
  | "goodbye"
  | "transport"
  | "server"
  | "dial"
  | "left"
  | "options"
  /** The server has not found what `match` asks for. */
  | "match"
  | "gave up"
  /** Nodes have sent the client from one to another, and none has the room. */
  | "circles";

/** Why a connection or the room ended, and what to do about it. The message is for developers. */
export class RoomError extends Error {
  override readonly name = "RoomError";
  /** The close code: one of Driftless's own (see CloseCode) or the WebSocket's; 1006 if there was none. */
  readonly code: number;
  /** What can be done. */
  readonly advice: string;
  /** Whether it may be tried again: a room does by itself, `connect` does not. */
  mayReconnect: boolean;
  /** How long the server asks to wait before reconnecting, ms. */
  readonly reconnectAfter: number;

  constructor(
    readonly origin: Cause,
    message: string,
    details: {
      code?: number;
      advice?: string;
      mayReconnect?: boolean;
      reconnectAfter?: number;
      cause?: unknown;
    } = {},
  ) {
    const code = details.code ?? 1006;
    const hint = details.advice ?? advice(code);
    super(`${message}. ${hint}`, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.advice = hint;
    this.mayReconnect = details.mayReconnect ?? mayReconnect(code);
    this.reconnectAfter = details.reconnectAfter ?? 0;
  }

  /** The close code's name ("RoomFull"), if it is one of Driftless's own. */
  get codeName(): string | undefined {
    return CloseCode[this.code];
  }

  static goodbye(code: number, reason: string, reconnectAfter: number): RoomError {
    return new RoomError("goodbye", `the server ended the connection with ${named(code)}: ${reason}`, {
      code,
      reconnectAfter,
    });
  }

  static closed({ code, reason }: Closed): RoomError {
    const said = reason === "" ? "" : `: ${reason}`;
    // The server's codes, too: a browser may close a session without what it has not read, as the goodbye.
    return new RoomError("transport", `the connection was closed with ${named(code)}${said}`, { code });
  }

  static dial(error: unknown): RoomError {
    const { mayRetry, code } = error instanceof DialError ? error : { mayRetry: true };
    return new RoomError("dial", error instanceof Error ? error.message : String(error), {
      mayReconnect: mayRetry,
      ...(code === undefined
        ? { advice: mayRetry ? "Is the server up, and the url right?" : "Use a newer one." }
        : { code }),
      cause: error,
    });
  }

  static fault(fault: ServerFault): RoomError {
    const code = fault.fault === "silent" ? CloseCode.TimedOut : CloseCode.Malformed;
    return new RoomError("server", `server error: ${fault.message}`, {
      code,
      mayReconnect: fault.mayRetry,
      cause: fault,
    });
  }

  static left(): RoomError {
    return new RoomError("left", "the room was left", { code: CloseCode.Left });
  }
}

/** A close code with its name, if it has one. */
function named(code: number): string {
  const name = CloseCode[code];
  return name === undefined ? `${code}` : `${code} (${name})`;
}

/** An input or a command that cannot be sent; or something that is not published. */
export class SendError extends Error {
  override readonly name = "SendError";

  constructor(
    message: string,
    /** Why something is not published, in a word: "forbidden", "too_often", "not_connected". */
    readonly code = "",
  ) {
    super(message);
  }
}
