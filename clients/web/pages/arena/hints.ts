import type { Controls } from "./controls.js";
import { element } from "./dom.js";

/** How long a control is used before its hint goes, ms. */
const LEARNT = 700;
const EVERY = 100;

/** Hints for controls that have not been used yet: keys on a desktop, thumbs on a phone. */
export class Hints {
  private readonly done = new Map<string, number>();
  private readonly timer: ReturnType<typeof setInterval>;

  constructor(private readonly controls: Controls) {
    element("hints").hidden = false;
    this.timer = setInterval(() => this.look(), EVERY);
  }

  stop(): void {
    clearInterval(this.timer);
    element("hints").hidden = true;
  }

  private look(): void {
    const { move, fire, mover, aimer, hasAimed } = this.controls;
    const moves = move.x !== 0 || move.y !== 0;
    this.learn("hint-move", moves);
    this.learn("hint-aim", hasAimed);
    this.learn("hint-fire", fire);
    this.learn("hint-thumb-move", mover !== undefined && moves);
    this.learn("hint-thumb-aim", aimer !== undefined);
    // The chat field explains itself.
    if (["hint-move", "hint-aim", "hint-fire"].every((id) => element(id).classList.contains("gone")))
      element("hint-chat").classList.add("gone");
  }

  private learn(id: string, doing: boolean): void {
    if (!doing) return;
    const time = (this.done.get(id) ?? 0) + EVERY;
    this.done.set(id, time);
    if (time >= LEARNT) element(id).classList.add("gone");
  }
}
