/**
 * Builds a declared topology in network namespaces, and takes it down again.
 *
 *     const t = await Topology.create({ seed: 1 });
 *     const core = t.router("core"), s1 = t.host("s1"), nat1 = t.nat("nat1", { kind: "symmetric" }), laptop = t.host("laptop");
 *     t.link(core, s1, { subnet: "192.0.2.4/30" });              // the first is the gateway of the second
 *     t.link(core, nat1, { subnet: "198.51.100.4/30", wan: { delayMs: 20 } });
 *     t.lan("home", { subnet: "192.168.1.0/24", gateway: nat1, members: [laptop] });
 *     await t.up();
 *     await laptop.exec("ping", ["-c1", s1.address4]);
 *     await t.close();
 *
 * Runs inside the sandbox of enter.mjs only, where everything that is forgotten here ends with the sandbox.
 */
import { randomInt } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Emulator } from "./emulator.js";
import { NetnsError } from "./errors.js";
import { ipBatch, mountEtc, Namespace, unmountEtc } from "./namespace.js";
import { Nat, type NatOptions } from "./nat/nat.js";
import { Host, readyLine, Router, type NetNode } from "./node.js";
import { checkName, natSides, routesOf, type Kinds, type SegmentPlan } from "./plan.js";
import { Lan, Link, type LanOptions, type LinkOptions, type Segment } from "./segment.js";

export interface TopologyOptions {
  /** Of everything random in it: 32 bits. @default drawn, and shown by `diagnose` */
  readonly seed?: number;
  /** Nameservers in every node's /etc/resolv.conf, unless set per node. @default [] */
  readonly resolvers?: readonly string[];
  /** Emulated links go before all other programs, where the system lets us (root): for figures of a few ms. @default false */
  readonly isRealTime?: boolean;
}

export interface HostOptions {
  /** Nameservers in the host's /etc/resolv.conf. @default those of the topology */
  readonly resolvers?: readonly string[];
  /** Routes packets between its interfaces, as a gateway daemon needs. @default false */
  readonly forwarding?: boolean;
}

const STATE_DIRECTORY = "/run/i3-netns";

export class Topology {
  readonly seed: number;
  /** Prefix of all its namespaces' names: t1, t2… */
  readonly id: string;
  readonly #directory: string;
  readonly #resolvers: readonly string[];
  readonly #nodes = new Map<string, NetNode>();
  readonly #nodeResolvers = new Map<string, readonly string[]>();
  readonly #forwarding = new Set<string>();
  readonly #segments: Segment[] = [];
  readonly #extraRoutes = new Map<string, string[]>();
  readonly #isRealTime: boolean;
  #emulator: Emulator | undefined;
  #state: "declared" | "up" | "closed" = "declared";

  private constructor(id: string, options: TopologyOptions) {
    this.id = id;
    this.#directory = join(STATE_DIRECTORY, id);
    this.seed = options.seed ?? randomInt(2 ** 32);
    this.#resolvers = options.resolvers ?? [];
    this.#isRealTime = options.isRealTime ?? false;
  }

  /** Rejects with ERR_I3_NETNS_NO_SANDBOX outside enter.mjs. Several topologies may exist at once. */
  static async create(options: TopologyOptions = {}): Promise<Topology> {
    if (process.env["I3_NETNS_SANDBOX"] === undefined) {
      throw new NetnsError("ERR_I3_NETNS_NO_SANDBOX", "network namespaces are only made inside the sandbox", {
        remedy: "Start this with: node test/netns/enter.mjs -- COMMAND",
      });
    }
    await mkdir(STATE_DIRECTORY, { recursive: true });
    for (let number = 1; ; number++) {
      const id = `t${number}`;
      const taken = await mkdir(join(STATE_DIRECTORY, id)).then(() => false, (error: NodeJS.ErrnoException) => {
        if (error.code === "EEXIST") return true;
        throw error;
      });
      if (!taken) return new Topology(id, options);
    }
  }

  host(name: string, options: HostOptions = {}): Host {
    if (options.resolvers !== undefined) this.#nodeResolvers.set(name, options.resolvers);
    if (options.forwarding === true) this.#forwarding.add(name);
    return this.#add(new Host(name, this.#namespace(name)));
  }

  router(name: string): Router {
    this.#forwarding.add(name);
    return this.#add(new Router(name, this.#namespace(name)));
  }

  nat(name: string, options: NatOptions = {}): Nat {
    this.#forwarding.add(name);
    return this.#add(new Nat(name, this.#namespace(name), options));
  }

  /** A wire from `a`, the gateway, to `b`. Addresses: `a` the first of the subnet, `b` the second. */
  link(a: NetNode, b: NetNode, options: LinkOptions): Link {
    return this.#addSegment(new Link(a, b, options));
  }

  /** A switch. Addresses: the gateway the first of the subnet, members from the tenth on, in order. */
  lan(name: string, options: LanOptions): Lan {
    checkName(name);
    return this.#addSegment(new Lan(name, this.#namespace(`lan-${name}`), options));
  }

  /** A route beyond the derived ones: `destination` a prefix or "default", `via` an address. Before `up` only. */
  route(node: NetNode, destination: string, via: string): void {
    this.#extraRoutes.set(node.name, [...(this.#extraRoutes.get(node.name) ?? []), `route replace ${destination} via ${via}`]);
  }

  /** The node of that name. Throws ERR_I3_NETNS_PLAN when there is none. */
  node(name: string): NetNode {
    const found = this.#nodes.get(name);
    if (found === undefined) throw new NetnsError("ERR_I3_NETNS_PLAN", `there is no node ${name}`);
    return found;
  }

  get nodes(): readonly NetNode[] {
    return [...this.#nodes.values()];
  }

  get segments(): readonly Segment[] {
    return this.#segments;
  }

  /** Builds everything. When that fails, what was built is taken down again and the error passed on. */
  async up(): Promise<void> {
    if (this.#state !== "declared") throw new NetnsError("ERR_I3_NETNS_PLAN", `topology ${this.id} is ${this.#state} already`);
    this.#state = "up";
    try {
      await this.#build();
    } catch (error) {
      await this.close().catch(() => {});
      throw error;
    }
  }

  /** Kills every process in the topology and removes its namespaces and files. Goes on past errors, then throws the first. */
  async close(): Promise<void> {
    if (this.#state === "closed") return;
    const wasUp = this.#state === "up";
    this.#state = "closed";
    const errors: unknown[] = [];
    const attempt = (work: Promise<unknown>): Promise<unknown> => work.catch((error: unknown) => void errors.push(error));
    if (wasUp) {
      await Promise.all(this.#namespaces().map((namespace) => attempt(namespace.killAll())));
      await this.#emulator?.close();
      const children = this.nodes.flatMap((node) => node.children);
      for (const child of children) child.destroy();
      await Promise.all(children.map((child) => child.ended));
      await attempt(ipBatch(this.#namespaces().map((namespace) => `netns del ${namespace.name}`)));
      await attempt(unmountEtc(this.nodes.map((node) => node.namespace)));
    }
    await attempt(rm(this.#directory, { recursive: true, force: true }));
    if (errors.length > 0) throw errors[0];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The state of every namespace and the last lines of every program, as text for a failed test. Never rejects. */
  async diagnose(): Promise<string> {
    const namespaces = this.#namespaces();
    const texts = await Promise.all(namespaces.map((namespace) => namespace.diagnose()));
    const parts = namespaces.map((namespace, index) => `--- ${namespace.name}\n${texts[index] ?? ""}`);
    const children = this.nodes.flatMap((node) => node.children).map((child) => `--- ${child.title}${child.running ? "" : " (ended)"}\n${child.tail()}`);
    return [`topology ${this.id}, seed ${this.seed}`, ...parts, ...children].join("\n");
  }

  #add<T extends NetNode>(node: T): T {
    checkName(node.name);
    this.#requireDeclaring(node.name);
    if (this.#nodes.has(node.name)) throw new NetnsError("ERR_I3_NETNS_PLAN", `two nodes are named ${node.name}`);
    this.#nodes.set(node.name, node);
    return node;
  }

  #addSegment<T extends Segment>(segment: T): T {
    this.#requireDeclaring(segment.name);
    if (this.#segments.some(({ name }) => name === segment.name)) throw new NetnsError("ERR_I3_NETNS_PLAN", `two segments are named ${segment.name}`);
    segment.attachNodes();
    this.#segments.push(segment);
    return segment;
  }

  #requireDeclaring(what: string): void {
    if (this.#state !== "declared") throw new NetnsError("ERR_I3_NETNS_PLAN", `${what} must be declared before up()`);
  }

  #namespace(name: string): Namespace {
    return new Namespace(`${this.id}-${name}`, join(this.#directory, name));
  }

  #namespaces(): Namespace[] {
    const switches = this.#segments.flatMap((segment) => (segment instanceof Lan ? [segment.namespace] : []));
    return [...this.nodes.map((node) => node.namespace), ...switches];
  }

  async #build(): Promise<void> {
    const plans = this.#segments.map((segment) => segment.plan);
    const nodeSetups = this.#nodeSetups(plans); // Before any I/O: an impossible plan must leave nothing behind.
    for (const node of this.nodes) await node.namespace.prepare(this.#nodeResolvers.get(node.name) ?? this.#resolvers);
    await mountEtc(this.nodes.map((node) => node.namespace));
    await ipBatch([...this.#namespaces().map(({ name }) => `netns add ${name}`), ...this.#segments.flatMap((segment) => segment.wireCommands())]);
    await this.#openEmulated();
    const lans = this.#segments.filter((segment) => segment instanceof Lan);
    await Promise.all([...nodeSetups.map((configure) => configure()), ...lans.map((lan) => lan.configure())]);
    await Promise.all(this.nodes.filter((node) => node instanceof Nat).map((nat) => nat.startServices()));
    await writeFile(join(this.#directory, "seed"), `${this.seed}\n`);
  }

  async #openEmulated(): Promise<void> {
    const links = this.#segments.filter((segment) => segment instanceof Link && segment.isEmulated) as Link[];
    if (links.length === 0) return;
    const emulator = new Emulator({ isRealTime: this.#isRealTime });
    this.#emulator = emulator;
    const moves = await Promise.all(links.map((link) => link.openEmulated(emulator, this.seed)));
    await ipBatch(moves.flat());
  }

  #nodeSetups(plans: readonly SegmentPlan[]): (() => Promise<void>)[] {
    const kinds: Kinds = new Map(this.nodes.map((node) => [node.name, node.kind]));
    return this.nodes.map((node) => {
      if (node instanceof Nat) node.setPlan(natSides(node.name, plans), this.#resolvers);
      node.setRoutes(routesOf(node.name, kinds, plans));
      const setup = {
        sysctls: this.#sysctls(node),
        ipCommands: ["link set dev lo up", ...node.interfaces.flatMap((attached) => node.ipCommands(attached)), ...(this.#extraRoutes.get(node.name) ?? [])],
        nftRules: node instanceof Nat ? node.rules : "",
        ready: node.interfaces.map(readyLine),
      };
      return () => node.namespace.configure(setup);
    });
  }

  #sysctls(node: NetNode): string[] {
    const perInterface = node.interfaces.flatMap(({ name }) => [`net/ipv4/conf/${name}/rp_filter 0`, `net/ipv6/conf/${name}/accept_dad 0`]);
    const base = ["net/ipv4/conf/all/rp_filter 0", "net/ipv4/conf/all/promote_secondaries 1", "net/ipv4/conf/all/send_redirects 0", "net/ipv6/conf/all/accept_dad 0"];
    const forwarding = this.#forwarding.has(node.name) ? ["net/ipv4/ip_forward 1", "net/ipv6/conf/all/forwarding 1"] : [];
    const nat = node instanceof Nat ? ["udp_timeout", "udp_timeout_stream"].map((name) => `net/netfilter/nf_conntrack_${name} ${node.udpTimeoutS}`) : [];
    return [...base, ...perInterface, ...forwarding, ...nat];
  }
}
