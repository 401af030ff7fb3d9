/**
 * The topology that most tests and the demo use.
 *
 *        s1 192.0.2.6    s2 192.0.2.10    …   sN          resolver 203.0.113.6
 *             \               |              /             /
 *              \              |             /             /
 *               +------------ core (router) -------------+
 *                            /             \
 *          198.51.100.6     /               \     198.51.100.10
 *             nat1 (port-restricted)       nat2 (symmetric)
 *          192.168.1.1     |                   |  192.168.2.1
 *           =====+=========+=====       =======+=====+=======
 *                |         |                         |
 *             laptop   neighbour                    home
 *        192.168.1.10  192.168.1.11            192.168.2.10
 *
 * Every link to `core` may be emulated (delay, loss, rate…). With `ipv6: true` each segment also has a prefix out of
 * 2001:db8::/32; NATs then route IPv6 untranslated behind a stateful firewall.
 */
import { NetnsError } from "./errors.js";
import type { NatKind } from "./nat/kinds.js";
import type { Nat, NatOptions } from "./nat/nat.js";
import type { Host, Router } from "./node.js";
import type { Lan, Link, LinkOptions, WanOptions } from "./segment.js";
import { Topology, type TopologyOptions } from "./topology.js";

export interface StandardOptions extends TopologyOptions {
  /** Number of public servers s1…sN, at most 60. @default 3 */
  readonly servers?: number;
  /** In front of laptop and neighbour. @default "port-restricted" */
  readonly nat1?: NatKind | NatOptions;
  /** In front of home. @default "symmetric" */
  readonly nat2?: NatKind | NatOptions;
  /** Emulated links, by the name of the node that is not `core`: { nat1: { delayMs: 20 }, s1: {} }. @default none */
  readonly wan?: Readonly<Record<string, WanOptions>>;
  /** @default false */
  readonly ipv6?: boolean;
}

export interface StandardTopology {
  readonly topology: Topology;
  readonly core: Router;
  readonly servers: readonly Host[];
  readonly resolver: Host;
  readonly nat1: Nat;
  readonly nat2: Nat;
  readonly laptop: Host;
  /** On the laptop's LAN. */
  readonly neighbour: Host;
  readonly home: Host;
  /** By the name of the node that is not `core`: s1…sN, resolver, nat1, nat2. */
  readonly links: ReadonlyMap<string, Link>;
  readonly laptopLan: Lan;
  readonly homeLan: Lan;
}

const NETWORK = "198.51.100";
/** Of NATs with `portMapping`, which addresses for documentation do not satisfy. Nothing leaves the sandbox. */
const MAPPING_NETWORK = "11.0.0";
const RESOLVER_ADDRESS = "203.0.113.6";

/** Declares and builds it. Rejects as `Topology.up` does; then nothing is left. */
export async function standardTopology(options: StandardOptions = {}): Promise<StandardTopology> {
  const topology = await Topology.create({ resolvers: [RESOLVER_ADDRESS], ...options });
  const core = topology.router("core");
  const links = new Map<string, Link>();
  const connect = <T extends Host | Nat>(node: T, subnet: string, index: number): T => {
    const wan = options.wan?.[node.name];
    const subnet6 = `2001:db8:0:${index.toString(16)}::/64`;
    const link: LinkOptions = { subnet, ...(options.ipv6 === true ? { subnet6 } : {}), ...(wan === undefined ? {} : { wan }) };
    links.set(node.name, topology.link(core, node, link));
    return node;
  };
  const lan = (name: string, number: number, gateway: Nat, members: readonly Host[]): Lan => {
    const subnet6 = options.ipv6 === true ? { subnet6: `2001:db8:1:${number}::/64` } : {};
    return topology.lan(name, { subnet: `192.168.${number}.0/24`, ...subnet6, gateway, members });
  };

  const servers = Array.from({ length: options.servers ?? 3 }, (_, i) => connect(topology.host(`s${i + 1}`), `192.0.2.${4 * (i + 1)}/30`, 0x100 + i));
  const resolver = connect(topology.host("resolver"), "203.0.113.4/30", 1);
  const nat = (name: string, given: NatKind | NatOptions | undefined, kind: NatKind, index: number): Nat => {
    const natOptions: NatOptions = typeof given === "string" ? { kind: given } : { kind, ...given };
    const network = (natOptions.portMapping ?? false) !== false ? MAPPING_NETWORK : NETWORK;
    return connect(topology.nat(name, natOptions), `${network}.${4 * (index - 1)}/30`, index);
  };
  const nat1 = nat("nat1", options.nat1, "port-restricted", 2);
  const nat2 = nat("nat2", options.nat2, "symmetric", 3);
  const laptop = topology.host("laptop");
  const neighbour = topology.host("neighbour");
  const home = topology.host("home");
  for (const name of Object.keys(options.wan ?? {})) {
    if (!links.has(name)) throw new NetnsError("ERR_I3_NETNS_PLAN", `wan: there is no link between core and ${name}`);
  }
  const laptopLan = lan("laptop-lan", 1, nat1, [laptop, neighbour]);
  const homeLan = lan("home-lan", 2, nat2, [home]);
  await topology.up();
  return { topology, core, servers, resolver, nat1, nat2, laptop, neighbour, home, links, laptopLan, homeLan };
}
