import { expect, it } from "vitest";
import { barsOf } from "../pages/arena/quality.js";

it.each([
  ["none without a connection", false, 10, 0, 0],
  ["one until it is measured", true, undefined, 0, 1],
  ["four on a good link", true, 30, 0.01, 4],
  ["three on a longer one", true, 90, 0.01, 3],
  ["two where much is lost", true, 30, 0.15, 2],
  ["one far away", true, 400, 0, 1],
])("there are %s", (_, online, rtt, loss, bars) => expect(barsOf(online, rtt, loss)).toBe(bars));
