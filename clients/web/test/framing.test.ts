// Messages on a byte stream come out as they went in, wherever the stream is cut.
import { expect, it } from "vitest";
import { frame, Framing } from "../src/transport/framing.js";
import { random } from "./util/random.js";

it("messages come out whole, however they are cut", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const rng = random(seed);
    const messages = Array.from({ length: 12 }, () =>
      Uint8Array.from({ length: Math.floor(rng() * 400) }, () => Math.floor(rng() * 256)),
    );
    const stream = Uint8Array.from(messages.flatMap((message) => [...frame(message)]));
    const framing = new Framing(400);
    const got: Uint8Array[] = [];
    for (let at = 0; at < stream.length;) {
      const end = Math.min(stream.length, at + 1 + Math.floor(rng() * 300));
      framing.push(stream.subarray(at, end));
      for (let message = framing.next(); message; message = framing.next()) got.push(message.slice());
      at = end;
    }
    expect(got).toEqual(messages);
  }
});

it("a message that is too long is refused by its length alone", () => {
  const framing = new Framing(300);
  framing.push(Uint8Array.of(0xad));
  expect(framing.next()).toBeUndefined();
  framing.push(Uint8Array.of(0x02));
  expect(() => framing.next()).toThrow(RangeError);
});

it("a length prefix that does not end is refused", () => {
  const framing = new Framing(2 ** 40);
  framing.push(new Uint8Array(5).fill(0x80));
  expect(() => framing.next()).toThrow("longer than five bytes");
});
