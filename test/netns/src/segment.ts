/** What connects nodes: a `Link` of two, or a `Lan`, a switch in a namespace of its own. */
import type { Emulator } from "./emulator.js";
import type { Direction, StatsResult } from "./emulator-messages.js";
import { NetnsError } from "./errors.js";
import { changeImpairment, PLAIN_WIRE, type Impairment } from "./impairment.js";
import type { Namespace } from "./namespace.js";
import type { NetNode } from "./node.js";
import type { Attachment, SegmentPlan } from "./plan.js";
import { SeededRandom } from "./seeded-random.js";
import { addressAt, containsAddress, parseSubnet, type Subnet } from "./subnet.js";

export interface SegmentOptions {
  /** IPv4 prefix, such as "192.0.2.4/30". At least one of both families is needed. */
  readonly subnet?: string;
  /** IPv6 prefix, such as "2001:db8:1::/64". */
  readonly subnet6?: string;
  /** Addresses by node name, IPv4 or IPv6 inside the subnets, instead of those handed out. */
  readonly addresses?: Readonly<Record<string, readonly string[]>>;
  /** @default 1500 */
  readonly mtu?: number;
}

/** What both directions do to packets, and what one of them does differently. */
export interface WanOptions extends Impairment {
  /** From `b` to `a`, its gateway. */
  readonly up?: Impairment;
  /** From `a` to `b`. */
  readonly down?: Impairment;
}

export interface LinkOptions extends SegmentOptions {
  /** Makes this an emulated link, between TUN devices instead of a veth pair; `{}` is a plain wire that can be changed later. */
  readonly wan?: WanOptions;
}

export interface LanOptions extends SegmentOptions {
  /** The node from which the members take their default route. @default none */
  readonly gateway?: NetNode;
  readonly members: readonly NetNode[];
}

const MTU = 1500;
/** Members of a LAN begin here, so that a person knows them from the gateway at a glance. */
const FIRST_MEMBER = 10;
const BRIDGE = "lan_bridge";
/** BR_STATE_FORWARDING of linux/if_bridge.h. */
const BRIDGE_PORT_FORWARDS = 3;
/** Room for a burst while the emulator's process waits for its turn on a core. */
const TUN_QUEUE_PACKETS = 2_000;

export abstract class Segment {
  readonly name: string;
  readonly mtu: number;
  readonly #options: SegmentOptions;
  readonly #subnet4: Subnet | undefined;
  readonly #subnet6: Subnet | undefined;
  protected readonly attachments: Attachment[] = [];

  constructor(name: string, options: SegmentOptions) {
    this.name = name;
    this.mtu = options.mtu ?? MTU;
    this.#options = options;
    this.#subnet4 = familySubnet(options.subnet, 4);
    this.#subnet6 = familySubnet(options.subnet6, 6);
    if (this.#subnet4 === undefined && this.#subnet6 === undefined) throw new NetnsError("ERR_I3_NETNS_PLAN", `${name} has no subnet`);
  }

  abstract get gateway(): NetNode | undefined;
  /** Gives the nodes their interfaces and addresses; called once, when the segment is declared. */
  abstract attachNodes(): void;
  /** `ip` commands that make the interfaces in the nodes' namespaces, which exist. */
  abstract wireCommands(): string[];

  get plan(): SegmentPlan {
    const kind = this instanceof Link ? "link" : "lan";
    return { name: this.name, kind, subnet4: this.#subnet4, subnet6: this.#subnet6, gateway: this.gateway?.name, attachments: this.attachments };
  }

  /** `index`: of the address in the subnets; `far`: the other end of the wire. */
  protected attachNode(node: NetNode, interfaceName: string, index: number, far: { namespace: Namespace; interfaceName: string }): void {
    const address4 = this.#addressFor(node, this.#subnet4, index);
    const address6 = this.#addressFor(node, this.#subnet6, index);
    this.attachments.push({ node: node.name, interfaceName, address4, address6 });
    node.attach({
      name: interfaceName,
      segment: this.name,
      address4,
      address6,
      prefixBits4: this.#subnet4?.prefixBits ?? 32,
      prefixBits6: this.#subnet6?.prefixBits ?? 128,
      far,
    });
  }

  #addressFor(node: NetNode, subnet: Subnet | undefined, index: number): string | undefined {
    if (subnet === undefined) return undefined;
    return this.#options.addresses?.[node.name]?.find((address) => containsAddress(subnet, address)) ?? addressAt(subnet, index);
  }
}

/** A wire between two nodes, of which `a` is the gateway. Named "A-B". */
export class Link extends Segment {
  readonly a: NetNode;
  readonly b: NetNode;
  readonly #wan: Readonly<Record<Direction, Impairment>> | undefined;
  #emulator: Emulator | undefined;

  constructor(a: NetNode, b: NetNode, options: LinkOptions) {
    super(`${a.name}-${b.name}`, options);
    this.a = a;
    this.b = b;
    this.#wan = options.wan === undefined ? undefined : splitWan(options.wan);
  }

  /** Whether it has a WAN emulator; `set` and `stats` need one. */
  get isEmulated(): boolean {
    return this.#wan !== undefined;
  }

  get gateway(): NetNode {
    return this.a;
  }

  attachNodes(): void {
    const nameA = interfaceName(this.a, this.b.name);
    const nameB = interfaceName(this.b, this.a.name);
    this.attachNode(this.a, nameA, 1, { namespace: this.b.namespace, interfaceName: nameB });
    this.attachNode(this.b, nameB, 2, { namespace: this.a.namespace, interfaceName: nameA });
  }

  wireCommands(): string[] {
    const [endA, endB] = this.attachments;
    if (endA === undefined || endB === undefined) throw new NetnsError("ERR_I3_NETNS_PLAN", `${this.name} was never declared`);
    if (this.isEmulated) return [];
    return [vethCommand(endA.interfaceName, this.a.namespace, endB.interfaceName, this.b.namespace, this.mtu)];
  }

  /** Makes the TUN devices and moves them into the ends' namespaces. Resolves with the `ip` commands that do the moving. */
  async openEmulated(emulator: Emulator, seed: number): Promise<string[]> {
    if (this.#wan === undefined) return [];
    this.#emulator = emulator;
    const direction = (name: Direction): { impairment: Impairment; seed: number } => {
      return { impairment: this.#wan?.[name] ?? {}, seed: new SeededRandom(seed, `${this.name} ${name}`).next() * 2 ** 32 };
    };
    const devices = await emulator.open({ link: this.name, mtu: this.mtu, up: direction("up"), down: direction("down") });
    const moves = [[devices.deviceA, this.a], [devices.deviceB, this.b]] as const;
    return moves.map(([device, node], end) => {
      const name = this.attachments[end]?.interfaceName ?? "";
      return `link set dev ${device} netns ${node.namespace.name} name ${name} mtu ${this.mtu} txqueuelen ${TUN_QUEUE_PACKETS}`;
    });
  }

  /**
   * Changes what the emulator does to packets from now on; the rest stays. Rejects with ERR_I3_NETNS_PLAN for a value out of range
   * or a link without `wan`, before `up` too.
   */
  async set(change: Impairment, directions: Direction | "both" = "both"): Promise<void> {
    changeImpairment(PLAIN_WIRE, change);
    const both = ["up", "down"] as const;
    await this.#emulated().set({ type: "set", link: this.name, change, directions: directions === "both" ? both : [directions] });
  }

  /** Drops everything in these directions, also what is on its way. Nobody is told. */
  cut(directions: Direction | "both" = "both"): Promise<void> {
    return this.set({ isCut: true }, directions);
  }

  /** Undoes `cut`. */
  mend(directions: Direction | "both" = "both"): Promise<void> {
    return this.set({ isCut: false }, directions);
  }

  /** Counters of both directions since the start. */
  stats(): Promise<StatsResult> {
    return this.#emulated().stats(this.name);
  }

  #emulated(): Emulator {
    if (this.#emulator !== undefined) return this.#emulator;
    throw new NetnsError("ERR_I3_NETNS_PLAN", `${this.name} has no emulator yet, or was declared without wan`);
  }
}

/** Checks every value, so that a mistake is found when the link is declared. */
function splitWan(options: WanOptions): Record<Direction, Impairment> {
  const { up = {}, down = {}, ...both } = options;
  for (const part of [both, up, down]) changeImpairment(PLAIN_WIRE, part);
  return { up: { ...both, ...up }, down: { ...both, ...down } };
}

export class Lan extends Segment {
  readonly namespace: Namespace;
  readonly gateway: NetNode | undefined;
  readonly members: readonly NetNode[];

  constructor(name: string, namespace: Namespace, options: LanOptions) {
    super(name, options);
    this.namespace = namespace;
    this.gateway = options.gateway;
    this.members = options.members;
  }

  attachNodes(): void {
    const attach = (node: NetNode, index: number): void =>
      this.attachNode(node, interfaceName(node, this.name), index, { namespace: this.namespace, interfaceName: node.name });
    if (this.gateway !== undefined) attach(this.gateway, 1);
    this.members.forEach((node, order) => attach(node, FIRST_MEMBER + order));
  }

  wireCommands(): string[] {
    return this.#nodes().map((node, order) => {
      const attached = this.attachments[order];
      if (attached === undefined) throw new NetnsError("ERR_I3_NETNS_PLAN", `${this.name} was never declared`);
      return vethCommand(attached.interfaceName, node.namespace, node.name, this.namespace, this.mtu);
    });
  }

  /** Joins the ports to one bridge. Its ports forward at once: there is no spanning tree to wait for. */
  async configure(): Promise<void> {
    const ports = this.#nodes().flatMap(({ name }) => [`link set dev ${name} master ${BRIDGE}`, `link set dev ${name} up`]);
    const ipCommands = [`link add name ${BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`, `link set dev ${BRIDGE} up`, ...ports];
    const ready = this.#nodes().map(({ name }) => `/sys/class/net/${name}/brport/state ${BRIDGE_PORT_FORWARDS}`);
    await this.namespace.configure({ sysctls: ["net/ipv6/conf/all/disable_ipv6 1"], ipCommands, nftRules: "", ready });
  }

  #nodes(): NetNode[] {
    return this.gateway === undefined ? [...this.members] : [this.gateway, ...this.members];
  }
}

function vethCommand(nameA: string, a: Namespace, nameB: string, b: Namespace, mtu: number): string {
  return `link add name ${nameA} netns ${a.name} mtu ${mtu} type veth peer name ${nameB} netns ${b.name} mtu ${mtu}`;
}

function interfaceName(node: NetNode, neighbour: string): string {
  return node.kind === "host" ? `eth${node.interfaces.length}` : `to-${neighbour}`;
}

function familySubnet(text: string | undefined, family: 4 | 6): Subnet | undefined {
  if (text === undefined) return undefined;
  const subnet = parseSubnet(text);
  if (subnet.family !== family) throw new NetnsError("ERR_I3_NETNS_PLAN", `${text} is no IPv${family} subnet`);
  return subnet;
}
