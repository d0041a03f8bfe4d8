// What an input says of what its player was shown.
import { describe, expect, it } from "vitest";
import { Inputs } from "../src/session/inputs.js";
import { world } from "./util/world.js";

describe.each(["ordered", "datagram"] as const)("over %s delivery", (delivery) => {
  it("an input says what is shown when it is sent, not the newest state", async () => {
    const { timers, server, join } = world(delivery, { latency: 40, jitter: 20, loss: 0 });
    const room = await join();
    await timers.advance(1000);
    const moments = () =>
      server.messages.filter((body) => body.case === "input").map(({ value }) => Number(value.moment) / 128);
    const { time } = room.view!;
    room.send(Uint8Array.of(1));
    await timers.advance(200);
    expect(time).toBeLessThan(room.state!.tick);
    expect(time - moments()[0]!).toBeGreaterThanOrEqual(0);
    expect(time - moments()[0]!).toBeLessThan(1 / 128);

    room.interpolate = false;
    const { tick } = room.state!;
    room.send(Uint8Array.of(1));
    await timers.advance(200);
    expect(moments()).toEqual([moments()[0], tick]);
  });
});

it("a repeated input keeps its own moment", () => {
  const inputs = new Inputs();
  inputs.welcomed(true, 0, false);
  const sent = (moment: number) => {
    inputs.push(moment, Uint8Array.of(1));
    const { moment: newest, previousMoments } = inputs.next()!;
    return [Number(newest), previousMoments];
  };
  // The same numbers as in driftless-proto.
  expect(sent(300 / 128)).toEqual([300, []]);
  expect(sent(428 / 128)).toEqual([428, [0]]);
  expect(sent(428 / 128)).toEqual([428, [0, -128]]);
  expect(sent(560 / 128)).toEqual([560, [0, -128, 4]]);
  expect(sent(0)).toEqual([0, []]);
  expect(sent(5)).toEqual([640, []]);
});
