// What `driftless types` writes: names that the game does not have do not compile; messages are the game's.
import { expect, it } from "vitest";
import { arena } from "../pages/arena/gen/arena.js";
import { connect, type Room } from "../src/index.js";

/** Never runs: `npm run check` reads it. */
export async function checked(): Promise<void> {
  const room = await connect({ room: "lobby", game: arena });
  for (const player of room.entities.all("player")) {
    const health: number = player.health;
    // @ts-expect-error no such field
    void [health, player.helth];
  }
  // @ts-expect-error no such kind
  room.entities.all("playr");
  // @ts-expect-error no such kind
  room.view?.get("runer", 1);
  room.send({ moveX: 1, moveY: 0, aimX: 0, aimY: 0, buttons: 0 });
  // @ts-expect-error no such field
  room.send({ moveX: 1, moveY: 0, aimX: 0, aimY: 0, buttons: 0, jump: 1 });
  // @ts-expect-error a field is missing
  room.send({ moveX: 1 });
  room.command({ body: { case: "chat", value: "hello" } });
  // @ts-expect-error a text is wanted
  room.command({ body: { case: "chat", value: 7 } });
  room.on("event", ({ event: { body } }) => {
    if (body.case === "kill") void body.value.killer;
    // @ts-expect-error no such event
    if (body.case === "kil") return;
  });
  // Without types, names are not checked.
  const untyped: Room = await connect({ room: "lobby" });
  void untyped.entities.all("anything")[0]?.whatever;
  // An option that is undefined is as one that is not there.
  const query = new URLSearchParams();
  const name = query.get("name") ?? undefined;
  await connect({ room: name, kind: name, name, url: name, identity: undefined, match: { kind: name } });
}

it("messages are read as they are written", () => {
  const decode = arena.decodeEvent;
  const round = Uint8Array.of(0x22, 6, 8, 3, 16, 1, 24, 7);
  const all = { number: 3, playing: true, secondsLeft: 7, winner: 0, score: 0 };
  expect(decode(round)).toEqual({ body: { case: "round", value: all } });
  expect(decode(new Uint8Array(0))).toEqual({ body: { case: undefined } });
  expect(() => decode(Uint8Array.of(0x22, 7, 8, 3, 16, 1, 24, 7))).toThrow();
  const input = arena.encodeInput({ moveX: -1, moveY: 0, aimX: 0, aimY: 0, buttons: 1, gotoX: 0 });
  expect([...input]).toEqual([8, 1, 40, 1, 48, 0]);
  expect([...arena.encodeCommand({ body: { case: "typing", value: false } })]).toEqual([16, 0]);
});
