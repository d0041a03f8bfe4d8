import type { Member } from "../../src/index.js";
import { colourOf } from "./colour.js";
import { element, make } from "./dom.js";
import type { ArenaRoom } from "./game.js";

/** Who is here and how they fare: a table that changes when they do. */
export class Scores {
  private readonly names = new Map<number, string>();
  private shown = "";

  constructor(private readonly room: ArenaRoom) {
    if (innerWidth < 640) element("scores", HTMLDetailsElement).open = false;
    room.on("presence", ({ members }) => this.take(members));
    room.on("state", () => this.update());
    this.take(room.members);
  }

  /** A player's name, also of one who has left. */
  nameOf(player: number): string {
    return this.names.get(player) ?? `player ${player}`;
  }

  private take(members: ReadonlyMap<string, Member>): void {
    for (const { name, players } of members.values())
      for (const player of players) this.names.set(player, name);
    this.update();
  }

  private update(): void {
    const scores = new Map(this.room.state && columns(this.room));
    const rows = [...this.room.members.values()].flatMap(({ name, players, online }) =>
      players.map((player) => ({
        player,
        name,
        online,
        score: scores.get(player) ?? 0,
      })),
    );
    rows.sort((a, b) => b.score - a.score || a.player - b.player);
    const picture = JSON.stringify(rows);
    if (picture === this.shown) return;
    this.shown = picture;
    const count = rows.filter((row) => row.online).length;
    element("online").textContent = `${count} ${count === 1 ? "player" : "players"} online`;
    const body = element("scores").querySelector("tbody")!;
    body.replaceChildren(
      ...rows.map((row) => {
        const line = make(
          "tr",
          "",
          `${row.player === this.room.player ? "me" : ""} ${row.online ? "" : "away"}`,
        );
        const name = make("td");
        const dot = make("span", "", "dot");
        dot.style.background = colourOf(row.player);
        name.append(dot, row.online ? row.name : `${row.name} (away)`);
        line.append(name, make("td", String(row.score)));
        return line;
      }),
    );
  }
}

function* columns(room: ArenaRoom): Iterable<[number, number]> {
  const table = room.state?.table("player");
  const score = room.state?.schema.kinds
    .find((k) => k.name === "player")
    ?.columns.findIndex((c) => c.name === "score");
  for (let row = 0; table && score !== undefined && row < table.length; row++) {
    yield [table.ids[row]!, table.columns[score]![row]!];
  }
}
