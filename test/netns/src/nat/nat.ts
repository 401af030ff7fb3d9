/** A NAT box, or a firewall: nftables rules in a namespace that forwards. */
import type { Child } from "../child.js";
import { NetnsError } from "../errors.js";
import type { Namespace } from "../namespace.js";
import { NetNode, type Interface } from "../node.js";
import type { NatSides } from "../plan.js";
import { runOk } from "../run.js";
import { behaviourOf, type Behaviour, type BehaviourOptions } from "./kinds.js";
import { startPortMapping } from "./port-mapping.js";
import { EGRESS, filterTable, natRuleset, POWER_BACK, WITHOUT_POWER, type Egress, type NatRulesetOptions } from "./rules.js";

export interface NatOptions extends BehaviourOptions {
  /** Life of a UDP mapping after its last packet, in seconds. @default 120 (the least that RFC 4787 REQ-5 allows) */
  readonly udpTimeoutS?: number;
  /** Inside hosts reach each other through the outside address and mapped ports (REQ-9). @default false */
  readonly hairpin?: boolean;
  /** After each `reboot` and `readdress` UDP mappings get other ports than before: random ones out of 61000–64999. @default false */
  readonly rebootShift?: boolean;
  /** What the inside may send. @default "all" */
  readonly egress?: Egress;
  /** Runs miniupnpd: UPnP-IGD, NAT-PMP and PCP towards the inside, or UPnP-IGD alone. The outside address must look public. @default false */
  readonly portMapping?: boolean | "upnp";
}

const UDP_TIMEOUT_S = 120;
/** Above what Linux gives to programs by itself. Two ranges that follow each other have no port in common. */
const SHIFTED_PORTS = ["61000-61999", "62000-62999", "63000-63999", "64000-64999"];

export class Nat extends NetNode {
  readonly behaviour: Behaviour;
  readonly hairpin: boolean;
  readonly udpTimeoutS: number;
  readonly #mapsPorts: boolean | "upnp";
  #portMapping: Child | undefined;
  readonly #shifts: boolean;
  #egress: Egress;
  #resolvers: readonly string[] = [];
  #restarts = 0;
  #sides: NatSides | undefined;

  /** Throws ERR_I3_NETNS_PLAN for options that contradict each other. */
  constructor(name: string, namespace: Namespace, options: NatOptions) {
    super(name, namespace);
    this.behaviour = behaviourOf(options);
    this.hairpin = options.hairpin ?? false;
    if (this.hairpin && this.behaviour.mapping === "none") throw new NetnsError("ERR_I3_NETNS_PLAN", `${name} translates nothing, so it cannot turn packets back`);
    this.#egress = options.egress ?? "all";
    if (!EGRESS.includes(this.#egress)) throw new NetnsError("ERR_I3_NETNS_PLAN", `${name}: egress ${String(this.#egress)} is none of ${EGRESS.join(", ")}`);
    this.#mapsPorts = options.portMapping ?? false;
    if (this.#mapsPorts !== false && this.kind === "firewall") throw new NetnsError("ERR_I3_NETNS_PLAN", `${name} translates nothing, so it maps no ports`);
    this.#shifts = options.rebootShift ?? false;
    this.udpTimeoutS = options.udpTimeoutS ?? UDP_TIMEOUT_S;
  }

  get kind(): "nat" | "firewall" {
    return this.behaviour.mapping === "none" ? "firewall" : "nat";
  }

  /** Called by the topology when everything is declared. */
  setPlan(sides: NatSides, resolvers: readonly string[]): void {
    this.#sides = sides;
    this.#resolvers = resolvers;
  }

  /** The text for `nft -f`. */
  get rules(): string {
    return natRuleset(this.#ruleOptions);
  }

  /** Called by the topology when packets pass. */
  async startServices(): Promise<void> {
    if (this.#mapsPorts !== false) this.#portMapping = await startPortMapping(this, this.#plannedSides, this.#mapsPorts === "upnp");
  }

  /** Changes what the inside may send, for connections that exist too. */
  async setEgress(egress: Egress): Promise<void> {
    this.#egress = egress;
    await this.namespace.nft(`delete table inet filter\n${filterTable(this.#ruleOptions)}`);
  }

  /** Forgets every mapping and connection, as a box does that lost its power. It comes back with the same addresses. */
  reboot(): Promise<void> {
    return this.#restart(() => Promise.resolve());
  }

  /** Another IPv4 address outside, in the subnet of that link, as after a night's forced reconnection; nothing is remembered. */
  async readdress(address: string): Promise<void> {
    const { name, address4 } = this.#outside;
    await this.#restart(() => this.setAddress(name, address4, address));
  }

  get #ruleOptions(): NatRulesetOptions {
    const sides = this.#plannedSides;
    const ports = this.#shifts && this.#restarts > 0 ? SHIFTED_PORTS[this.#restarts % SHIFTED_PORTS.length] : undefined;
    const outsideAddress = this.#outside.address4;
    const { behaviour, udpTimeoutS, hairpin } = this;
    return { ...sides, ...behaviour, outsideAddress, udpTimeoutS, hairpin, ports, mapsPorts: this.#mapsPorts !== false, egress: this.#egress, resolvers: this.#resolvers };
  }

  async #restart(whileOff: () => Promise<void>): Promise<void> {
    await this.#portMapping?.stop();
    await this.namespace.nft(WITHOUT_POWER);
    await whileOff();
    await runOk(["ip", "netns", "exec", this.namespace.name, "conntrack", "-F"]);
    this.#restarts++;
    await this.namespace.nft(`${POWER_BACK}${this.rules}`);
    await this.startServices();
  }

  get #outside(): Interface {
    const { outside } = this.#plannedSides;
    const found = this.interfaces.find(({ name }) => name === outside);
    if (found === undefined) throw new NetnsError("ERR_I3_NETNS_PLAN", `${this.name} has no interface ${outside}`);
    return found;
  }

  get #plannedSides(): NatSides {
    if (this.#sides === undefined) throw new NetnsError("ERR_I3_NETNS_PLAN", `${this.name} is not up yet`);
    return this.#sides;
  }
}
