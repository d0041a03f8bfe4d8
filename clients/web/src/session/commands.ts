import { ServerFault } from "./fault.js";

/**
 * Commands, bounded, kept until the server confirms them. The application's numbers continue for as long as
 * there is a session; those on the wire begin with 1 on each seat.
 */
export class Commands {
  /** Unconfirmed commands, oldest first. The first has the wire number `confirmed + 1`. */
  private kept: Uint8Array[] = [];
  confirmed = 0;
  /** The difference between the application's numbers and those on the wire. */
  private shift = 0;
  /** How many of `kept` were sent: on this connection, and on any connection of this seat. */
  private sent = 0;
  private everSent = 0;

  constructor(readonly most: number) {}

  get length(): number {
    return this.kept.length;
  }

  /** The new command's number. Undefined: too many are waiting. */
  push(payload: Uint8Array): number | undefined {
    if (this.kept.length >= this.most) return undefined;
    return this.numberOf(this.confirmed + this.kept.push(payload));
  }

  /** The next command to send on this connection. */
  next(): { sequence: bigint; payload: Uint8Array } | undefined {
    const payload = this.kept[this.sent];
    if (!payload) return undefined;
    this.everSent = Math.max(this.everSent, ++this.sent);
    return { sequence: BigInt(this.confirmed + this.sent), payload };
  }

  /** The seat belonged to an earlier page, which sent this many: continue from there. */
  adopt(sequence: number): void {
    if (!Number.isSafeInteger(sequence)) throw new ServerFault("malformed", `command ${sequence} received`);
    this.confirmed = sequence;
  }

  /** The server has everything up to `sequence`. */
  confirm(sequence: number): void {
    const last = this.confirmed + this.everSent;
    if (sequence > last) throw new ServerFault("unexpected", `command ${sequence} received, ${last} sent`);
    const count = Math.max(sequence - this.confirmed, 0);
    this.kept.splice(0, count);
    this.confirmed += count;
    this.sent = Math.max(0, this.sent - count);
    this.everSent = Math.max(0, this.everSent - count);
  }

  /** The application's number of the command with this wire number. */
  numberOf(sequence: number): number {
    return sequence + this.shift;
  }

  /** The connection was lost: all are sent again. */
  disconnected(): void {
    this.sent = 0;
  }

  /**
   * There is a new seat: commands that were never sent go to it. Those sent to the old seat may have been
   * carried out, and must not be carried out twice, so they are given up. Returns their numbers.
   */
  newSeat(): number[] {
    const lost = this.kept.splice(0, this.everSent).map((_, n) => this.numberOf(this.confirmed + 1 + n));
    this.shift += this.confirmed + lost.length;
    this.confirmed = this.sent = this.everSent = 0;
    return lost;
  }
}
