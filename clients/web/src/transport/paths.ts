import { reported } from "../emitter.js";
import { type Identity, tokenOf } from "../identity.js";
import type { Timers } from "../timers.js";
import { headStart, race } from "./race.js";
import { type Dialer, type Target, type Transport } from "./transport.js";

/**
 * How long a transport that is not the preferred one is used first because it worked, ms: initially, and at
 * most.
 */
const FIRST_PATIENCE = 30_000;
const MOST_PATIENCE = 600_000;

/**
 * The transports to a server in order of preference, and what is known about them: which ones work here, and
 * the round-trip time.
 */
export class Paths {
  /** The node to which the server has sent the client: `ws://HOST:PORT`. Undefined: the server's address. */
  node: string | undefined;
  /** The token that the server was shown last. */
  shown: string | undefined;
  /** Last measured round-trip time, ms. */
  rtt: number | undefined;
  /**
   * The transport that worked when a preferred one did not, and until when it is used first. Undefined: the
   * preferred one works.
   */
  private lesser: { readonly name: string; readonly until: number } | undefined;
  private patience = FIRST_PATIENCE;
  private told = false;

  constructor(
    private readonly dialers: readonly Dialer[],
    private readonly base: URL,
    private readonly timers: Timers,
    private readonly asks: Record<string, string> = {},
    private readonly identity: Identity | undefined = undefined,
    private readonly traceparent: string | (() => string | undefined) | undefined = undefined,
  ) {}

  /**
   * Opens the best transport that works. One that worked when a preferred one did not is tried first for a
   * while.
   */
  async dial(signal: AbortSignal): Promise<Transport> {
    const { lesser } = this;
    const first = lesser && this.timers.now() < lesser.until ? lesser.name : undefined;
    const order = [...this.able].sort((a, b) => +(b.name === first) - +(a.name === first));
    const target = await this.target();
    const start = this.timers.now();
    const { transport, errors } = await race(order, target, headStart(this.rtt), this.timers, signal);
    if (!first) this.tell(transport.name, errors, this.timers.now() - start);
    if (transport.name !== first && transport.name !== this.able[0]?.name) this.failed(transport.name);
    return transport;
  }

  /** When to try for a better transport than the one in use. Undefined: there is none. */
  get retryAt(): number | undefined {
    return this.lesser?.until;
  }

  /** Opens a better transport than the one in use. */
  async dialBetter(signal: AbortSignal): Promise<Transport> {
    const name = this.lesser?.name ?? "";
    const better = this.able.slice(
      0,
      Math.max(
        0,
        this.able.findIndex((dialer) => dialer.name === name),
      ),
    );
    try {
      return (await race(better, await this.target(), headStart(this.rtt), this.timers, signal)).transport;
    } catch (error) {
      if (!signal.aborted) this.failed(name);
      throw error;
    }
  }

  /** The server has sent a welcome over this one. */
  works(name: string): void {
    if (name !== this.able[0]?.name) return;
    this.lesser = undefined;
    this.patience = FIRST_PATIENCE;
  }

  /** The transports preferred to this one do not work at present. */
  failed(name: string): void {
    this.lesser = { name, until: this.timers.now() + this.patience };
    this.patience = Math.min(2 * this.patience, MOST_PATIENCE);
  }

  private get server(): URL {
    const server = new URL(this.node ?? this.base);
    server.protocol = server.protocol.replace("ws", "http");
    return server;
  }

  private get able(): readonly Dialer[] {
    return this.dialers.filter((dialer) => dialer.available?.() ?? true);
  }

  /** The server, and who the player is. */
  private async target(): Promise<Target> {
    const token = await this.token();
    const { server: base, traceparent: of } = this;
    const asks = { ...(token !== undefined && this.asks) };
    reported(() => {
      const traceparent = typeof of === "function" ? of() : of;
      if (traceparent) asks.traceparent = traceparent;
    });
    return { base, token, asks };
  }

  /** A token that says who the player is. Undefined: nobody in particular. */
  async token(): Promise<string | undefined> {
    return (this.shown = await tokenOf(this.identity, this.timers));
  }

  /** Tells developers once which transports were preferred, and why they are not in use. */
  private tell(name: string, errors: ReadonlyMap<string, Error>, passed: number): void {
    const better = this.dialers.slice(
      0,
      this.dialers.findIndex((dialer) => dialer.name === name),
    );
    if (this.told || better.length === 0) return;
    this.told = true;
    const why = better.map((dialer) => {
      if (dialer.available?.() === false)
        return `${dialer.name}: not in this browser, or not for this page: is it https, or on localhost?`;
      return `${dialer.name}: ${errors.get(dialer.name)?.message ?? `no answer after ${Math.round(passed)} ms`}`;
    });
    console.info(`driftless: connected by ${name}. ${why.join("; ")}`);
  }
}
