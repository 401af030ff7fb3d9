/**
 * Two hosts behind each kind of NAT, and a ring of three. Proxies run only while their hosts are measured:
 *
 *     s1 s2 s3 ── core ── 5 ms ── nat ── host                    one level
 *                  └───── 5 ms ── carrier ── nat ── host         two levels: a carrier's NAT, endpoint-independent and port-restricted, before each
 *                  └───── 5 ms ── host                           two families: one host with IPv4 alone, one with IPv6 alone
 */
import { Laptop, startRing } from "@i3/demo";
import { Topology, type Host, type Nat, type Router } from "@i3/netns";

import { CARRIER, kindName, type Kind } from "./kinds.js";
import { countChecks } from "./tried.js";

const ONE_WAY_MS = 5;

interface Site {
  readonly kind: Kind;
  readonly host: Host;
  /** From the host outwards. */
  readonly nats: readonly Nat[];
}

export interface Member extends Site {
  /** Its own address. */
  readonly place: string;
  readonly laptop: Laptop;
  /** By which the others know it. */
  readonly name: string;
}

export interface NatBed {
  readonly near: readonly Member[];
  readonly far: readonly Member[];
  close(): Promise<void>;
}

export async function openNatBed(kinds: readonly Kind[], levels: 1 | 2): Promise<NatBed> {
  const topology = await Topology.create();
  try {
    const core = topology.router("core");
    const servers = Array.from({ length: 3 }, (_, i) => {
      const server = topology.host(`s${i + 1}`);
      topology.link(core, server, { subnet: `192.0.2.${4 * (i + 1)}/30` });
      return server;
    });
    const sites = (["a", "b"] as const).map((side, s) => kinds.map((kind, k) => ({ ...addSite(topology, core, `${side}${k}`, s * kinds.length + k, kind, levels), name: `${side}${k}.i3` })));
    await topology.up();
    await startRing(servers);
    const serverAddresses = servers.map((server) => server.address4);
    const sides: Member[][] = [];
    for (const side of sites) {
      const members: Member[] = [];
      for (const site of side) members.push({ ...site, place: site.host.address4, laptop: await Laptop.make(site.host, { serverAddresses, logLevel: "info" }) });
      sides.push(members);
    }
    const [near = [], far = []] = sides;
    const all = [...near, ...far];
    for (const { laptop, name } of all) await laptop.writeBook(Object.fromEntries(all.filter((other) => other.name !== name).map((other) => [other.name, other.laptop])));
    return { near, far, close: () => topology.close() };
  } catch (error) {
    await topology.close().catch(() => undefined);
    throw error;
  }
}

/** Servers of both families; a host of IPv4 alone is near, one of IPv6 alone is far. */
export async function openFamilyBed(): Promise<NatBed> {
  const topology = await Topology.create();
  try {
    const core = topology.router("core");
    const servers = Array.from({ length: 3 }, (_, i) => {
      const server = topology.host(`s${i + 1}`);
      topology.link(core, server, { subnet: `192.0.2.${4 * (i + 1)}/30`, subnet6: `2001:db8:0:${i + 1}::/64` });
      return server;
    });
    const hosts = [topology.host("four"), topology.host("six")];
    for (const host of hosts) topology.link(core, host, { ...(host.name === "four" ? { subnet: "198.51.100.4/30" } : { subnet6: "2001:db8:1::/64" }), wan: { delayMs: ONE_WAY_MS } });
    await topology.up();
    await startRing(servers, { hasBothFamilies: true });
    const serverAddresses = servers.flatMap((server) => [server.address4, server.address6]);
    const members: Member[] = [];
    for (const host of hosts) members.push({ kind: null, host, nats: [], place: host.name === "four" ? host.address4 : host.address6, name: `${host.name}.i3`, laptop: await Laptop.make(host, { serverAddresses, logLevel: "info" }) });
    for (const { laptop, name } of members) await laptop.writeBook(Object.fromEntries(members.filter((other) => other.name !== name).map((other) => [other.name, other.laptop])));
    return { near: members.slice(0, 1), far: members.slice(1), close: () => topology.close() };
  } catch (error) {
    await topology.close().catch(() => undefined);
    throw error;
  }
}

/** As if it had never run: no keys of associations, no mappings, NATs that know nothing of it. Until it is registered with the ring. */
export async function startFresh({ laptop, nats, host }: Member): Promise<void> {
  await Promise.all([...nats.map((nat) => nat.reboot()), laptop.forget(), countChecks(host)]);
  await laptop.start();
}

function addSite(topology: Topology, core: Router, name: string, index: number, kind: Kind, levels: 1 | 2): Site {
  const host = topology.host(name);
  const wan = { subnet: `198.51.100.${4 * (index + 1)}/30`, wan: { delayMs: ONE_WAY_MS } };
  const nat = kind === null ? null : topology.nat(`n-${name}`, kind);
  const outside = nat ?? host;
  const carrier = levels === 1 ? null : topology.nat(`c-${name}`, CARRIER);
  topology.link(core, carrier ?? outside, wan);
  if (carrier !== null) topology.link(carrier, outside, { subnet: `100.64.${index}.0/30` });
  if (nat !== null) topology.link(nat, host, { subnet: `192.168.${index}.0/30` });
  return { kind, host, nats: [nat, carrier].filter((each) => each !== null) };
}

/** For people. */
export const pairName = (a: Member, b: Member): string => `${kindName(a.kind)} calls ${kindName(b.kind)}`;
