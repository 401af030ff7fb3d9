/** A client of a gateway that opens 100,000 flows: it hears no, the kernel's table stays small, and others notice nothing (docs/gateways.md, A5, A6). */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import type { Laptop } from "@i3/demo";
import { succeed } from "../demo/src/checks.js";
import { digShort, fetchText, gatewayBed, writeStaff, type GatewayBed } from "./gateway-bed.js";
import { eventually } from "./pair-bed.js";

const list = (limits: string, who = 'group="staff"'): string => `<gateway out="eth1 eth0"><limits ${limits}/><allow ${who} names=".*\\.corp\\.example" networks="192.168.5.0/24 fd00:5::/64"/></gateway>`;
/** Datagrams from so many ports: a flow each. */
const OPEN_SOME = `
import socket, sys
for port in range(20000, 20000 + int(sys.argv[2])):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("", port))
    try:
        s.sendto(b"x", (sys.argv[1], 7001))
    except OSError:
        pass
    s.close()
`;
/** Sends a datagram from each of 50,000 ports to each of two, by one source port after the other. */
const OPEN_FLOWS = `
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
sent = 0
for port in range(10000, 60000):
    s = socket.socket(family, socket.SOCK_DGRAM)
    try:
        s.bind(("", port))
        for to in (7001, 7002):
            try:
                s.sendto(b"x", (sys.argv[1], to))
            except OSError:
                pass
            sent += 1
    except OSError:
        pass
    s.close()
print(sent)
`;
let bed: GatewayBed;
beforeAll(async () => {
  bed = await gatewayBed({ gateway: list('connections-per-client="2000" new-per-second="40"') });
  await writeStaff(bed.gate, { "laptop.i3": bed.laptop, "guest.i3": bed.guest });
});
afterEach(async ({ task }) => {
  if (task.result?.state === "fail") console.log(`${bed.laptop.child?.tail(20) ?? ""}\n${bed.gate.child?.tail(20) ?? ""}\n${await bed.topology.diagnose()}`);
});
afterAll(() => bed?.topology.close());

const fetches = async (who: Laptop): Promise<string> => fetchText(who.host, "http://four.corp.example/");
const ANSWER = "hello 192.168.5.1, this is four.corp.example";
/** In the gateway's namespace. */
const tracked = async (): Promise<number> => Number((await succeed(bed.gate.host, "cat", ["/proc/sys/net/netfilter/nf_conntrack_count"])).stdout);
/** Refused by a chain, all in all. */
async function refused(chain: string): Promise<number> {
  const { stdout } = await succeed(bed.gate.host, "nft", ["list", "chain", "inet", "i3_gateway_i3", chain]);
  return [...stdout.matchAll(/counter packets (\d+)/g)].reduce((sum, [, packets]) => sum + Number(packets), 0);
}

describe("clients that nothing names", () => {
  it("have one limit together, beside that of each; others have theirs", async () => {
    await bed.gate.stop();
    await writeStaff(bed.gate, {});
    const both = (limits: string): string => list(limits, 'anonymous="yes"').replace("</gateway>", '<allow group="staff" networks="192.168.5.0/24"/></gateway>');
    await bed.gate.writeConfig({ gateway: both('connections-per-client="2000" new-per-second="1000" anonymous-connections="300"') });
    await bed.gate.start();
    const who = [bed.laptop, bed.guest];
    const addresses = await Promise.all(who.map((one) => eventually("led", 20_000, async () => (await digShort(one.host, "four.corp.example")) || undefined)));
    const before = await tracked();
    for (const [i, one] of who.entries()) await succeed(one.host, "python3", ["-c", OPEN_SOME, addresses[i] ?? "", "220"]);
    expect([await refused("too_many") > 100, await refused("too_fast")]).toEqual([true, 0]);
    const held = (await tracked()) - before;
    expect([held > 220, held < 340], `${held} flows`).toEqual([true, true]);
    await writeStaff(bed.gate, { "guest.i3": bed.guest });
    expect(await eventually("a named one goes on", 20_000, async () => (await bed.guest.host.exec("curl", ["-sS", "--max-time", "3", "http://four.corp.example/"])).stdout.trim() || undefined)).toContain("hello 192.168.5.1");
    await writeStaff(bed.gate, { "laptop.i3": bed.laptop, "guest.i3": bed.guest });
  }, 90_000);
});

describe("a client that opens 100,000 flows", () => {
  it.each([["four", "as fast as it can", 'connections-per-client="2000" new-per-second="40"', "too_fast"], ["six", "and may open them fast", 'connections-per-client="300" new-per-second="100000"', "too_many"]])("over IPv%s, %s, hears no, and nobody else does", async (name, _, limits, chain) => {
    await bed.gate.stop();
    await bed.gate.writeConfig({ gateway: list(limits) });
    await bed.gate.start();
    const virtual = await eventually("the laptop is led", 20_000, async () => (await digShort(bed.laptop.host, `${name}.corp.example`, name === "six" ? "AAAA" : "A")) || undefined);
    expect(await fetches(bed.guest)).toBe(ANSWER);
    const before = await tracked();
    const flood = succeed(bed.laptop.host, "python3", ["-c", OPEN_FLOWS, virtual]).then(({ stdout }) => Number(stdout));
    let most = 0;
    let answers = 0;
    let isOver = false;
    void flood.finally(() => (isOver = true)).catch(() => undefined);
    do {
      expect(await fetches(bed.guest)).toBe(ANSWER);
      answers += 1;
      most = Math.max(most, await tracked());
    } while (!isOver);
    expect(await flood).toBeGreaterThan(90_000);
    expect(answers).toBeGreaterThan(2);
    expect(await refused(chain), "refused").toBeGreaterThan(10_000);
    expect(most - before, "in the kernel's table").toBeLessThan(2_100);
    await eventually("the log names it", 5_000, async () => (new RegExp(`flows-over.*laptop\\.i3.*${chain.replace("_", "-")}`).test(bed.gate.child?.tail(500) ?? "") ? true : undefined));
    const again = await bed.laptop.host.exec("curl", ["-sS", "--max-time", "5", "-o", "/dev/null", name === "six" ? `http://[${virtual}]/` : `http://${virtual}/`]);
    if (chain === "too_many") expect(again.stderr, "a reset").toMatch(/refused|Failed to connect|Couldn't connect/);
  });
});

/** Questions for a name of the list, as fast as they go, to the gateway's virtual address; in the association, so that the gateway knows whose they are. */
const ASK_MUCH = `
import socket, struct, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
name = b"".join(bytes([len(one)]) + one for one in b"four.corp.example".split(b".")) + b"\\0"
end = time.monotonic() + 6
sent = 0
while time.monotonic() < end:
    for _ in range(20):
        s.sendto(struct.pack("!HHHHHH", sent % 65536, 0x100, 1, 0, 0, 0) + name + struct.pack("!HH", 1, 1), (sys.argv[1], 53))
        sent += 1
    time.sleep(0.01)
print(sent)
`;

describe("a client that asks 2,000 names a second", () => {
  it("is not answered beyond its share, and others are answered each time", async () => {
    const gate = await eventually("the laptop knows the gateway", 20_000, async () => (await digShort(bed.laptop.host, "office.i3")) || undefined);
    expect(await fetches(bed.guest)).toBe(ANSWER);
    const flood = succeed(bed.laptop.host, "python3", ["-c", ASK_MUCH, gate], 60_000).then(({ stdout }) => Number(stdout));
    let isOver = false;
    void flood.finally(() => (isOver = true)).catch(() => undefined);
    let answers = 0;
    do {
      expect(await digShort(bed.guest.host, "four.corp.example")).toMatch(/^10\./);
      answers += 1;
    } while (!isOver);
    expect(await flood).toBeGreaterThan(3_000);
    expect(answers).toBeGreaterThan(5);
    bed.gate.child?.kill("SIGUSR1");
    const [, tooFast = "0"] = (await bed.gate.child?.waitForLine(/"shares":\{"tooFast":(\d{3,})/, 10_000)) ?? [];
    expect(Number(tooFast)).toBeGreaterThan(1_000);
    // What it asked for meanwhile it goes on having.
    expect(await fetches(bed.laptop)).toBe(ANSWER);
  }, 120_000);
});
