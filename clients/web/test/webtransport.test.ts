import { afterEach, expect, it, vi } from "vitest";
import { webTransport } from "../src/index.js";

afterEach(() => vi.unstubAllGlobals());

/** A browser's WebTransport, whose sessions open, but with which something is wrong. */
function browser(createBidirectionalStream: () => Promise<unknown>, datagrams = {}) {
  const sessions: { open: boolean }[] = [];
  vi.stubGlobal(
    "WebTransport",
    class {
      open = true;
      ready = Promise.resolve();
      closed = Promise.reject(new Error("closed"));
      createBidirectionalStream = createBidirectionalStream;
      datagrams = datagrams;
      constructor() {
        this.closed.catch(() => {});
        sessions.push(this);
      }
      close() {
        this.open = false;
      }
    },
  );
  const certificate = {
    hashes_needed: false,
    certificates: [],
    quic: { webtransport: { url: "https://x/" } },
  };
  vi.stubGlobal("fetch", () => Promise.resolve(new Response(JSON.stringify(certificate))));
  return sessions;
}

it("a session without a stream is closed, and so is one that nobody waits for any more", async () => {
  const target = { base: new URL("http://x") };
  const useless = browser(() => Promise.reject(new Error("no stream")));
  await expect(webTransport.dial(target, new AbortController().signal)).rejects.toThrow("no stream");
  expect(useless).toMatchObject([{ open: false }]);

  const stop = new AbortController();
  stop.abort();
  const late = browser(() => Promise.resolve({}));
  await expect(webTransport.dial(target, stop.signal)).rejects.toThrow("aborted");
  expect(late).toMatchObject([{ open: false }]);
});

// Safari since 26.4, and the specification.
it("datagrams are sent though there is no `writable`, and no `incomingHighWaterMark`", async () => {
  const sent: Uint8Array[] = [];
  const datagrams = {
    maxDatagramSize: 1200,
    createWritable: () => new WritableStream<Uint8Array>({ write: (bytes) => void sent.push(bytes) }),
    incomingMaxBufferedDatagrams: 1,
  };
  browser(() => Promise.resolve({ writable: new WritableStream() }), datagrams);
  const target = { base: new URL("http://x") };
  const transport = await webTransport.dial(target, new AbortController().signal);
  transport.send({ bytes: Uint8Array.of(7), lossy: true });
  await new Promise((later) => setTimeout(later));
  expect(sent).toEqual([Uint8Array.of(7)]);
  expect(datagrams.incomingMaxBufferedDatagrams).toBe(8);
});
