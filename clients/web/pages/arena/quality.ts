import { element } from "./dom.js";
import type { ArenaRoom } from "./game.js";

const TRANSPORTS: Record<string, string> = { webtransport: "WebTransport", websocket: "WebSocket" };

/** The usual name of a transport. */
export function nameOf(transport: string | undefined): string {
  return TRANSPORTS[transport ?? ""] ?? transport ?? "";
}

/** Bars for how good the connection is: 4 is good, 0 is none. */
export function barsOf(online: boolean, rtt: number | undefined, loss: number): number {
  if (!online) return 0;
  if (rtt === undefined) return 1;
  if (rtt < 60 && loss < 0.03) return 4;
  if (rtt < 120 && loss < 0.08) return 3;
  if (rtt < 250 && loss < 0.2) return 2;
  return 1;
}

const WORDS = ["No connection", "Poor", "Fair", "Good", "Excellent"];

/** The quality of the connection at a glance; a click shows the details. */
export class Quality {
  private readonly timer: ReturnType<typeof setInterval>;

  constructor(private readonly room: ArenaRoom) {
    room.on("status", () => this.show());
    this.timer = setInterval(() => this.show(), 500);
    this.show();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private show(): void {
    const { stats, status } = this.room;
    const online = status.phase === "joined";
    const bars = barsOf(online, stats.smoothedRtt, stats.loss);
    const button = element("quality");
    if (button.dataset.bars !== String(bars)) button.dataset.bars = String(bars);
    const ping = stats.smoothedRtt === undefined ? "–" : `${Math.round(stats.smoothedRtt)} ms`;
    const shown = online ? ping : "–";
    if (element("ping").textContent !== shown) element("ping").textContent = shown;
    button.title = online
      ? `${WORDS[bars]}: ping ${ping}, ${Math.round(stats.loss * 100)} % of states lost, ${nameOf(stats.transport)}`
      : WORDS[0]!;
  }
}
