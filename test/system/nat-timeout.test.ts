/**
 * A NAT that forgets soon: refreshes of triggers at the responsible server and at the replica (docs/wire.md §4.1), and PINGs of the former, keep it open for packets from outside,
 * while no program says anything for longer than that. It gives each destination another port, and a forgotten one another again, so a port that stays was not forgotten.
 */
import { afterAll, beforeAll, expect, it } from "vitest";

import { I3_PORT, Laptop } from "@i3/demo";

import { busiest } from "./iperf-outage.js";
import { mutedPackets, muteControl, startFlow } from "./numbered-flow.js";
import { eventually, pairBed, pings, type PairBed } from "./pair-bed.js";

/** Longer than a trigger's refresh takes to come (5 s), and less than half of the time between two PINGs of a server that is not in use (30 s). */
const UDP_TIMEOUT_S = 12;
/** Nobody keeps this one. */
const FORGOTTEN_PORT = 9;
const FIRST_S = 2;
/** Well before the triggers end by themselves (30 s). */
const REPLICA_MS = 4_000;

let bed: PairBed;
/** It has never called home, so it begins with home's public id. */
let neighbour: Laptop;
beforeAll(async () => {
  bed = await pairBed({ servers: 4, nat2: { kind: "symmetric", udpTimeoutS: UDP_TIMEOUT_S } });
  neighbour = await Laptop.make(bed.neighbour, { serverAddresses: bed.servers.map(({ address4 }) => address4) });
  await neighbour.writeBook({ "home.i3": bed.homeProxy });
  await neighbour.start();
  expect(await pings(bed.laptop, "home.i3", 5)).toBe(true);
}, 60_000);
afterAll(() => bed?.close());

/** Of the home NAT: by the server's address, the outside port that it has for home's proxy. */
async function outsidePorts({ nat2 }: PairBed): Promise<ReadonlyMap<string, string>> {
  const { stdout } = await nat2.exec("conntrack", ["-L", "-p", "udp"]);
  const found = stdout.matchAll(new RegExp(`dst=(\\S+) sport=\\d+ dport=${I3_PORT} .*?src=\\1 dst=\\S+ sport=${I3_PORT} dport=(\\d+)`, "g"));
  return new Map([...found].map(([, server = "", port = ""]) => [server, port]));
}

/** The NAT's time for what nobody keeps, by a datagram of home's to a port of its own. */
async function untilForgotten({ home, nat2, servers }: PairBed): Promise<void> {
  const isKnown = async (): Promise<boolean> => (await nat2.exec("conntrack", ["-L", "-p", "udp"])).stdout.includes(` dport=${FORGOTTEN_PORT} `);
  const other = home.spawn("nc", ["-u", servers[0]?.address4 ?? "", String(FORGOTTEN_PORT)]);
  other.stdin.write("x\n");
  await eventually("the NAT knows it", 5_000, async () => (await isKnown()) || undefined);
  await eventually("the NAT forgets it", 3 * UDP_TIMEOUT_S * 1_000, async () => !(await isKnown()) || undefined);
  await other.stop();
}

/** That hold home's triggers. */
const responsibleServers = ({ homeProxy }: PairBed): readonly string[] =>
  (homeProxy.child?.lines ?? []).flatMap(({ text }) => /"event":"trigger-live".*"server":"([^":]+):/.exec(text)?.[1] ?? []);

it("packets come by the responsible server after a longer silence, and by the replica when that one is killed", async () => {
  const { nat2, ring } = bed;
  // What the first call has set going is over by then.
  await untilForgotten(bed);
  const before = await outsidePorts(bed);
  const responsibles = responsibleServers(bed);
  await untilForgotten(bed);
  const after = await outsidePorts(bed);
  const kept = (address: string): boolean => before.has(address) && before.get(address) === after.get(address);
  expect(responsibles.length, "ids that the log names").toBeGreaterThan(0);
  expect(responsibles.filter((address) => !kept(address)), "responsible servers for which the NAT has another port than before").toEqual([]);
  expect(await pings(neighbour.host, "home.i3", FIRST_S), "a first call").toBe(true);

  const flow = startFlow(bed);
  try {
    await flow.untilArrived(1, FIRST_S * 1_000);
    await flow.untilArrived(40, 20_000);
    const responsible = await busiest(ring);
    await muteControl(nat2);
    responsible.child?.kill("SIGKILL");
    await responsible.child?.ended;
    const killed = flow.sent;
    await eventually("packets by the replica", REPLICA_MS, () => Promise.resolve(flow.arrived > killed + 5 || undefined));
    const replica = await busiest(ring.filter((server) => server !== responsible));
    expect(kept(replica.host.address4), "the replica's port is the one of before").toBe(true);
    expect(await mutedPackets(nat2)).toBeGreaterThan(0);
  } finally {
    await flow.stop();
  }
}, 120_000);
