/** A proxy that knows its servers by a signed list alone, real daemons: it starts from its copy when the list's origin is gone (docs/wire.md §4.3). */
import { readFile, rm, writeFile } from "node:fs/promises";

import { afterAll, beforeAll, expect, it } from "vitest";

import { ringCommand } from "@i3/demo";

import { eventually, pairBed, pings, type PairBed } from "./pair-bed.js";

/** Nobody has it. */
const NO_SERVER = "192.0.2.254";
let bed: PairBed;
let origin = "";
let key = "";
let copy = "";
let list: Buffer;

beforeAll(async () => {
  bed = await pairBed({ start: false });
  const [first] = bed.servers;
  if (first === undefined) throw new Error("a ring of no servers");
  const nodes = await Promise.all(bed.ring.map(async ({ child, host }) => `${host.address4}:5610 ${(await child?.waitForLine(/ node=([0-9a-f]{32})/))?.[1]}`));
  const servers = await first.writeFile("servers", nodes.join("\n"));
  const said = await ringCommand(first, "list", `${first.directory}/ring.authority`, servers, `${first.directory}/servers.list`);
  key = /key="([0-9a-f]{64})"/.exec(said)?.[1] ?? "";
  origin = `${bed.laptop.directory}/servers.list`;
  copy = `${bed.laptop.directory}/state/server-list`;
  await writeFile(origin, await readFile(`${first.directory}/servers.list`));
  await bed.laptopProxy.writeConfig({ serverAddresses: [], serverList: `<server-list key="${key}" file="servers.list"/>` });
  await bed.homeProxy.start();
}, 120_000);
afterAll(async () => await bed.close());

it("starts from the list, from its copy when the list is gone, and takes a list that comes later", async () => {
  await bed.laptopProxy.start();
  expect(await eventually("home answers", 20_000, async () => ((await pings(bed.laptop, "home.i3")) ? true : undefined))).toBe(true);
  await bed.laptopProxy.kill();
  list = await readFile(origin);
  await rm(origin);
  await bed.laptopProxy.start();
  expect(await eventually("home answers, from the copy", 20_000, async () => ((await pings(bed.laptop, "home.i3")) ? true : undefined))).toBe(true);
  await bed.laptopProxy.kill();
  await rm(copy);
  await bed.laptopProxy.start();
  expect(await pings(bed.laptop, "home.i3")).toBe(false);
  await writeFile(origin, list);
  expect(await eventually("home answers, when there is a list again", 20_000, async () => ((await pings(bed.laptop, "home.i3")) ? true : undefined))).toBe(true);
  expect(await readFile(copy, "utf8")).toContain("i3 server list 1");
}, 90_000);

it("takes the list from the ring, where another host keeps it, and starts from that alone", async () => {
  const [first] = bed.ring;
  if (first === undefined) throw new Error("a ring of no servers");
  await bed.laptopProxy.kill();
  await bed.homeProxy.kill();
  await Promise.all([rm(origin), rm(copy)]);
  await writeFile(`${bed.home.directory}/servers.list`, list);
  await bed.homeProxy.writeConfig({ serverList: `<server-list key="${key}" file="servers.list" publish="true"/>` });
  await bed.homeProxy.start();
  await bed.laptopProxy.writeConfig({ serverAddresses: [first.host.address4], serverList: `<server-list key="${key}"/>` });
  await bed.laptopProxy.start();
  const kept = await eventually("a copy of the ring's list", 40_000, async () => await readFile(copy, "utf8").catch(() => undefined));
  expect(kept.split("\n").at(-2)).toBe(list.toString().trim().split("\n").at(-1));
  await bed.laptopProxy.kill();
  await bed.laptopProxy.writeConfig({ serverAddresses: [NO_SERVER], serverList: `<server-list key="${key}"/>` });
  await bed.laptopProxy.start();
  expect(await eventually("home answers", 20_000, async () => ((await pings(bed.laptop, "home.i3")) ? true : undefined))).toBe(true);
}, 120_000);
