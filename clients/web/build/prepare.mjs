// Makes `lib`, which other packages import. npm runs this when it installs what this folder needs, and when a
// project that uses the folder as it is installs it ("driftless": "file:…/clients/web"). Then nobody may have
// installed the compiler yet.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const cwd = fileURLToPath(new URL("..", import.meta.url));
const npm = (...args) => execFileSync("npm", args, { cwd, stdio: "inherit" });

if (!existsSync(`${cwd}/node_modules/typescript`)) {
  console.log(`installing what ${cwd} is built with`);
  npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error");
}
npm("run", "--silent", "lib");
