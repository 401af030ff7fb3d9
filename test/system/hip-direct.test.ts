/**
 * Two real proxies that reach each other by the addresses in their books, over UDP 10500 and over IP protocols 139 and 50, without any i3 server; what a
 * capture between them shows, what tshark makes of it, and what becomes of garbage.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { Laptop, repositoryPath } from "@i3/demo";
import { Topology, type Host } from "@i3/netns";

import { eventually } from "./pair-bed.js";

const PROXY = repositoryPath("packages/i3-proxy/dist/main.js");
const SERVER = "192.0.2.250";
const HIP = '<hip udp-port="10500" ip-protocol="true"/>';

let topology: Topology;
let one: Laptop;
let two: Laptop;
let hosts: readonly [Host, Host];

beforeAll(async () => {
  topology = await Topology.create();
  const lan = await topology.addSegment("lan", { subnet4: "192.0.2.0/24", subnet6: "2001:db8:2::/64" });
  hosts = [await topology.addHost("one", { segment: lan }), await topology.addHost("two", { segment: lan })];
  [one, two] = await Promise.all([Laptop.make(hosts[0], { serverAddresses: [SERVER], hip: HIP }), Laptop.make(hosts[1], { serverAddresses: [SERVER], hip: HIP })]);
}, 60_000);
afterAll(() => topology?.close());

PLACEHOLDER
