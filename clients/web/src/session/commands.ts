/** Commands of one seat: numbered from 1, kept until the server says that it has them, bounded. */
export class Commands {
  /** Not confirmed, oldest first. The first has the number `confirmed + 1`. */
  private kept: Uint8Array[] = [];
  private confirmed = 0;
  /** How many of `kept` were sent on this connection. */
  private sent = 0;

  constructor(readonly most: number) {}

  get length(): number {
    return this.kept.length;
  }

  /** The new command's number. Undefined: too many wait. */
  push(payload: Uint8Array): number | undefined {
    if (this.kept.length >= this.most) return undefined;
    return this.confirmed + this.kept.push(payload);
  }

  /** The next to send on this connection. */
  next(): { sequence: bigint; payload: Uint8Array } | undefined {
    const payload = this.kept[this.sent];
    if (!payload) return undefined;
    this.sent++;
    return { sequence: BigInt(this.confirmed + this.sent), payload };
  }

  /** The server has all up to `sequence`. */
  confirm(sequence: number): void {
    const count = Math.min(Math.max(sequence - this.confirmed, 0), this.kept.length);
    this.kept.splice(0, count);
    this.confirmed += count;
    this.sent = Math.max(0, this.sent - count);
    // A seat whose commands another page sent: go on from there.
    if (this.kept.length === 0) this.confirmed = Math.max(this.confirmed, sequence);
  }

  /** The connection was lost: all go again. */
  disconnected(): void {
    this.sent = 0;
  }
}
