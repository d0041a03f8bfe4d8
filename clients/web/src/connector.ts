import type { Core } from "./core.js";
import { RoomError } from "./errors.js";
import { ServerFault } from "./session/fault.js";
import type { Timers } from "./timers.js";
import type { Paths } from "./transport/paths.js";
import type { Transport } from "./transport/transport.js";

/**
 * If more bytes than this wait in the transport, inputs and acknowledgements wait, and only the newest are
 * sent then.
 */
const MAX_BUFFERED = 16 * 1024;
/** Time until the next look at it, ms. */
const BUFFER_POLL = 30;
/** Time between two attempts to connect beside a connection over which nothing comes, ms. */
const BESIDE_AGAIN = 1000;
/** An attempt this old, ms, when the network is back, was made in one that is no more. */
const HUNG = 1000;
/** How long the seat may take to move to another transport, ms. */
const MOVE_TIMEOUT = 3000;

/** The connection of a room: carries what the core says, and replaces the transport when it says so. */
export class Connector {
  private transport: Transport | undefined;
  /**
   * While the seat moves: the transport that it comes from, until the server has sent a welcome over the
   * other one.
   */
  private retiring: Transport | undefined;
  /**
   * The attempt in progress, to reconnect or to move: never more than one. Its result counts only while it is
   * the current one.
   */
  private dialing: AbortController | undefined;
  private dialedAt = 0;
  private timer: number | undefined;
  private moveTimer: number | undefined;
  /** When the next attempt may begin to connect beside a connection over which nothing comes. */
  private besideAt = 0;

  constructor(
    private readonly core: Core,
    private readonly timers: Timers,
    private readonly paths: Paths,
    /** The core may have events. */
    private readonly told: () => void,
    /** The connection is lost. What follows, the core's phase says. */
    private readonly lost: () => void,
  ) {}

  /** The transport's name. Undefined: there is no connection. */
  get name(): string | undefined {
    return this.transport?.name;
  }

  /** A transport was opened. */
  attach(transport: Transport): void {
    this.transport = transport;
    this.core.meter.stats.transport = transport.name;
    transport.start({
      message: (bytes, lossy = false) => {
        if (this.transport !== transport) return;
        if (lossy) this.core.meter.stats.unorderedDown++;
        try {
          this.core.handleMessage(this.timers.now(), bytes);
        } catch (error) {
          return this.fault(error);
        } finally {
          this.told();
        }
        this.pump();
      },
      closed: (closed) => {
        if (this.transport !== transport) return;
        this.transport = undefined;
        this.disconnected(RoomError.closed(closed));
      },
    });
    this.pump();
  }

  /** Sends what is due, and sets the timer for what will be due by itself. */
  pump(): void {
    const { transport, core } = this;
    const now = this.timers.now();
    let next = core.pollTimeout();
    if (transport && core.phase.name === "online") {
      while (transport.buffered <= MAX_BUFFERED) {
        const out = core.pollTransmit(now, transport.maxDatagram);
        if (!out) break;
        transport.send(out);
      }
      next = core.pollTimeout();
      if (transport.buffered > MAX_BUFFERED) {
        next = now + BUFFER_POLL;
        // It is this client that gets nothing through.
        this.besideAt = now + BESIDE_AGAIN;
      }
    }
    this.timers.clear(this.timer);
    this.timer = undefined;
    const due = Math.min(next ?? Infinity, this.doubtAt);
    if (due === Infinity) return;
    this.timer = this.timers.set(() => this.timeout(due), Math.max(0, due - now));
  }

  /** The server has sent a welcome over the transport. */
  welcomed(): void {
    this.retiring?.close(1000, "");
    this.retiring = undefined;
    if (this.transport) this.paths.works(this.transport.name);
    this.scheduleMove();
  }

  /** Sends a fresh token. Without one the connection ends with the old one, and the next one asks again. */
  async renew(): Promise<void> {
    try {
      const { transport } = this;
      const token = await this.paths.token();
      // Another connection has brought a token of its own.
      if (token !== undefined && transport === this.transport) this.core.session.renew(token);
      this.pump();
    } catch (error) {
      console.warn("driftless:", error);
    }
  }

  /** The page is shown, or the network is back: what has hung meanwhile is tried again. */
  woken(): void {
    const now = this.timers.now();
    const hung = now - this.dialedAt >= HUNG;
    this.core.handleWake(now, hung);
    // An attempt to reconnect is replaced by the next.
    if (hung && this.core.phase.name === "online") this.dialing?.abort();
    this.pump();
  }

  /** The connection is lost, or given up. */
  disconnected(cause: RoomError): void {
    this.dialing?.abort();
    this.dialing = undefined;
    this.transport?.close(
      this.core.isClosing || cause.origin === "left" ? 1000 : cause.code >= 4000 ? cause.code : 3000,
      "",
    );
    this.transport = undefined;
    if (this.retiring) this.paths.failed(this.retiring.name);
    this.retiring?.close(1000, "");
    this.retiring = undefined;
    this.timers.clear(this.moveTimer);
    this.core.handleDisconnected(this.timers.now(), cause, this.paths.shown);
    this.lost();
    this.pump();
  }

  private fault(error: unknown): void {
    if (!(error instanceof ServerFault)) throw error;
    this.disconnected(RoomError.fault(error));
  }

  private timeout(due: number): void {
    this.timer = undefined;
    if (this.core.phase.name === "waiting") return this.redial();
    try {
      this.core.handleTimeout(this.timers.now(), due);
    } catch (error) {
      return this.fault(error);
    }
    if (this.timers.now() >= this.doubtAt) this.beside();
    this.pump();
  }

  private redial(): void {
    this.core.handleDialing();
    this.paths.node = this.core.node;
    this.dial(
      (signal) => this.paths.dial(signal),
      (transport) => this.connected(transport),
      (error) => this.disconnected(RoomError.dial(error)),
    );
  }

  private connected(transport: Transport): boolean {
    const wanted = this.core.handleConnected(this.timers.now(), transport.delivery);
    if (wanted) this.attach(transport);
    return wanted;
  }

  private get doubtAt(): number {
    return this.dialing ? Infinity : Math.max(this.core.doubtAt, this.besideAt);
  }

  /** Nothing comes: opens another connection, which takes the place of this one if it is there first. */
  private beside(): void {
    this.paths.node = undefined;
    const again = (): void => {
      this.besideAt = this.timers.now() + BESIDE_AGAIN;
      this.paths.node = this.core.node;
      this.scheduleMove();
      this.pump();
    };
    this.dial(
      (signal) => this.paths.dial(signal),
      (transport) => {
        if (this.timers.now() < this.core.doubtAt) {
          again();
          return false;
        }
        this.disconnected(RoomError.fault(new ServerFault("silent", "another connection is there")));
        this.core.handleDialing();
        return this.connected(transport);
      },
      again,
    );
  }

  /**
   * Makes the attempt, of which there is one at most. One that was abandoned has no effect. `opened` returns
   * whether the transport is wanted.
   */
  private dial(
    start: (signal: AbortSignal) => Promise<Transport>,
    opened: (transport: Transport) => boolean,
    failed: (error: unknown) => void,
  ): void {
    this.dialing?.abort();
    const dialing = (this.dialing = new AbortController());
    this.dialedAt = this.timers.now();
    this.paths.rtt = this.core.meter.stats.smoothedRtt;
    const isCurrent = (): boolean => {
      if (this.dialing !== dialing) return false;
      this.dialing = undefined;
      return true;
    };
    start(dialing.signal).then(
      (transport) => (isCurrent() && opened(transport)) || transport.close(1000, "not needed any more"),
      (error: unknown) => void (isCurrent() && failed(error)),
    );
  }

  /**
   * On a transport that is not the preferred one: tries for a better one when it is time, unnoticed, and
   * moves the seat to it.
   */
  private scheduleMove(): void {
    this.timers.clear(this.moveTimer);
    const at = this.paths.retryAt;
    if (at === undefined) return;
    this.moveTimer = this.timers.set(
      () => {
        if (!this.core.mayMove || this.dialing) return; // until there is a welcome, or that attempt is over
        this.dial(
          (signal) => this.paths.dialBetter(signal),
          (transport) => this.core.mayMove && this.move(transport),
          () => this.scheduleMove(),
        );
      },
      Math.max(0, at - this.timers.now()),
    );
  }

  private move(transport: Transport): true {
    this.retiring = this.transport;
    this.core.handleMoved(this.timers.now(), transport.delivery);
    const cause = RoomError.closed({ code: 1006, reason: `no welcome over ${transport.name}` });
    this.moveTimer = this.timers.set(() => this.disconnected(cause), MOVE_TIMEOUT);
    this.attach(transport);
    return true;
  }
}
