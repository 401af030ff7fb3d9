/**
 * What a packet grows by on its way, outer headers and all: the same packets through pairs of real proxies and through wireguard-go, captured before and after.
 *
 *     direct-a … direct-b, auth-a … auth-b (HIP and ESP in UDP 10500), wg-a … wg-b       each host has a wire to core, a router
 *     relay-a … relay-b, plain-a … plain-b by way of s1 (i3-server)
 *
 * ESP pads to 4 bytes and WireGuard to 16, so there are packets of all remainders. BEET leaves out the inner header, for one family (between hosts of ours: IPv4);
 * packets of the other one go in tunnel mode. Programs leave checksums to the kernel, and it to us: that is another 4 bytes of padding (docs/wire.md §7).
 */
import { Laptop, startRing, type LaptopOptions } from "@i3/demo";
import { Topology, type Host } from "@i3/netns";

import { makeRow, median, type Row } from "../report.js";
import { startPeer, succeed } from "../tunnel/bed.js";
import { addressBytes } from "../tunnel/modes.js";
import { addedBytesOf, isOurData, isWireguardData, type AddedBytes } from "./added-bytes.js";
import { captureAll } from "./capture.js";
import { say, type Plan } from "./plan.js";
import { nativeProcess } from "./responder-ours.js";

/** IPv4 20, UDP 8, its header 16, its tag 16 (WireGuard paper, §5.4.6), before what is inside is padded to 16 bytes. */
const WIREGUARD_BYTES = 60;
/** "Below": by one byte at least. */
const BELOW = WIREGUARD_BYTES / (WIREGUARD_BYTES - 1);
/** Bytes in UDP; of each as many more as it takes to see all of WireGuard's padding. */
const PAYLOADS = [0, 100, 1_000];
const REMAINDERS = 16;
const LENGTHS = PAYLOADS.flatMap((length) => Array.from({ length: REMAINDERS }, (_, i) => length + i));
const IP_UDP_BYTES = { 4: 28, 6: 48 } as const;
const ECHO_PORT = 7_007;
const NO_SERVER = "192.0.2.250";
const BY_ADDRESS = { serverAddresses: [NO_SERVER], hip: '<hip udp-port="10500"/>', logLevel: "info" } as const;
const WIREGUARD_DEVICE = "wg_a";
const OUR_DEVICE = "i3";
const ECHO = `const s = require("node:dgram").createSocket("udp6"); s.on("message", (m, r) => s.send(m, r.port, r.address)); s.bind(${ECHO_PORT}, () => console.log("ECHOING"))`;
/** Sends datagrams of the given lengths, each when the one before has come back. */
const ASK = `
const [address, lengths] = process.argv.slice(1);
const s = require("node:dgram").createSocket(address.includes(":") ? "udp6" : "udp4");
const left = JSON.parse(lengths);
const next = () => (left.length === 0 ? process.exit(0) : s.send(Buffer.alloc(left[0]), ${ECHO_PORT}, address));
s.on("message", (m) => { if (m.length !== left.shift()) process.exit(2); next(); });
setTimeout(() => process.exit(3), 20000);
next();`;

interface Subject {
  readonly name: string;
  readonly near: Host;
  readonly far: Host;
  readonly device: string;
  readonly address: string;
  readonly isData: (datagram: Uint8Array) => boolean;
  /** Below WireGuard's 60, each packet. */
  readonly isLimited?: boolean;
}

export async function bytesRows({ rows }: Plan): Promise<readonly Row[]> {
  if (!rows.has("bytes")) return [];
  const topology = await Topology.create();
  try {
    const { wireguard, ours } = await openSubjects(topology);
    const theirs = await measure(wireguard);
    const made: Row[] = [];
    for (const subject of ours) made.push(...rowsOf(subject, await measure(subject), theirs));
    return made;
  } finally {
    await topology.close();
  }
}

async function openSubjects(topology: Topology): Promise<{ readonly wireguard: Subject; readonly ours: readonly Subject[] }> {
  const core = topology.router("core");
  const hosts = ["s1", "direct-a", "direct-b", "auth-a", "auth-b", "relay-a", "relay-b", "plain-a", "plain-b", "wg-a", "wg-b"].map((name, i) => {
    const host = topology.host(name);
    topology.link(core, host, { subnet: `192.0.2.${4 * i}/30` });
    return host;
  });
  const [server, directA, directB, authA, authB, relayA, relayB, plainA, plainB, wireguardA, wireguardB] = hosts as [Host, Host, Host, Host, Host, Host, Host, Host, Host, Host, Host];
  await topology.up();
  await startRing([server]);
  const rule = (security: string): Pick<LaptopOptions, "rules"> => ({ rules: `<rules><rule name=".*\\.i3" go="i3" security="${security}"/></rules>` });
  const byServer = { serverAddresses: [server.address4], logLevel: "info" } as const;
  const direct = await startPair(directA, directB, BY_ADDRESS);
  const auth = await startPair(authA, authB, { ...BY_ADDRESS, ...rule("auth") });
  const relay = await startPair(relayA, relayB, byServer);
  const plain = await startPair(plainA, plainB, { ...byServer, ...rule("none") });
  const { address } = await startPeer("wireguard-go", wireguardA, wireguardB);
  const ours = { device: OUR_DEVICE, isData: isOurData } as const;
  return {
    wireguard: { name: "wireguard-go", near: wireguardA, far: wireguardB, device: WIREGUARD_DEVICE, address, isData: isWireguardData },
    ours: [
      { ...ours, name: "direct, BEET, IPv4 inside", near: directA, far: directB, address: direct.address4, isLimited: true },
      { ...ours, name: "direct, tunnel mode, IPv6 inside", near: directA, far: directB, address: direct.hit },
      { ...ours, name: "direct, auth", near: authA, far: authB, address: auth.address4 },
      { ...ours, name: "over i3", near: relayA, far: relayB, address: relay.address4 },
      { ...ours, name: "over i3, plain", near: plainA, far: plainB, address: plain.address4 },
    ],
  };
}

/** Of the second, when the first has had an answer from it: by then it is known to have IPv4 addresses too. */
async function startPair(a: Host, b: Host, options: LaptopOptions): Promise<Laptop> {
  const [near, far] = [await Laptop.make(a, options), await Laptop.make(b, options)];
  const bookOf = (host: Host): string => (options.hip === undefined ? "" : `address="${host.address4}"`);
  await near.writeBook({ "b.i3": far }, bookOf(b));
  await far.writeBook({ "a.i3": near }, bookOf(a));
  for (const laptop of [near, far]) {
    await laptop.start();
    nativeProcess(laptop);
  }
  await succeed(a, "ping", ["-c1", "-W10", "-q", "b.i3"]);
  return far;
}

async function measure({ name, near, far, device, address, isData }: Subject): Promise<readonly AddedBytes[]> {
  const echo = far.spawn(process.execPath, ["-e", ECHO]);
  await echo.waitForLine(/ECHOING/);
  const ask = async (lengths: readonly number[]): Promise<void> => void (await succeed(near, process.execPath, ["-e", ASK, address, JSON.stringify(lengths)]));
  // What is set up for the first packet is no packet's.
  await ask([1]);
  const [inside = [], outside = []] = await captureAll(
    [{ host: near, device, filter: "udp" }, { host: near, device: near.interfaces[0]?.name ?? "", filter: "udp" }],
    () => ask(LENGTHS),
    () => ask([1]),
  );
  await echo.stop();
  const added = addedBytesOf({ inside, outside, to: addressBytes(address), from: addressBytes(near.address4), port: ECHO_PORT, isData, count: LENGTHS.length });
  const sent = LENGTHS.map((length) => length + IP_UDP_BYTES[address.includes(":") ? 6 : 4]);
  if (added.some(({ innerBytes }, i) => innerBytes !== sent[i])) throw new Error(`${name}: other packets were captured than those that were sent: ${added.map(({ innerBytes }) => innerBytes).join(" ")}`);
  say(`bytes added, ${name}: ${PAYLOADS.map((length, i) => `${length} in UDP: ${added[REMAINDERS * i]?.added ?? NaN}`).join(", ")}`);
  return added;
}

const bytesOf = (packets: readonly AddedBytes[]): readonly number[] => packets.map(({ added }) => added);
const spread = (packets: readonly AddedBytes[]): Readonly<Record<string, number>> => ({ least: Math.min(...bytesOf(packets)), median: median(bytesOf(packets)), largest: Math.max(...bytesOf(packets)) });
const byPayload = (packets: readonly AddedBytes[]): Readonly<Record<string, number>> => Object.fromEntries(PAYLOADS.map((length, i) => [`${length} B in UDP`, packets[REMAINDERS * i]?.added ?? NaN]));

function rowsOf({ name, isLimited = false }: Subject, ours: readonly AddedBytes[], theirs: readonly AddedBytes[]): readonly Row[] {
  const row = (what: string, value: (packets: readonly AddedBytes[]) => number): Row => makeRow({
    name: `bytes added to a packet: ${name}, ${what}`, unit: "B", better: "lower", runs: [value(ours)], baselines: { "wireguard-go": value(theirs), "WireGuard without padding": WIREGUARD_BYTES },
    ...(isLimited ? { limits: { "WireGuard without padding": BELOW } } : {}),
  });
  return [
    { ...row("median", (packets) => median(bytesOf(packets))), beside: { ours: { ...spread(ours), ...byPayload(ours) }, "wireguard-go": { ...spread(theirs), ...byPayload(theirs) } } },
    row("largest", (packets) => Math.max(...bytesOf(packets))),
  ];
}
