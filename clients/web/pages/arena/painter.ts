import { isDark, shapeColour } from "./colour.js";
import { AIM_SECTORS, PLAYER_RADIUS, WORLD_SIZE } from "./rules.js";

/** The lesser of the visible height and width, metres; but a metre has at least `LEAST_SCALE` CSS pixels. */
const SIGHT = 24;
const LEAST_SCALE = 21;
/** Side of the world, metres, unless the room says something else. */
export const WORLD = WORLD_SIZE / 100;
export const RADIUS = PLAYER_RADIUS / 100;
/** Most device pixels per CSS pixel. More look sharper but take longer. */
const SHARPEST = 2;
/** Labels cached as drawn: names and numbers. */
const MOST_LABELS = 256;

/** Colours of a scheme. */
interface Palette {
  readonly ground: string;
  readonly floor: string;
  readonly grid: string;
  readonly box: string;
  readonly edge: string;
  readonly ink: string;
  readonly halo: string;
  readonly bad: string;
  readonly good: string;
}

const DARK: Palette = {
  ground: "#080a0e",
  floor: "#171b23",
  grid: "#232a36",
  box: "#364152",
  edge: "#4a586e",
  ink: "#e8ebf1",
  halo: "#171b23",
  bad: "#ff8a80",
  good: "#5fd08d",
};
const LIGHT: Palette = {
  ground: "#cfd5de",
  floor: "#f7f8fa",
  grid: "#e6e9ef",
  box: "#b5bfce",
  edge: "#97a4b8",
  ink: "#1b1f27",
  halo: "#f7f8fa",
  bad: "#b3211c",
  good: "#11703a",
};

/** A player as it is drawn. Metres, radians. */
export interface Figure {
  readonly x: number;
  readonly y: number;
  readonly aim: number;
  readonly health: number;
  readonly colour: number;
  readonly name: string;
  readonly own: boolean;
}

/** A box, metres. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Draws the parts of a frame, from the floor up, in metres with up positive until `screen` is called. */
export class Painter {
  readonly context: CanvasRenderingContext2D;
  palette = isDark() ? DARK : LIGHT;
  /** Side of the world, metres. */
  side = WORLD;
  /** Size of the canvas, CSS pixels; and device pixels per metre. */
  width = 0;
  height = 0;
  scale = 1;
  private ratio = 1;
  private sharpness = SHARPEST;
  private camera = { x: 0, y: 0 };
  private readonly labels = new Map<string, HTMLCanvasElement>();

  constructor(private readonly canvas: HTMLCanvasElement) {
    this.context = canvas.getContext("2d", { alpha: false })!;
    // Asking the canvas for its size in every frame could lay out the page in every frame.
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
  }

  /** The scheme has changed. */
  recolour(): void {
    this.palette = isDark() ? DARK : LIGHT;
    this.labels.clear();
  }

  /** Draws fewer pixels from now on, if there is more than one per CSS pixel: the machine is too slow. */
  simplify(): void {
    if (this.ratio <= 1) return;
    this.sharpness = Math.max(1, this.ratio - 0.5);
    this.resize();
  }

  /** Draws as many pixels as at first. */
  sharpen(): void {
    if (this.sharpness === SHARPEST) return;
    this.sharpness = SHARPEST;
    this.resize();
  }

  /** Metres visible on each side of the camera. */
  get reach(): { x: number; y: number } {
    return { x: this.canvas.width / 2 / this.scale, y: this.canvas.height / 2 / this.scale };
  }

  begin(x: number, y: number): void {
    const { context: c, canvas, scale } = this;
    this.camera = { x, y };
    c.setTransform(1, 0, 0, 1, 0, 0);
    const { reach } = this;
    // In the middle of the world only floor is visible.
    if (x < reach.x || y < reach.y || x + reach.x > this.side || y + reach.y > this.side) {
      c.fillStyle = this.palette.ground;
      c.fillRect(0, 0, canvas.width, canvas.height);
    }
    c.setTransform(scale, 0, 0, -scale, canvas.width / 2 - x * scale, canvas.height / 2 + y * scale);
  }

  floor(boxes: Iterable<Box>): void {
    const { context: c, palette, camera, reach, side } = this;
    const clip = (at: number): number => Math.min(side, Math.max(0, at));
    const [left, right] = [clip(camera.x - reach.x), clip(camera.x + reach.x)];
    const [low, high] = [clip(camera.y - reach.y), clip(camera.y + reach.y)];
    c.fillStyle = palette.floor;
    c.fillRect(left, low, right - left, high - low);
    c.fillStyle = palette.grid;
    const line = 2 / this.scale;
    for (let x = Math.ceil(left / 5) * 5; x <= right; x += 5) c.fillRect(x - line / 2, low, line, high - low);
    for (let y = Math.ceil(low / 5) * 5; y <= high; y += 5)
      c.fillRect(left, y - line / 2, right - left, line);
    c.fillStyle = palette.box;
    c.strokeStyle = palette.edge;
    c.lineWidth = 0.08;
    for (const { x, y, width, height } of boxes) {
      if (x > right || x + width < left || y > high || y + height < low) continue;
      c.beginPath();
      c.roundRect(x, y, width, height, 0.3);
      c.fill();
      c.stroke();
    }
  }

  /** A projectile with its tail. */
  shot(x: number, y: number, tailX: number, tailY: number, colour: number): void {
    const { context: c } = this;
    c.strokeStyle = shapeColour(colour);
    c.lineWidth = 0.24;
    c.lineCap = "round";
    c.globalAlpha = 0.35;
    c.beginPath();
    c.moveTo(tailX, tailY);
    c.lineTo(x, y);
    c.stroke();
    c.globalAlpha = 1;
    this.disc(x, y, 0.16, shapeColour(colour));
  }

  /** `flash`: how brightly a hit lights it, 0 to 1. */
  figure({ x, y, aim, health, colour, name, own }: Figure, flash = 0): void {
    const { context: c, palette } = this;
    const alive = health > 0;
    c.globalAlpha = alive ? 1 : 0.22;
    if (alive) {
      c.lineWidth = 0.24;
      c.lineCap = "round";
      c.strokeStyle = palette.ink;
      c.beginPath();
      c.moveTo(x, y);
      c.lineTo(x + Math.cos(aim) * 0.85, y + Math.sin(aim) * 0.85);
      c.stroke();
    }
    this.disc(x, y, RADIUS, shapeColour(colour));
    if (flash > 0) {
      c.globalAlpha = flash * 0.8;
      this.disc(x, y, RADIUS, "#fff");
      c.globalAlpha = alive ? 1 : 0.22;
    }
    if (own) {
      c.lineWidth = 0.09;
      c.strokeStyle = palette.ink;
      c.beginPath();
      c.arc(x, y, RADIUS + 0.14, 0, 7);
      c.stroke();
    }
    if (alive && health < 100) {
      c.fillStyle = palette.edge;
      c.fillRect(x - 0.6, y + 0.78, 1.2, 0.16);
      c.fillStyle = health > 50 ? palette.good : palette.bad;
      c.fillRect(x - 0.6, y + 0.78, (1.2 * health) / 100, 0.16);
    }
    if (name !== "") this.text(name, x, y - RADIUS, 15, own ? "600 12px" : "400 12px", palette.ink);
    c.globalAlpha = 1;
  }

  disc(x: number, y: number, radius: number, fill: string): void {
    const { context: c } = this;
    c.fillStyle = fill;
    c.beginPath();
    c.arc(x, y, radius, 0, 7);
    c.fill();
  }

  ring(x: number, y: number, radius: number, width: number, stroke: string): void {
    const { context: c } = this;
    c.strokeStyle = stroke;
    c.lineWidth = width;
    c.beginPath();
    c.arc(x, y, radius, 0, 7);
    c.stroke();
  }

  /**
   * Text that is upright, its middle `below` CSS pixels below a position. Drawn once and then copied, because
   * text is slow.
   */
  text(text: string, x: number, y: number, below: number, font: string, colour: string): void {
    const { context: c, ratio, scale, canvas, camera } = this;
    const label = this.label(text, font, colour);
    const atX = canvas.width / 2 + (x - camera.x) * scale - label.width / 2;
    const atY = canvas.height / 2 - (y - camera.y) * scale + below * ratio - label.height / 2;
    if (atX > canvas.width || atX + label.width < 0 || atY > canvas.height || atY + label.height < 0) return;
    const { a, b, c: skew, d, e, f } = c.getTransform();
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.drawImage(label, Math.round(atX), Math.round(atY));
    c.setTransform(a, b, skew, d, e, f);
  }

  /** Switches to CSS pixels, with down positive. */
  screen(): void {
    this.context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
  }

  /** The position on the screen, CSS pixels. */
  toScreen(x: number, y: number): { x: number; y: number } {
    const part = this.scale / this.ratio;
    return {
      x: this.width / 2 + (x - this.camera.x) * part,
      y: this.height / 2 - (y - this.camera.y) * part,
    };
  }

  private label(text: string, font: string, colour: string): HTMLCanvasElement {
    const key = `${font} ${colour} ${text}`;
    let label = this.labels.get(key);
    if (label) return label;
    label = document.createElement("canvas");
    const c = label.getContext("2d")!;
    const face = `${font} system-ui, sans-serif`;
    c.font = face;
    const size = Number(/(\d+)px/.exec(font)?.[1] ?? 12);
    label.width = Math.ceil((c.measureText(text).width + 6) * this.ratio);
    label.height = Math.ceil((size * 1.4 + 4) * this.ratio);
    c.scale(this.ratio, this.ratio);
    c.font = face;
    c.textAlign = "center";
    c.textBaseline = "middle";
    c.lineJoin = "round";
    c.lineWidth = 3;
    c.strokeStyle = this.palette.halo;
    const [x, y] = [label.width / this.ratio / 2, label.height / this.ratio / 2];
    c.strokeText(text, x, y);
    c.fillStyle = colour;
    c.fillText(text, x, y);
    if (this.labels.size >= MOST_LABELS) this.labels.delete(this.labels.keys().next().value!);
    this.labels.set(key, label);
    return label;
  }

  private resize(): void {
    const { canvas } = this;
    const ratio = Math.min(devicePixelRatio, this.sharpness);
    if (ratio !== this.ratio) this.labels.clear();
    this.ratio = ratio;
    this.width = canvas.clientWidth;
    this.height = canvas.clientHeight;
    canvas.width = Math.round(this.width * this.ratio);
    canvas.height = Math.round(this.height * this.ratio);
    this.scale = Math.max(LEAST_SCALE, Math.min(this.width, this.height) / SIGHT) * this.ratio;
  }
}

/** The angle of a sector's middle, radians. */
export function angleOf(sector: number): number {
  return ((sector + 0.5) / AIM_SECTORS) * 2 * Math.PI;
}
