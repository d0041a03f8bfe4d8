import type { Controls } from "./controls.js";
import type { ArenaInput, ArenaRoom } from "./game.js";
import { BUTTON_FIRE } from "./rules.js";

/** The player of this page: sends its inputs, and is shown where it will be. */
export class LocalPlayer {
  constructor(
    private readonly room: ArenaRoom,
    private readonly controls: Controls,
  ) {
    room.on("tick", () => room.send(this.input()));
  }

  /** Whether the player is shown where it is predicted, or as all others. */
  get predict(): boolean {
    return this.room.prediction?.enabled ?? false;
  }
  set predict(predict: boolean) {
    if (this.room.prediction) this.room.prediction.enabled = predict;
  }

  /** Distance between the last state and what was predicted for it, metres; and its mean. */
  get error(): number {
    return this.room.prediction?.error ?? 0;
  }
  get meanError(): number {
    return this.room.prediction?.meanError ?? 0;
  }

  /** Where to show the player, metres. Undefined: it is not in the room yet. */
  shown(_now: number): { x: number; y: number } | undefined {
    // What the controls say now is what the next input will be, so that it is on its way already.
    this.room.send(this.input());
    const me = this.room.entities.get("player", this.room.player);
    return me && { x: me.x!, y: me.y! };
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
}
