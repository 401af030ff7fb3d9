/** SIGTERM while a proxy starts and waits for its servers, or for them to take its triggers: it ends in order, and does not finish the start first. */
import { afterAll, beforeAll, expect, it } from "vitest";

import { Laptop, repositoryPath } from "@i3/demo";
import { Topology, type Host } from "@i3/netns";

const PROXY = repositoryPath("packages/i3-proxy/dist/main.js");
/** A start that is waited out takes longer. */
const KILLED_AFTER_MS = 6_000;
const COMMON = repositoryPath("packages/common/dist/index.js");

/** Answers every PING, and nothing else. */
const PONGS_ALONE = `
import { createSocket } from "node:dgram";
import { decodeControl, encodeControl, makeLocator } from ${JSON.stringify(COMMON)};
const socket = createSocket("udp4");
socket.on("message", (bytes, { port, address }) => {
  const { message, nonce } = decodeControl(new Uint8Array(bytes));
  if (message.type !== "PING") return;
  const observed = makeLocator(Uint8Array.from(address.split(".").map(Number)), port);
  socket.send(encodeControl({ type: "PONG", timeMs: Date.now(), observed, nodeKey: new Uint8Array(16) }, nonce), port, address);
});
socket.bind(5610, () => console.log("ready"));
`;

let topology: Topology;
let hosts: readonly [Host, Host];
beforeAll(async () => {
  topology = await Topology.create();
  hosts = [topology.host("one"), topology.host("two")];
  topology.link(hosts[0], hosts[1], { subnet: "192.0.2.0/30" });
  await topology.up();
  await hosts[1].spawn(process.execPath, ["--input-type=module", "-e", PONGS_ALONE]).waitForLine(/ready/);
}, 60_000);
afterAll(async () => await topology.close());

it.each([["for a server that is dead", "192.0.2.250", /"event":"engine"/], ["to be registered", "", /"event":"server"/]] as const)("waits %s", async (_, address, line) => {
  const laptop = await Laptop.make(hosts[0], { serverAddresses: [address === "" ? hosts[1].address4 : address] });
  const proxy = hosts[0].spawn(process.execPath, [PROXY, "--config", laptop.configFile]);
  await proxy.waitForLine(line);
  const { status } = await proxy.stop(KILLED_AFTER_MS);
  const said = proxy.lines.map(({ text }) => text).join("\n");
  expect([status, /"stopping"/.test(said), /"no-server"|"not-registered"|READY|"started"/.test(said)]).toEqual([0, true, false]);
}, 90_000);
