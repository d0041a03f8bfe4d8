/** How long before a tick's start an input should arrive, ms, in addition to three times the jitter. */
const MARGIN = 10;

/**
 * When to send inputs, so that each tick of the room gets one: each is sent so that it arrives shortly before
 * a tick starts. Two inputs in one tick and none in the next would be predicted wrongly, and an earlier input
 * would only wait.
 */
export class InputClock {
  /** The tick that the last input was for. */
  private last = -Infinity;

  /**
   * How long until the next input is due, ms. `serverTime` is the server's clock now, `due` the time of tick
   * 0, and `way` how long a message takes to the server.
   */
  next(
    serverTime: number,
    interval: number,
    due: number,
    way: number,
    jitter: number,
  ): { tick: number; wait: number } {
    const margin = Math.min(MARGIN + 3 * jitter, 0.75 * interval);
    const arrival = serverTime + way + margin - due;
    const tick = Math.max(Math.ceil(arrival / interval), this.last + 1);
    // The estimate jumped back, or the room did: start over rather than wait long.
    if (tick * interval - arrival > 3 * interval) {
      this.last = -Infinity;
      return this.next(serverTime, interval, due, way, jitter);
    }
    return { tick, wait: Math.max(0, tick * interval - arrival) };
  }

  /** The input for this tick was sent. */
  sent(tick: number): void {
    this.last = tick;
  }
}
