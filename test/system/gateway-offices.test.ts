/** Two offices with the same addresses, each behind its gateway, at once (issue 7). The virtual range of the overlay is around both. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { Laptop, startRing } from "@i3/demo";
import { Topology, type Child, type Host } from "@i3/netns";

import { digShort, fetchText, startUnbound, startWeb } from "./gateway-bed.js";

const NAMES = ["one", "two"] as const;
const rule = (name: string): string => `<rule name=".*\\.${name}\\.corp\\.example" go="gateway" via="${name}.i3"/>`;
let topology: Topology;
let laptop: Laptop;
let gates: readonly Laptop[] = [];
let servers: readonly Child[] = [];
beforeAll(async () => {
  topology = await Topology.create({ seed: 1 });
  const core = topology.router("core");
  const host = (name: string, subnet: string, resolvers: readonly string[] = []): Host => {
    const made = topology.host(name, { resolvers });
    topology.link(core, made, { subnet });
    return made;
  };
  const [s1, laptopHost] = [host("s1", "192.0.2.4/30"), host("laptop", "198.51.100.4/30", ["192.0.2.6"])];
  const offices = NAMES.map((name, i) => {
    const gate = host(`gate-${name}`, `198.51.100.${8 + 4 * i}/30`, ["10.0.0.11"]);
    const [web, dns] = [topology.host(`web-${name}`), topology.host(`dns-${name}`)];
    topology.lan(name, { subnet: "10.0.0.0/24", gateway: gate, members: [web, dns] });
    return { name, gate, web, dns };
  });
  await topology.up();
  await Promise.all(offices.map(({ name, dns }) => startUnbound(dns, [`web.${name}.corp.example. 60 IN A 10.0.0.10`])));
  servers = await Promise.all(offices.map(({ web }) => startWeb(web)));
  const [{ host: { address4 } } = { host: s1 }] = await startRing([s1]);
  const serverAddresses = [address4];
  laptop = await Laptop.make(laptopHost, { serverAddresses, rules: `<rules>${NAMES.map(rule).join("")}<rule name=".*\\.i3" go="i3"/></rules>` });
  gates = await Promise.all(offices.map(async ({ gate }) => await Laptop.make(gate, { serverAddresses, gateway: `<gateway out="eth1"><allow group="staff" networks="10.0.0.0/24"/></gateway>` })));
  await laptop.writeBook(Object.fromEntries(NAMES.map((name, i) => [`${name}.i3`, gates[i] as Laptop])));
  await Promise.all(gates.map((gate) => gate.writeBook({ "laptop.i3": laptop }, 'group="staff"')));
  await Promise.all([laptop, ...gates].map((one) => one.start()));
});
afterEach(async ({ task }) => {
  if (task.result?.state === "fail") console.log(`${[laptop, ...gates].map(({ child }) => child?.tail(15) ?? "").join("\n")}\n${await topology.diagnose()}`);
});
afterAll(() => topology?.close());

describe("the same address in two offices", () => {
  it("is two virtual ones, and each leads to its office", async () => {
    const [one, two] = await Promise.all(NAMES.map((name) => digShort(laptop.host, `web.${name}.corp.example`)));
    expect(one).toMatch(/^10\.\d+\.\d+\.\d+$/);
    expect(two).not.toBe(one);
    expect([one, two].some((address) => address?.startsWith("10.0.0.")), "of the offices' own").toBe(false);
    expect(await Promise.all(NAMES.map((name) => fetchText(laptop.host, `http://web.${name}.corp.example/`)))).toEqual(NAMES.map((name) => `hello 10.0.0.1, this is web.${name}.corp.example`));
    servers[1]?.kill("SIGKILL");
    await servers[1]?.ended;
    expect(await fetchText(laptop.host, "http://web.one.corp.example/")).toContain("hello");
    await expect(fetchText(laptop.host, "http://web.two.corp.example/")).rejects.toThrow(/refused|Failed to connect/);
  });
});
