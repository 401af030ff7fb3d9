/**
 * The examples of @i3/i3-client as a reader runs them, in real processes: on machines behind NATs, with a server killed and a machine moved under the chat; on a ring
 * of their own; and from the packages as npm would install them.
 */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { Group, toHex } from "@i3/i3-client";
import { repositoryPath, startRing, type RingServer } from "@i3/demo";
import { standardTopology, type Child, type Host, type StandardTopology } from "@i3/netns";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";

import { eventually } from "./pair-bed.js";

const SECRET = "c4a7".repeat(16);
const EXAMPLE_MS = 40_000;
/** Lines that are typed one after the other until one is heard. */
const LINE_EVERY_MS = 100;

const run = promisify(execFile);

/** A folder into which i3-client is installed from what `npm pack` makes of it and of the packages that it needs; what those need of others is linked. */
async function installed(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "i3-installed-"));
  await Promise.all(["common", "datapath", "hip", "i3-client"].map(async (name) => {
    const [packed, place] = [join(folder, "packed", name), join(folder, "node_modules/@i3", name)];
    await Promise.all([mkdir(packed, { recursive: true }), mkdir(place, { recursive: true })]);
    const { stdout } = await run("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", packed], { cwd: repositoryPath(`packages/${name}`) });
    await run("tar", ["-xzf", join(packed, stdout.trim()), "-C", place, "--strip-components", "1"]);
  }));
  await Promise.all(["msgpackr", "xml2js"].map(async (name) => await symlink(repositoryPath(`node_modules/${name}`), join(folder, "node_modules", name))));
  return folder;
}

let bed: StandardTopology;
let ring: readonly RingServer[];
let alone: Child;
let anna: Child;
let bert: Child;

const EXAMPLES = repositoryPath("packages/i3-client/examples");
const example = (host: Host, name: string, ...args: readonly string[]): Child => host.spawn(process.execPath, [`${EXAMPLES}/${name}.mjs`, ...args]);
const servers = (): readonly string[] => ["--servers", bed.servers.map(({ address4 }) => address4).join(",")];
const chat = (host: Host, name: string): Child => example(host, "chat", "--name", name, "--group", SECRET, ...servers());

beforeAll(async () => {
  bed = await standardTopology();
  // Beside everything else, since its ring takes eight seconds.
  alone = example(bed.neighbour, "transcoder");
  ring = await startRing(bed.servers);
  // Where each trigger then stays.
  await Promise.all(ring.map(async ({ child }) => await child?.waitForLine(/"claims"/, 20_000)));
  anna = chat(bed.laptop, "anna");
  bert = chat(bed.home, "bert");
  await Promise.all([anna, bert].map((child) => child.waitForLine(/type a line/, 20_000)));
}, 60_000);
afterAll(async () => await bed?.topology.close());

let lines = 0;
/** What one types, from now on, until the other reads one of it. Returns how long that took, ms. */
async function heard(from: Child, to: Child): Promise<number> {
  const startMs = performance.now();
  const first = lines + 1;
  const isHeard = (): boolean => to.lines.some(({ text }) => Number(/: line (\d+)/.exec(text)?.[1] ?? 0) >= first);
  const type = (): boolean => from.stdin.write(`line ${(lines += 1)}\n`);
  const typing = setInterval(type, LINE_EVERY_MS);
  type();
  try {
    await eventually("a line is read", 20_000, () => Promise.resolve(isHeard() ? true : undefined));
  } finally {
    clearInterval(typing);
  }
  return performance.now() - startMs;
}

/** Whose part of the ring the chat's group is in: the server with the next node key. */
async function holderOfGroup(): Promise<RingServer> {
  const key = toHex(Group.fromSecret(SECRET).id.subarray(0, 16));
  const nodes = await Promise.all(ring.map(async (server) => ({ server, node: (await server.child?.waitForLine(/ node=([0-9a-f]{32})/))?.[1] ?? "" })));
  nodes.sort((a, b) => (a.node < b.node ? -1 : 1));
  const holder = nodes.find(({ node }) => node >= key) ?? nodes[0];
  if (holder === undefined) throw new Error("no server");
  return holder.server;
}

describe("chat", () => {
  it("goes both ways between machines behind different NATs", async () => {
    await heard(anna, bert);
    await heard(bert, anna);
    expect(bert.lines.map(({ text }) => text)).toContainEqual(expect.stringMatching(/^anna: line \d+/));
  });

  it("goes on when the address of a machine changes under it", async () => {
    const [{ name = "" } = {}] = bed.laptop.interfaces;
    await bed.laptop.exec("sh", ["-c", `ip address del 192.168.1.10/24 dev ${name} && ip address add 192.168.1.77/24 dev ${name} && ip route replace default via 192.168.1.1`]);
    expect((await bed.laptop.exec("ip", ["-4", "-brief", "address", "show", "dev", name])).stdout).toMatch(/ 192\.168\.1\.77\/24\s*$/);
    const ms = await heard(bert, anna);
    process.stdout.write(`    lines arrive at the new address after ${Math.round(ms)} ms\n`);
    expect(ms).toBeLessThan(9_000);
    await heard(anna, bert);
    await anna.waitForLine(/another address/);
  });

  it("goes on when the server of its group is killed", async () => {
    const server = await holderOfGroup();
    server.child?.kill("SIGKILL");
    await server.child?.ended;
    const ms = await heard(anna, bert);
    process.stdout.write(`    lines are read again after ${Math.round(ms)} ms\n`);
    expect(ms).toBeLessThan(9_000);
    await heard(bert, anna);
  });

  it("ends with its input", async () => {
    anna.stdin.end();
    expect((await anna.ended).status).toBe(0);
  });
});

describe("on two servers that are left", () => {
  it("nearest-server, from the packed packages, asks the nearest, and the next when that has left", async () => {
    const folder = await installed();
    onTestFinished(async () => await rm(folder, { recursive: true }));
    const nearest = [`${folder}/node_modules/@i3/i3-client/examples/nearest-server.mjs`];
    const alone = bed.home.spawn(process.execPath, nearest);
    expect([(await alone.ended).status, alone.tail()]).toEqual([1, expect.stringContaining("--servers ADDRESS")]);
    const child = bed.home.spawn(process.execPath, [...nearest, ...servers()]);
    expect((await child.ended).status, child.tail()).toBe(0);
    expect(child.lines.map(({ text }) => text)).toEqual([
      "a client in eu/paris is served by eu/paris", "a client in us/boston is served by us/boston", "a client in us/chicago is served by us/boston", "eu/paris is gone: a client there is served by eu/berlin",
    ]);
  }, EXAMPLE_MS);
});

it("transcoder puts a service on the path, on a ring that it has started itself", async () => {
  expect((await alone.ended).status, alone.tail()).toBe(0);
  expect(alone.lines.map(({ text }) => text).slice(-2)).toEqual([
    "sent by the sender's stack: 320 bytes went out, 160 arrived", "sent to one id, by the receiver's stack: 320 bytes went out, 160 arrived",
  ]);
}, EXAMPLE_MS);
