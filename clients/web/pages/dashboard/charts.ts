// Charts of the last five minutes, and sparklines.

import uPlot from "uplot";
import { make } from "../arena/dom.js";

/** Seconds that a chart shows. */
const WINDOW = 300;

export interface Series {
  readonly label: string;
  /** A custom property of the style sheet. */
  readonly colour: "--first" | "--second" | "--third";
  readonly show: (value: number) => string;
}

/** A chart of a few series over time. Times are seconds since 1970. */
export class Chart {
  readonly #times: number[] = [];
  readonly #values: (number | null)[][];
  readonly #plot: Plot;
  readonly #key: HTMLElement[];
  readonly #figure: HTMLElement;
  readonly #series: readonly Series[];
  readonly #title: string;

  constructor(parent: HTMLElement, title: string, series: readonly Series[]) {
    this.#title = title;
    this.#series = series;
    this.#values = series.map(() => []);
    const box = make("section", "", "chart");
    const bar = make("div", "", "bar");
    bar.append(make("h2", title));
    const key = make("ul", "", "key");
    this.#key = series.map(({ colour }) => {
      const item = make("li");
      item.style.setProperty("--mark", `var(${colour})`);
      key.append(item);
      return item;
    });
    bar.append(key);
    this.#figure = make("div");
    this.#figure.setAttribute("role", "img");
    box.append(bar, this.#figure);
    parent.append(box);
    this.#plot = new Plot(this.#figure, (width) => this.#options(width));
    this.#show();
  }

  add(time: number, values: readonly (number | null)[]): void {
    // There is one point per second, even if the figures come again.
    if (time <= (this.#times.at(-1) ?? 0)) return;
    this.#times.push(time);
    this.#values.forEach((row, n) => row.push(values[n] ?? null));
    while (this.#times[0]! < time - WINDOW) {
      this.#times.shift();
      this.#values.forEach((row) => row.shift());
    }
    this.#show();
  }

  /** A new server: earlier figures have nothing to do with it. */
  clear(): void {
    this.#times.length = 0;
    this.#values.forEach((row) => (row.length = 0));
  }

  #show(): void {
    const said = this.#series.map(({ label, show }, n) => {
      const value = this.#values[n]!.at(-1);
      return `${label} ${value === null || value === undefined ? "–" : show(value)}`;
    });
    said.forEach((text, n) => (this.#key[n]!.textContent = text));
    this.#figure.setAttribute("aria-label", `${this.#title}, the last five minutes. Now: ${said.join(", ")}`);
    this.#plot.set([this.#times, ...this.#values]);
  }

  #options(width: number): uPlot.Options {
    const axis = {
      stroke: colour("--quiet"),
      grid: { stroke: colour("--grid"), width: 1 },
      ticks: { show: false },
    };
    const first = this.#series[0]!;
    return {
      width,
      height: 140,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { range: (_, __, max) => [(max ?? 0) - WINDOW, max ?? 0] },
        y: { range: (_, __, max) => [0, niceTop(max)] },
      },
      axes: [
        { ...axis, values: (_, ticks) => ticks.map(clock), space: 55, size: 26 },
        { ...axis, values: (_, ticks) => ticks.map(first.show), size: 68, space: 30 },
      ],
      series: [
        {},
        ...this.#series.map(({ colour: name }) => ({
          stroke: colour(name),
          width: 1.5,
          points: { show: false },
        })),
      ],
    };
  }
}

/** A small line without axes, from zero. */
export class Sparkline {
  readonly #values: number[] = [];
  readonly #plot: Plot;

  constructor(parent: HTMLElement, name: "--first" | "--second") {
    this.#plot = new Plot(
      parent,
      (width) => ({
        width,
        height: 26,
        padding: [2, 2, 2, 2],
        legend: { show: false },
        cursor: { show: false },
        scales: {
          x: { time: false, range: () => [0, POINTS - 1] },
          y: { range: (_, __, max) => [0, max || 1] },
        },
        axes: [{ show: false }, { show: false }],
        series: [
          {},
          { stroke: colour(name), fill: `${colour(name)}30`, width: 1.25, points: { show: false } },
        ],
      }),
      90,
    );
  }

  add(value: number): void {
    this.#values.push(value);
    if (this.#values.length > POINTS) this.#values.shift();
    const start = POINTS - this.#values.length;
    this.#plot.set([this.#values.map((_, n) => start + n), this.#values]);
  }

  remove(): void {
    this.#plot.remove();
  }
}

const POINTS = 60;

/** uPlot keeps its size and colours; this makes them follow the page's. */
class Plot {
  static readonly #all = new Set<Plot>();
  #plot: uPlot | null = null;
  #data: uPlot.AlignedData = [[]];
  readonly #observer: ResizeObserver | null;

  static {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      for (const plot of Plot.#all) plot.#build();
    });
  }

  constructor(
    readonly parent: HTMLElement,
    readonly options: (width: number) => uPlot.Options,
    readonly fixed?: number,
  ) {
    Plot.#all.add(this);
    if (fixed !== undefined) {
      this.#observer = null;
      this.#build();
      return;
    }
    this.#observer = new ResizeObserver(([entry]) => {
      const width = Math.floor(entry!.contentRect.width);
      if (!this.#plot) this.#build();
      else if (width > 0) this.#plot.setSize({ width, height: this.#plot.height });
    });
    this.#observer.observe(parent);
  }

  set(data: (number | null)[][]): void {
    this.#data = data as uPlot.AlignedData;
    this.#plot?.setData(this.#data);
  }

  remove(): void {
    Plot.#all.delete(this);
    this.#observer?.disconnect();
    this.#plot?.destroy();
  }

  #build(): void {
    const width = this.fixed ?? Math.floor(this.parent.clientWidth);
    if (width <= 0) return;
    this.#plot?.destroy();
    this.#plot = new uPlot(this.options(width), this.#data, this.parent);
  }
}

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** The next of 1, 2, 5 · 10ⁿ, so that the scale does not keep changing. */
function niceTop(max: number | null): number {
  if (!max || max <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(max));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= max) ?? max;
}

function clock(seconds: number): string {
  return new Date(seconds * 1000).toTimeString().slice(0, 5);
}
