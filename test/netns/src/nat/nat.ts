/** A NAT box, or a firewall: nftables rules in a namespace that forwards. */
import { NetnsError } from "../errors.js";
import type { Namespace } from "../namespace.js";
import { NetNode } from "../node.js";
import type { NatSides } from "../plan.js";
import { runOk } from "../run.js";
import { behaviourOf, type Behaviour, type BehaviourOptions } from "./kinds.js";
import { natRuleset, POWER_BACK, WITHOUT_POWER } from "./rules.js";

export interface NatOptions extends BehaviourOptions {
  /** Life of a UDP mapping after its last packet, in seconds. @default 120 (the least that RFC 4787 REQ-5 allows) */
  readonly udpTimeoutS?: number;
  /** Inside hosts reach each other through the outside address and mapped ports (REQ-9). @default false */
  readonly hairpin?: boolean;
}

const UDP_TIMEOUT_S = 120;

export class Nat extends NetNode {
  readonly behaviour: Behaviour;
  readonly hairpin: boolean;
  readonly udpTimeoutS: number;
  #sides: NatSides | undefined;

  /** Throws ERR_I3_NETNS_PLAN for options that contradict each other. */
  constructor(name: string, namespace: Namespace, options: NatOptions) {
    super(name, namespace);
    this.behaviour = behaviourOf(options);
    this.hairpin = options.hairpin ?? false;
    if (this.hairpin && this.behaviour.mapping === "none") throw new NetnsError("ERR_I3_NETNS_PLAN", `${name} translates nothing, so it cannot turn packets back`);
    this.udpTimeoutS = options.udpTimeoutS ?? UDP_TIMEOUT_S;
  }

  get kind(): "nat" | "firewall" {
    return this.behaviour.mapping === "none" ? "firewall" : "nat";
  }

  /** Called by the topology when everything is declared. */
  setSides(sides: NatSides): void {
    this.#sides = sides;
  }

  /** The text for `nft -f`. */
  get rules(): string {
    const sides = this.#plannedSides;
    const outsideAddress = this.interfaces.find(({ name }) => name === sides.outside)?.address4;
    return natRuleset({ ...sides, ...this.behaviour, outsideAddress, udpTimeoutS: this.udpTimeoutS, hairpin: this.hairpin });
  }

  /** Forgets every mapping and connection, as a box does that lost its power. It comes back with the same addresses. */
  async reboot(): Promise<void> {
    await this.namespace.nft(WITHOUT_POWER);
    await runOk(["ip", "netns", "exec", this.namespace.name, "conntrack", "-F"]);
    await this.namespace.nft(`${POWER_BACK}${this.rules}`);
  }

  get #plannedSides(): NatSides {
    if (this.#sides === undefined) throw new NetnsError("ERR_I3_NETNS_PLAN", `${this.name} is not up yet`);
    return this.#sides;
  }
}
