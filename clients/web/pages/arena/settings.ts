// What the page remembers: the player's name, and over a reload the seat.

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

/** The seat that this tab had before it was loaded again. Forgotten at once: a tab that is duplicated is another player. */
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
