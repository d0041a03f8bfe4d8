import { SendError } from "../../src/index.js";
import { element, make } from "./dom.js";
import type { ArenaRoom } from "./game.js";
import type { ArenaEventRound } from "./gen/arena.js";
import type { People } from "./people.js";
import type { Scores } from "./scores.js";
import type { Sounds } from "./sound.js";

/** Rows of the result table. */
const MOST = 5;

/** The match: its clock, the player's own rank, death and respawn, and the result with a rematch. */
export class Match {
  private round: ArenaEventRound | undefined;
  /** When the phase ends, and when the player respawns: ms of `performance.now()`. */
  private endsAt = 0;
  private backAt = 0;
  private wasDead = false;
  private told = "";
  private readonly stopped = new AbortController();
  private readonly timer: ReturnType<typeof setInterval>;

  constructor(
    private readonly room: ArenaRoom,
    private readonly people: People,
    private readonly scores: Scores,
    private readonly sounds: Sounds,
  ) {
    room.on("event", ({ tick, event: { body } }) => {
      if (body.case === "round") this.take(body.value, tick);
      if (body.case === "kill") this.kill(body.value);
    });
    room.on("status", (status) => {
      if (status.phase === "joined" && !status.resumed) this.reset();
    });
    element("again").addEventListener("click", () => this.again(), { signal: this.stopped.signal });
    this.timer = setInterval(() => this.show(), 100);
    this.show();
  }

  stop(): void {
    clearInterval(this.timer);
    this.stopped.abort();
    this.reset();
  }

  /** Whether shots count now. */
  get isPlaying(): boolean {
    return this.round?.playing ?? true;
  }

  private reset(): void {
    this.round = undefined;
    this.backAt = 0;
    element("clock").hidden = element("dead").hidden = true;
    this.setOver(false);
  }

  private setOver(over: boolean): void {
    element("result").hidden = !over;
    document.body.classList.toggle("over", over);
  }

  private take(round: ArenaEventRound, tick: number): void {
    const began = this.round !== undefined && round.playing;
    this.round = round;
    // The event describes its own tick, which is slightly in the past.
    const since = this.room.state ? Math.max(0, this.room.state.tick - tick) / this.room.tickRate : 0;
    this.endsAt = performance.now() + (round.secondsLeft - since) * 1000;
    this.setOver(!round.playing);
    this.backAt = 0;
    if (round.playing) {
      if (began) this.sounds.play("begin");
      this.announce(`Round ${round.number}`);
    } else {
      this.sounds.play("end");
      this.result(round);
    }
  }

  private result({ number, winner, score }: ArenaEventRound): void {
    const title = element("result-title");
    title.textContent =
      winner === 0 ? "A draw" : winner === this.people.me ? "You win!" : `${this.people.nameOf(winner)} wins`;
    title.style.color = winner === 0 ? "" : this.people.inkOf(winner);
    element("result-about").textContent =
      winner === 0
        ? `Round ${number} ended in a tie.`
        : `Round ${number}, with ${score} ${score === 1 ? "point" : "points"}.`;
    element("result-rows").replaceChildren(
      ...this.scores.rows.slice(0, MOST).map((row) => {
        const line = make("tr", "", row.player === this.people.me ? "me" : "");
        line.append(this.scores.nameCell(row), make("td", String(row.score)));
        return line;
      }),
    );
    const again = element("again", HTMLButtonElement);
    again.disabled = false;
    again.textContent = "Rematch now";
  }

  private again(): void {
    try {
      this.room.command({ case: "again", value: true });
    } catch (error) {
      if (!(error instanceof SendError)) throw error;
      return;
    }
    const button = element("again", HTMLButtonElement);
    button.disabled = true;
    button.textContent = "Waiting for the others…";
  }

  private kill({ killer, victim, respawnMs }: { killer: number; victim: number; respawnMs: number }): void {
    if (killer === this.people.me && victim !== this.people.me) {
      this.sounds.play("kill");
      this.announce(`You got ${this.people.nameOf(victim)}`);
    }
    if (victim !== this.people.me) return;
    this.backAt = performance.now() + respawnMs;
    this.wasDead = false;
    element("dead-by").textContent = `${this.people.nameOf(killer)} got you`;
  }

  /** A line in the middle that fades by itself. */
  private announce(text: string): void {
    const line = make("p", text);
    element("announce").replaceChildren(line);
    setTimeout(() => line.remove(), 1600);
  }

  private show(): void {
    const now = performance.now();
    const left = (until: number): number => Math.max(0, Math.ceil((until - now) / 1000));
    const health = this.room.entities.get("player", this.people.me)?.health;
    if (health === 0) this.wasDead = true;
    else if (this.wasDead) this.backAt = 0;
    show("dead", this.isPlaying && this.backAt > 0);
    if (this.backAt > 0) set("dead-for", `Back in ${Math.max(1, left(this.backAt))}`);
    const { round } = this;
    show("clock", round !== undefined);
    if (!round) return;
    const seconds = left(this.endsAt);
    const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    set("time", clock);
    element("clock").classList.toggle("ending", round.playing && seconds <= 10);
    set("next", seconds > 0 ? `Next round in ${seconds} s` : "Next round…");
    if (round.playing && seconds <= 5 && seconds > 0 && this.told !== clock) this.sounds.play("tick");
    this.told = clock;
    const place = this.scores.placeOf(this.people.me);
    set("standing", place ? standing(place) : "");
  }
}

function show(id: string, on: boolean): void {
  const found = element(id);
  // Setting an unchanged value would recompute the page's style ten times per second.
  if (found.hidden === on) found.hidden = !on;
}

function set(id: string, text: string): void {
  const found = element(id);
  if (found.textContent !== text) found.textContent = text;
}

function standing({ place, of, score }: { place: number; of: number; score: number }): string {
  const points = `${score} ${score === 1 ? "point" : "points"}`;
  return of > 1 && score > 0 ? `${points} · ${ordinal(place)} of ${of}` : points;
}

function ordinal(n: number): string {
  const ending = n % 100 >= 11 && n % 100 <= 13 ? "th" : (["th", "st", "nd", "rd"][n % 10] ?? "th");
  return `${n}${ending}`;
}
