// What the page remembers: name, colour and sound, and over a reload the seat.
import { PALETTE } from "./colour.js";

const NAMES = ["Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Leslie", "Radia", "Ken", "Margaret"];

/** The name chosen once, or a new one. */
export function chosenName(): string {
  const stored = store(() => localStorage.getItem("driftless-name"));
  return (
    stored ?? `${NAMES[Math.floor(Math.random() * NAMES.length)]} ${Math.floor(Math.random() * 90 + 10)}`
  );
}

export function rememberName(name: string): void {
  store(() => localStorage.setItem("driftless-name", name));
}

/** The colour chosen once. */
export function chosenColour(): number | undefined {
  const stored = Number(store(() => localStorage.getItem("driftless-colour")) ?? 0);
  return Number.isInteger(stored) && stored >= 1 && stored <= PALETTE.length ? stored : undefined;
}

export function rememberColour(colour: number): void {
  store(() => localStorage.setItem("driftless-colour", String(colour)));
}

/** Off until somebody wants it. */
export function wantsSound(): boolean {
  return store(() => localStorage.getItem("driftless-sound")) === "on";
}

export function rememberSound(on: boolean): void {
  store(() => localStorage.setItem("driftless-sound", on ? "on" : "off"));
}

/**
 * The seat that this tab had before it was loaded again. Forgotten at once: a tab that is duplicated is
 * another player.
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
