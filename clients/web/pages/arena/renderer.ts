import type { Entity } from "../../src/index.js";
import { onScheme } from "./colour.js";
import { type Controls, type Thumb, THUMB_REACH } from "./controls.js";
import { Effects } from "./effects.js";
import type { ArenaRoom } from "./game.js";
import type { ObstacleEntity } from "./gen/arena.js";
import type { LocalPlayer } from "./local_player.js";
import { Moments } from "./moments.js";
import { angleOf, type Box, Painter, RADIUS, WORLD } from "./painter.js";
import { Pace } from "./pace.js";
import type { People } from "./people.js";
import { WORLD_BOX } from "./rules.js";
import type { Sounds } from "./sound.js";

/** Most arrows to players out of sight; the nearest get them. */
const MOST_ARROWS = 8;
/** How far arrows stay from the edges, where the page shows its panels, CSS pixels. */
const MARGIN = { x: 26, top: 84, bottom: 64 };
/**
 * At a respawn the camera glides to the new position: the shortest and longest distance for that, metres, and
 * how long it takes, ms. If it is farther away, the camera jumps.
 */
const GLIDE = { from: 2.5, to: 30, time: 450 };
const calm = matchMedia("(prefers-reduced-motion: reduce)");
/** Length of a projectile's tail, metres. */
const TAIL = 1.1;

/** Whom a spectator's camera follows: who has the most points. */
function leader(players: readonly Entity[]): { x: number; y: number } | undefined {
  const best = players.reduce<Entity | undefined>((a, b) => (a && a.score! >= b.score! ? a : b), undefined);
  return best && { x: best.x!, y: best.y! };
}

/** Draws the room, once per frame. */
export class Renderer {
  readonly effects = new Effects();
  readonly moments: Moments;
  private request = 0;
  private drawnAt = performance.now();
  private camera: { x: number; y: number } | undefined;
  /** Where the player was last, and how far behind it the camera was at its respawn. */
  private last: { x: number; y: number } | undefined;
  private glide = { x: 0, y: 0, since: -Infinity };
  private readonly boxes = new Map<number, Box>();
  private readonly pace = new Pace();
  private readonly tails = new Map<number, { x: number; y: number }>();
  private readonly stopped = new AbortController();

  constructor(
    private readonly painter: Painter,
    private readonly room: ArenaRoom,
    private readonly people: People,
    private readonly player: LocalPlayer,
    private readonly controls: Controls,
    sounds: Sounds,
  ) {
    this.moments = new Moments(people, this.effects, sounds, painter);
    onScheme(() => painter.recolour(), this.stopped.signal);
    painter.side = WORLD;
    room.on("enter", (seen) => seen.kind === "obstacle" && this.addBox(seen.entity));
    room.on("leave", ({ kind, id }) => kind === "obstacle" && this.boxes.delete(id));
    room.on("status", (status) => {
      if (status.phase !== "joined" || status.resumed) return;
      painter.side = WORLD;
      this.moments.reset();
    });
    this.request = requestAnimationFrame((now) => this.frame(now));
  }

  stop(): void {
    cancelAnimationFrame(this.request);
    this.stopped.abort();
  }

  /** Number 0 is the world itself, if it is larger than usual. */
  private addBox({ id, x, y, width, height }: ObstacleEntity): void {
    if (id === WORLD_BOX) this.painter.side = width;
    else this.boxes.set(id, { x, y, width, height });
  }

  private frame(now: number): void {
    this.request = requestAnimationFrame((next) => this.frame(next));
    const since = now - this.drawnAt;
    this.drawnAt = now;
    this.controls.update(Math.min(100, since));
    this.keepPace(since);
    this.draw(performance.now());
  }

  /** If many frames are late, draws fewer pixels. */
  private keepPace(since: number): void {
    const pace = this.pace.picture(since);
    if (pace === "slow") this.painter.simplify();
    if (pace === "even") this.painter.sharpen();
  }

  private draw(now: number): void {
    const { painter, people, effects } = this;
    const view = this.room.view;
    const players = view?.all("player") ?? [];
    const shots = view?.all("projectile") ?? [];
    const me = players.find((p) => p.id === people.me);
    const mine = this.player.shown(now) ?? (me && { x: me.x!, y: me.y! });
    const watched = mine ?? (this.room.spectating ? leader(players) : undefined);
    if (watched) this.camera = this.follow(now, watched);
    const camera = this.camera ?? { x: painter.side / 2, y: painter.side / 2 };
    this.moments.look(now, players, shots, camera);
    const tremor = effects.tremor(now);
    painter.begin(camera.x + tremor.x, camera.y + tremor.y);
    painter.floor(this.boxes.values());
    const reach = { x: painter.reach.x + 2, y: painter.reach.y + 2 };
    const isSeen = ({ x, y }: Entity): boolean =>
      Math.abs(x! - camera.x) < reach.x && Math.abs(y! - camera.y) < reach.y;
    this.drawShots(shots, isSeen);
    for (const other of players) {
      if (other !== me && isSeen(other)) this.drawPlayer(now, other, other.x!, other.y!, false);
    }
    if (me && mine) this.drawPlayer(now, me, mine.x, mine.y, true);
    effects.draw(now, painter);
    painter.screen();
    this.drawArrows(players, camera);
    if (this.controls.mover) this.drawThumb(this.controls.mover);
    if (this.controls.aimer) this.drawThumb(this.controls.aimer);
  }

  /** The camera follows the player; at a jump it glides. */
  private follow(now: number, to: { x: number; y: number }): { x: number; y: number } {
    const { last, camera } = this;
    if (last && camera && !calm.matches) {
      const jump = Math.hypot(to.x - last.x, to.y - last.y);
      if (jump > GLIDE.from && jump < GLIDE.to)
        this.glide = { x: camera.x - to.x, y: camera.y - to.y, since: now };
    }
    this.last = to;
    const left = Math.max(0, 1 - (now - this.glide.since) / GLIDE.time);
    const part = left * left * (3 - 2 * left);
    return { x: to.x + this.glide.x * part, y: to.y + this.glide.y * part };
  }

  private drawPlayer(now: number, player: Entity, x: number, y: number, own: boolean): void {
    const { id, sector, health, colour } = player;
    this.painter.figure(
      {
        x,
        y,
        aim: own ? this.controls.aim : angleOf(sector!),
        health: health!,
        colour: this.people.colourOf(id, colour),
        name: this.people.nameOf(id),
        own,
      },
      this.effects.flashOf(now, id),
    );
  }

  /** Each with a tail towards the place where it was first seen. */
  private drawShots(shots: readonly Entity[], isSeen: (shot: Entity) => boolean): void {
    const { tails, painter } = this;
    if (tails.size > 4 * shots.length + 64) tails.clear();
    for (const shot of shots) {
      const [x, y] = [shot.x!, shot.y!];
      let from = tails.get(shot.id);
      if (!from) tails.set(shot.id, (from = { x, y }));
      if (!isSeen(shot)) continue;
      const part = Math.min(1, TAIL / Math.max(TAIL, Math.hypot(x - from.x, y - from.y)));
      painter.shot(
        x,
        y,
        x + (from.x - x) * part,
        y + (from.y - y) * part,
        this.people.colourOf(shot.player!),
      );
    }
  }

  /** Arrows at the edge, towards players who are out of sight. */
  private drawArrows(players: readonly Entity[], camera: { x: number; y: number }): void {
    const { painter, people } = this;
    const c = painter.context;
    const { width, height } = painter;
    const hidden = players.filter(({ id, x, y, health }) => {
      if (id === people.me || !(health! > 0)) return false;
      const at = painter.toScreen(x!, y!);
      const most = (RADIUS * painter.scale) / 2;
      return at.x < -most || at.x > width + most || at.y < -most || at.y > height + most;
    });
    const far = ({ x, y }: Entity): number => Math.hypot(x! - camera.x, y! - camera.y);
    if (hidden.length > MOST_ARROWS) hidden.sort((a, b) => far(a) - far(b)).length = MOST_ARROWS;
    const [midX, midY] = [width / 2, (MARGIN.top + height - MARGIN.bottom) / 2];
    const [halfX, halfY] = [width / 2 - MARGIN.x, (height - MARGIN.bottom - MARGIN.top) / 2];
    for (const other of hidden) {
      const [dx, dy] = [other.x! - camera.x, camera.y - other.y!];
      const part = Math.min(halfX / Math.abs(dx), halfY / Math.abs(dy));
      const [x, y] = [midX + dx * part, midY + dy * part];
      const angle = Math.atan2(dy, dx);
      const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
      const size = Math.max(8, 14 - far(other) / 12);
      const point = (along: number, across: number): [number, number] => [
        x + (cos * along - sin * across) * size,
        y + (sin * along + cos * across) * size,
      ];
      c.beginPath();
      c.moveTo(...point(1, 0));
      c.lineTo(...point(-0.7, 0.75));
      c.lineTo(...point(-0.35, 0));
      c.lineTo(...point(-0.7, -0.75));
      c.closePath();
      c.lineWidth = 3;
      c.lineJoin = "round";
      c.strokeStyle = painter.palette.halo;
      c.stroke();
      c.fillStyle = people.shapeOf(other.id);
      c.fill();
    }
  }

  private drawThumb({ fromX, fromY, x, y }: Thumb): void {
    const { context: c, palette } = this.painter;
    c.globalAlpha = 0.35;
    this.painter.disc(fromX, fromY, THUMB_REACH, palette.edge);
    const part = Math.min(1, THUMB_REACH / Math.max(1, Math.hypot(x - fromX, y - fromY)));
    this.painter.disc(fromX + (x - fromX) * part, fromY + (y - fromY) * part, 24, palette.ink);
    c.globalAlpha = 1;
  }
}
