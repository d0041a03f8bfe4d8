// Does to a project called tag, in the folder given, what the guide's "Your first game" tells its reader to do.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const project = process.argv[2];
const guide = readFileSync(new URL("../server/guide/10-first-game.md", import.meta.url), "utf8");
const blocks = [...guide.matchAll(/```(\w+)[^\n]*\n([^]*?)```/g)].map(([, language, code]) => ({ language, code }));
const code = (language, n = 0) => blocks.filter((block) => block.language === language)[n].code;

writeFileSync(join(project, "proto/tag.proto"), code("proto"));
writeFileSync(join(project, "src/lib.rs"), code("rust", 0));
writeFileSync(join(project, "tests/rules.rs"), code("rust", 1));

const page = join(project, "page/src/main.ts");
const old = readFileSync(page, "utf8");
const from = old.indexOf("/** Players who have just");
const to = old.indexOf("\n}\n", old.indexOf("function draw")) + 3;
if (from < 0 || to < from) throw new Error("the page has no `glad` and `draw` any more, which the guide has replaced");
writeFileSync(page, old.slice(0, from) + code("ts") + old.slice(to));
