import type { Outgoing } from "../session/session.js";
import { systemTimers, type Timers } from "../timers.js";
import type { Dialer, Handlers, Transport } from "./transport.js";

/**
 * Impairments of a link, for trying out a game. Read for each message, so they can be changed at any time.
 */
export interface Conditions {
  /** Additional latency in each direction, ms. */
  latency: number;
  /** Upper bound of the additional random latency of each message, ms. */
  jitter: number;
  /**
   * Fraction of messages that are lost, 0 to 1. Reliable messages are sent again, and those behind them wait.
   */
  loss: number;
}

/** How long until a lost message is sent again, ms, in addition to a round trip (TCP's minimum is 200). */
const RETRANSMIT = 200;

/** A dialer whose transports are impaired by `conditions`, in both directions. */
export function impaired(
  dialer: Dialer,
  conditions: Readonly<Conditions>,
  timers: Timers = systemTimers,
  random: () => number = Math.random,
): Dialer {
  return {
    name: dialer.name,
    available: () => dialer.available?.() ?? true,
    async dial(target, signal) {
      return new Impaired(await dialer.dial(target, signal), conditions, timers, random);
    },
  };
}

class Impaired implements Transport {
  private closed = false;
  private readonly up: Way;
  private readonly down: Way;

  constructor(
    private readonly inner: Transport,
    conditions: Readonly<Conditions>,
    timers: Timers,
    random: () => number,
  ) {
    this.up = new Way(conditions, timers, random);
    this.down = new Way(conditions, timers, random);
  }

  get name(): string {
    return this.inner.name;
  }

  get delivery(): Transport["delivery"] {
    return this.inner.delivery;
  }

  get maxDatagram(): number {
    return this.inner.maxDatagram;
  }

  get buffered(): number {
    return this.inner.buffered;
  }

  start(handlers: Handlers): void {
    // What is in transit is delivered before the close, as on a real link.
    this.inner.start({
      message: (bytes, lossy = false) =>
        this.down.send(lossy, () => {
          if (!this.closed) handlers.message(bytes, lossy);
        }),
      closed: (closed) =>
        this.down.send(false, () => {
          if (!this.closed) handlers.closed(closed);
        }),
    });
  }

  send(message: Outgoing): void {
    this.up.send(message.lossy && this.delivery === "datagram", () => {
      if (!this.closed) this.inner.send(message);
    });
  }

  close(code: number, reason: string): void {
    this.closed = true;
    this.inner.close(code, reason);
  }
}

/** One direction. */
class Way {
  /** When the last ordered message arrives. */
  private orderedAt = 0;

  constructor(
    private readonly conditions: Readonly<Conditions>,
    private readonly timers: Timers,
    private readonly random: () => number,
  ) {}

  send(lossy: boolean, deliver: () => void): void {
    const { latency, jitter, loss } = this.conditions;
    const now = this.timers.now();
    const lost = this.random() < loss;
    if (lossy && lost) return;
    let at = now + latency + this.random() * jitter + (lost ? RETRANSMIT + 2 * latency : 0);
    if (!lossy) this.orderedAt = at = Math.max(at, this.orderedAt);
    if (at <= now) deliver();
    else this.timers.set(deliver, at - now);
  }
}
