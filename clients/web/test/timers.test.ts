import { afterEach, expect, it, vi } from "vitest";
import { systemTimers } from "../src/timers.js";

afterEach(() => vi.unstubAllGlobals());

it("a page is watched until it need not be", () => {
  const [document, window] = [new EventTarget(), new EventTarget()];
  vi.stubGlobal("document", document);
  vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
  vi.stubGlobal("removeEventListener", window.removeEventListener.bind(window));
  const told: boolean[] = [];
  const stop = systemTimers.watch((restored) => told.push(restored));
  const happen = () => {
    document.dispatchEvent(new Event("visibilitychange"));
    window.dispatchEvent(new Event("online"));
    window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: false }));
    window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
  };
  happen();
  stop();
  happen();
  expect(told).toEqual([false, false, false, true]);
});
