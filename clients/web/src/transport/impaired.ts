import type { Outgoing } from "../session/session.js";
import { systemTimers, type Timers } from "../timers.js";
import type { Dialer, Handlers, Transport } from "./transport.js";

/** A link's faults, for trying a game out. Read for each message, so they can be changed at any time. */
export interface Conditions {
  /** More time for each way, ms. */
  latency: number;
  /** More time, drawn evenly up to this for each message, ms. */
  jitter: number;
  /** Share of messages that are lost, 0 to 1. What must arrive is sent again, and what is behind it waits. */
  loss: number;
}

/** How long until what was lost is sent again, ms, beside the time for two ways (TCP's least is 200). */
const RETRANSMIT = 200;

/** A dialer whose transports suffer from `conditions`, both ways. */
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
    // What is on its way is told before the close is, as on a real link.
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
  /** When the last message that must arrive in order does. */
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
