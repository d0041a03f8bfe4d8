// What the page remembers: name, colour and sound, and across a reload the seat.
import { PALETTE } from "./colour.js";

const NAMES = ["Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Leslie", "Radia", "Ken", "Margaret"];

/** The name chosen earlier, or a new one. */
export function chosenName(): string {
  const stored = store(() => localStorage.getItem("driftless-name"));
  return (
    stored ?? `${NAMES[Math.floor(Math.random() * NAMES.length)]} ${Math.floor(Math.random() * 90 + 10)}`
  );
}

export function rememberName(name: string): void {
  store(() => localStorage.setItem("driftless-name", name));
}

/** The colour chosen earlier. */
export function chosenColour(): number | undefined {
  const stored = Number(store(() => localStorage.getItem("driftless-colour")) ?? 0);
  return Number.isInteger(stored) && stored >= 1 && stored <= PALETTE.length ? stored : undefined;
}

export function rememberColour(colour: number): void {
  store(() => localStorage.setItem("driftless-colour", String(colour)));
}

/** Off until the player turns it on. */
export function wantsSound(): boolean {
  return store(() => localStorage.getItem("driftless-sound")) === "on";
}

export function rememberSound(on: boolean): void {
  store(() => localStorage.setItem("driftless-sound", on ? "on" : "off"));
}

/**
 * The seat that this tab had before a reload. It is forgotten at once, because a duplicated tab is another
 * player.
 */
export function takeSeat(): string | undefined {
  return store(() => {
    const token = sessionStorage.getItem("driftless-seat");
    sessionStorage.removeItem("driftless-seat");
    return token ?? undefined;
  });
}

export function keepSeat(token: string | undefined): void {
  if (token) store(() => sessionStorage.setItem("driftless-seat", token));
}

/** Storage can be forbidden. */
function store<T>(use: () => T): T | undefined {
  try {
    return use();
  } catch {
    return undefined;
  }
}
