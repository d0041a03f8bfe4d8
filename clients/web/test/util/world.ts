import { connect, type ConnectOptions, impaired, type Room, type Status } from "../../src/index.js";
import type { Delivery } from "../../src/session/session.js";
import { FakeServer } from "./fake_server.js";
import { random } from "./random.js";
import { VirtualTimers } from "./virtual_timers.js";

const text = new TextDecoder();

/** A server and how to join it, over a fake network. */
export function world(
  delivery: Delivery = "ordered",
  conditions = { latency: 20, jitter: 0, loss: 0 },
  seed = 1,
) {
  const timers = new VirtualTimers();
  const server = new FakeServer(timers);
  const rng = random(seed);
  const dialer = impaired(server.dialer("fake", delivery), conditions, timers, rng);
  const options: ConnectOptions = {
    url: "http://localhost:7777",
    room: "lobby",
    transports: [dialer],
    timers: timers.page,
    random: rng,
  };
  const join = (more: Partial<ConnectOptions> = {}): Promise<Room> =>
    timers.until(connect({ ...options, ...more }));
  return { timers, server, conditions, join, options };
}

/** Records a room's events from now on. */
export function record(room: Room) {
  const events: string[] = [];
  const ticks: number[] = [];
  const statuses: Status[] = [];
  room.on("event", ({ event }) => events.push(text.decode(event)));
  room.on("state", ({ tick }) => ticks.push(tick));
  room.on("status", (status) => statuses.push(status));
  return { events, ticks, statuses };
}

/** The numbers from first to last, as text. */
export const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, n) => `${from + n}`);
