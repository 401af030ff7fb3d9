/**
 * A topology by hand: node test/netns/enter.mjs -- node test/netns/dist/shell.js [NAME] [OPTIONS as JSON]
 * builds it (recipes.ts; without a name the standard one), says what is where, and starts $SHELL; everything ends with the shell.
 */
import { spawn } from "node:child_process";
import { buildRecipe } from "./recipes.js";

const [first = "{}", second = "{}"] = process.argv.slice(2);
const isNamed = !first.startsWith("{");
const topology = await buildRecipe(isNamed ? first : "standard", JSON.parse(isNamed ? second : first));
const { nodes, id, seed } = topology;
process.stdout.write(`topology ${id}, seed ${seed}; run a program on a node with: ip netns exec NAME PROGRAM\n`);
for (const node of nodes) {
  const addresses = node.interfaces.flatMap(({ address4, address6 }) => [address4, address6].filter((address) => address !== undefined));
  process.stdout.write(`  ${node.namespace.name.padEnd(16)} ${addresses.join("  ")}\n`);
}
const shell = spawn(process.env["SHELL"] ?? "/bin/sh", [], { stdio: "inherit" });
process.on("SIGINT", () => {}); // Ctrl-C is for the program in the shell.
shell.on("close", (status) => {
  void topology.close().finally(() => process.exit(status ?? 1));
});
