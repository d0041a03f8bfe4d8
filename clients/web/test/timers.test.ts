import { afterEach, expect, it, vi } from "vitest";
import { systemTimers } from "../src/timers.js";

afterEach(() => vi.unstubAllGlobals());

it("a page is watched until it need not be", () => {
  const [document, window] = [new EventTarget(), new EventTarget()];
  vi.stubGlobal("document", document);
  vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
  vi.stubGlobal("removeEventListener", window.removeEventListener.bind(window));
  let told = 0;
  const stop = systemTimers.watch(() => told++);
  const happen = () => {
    document.dispatchEvent(new Event("visibilitychange"));
    window.dispatchEvent(new Event("online"));
    window.dispatchEvent(new Event("pageshow"));
  };
  happen();
  stop();
  happen();
  expect(told).toBe(3);
});
