import type { Entity } from "../../src/index.js";
import type { Effects } from "./effects.js";
import { type Painter, WORLD } from "./painter.js";
import type { People } from "./people.js";
import type { Sound, Sounds } from "./sound.js";

/** Players whose last appearance is kept while they are out of view. */
const MOST_KNOWN = 256;

/** What was last shown of a player. */
interface Shown {
  health: number;
  spawns: number;
  seen: number;
}

/** What was last shown of a projectile. */
interface Shot {
  x: number;
  y: number;
  player: number;
  seen: number;
}

/**
 * Detects in what is shown that somebody was hit, died, respawned or shot, and plays the effects and sounds.
 */
export class Moments {
  private readonly players = new Map<number, Shown>();
  private readonly shots = new Map<number, Shot>();
  private picture = 0;
  /** Called when this page's player is hit. */
  onHurt: () => void = () => {};

  constructor(
    private readonly people: People,
    private readonly effects: Effects,
    private readonly sounds: Sounds,
    private readonly painter: Painter,
  ) {}

  /** What is shown now, and the position of the camera. */
  look(
    now: number,
    players: readonly Entity[],
    shots: readonly Entity[],
    eye: { x: number; y: number },
  ): void {
    const first = this.picture++ === 0;
    for (const player of players) this.player(now, player, eye, first);
    for (const { id, x, y, player } of shots) this.shot(id, x!, y!, player!, eye, first);
    if (this.players.size > MOST_KNOWN) this.forgetUnseen();
    for (const [id, shot] of this.shots) {
      if (shot.seen === this.picture) continue;
      this.shots.delete(id);
      this.effects.spark(now, shot.x, shot.y, this.people.shapeOf(shot.player));
    }
  }

  /** Forgets what was shown: the next frame is of another moment. */
  reset(): void {
    this.picture = 0;
    this.players.clear();
    this.shots.clear();
  }

  private player(now: number, player: Entity, eye: { x: number; y: number }, first: boolean): void {
    const { id, x, y, health, spawns, colour } = player as Entity & Record<"x" | "y", number>;
    const before = this.players.get(id);
    this.people.colourOf(id, colour);
    const own = id === this.people.me;
    if (!before) {
      this.players.set(id, { health: health!, spawns: spawns!, seen: this.picture });
      // In a large world others come into view who have been there all the time.
      if (!first && (own || this.painter.side === WORLD)) this.entered(now, id, x, y);
      return;
    }
    const wasInView = before.seen === this.picture - 1;
    if (spawns !== before.spawns) {
      if (wasInView || own) this.entered(now, id, x, y);
    } else if (health! < before.health && wasInView) {
      const { palette } = this.painter;
      const fill = this.people.shapeOf(id);
      this.effects.hit(now, id, x, y, before.health - health!, fill, own ? palette.bad : palette.ink);
      this.hear(own ? "hurt" : "hit", x, y, eye);
      if (own) this.effects.shake(now, 0.35);
      if (own) this.onHurt();
      if (health === 0) {
        this.effects.death(now, x, y, fill);
        this.hear("death", x, y, eye);
      }
    }
    before.health = health!;
    before.spawns = spawns!;
    before.seen = this.picture;
  }

  private forgetUnseen(): void {
    for (const [id, { seen }] of this.players) if (seen !== this.picture) this.players.delete(id);
  }

  private entered(now: number, id: number, x: number, y: number): void {
    this.effects.enter(now, x, y, this.people.shapeOf(id));
    if (id === this.people.me) this.sounds.play("enter");
  }

  private shot(
    id: number,
    x: number,
    y: number,
    player: number,
    eye: { x: number; y: number },
    first: boolean,
  ): void {
    const before = this.shots.get(id);
    if (before) {
      before.x = x;
      before.y = y;
      before.seen = this.picture;
      return;
    }
    this.shots.set(id, { x, y, player, seen: this.picture });
    if (!first) this.hear("shot", x, y, eye);
  }

  private hear(sound: Sound, x: number, y: number, eye: { x: number; y: number }): void {
    const far = Math.hypot(x - eye.x, y - eye.y);
    this.sounds.play(sound, Math.max(0, 1 - far / 26) ** 2);
  }
}
