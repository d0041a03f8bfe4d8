// Joins and leaves.

import { element, make } from "../arena/dom.js";
import type { PresenceChange, PresenceFigures } from "./figures.js";
import { count } from "./format.js";

const MOST = 200;

const WHY = {
  left: "left",
  timed_out: "timed out",
  disconnected: "disconnected",
  removed: "was removed",
} as const;

export class Activity {
  readonly #list = element("activity");
  #seen = 0;

  constructor() {
    this.#list.hidden = true;
  }

  add({ changes, more }: PresenceFigures): void {
    if (more > 0) this.note(`and ${count(more)} more at that moment`);
    for (const change of changes) this.#put(line(change));
    this.#seen += changes.length + more;
    element("activity-count").textContent = `${count(this.#seen)} seen`;
  }

  note(text: string): void {
    this.#put(make("li", text, "quiet"));
  }

  #put(item: HTMLElement): void {
    element("activity-none").hidden = true;
    this.#list.hidden = false;
    this.#list.prepend(item);
    while (this.#list.children.length > MOST) this.#list.lastElementChild!.remove();
  }
}

function line(change: PresenceChange): HTMLElement {
  const item = make("li");
  const at = new Date(change.at_unix_ms);
  const time = make("time", at.toTimeString().slice(0, 8));
  time.dateTime = at.toISOString();
  const [text, mood] = said(change);
  const what = make("span", text);
  what.dataset.mood = mood;
  item.append(
    time,
    make("strong", change.name),
    what,
    make("span", `${change.room} #${change.player}`, "quiet"),
  );
  return item;
}

function said({ change, why }: PresenceChange): readonly [string, "good" | "warn" | "bad"] {
  switch (change) {
    case "joined":
      return ["joined", "good"];
    case "back":
      return ["is back", "good"];
    case "lost":
      return [why === "timed_out" ? "fell silent, seat kept" : "lost the connection, seat kept", "warn"];
    case "left":
      return [WHY[why ?? "left"], why === "left" ? "warn" : "bad"];
  }
}
