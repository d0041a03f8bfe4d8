import type { Controls } from "./controls.js";
import type { ArenaInput, ArenaRoom } from "./game.js";
import { BUTTON_FIRE } from "./rules.js";

/** The player of this page: sends its inputs and predicts where to show it. */
export class LocalPlayer {
  constructor(
    private readonly room: ArenaRoom,
    private readonly controls: Controls,
  ) {
    room.on("tick", () => room.send(this.input()));
  }

  /** Whether the player is shown where it is predicted, or interpolated like the others. */
  get predict(): boolean {
    return this.room.prediction?.enabled ?? false;
  }
  set predict(predict: boolean) {
    if (this.room.prediction) this.room.prediction.enabled = predict;
  }

  /** Distance between the last state and the prediction for it, metres; and the mean of that. */
  get error(): number {
    return this.room.prediction?.error ?? 0;
  }
  get meanError(): number {
    return this.room.prediction?.meanError ?? 0;
  }

  /** Where to show the player, metres; undefined if it is not in the room yet. */
  shown(_now: number): { x: number; y: number } | undefined {
    if (this.room.spectating) return undefined;
    // The controls' current value is the next input, so it is shown already.
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
