// Codes that a reader has read (zbarimg of ZBar 0.23), by what they were made of.
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { qrCode } from "../pages/arena/qr.js";

const bits = (row: boolean[]): string => row.map(Number).join("");

describe("a QR code", () => {
  it("of a short text is the one that was read", () => {
    const rows = (
      "1fd67f 104f41 17445d 175f5d 175d5d 105941 1fd57f 1a00 1173f9 16161c 1450fa " +
      "9a980 3e1ba 1ede 1fd0ba 104421 175798 174837 174c78 104a80 1fd709"
    ).split(" ");
    expect(qrCode("https://a.test")!.map((row) => parseInt(bits(row), 2).toString(16))).toEqual(rows);
  });

  it.each([
    ["https://arena.example/?room=lobby", 3, "e1932aa895bc54c0"],
    [`http://192.168.1.20:7777/?room=abcdefgh&x=${"zY9_".repeat(25)}`, 8, "6a634c1b1a220f1d"],
    ["x".repeat(213), 10, "f8a692e420006d88"],
  ])("of %s has version %i, and is the one that was read", (text, version, hash) => {
    const code = qrCode(text)!;
    expect(code.length).toBe(17 + 4 * version);
    const rows = code.map(bits).join("\n");
    expect(createHash("sha256").update(rows).digest("hex").slice(0, 16)).toBe(hash);
  });

  it("of a text that is too long is none", () => expect(qrCode("x".repeat(214))).toBeUndefined());
});
