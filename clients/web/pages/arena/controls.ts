import { FULL_STICK } from "./rules.js";

/** A thumb on the glass: where it went down and where it is. */
export interface Thumb {
  readonly pointer: number;
  readonly fromX: number;
  readonly fromY: number;
  x: number;
  y: number;
}

/** How far a thumb can tilt the stick, CSS pixels. */
export const THUMB_REACH = 55;

/** Turns keyboard, mouse and touch into what the player wants now. Up is positive, as in the arena. */
export class Controls {
  /** Direction of the aim, radians, anticlockwise from the right. */
  aim = 0;
  /** Touch sticks: the left half of the screen moves, the right half aims and shoots. */
  mover: Thumb | undefined;
  aimer: Thumb | undefined;
  private readonly keys = new Set<string>();
  private mouseDown = false;
  /** Whether the mouse or a key has aimed since the last frame. */
  hasAimed = false;
  private aimedAt = -Infinity;
  /** The aim follows the keys until the mouse is used. */
  private aimByKeys = true;

  constructor(private readonly canvas: HTMLCanvasElement) {
    canvas.addEventListener("keydown", (event) => this.key(event, true));
    addEventListener("keyup", (event) => this.key(event, false));
    addEventListener("blur", () => this.release());
    canvas.addEventListener("blur", () => this.release());
    document.addEventListener("visibilitychange", () => this.release());
    canvas.addEventListener("pointerdown", (event) => this.pointerDown(event));
    canvas.addEventListener("pointermove", (event) => this.pointerMove(event));
    canvas.addEventListener("pointerup", (event) => this.pointerUp(event));
    canvas.addEventListener("pointercancel", (event) => this.pointerUp(event));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.focus();
  }

  /** Where to move, -127 to 127. */
  get move(): { x: number; y: number } {
    let x = +this.down("arrowright", "d") - +this.down("arrowleft", "a");
    let y = +this.down("arrowup", "w") - +this.down("arrowdown", "s");
    if (this.mover) {
      x = (this.mover.x - this.mover.fromX) / THUMB_REACH;
      y = (this.mover.fromY - this.mover.y) / THUMB_REACH;
    }
    const length = Math.max(1, Math.hypot(x, y));
    return { x: Math.round((x / length) * FULL_STICK), y: Math.round((y / length) * FULL_STICK) };
  }

  get fire(): boolean {
    return this.mouseDown || this.down(" ") || this.aimer !== undefined;
  }

  /** `dt`: ms since the last call. */
  update(dt: number): void {
    this.hasAimed = performance.now() - this.aimedAt < 200;
    const turn = +this.down("q") - +this.down("e");
    if (turn !== 0) {
      this.aimByKeys = false;
      this.aimedAt = performance.now();
      this.aim += (turn * dt) / 350;
    } else if (this.aimByKeys && !this.aimer) {
      const { x, y } = this.move;
      if (x !== 0 || y !== 0) this.aim = Math.atan2(y, x);
    }
  }

  private down(...keys: string[]): boolean {
    return keys.some((key) => this.keys.has(key));
  }

  private release(): void {
    this.keys.clear();
    this.mouseDown = false;
    this.mover = this.aimer = undefined;
  }

  private key(event: KeyboardEvent, down: boolean): void {
    const key = event.key.toLowerCase();
    if (!down) return void this.keys.delete(key);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (key.startsWith("arrow") || key === " ") event.preventDefault();
    this.keys.add(key);
  }

  private pointerDown(event: PointerEvent): void {
    this.canvas.focus();
    if (event.pointerType === "mouse") {
      this.mouseDown = event.button === 0;
      return this.pointAt(event);
    }
    this.canvas.setPointerCapture(event.pointerId);
    const thumb = {
      pointer: event.pointerId,
      fromX: event.clientX,
      fromY: event.clientY,
      x: event.clientX,
      y: event.clientY,
    };
    if (event.clientX < this.canvas.clientWidth / 2) this.mover ??= thumb;
    else this.aimer ??= thumb;
  }

  private pointerMove(event: PointerEvent): void {
    if (event.pointerType === "mouse") return this.pointAt(event);
    for (const thumb of [this.mover, this.aimer]) {
      if (thumb?.pointer !== event.pointerId) continue;
      thumb.x = event.clientX;
      thumb.y = event.clientY;
      const [dx, dy] = [thumb.x - thumb.fromX, thumb.fromY - thumb.y];
      if (thumb === this.aimer && Math.hypot(dx, dy) > 8) this.aim = Math.atan2(dy, dx);
    }
  }

  private pointerUp(event: PointerEvent): void {
    if (event.pointerType === "mouse") this.mouseDown = false;
    if (this.mover?.pointer === event.pointerId) this.mover = undefined;
    if (this.aimer?.pointer === event.pointerId) this.aimer = undefined;
  }

  /** The player is in the middle of the canvas. */
  private pointAt(event: PointerEvent): void {
    this.aimByKeys = false;
    this.aimedAt = performance.now();
    const { clientWidth, clientHeight } = this.canvas;
    this.aim = Math.atan2(clientHeight / 2 - event.clientY, event.clientX - clientWidth / 2);
  }
}
