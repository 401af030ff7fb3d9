/**
 * Topologies that a person can have by name (shell.ts), for the figures of bench/README.md. `standard` is in standard-topology.ts.
 *
 *   carriers:  s1 s2 s3                                  uplinks:   s1 s2 s3
 *                 \|/                                                  \|/
 *        +------ core ------+                             +----------- core -----------+
 *    carrier1            carrier2                       wifi           |              dsl
 *     |     |               |                             |           lte              |
 *   home1  home2          home3                      eth0 |            | eth1         eth0
 *     |     |               |                             +--- mover --+              desk
 *   laptop phone           desk                       metric 100    metric 200
 */
import { NetnsError } from "./errors.js";
import type { NatKind } from "./nat/kinds.js";
import type { NatOptions } from "./nat/nat.js";
import type { Host, Router } from "./node.js";
import type { WanOptions } from "./segment.js";
import { standardTopology, type StandardOptions } from "./standard-topology.js";
import { Topology, type TopologyOptions } from "./topology.js";

export interface CarriersOptions extends TopologyOptions {
  /** Both. @default "port-restricted" */
  readonly carrier?: NatKind | NatOptions;
  /** All three. @default "port-restricted" */
  readonly home?: NatKind | NatOptions;
  /** Of core to each carrier. @default none */
  readonly wan?: WanOptions;
}

export interface UplinksOptions extends TopologyOptions {
  /** In place of a router before each uplink. @default none */
  readonly wifi?: NatKind | NatOptions;
  readonly lte?: NatKind | NatOptions;
  readonly dsl?: NatKind | NatOptions;
  /** Of core to wifi, lte and dsl. @default { delayMs: 5 } */
  readonly wan?: WanOptions;
}

const SERVERS = 3;

function addServers(topology: Topology, core: Router): readonly Host[] {
  return Array.from({ length: SERVERS }, (_, i) => {
    const server = topology.host(`s${i + 1}`);
    topology.link(core, server, { subnet: `192.0.2.${4 * (i + 1)}/30` });
    return server;
  });
}

/** People type these: a name is a kind. */
const natOptions = (given: NatKind | NatOptions = "port-restricted"): NatOptions => (typeof given === "object" ? given : { kind: given });
const wanOf = (wan: WanOptions | undefined): { readonly wan?: WanOptions } => (wan === undefined ? {} : { wan });

async function carriers({ carrier, home, wan, ...options }: CarriersOptions): Promise<Topology> {
  const topology = await Topology.create(options);
  const core = topology.router("core");
  addServers(topology, core);
  let homes = 0;
  for (const [i, hosts] of [["laptop", "phone"], ["desk"]].entries()) {
    const box = topology.nat(`carrier${i + 1}`, natOptions(carrier));
    topology.link(core, box, { subnet: `198.51.100.${4 * (i + 1)}/30`, ...wanOf(wan) });
    for (const name of hosts) {
      homes += 1;
      const nat = topology.nat(`home${homes}`, natOptions(home));
      topology.link(box, nat, { subnet: `100.64.${homes}.0/30` });
      topology.lan(`lan${homes}`, { subnet: `192.168.${homes}.0/24`, gateway: nat, members: [topology.host(name)] });
    }
  }
  await topology.up();
  return topology;
}

async function uplinks({ wifi, lte, dsl, wan = { delayMs: 5 }, ...options }: UplinksOptions): Promise<Topology> {
  const topology = await Topology.create(options);
  const core = topology.router("core");
  addServers(topology, core);
  const [mover, desk] = [topology.host("mover"), topology.host("desk")];
  for (const [i, { name, nat, host }] of [{ name: "wifi", nat: wifi, host: mover }, { name: "lte", nat: lte, host: mover }, { name: "dsl", nat: dsl, host: desk }].entries()) {
    const gateway = nat === undefined ? topology.router(name) : topology.nat(name, natOptions(nat));
    topology.link(core, gateway, { subnet: `203.0.113.${4 * i}/30`, wan });
    topology.lan(`${name}-lan`, { subnet: `198.51.${100 + i}.0/24`, gateway, members: [host] });
  }
  await topology.up();
  return topology;
}

/** Which of a recipe's options are NATs, and all of them: people type these, so a misspelled one is refused. */
const TOPOLOGY = ["seed", "resolvers", "isRealTime"] as const satisfies readonly (keyof TopologyOptions)[];
const NAT = ["kind", "mapping", "filtering", "udpTimeoutS", "hairpin", "rebootShift", "egress", "portMapping"] as const satisfies readonly (keyof NatOptions)[];
const STANDARD = ["servers", "nat1", "nat2", "wan", "ipv6"] as const satisfies readonly (keyof StandardOptions)[];
const CARRIERS = ["carrier", "home", "wan"] as const satisfies readonly (keyof CarriersOptions)[];
const UPLINKS = ["wifi", "lte", "dsl", "wan"] as const satisfies readonly (keyof UplinksOptions)[];

interface Recipe {
  readonly options: readonly string[];
  readonly nats: readonly string[];
  readonly build: (options: object) => Promise<Topology>;
}

const RECIPES: Readonly<Record<string, Recipe>> = {
  standard: { options: STANDARD, nats: ["nat1", "nat2"], build: async (options) => (await standardTopology(options)).topology },
  carriers: { options: CARRIERS, nats: ["carrier", "home"], build: (options) => carriers(options) },
  uplinks: { options: UPLINKS, nats: ["wifi", "lte", "dsl"], build: (options) => uplinks(options) },
};

/** @param options of that recipe. Rejects with ERR_I3_NETNS_PLAN for a name, or an option, that there is not. */
export async function buildRecipe(name: string, options: unknown): Promise<Topology> {
  const recipe = Object.hasOwn(RECIPES, name) ? RECIPES[name] : undefined;
  if (recipe === undefined) throw new NetnsError("ERR_I3_NETNS_PLAN", `no topology "${name}"; there are: ${Object.keys(RECIPES).join(", ")}`);
  const given = record(options, "the options");
  refuseUnknown(name, given, [...recipe.options, ...TOPOLOGY]);
  for (const nat of recipe.nats) if (typeof given[nat] === "object") refuseUnknown(nat, record(given[nat], nat), NAT);
  return recipe.build(given);
}

function record(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new NetnsError("ERR_I3_NETNS_PLAN", `${what}: expected names and values, {…}`);
  return value as Readonly<Record<string, unknown>>;
}

function refuseUnknown(what: string, given: object, known: readonly string[]): void {
  const unknown = Object.keys(given).find((option) => !known.includes(option));
  if (unknown !== undefined) throw new NetnsError("ERR_I3_NETNS_PLAN", `${what} has no option "${unknown}"; there are: ${known.join(", ")}`);
}
