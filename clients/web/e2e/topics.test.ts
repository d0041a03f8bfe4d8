// What a page publishes over its room's connection, against the real server.
import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Chromium } from "./util/browser.js";
import { Server } from "./util/server.js";

const SECRET = "a secret that is long enough for tests";
let chromium: Chromium;
let server: Server;

beforeAll(async () => {
  chromium = await Chromium.start();
  server = await Server.start(0, "--token-secret", SECRET);
});
afterAll(async () => {
  await chromium?.close();
  await server?.kill();
});

it("a page publishes in the topics that its player's token names, and is told why not in others", async () => {
  const grants = ["--read-topic", "chat-*", "--write-topic", "chat-*"];
  const env = { DRIFTLESS_TOKEN_SECRET: SECRET };
  const options = ["token", "--user", "ann", ...grants];
  const token = execFileSync(process.env.DRIFTLESS_BIN!, options, { encoding: "utf8", env }).trim();
  const page = await chromium.play(`${server.url}/?room=chat#identity=${token}`, "Ann");
  const told = await page.evaluate(async () => {
    const { room } = globalThis.driftless;
    let hear: (said: object) => void = () => {};
    const heard = new Promise<object>((resolve) => (hear = resolve));
    const chat = room.topic("chat-7", (said) => said.type === "event" && hear(said));
    const code = (error: { code?: string }): string => `refused: ${error.code}`;
    const id = await chat.publish("hi", { event: "line" });
    return { id, heard: await heard, news: await room.topic("news").publish("x").catch(code) };
  });
  expect(told.heard).toEqual({
    type: "event",
    id: told.id,
    event: "line",
    text: "hi",
    user: "ann",
    name: "",
  });
  expect(told.news).toBe("refused: forbidden");
});
