/** Topologies by name, and what README.md does to them by hand ("By hand"). */
import { afterEach, expect, test } from "vitest";
import { buildRecipe } from "../src/recipes.js";
import { askForCommand, serveCommands } from "../src/shell-commands.js";
import type { NetNode, Topology } from "../src/index.js";

let topology: Topology | undefined;
afterEach(async () => {
  await topology?.close();
  topology = undefined;
});

const nodeOf = (name: string): NetNode => topology?.nodes.find((node) => node.name === name) as NetNode;
const reaches = async (name: string, address: string): Promise<boolean> => (await nodeOf(name).exec("ping", ["-c1", "-W3", address])).status === 0;
const viaOf = async (name: string, address: string): Promise<string> => (await nodeOf(name).exec("ip", ["route", "get", address])).stdout;
/** In its namespace, as README.md writes it. */
const byHand = async (script: string): Promise<void> => {
  const { status, stderr } = await nodeOf("core").exec("sh", ["-c", script.replaceAll("t1-", `${topology?.id}-`)]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
};

test("carriers: each host is behind two NATs, and two of them behind one carrier", async () => {
  topology = await buildRecipe("carriers", { carrier: { kind: "port-restricted", hairpin: true }, home: "symmetric" });
  expect(await Promise.all(["laptop", "phone", "desk"].map((name) => reaches(name, nodeOf("s1").address4)))).toEqual([true, true, true]);
  expect(await reaches("s1", nodeOf("home1").address4), "what is inside a carrier has no way in").toBe(false);
});

test("uplinks: the better route comes and the first interface goes; both ends get other addresses; an uplink is cut", async () => {
  topology = await buildRecipe("uplinks", { wan: { delayMs: 1 } });
  const desk = nodeOf("desk").address4;
  expect(await reaches("mover", desk)).toBe(true);
  expect(await viaOf("mover", desk)).toContain("dev eth0");
  await byHand("ip -n t1-mover link set eth1 down; ip -n t1-mover link set eth1 up; ip -n t1-mover route add default via 198.51.101.1 dev eth1 metric 50");
  expect(await viaOf("mover", desk)).toContain("dev eth1");
  await byHand("ip -n t1-mover route del default via 198.51.101.1 dev eth1 metric 50");
  await byHand(`for h in "mover 198.51.100" "desk 198.51.102"; do set -- $h; printf 'addr del %s.10/24 dev eth0\\naddr add %s.99/24 dev eth0\\nroute add default via %s.1 dev eth0 metric 100\\n' $2 $2 $2 | ip -n t1-$1 -batch - & done; wait`);
  expect(await reaches("mover", "198.51.102.99")).toBe(true);
  expect(await viaOf("mover", "198.51.102.99")).toContain("src 198.51.100.99");
  await byHand("ip netns exec t1-core nft 'add table netdev cut { chain i { type filter hook ingress device to-wifi priority 0; policy drop; }; chain o { type filter hook egress device to-wifi priority 0; policy drop; }; }'");
  expect(await reaches("mover", "198.51.102.99")).toBe(false);
});

test("a name that there is not is refused", async () => {
  await expect(buildRecipe("wifi", {})).rejects.toThrow(/no topology "wifi"; there are: standard, carriers, uplinks/);
});

test.each([
  ["standard", { nat9: "symmetric" }, /standard has no option "nat9"; there are: servers, nat1/],
  ["uplinks", { nat1: "symmetric" }, /uplinks has no option "nat1"/],
  ["uplinks", { wifi: "symetric" }, /symetric is none of/],
  ["standard", { nat1: { egres: "no-udp" } }, /nat1 has no option "egres"/],
  ["standard", { nat1: { egress: "tcp443" } }, /egress tcp443 is none of all, no-udp, tcp-443/],
  ["carriers", { carrier: null }, /carrier: expected names and values/],
  ["standard", [], /the options: expected names and values/],
])("%s with %j is refused, not built with something else", async (name, options, message) => {
  await expect(buildRecipe(name, options)).rejects.toThrow(message);
});

test("box restarts a NAT, with other ports, and says what a network lets out; anything else is refused", async () => {
  topology = await buildRecipe("standard", { nat1: { kind: "port-restricted", rebootShift: true } });
  const path = `${nodeOf("core").directory}/box`;
  const server = await serveCommands(topology, path);
  try {
    const rules = async (): Promise<string> => (await nodeOf("nat1").exec("nft", ["list", "ruleset"])).stdout;
    expect(await askForCommand(path, ["nat1", "egress", "no-udp"])).toBe("");
    expect(await rules()).toContain("meta l4proto udp drop");
    expect(await askForCommand(path, ["nat1", "egress", "all"])).toBe("");
    expect(await rules()).not.toContain("meta l4proto udp drop");
    expect(await askForCommand(path, ["nat1", "reboot"])).toBe("");
    expect(await rules()).toMatch(/6[1-4]000-6[1-4]999/);
    expect(await askForCommand(path, ["nat1", "readdress", nodeOf("nat1").address4])).toBe("");
    for (const words of [["nat3", "reboot"], ["core", "reboot"], ["nat1", "reboot", "now"], ["nat1", "egress", "udp"], ["nat1"], []]) expect(await askForCommand(path, words), words.join(" ")).toMatch(/no NAT|expected one of/);
    expect(await askForCommand(path, "null" as unknown as string[])).not.toBe("");
  } finally {
    server.close();
  }
});
