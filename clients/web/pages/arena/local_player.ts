import { Prediction, Smoothing, type StateUpdate } from "../../src/index.js";
import type { Controls } from "./controls.js";
import type { ArenaInput, ArenaRoom } from "./game.js";
import {
  advance,
  type Body,
  bodyAt,
  BUTTON_FIRE,
  metresOf,
  type Obstacle,
  obstaclesOf,
  placeOf,
} from "./rules.js";

/** An error halves in this time, ms; one longer than this many metres is not hidden. */
const HALF_LIFE = 60;
const SNAP = 4;

/** What a snapshot says of the player. */
interface Row {
  readonly x: number;
  readonly y: number;
  readonly health: number;
  readonly spawns: number;
}

/** The player of this page: sends its inputs, and knows where it is before the server says so. */
export class LocalPlayer {
  /** Whether the player is shown where it is predicted, or where the last state had it. */
  predict = true;
  /** Distance between the last state and what was predicted for it, metres; its mean; and the worst since it was read. */
  error = 0;
  meanError = 0;
  private prediction: Prediction<Body, ArenaInput> | undefined;
  private readonly smoothing = new Smoothing(HALF_LIFE, SNAP);
  private map: readonly Obstacle[] = [];
  private spawns = -1;
  private alive = false;
  private sentAt = 0;

  constructor(
    private readonly room: ArenaRoom,
    private readonly controls: Controls,
  ) {
    room.on("tick", () => room.send(this.input()));
    room.on("input", ({ sequence, input }) => {
      this.sentAt = performance.now();
      if (this.alive) this.prediction?.push(sequence, input);
    });
    room.on("state", (update) => this.take(update));
    room.on("status", (status) => {
      if (status.phase === "joined" && !status.resumed) this.prediction = undefined;
    });
  }

  /** Where to show the player, metres. Undefined: it is not predicted, but as the other entities. */
  shown(now: number): { x: number; y: number } | undefined {
    if (!this.prediction || !this.alive || !this.predict) return undefined;
    // Between two inputs: on the way to where the next one will take it.
    const from = this.prediction.state;
    const to = advance(this.map, from, this.input(), this.room.tickRate);
    const part = Math.min(1, ((now - this.sentAt) * this.room.tickRate) / 1000);
    const { x, y } = this.smoothing.offset(now);
    const [a, b] = [metresOf(from), metresOf(to)];
    return { x: a.x + (b.x - a.x) * part + x, y: a.y + (b.y - a.y) * part + y };
  }

  /** Boxes of the room's map, cm. */
  get obstacles(): readonly Obstacle[] {
    return this.map;
  }

  private input(): ArenaInput {
    const { move, aim, fire } = this.controls;
    return {
      moveX: move.x,
      moveY: move.y,
      aimX: Math.round(Math.cos(aim) * 1000),
      aimY: Math.round(Math.sin(aim) * 1000),
      buttons: fire ? BUTTON_FIRE : 0,
    };
  }

  private take({ input, snapshot }: StateUpdate): void {
    const table = snapshot.table("player");
    const row = table?.row(this.room.player) ?? -1;
    if (!table || row < 0) return;
    const [x, y, , health, , spawns] = table.columns.map((column) => column[row]!) as number[];
    this.place({ x: x!, y: y!, health: health!, spawns: spawns! }, input, obstaclesOf(snapshot));
  }

  private place(row: Row, input: number, map: Obstacle[]): void {
    this.alive = row.health > 0;
    if (!this.prediction || row.spawns !== this.spawns) {
      this.map = map;
      this.spawns = row.spawns;
      this.prediction = new Prediction(bodyAt(row.x, row.y), (body, i) =>
        advance(map, body, i, this.room.tickRate),
      );
      this.error = 0;
      return;
    }
    const before = this.prediction.reconcile(input, (predicted) => {
      const { x, y } = placeOf(predicted);
      this.error = Math.hypot(row.x - x, row.y - y) / 100;
      this.meanError += (this.error - this.meanError) / 20;
      // Where the place is as predicted, so was the speed, which states do not tell.
      return this.error === 0 ? predicted : { ...predicted, x: bodyAt(row.x, 0).x, y: bodyAt(0, row.y).y };
    });
    if (!before) return;
    const [a, b] = [metresOf(before), metresOf(this.prediction.state)];
    this.smoothing.correct(performance.now(), b.x - a.x, b.y - a.y);
  }
}
