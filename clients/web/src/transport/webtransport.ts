import type { Outgoing } from "../session/session.js";
import { Framing, frame } from "./framing.js";
import { DialError, type Dialer, type Handlers, type Target, type Transport } from "./transport.js";

/** The WebTransport subprotocol. */
const SUBPROTOCOL = "driftless.v1";
/** Longest message to accept from the server, bytes. */
const MAX_MESSAGE = 1 << 20;
/** How long an answer of `GET /v1/certificate` is reused, ms. */
const CERTIFICATE_LIFE = 60_000;

/** What the server says about its certificate and its UDP port: `GET /v1/certificate`. */
interface Certificate {
  readonly hashes_needed: boolean;
  readonly certificates: readonly { readonly sha256: string }[];
  readonly quic: { readonly port: number; readonly webtransport: { readonly url: string } } | null;
}

/** WebTransport: datagrams for states and inputs, so that nothing waits for what was lost. */
export const webTransport: Dialer = {
  name: "webtransport",

  // Only in secure contexts: https, and http://localhost or 127.0.0.1.
  available: () => typeof WebTransport !== "undefined",

  async dial(target, signal) {
    const { url, hashes } = await endpoint(target, signal);
    const options = {
      congestionControl: "low-latency",
      // Newer than the types, and than Firefox; without it, the server assumes this subprotocol.
      protocols: [SUBPROTOCOL],
      ...(hashes.length > 0 && { serverCertificateHashes: hashes }),
    } satisfies WebTransportOptions & { protocols: string[] };
    // A page cannot set headers. What it asks for is encrypted, and the server does not log it.
    const asked = new URL(url);
    asked.search = new URLSearchParams({
      ...target.asks,
      ...(target.token && { token: target.token }),
    }).toString();
    const session = new WebTransport(asked, options);
    const abort = (): void => end(session);
    signal.addEventListener("abort", abort);
    try {
      await session.ready;
      const stream = await session.createBidirectionalStream();
      if (signal.aborted) throw new DialError("aborted");
      return new WebTransportTransport(session, stream);
    } catch (error) {
      end(session);
      known = undefined; // a server that was restarted has another certificate
      if (error instanceof DialError) throw error;
      throw new DialError(
        `cannot open WebTransport to ${url} (is its UDP port open, and the token good?): ${text(error)}`,
      );
    } finally {
      signal.removeEventListener("abort", abort);
    }
  },
};

/** What has taken the places of `writable` and `incomingHighWaterMark`, in Safari at first. */
type Datagrams = WebTransportDatagramDuplexStream & {
  createWritable?(): WritableStream;
  incomingMaxBufferedDatagrams?: number;
};

let known: { base: string; at: number; certificate: Certificate; rtt: number } | undefined;

async function endpoint(
  target: Target,
  signal: AbortSignal,
): Promise<{ url: string; hashes: { algorithm: string; value: BufferSource }[] }> {
  const fresh = known?.base === target.base.href && performance.now() - known.at < CERTIFICATE_LIFE;
  let certificate = fresh ? known!.certificate : undefined;
  if (!certificate) {
    const asked = new URL("v1/certificate", target.base);
    const at = performance.now();
    const answer = await fetch(asked, { signal }).catch((error: unknown) => {
      throw new DialError(`cannot ask ${target.base.host} for its certificate: ${text(error)}`);
    });
    // A server without WebTransport, perhaps an older one.
    if (!answer.ok) throw new DialError(`${target.base.host} has no WebTransport (${answer.status})`);
    certificate = (await answer.json()) as Certificate;
    known = { base: target.base.href, at: performance.now(), certificate, rtt: roundTrip(asked.href, at) };
  }
  target.heard?.(known!.rtt);
  if (!certificate.quic) throw new DialError(`${target.base.host} has no WebTransport`);
  const hashes = certificate.hashes_needed
    ? certificate.certificates.map(({ sha256 }) => ({
        algorithm: "sha-256",
        value: Uint8Array.from(atob(sha256), (c) => c.charCodeAt(0)),
      }))
    : [];
  return { url: certificate.quic.webtransport.url, hashes };
}

/** The round trip of the request, ms; estimated if the browser may not say (another origin). */
function roundTrip(url: string, askedAt: number): number {
  const timing = performance.getEntriesByName(url).at(-1) as PerformanceResourceTiming | undefined;
  const seen = timing && timing.startTime >= askedAt - 1 ? timing.responseStart - timing.requestStart : 0;
  // Opening the connection took about as long as the request itself.
  return seen > 0 ? seen : (performance.now() - askedAt) / 2;
}

/**
 * One session: a reliable stream, datagrams in both directions, and a stream for each state that is too large
 * for a datagram.
 */
class WebTransportTransport implements Transport {
  readonly name = "webtransport";
  readonly delivery = "datagram";
  private readonly reliable: WritableStreamDefaultWriter<Uint8Array>;
  private readonly datagrams: WritableStreamDefaultWriter<Uint8Array>;
  private handlers: Handlers | undefined;
  private unsent = 0;

  constructor(
    private readonly session: WebTransport,
    private readonly stream: WebTransportBidirectionalStream,
  ) {
    this.reliable = stream.writable.getWriter() as WritableStreamDefaultWriter<Uint8Array>;
    const datagrams = session.datagrams as Datagrams;
    const writable = datagrams.createWritable?.() ?? datagrams.writable;
    this.datagrams = writable.getWriter() as WritableStreamDefaultWriter<Uint8Array>;
    // An input that waits longer is worthless, and ours are repeated anyway.
    datagrams.outgoingMaxAge = 250;
    // A slow page gets the newest states: the browser drops older ones.
    datagrams.incomingHighWaterMark = datagrams.incomingMaxBufferedDatagrams = 8;
    datagrams.incomingMaxAge = 500;
  }

  get maxDatagram(): number {
    return this.session.datagrams.maxDatagramSize;
  }

  get buffered(): number {
    return this.unsent;
  }

  start(handlers: Handlers): void {
    this.handlers = handlers;
    const read = this.readStream();
    void this.readDatagrams();
    void this.readStates();
    // What the stream has is read first: the goodbye. It ends with the session.
    this.session.closed.then(
      ({ closeCode = 0, reason = "" }) =>
        read.then(() => this.end(closeCode === 0 ? 1005 : closeCode, reason)),
      (error: unknown) => read.then(() => this.end(1006, text(error))),
    );
  }

  send({ bytes, lossy }: Outgoing): void {
    const writer = lossy ? this.datagrams : this.reliable;
    const written = lossy ? bytes : frame(bytes);
    if (!lossy) this.unsent += written.length;
    writer.write(written).then(
      () => void (lossy || (this.unsent -= written.length)),
      () => {}, // the session has ended, which `closed` reports
    );
  }

  close(code: number, reason: string): void {
    this.handlers = undefined;
    // 0 is how a client leaves; other codes are for the server's log.
    end(this.session, { closeCode: code === 1000 ? 0 : code, reason: reason.slice(0, 100) });
  }

  private end(code: number, reason: string): void {
    const handlers = this.handlers;
    this.handlers = undefined;
    handlers?.closed({ code, reason });
  }

  private async readStream(): Promise<void> {
    const framing = new Framing(MAX_MESSAGE);
    const reader = this.stream.readable.getReader() as ReadableStreamDefaultReader<Uint8Array>;
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        framing.push(value);
        for (let message = framing.next(); message; message = framing.next()) this.handlers?.message(message);
      }
    } catch (error) {
      // A stream breaks together with its session, which reports why. A message that is too long is our own
      // reason.
      if (error instanceof RangeError) {
        this.end(1009, error.message);
        this.close(1009, error.message);
      }
    }
  }

  private async readDatagrams(): Promise<void> {
    const reader = this.session.datagrams.readable.getReader() as ReadableStreamDefaultReader<Uint8Array>;
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        this.handlers?.message(value, true);
      }
    } catch {
      // The session has ended, which `closed` reports.
    }
  }

  /**
   * Each of the server's streams is one state. They are read concurrently, so that one that is stuck does not
   * delay the others.
   */
  private async readStates(): Promise<void> {
    const streams = this.session.incomingUnidirectionalStreams.getReader() as ReadableStreamDefaultReader<
      ReadableStream<Uint8Array>
    >;
    try {
      for (;;) {
        const { value, done } = await streams.read();
        if (done) return;
        void this.readState(value);
      }
    } catch {
      // As above.
    }
  }

  private async readState(stream: ReadableStream<Uint8Array>): Promise<void> {
    const reader = stream.getReader();
    const chunks: Uint8Array[] = [];
    let length = 0;
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        length += value.length;
        if (length > MAX_MESSAGE) return void reader.cancel();
        chunks.push(value);
      }
    } catch {
      return; // reset by the server: a newer state is coming
    }
    const message = new Uint8Array(length);
    let at = 0;
    for (const chunk of chunks) {
      message.set(chunk, at);
      at += chunk.length;
    }
    this.handlers?.message(message, true);
  }
}

function end(session: WebTransport, info?: WebTransportCloseInfo): void {
  try {
    session.close(info);
  } catch {
    // It has already ended.
  }
  session.closed.catch(() => {});
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
