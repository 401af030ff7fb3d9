/**
 * A topology by hand: node test/netns/enter.mjs -- node test/netns/dist/shell.js [NAME] [OPTIONS as JSON]
 * builds it (recipes.ts; without a name the standard one), says what is where, and starts $SHELL, in which `box` does things to NATs (shell-commands.ts);
 * everything ends with the shell.
 */
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

import { NetnsError } from "./errors.js";
import { buildRecipe } from "./recipes.js";
import { serveCommands, SHELL_COMMANDS } from "./shell-commands.js";
import type { Topology } from "./topology.js";

const BOX = fileURLToPath(new URL("box.js", import.meta.url));

async function build([first = "{}", second = "{}"]: readonly string[]): Promise<Topology> {
  const isNamed = !first.startsWith("{");
  const options = isNamed ? second : first;
  try {
    return await buildRecipe(isNamed ? first : "standard", JSON.parse(options));
  } catch (error) {
    const message = error instanceof SyntaxError ? `the options are no JSON (${error.message}): ${options}` : error instanceof NetnsError ? error.message : undefined;
    if (message === undefined) throw error;
    process.stderr.write(`netns: ${message}\n`);
    return process.exit(2);
  }
}

const topology = await build(process.argv.slice(2));
const directory = await mkdtemp(join(tmpdir(), "i3-netns-shell-"));
const socket = join(directory, "socket");
const server = await serveCommands(topology, socket);
await writeFile(join(directory, "box"), `#!/bin/sh\nexec '${process.execPath}' '${BOX}' '${socket}' "$@"\n`, { mode: 0o700 });
const { nodes, id, seed } = topology;
process.stdout.write(`topology ${id}, seed ${seed}; run a program on a node with: ip netns exec NAME PROGRAM\n`);
for (const node of nodes) {
  const addresses = node.interfaces.flatMap(({ address4, address6 }) => [address4, address6].filter((address) => address !== undefined));
  process.stdout.write(`  ${node.namespace.name.padEnd(16)} ${addresses.join("  ")}\n`);
}
process.stdout.write(`NATs, by the name behind "${id}-":\n${SHELL_COMMANDS}\n`);
const shell = spawn(process.env["SHELL"] ?? "/bin/sh", [], { stdio: "inherit", env: { ...process.env, PATH: `${directory}${delimiter}${process.env["PATH"] ?? ""}` } });
process.on("SIGINT", () => {}); // Ctrl-C is for the program in the shell.
shell.on("close", (status) => {
  server.close();
  void Promise.all([topology.close(), rm(directory, { recursive: true, force: true })]).finally(() => process.exit(status ?? 1));
});
