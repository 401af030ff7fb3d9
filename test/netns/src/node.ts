/** The machines of a topology, each in a network namespace of its own. */
import { writeFile } from "node:fs/promises";
import { isIPv6 } from "node:net";
import { join } from "node:path";
import { Child, type SpawnOptions } from "./child.js";
import { NetnsError } from "./errors.js";
import type { Namespace } from "./namespace.js";
import type { NodeKind, RoutePlan } from "./plan.js";
import type { RunOptions, RunResult } from "./run.js";

/** A node's place on a link or LAN. */
export interface Interface {
  /** As the node itself sees it: eth0, eth1… on hosts, to-NEIGHBOUR on routers and NAT boxes. */
  readonly name: string;
  /** Name of the link ("core-s1") or LAN. */
  readonly segment: string;
  readonly address4: string | undefined;
  readonly address6: string | undefined;
  readonly prefixBits4: number;
  readonly prefixBits6: number;
  /** The other end of the wire: a port of the router, or of the LAN's switch. */
  readonly far: { readonly namespace: Namespace; readonly interfaceName: string };
}

export type AddressOrder = "make-before-break" | "break-before-make";

export abstract class NetNode {
  abstract readonly kind: NodeKind;
  readonly name: string;
  readonly namespace: Namespace;
  readonly #interfaces: Interface[] = [];
  #routes: readonly RoutePlan[] = [];
  readonly #children = new Set<Child>();

  constructor(name: string, namespace: Namespace) {
    this.name = name;
    this.namespace = namespace;
  }

  /** In the order in which links and LANs were declared. */
  get interfaces(): readonly Interface[] {
    return this.#interfaces;
  }

  /** Called by the topology while it is declared. */
  attach(attached: Interface): void {
    this.#interfaces.push(attached);
  }

  /** Called by the topology when everything is declared. */
  setRoutes(routes: readonly RoutePlan[]): void {
    this.#routes = routes;
  }

  /** `ip` commands that bring one interface up, with its addresses and the routes over it. */
  ipCommands(attached: Interface): string[] {
    const { name, address4, address6, prefixBits4, prefixBits6 } = attached;
    return [
      `link set dev ${name} up`,
      ...(address4 === undefined ? [] : [`addr replace ${address4}/${prefixBits4} dev ${name}`]),
      ...(address6 === undefined ? [] : [`addr replace ${address6}/${prefixBits6} dev ${name} nodad`]),
      ...this.#routeCommands(attached),
    ];
  }

  /**
   * Takes an interface down, as when a cable is pulled or Wi-Fi is lost: the node sees it, its addresses of IPv6 and its routes are
   * gone. Up again they return; routes given to `Topology.route` do not. Resolves when packets pass.
   */
  async setInterface(name: string, { up }: { readonly up: boolean }): Promise<void> {
    const attached = this.#interfaceNamed(name);
    const ipCommands = up ? this.ipCommands(attached) : [`link set dev ${name} down`];
    await this.namespace.configure({ sysctls: [], ipCommands, nftRules: "", ready: up ? [readyLine(attached)] : [] });
  }

  /**
   * Changes an address of an interface to another of its subnet, of the same family. "make-before-break": both are there for a
   * moment; "break-before-make": neither, and with the last address the routes go and come back. Either address may be left out:
   * add one, and take the other away when it pleases. From then on `address4` and `address6` are `to`'s.
   */
  async setAddress(name: string, from: string | undefined, to: string | undefined, order: AddressOrder = "break-before-make"): Promise<void> {
    const attached = this.#interfaceNamed(name);
    const families = new Set([from, to].flatMap((address) => (address === undefined ? [] : [isIPv6(address) ? 6 : 4])));
    if (families.size !== 1) throw new NetnsError("ERR_I3_NETNS_PLAN", `${from ?? "none"} to ${to ?? "none"} is no change within one family`);
    const is6 = families.has(6);
    const suffix = `/${is6 ? attached.prefixBits6 : attached.prefixBits4} dev ${name}`;
    const make = to === undefined ? [] : [`addr add ${to}${suffix}${is6 ? " nodad" : ""}`];
    const breaking = from === undefined ? [] : [`addr del ${from}${suffix}`];
    const changes = order === "make-before-break" ? [...make, ...breaking] : [...breaking, ...make];
    const field = is6 ? "address6" : "address4";
    const left = to ?? (from === attached[field] ? undefined : attached[field]);
    const changed = { ...attached, [field]: left };
    const routes = left === undefined ? [] : this.#routeCommands(changed, is6 ? [6] : [4]);
    await this.namespace.configure({ sysctls: [], ipCommands: [...changes, ...routes], nftRules: "", ready: [] });
    this.#interfaces[this.#interfaces.indexOf(attached)] = changed;
  }

  /** Programs started with `spawn`, ended ones too. */
  get children(): readonly Child[] {
    return [...this.#children];
  }

  /** The first IPv4 address. Throws ERR_I3_NETNS_PLAN when there is none. */
  get address4(): string {
    return this.#address("address4");
  }

  /** The first IPv6 address. Throws ERR_I3_NETNS_PLAN when there is none. */
  get address6(): string {
    return this.#address("address6");
  }

  /** A directory for the node's state; gone after `Topology.close`. */
  get directory(): string {
    return join(this.namespace.directory, "state");
  }

  /** Writes `name` into `directory`. Resolves with the absolute path. */
  async writeFile(name: string, content: string | Uint8Array): Promise<string> {
    const path = join(this.directory, name);
    await writeFile(path, content);
    return path;
  }

  /** What /etc/resolv.conf lists for programs on this node, running ones included. */
  setResolvers(addresses: readonly string[]): Promise<void> {
    return this.namespace.setResolvers(addresses);
  }

  /** Runs a program to its end; see `run` for the errors. A program that is not found gives status 127. */
  exec(program: string, args: readonly string[] = [], options?: RunOptions): Promise<RunResult> {
    return this.namespace.run([program, ...args], options);
  }

  /** Starts a program that is killed, at the latest, when the topology closes. */
  spawn(program: string, args: readonly string[] = [], options?: SpawnOptions): Child {
    const child = new Child(this.namespace.argvInside([program, ...args]), `${this.name}: ${program} ${args.join(" ")}`, options);
    this.#children.add(child);
    return child;
  }

  /**
   * Drops everything from and to this node, silently, at the other end of its wires: the node sees neither an error nor a link
   * that went down. `segment` limits it to one link or LAN. Repeating it changes nothing.
   */
  async cutOff(segment?: string): Promise<void> {
    for (const { far } of this.#onSegment(segment)) await far.namespace.nft(`${forgetCut(far.interfaceName)}${cutTable(far.interfaceName)}`);
  }

  /**
   * Whether this node sends or forwards errors of ICMP and ICMPv6: a path without them does not say that a packet was too big.
   * Pings pass.
   */
  async setIcmpErrors({ dropped }: { readonly dropped: boolean }): Promise<void> {
    await this.namespace.nft(`add table inet ${SILENCE}\ndelete table inet ${SILENCE}\n${dropped ? SILENCE_TABLE : ""}`);
  }

  /** Undoes `cutOff`. */
  async restore(segment?: string): Promise<void> {
    for (const { far } of this.#onSegment(segment)) await far.namespace.nft(forgetCut(far.interfaceName));
  }

  #routeCommands({ name }: Interface, families: readonly (4 | 6)[] = [4, 6]): string[] {
    return this.#routes
      .filter(({ interfaceName, family }) => interfaceName === name && families.includes(family))
      .map(({ destination, via, metric }) => `route replace ${destination} via ${via} dev ${name}${metric === undefined ? "" : ` metric ${metric}`}`);
  }

  #interfaceNamed(name: string): Interface {
    const found = this.#interfaces.find((attached) => attached.name === name);
    if (found === undefined) throw new NetnsError("ERR_I3_NETNS_PLAN", `${this.name} has no interface ${name}`);
    return found;
  }

  #onSegment(segment: string | undefined): readonly Interface[] {
    const found = this.#interfaces.filter((attached) => segment === undefined || attached.segment === segment);
    if (found.length === 0) throw new NetnsError("ERR_I3_NETNS_PLAN", `${this.name} is not on ${segment ?? "any segment"}`);
    return found;
  }

  #address(family: "address4" | "address6"): string {
    const found = this.#interfaces.find((attached) => attached[family] !== undefined)?.[family];
    if (found === undefined) throw new NetnsError("ERR_I3_NETNS_PLAN", `${this.name} has no ${family}`);
    return found;
  }
}

export class Host extends NetNode {
  readonly kind = "host";
}

export class Router extends NetNode {
  readonly kind = "router";
}

/** For `NamespaceSetup.ready`: a TUN device's state is unknown. */
export function readyLine({ name }: Interface): string {
  return `/sys/class/net/${name}/operstate up unknown`;
}

const SILENCE = "icmp_errors_dropped";
const ICMP_ERRORS = `icmp type { destination-unreachable, source-quench, time-exceeded, parameter-problem } drop
    icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } drop`;
const SILENCE_TABLE = `table inet ${SILENCE} {
  chain forwarded {
    type filter hook forward priority filter - 10
    ${ICMP_ERRORS}
  }
  chain own {
    type filter hook output priority filter - 10
    ${ICMP_ERRORS}
  }
}
`;

/** nft identifiers have no "-", node names have no "_". */
function cutName(interfaceName: string): string {
  return `cut_${interfaceName.replaceAll("-", "_")}`;
}

function cutTable(interfaceName: string): string {
  const hook = (direction: "ingress" | "egress"): string => `  chain ${direction}_all {
    type filter hook ${direction} device "${interfaceName}" priority 0; policy drop
  }
`;
  return `table netdev ${cutName(interfaceName)} {\n${hook("ingress")}${hook("egress")}}\n`;
}

/** Deleting what may not exist: adding it first makes that legal, and the transaction is atomic. */
function forgetCut(interfaceName: string): string {
  const name = cutName(interfaceName);
  return `add table netdev ${name}\ndelete table netdev ${name}\n`;
}
