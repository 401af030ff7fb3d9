/**
 * Pairs of real proxies whose associations the HIP exchange has set up, to be measured beside engines that were told theirs:
 *
 *     direct-a ─── HIP and ESP in UDP 10500 ─── direct-b        relay-a ─── i3 server ─── relay-b        auth-a, auth-b: as direct, security="auth"
 */
import { Laptop, startRing, type LaptopOptions } from "@i3/demo";
import { Topology, type Host } from "@i3/netns";

import { succeed, type Subject } from "./bed.js";

/** Nobody is there: who reaches all by address needs no server. */
const NO_SERVER = "192.0.2.250";
const FIRST_ANSWER_S = 10;

export interface DaemonBed {
  readonly direct: Subject;
  readonly relay: Subject;
  readonly auth: Subject;
  close(): Promise<void>;
}

export async function openDaemons(): Promise<DaemonBed> {
  const topology = await Topology.create();
  try {
    const [directA, directB] = [topology.host("direct-a"), topology.host("direct-b")];
    const [authA, authB] = [topology.host("auth-a"), topology.host("auth-b")];
    const [relayA, relayB, relay] = [topology.host("relay-a"), topology.host("relay-b"), topology.host("relay")];
    topology.link(directA, directB, { subnet: "192.0.2.0/30" });
    topology.link(authA, authB, { subnet: "192.0.2.12/30" });
    topology.link(relay, relayA, { subnet: "192.0.2.4/30" });
    topology.link(relay, relayB, { subnet: "192.0.2.8/30" });
    topology.route(relayB, "192.0.2.4/30", "192.0.2.9");
    await topology.up();
    // The server has one address for both.
    await succeed(relay, "ip", ["route", "change", "192.0.2.8/30", "dev", relay.interfaces[1]?.name ?? "", "src", relay.address4]);
    const [server] = await startRing([relay]);
    const byAddress = { serverAddresses: [NO_SERVER], hip: '<hip udp-port="10500"/>' };
    const direct = await startPair([[directA, byAddress], [directB, byAddress]], (peer) => `address="${peer.address4}"`);
    const authOnly = { ...byAddress, rules: '<rules><rule name=".*\\.i3" go="i3" security="auth"/></rules>' };
    const auth = await startPair([[authA, authOnly], [authB, authOnly]], (peer) => `address="${peer.address4}"`);
    const byServer = { serverAddresses: [relay.address4] };
    const relayed = await startPair([[relayA, byServer], [relayB, byServer]], () => "");
    return {
      direct: await subjectOf("daemons direct", direct, []),
      auth: await subjectOf("daemons auth", auth, []),
      relay: await subjectOf("daemons relay", relayed, [server?.child?.pid ?? 0]),
      close: () => topology.close(),
    };
  } catch (error) {
    await topology.close().catch(() => undefined);
    throw error;
  }
}

type Pair = readonly [Laptop, Laptop];

type Machine = readonly [Host, LaptopOptions];

/** `more`: attributes of the peer in the address book. */
async function startPair([a, b]: readonly [Machine, Machine], more: (peer: Host) => string): Promise<Pair> {
  const pair = [await Laptop.make(...a), await Laptop.make(...b)] as const;
  await pair[0].writeBook({ "b.i3": pair[1] }, more(b[0]));
  await pair[1].writeBook({ "a.i3": pair[0] }, more(a[0]));
  await Promise.all(pair.map((laptop) => laptop.start()));
  return pair;
}

/** Has made the exchange before it is measured. By then the other is known to have IPv4 addresses too. */
async function subjectOf(name: string, [a, b]: Pair, between: readonly number[]): Promise<Subject> {
  await succeed(a.host, "ping", ["-c1", `-W${FIRST_ANSWER_S}`, "-q", "b.i3"]);
  return { name, a: a.host, b: b.host, address: b.address4, pids: { a: a.child?.pid ?? 0, b: b.child?.pid ?? 0, between } };
}
