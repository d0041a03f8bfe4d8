import { colourOf } from "./colour.js";
import { type Controls, type Thumb, THUMB_REACH } from "./controls.js";
import type { ArenaRoom } from "./game.js";
import type { LocalPlayer } from "./local_player.js";
import { AIM_SECTORS, PLAYER_RADIUS, WORLD_SIZE } from "./rules.js";

/** Height or width of the world in the picture, whichever is less, metres. */
const SIGHT = 24;
const WORLD = WORLD_SIZE / 100;
const RADIUS = PLAYER_RADIUS / 100;

/** Colours of a scheme. */
interface Palette {
  readonly dark: boolean;
  readonly ground: string;
  readonly floor: string;
  readonly grid: string;
  readonly box: string;
  readonly ink: string;
  readonly bad: string;
  readonly good: string;
}

/** Draws the arena, once a picture. */
export class Renderer {
  private readonly context: CanvasRenderingContext2D;
  private palette = readPalette();
  private request = 0;
  private drawnAt = performance.now();
  private camera = { x: WORLD / 2, y: WORLD / 2 };

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly room: ArenaRoom,
    private readonly player: LocalPlayer,
    private readonly controls: Controls,
  ) {
    this.context = canvas.getContext("2d")!;
    matchMedia("(prefers-color-scheme: dark)").addEventListener(
      "change",
      () => (this.palette = readPalette()),
    );
    this.request = requestAnimationFrame((now) => this.frame(now));
  }

  stop(): void {
    cancelAnimationFrame(this.request);
  }

  private frame(now: number): void {
    this.request = requestAnimationFrame((next) => this.frame(next));
    this.controls.update(Math.min(100, now - this.drawnAt));
    this.drawnAt = now;
    this.draw(performance.now());
  }

  private draw(now: number): void {
    const { canvas, context: c, palette } = this;
    const ratio = Math.min(devicePixelRatio, 2);
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const view = this.room.view;
    const players = view?.all("player") ?? [];
    const me = players.find((p) => p.id === this.room.player);
    const mine = this.player.shown(now) ?? (me && { x: me.x!, y: me.y! });
    if (mine) this.camera = mine;

    const scale = (Math.min(width, height) / SIGHT) * ratio;
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.fillStyle = palette.ground;
    c.fillRect(0, 0, canvas.width, canvas.height);
    // Metres, up.
    c.setTransform(
      scale,
      0,
      0,
      -scale,
      canvas.width / 2 - this.camera.x * scale,
      canvas.height / 2 + this.camera.y * scale,
    );
    this.drawFloor();
    for (const shot of view?.all("projectile") ?? []) {
      disc(c, shot.x!, shot.y!, 0.16, colourOf(shot.player!, palette.dark));
    }
    for (const other of players) {
      const at = other.id === this.room.player && mine ? mine : { x: other.x!, y: other.y! };
      this.drawPlayer(other.id, at, other.sector!, other.health!, scale, ratio);
    }
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (this.controls.mover) this.drawThumb(this.controls.mover);
    if (this.controls.aimer) this.drawThumb(this.controls.aimer);
  }

  private drawFloor(): void {
    const { context: c, palette } = this;
    c.fillStyle = palette.floor;
    c.fillRect(0, 0, WORLD, WORLD);
    c.lineWidth = 0.04;
    c.strokeStyle = palette.grid;
    c.beginPath();
    for (let n = 0; n <= WORLD; n += 5) {
      c.moveTo(n, 0);
      c.lineTo(n, WORLD);
      c.moveTo(0, n);
      c.lineTo(WORLD, n);
    }
    c.stroke();
    c.fillStyle = palette.box;
    for (const box of this.player.obstacles) {
      c.beginPath();
      c.roundRect(box.x / 100, box.y / 100, box.width / 100, box.height / 100, 0.3);
      c.fill();
    }
  }

  private drawPlayer(
    id: number,
    { x, y }: { x: number; y: number },
    sector: number,
    health: number,
    scale: number,
    ratio: number,
  ): void {
    const { context: c, palette } = this;
    const own = id === this.room.player;
    const aim = own ? this.controls.aim : ((sector + 0.5) / AIM_SECTORS) * 2 * Math.PI;
    const colour = colourOf(id, palette.dark);
    c.globalAlpha = health > 0 ? 1 : 0.25;
    c.lineWidth = 0.22;
    c.lineCap = "round";
    c.strokeStyle = palette.ink;
    c.beginPath();
    c.moveTo(x, y);
    if (health > 0) c.lineTo(x + Math.cos(aim) * 0.85, y + Math.sin(aim) * 0.85);
    c.stroke();
    disc(c, x, y, RADIUS, colour);
    if (own) {
      c.lineWidth = 0.09;
      c.beginPath();
      c.arc(x, y, RADIUS + 0.12, 0, 7);
      c.stroke();
    }
    if (health > 0 && health < 100) {
      c.fillStyle = palette.grid;
      c.fillRect(x - 0.6, y + 0.72, 1.2, 0.14);
      c.fillStyle = health > 50 ? palette.good : palette.bad;
      c.fillRect(x - 0.6, y + 0.72, (1.2 * health) / 100, 0.14);
    }
    c.globalAlpha = 1;
    // Text the right way up, in CSS pixels.
    const { e, f } = c.getTransform();
    c.save();
    c.setTransform(ratio, 0, 0, ratio, e + x * scale, f - y * scale);
    c.fillStyle = palette.ink;
    c.font = `${own ? "600" : "400"} 12px system-ui, sans-serif`;
    c.textAlign = "center";
    c.fillText(this.nameOf(id), 0, (RADIUS * scale) / ratio + 16);
    c.restore();
  }

  private drawThumb({ fromX, fromY, x, y }: Thumb): void {
    const { context: c, palette } = this;
    c.globalAlpha = 0.35;
    disc(c, fromX, fromY, THUMB_REACH, palette.grid);
    const part = Math.min(1, THUMB_REACH / Math.max(1, Math.hypot(x - fromX, y - fromY)));
    disc(c, fromX + (x - fromX) * part, fromY + (y - fromY) * part, 24, palette.ink);
    c.globalAlpha = 1;
  }

  private nameOf(id: number): string {
    for (const member of this.room.members.values()) if (member.players.includes(id)) return member.name;
    return "";
  }
}

function disc(c: CanvasRenderingContext2D, x: number, y: number, radius: number, fill: string): void {
  c.fillStyle = fill;
  c.beginPath();
  c.arc(x, y, radius, 0, 7);
  c.fill();
}

function readPalette(): Palette {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  return dark
    ? {
        dark,
        ground: "#0b0d11",
        floor: "#171b23",
        grid: "#262d39",
        box: "#3a4556",
        ink: "#e8ebf1",
        bad: "#ff8a80",
        good: "#5fd08d",
      }
    : {
        dark,
        ground: "#d9dde4",
        floor: "#f7f8fa",
        grid: "#e3e7ed",
        box: "#b5bfce",
        ink: "#1b1f27",
        bad: "#b3211c",
        good: "#11703a",
      };
}
