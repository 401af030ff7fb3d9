/** Programs that know one family of addresses reach servers that have only the other one, through a gateway that translates (issue 7, line 1; RFC 7915). */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { succeed } from "../demo/src/checks.js";
import { startSshd } from "../demo/src/sshd.js";
import { dig, digShort, fetchText, gatewayBed, writeStaff, type GatewayBed } from "./gateway-bed.js";
import { eventually } from "./pair-bed.js";
import { randomFile, sha256OfFile } from "./programs-bed.js";

const LIST = '<gateway out="eth1 eth0" translate="yes"><allow group="staff" names=".*\\.corp\\.example" networks="192.168.5.0/24 fd00:5::/64"/></gateway>';
let bed: GatewayBed;
beforeAll(async () => {
  bed = await gatewayBed({ gateway: LIST });
});
afterEach(async ({ task }) => {
  if (task.result?.state === "fail") console.log(`${bed.laptop.child?.tail(20) ?? ""}\n${bed.gate.child?.tail(20) ?? ""}\n${await bed.topology.diagnose()}`);
});
afterAll(() => bed?.topology.close());

/** What a program of one family is to reach, and the gateway's address that the server sees. */
const WAYS = [["IPv4", "-4", "six.corp.example", "fd00:5::1"], ["IPv6", "-6", "four.corp.example", "192.168.5.1"]] as const;

describe.each(WAYS)("a program that knows only %s", (_, family, name, from) => {
  it("hears an address of its family, and gets answers, pings and errors", async () => {
    const { host } = bed.laptop;
    expect(await digShort(host, name, family === "-4" ? "A" : "AAAA")).toMatch(family === "-4" ? /^10\.[\d.]+$/ : /^fd[0-9a-f:]+$/);
    expect(await fetchText(host, `http://${name}/`, family)).toBe(`hello ${from}, this is ${name}`);
    expect((await host.exec("ping", [family, "-c", "2", "-i", "0.2", "-W", "2", "-s", "1000", name])).stdout).toContain(" 0% packet loss");
    expect((await host.exec("curl", ["-sS", "--max-time", "5", family, `http://${name}:81/`])).stderr).toMatch(/refused|Failed to connect/);
    const [address] = (await digShort(host, name, family === "-4" ? "A" : "AAAA")).split("\n");
    const gone = await host.exec("dig", ["+tries=1", "+timeout=5", "-p", "54", `@${address ?? ""}`, "x"]);
    expect(gone.stdout + gone.stderr).toMatch(/connection refused/);
  });

  it("is refused when it is not on the list", async () => {
    expect(await dig(bed.guest.host, name, family === "-4" ? "A" : "AAAA")).toContain("status: REFUSED");
  });
});

it("what a name has of the family that was asked for is what it has", async () => {
  const { host } = bed.laptop;
  for (const type of ["A", "AAAA"]) expect((await digShort(host, "wiki.corp.example", type)).split("\n")).toHaveLength(1);
  expect(await fetchText(host, "http://wiki.corp.example/", "-6")).toBe("hello fd00:5::1, this is wiki.corp.example");
  expect(await dig(host, "nothing.corp.example", "A")).toContain("status: NXDOMAIN");
  expect(await digShort(host, "text.corp.example", "A")).toBe("");
});

it("another client, with the same virtual addresses and then with others, has its own, and the first one keeps what it has", async () => {
  const { laptop, guest, gate } = bed;
  await writeStaff(gate, { "laptop.i3": laptop, "guest.i3": guest });
  const address = (one: typeof guest): Promise<string> => digShort(one.host, "six.corp.example", "A");
  const fetched = async (...who: readonly (typeof guest)[]): Promise<void> => {
    await Promise.all(who.flatMap(({ host }) => WAYS.map(async ([, family, name, from]) => expect(await fetchText(host, `http://${name}/`, family)).toBe(`hello ${from}, this is ${name}`))));
  };
  await eventually("the guest is let in", 5_000, async () => ((await address(guest)) === "" ? undefined : true));
  expect(await address(guest)).toBe(await address(laptop));
  await fetched(laptop, guest);
  await guest.stop();
  await fetched(laptop);
  await guest.writeConfig({ virtualAddresses: '<virtual-addresses range="10.64.0.0/10"/>' });
  await guest.start();
  expect(await address(guest)).toMatch(/^10\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./);
  await fetched(laptop, guest);
  await writeStaff(gate, { "laptop.i3": laptop });
  await fetched(laptop);
}, 60_000);

it("files of any size pass whole, a session goes on over a restart and a kill of the gateway, and ends when it is not allowed any more", async () => {
  const { host } = bed.laptop;
  const ssh = await startSshd(bed.wiki, host);
  for (const [, family, name] of WAYS) {
    const { path, sha256 } = await randomFile(host, "out.bin", 8);
    await succeed(host, "scp", ["-q", family, ...ssh.options, path, `${name}:${bed.wiki.directory}/in.bin`], 60_000);
    await succeed(host, "scp", ["-q", family, ...ssh.options, `${name}:${bed.wiki.directory}/in.bin`, `${path}.back`], 60_000);
    expect([await sha256OfFile(`${bed.wiki.directory}/in.bin`), await sha256OfFile(`${path}.back`)]).toEqual([sha256, sha256]);
  }
  const sessions = WAYS.map(([, family, name]) => host.spawn("ssh", ["-tt", ...ssh.options, family, name, "sh"]));
  const typed = (count: number): Promise<unknown> =>
    Promise.all(sessions.map(async (session) => {
      session.stdin.write(`echo answer-$((1000 + ${count}))\n`);
      await session.waitForLine(new RegExp(`answer-${1000 + count}`), 20_000);
    }));
  await typed(1);
  await bed.gate.stop();
  await bed.gate.start();
  await typed(2);
  await bed.gate.kill();
  await bed.gate.start();
  await typed(3);
  await writeStaff(bed.gate, { "guest.i3": bed.guest });
  await eventually("the sessions end", 5_000, async () => {
    for (const session of sessions) session.stdin.write("echo more\n");
    return sessions.some(({ running }) => running) ? undefined : true;
  });
}, 180_000);
