/** Names of a zone, real daemons: signed by the command, kept in the ring by the host's proxy, and found by a laptop with an empty address book (docs/policy.md, "Zones"). */
import { copyFile, readFile, stat } from "node:fs/promises";

import { afterAll, beforeAll, expect, it } from "vitest";

import { Laptop, zoneCommand } from "@i3/demo";

import { eventually, pairBed, pings, type PairBed } from "./pair-bed.js";

let bed: PairBed;
let other: Laptop;
/** Where the zone's key is, which is none of the three machines that use it. */
let office = "";
let zone = "";
let strangersZone = "";

const makeZone = async (file: string): Promise<string> => /key="([0-9a-f]{64})"/.exec(await zoneCommand(bed.servers[0] as PairBed["home"], "make", file))?.[1] ?? "";
/** Signs a name and brings it to the host that is to keep it. */
async function sign(keyFile: string, name: string, hit: string, to: Laptop, file: string): Promise<void> {
  await zoneCommand(bed.servers[0] as PairBed["home"], "sign", `${office}/${keyFile}`, name, hit, `${office}/${file}`);
  await copyFile(`${office}/${file}`, `${to.host.directory}/${file}`);
}
const addressesOf = async (name: string): Promise<string> => (await bed.laptop.exec("getent", ["ahostsv4", name])).stdout.split(/\s/)[0] ?? "";
const laptopZones = (): string => `<zones><zone suffix="corp.i3" key="${zone}"/></zones>`;

beforeAll(async () => {
  bed = await pairBed({ start: false });
  office = bed.servers[0]?.directory ?? "";
  zone = await makeZone(`${office}/zone.key`);
  strangersZone = await makeZone(`${office}/stranger.key`);
  const serverAddresses = bed.servers.map((server) => server.address4);
  other = await Laptop.make(bed.neighbour, { serverAddresses });
  await sign("zone.key", "home", bed.homeProxy.hit, bed.homeProxy, "home.record");
  await sign("stranger.key", "box", bed.homeProxy.hit, bed.homeProxy, "box.record");
  // The stranger keeps a record of a name of the same form in the ring, and tries to have one kept as this zone's.
  const zones = (strangers: string) => `<zones><zone suffix="corp.i3" key="${zone}"><record file="home.record"/>${strangers}</zone><zone suffix="corp.elsewhere.i3" key="${strangersZone}"><record file="box.record"/></zone></zones>`;
  await bed.homeProxy.writeConfig({ zones: zones('<record file="./box2.record"/>') });
  await copyFile(`${office}/box.record`, `${bed.home.directory}/box2.record`);
  await bed.laptopProxy.writeConfig({ zones: laptopZones() });
  await bed.laptopProxy.writeBook({});
  await bed.homeProxy.writeBook({});
  await Promise.all([bed.homeProxy.start(), bed.laptopProxy.start()]);
}, 120_000);
afterAll(async () => await bed.close());

it("a laptop with an empty address book reaches a name that the zone's key has signed, by ping and by HTTP", async () => {
  await bed.homeProxy.child?.waitForLine(/zone-record-kept.*home\.corp\.i3/, 20_000);
  expect(await addressesOf("home.corp.i3")).toBe(bed.homeProxy.address4);
  expect(await eventually("home answers", 20_000, async () => ((await pings(bed.laptop, "home.corp.i3")) ? true : undefined))).toBe(true);
  bed.home.spawn("python3", ["-m", "http.server", "--bind", bed.homeProxy.address4, "--directory", bed.home.directory, "8080"]);
  const page = await eventually("the page comes", 20_000, async () => {
    const { status, stdout } = await bed.laptop.exec("curl", ["-s", "--max-time", "5", "http://home.corp.i3:8080/home.record"]);
    return status === 0 ? stdout : undefined;
  });
  expect(page).toBe(await readFile(`${bed.home.directory}/home.record`, "utf8"));
}, 60_000);

it("a name that the zone does not have does not exist, and what a stranger has signed is none", async () => {
  await bed.homeProxy.child?.waitForLine(/zone-record-kept.*box\.corp\.elsewhere\.i3/, 20_000);
  await bed.homeProxy.child?.waitForLine(/"event":"zone-record".*box2\.record is of the key|box2\.record.*is of the key/, 20_000);
  for (const name of ["box.corp.i3", "nobody.corp.i3"]) {
    const { stdout } = await bed.laptop.exec("dig", [name]);
    expect(stdout).toContain("status: NXDOMAIN");
    expect(await pings(bed.laptop, name)).toBe(false);
  }
  expect((await bed.laptop.exec("dig", ["+tcp", "nobody2.corp.i3"])).stdout).toContain("status: NXDOMAIN");
}, 60_000);

it("names that were found outlive a restart, also without the ring; a newer record leads to another host", async () => {
  const kept = `${bed.laptop.directory}/state/zone-names`;
  await eventually("the name is kept", 10_000, async () => ((await readFile(kept, "utf8").catch(() => "")).includes("record ") ? true : undefined));
  expect((await stat(kept)).mode & 0o777).toBe(0o600);
  await bed.laptopProxy.stop();
  await bed.homeProxy.stop();
  await other.writeConfig({ zones: `<zones><zone suffix="corp.i3" key="${zone}"><record file="home.record"/></zone></zones>` });
  await sign("zone.key", "home", other.hit, other, "home.record");
  await other.start();
  await other.child?.waitForLine(/zone-record-kept.*home\.corp\.i3/, 20_000);
  await bed.laptopProxy.start();
  // The first question is answered from what is kept, and asks the ring in the background.
  expect(await addressesOf("home.corp.i3")).toBe(bed.homeProxy.address4);
  expect(await eventually("the name has moved", 20_000, async () => ((await addressesOf("home.corp.i3")) === other.address4 ? true : undefined))).toBe(true);
  expect(await eventually("the other host answers", 20_000, async () => ((await pings(bed.laptop, "home.corp.i3")) ? true : undefined))).toBe(true);
  await bed.laptopProxy.stop();
  // Without a ring to ask, the newer one is known.
  await bed.laptopProxy.writeConfig({ zones: laptopZones(), serverAddresses: ["192.0.2.200"] });
  await bed.laptopProxy.start();
  expect(await addressesOf("home.corp.i3")).toBe(other.address4);
  // Others wait in vain, and the program hears so; a second question of the same connection is not held up.
  expect((await bed.laptop.exec("dig", ["+tries=1", "+time=5", "unheard.corp.i3"])).stdout).toContain("status: SERVFAIL");
  const { stdout } = await bed.laptop.exec("dig", ["+tcp", "+keepopen", "+tries=1", "+time=5", "unheard2.corp.i3", "home.corp.i3"]);
  expect(stdout).toContain("status: SERVFAIL");
  expect(stdout).toContain(other.address4);
}, 120_000);
