// Topics that are read over the room's connection.
import { describe, expect, it } from "vitest";
import type { TopicEvent } from "../src/index.js";
import { world } from "./util/world.js";

const BEGUN = 1;
const OVER = 3;

async function reading() {
  const made = world();
  const room = await made.join();
  const seen: TopicEvent[] = [];
  const stop = room.topic("news", (event) => seen.push(event));
  const asked = () =>
    made.server.messages.flatMap((body) =>
      body.case === "readTopic" ? [[body.value.topic, body.value.after, body.value.stop]] : [],
    );
  const say = (message: object) =>
    made.server.tellAll({ case: "topic", value: { topic: "news", ...message } });
  return { ...made, room, seen, stop, asked, say };
}

describe("a topic", () => {
  it("is asked for, and its events come to its listener", async () => {
    const { timers, seen, asked, say } = await reading();
    await timers.advance(100);
    expect(asked()).toEqual([["news", "", false]]);
    say({ kind: BEGUN, id: "5-0" });
    say({ id: "6-0", event: "price", text: "7" });
    say({ topic: "chat", id: "6-1", text: "not asked for" });
    await timers.advance(100);
    expect(seen).toEqual([
      { type: "begun", id: "5-0", event: "", text: "" },
      { type: "event", id: "6-0", event: "price", text: "7" },
    ]);
  });

  it("goes on after its last event over the next connection", async () => {
    const { timers, room, asked, say } = await reading();
    await timers.advance(100);
    say({ id: "6-0", text: "7" });
    await timers.advance(100);
    room.disconnect();
    await timers.advance(5000);
    expect(asked().at(-1)).toEqual(["news", "6-0", false]);
  });

  it("that is over, or was stopped, is not asked for again", async () => {
    const { timers, room, stop, seen, asked, say } = await reading();
    room.topic("chat", () => undefined);
    await timers.advance(100);
    say({ kind: OVER, event: "forbidden", text: "ann may not" });
    say({ topic: "chat", id: "8-0", text: "late" });
    await timers.advance(100);
    expect(seen).toEqual([{ type: "over", id: "", event: "forbidden", text: "ann may not" }]);
    stop();
    const asks = asked().length;
    room.disconnect();
    await timers.advance(5000);
    expect(asked().slice(asks)).toEqual([["chat", "8-0", false]]);
  });
});
