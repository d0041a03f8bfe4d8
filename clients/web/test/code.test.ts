// The close codes are the server's: compared with its source.
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { advice, CloseCode, mayReconnect } from "../src/code.js";

const rust = readFileSync(new URL("../../../proto/src/code.rs", import.meta.url), "utf8");
const theirs = [...rust.matchAll(/^ {4}\/\/\/ (.+)\n {4}(\w+) = (\d+),/gm)].map(([, doc, name, number]) => ({
  doc: doc!,
  name: name!,
  number: Number(number),
}));

it("every code of the server has its name and number here, and none is made up", () => {
  expect(theirs.length).toBeGreaterThan(20);
  const ours = Object.entries(CloseCode).filter(([, number]) => typeof number === "number");
  expect(ours).toEqual(theirs.map(({ name, number }) => [name, number]));
});

it("every code is documented in the same words", () => {
  const source = readFileSync(new URL("../src/code.ts", import.meta.url), "utf8");
  for (const { doc, name, number } of theirs)
    expect(source).toContain(`/** ${doc} */\n  ${name} = ${number},`);
});

it("every code says what to do", () => {
  for (const { number } of theirs) expect(advice(number)).not.toBe(advice(4999));
});

it("only the range that the protocol names is tried again", () => {
  for (const { number } of theirs) expect(mayReconnect(number)).toBe(number < 4500);
  expect([1000, 1001, 1002, 1005, 1006, 1009, 1011, 4999, 5000].map(mayReconnect)).toEqual([
    false,
    true,
    false,
    true,
    true,
    false,
    true,
    false,
    false,
  ]);
});
