/** A laptop in a network that lets nothing but TCP 443 out reaches home behind its NAT, and uses UDP again as soon as that works (docs/wire.md §10). */
import { afterEach, expect, it } from "vitest";

import { eventually, pairBed, pings, type PairBed } from "./pair-bed.js";
import { randomFile, sha256OfFile, startWebServer } from "./programs-bed.js";

let bed: PairBed | undefined;
afterEach(async ({ task }) => {
  if (task.result?.state === "fail" && bed !== undefined) {
    process.stderr.write(`${[bed.laptopProxy, bed.homeProxy, ...bed.ring].map(({ host, child }) => `--- ${host.name}\n${child?.tail(30) ?? ""}`).join("\n")}\n${await bed.topology.diagnose()}\n`);
  }
  await bed?.close();
  bed = undefined;
});

/** Bytes that pass the NAT, both ways. */
const COUNTERS = `table inet watch {
  counter tcp443 { }
  counter i3 { }
  chain forward {
    type filter hook forward priority -300; policy accept
    tcp dport 443 counter name tcp443
    tcp sport 443 counter name tcp443
    udp dport 5610 counter name i3
    udp sport 5610 counter name i3
  }
}`;

async function bytesOf({ nat1 }: PairBed, counter: "tcp443" | "i3"): Promise<number> {
  const { stdout } = await nat1.exec("nft", ["list", "counter", "inet", "watch", counter]);
  return Number(/bytes (\d+)/.exec(stdout)?.[1]);
}

const says = ({ laptopProxy }: PairBed, isOn: boolean): boolean => laptopProxy.child?.lines.some(({ text }) => text.includes('"event":"detour"') && text.includes(`"on":${isOn}`)) === true;

it("where TCP 443 alone gets out, and then UDP does again", async () => {
  bed = await pairBed({
    servers: 3, nat1: { kind: "port-restricted", egress: "tcp-443" }, ringOptions: { fallback: true }, laptopOptions: { serverAttributes: 'tcp-port="443"' }, homeOptions: { serverAttributes: 'tcp-port="443"' },
  });
  const { laptop, home, nat1, homeProxy } = bed;
  await nat1.namespace.nft(COUNTERS);
  expect(says(bed, true)).toBe(true);
  expect(homeProxy.child?.lines.some(({ text }) => text.includes('"event":"detour"'))).toBe(false);
  expect(await pings(laptop, "home.i3", 5)).toBe(true);

  const { sha256 } = await randomFile(home, "large", 1);
  await startWebServer(home);
  const download = async (): Promise<void> => {
    const { status, stderr } = await laptop.exec("curl", ["-sS", "--max-time", "30", "-o", `${laptop.directory}/got`, "http://home.i3/large"]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(await sha256OfFile(`${laptop.directory}/got`)).toBe(sha256);
  };
  await download();
  expect(await bytesOf(bed, "tcp443")).toBeGreaterThan(1_000_000);

  const there = bed;
  const openedMs = performance.now();
  await nat1.setEgress("all");
  await eventually("UDP again", 30_000, () => Promise.resolve(says(there, false) || undefined));
  process.stdout.write(`    UDP again after ${Math.round(performance.now() - openedMs)} ms\n`);
  expect(await pings(laptop, "home.i3", 5)).toBe(true);
  const [tcpBefore, udpBefore] = [await bytesOf(bed, "tcp443"), await bytesOf(bed, "i3")];
  await download();
  expect(await bytesOf(bed, "i3") - udpBefore).toBeGreaterThan(1_000_000);
  // Late packets, and the end of the connection.
  expect(await bytesOf(bed, "tcp443") - tcpBefore).toBeLessThan(20_000);
  await eventually("the connection to end", 20_000, async () => ((await laptop.exec("ss", ["-Hnt", "dport = :443"])).stdout.trim() === "" || undefined));
}, 120_000);
