import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

import { expect, it } from "vitest";

/** Prints which of our dependencies run already when the first listener comes. */
const WATCH = `data:text/javascript,${encodeURIComponent(`
import Module from "node:module";
process.on("newListener", function first(name) {
  if (name !== "SIGUSR1") return;
  process.off("newListener", first);
  console.log("loaded " + Object.keys(Module._cache).filter((file) => file.includes("node_modules")).length);
});`)}`;

it.each(["i3-proxy", "i3-server"])("%s takes SIGUSR1 before it loads anything: node would open its inspector", (name) => {
  const main = fileURLToPath(new URL(`../../../${name}/dist/main.js`, import.meta.url));
  const out = execFileSync(process.execPath, ["--import", WATCH, main, "--help"], { encoding: "utf8" });
  expect(out).toContain(`Usage: ${name} `);
  // A start listens for it once more, when it has counters to show; help ends before.
  expect(out.match(/^loaded \d+$/gm)).toEqual(["loaded 0"]);
});
