import { type Conditions, type Dialer, impaired, webSocket, webTransport } from "../../src/index.js";
import { element, make } from "./dom.js";
import type { ArenaRoom } from "./game.js";
import type { LocalPlayer } from "./local_player.js";

/** The panel that shows what the network does, makes it worse, and switches off what hides its delays. */
export class Network {
  readonly conditions: Conditions = { latency: 0, jitter: 0, loss: 0 };
  private readonly figures = new Map<string, HTMLElement>();
  private watched: { room: ArenaRoom; player: LocalPlayer } | undefined;
  private last = { at: 0, down: 0, up: 0 };

  constructor() {
    const ways: [keyof Conditions, (value: number) => [number, string]][] = [
      ["latency", (ms) => [ms / 2, `+${ms} ms`]],
      ["jitter", (ms) => [ms, `+0–${ms} ms`]],
      ["loss", (percent) => [percent / 100, `${percent} %`]],
    ];
    for (const [id, read] of ways) {
      const slider = element(id, HTMLInputElement);
      const update = (): void => {
        const [value, text] = read(slider.valueAsNumber);
        this.conditions[id] = value;
        slider.parentElement!.querySelector("output")!.textContent = text;
      };
      slider.addEventListener("input", update);
      update();
    }
    for (const id of ["prediction", "interpolation"])
      element(id).addEventListener("change", () => this.apply());
    element("cut").addEventListener("click", () => this.watched?.room.disconnect());
    element("network").addEventListener("toggle", () => this.show());
    setInterval(() => this.show(), 500);
  }

  /**
   * The transports to try, each through the network conditions set in the panel. `only`: the one that the
   * address asks for.
   */
  transports(only: string | null): Dialer[] {
    const all = [webTransport, webSocket];
    const wanted = all.filter(({ name }) => only === null || name === only);
    return (wanted.length > 0 ? wanted : all).map((dialer) => impaired(dialer, this.conditions));
  }

  watch(room: ArenaRoom, player: LocalPlayer): void {
    this.watched = { room, player };
    this.last = { at: performance.now(), down: room.stats.bytesDown, up: room.stats.bytesUp };
    this.apply();
  }

  private apply(): void {
    if (!this.watched) return;
    this.watched.player.predict = element("prediction", HTMLInputElement).checked;
    this.watched.room.interpolate = element("interpolation", HTMLInputElement).checked;
  }

  private show(): void {
    if (!this.watched || !element("network", HTMLDetailsElement).open) return;
    const { room, player } = this.watched;
    const { stats } = room;
    const now = performance.now();
    const seconds = (now - this.last.at) / 1000;
    const rate = (bytes: number): string => `${(bytes / seconds / 1000).toFixed(1)} kB/s`;
    this.set("Transport", stats.transport ?? "–");
    this.set("Round trip", ms(stats.rtt));
    this.set("Jitter", ms(stats.jitter));
    this.set("Age of arriving states", ms(stats.age));
    this.set("Others are shown", `${ms(room.renderDelay)} late`);
    this.set("Ticks without a state", `${(stats.loss * 100).toFixed(0)} %`);
    this.set("Down", rate(stats.bytesDown - this.last.down));
    this.set("Up", rate(stats.bytesUp - this.last.up));
    this.set("Prediction error", `${(player.meanError * 100).toFixed(0)} cm`);
    this.set("Stale or superseded", String(stats.stale + stats.superseded));
    this.set("Reconnects", String(stats.reconnects));
    this.last = { at: now, down: stats.bytesDown, up: stats.bytesUp };
  }

  private set(name: string, value: string): void {
    let figure = this.figures.get(name);
    if (!figure) {
      figure = make("dd");
      element("figures").append(make("dt", name), figure);
      this.figures.set(name, figure);
    }
    figure.textContent = value;
  }
}

function ms(value: number | undefined): string {
  return value === undefined ? "–" : `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;
}
