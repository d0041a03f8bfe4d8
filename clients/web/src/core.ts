import { Backoff } from "./backoff.js";
import { Clock } from "./clock.js";
import { CloseCode } from "./code.js";
import { RoomError } from "./errors.js";
import type { Goodbye } from "./gen/driftless/v1/server_pb.js";
import { ServerFault } from "./session/fault.js";
import { type Delivery, type Join, type Outgoing, Session, type SessionEvent } from "./session/session.js";
import { Meter } from "./stats.js";

/** How long the server may take to close the transport after its goodbye, ms. */
const CLOSE_TIMEOUT = 1000;
/** A timer this late, ms, means that the page slept. */
const SLEPT = 2000;
/** Then the server has this long to show that it is still there, ms. */
const GRACE = 3000;
/** A connection that turns out to be lost this soon after the page woke up, ms, was lost while it slept. */
const JUST_WOKEN = 1000;

/** How long the server may say nothing, ms, and for how many round trips, before it is in doubt. */
const DOUBT = 2000;
const DOUBT_ROUND_TRIPS = 8;

/** How often a client follows from one node to another before it is welcomed. */
const MAX_HOPS = 3;

/** A new seat that lasts for this long, ms, or for as long as the next wait, shows that the server works. */
const LASTS = 5000;

/**
 * Where a client is between its first connection and its end: online → (waiting → dialing → online)* → ended.
 */
export type CorePhase =
  | { name: "online" }
  /** There is no connection; the next attempt is due at `until`. */
  | { name: "waiting"; until: number; cause: RoomError }
  /** An attempt is in progress, the only one. `woken`: if it fails, the next follows at once. */
  | { name: "dialing"; woken: boolean; cause: RoomError }
  | { name: "ended"; cause: RoomError };

export type CoreEvent =
  | SessionEvent
  /** The server's clock is not what it was believed to be: earlier server times are meaningless. */
  | { type: "clock" };

/**
 * The whole client without its socket: session, clock, statistics, and when to reconnect. The same as
 * driftless-client's `ClientCore`. Times are milliseconds.
 */
export class Core {
  readonly clock = new Clock();
  readonly meter = new Meter();
  readonly session: Session;
  phase: CorePhase = { name: "online" };
  private readonly events: CoreEvent[] = [];
  private goodbye: { goodbye: Goodbye; at: number } | undefined;
  private welcomed = false;
  private left = false;
  /** The seat is lost: the client joins anew until it has another. */
  private rejoin = false;
  /** The connection asked for the old seat and has no answer yet. */
  private resuming: boolean;
  /** When this connection was welcomed, and whether a state has come over it. */
  private welcomedAt = 0;
  private works = false;
  /** When a connection was lost that had had the seat for `LASTS`. */
  private lostAt = -Infinity;
  /** The node to which the client was sent. Undefined: it goes to the address that the application gave. */
  node: string | undefined;
  /** Where it was sent since the last welcome. */
  private sentTo: string[] = [];
  /** The token that the server has refused since the last welcome. */
  private refused: string | undefined;
  /** Failed attempts in a row. */
  private failed = 0;
  /** When the page last woke up: silence before that says nothing. */
  private wokenAt = -Infinity;
  /** This connection was made while there was another one. */
  private moved = false;

  constructor(
    now: number,
    join: Join,
    delivery: Delivery,
    earlier?: { token: Uint8Array; reliableReceived: bigint },
    private readonly backoff = new Backoff(),
    private readonly maxAttempts = Infinity,
  ) {
    this.session = new Session(now, join, delivery, earlier);
    this.resuming = earlier !== undefined;
  }

  /**
   * Handles a message. Throws a ServerFault: then close the transport, and call `handleDisconnected` with it.
   */
  handleMessage(now: number, message: Uint8Array): void {
    this.meter.stats.messagesDown++;
    this.meter.stats.bytesDown += message.length;
    try {
      this.session.handleMessage(now, message);
    } finally {
      this.takeEvents(now);
    }
  }

  pollEvent(): CoreEvent | undefined {
    return this.events.shift();
  }

  pollTransmit(now: number, maxDatagram: number): Outgoing | undefined {
    const out = this.phase.name === "online" ? this.session.pollTransmit(now, maxDatagram) : undefined;
    if (out) {
      this.meter.stats.messagesUp++;
      this.meter.stats.bytesUp += out.bytes.length;
    }
    return out;
  }

  /**
   * From when on the server is in doubt, unless it says something before: it may be gone without a word. Then
   * another connection should be opened beside this one, to take its place if it is there first.
   */
  get doubtAt(): number {
    if (!this.session.isActive || !this.works) return Infinity;
    const usual = DOUBT_ROUND_TRIPS * (this.meter.stats.smoothedRtt ?? 0);
    return Math.max(this.session.heardAt, this.wokenAt) + Math.max(DOUBT, usual);
  }

  /** When to call `handleTimeout`, or while waiting, when to dial. */
  pollTimeout(): number | undefined {
    switch (this.phase.name) {
      case "online":
        return this.goodbye ? this.goodbye.at + CLOSE_TIMEOUT : this.session.pollTimeout();
      case "waiting":
        return this.phase.until;
      case "dialing":
      case "ended":
        return undefined;
    }
  }

  /**
   * The timer for `due` has fired. Throws like `handleMessage` (the server fell silent, or did not close).
   */
  handleTimeout(now: number, due = now): void {
    if (this.phase.name !== "online") return;
    if (this.goodbye && now >= this.goodbye.at + CLOSE_TIMEOUT) {
      throw new ServerFault("silent", "no close after the goodbye");
    }
    // Once for a silence, or a page whose timers are always late would never notice that the server is gone.
    if (now - due > SLEPT && this.session.heardAt >= this.wokenAt) this.wake(now);
    this.session.handleTimeout(now);
  }

  /**
   * The page is visible again, or the network is back: try at once whatever was waiting. `hung`: the attempt
   * in progress was given up.
   */
  handleWake(now: number, hung = false): void {
    const { phase } = this;
    if (phase.name === "online") this.wake(now);
    else if (phase.name === "dialing" && !hung) phase.woken = true;
    else if (phase.name !== "ended") this.phase = { name: "waiting", until: now, cause: phase.cause };
  }

  private wake(now: number): void {
    this.wokenAt = now;
    this.session.handleWake(now, GRACE);
  }

  /**
   * The wait is over, and the next attempt begins. It ends with `handleConnected` or `handleDisconnected`.
   */
  handleDialing(): void {
    if (this.phase.name === "waiting") this.phase = { ...this.phase, name: "dialing", woken: false };
  }

  /**
   * The connection ended, or an attempt to connect failed. If the server had said goodbye, that is the cause,
   * whatever `cause` says. `shown`: the token that the server was shown last.
   */
  handleDisconnected(now: number, cause: RoomError, shown?: string): void {
    const { phase } = this;
    if (phase.name === "ended") return;
    if (phase.name === "online") this.session.disconnected();
    if (this.goodbye) {
      const { code, reason, reconnectAfterMs, moved } = this.goodbye.goodbye;
      cause = RoomError.goodbye(code, reason, reconnectAfterMs);
      this.goodbye = undefined;
      if (moved && !this.left && phase.name === "online") {
        const circles = this.follow(now, moved.url, cause);
        if (!circles) return;
        cause = circles;
      }
    }
    const code = cause.code as CloseCode;
    if (this.left || code === CloseCode.Left) return this.end(RoomError.left());
    // A login may answer with what it has answered before. If it does so again, it has nothing better.
    if (code === CloseCode.Unauthenticated && !cause.mayReconnect && shown !== this.refused) {
      this.refused = shown;
      cause.mayReconnect = this.welcomed;
    }
    // While waiting there is nothing that could end.
    if (phase.name === "waiting") return;
    // The server is there and has answered, and the lost seat will not be asked for again: nothing has
    // failed.
    const answered = this.resuming && code === CloseCode.UnknownSession;
    if (!(this.welcomed || answered) || !cause.mayReconnect) return this.end(cause);
    // In these cases there is no seat to resume.
    const gone = [CloseCode.UnknownSession, CloseCode.RoomClosed, CloseCode.RoomFailed];
    if (gone.includes(code)) this.rejoin = true;
    // Another node may have the room by now, or will.
    const away = [CloseCode.NodeLost, CloseCode.Draining, CloseCode.TimedOut];
    const elsewhere = this.rejoin || away.includes(code);
    // Whoever was sent to a node that is dead asks again soon.
    const soon = this.node && phase.name === "dialing" && this.failed < 3;
    if (elsewhere || phase.name === "dialing") this.startOver();
    if (!this.works && !answered) this.failed++;
    if (this.works && now - this.welcomedAt >= LASTS) this.lostAt = now;
    const slept = this.works && cause.origin === "transport" && now - this.wokenAt < JUST_WOKEN;
    this.works = this.moved = this.resuming = false;
    if (this.failed >= this.maxAttempts) {
      const message = `gave up after ${this.failed} attempts; the last one failed: ${cause.message}`;
      return this.end(new RoomError("gave up", message, { code, mayReconnect: false, cause }));
    }
    // While a seat may wait, there is time for several attempts. (While its room stands still, its window
    // does not pass.)
    const seat = this.session.welcome?.resumeWindowMs ?? 0;
    const most = !this.rejoin && now - this.lostAt < 10 * seat ? seat / 4 : Infinity;
    let wait = answered || soon ? this.backoff.first() : this.backoff.next(cause.reconnectAfter, most);
    if (slept || (phase.name === "dialing" && phase.woken)) wait = 0;
    this.phase = { name: "waiting", until: now + wait, cause };
  }

  /** The room is on another node: goes there at once, but not in circles, which is an error. */
  private follow(now: number, url: string, cause: RoomError): RoomError | undefined {
    const { sentTo } = this;
    if (sentTo.length >= MAX_HOPS || sentTo.includes(url)) {
      this.startOver();
      const message = `sent from node to node ${sentTo.length + 1} times, at last to ${url}`;
      const advice = "Tell the operator to look at /healthz.";
      return new RoomError("circles", message, { code: cause.code, advice });
    }
    this.node = url;
    sentTo.push(url);
    this.works = this.moved = this.resuming = false;
    this.phase = { name: "waiting", until: now, cause };
    return undefined;
  }

  /** The next attempt goes to the address that the application gave. */
  private startOver(): void {
    this.node = undefined;
    this.sentTo = [];
  }

  /**
   * A new connection was opened: resumes the seat, or joins anew if it is lost. Returns whether it is wanted.
   */
  handleConnected(now: number, delivery: Delivery): boolean {
    if (this.phase.name !== "dialing") return false;
    this.resuming = !this.rejoin && this.session.resumption !== undefined;
    this.session.reconnected(now, this.rejoin, delivery);
    this.phase = { name: "online" };
    return true;
  }

  /** A better connection was opened in addition to the current one: the seat moves to it. */
  handleMoved(now: number, delivery: Delivery): void {
    this.session.reconnected(now, false, delivery);
    this.moved = this.resuming = true;
  }

  /** Whether the seat can move to another connection now. */
  get mayMove(): boolean {
    // A spectator would have to join a second time.
    return this.phase.name === "online" && this.session.isActive && !this.left && !this.session.spectating;
  }

  /**
   * Gives up the seat. However the connection ends after this, the client ends with it. If there is no
   * connection, one more is made to deliver the leave, because otherwise the seat would be kept for the whole
   * resume window.
   */
  leave(now: number): void {
    this.left = true;
    this.session.leave();
    if (this.phase.name !== "waiting") return;
    if (this.rejoin) this.end(RoomError.left());
    else this.phase = { ...this.phase, until: now };
  }

  get hasEnded(): boolean {
    return this.phase.name === "ended";
  }

  /** The server said goodbye, and the transport's close follows. */
  get isClosing(): boolean {
    return this.goodbye !== undefined;
  }

  /** When `tick` is due, ms of the server's clock. */
  tickDue(tick: number): number | undefined {
    const welcome = this.session.welcome;
    return welcome && Number(welcome.epochUs) / 1000 + tick * this.session.tickInterval;
  }

  private end(cause: RoomError): void {
    this.phase = { name: "ended", cause };
  }

  private measured(take: () => void): void {
    const { moves } = this.clock;
    take();
    if (this.clock.moves !== moves) this.events.push({ type: "clock" });
  }

  private takeEvents(now: number): void {
    for (let event = this.session.pollEvent(); event; event = this.session.pollEvent()) {
      switch (event.type) {
        case "welcome":
          this.measured(() => this.clock.handleWelcome(now, Number(event.welcome.serverTimeUs) / 1000));
          if (!this.moved) this.meter.welcome(event.welcome.resumed, !this.welcomed);
          this.welcomed = true;
          this.refused = undefined;
          this.sentTo = [];
          this.welcomedAt = now;
          this.lostAt = -Infinity;
          this.rejoin = this.resuming = false;
          break;
        case "state": {
          if (event.more) break;
          this.works = true;
          this.failed = 0;
          // A resumed seat shows that only the network had failed. A new one must last, or a room that fails
          // after each join would be joined again and again.
          const lasted = now - this.welcomedAt >= Math.min(LASTS, this.backoff.ceiling);
          if (lasted || this.session.welcome?.resumed) this.backoff.reset();
          const [serverTime, due] = [this.clock.serverTime(now), this.tickDue(event.tick)];
          const age = serverTime === undefined || due === undefined ? undefined : serverTime - due;
          this.meter.state(event.tick, event.full, age);
          // No state can arrive before it is due.
          if (age !== undefined && age < -this.clock.error(now)) this.session.measure(now);
          break;
        }
        case "presence":
          this.meter.stats.presence++;
          this.meter.stats.presenceBytes += event.bytes;
          break;
        case "event":
        case "refused":
          this.meter.stats.reliable++;
          break;
        case "stale":
          this.meter.stats.stale++;
          continue;
        case "pong":
          this.measured(() => this.clock.handlePong(event.at, event.rtt, event.serverTimeUs / 1000));
          this.meter.pong(event.rtt);
          continue;
        case "goodbye":
          this.goodbye = { goodbye: event.goodbye, at: now };
          continue;
      }
      this.events.push(event);
    }
  }
}
