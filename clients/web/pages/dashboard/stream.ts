// Server-Sent Events with a token, because EventSource cannot send headers.

import { createParser } from "eventsource-parser";
import { Refused, request } from "./api.js";

export interface StreamEvents {
  /** An event of the server. `data` is its JSON. */
  event(name: string, data: unknown): void;
  /** "live": events arrive. Otherwise the reason why not; it tries again, unless the server refused. */
  status(state: "live" | "waiting" | "refused", reason: string, refused?: Refused): void;
}

/** Silence after which a connection counts as dead: the server sends something at least every ten seconds. */
const SILENCE = 15_000;
const LONGEST_PAUSE = 10_000;

/** Reads /v1/stream until it is refused or stopped, and resumes where it left off (Last-Event-ID). */
export async function readStream(stop: AbortSignal, events: StreamEvents): Promise<void> {
  let last = "";
  let pause = 1000;
  while (!stop.aborted) {
    const abort = new AbortController();
    stop.addEventListener("abort", () => abort.abort(), { signal: abort.signal });
    let watchdog = setTimeout(() => abort.abort(), SILENCE);
    try {
      const headers: Record<string, string> = last ? { "last-event-id": last } : {};
      const response = await request("/v1/stream", { headers, signal: abort.signal });
      events.status("live", "live");
      pause = 1000;
      const parser = createParser({
        onEvent: (event) => {
          if (event.id) last = event.id;
          if (event.event) events.event(event.event, JSON.parse(event.data));
        },
      });
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
        clearTimeout(watchdog);
        watchdog = setTimeout(() => abort.abort(), SILENCE);
        parser.feed(chunk.value);
      }
    } catch (error) {
      if (stop.aborted) return;
      if (error instanceof Refused && (error.needsToken || error.status === 403))
        return events.status("refused", error.message, error);
    } finally {
      clearTimeout(watchdog);
      abort.abort();
    }
    events.status("waiting", "connection lost, trying again…");
    await new Promise((resolve) => setTimeout(resolve, pause * (0.75 + Math.random() / 2)));
    pause = Math.min(2 * pause, LONGEST_PAUSE);
  }
}
