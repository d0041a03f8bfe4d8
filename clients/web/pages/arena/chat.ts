import { SendError } from "../../src/index.js";
import { element, make } from "./dom.js";
import type { ArenaRoom } from "./game.js";
import type { People } from "./people.js";

/** Messages kept in the page. */
const MOST = 60;
/** Typing is reported this often, ms: the server lets it end after 5 s. */
const RENEW = 2500;

/** Messages of the room, and who is writing one. */
export class Chat {
  private readonly typing = new Set<number>();
  private readonly input = element("say", HTMLInputElement);
  private readonly form = this.input.form!;
  private typingSentAt = -Infinity;
  /** Numbers of the last messages sent: other commands that are refused are nothing to tell. */
  private readonly sent = new Set<number>();
  private readonly stopped = new AbortController();

  constructor(
    private readonly room: ArenaRoom,
    private readonly people: People,
  ) {
    element("log").replaceChildren();
    const { signal } = this.stopped;
    room.on("event", ({ event: { body } }) => {
      if (body.case === "chat") this.say(body.value.player, body.value.text);
      if (body.case === "typing") this.setTyping(body.value.player, body.value.on);
    });
    room.on("refused", ({ command, reason }) => {
      if (this.sent.delete(command)) this.note(`not sent: ${reason}`);
    });
    room.on("presence", ({ changed, full }) => {
      // Those who were here before are not news.
      for (const { user, name, change, players, npc } of full ? [] : changed) {
        if (user === room.user || npc) continue; // bots come and go with people
        if (change === "joined") this.note(`${name} is here`);
        if (players.length === 0) this.note(`${name} has left`);
      }
    });
    this.form.addEventListener("submit", (event) => this.submit(event), { signal });
    this.input.addEventListener("input", () => this.typed(), { signal });
    this.input.addEventListener("keydown", ({ key }) => key === "Escape" && element("world").focus(), {
      signal,
    });
    const enter = (event: KeyboardEvent): void => {
      if (event.key !== "Enter") return;
      event.preventDefault(); // else the same key would send the empty message
      this.input.focus();
    };
    element("world").addEventListener("keydown", enter, { signal });
  }

  stop(): void {
    this.stopped.abort();
  }

  /** A line that nobody said. */
  note(text: string): void {
    this.append(make("p", text, "note"));
  }

  private say(player: number, text: string): void {
    const line = make("p");
    const name = make("strong", `${this.people.nameOf(player)}: `);
    name.style.color = this.people.inkOf(player);
    line.append(name, text);
    this.append(line);
  }

  private append(line: HTMLElement): void {
    const log = element("log");
    log.append(line);
    while (log.childElementCount > MOST) log.firstElementChild!.remove();
    log.scrollTop = log.scrollHeight;
  }

  private setTyping(player: number, on: boolean): void {
    if (on && player !== this.room.player) this.typing.add(player);
    else this.typing.delete(player);
    const names = [...this.typing].map((p) => this.people.nameOf(p));
    element("typing").textContent =
      names.length === 0
        ? ""
        : `${names.slice(0, 3).join(", ")} ${names.length === 1 ? "is" : "are"} writing…`;
  }

  private typed(): void {
    const now = performance.now();
    if (this.input.value === "") {
      if (this.typingSentAt > -Infinity) this.command({ case: "typing", value: false });
      this.typingSentAt = -Infinity;
    } else if (now - this.typingSentAt > RENEW) {
      this.typingSentAt = now;
      this.command({ case: "typing", value: true });
    }
  }

  private submit(event: Event): void {
    event.preventDefault();
    const text = this.input.value.trim();
    if (text !== "" && !this.command({ case: "chat", value: text })) return;
    this.input.value = "";
    this.typingSentAt = -Infinity;
    element("world").focus();
  }

  private command(command: Parameters<ArenaRoom["command"]>[0]): boolean {
    try {
      const number = this.room.command(command);
      if (command.case === "chat") this.sent.add(number);
      return true;
    } catch (error) {
      if (!(error instanceof SendError)) throw error;
      this.note(error.message);
      return false;
    }
  }
}
