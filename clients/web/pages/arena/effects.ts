import type { Painter } from "./painter.js";

/** How long effects last, ms. */
const FLASH = 160;
const NUMBER = 800;
const SPARK = 420;
const RING = 500;
const SHAKE = 260;
/** Most sparks at once. */
const MOST_SPARKS = 160;

interface Spark {
  x: number;
  y: number;
  vx: number;
  vy: number;
  since: number;
  fill: string;
}

interface Note {
  readonly x: number;
  readonly y: number;
  readonly since: number;
}

const calm = matchMedia("(prefers-reduced-motion: reduce)");

/**
 * The short effects of hits, deaths and respawns. Times are those of `performance.now()`, positions are
 * metres.
 */
export class Effects {
  private readonly flashes = new Map<number, number>();
  private readonly sparks: Spark[] = [];
  private numbers: (Note & { readonly text: string; readonly fill: string })[] = [];
  private rings: (Note & { readonly stroke: string })[] = [];
  private shaken = -Infinity;
  private shakenBy = 0;

  /** A player lost health. */
  hit(now: number, id: number, x: number, y: number, health: number, fill: string, text: string): void {
    this.flashes.set(id, now);
    if (this.numbers.length < 40) this.numbers.push({ x, y, since: now, text: `−${health}`, fill: text });
    this.burst(now, x, y, 5, 4, fill);
  }

  death(now: number, x: number, y: number, fill: string): void {
    this.burst(now, x, y, 18, 9, fill);
    this.rings.push({ x, y, since: now, stroke: fill });
  }

  enter(now: number, x: number, y: number, stroke: string): void {
    this.rings.push({ x, y, since: now, stroke });
  }

  /** A projectile has ended here. */
  spark(now: number, x: number, y: number, fill: string): void {
    this.burst(now, x, y, 3, 4, fill);
  }

  /** Shakes the picture by this many metres. */
  shake(now: number, by: number): void {
    if (calm.matches) return;
    this.shaken = now;
    this.shakenBy = by;
  }

  /** How far the camera is off because of the shaking. */
  tremor(now: number): { x: number; y: number } {
    const left = 1 - (now - this.shaken) / SHAKE;
    if (!(left > 0)) return { x: 0, y: 0 };
    const by = this.shakenBy * left * left;
    return { x: Math.sin(now * 0.11) * by, y: Math.cos(now * 0.13) * by };
  }

  /** How much a player is lit, 0 to 1. */
  flashOf(now: number, id: number): number {
    const since = this.flashes.get(id);
    if (since === undefined) return 0;
    const left = 1 - (now - since) / FLASH;
    if (left <= 0) this.flashes.delete(id);
    return Math.max(0, left);
  }

  /** Draws what is above the players. */
  draw(now: number, painter: Painter): void {
    const c = painter.context;
    const { sparks } = this;
    let kept = 0;
    for (const spark of sparks) {
      const age = (now - spark.since) / SPARK;
      if (age >= 1) continue;
      sparks[kept++] = spark;
      // Sparks are slowed down by the air.
      const way = (1 - (1 - age) ** 2) * 0.5 * (SPARK / 1000);
      c.globalAlpha = 1 - age;
      c.fillStyle = spark.fill;
      const size = 0.2 * (1 - age * 0.6);
      c.fillRect(spark.x + spark.vx * way - size / 2, spark.y + spark.vy * way - size / 2, size, size);
    }
    sparks.length = kept;
    if (this.rings.length > 0) {
      this.rings = this.rings.filter(({ since }) => now - since < RING);
      for (const { x, y, since, stroke } of this.rings) {
        const age = (now - since) / RING;
        c.globalAlpha = (1 - age) * 0.8;
        painter.ring(x, y, 0.6 + 1.6 * Math.sqrt(age), 0.16 * (1 - age) + 0.02, stroke);
      }
    }
    c.globalAlpha = 1;
    if (this.numbers.length === 0) return;
    this.numbers = this.numbers.filter(({ since }) => now - since < NUMBER);
    for (const { x, y, since, text, fill } of this.numbers) {
      const age = (now - since) / NUMBER;
      c.globalAlpha = Math.min(1, 3 * (1 - age));
      painter.text(text, x, y, -34 - (calm.matches ? 0 : 22 * age), "700 15px", fill);
    }
    c.globalAlpha = 1;
  }

  private burst(now: number, x: number, y: number, count: number, speed: number, fill: string): void {
    if (calm.matches) return;
    for (let n = 0; n < count && this.sparks.length < MOST_SPARKS; n++) {
      const angle = Math.random() * 2 * Math.PI;
      const fast = speed * (0.4 + Math.random() * 0.6);
      this.sparks.push({ x, y, vx: Math.cos(angle) * fast, vy: Math.sin(angle) * fast, since: now, fill });
    }
  }
}
