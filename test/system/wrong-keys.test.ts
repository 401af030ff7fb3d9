/**
 * Where another host is than the one that the address book names, by HIT, by a bare id and by address: programs hear that it is unreachable, people hear why, and nothing
 * leaves this machine in clear.
 */
import { nameId, toHex } from "@i3/common";
import { Laptop, repositoryPath } from "@i3/demo";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { capture } from "./capture.js";
import { pairBed, type PairBed } from "./pair-bed.js";

/** A name that home claims, so that it answers at an id that is not its own. */
const CLAIMED = "box.try.i3";
const RULES = '<rules><rule name=".*\\.i3" go="i3"/></rules>';
const SECRET = "for-the-right-host-alone";
/** Of whoever is reached: a HIT of the right form that no key here has. */
const NOBODY = "2001:22:1:2:3:4:5:6";
/** Sends the text by UDP, and connects: what a program hears, and after how many ms. */
const TRY = `
const [name, text] = process.argv.slice(1);
require("node:dns").lookup(name, (error, address, family) => {
  if (error !== null) return console.log(error.code, 0);
  const socket = require("node:dgram").createSocket(family === 6 ? "udp6" : "udp4").on("error", () => undefined);
  socket.send(text, 7000, address, () => undefined);
  const startMs = Date.now();
  const end = (what) => { console.log(what, Date.now() - startMs); process.exit(0); };
  require("node:net").connect(8080, address, () => end("connected")).on("error", (failure) => end(failure.code));
});`;
/** A HIP host that answers whoever is called: each I1 is taken as one to itself. */
const ANSWERS_ALL = `
import { createSocket } from "node:dgram";
import { randomBytes } from "node:crypto";
import { formatIpText, makeLocator, parseIpText } from ${JSON.stringify(repositoryPath("packages/common/dist/index.js"))};
import { generateHostIdentity, HipHost, systemDhSource } from ${JSON.stringify(repositoryPath("packages/hip/dist/index.js"))};
const identity = generateHostIdentity();
const socket = createSocket("udp4");
const host = new HipHost({
  identity, ownPublicId: null, random: (n) => new Uint8Array(randomBytes(n)), dhSource: systemDhSource, r1Generation: 1n, admits: () => true, espSuitesFor: () => [13], offerFor: () => ({ privateId: null, preferences: null }),
  newSpi: () => randomBytes(4).readUInt32BE() | 0x1000, onEvent: ({ kind }) => { if (kind === "established") console.log("ESTABLISHED"); }, log: () => undefined,
  send: ({ locator }, packet) => socket.send(Buffer.concat([Buffer.alloc(4), packet]), locator.port, formatIpText(locator.address)),
}, performance.now());
socket.on("message", (bytes, { address, port }) => {
  const packet = new Uint8Array(bytes.subarray(4));
  if (packet[2] === 1) packet.set(identity.hit, 24);
  host.handle(performance.now(), packet, { kind: "udp", locator: makeLocator(parseIpText(address), port) });
});
socket.bind(10500, () => console.log("HIT", formatIpText(identity.hit)));
`;

let bed: PairBed;
/** On the laptop's LAN, with HIP's own port open. */
let neighbour: Laptop;
beforeAll(async () => {
  bed = await pairBed({
    ringOptions: { limits: '<limits claims-per-name="4"/>' }, start: false,
    laptopOptions: { rules: RULES }, homeOptions: { rules: `<published-names><publish name="${CLAIMED}"/></published-names>${RULES}` },
  });
  neighbour = await Laptop.make(bed.neighbour, { serverAddresses: bed.servers.map((server) => server.address4), hip: '<hip udp-port="10500"/>' });
  // A server that has just joined does not say yet that nobody has an id.
  await Promise.all([bed.homeProxy.start(), neighbour.start(), ...bed.ring.map((server) => server.child?.waitForLine(/"event":"claims"/))]);
}, 120_000);
afterAll(() => bed?.close());

beforeEach(async () => {
  await bed.laptopProxy.kill();
  await bed.laptopProxy.forget();
});

interface Tried {
  /** What the program heard. */
  readonly code: string;
  readonly elapsedMs: number;
  /** The log's lines, by event. */
  readonly logged: (event: string) => readonly Readonly<Record<string, string>>[];
}

/** With this entry of the book for peer.i3. Nothing of the program's may be readable in what leaves the machine, nor go anywhere by itself. */
async function tried(entry: string): Promise<Tried> {
  const { laptop, laptopProxy } = bed;
  await laptop.writeFile("book.xml", `<address-book version="1"><host name="peer.i3" ${entry}/></address-book>`);
  await laptopProxy.start();
  let stdout = "";
  const file = await capture(laptop, "", async () => {
    ({ stdout } = await laptop.exec(process.execPath, ["-e", TRY, "peer.i3", SECRET]));
    await laptopProxy.child?.waitForLine(/"event":"unreachable"/, 5_000);
  });
  expect((await laptop.exec("grep", ["-c", "-a", SECRET, file])).stdout.trim()).toBe("0");
  const bare = await laptop.exec("tshark", ["-n", "-r", file, "-Y", "tcp.port == 8080 or udp.port == 7000"]);
  expect([bare.status, bare.stdout]).toEqual([0, ""]);
  const [code = "", elapsed = ""] = stdout.trim().split(" ");
  const lines = (laptopProxy.child?.lines ?? []).map(({ text }) => text).filter((text) => text.startsWith("{")).map((text) => JSON.parse(text) as Record<string, string>);
  return { code, elapsedMs: Number(elapsed), logged: (event) => lines.filter((line) => line["event"] === event) };
}

describe("an entry of the address book for which another host is there", () => {
  it("by HIT: nobody else can have its id, so there is nobody", async () => {
    const { code, elapsedMs, logged } = await tried(`hit="${NOBODY}"`);
    expect(code).toBe("EHOSTUNREACH");
    expect(elapsedMs).toBeLessThan(5_000);
    expect(logged("unreachable")[0]).toMatchObject({ peer: "peer.i3", why: "no host has registered this name's id", remedy: expect.any(String) as string });
    expect(logged("mapping-open")).toEqual([]);
  }, 60_000);

  it("by a bare id at which another key answers: both are named, with what to do", async () => {
    const id = toHex(nameId(CLAIMED));
    const { code, elapsedMs, logged } = await tried(`id="${id}"`);
    expect(code).toBe("EHOSTUNREACH");
    expect(elapsedMs).toBeLessThan(5_000);
    expect(logged("wrong-key").map(({ peer, error, remedy }) => [peer, error, remedy])).toEqual([[
      "peer.i3", `peer.i3 answered with the key of ${bed.homeProxy.hit}, but is the id ${id} in the address book (line 1)`, "If its owner says that the key is new, change that line; otherwise somebody else answers in its place.",
    ]]);
    expect(logged("unreachable")[0]).toMatchObject({ peer: "peer.i3", why: "another key answered than the one of its name" });
    expect(logged("mapping-open")).toEqual([]);
  }, 60_000);

  it("by address, of a host that keeps silent to calls for another: the message says that this may be so", async () => {
    const { code, elapsedMs, logged } = await tried(`hit="${NOBODY}" address="${bed.neighbour.address4}"`);
    expect(neighbour.child?.running).toBe(true);
    expect(code).toBe("EHOSTUNREACH");
    expect(elapsedMs).toBeLessThan(8_000);
    expect(logged("unreachable")[0]).toMatchObject({ peer: "peer.i3", why: "no answer", remedy: expect.stringMatching(/is its key the one of the address book\? A host with another key keeps silent/) as string });
    expect(logged("mapping-open")).toEqual([]);
  }, 60_000);

  it("by address, of a host that answers with its own key: both are named, with what to do, and it gets no further", async () => {
    const [server] = bed.servers;
    if (server === undefined) throw new Error("no server");
    const other = server.spawn(process.execPath, ["--input-type=module", "-e", ANSWERS_ALL]);
    const [, hit = ""] = await other.waitForLine(/HIT (\S+)/);
    const { code, elapsedMs, logged } = await tried(`hit="${NOBODY}" address="${server.address4}"`);
    expect(code).toBe("EHOSTUNREACH");
    expect(elapsedMs).toBeLessThan(3_000);
    expect(logged("wrong-key").map(({ peer, error, remedy }) => [peer, error, remedy])).toEqual([[
      "peer.i3", `peer.i3 answered with the key of ${hit}, but is ${NOBODY} in the address book (line 1)`, "If its owner says that the key is new, change that line; otherwise somebody else answers in its place.",
    ]]);
    expect(logged("unreachable")[0]).toMatchObject({ peer: "peer.i3", why: "another key answered than the one of its name" });
    expect(other.lines.map(({ text }) => text)).not.toContain("ESTABLISHED");
    await other.stop();
  }, 60_000);
});
