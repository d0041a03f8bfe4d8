// For now: the rooms there are.
import { element } from "../arena/dom.js";

interface Room {
  readonly name: string;
  readonly kind: string;
  readonly players: number;
}

async function show(): Promise<void> {
  const answer = (await (await fetch("/v1/rooms")).json()) as { rooms: Room[] };
  const lines = answer.rooms.map(({ name, kind, players }) => `${name} (${kind}): ${players} players`);
  element("rooms").textContent = lines.length === 0 ? "no rooms" : lines.join(", ");
}

void show();
setInterval(() => void show(), 2000);
