/** Counts and measurements of a room's connection. Times are milliseconds; undefined until measured. */
export interface Stats {
  /** The transport in use ("webtransport", "websocket"). */
  transport: string | undefined;
  /** Round-trip time: of the last ping, smoothed with weight 1/8 (RFC 6298), and the shortest so far. */
  rtt: number | undefined;
  smoothedRtt: number | undefined;
  minRtt: number | undefined;
  /** Jitter of the states' arrival, smoothed with weight 1/16 (RFC 3550 section 6.4.1). */
  jitter: number;
  /** Age of the last state when it arrived, since its tick was due. */
  age: number | undefined;
  /**
   * Fraction of ticks without a state, 0 to 1, over about the last 64: states that were lost, or superseded
   * before they were sent.
   */
  loss: number;
  /** States applied, and of these, full states. */
  states: number;
  fullStates: number;
  /** Ticks between applied states for which no state came. */
  ticksMissed: number;
  /**
   * States that came after a newer one and were dropped; and states that were superseded before the page
   * could show them.
   */
  stale: number;
  superseded: number;
  /** Events and refusals received. */
  reliable: number;
  /** Presence messages received, and their bytes. */
  presence: number;
  presenceBytes: number;
  /** Messages and their bytes, without the transport's framing. */
  messagesUp: number;
  messagesDown: number;
  /** Of these, messages that came as datagrams or on streams of their own: nothing waits for them. */
  unorderedDown: number;
  bytesDown: number;
  bytesUp: number;
  /** Connections made after the first, and of these, those that resumed the seat. */
  reconnects: number;
  resumes: number;
}

/** Counts and measures. */
export class Meter {
  readonly stats: Stats = {
    transport: undefined,
    rtt: undefined,
    smoothedRtt: undefined,
    minRtt: undefined,
    jitter: 0,
    age: undefined,
    loss: 0,
    states: 0,
    fullStates: 0,
    ticksMissed: 0,
    stale: 0,
    superseded: 0,
    reliable: 0,
    presence: 0,
    presenceBytes: 0,
    messagesDown: 0,
    unorderedDown: 0,
    messagesUp: 0,
    bytesDown: 0,
    bytesUp: 0,
    reconnects: 0,
    resumes: 0,
  };
  private lastTick: number | undefined;
  private lastAge: number | undefined;

  pong(rtt: number): void {
    const { stats } = this;
    stats.rtt = rtt;
    stats.minRtt = Math.min(stats.minRtt ?? rtt, rtt);
    stats.smoothedRtt =
      stats.smoothedRtt === undefined ? rtt : stats.smoothedRtt + (rtt - stats.smoothedRtt) / 8;
  }

  welcome(resumed: boolean, first: boolean): void {
    if (!first) this.stats.reconnects++;
    if (resumed) this.stats.resumes++;
    this.lastAge = undefined;
    // Ticks missing after a break were not lost in transit; and a new seat may be in a room with its own
    // ticks.
    this.lastTick = undefined;
  }

  /** A state of `tick` was applied, `age` after its tick was due (negative if the clock is wrong). */
  state(tick: number, full: boolean, age: number | undefined): void {
    const { stats } = this;
    stats.states++;
    if (full) stats.fullStates++;
    if (this.lastTick !== undefined) {
      const passed = tick - this.lastTick;
      stats.ticksMissed += passed - 1;
      stats.loss += ((passed - 1) / passed - stats.loss) * Math.min(1, passed / 64);
    }
    this.lastTick = tick;
    if (age === undefined) return;
    if (this.lastAge !== undefined) stats.jitter += (Math.abs(age - this.lastAge) - stats.jitter) / 16;
    this.lastAge = age;
    stats.age = Math.max(0, age);
  }
}
