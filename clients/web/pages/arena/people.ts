import type { Member } from "../../src/index.js";
import { colourFor, inkColour, shapeColour } from "./colour.js";
import type { ArenaRoom } from "./game.js";

/** Who is who: names, including those of players who have left, and colours as the room has them. */
export class People {
  private readonly names = new Map<number, string>();
  private readonly colours = new Map<number, number>();
  private readonly bots = new Set<number>();

  constructor(private readonly room: ArenaRoom) {
    room.on("presence", ({ members }) => this.take(members));
    this.take(room.members);
  }

  nameOf(player: number): string {
    return this.names.get(player) ?? `player ${player}`;
  }

  isBot(player: number): boolean {
    return this.bots.has(player);
  }

  /** Palette index. `told`: the colour in the state, if the caller has it. */
  colourOf(player: number, told?: number): number {
    if (told !== undefined) this.colours.set(player, told);
    return this.colours.get(player) || colourFor(player);
  }

  /** For shapes, and for text. */
  shapeOf(player: number): string {
    return shapeColour(this.colourOf(player));
  }

  inkOf(player: number): string {
    return inkColour(this.colourOf(player));
  }

  get me(): number {
    return this.room.player;
  }

  private take(members: ReadonlyMap<string, Member>): void {
    for (const { name, players, npc } of members.values()) {
      for (const player of players) {
        this.names.set(player, name);
        if (npc) this.bots.add(player);
      }
    }
  }
}
