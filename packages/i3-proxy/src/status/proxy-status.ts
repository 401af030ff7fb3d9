/** What the control socket says of a proxy (docs/control.md). No key and no id is among it. Without I/O. */
import { formatIpText, locatorText, type AddressBook } from "@i3/common";
import type { Datapath } from "@i3/datapath";

import type { Mapping } from "../mappings/mapping.js";
import { addressesOf } from "../mappings/mapping-table.js";
import type { UnruledNames } from "../policy/unruled-names.js";
import type { Proxy } from "../proxy.js";

// Ours:
/** Of many in one line. */
const MAX_SHOWN = 4;

export interface ProxyStatus {
  /** Of this form: it grows by what is new, and nothing of it changes its meaning or goes away. */
  readonly version: 1;
  readonly daemon: DaemonStatus;
  readonly self: SelfStatus;
  readonly ring: RingStatus;
  /** Those with a mapping, and hosts of the address book that have none yet. */
  readonly peers: readonly PeerStatus[];
  /** What is not as it should be, and what to do. */
  readonly health: readonly HealthStatus[];
}

export interface DaemonStatus {
  /** "i3-proxy", "i3-to-ip" or "ip-to-i3". */
  readonly name: string;
  readonly release: string;
  readonly pid: number;
  readonly uptimeS: number;
  /** The configuration's file. */
  readonly config: string;
  readonly state: "starting" | "running" | "stopping";
}

export interface SelfStatus {
  readonly hit: string;
  readonly ipv4: string;
  readonly tun: string;
  /** UDP. */
  readonly port: number;
}

export interface RingStatus {
  /** `none`: no servers are configured. `tcp`: no server answers over UDP, and packets go by TCP. */
  readonly state: "up" | "tcp" | "down" | "none";
  readonly servers: readonly RingServerStatus[];
}

export interface RingServerStatus {
  readonly locator: string;
  readonly state: "alive" | "dead" | "unknown";
  /** null: not measured. */
  readonly roundTripMs: number | null;
  /** It has triggers of this host, or carries its packets. */
  readonly inUse: boolean;
}

export interface PeerStatus {
  /** null: a host that is not in the address book. */
  readonly name: string | null;
  /** null: none is known, or it has proved none. */
  readonly hit: string | null;
  /** Its virtual address here; null before anybody has asked for its name. */
  readonly ipv4: string | null;
  /** `idle`: nothing was sent yet. `calling`: it has not answered yet. `refused`: it did not answer, and programs hear so for a while. */
  readonly state: "idle" | "calling" | "open" | "refused";
  /** `direct`: past the servers, to this place. `relay`: by this server of the ring. null: there is no way yet. */
  readonly path: { readonly kind: "direct" | "relay"; readonly to: string } | null;
  /** What its packets carry; null while nothing goes. */
  readonly security: "esp" | "auth" | "none" | null;
  /** Since the last packet either way; null: none. */
  readonly idleS: number | null;
  readonly packetsIn: number;
  readonly packetsOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export interface HealthStatus {
  /** For programs. */
  readonly code: string;
  readonly what: string;
  readonly remedy: string;
}

/** Of a proxy that runs. */
export interface StatusSources {
  readonly daemon: DaemonStatus;
  readonly proxy: Proxy;
  readonly engine: { readonly tun: { readonly name: string } | null; readonly udp: { readonly port: number }; readonly datapath: Datapath };
  /** The configuration names some, or a list of them. */
  readonly hasServers: boolean;
  readonly book: AddressBook;
  /** Of the virtual range, with what. */
  readonly overlaps: readonly string[];
  readonly unruled: UnruledNames;
}

export function proxyStatus(nowMs: number, { daemon, proxy, engine: { tun, udp, datapath }, hasServers, book, overlaps, unruled }: StatusSources): ProxyStatus {
  const ring = ringStatus(proxy, hasServers);
  return {
    version: 1, daemon, self: { hit: formatIpText(proxy.own6), ipv4: formatIpText(proxy.own4), tun: tun?.name ?? "", port: udp.port },
    ring, peers: peerStatuses(nowMs, proxy, datapath, book), health: [...ringHealth(ring), ...localHealth(overlaps, unruled)],
  };
}

function ringStatus(proxy: Proxy, hasServers: boolean): RingStatus {
  const servers = proxy.client.servers().map(({ locator, liveness, rttMs, inUse }) => ({
    locator: locatorText(locator), state: liveness, roundTripMs: Number.isFinite(rttMs) ? Math.round(rttMs * 100) / 100 : null, inUse,
  }));
  const isAlive = servers.some(({ state }) => state === "alive");
  return { state: !hasServers ? "none" : proxy.detour?.isOn === true ? "tcp" : isAlive ? "up" : "down", servers };
}

function peerStatuses(nowMs: number, proxy: Proxy, datapath: Datapath, book: AddressBook): readonly PeerStatus[] {
  const peers = Array.from(proxy.mappings.all(), (mapping) => peerStatus(nowMs, proxy, datapath, mapping));
  const known = new Set(peers.map(({ name }) => name));
  const others = book.entries.filter(({ name }) => !known.has(name)).map(({ name, hit }): PeerStatus => ({
    name, hit: hit === undefined ? null : formatIpText(hit), ipv4: null, state: "idle", path: null, security: null, idleS: null, packetsIn: 0, packetsOut: 0, bytesIn: 0, bytesOut: 0,
  }));
  return [...peers, ...others].sort((a, b) => compare(a.name, b.name));
}

/** By name; hosts without one come last. */
const compare = (a: string | null, b: string | null): number => (a === b ? 0 : a === null ? 1 : b === null ? -1 : a < b ? -1 : 1);

function peerStatus(nowMs: number, proxy: Proxy, datapath: Datapath, mapping: Mapping): PeerStatus {
  const counters = addressesOf(mapping).map((address) => datapath.flowCounters(address));
  const sum = (what: "packetsIn" | "packetsOut" | "bytesIn" | "bytesOut"): number => counters.reduce((total, each) => total + (each?.[what] ?? 0), 0);
  const lastMs = Math.max(...addressesOf(mapping).map((address) => datapath.lastUse(address) ?? -Infinity));
  const report = proxy.setups.hip?.report(nowMs, mapping) ?? null;
  const isOpen = mapping.state === "open";
  return {
    name: mapping.name, hit: mapping.peerHit === null ? null : formatIpText(mapping.peerHit), ipv4: formatIpText(mapping.local4), state: mapping.state,
    path: isOpen ? pathOf(proxy, mapping, report?.path ?? "i3") : null, security: isOpen ? (report?.security ?? mapping.security) : null, idleS: lastMs === -Infinity ? null : Math.max(0, Math.floor((nowMs - lastMs) / 1_000)),
    packetsIn: sum("packetsIn"), packetsOut: sum("packetsOut"), bytesIn: sum("bytesIn"), bytesOut: sum("bytesOut"),
  };
}

function pathOf(proxy: Proxy, { peer }: Mapping, path: string): PeerStatus["path"] {
  if (path !== "i3") return { kind: "direct", to: path.replace(/^udp /, "") };
  const server = (peer === null ? null : proxy.client.serverOfPath(peer.privateId)) ?? proxy.client.firstHop();
  return server === null ? null : { kind: "relay", to: locatorText(server) };
}

export function ringHealth({ state, servers }: RingStatus): readonly HealthStatus[] {
  const dead = servers.filter((server) => server.state === "dead").map(({ locator }) => locator);
  if (state === "down") return [{ code: "no-server", what: "no i3 server answers", remedy: "Is this machine connected, and are the <servers> of the configuration right? It goes on asking." }];
  if (state === "tcp") return [{ code: "detour", what: "no server answers over UDP: packets go by TCP, slower", remedy: "Let UDP to the servers' port out of this network." }];
  if (dead.length === 0) return [];
  return [{ code: "server-dead", what: `${dead.length} of ${servers.length} servers do not answer: ${dead.slice(0, MAX_SHOWN).join(", ")}`, remedy: "Others have taken over. Who runs them should know." }];
}

function localHealth(overlaps: readonly string[], { names, count }: UnruledNames): readonly HealthStatus[] {
  const shown = names.join(", ");
  return [
    ...overlaps.map((overlap) => ({ code: "overlap", what: `the range of virtual addresses overlaps with ${overlap}`, remedy: "Those addresses are not given out. If names fail, choose another <virtual-addresses range>." })),
    ...(count === 0 ? [] : [{ code: "no-rule", what: `no rule matches ${count === names.length ? shown : `${count} names of the address book, such as ${shown}`}`, remedy: 'They are not answered for here. Add a rule with go="i3".' }]),
  ];
}
