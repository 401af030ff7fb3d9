/** Two clients of one server behind one NAT, clients of each other, and both ends beginning at once. */
import type { RunResult } from "@i3/netns";
import { describe, expect, test } from "vitest";

import type { Laptop } from "../demo/src/overlay.js";
import { dig, NAMES, output, programsBed, randomFile, sha256OfFile, startWebServer } from "./programs-bed.js";

const bedOf = programsBed({
  neighbour: true,
  prepare: async ({ laptop, home, neighbour }) => {
    await Promise.all([laptop, home, neighbour].map(({ host }) => startWebServer(host)));
  },
});

const curl = (from: Laptop, name: string, ...args: readonly string[]): Promise<string> => output(from.host, "curl", ["-sS", "-m", "20", ...args, `http://${name}/`]);

describe("two clients of one server, behind the same NAT", () => {
  test("each is seen by its own address, at the same time", async () => {
    const { laptop, neighbour } = bedOf();
    for (const family of ["-4", "-6"]) {
      const seen = await Promise.all([laptop, neighbour, laptop, neighbour].map((client) => curl(client, NAMES.home, family)));
      const own = ({ address4, hit }: Laptop): string => (family === "-4" ? address4 : hit);
      expect(seen).toEqual([own(laptop), own(neighbour), own(laptop), own(neighbour)]);
    }
  });

  test("each gets its own bytes while both load", async () => {
    const { laptop, neighbour, home } = bedOf();
    await Promise.all([laptop, neighbour].map(async ({ host }) => {
      const { sha256 } = await randomFile(home.host, `for-${host.name}.bin`, 10);
      const copy = `${host.directory}/copy.bin`;
      await output(host, "curl", ["-sS", "-m", "60", "-o", copy, `http://${NAMES.home}/for-${host.name}.bin`], 70_000);
      expect(await sha256OfFile(copy)).toBe(sha256);
    }));
  });

  test("home reaches both by name, and they reach each other although the NAT does not hairpin", async () => {
    const { laptop, neighbour, home } = bedOf();
    const pairs = [[home, laptop, NAMES.laptop], [home, neighbour, NAMES.neighbour]] as const;
    for (const [from, to, name] of pairs) {
      expect(await dig(from.host, name)).toBe(to.address4);
      expect(await curl(from, name, "-4")).toBe(from.address4);
    }
    expect(await curl(laptop, NAMES.neighbour, "-4")).toBe(laptop.address4);
    expect(await curl(neighbour, NAMES.laptop, "-6")).toBe(neighbour.hit);
  });

  test("a client that is known to nobody by name is served by its address all the same", async () => {
    const { laptop, neighbour, home } = bedOf();
    await home.writeBook({ [NAMES.laptop]: laptop });
    await home.child?.waitForLine(/"event":"address-book".*"entries":1/);
    await restartFresh([neighbour]);
    expect(await curl(neighbour, NAMES.home, "-4")).toBe(neighbour.address4);
  });
});

/** Proxies that have forgotten all mappings. */
async function restartFresh(machines: readonly Laptop[]): Promise<void> {
  await Promise.all(machines.map((machine) => machine.kill()));
  await Promise.all(machines.map((machine) => machine.forget()));
  await Promise.all(machines.map((machine) => machine.start()));
}

describe("both ends begin at once", () => {
  const pingOnce = (from: Laptop, to: string): Promise<RunResult> => from.host.exec("ping", ["-n", "-c1", "-W3", to]);

  test.each([1, 2, 3, 4])("round %i: fresh proxies, the first packets cross, and both are answered", async (round) => {
    const { laptop, home } = bedOf();
    await restartFresh([laptop, home]);
    // Asked before, so that nothing but the packets is left to do.
    const family = round % 2 === 0 ? "AAAA" : "A";
    const [homeAddress, laptopAddress] = await Promise.all([dig(laptop.host, NAMES.home, family), dig(home.host, NAMES.laptop, family)]);
    const [there, back] = await Promise.all([pingOnce(laptop, homeAddress), pingOnce(home, laptopAddress)]);
    expect([there.status, back.status], `${there.stdout}${back.stdout}`).toEqual([0, 0]);
    for (const machine of [laptop, home]) await machine.child?.waitForLine(/"mapping-open".*"proved":true/);
    const [seenAtHome, seenAtLaptop] = await Promise.all([curl(laptop, NAMES.home, "-4"), curl(home, NAMES.laptop, "-4")]);
    expect([seenAtHome, seenAtLaptop]).toEqual([laptop.address4, home.address4]);
  });

  test.each([1, 2])("round %i: TCP from both ends as the first thing", async () => {
    const { laptop, home } = bedOf();
    await restartFresh([laptop, home]);
    const seen = await Promise.all([curl(laptop, NAMES.home, "-4"), curl(home, NAMES.laptop, "-4"), curl(laptop, NAMES.home, "-6"), curl(home, NAMES.laptop, "-6")]);
    expect(seen).toEqual([laptop.address4, home.address4, laptop.hit, home.hit]);
  });

  test("one end is new and the other remembers", async () => {
    const { laptop, home } = bedOf();
    await restartFresh([laptop]);
    expect(await Promise.all([curl(laptop, NAMES.home, "-4"), curl(home, NAMES.laptop, "-4")])).toEqual([laptop.address4, home.address4]);
  });
});
