// Compiles the games' rules to dist/NAME.wasm, which their pages predict by. `--check` writes nothing, and
// fails where dist/ is not what the sources make; where it cannot tell (no target, another compiler), it says
// so: that the module does what the server does is what the tests check.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

/** Gzipped, bytes. */
const BUDGET = 40_000;
/** The id of a module's section of data. */
const DATA = 11;
const TARGET = "wasm32-unknown-unknown";
/** Pages, each with the example of the package `driftless-sim` of the same name. */
const GAMES = ["arena"];

const root = fileURLToPath(new URL("../../..", import.meta.url));
const check = process.argv.includes("--check");
const run = (program, ...args) => execFileSync(program, args, { cwd: root, encoding: "utf8" });

if (!existsSync(run("rustc", "--print", "target-libdir", "--target", TARGET).trim())) {
  console.error(`${TARGET} is not installed: \`rustup target add ${TARGET}\``);
  process.exit(check ? 0 : 1);
}

// The same bytes wherever the sources and the registry lie.
const cargoHome = process.env.CARGO_HOME ?? join(homedir(), ".cargo");
const env = {
  ...process.env,
  CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS: `--remap-path-prefix=${cargoHome}/registry/src=registry`,
};
const target = resolve(process.env.CARGO_TARGET_DIR ?? join(root, "target"));
const compiler = /commit-hash: (\w+)/.exec(run("rustc", "-vV"))?.[1] ?? "unknown";

for (const game of GAMES) {
  const options = ["-p", "driftless-sim", "--example", game, "--profile", "wasm", "--target", TARGET];
  const build = ["build", "--locked", "--quiet", "--target-dir", target, ...options];
  execFileSync("cargo", build, { cwd: root, env, stdio: "inherit" });
  const made = readFileSync(join(target, TARGET, "wasm/examples", `${game}.wasm`));
  const file = new URL(`../dist/${game}.wasm`, import.meta.url);
  const size = gzipSync(made, { level: 9 }).length;
  console.log(`${game}.wasm: ${made.length} bytes, ${size} gzipped (of ${BUDGET})`);
  if (size > BUDGET) {
    console.error(`${game}.wasm is too large`);
    process.exit(1);
  }
  const kept = existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
  if (isSame(kept, made)) continue;
  if (!check) {
    writeFileSync(file, made);
  } else {
    if (!kept.includes(`/rustc/${compiler}/`)) {
      console.log(`dist/${game}.wasm was made by another compiler than this one: not compared`);
    } else {
      console.error(
        `dist/${game}.wasm is not what the sources make: run \`npm run wasm\` and commit what it writes`,
      );
      process.exitCode = 1;
    }
  }
}

/**
 * Whether two modules do the same: they may differ in the lines of the sources that panics name, which any
 * comment moves.
 */
function isSame(a, b) {
  if (a.length !== b.length) return false;
  const [ours, theirs] = [sections(a), sections(b)];
  return ours.every(({ id, bytes }, n) => {
    const other = theirs[n];
    if (other?.id !== id || other.bytes.length !== bytes.length) return false;
    if (id !== DATA) return bytes.equals(other.bytes);
    // Where a panic is from is a number of 32 bits, of which a file of less than 65,536 lines uses the lower
    // half.
    const differs = (n) => bytes[n] !== other.bytes[n];
    return bytes.every((_, n) => !differs(n) || !differs(n + 1) || !differs(n + 2));
  });
}

/** A module's sections: each has an id, a length (LEB128) and so many bytes. */
function sections(module) {
  const found = [];
  for (let at = 8; at < module.length;) {
    const id = module[at++];
    let length = 0;
    for (let shift = 0, byte = 0x80; byte & 0x80; shift += 7) {
      byte = module[at++];
      length |= (byte & 0x7f) << shift;
    }
    found.push({ id, bytes: module.subarray(at, at + length) });
    at += length;
  }
  return found;
}
