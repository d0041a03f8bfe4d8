// The examples in the README work as printed, and are as short as it says.
import { build } from "esbuild";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Chromium } from "./util/browser.js";
import { Server } from "./util/server.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(root, "e2e/readme-"));
const scripts = new Map<string, string>();
const host = http.createServer(({ url = "" }, response) => {
  const script = scripts.get(url.replace(/^\/|\.js$/g, ""));
  const page = `<!doctype html><link rel="icon" href="data:,"><body></body><script type="module" src="/${url.slice(1).split("?")[0]}.js"></script>`;
  response.setHeader("content-type", url.endsWith(".js") ? "text/javascript" : "text/html");
  response.end(url.endsWith(".js") ? script : page);
});
let server: Server;
let chromium: Chromium;

beforeAll(async () => {
  host.listen(0, "127.0.0.1");
  chromium = await Chromium.start();
  server = await Server.start();
});
afterAll(async () => {
  await chromium?.close();
  await server?.kill();
  host.close();
  rmSync(folder, { recursive: true, force: true });
});

function example(name: string): string {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  return readme.match(new RegExp(`\`\`\`tsx? ${name}\n([^]*?)\`\`\``))![1]!;
}

/** Number of non-empty lines. */
function lines(code: string): number {
  return code.split("\n").filter((line) => !/^\s*(import .*|[}\])]*[,;]?)$/.test(line)).length;
}

/** Bundles an entry with the README's code and opens it, from another origin than the server's. */
async function open(entry: string, files: Record<string, string>, room: string) {
  for (const [name, code] of Object.entries(files)) writeFileSync(join(folder, name), code);
  const { outputFiles } = await build({
    entryPoints: [join(folder, entry)],
    bundle: true,
    write: false,
    format: "esm",
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"production"' },
    alias: { driftless: join(root, "src/index.ts") },
  });
  scripts.set(entry, outputFiles[0]!.text);
  const query = `server=${encodeURIComponent(server.url)}&room=${room}`;
  return chromium.open(`http://127.0.0.1:${(host.address() as AddressInfo).port}/${entry}?${query}`);
}

it("the vanilla page shows everybody's cursors", async () => {
  const code = example("vanilla");
  expect(lines(code)).toBeLessThanOrEqual(20);
  const [a, b] = [
    await open("page.ts", { "page.ts": code }, "x"),
    await open("page.ts", { "page.ts": code }, "x"),
  ];
  await a.mouse.move(200, 150);
  await a.mouse.move(222, 155);
  await b.waitForFunction(() =>
    [...document.querySelectorAll("div")].some((cursor) => parseFloat(cursor.style.left) === 222),
  );
  expect(await b.locator("div").count()).toBe(2);
});

it("the React hook gives the entities, and leaves with its component", async () => {
  const hook = example("react");
  expect(lines(hook)).toBeLessThanOrEqual(20);
  const page = `
    import { createRoot } from "react-dom/client";
    import { useRoom } from "./hook";
    const url = new URLSearchParams(location.search).get("server")!;
    function App() {
      const { room, entities, error } = useRoom({ url, room: "react", kind: "cursors" }, "cursor");
      return <p>{error ? String(error) : room ? entities.map(({ id }) => "cursor " + id).join() : "connecting"}</p>;
    }
    const root = createRoot(document.body);
    root.render(<App />);
    Object.assign(globalThis, { unmount: () => root.unmount() });
  `;
  const opened = await open("app.tsx", { "app.tsx": page, "hook.tsx": hook }, "react");
  await opened.locator("p", { hasText: "cursor 1" }).waitFor();
  await opened.evaluate(() => (globalThis as never as { unmount: () => void }).unmount());
  await expect
    .poll(async () => {
      const answer = await fetch(`${server.url}/v1/presence?room=react`);
      return ((await answer.json()) as { members: unknown[] }).members.length;
    })
    .toBe(0);
});

it("pages complain about nothing", () => expect(chromium.complaints).toEqual([]));
