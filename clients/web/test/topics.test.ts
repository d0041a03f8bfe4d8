// Topics that are read over the room's connection.
import { describe, expect, it } from "vitest";
import type { SendError, TopicEvent } from "../src/index.js";
import { world } from "./util/world.js";

const BEGUN = 1;
const OVER = 3;
const PUBLISHED = 4;
const REFUSED = 5;

async function reading() {
  const made = world();
  const room = await made.join();
  const seen: TopicEvent[] = [];
  const topic = room.topic("news", (event) => seen.push(event));
  const asked = () =>
    made.server.messages.flatMap((body) =>
      body.case === "readTopic" ? [[body.value.topic, body.value.after, body.value.stop]] : [],
    );
  const say = (message: object) =>
    made.server.tellAll({ case: "topic", value: { topic: "news", ...message } });
  return { ...made, room, seen, topic, asked, say };
}

describe("a topic", () => {
  it("is asked for, and its events come to its listener", async () => {
    const { timers, seen, asked, say } = await reading();
    await timers.advance(100);
    expect(asked()).toEqual([["news", "", false]]);
    say({ kind: BEGUN, id: "5-0" });
    say({ id: "6-0", event: "price", text: "7", user: "ann|7", name: "Ann" });
    say({ topic: "chat", id: "6-1", text: "not asked for" });
    await timers.advance(100);
    expect(seen).toEqual([
      { type: "begun", id: "5-0", event: "", text: "", user: "", name: "" },
      { type: "event", id: "6-0", event: "price", text: "7", user: "ann|7", name: "Ann" },
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
    const { timers, room, topic, seen, asked, say } = await reading();
    room.topic("chat", () => undefined);
    await timers.advance(100);
    say({ kind: OVER, event: "forbidden", text: "ann may not" });
    say({ topic: "chat", id: "8-0", text: "late" });
    await timers.advance(100);
    expect(seen).toMatchObject([{ type: "over", event: "forbidden", text: "ann may not" }]);
    topic.stop();
    const asks = asked().length;
    room.disconnect();
    await timers.advance(5000);
    expect(asked().slice(asks)).toEqual([["chat", "8-0", false]]);
  });

  it("takes what is published, and tells of its id or why it is refused", async () => {
    const { timers, server, room } = await reading();
    const chat = room.topic("chat");
    const told = [
      chat.publish("hi"),
      chat.publish("7", { event: "score", latest: true }).catch((error: SendError) => error.code),
    ];
    await timers.advance(100);
    const asked = server.messages.flatMap((body) => (body.case === "publish" ? [body.value] : []));
    expect(asked).toMatchObject([
      { topic: "chat", text: "hi", event: "", latest: false },
      { topic: "chat", text: "7", event: "score", latest: true },
    ]);
    const refused = { topic: "chat", kind: REFUSED, event: "forbidden", text: "ann may not" };
    server.tellAll({ case: "topic", value: { topic: "chat", kind: PUBLISHED, id: "6-0" } });
    server.tellAll({ case: "topic", value: refused });
    await timers.advance(100);
    expect(await Promise.all(told)).toEqual(["6-0", "forbidden"]);
    const read = server.messages.some((body) => body.case === "readTopic" && body.value.topic === "chat");
    expect(read).toBe(false);
  });

  it("rejects a text that would end the connection", async () => {
    const { timers, room } = await reading();
    const published = room.topic("chat").publish("x".repeat(20_000));
    await expect(published).rejects.toMatchObject({ name: "SendError", code: "too_large" });
    await timers.advance(100);
    expect(room.status.phase).toBe("joined");
  });

  it("takes a message of a later version for an event, and for no answer", async () => {
    const { timers, room, seen, say } = await reading();
    const published = room.topic("chat").publish("hi");
    await timers.advance(100);
    say({ kind: 17, id: "6-0", text: "new" });
    say({ topic: "chat", kind: PUBLISHED, id: "7-0" });
    await timers.advance(100);
    expect(await published).toBe("7-0");
    expect(seen).toMatchObject([{ type: "event", id: "6-0", event: "", text: "new" }]);
  });

  it("says that nobody knows whether something was published when the connection is lost", async () => {
    const { timers, room, server } = await reading();
    const chat = room.topic("chat");
    const code = (error: SendError): string => error.code;
    const told = [chat.publish("hi").catch(code)];
    await timers.advance(100);
    room.disconnect();
    told.push(chat.publish("not even sent").catch(code));
    await timers.advance(5000);
    expect(await Promise.all(told)).toEqual(["connection_lost", "not_connected"]);
    const asked = server.messages.filter((body) => body.case === "publish");
    expect(asked.length).toBe(1);
  });
});
