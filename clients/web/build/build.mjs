// Builds every folder of pages/ that has a page.html into dist/NAME.html, NAME.js and NAME.css, which the
// server embeds, and the SDK into dist/sdk.js, measuring its size. `--check` writes nothing, and fails if
// dist/ is not what would be written.
import { build, transform } from "esbuild";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

/** The SDK with the protobuf runtime, minified and gzipped, bytes. */
const BUDGET = 35_870;
const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
const check = process.argv.includes("--check");
const options = {
  absWorkingDir: root,
  bundle: true,
  minify: true,
  write: false,
  format: "esm",
  target: ["chrome114", "firefox115", "safari16.4"],
  legalComments: "none",
  charset: "utf8",
};

const files = new Map();
// What wasm.mjs made stays as it is.
for (const name of existsSync(dist) ? readdirSync(dist).filter((name) => name.endsWith(".wasm")) : []) {
  files.set(name, readFileSync(join(dist, name)));
}
const pages = readdirSync(join(root, "pages")).filter((name) =>
  existsSync(join(root, "pages", name, "page.html")),
);
for (const name of pages) {
  const folder = `pages/${name}`;
  const script = await build({ ...options, entryPoints: [`${folder}/main.ts`], outfile: `${name}.js` });
  const style = await build({ ...options, entryPoints: [`${folder}/style.css`], outfile: `${name}.css` });
  files.set(`${name}.js`, script.outputFiles[0].text);
  files.set(`${name}.css`, style.outputFiles[0].text);
  const asset = (file) => `/assets/${file}?v=${hash(files.get(file))}`;
  const module = `${name}.wasm`;
  if (files.has(module)) {
    files.set(`${name}.js`, files.get(`${name}.js`).replace(`/assets/${module}`, asset(module)));
  }
  const html = readFileSync(join(root, folder, "page.html"), "utf8")
    .replace("{{style}}", asset(`${name}.css`))
    .replace("{{script}}", asset(`${name}.js`));
  files.set(`${name}.html`, html);
}

const sdk = await build({ ...options, entryPoints: ["src/index.ts"] });
const { code } = await transform(sdk.outputFiles[0].text, { minify: true, format: "esm" });
files.set("sdk.js", code);

if (check) {
  const isCurrent = (name, made) =>
    existsSync(join(dist, name)) && readFileSync(join(dist, name)).equals(Buffer.from(made));
  const stale = [...files].filter(([name, made]) => !isCurrent(name, made));
  const extra = existsSync(dist) ? readdirSync(dist).filter((name) => !files.has(name)) : [];
  if (stale.length + extra.length > 0) {
    console.error(
      `dist/ does not match the sources: ${[...stale.map(([name]) => name), ...extra].join(", ")}`,
    );
    console.error("run `npm run build` in clients/web and commit the result");
    process.exit(1);
  }
} else {
  rmSync(dist, { recursive: true, force: true });
  mkdirSync(dist);
  for (const [name, text] of files) writeFileSync(join(dist, name), text);
}
for (const [name, text] of files)
  console.log(`${name}: ${text.length} bytes, ${gzipSync(text).length} gzipped`);

const size = gzipSync(code, { level: 9 }).length;
console.log(`the SDK with the protobuf runtime: ${code.length} bytes, ${size} gzipped (of ${BUDGET})`);
if (size > BUDGET) {
  console.error("the SDK is too large");
  process.exit(1);
}

function hash(text) {
  return createHash("sha256").update(text).digest("hex").slice(0, 12);
}
