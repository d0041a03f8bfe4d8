import { ServerFault } from "./fault.js";

/**
 * Commands: kept until the server says that it has them, bounded. The application's numbers go on for as long as there is
 * a session; those on the wire begin with 1 on each seat.
 */
export class Commands {
  /** Not confirmed, oldest first. The first has the number `confirmed + 1` on the wire. */
  private kept: Uint8Array[] = [];
  private confirmed = 0;
  /** How far the application's numbers are above the wire's. */
  private shift = 0;
  /** How many of `kept` were sent: on this connection, and on any connection of this seat. */
  private sent = 0;
  private everSent = 0;

  constructor(readonly most: number) {}

  get length(): number {
    return this.kept.length;
  }

  /** The new command's number. Undefined: too many wait. */
  push(payload: Uint8Array): number | undefined {
    if (this.kept.length >= this.most) return undefined;
    return this.numberOf(this.confirmed + this.kept.push(payload));
  }

  /** The next to send on this connection. */
  next(): { sequence: bigint; payload: Uint8Array } | undefined {
    const payload = this.kept[this.sent];
    if (!payload) return undefined;
    this.everSent = Math.max(this.everSent, ++this.sent);
    return { sequence: BigInt(this.confirmed + this.sent), payload };
  }

  /** The seat is one that an earlier page had, which sent so many: go on from there. */
  adopt(sequence: number): void {
    if (!Number.isSafeInteger(sequence)) throw new ServerFault("malformed", `command ${sequence} received`);
    this.confirmed = sequence;
  }

  /** The server says that it has all up to `sequence`. */
  confirm(sequence: number): void {
    const last = this.confirmed + this.everSent;
    if (sequence > last) throw new ServerFault("unexpected", `command ${sequence} received, ${last} sent`);
    const count = Math.max(sequence - this.confirmed, 0);
    this.kept.splice(0, count);
    this.confirmed += count;
    this.sent = Math.max(0, this.sent - count);
    this.everSent = Math.max(0, this.everSent - count);
  }

  /** The application's number of the command that has this one on the wire. */
  numberOf(sequence: number): number {
    return sequence + this.shift;
  }

  /** The connection was lost: all go again. */
  disconnected(): void {
    this.sent = 0;
  }

  /**
   * The seat is another one: what was never sent goes to it. What was sent to the old one may have been done there, and
   * must not be done twice: it is given up. Returns its numbers.
   */
  newSeat(): number[] {
    const lost = this.kept.splice(0, this.everSent).map((_, n) => this.numberOf(this.confirmed + 1 + n));
    this.shift += this.confirmed + lost.length;
    this.confirmed = this.sent = this.everSent = 0;
    return lost;
  }
}
