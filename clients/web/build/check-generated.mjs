// Fails if the generated code does not match the schemas.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const fresh = mkdtempSync(join(tmpdir(), "driftless-generated-"));
try {
  const buf = join(root, "node_modules/.bin/buf");
  execFileSync(buf, ["generate", "--template", "buf.gen.yaml", "-o", fresh], { cwd: root, stdio: "inherit" });
  const stale = ["src/gen"].flatMap((folder) => {
    const files = (base) =>
      readdirSync(join(base, folder), { recursive: true }).filter((f) => f.endsWith(".ts"));
    const names = new Set([...files(root), ...files(fresh)]);
    const text = (base, name) => {
      try {
        return readFileSync(join(base, folder, name), "utf8");
      } catch {
        return undefined;
      }
    };
    return [...names]
      .filter((name) => text(root, name) !== text(fresh, name))
      .map((name) => join(folder, name));
  });
  if (stale.length > 0) {
    console.error(
      `these files do not match the schemas: ${stale.join(", ")}; run \`npm run generate\` and commit the result`,
    );
    process.exitCode = 1;
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
