/** What a gateway says to questions that come over the overlay by hand, with real unbound behind it: dig with our option (docs/wire.md §11). */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { succeed } from "../demo/src/checks.js";
import { dig, digShort, gatewayBed, LIST, writeStaff, type GatewayBed } from "./gateway-bed.js";
import { eventually } from "./pair-bed.js";

/** Version 1, no other try, 10.0.0.0/8. */
const OPTION = "+ednsopt=65001:0100080a000000";
let bed: GatewayBed;
let gate = "";
beforeAll(async () => {
  bed = await gatewayBed();
  gate = bed.gate.address4;
});
afterEach(async ({ task }) => {
  if (task.result?.state === "fail") console.log(`${bed.gate.child?.tail(30) ?? ""}\n${await bed.topology.diagnose()}`);
});
afterAll(() => bed?.topology.close());

/** @returns status, and the answer's data */
async function ask(who: "laptop" | "guest", ...args: readonly string[]): Promise<string> {
  const host = bed[who].host;
  await digShort(host, "office.i3");
  const text = await dig(host, `@${gate}`, OPTION, ...args);
  const status = /status: (\w+)/.exec(text)?.[1] ?? "no answer";
  const data = [...text.matchAll(/^[^;\s]\S*\s+(\d+)\s+IN\s+\w+\s+(.+)$/gm)].map(([, ttl, value]) => `${ttl} ${value}`);
  return [status, ...data.sort()].join("\n");
}

describe("clients on the list", () => {
  it("get virtual addresses that do not last", async () => {
    const first = await ask("laptop", "wiki.corp.example", "A");
    expect(first).toMatch(/^NOERROR\n0 10\.\d+\.\d+\.\d+$/);
    expect(await ask("laptop", "four.corp.example", "A"), "the same server").toBe(first);
    expect(await ask("laptop", "wiki.corp.example", "A", "+tcp")).toBe(first);
    expect(await ask("laptop", "web.corp.example", "A")).not.toBe(first);
  });

  it("get IPv6 where the gateway has it", async () => {
    expect(await ask("laptop", "six.corp.example", "AAAA")).toMatch(/^NOERROR\n0 fd[0-9a-f]{2}:/);
    expect(await ask("laptop", "four.corp.example", "AAAA")).toMatch(/^NOERROR/);
  });

  it("get what else the resolver says, errors too", async () => {
    expect(await ask("laptop", "mail.corp.example", "MX")).toBe("NOERROR\n60 10 wiki.corp.example.");
    expect(await ask("laptop", "text.corp.example", "TXT")).toBe('NOERROR\n60 "plain words"');
    expect(await ask("laptop", "nothing.corp.example", "A")).toMatch(/^NXDOMAIN\n60 ns\.corp\.example\. root/);
    expect(await ask("laptop", "wiki.corp.example", "TYPE65")).toBe("NOERROR");
    expect((await ask("laptop", "big.corp.example", "TXT")).length, "by TCP").toBeGreaterThan(2_000);
  });

  it.each(["loop", "cloud", "self", "overlay", "hit", "mapped", "elsewhere"])("are led nowhere by a name that leads to %s", async (name) => {
    expect(await ask("laptop", `${name}.corp.example`, name === "hit" || name === "mapped" ? "AAAA" : "A")).toBe("REFUSED");
  });

  it("are led to what is left when a name leads elsewhere too", async () => {
    expect(await ask("laptop", "both.corp.example", "A")).toBe(await ask("laptop", "wiki.corp.example", "A"));
  });
});

describe("what would end or open a gateway", () => {
  it("is not a question from port 0, which nobody can be answered at", async () => {
    await ask("laptop", "wiki.corp.example", "A");
    const raw = "import socket,struct,sys; s=socket.socket(socket.AF_INET,socket.SOCK_RAW,socket.IPPROTO_UDP); m=b'\\x12\\x34\\x01\\x00\\x00\\x01'+bytes(6)+b'\\x01x\\x00\\x00\\x01\\x00\\x01'; s.sendto(struct.pack('!HHHH',0,53,8+len(m),0)+m,(sys.argv[1],0))";
    for (let i = 0; i < 3; i += 1) await succeed(bed.laptop.host, "python3", ["-c", raw, gate]);
    expect(await ask("laptop", "wiki.corp.example", "A")).toMatch(/^NOERROR/);
    expect(bed.gate.child?.running).toBe(true);
  });

  it("is not somebody who clears all tables: its own is there again", async () => {
    await succeed(bed.gate.host, "nft", ["flush", "ruleset"]);
    const text = await eventually("the table is back", 5_000, async () => {
      const { status, stdout } = await bed.gate.host.exec("nft", ["list", "table", "inet", "i3_gateway_i3"]);
      return status === 0 ? stdout : undefined;
    });
    expect(text, "with who was led where").toMatch(/granted4 \{[^}]*192\.168\.5\.10 : goto set_/);
    expect(await ask("laptop", "four.corp.example", "A")).toMatch(/^NOERROR/);
  });

  it("is not a change of the list beside others of the file: it acts", async () => {
    await bed.gate.writeConfig({ gateway: LIST.replace('group="staff"', 'group="nobody"'), logLevel: "info" });
    await eventually("the laptop is refused", 5_000, async () => ((await ask("laptop", "wiki.corp.example", "A")) === "REFUSED" ? true : undefined));
    await bed.gate.writeConfig();
    await eventually("the laptop is led", 5_000, async () => ((await ask("laptop", "wiki.corp.example", "A")).startsWith("NOERROR") ? true : undefined));
  });
});

describe("others", () => {
  it("are refused, until they are on the list", async () => {
    expect(await ask("guest", "wiki.corp.example", "A")).toBe("REFUSED");
    await writeStaff(bed.gate, { "laptop.i3": bed.laptop, "guest.i3": bed.guest });
    await eventually("the guest is led", 5_000, async () => ((await ask("guest", "wiki.corp.example", "A")).startsWith("NOERROR") ? true : undefined));
    await writeStaff(bed.gate, { "laptop.i3": bed.laptop });
    await eventually("the guest is refused", 5_000, async () => ((await ask("guest", "wiki.corp.example", "A")) === "REFUSED" ? true : undefined));
  });

  it("hear nothing from outside of the overlay", async () => {
    const { stdout } = await bed.core.exec("dig", ["+tries=1", "+timeout=1", `@${bed.gate.host.address4}`, OPTION, "wiki.corp.example"]);
    expect(stdout).toMatch(/no servers could be reached|connection refused/);
  });
});
