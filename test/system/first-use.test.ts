/** Trust on first use with real daemons: the first key that answers to a name is pinned, over restarts of both, and an impostor is refused. */
import { chmod, readFile, stat, writeFile } from "node:fs/promises";

import { Laptop, repositoryPath } from "@i3/demo";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { eventually, pairBed, pings, type PairBed } from "./pair-bed.js";

const NAME = "box.try.i3";
const RULES = '<rules><rule name=".*\\.try\\.i3" go="i3" trust="first-use"/><rule name=".*\\.i3" go="i3"/></rules>';
const PUBLISHES = `<published-names><publish name="${NAME}"/></published-names>${RULES}`;

let bed: PairBed;
/** Claims the name too, under a key of its own. */
let impostor: Laptop;
beforeAll(async () => {
  bed = await pairBed({ ringOptions: { limits: '<limits claims-per-name="4"/>' }, laptopOptions: { rules: RULES }, homeOptions: { rules: PUBLISHES }, start: false });
  impostor = await Laptop.make(bed.neighbour, { serverAddresses: bed.servers.map((server) => server.address4), rules: PUBLISHES });
  await Promise.all([bed.laptopProxy.writeBook({}), bed.homeProxy.writeBook({})]);
  await Promise.all([bed.laptopProxy.start(), bed.homeProxy.start()]);
}, 120_000);
afterAll(() => bed?.close());

const pinFile = (): string => `${bed.laptop.directory}/state/pins`;
const answers = (family: "-4" | "-6"): Promise<true> =>
  eventually(`ping ${family}`, 25_000, async () => ((await bed.laptop.exec("ping", [family, "-c", "1", "-W", "3", NAME])).status === 0 ? true : undefined));

describe("a name under a rule with first use", () => {
  it("is reached without an entry in any book, and its key is pinned in a file of its owner's alone", async () => {
    await answers("-4");
    const [head, line] = (await readFile(pinFile(), "utf8")).split("\n");
    expect(head).toBe('{"pins":1}');
    expect(JSON.parse(line ?? "")).toMatchObject({ name: NAME, hit: bed.homeProxy.hit });
    expect((await stat(pinFile())).mode & 0o777).toBe(0o600);
  }, 40_000);

  it("has its HIT as its IPv6 address from then on", async () => {
    await answers("-6");
    expect((await bed.laptop.exec("getent", ["ahostsv6", NAME])).stdout).toContain(bed.homeProxy.hit);
  }, 40_000);

  it("is reached after both were killed and started again", async () => {
    await Promise.all([bed.laptopProxy.kill(), bed.homeProxy.kill()]);
    await Promise.all([bed.laptopProxy.start(), bed.homeProxy.start()]);
    await answers("-4");
    await answers("-6");
  }, 90_000);
});

describe("an impostor who claims it", () => {
  it("is refused while the host is away, with both keys in the log", async () => {
    await bed.homeProxy.stop();
    await impostor.start();
    const line = await eventually("the refusal", 60_000, async () => {
      expect(await pings(bed.laptop, NAME)).toBe(false);
      return bed.laptopProxy.child?.lines.find(({ text }) => text.includes('"event":"wrong-key"'))?.text;
    });
    const { error, remedy } = JSON.parse(line) as { error?: string; remedy?: string };
    expect(error).toContain(`answered with the key of ${impostor.hit}, but has had that of ${bed.homeProxy.hit} since`);
    expect(remedy).toContain(`delete the line of ${NAME} in ${pinFile()}`);
    expect(await readFile(pinFile(), "utf8")).not.toContain(impostor.hit);
  }, 90_000);

  it("keeps nobody from the host when that is back", async () => {
    await bed.homeProxy.start();
    await answers("-4");
    expect(impostor.child?.running).toBe(true);
  }, 90_000);
});

describe("a pin file that cannot be trusted", () => {
  it.each([
    ["damaged", '{"pins":1}\n{"name":"box.try.i3"}\n', 0o600, /state\/pins:2: not a pinned host key/],
    ["open to others", '{"pins":1}\n', 0o644, /can be read or changed by others \(mode 644\).*chmod 600/],
  ])("stops the proxy, and its check: %s", async (_, text, mode, message) => {
    await bed.laptopProxy.stop();
    await writeFile(pinFile(), text);
    await chmod(pinFile(), mode);
    for (const more of [[], ["--check"]]) {
      const { status, stderr } = await bed.laptop.exec(process.execPath, [repositoryPath("packages/i3-proxy/dist/main.js"), "--config", bed.laptopProxy.configFile, ...more]);
      expect(status).not.toBe(0);
      expect(stderr).toMatch(message);
    }
  }, 60_000);
});
