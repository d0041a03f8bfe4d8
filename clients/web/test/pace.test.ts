import { describe, expect, it } from "vitest";
import { Pace } from "../pages/arena/pace.js";

/** What is found of pictures at these intervals, over and over, in four seconds. */
function found(...intervals: number[]): Set<string> {
  const pace = new Pace();
  const said = Array.from({ length: 240 }, (_, n) => pace.picture(intervals[n % intervals.length]!));
  return new Set(said.filter((word) => word !== undefined));
}

describe("the pace of pictures", () => {
  it("is all right at 60 and at 120 a second", () => {
    expect(found(16.7)).toEqual(new Set());
    expect(found(8.3)).toEqual(new Set());
  });
  it("is all right with a late one now and then, and after a pause", () => {
    expect(found(...new Array<number>(15).fill(16.7), 50)).toEqual(new Set());
    expect(found(16.7, 5000)).toEqual(new Set());
  });
  it("is slow where many are late", () => {
    expect(found(16.7, 33.3, 16.7)).toEqual(new Set(["slow"]));
    expect(found(33.3, 66.7)).toEqual(new Set(["slow"]));
  });
  it("is even on a screen that shows thirty a second", () =>
    expect(found(33.3, 33.4, 33.2)).toEqual(new Set(["even"])));
});
