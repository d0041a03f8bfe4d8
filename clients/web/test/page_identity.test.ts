import { afterEach, expect, it, vi } from "vitest";
import { takeIdentity } from "../pages/shared/identity.js";

afterEach(() => vi.unstubAllGlobals());

/** A page at this address, in a tab that remembers this. */
function page(hash: string, kept = new Map<string, string>()) {
  const shown: string[] = [];
  vi.stubGlobal("location", { hash, pathname: "/", search: "?room=a" });
  vi.stubGlobal("history", {
    state: null,
    replaceState: (_: unknown, __: string, url: string) => shown.push(url),
  });
  vi.stubGlobal("sessionStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
  });
  return { shown, kept };
}

it("a token in the address is taken out of it, and survives a reload", () => {
  const { shown, kept } = page("#identity=a.b.c");
  expect(takeIdentity()?.()).toBe("a.b.c");
  expect(shown).toEqual(["/?room=a"]);
  page("", kept);
  expect(takeIdentity()?.()).toBe("a.b.c");
});

it("without a token the player is a guest, and the address stays", () => {
  const { shown } = page("#settings");
  expect(takeIdentity()).toBeUndefined();
  expect(shown).toEqual([]);
});

it("a browser without storage still plays", () => {
  page("#identity=a.b.c");
  vi.stubGlobal("sessionStorage", undefined);
  expect(takeIdentity()?.()).toBe("a.b.c");
});
