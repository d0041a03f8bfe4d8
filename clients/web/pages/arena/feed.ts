import { element, make } from "./dom.js";
import type { ArenaRoom } from "./game.js";
import type { People } from "./people.js";

/** Lines shown at a time, and how long one stays, ms. */
const MOST = 4;
const STAYS = 5000;

/** Who got whom. */
export class Feed {
  constructor(
    room: ArenaRoom,
    private readonly people: People,
  ) {
    element("feed").replaceChildren();
    room.on("event", ({ event: { body } }) => {
      if (body.case === "kill") this.kill(body.value.killer, body.value.victim);
    });
  }

  private kill(killer: number, victim: number): void {
    const { me } = this.people;
    const line = make("p", "", killer === me || victim === me ? "me" : "");
    line.append(this.name(killer), make("span", " got ", "verb"), this.name(victim));
    const feed = element("feed");
    feed.append(line);
    while (feed.childElementCount > MOST) feed.firstElementChild!.remove();
    setTimeout(() => line.remove(), STAYS);
  }

  private name(player: number): HTMLElement {
    const name = make("strong", player === this.people.me ? "you" : this.people.nameOf(player));
    name.style.color = this.people.inkOf(player);
    return name;
  }
}
