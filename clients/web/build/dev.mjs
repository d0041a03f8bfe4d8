// Serves the pages from their sources, rebuilt for each request, in front of a running server: `npm run dev
// -- http://127.0.0.1:7777`.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { fileURLToPath } from "node:url";

const server = new URL(process.argv[2] ?? "http://127.0.0.1:7777");
const port = Number(process.argv[3] ?? 8080);
const root = fileURLToPath(new URL("..", import.meta.url));
const PAGES = { "/": "arena", "/cursors": "cursors", "/dashboard": "dashboard" };
const TYPES = { html: "text/html", js: "text/javascript", css: "text/css", wasm: "application/wasm" };

const front = http.createServer((request, response) => {
  const { pathname } = new URL(request.url, server);
  const name = PAGES[pathname] ? `${PAGES[pathname]}.html` : pathname.match(/^\/assets\/([\w.]+)$/)?.[1];
  if (name) {
    if (name.endsWith(".html")) execFileSync("node", ["build/build.mjs"], { cwd: root, stdio: "inherit" });
    response.setHeader("content-type", `${TYPES[name.split(".").pop()]}; charset=utf-8`);
    return response.end(readFileSync(`${root}/dist/${name}`));
  }
  const { method, headers } = request;
  const onward = http.request(new URL(request.url, server), { method, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on("error", () => response.destroy());
  request.pipe(onward);
});

// An upgrade is passed on as raw bytes.
front.on("upgrade", (request, socket, head) => {
  const onward = net.connect(Number(server.port), server.hostname, () => {
    const lines = request.rawHeaders.map((text, n) => (n % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join("");
    onward.write(`${request.method} ${request.url} HTTP/1.1\r\n${lines}\r\n`);
    onward.write(head);
    onward.pipe(socket).pipe(onward);
  });
  onward.on("error", () => socket.destroy());
  socket.on("error", () => onward.destroy());
});

front.listen(port, "127.0.0.1", () =>
  console.log(`http://127.0.0.1:${front.address().port} in front of ${server}`),
);
