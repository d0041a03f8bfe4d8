import { expect, it } from "vitest";
import { Emitter } from "../src/emitter.js";

it("events that come while the first listener is told of those before it come after them", async () => {
  const emitter = new Emitter<{ event: number }>("event");
  const heard: number[] = [];
  emitter.emit("event", 1);
  emitter.emit("event", 2);
  emitter.on("event", (n) => heard.push(n));
  emitter.emit("event", 3);
  emitter.on("event", (n) => heard.push(10 * n));
  await Promise.resolve();
  emitter.emit("event", 4);
  expect(heard).toEqual([1, 10, 2, 20, 3, 30, 4, 40]);
});

it("a listener that another one has removed is told nothing more", () => {
  const emitter = new Emitter<{ event: number }>();
  const heard: string[] = [];
  emitter.on("event", () => {
    heard.push("first");
    off();
  });
  const off = emitter.on("event", () => heard.push("second"));
  emitter.emit("event", 1);
  expect(heard).toEqual(["first"]);
});

it("events wait on for a listener that stays longer than the first one", async () => {
  const emitter = new Emitter<{ event: number }>("event");
  const heard: number[] = [];
  emitter.emit("event", 1);
  emitter.on("event", () => heard.push(0))();
  await Promise.resolve();
  emitter.emit("event", 2);
  emitter.on("event", (n) => heard.push(n));
  await Promise.resolve();
  expect(heard).toEqual([1, 2]);
});
