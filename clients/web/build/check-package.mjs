// Builds the package as it would be published, installs it in an empty folder, and compiles the README's
// examples against it there: whatever is missing from the package or its types fails here, not for users.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "driftless-package-"));
const run = (cwd, command, ...args) =>
  execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });

try {
  const [packed] = JSON.parse(run(root, "npm", "pack", "--json", "--silent", "--pack-destination", folder));
  const files = packed.files.map(({ path }) => path);
  const stray = files.filter(
    (path) => !/^(lib\/.*\.(js|d\.ts)|LICENSE-(MIT|APACHE)|README\.md|package\.json)$/.test(path),
  );
  const missing = ["README.md", "LICENSE-MIT", "LICENSE-APACHE"].filter((path) => !files.includes(path));
  if (stray.length + missing.length > 0)
    throw new Error(`stray: ${stray.join(" ")}; missing: ${missing.join(" ")}`);

  const own = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const others = ["@types/react", "react", "typescript"].map((name) => [name, own.devDependencies[name]]);
  const dependencies = { driftless: `file:${packed.filename}`, ...Object.fromEntries(others) };
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ private: true, type: "module", dependencies }),
  );
  run(folder, "npm", "install", "--silent", "--no-audit", "--no-fund", "--prefer-offline");

  const readme = readFileSync(join(root, "README.md"), "utf8");
  const examples = [...readme.matchAll(/```(tsx?) (\w+)\n([^]*?)```/g)];
  if (examples.length < 2) throw new Error("the README has lost its examples");
  for (const [, ending, name, code] of examples) writeFileSync(join(folder, `${name}.${ending}`), code);
  const compilerOptions = {
    target: "ES2022",
    module: "ESNext",
    moduleResolution: "bundler",
    lib: ["ES2023", "DOM", "DOM.Iterable"],
    types: [],
    strict: true,
    jsx: "react-jsx",
    noEmit: true,
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  run(folder, join(folder, "node_modules/.bin/tsc"));
  const imported =
    'import("driftless").then(({ connect }) => process.exit(+(typeof connect !== "function")))';
  run(folder, process.execPath, "--input-type=module", "-e", imported);
  console.log(
    `${packed.filename}: ${files.length} files, ${packed.size} bytes; ${examples.length} examples compile`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
