import { shapeColour } from "./colour.js";
import { element, make } from "./dom.js";
import type { ArenaRoom } from "./game.js";
import type { People } from "./people.js";

/** How often the table is updated, ms: it need not change with every state. */
const EVERY = 250;

/** A player in the table. */
export interface Row {
  readonly player: number;
  readonly name: string;
  readonly online: boolean;
  readonly score: number;
  readonly colour: number;
}

/** The players and their scores: a table that changes when they do. */
export class Scores {
  /** Highest score first. */
  rows: readonly Row[] = [];
  /** The last score of each player that was in view: in a large world most are not. */
  private readonly known = new Map<number, number>();
  private shown = "";
  private readonly timer: ReturnType<typeof setInterval>;

  constructor(
    private readonly room: ArenaRoom,
    private readonly people: People,
  ) {
    if (innerWidth < 640 || innerHeight < 480) element("scores", HTMLDetailsElement).open = false;
    room.on("presence", () => this.update());
    // The result of a round is about the scores of its last state.
    room.on("event", ({ event: { body } }) => {
      if (body.case !== "round") return;
      if (body.value.playing) this.known.clear();
      this.update();
    });
    room.on("status", (status) => status.phase === "joined" && !status.resumed && this.known.clear());
    this.timer = setInterval(() => this.update(), EVERY);
    this.update();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** A player's rank: 1 with the best score, which several may share. */
  placeOf(player: number): { place: number; of: number; score: number } | undefined {
    const mine = this.rows.find((row) => row.player === player);
    if (!mine) return undefined;
    const better = this.rows.filter((row) => row.score > mine.score).length;
    return { place: better + 1, of: this.rows.length, score: mine.score };
  }

  nameCell({ player, name, online, colour }: Row): HTMLElement {
    const cell = make("td");
    const dot = make("span", "", "dot");
    dot.style.background = shapeColour(colour);
    cell.append(dot, online ? name : `${name} (away)`);
    if (this.people.isBot(player)) cell.append(make("span", "bot", "tag"));
    return cell;
  }

  private update(): void {
    const table = this.room.state?.table("player");
    const columns = this.room.state?.schema.kinds.find((k) => k.name === "player")?.columns ?? [];
    const [score, colour] = ["score", "colour"].map((name) => columns.findIndex((c) => c.name === name));
    const rows = [...this.room.members.values()].flatMap(({ name, players, online }) =>
      players.map((player) => {
        const row = table?.row(player) ?? -1;
        const at = (column: number): number => table?.columns[column]?.[row] ?? 0;
        if (row >= 0) this.known.set(player, at(score!));
        return {
          player,
          name,
          online,
          score: this.known.get(player) ?? 0,
          colour: this.people.colourOf(player, row < 0 ? undefined : at(colour!)),
        };
      }),
    );
    rows.sort((a, b) => b.score - a.score || a.player - b.player);
    this.rows = rows;
    const picture = rows.map((row) => Object.values(row).join()).join("\n") + this.room.player;
    if (picture === this.shown) return;
    this.shown = picture;
    const count = rows.filter((row) => row.online && !this.people.isBot(row.player)).length;
    element("online").textContent = `${count} ${count === 1 ? "player" : "players"} online`;
    const body = element("scores").querySelector("tbody")!;
    body.replaceChildren(
      ...rows.map((row) => {
        const mine = row.player === this.room.player;
        const line = make("tr", "", `${mine ? "me" : ""} ${row.online ? "" : "away"}`);
        line.append(this.nameCell(row), make("td", String(row.score)));
        return line;
      }),
    );
  }
}
