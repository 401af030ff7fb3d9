/**
 * The flows of mappings in the packet engine: a way for each strength that a mapping's policy has, and the services by which the engine chooses (docs/datapath.md).
 * A policy without services has one way, and nothing to choose from.
 */
import type { Datapath, Flow, Services, Strength } from "@i3/datapath";

import type { Mapping } from "../mappings/mapping.js";
import { hasServices, STRENGTH, strengthsOf, type PeerPolicy } from "../policy/policy.js";

export interface FlowWaysEnvironment {
  readonly datapath: Datapath;
  readonly own4: Uint8Array;
  readonly identity: { readonly hit: Uint8Array };
}

/** What a mapping has in the engine. */
interface Installed {
  readonly ways: readonly Strength[];
  /** Whose services the engine knows; null: none. */
  readonly policy: PeerPolicy | null;
  /** A peer that was known by its id gets another one with its key. */
  readonly addresses: number;
}

/** Of flows without services, whatever protects them. */
const ONE_WAY: readonly Strength[] = [2];
const SETUP: Flow = { action: "setup" };

export class FlowWays {
  readonly #env: FlowWaysEnvironment;
  readonly #installed = new WeakMap<Mapping, Installed>();
  /** Peers that this host passes packets on for. */
  readonly #forwarded = new WeakSet<Mapping>();

  constructor(environment: FlowWaysEnvironment) {
    this.#env = environment;
  }

  /** @param flowOf what a way does; `source`: our own address of the family */
  install(mapping: Mapping, flowOf: (strength: Strength, source: Uint8Array) => Flow): void {
    const { datapath, own4, identity } = this.#env;
    const strengths = strengthsOf(mapping.policy);
    const judged = hasServices(mapping.policy) ? mapping.policy : null;
    const ways = judged === null ? ONE_WAY : strengths;
    const before = this.#installed.get(mapping);
    const addresses = mapping.local6 === null ? 1 : 2;
    const isKnown = before?.policy === judged && before.addresses === addresses;
    for (const [address, source] of [[mapping.local4, own4], [mapping.local6, identity.hit]] as const) {
      if (address === null) continue;
      if (!isKnown && judged !== null) {
        // Nothing goes out before the engine knows which way.
        for (const way of ways) if (before === undefined || before.addresses < addresses || !before.ways.includes(way)) datapath.setFlow(address, SETUP, way);
        datapath.setServices(address, servicesOf(judged));
      }
      for (const way of ways) datapath.setFlow(address, flowOf(judged === null ? (strengths[0] ?? 2) : way, source), way);
      if (isKnown || before === undefined) continue;
      if (judged === null && before.policy !== null) datapath.setServices(address, null);
      for (const old of before.ways) if (!ways.includes(old)) datapath.setFlow(address, null, old);
    }
    if (isKnown) return;
    this.#installed.set(mapping, { ways, policy: judged, addresses });
    if (this.#forwarded.has(mapping)) this.#forward(mapping, true);
  }

  /** Whether this host is a gateway for a peer (docs/datapath.md, "Behind a peer"), as long as it is one of ours. */
  setForwarding(mapping: Mapping, isOn: boolean): void {
    if (this.#forwarded.has(mapping) === isOn) return;
    if (isOn) this.#forwarded.add(mapping);
    else this.#forwarded.delete(mapping);
    this.#forward(mapping, isOn);
  }

  /** A peer whose key has just become known has an address whose flow is not there yet: it follows with that. */
  #forward(mapping: Mapping, isOn: boolean): void {
    const installed = this.#installed.get(mapping);
    if (installed === undefined) return;
    const { local4, local6 } = mapping;
    this.#env.datapath.setForwarding(local4, isOn, local6);
    if (local6 !== null && installed.addresses === 2) this.#env.datapath.setForwarding(local6, isOn, local4);
  }

  remove(mapping: Mapping): void {
    const { datapath } = this.#env;
    datapath.setFlow(mapping.local4, null);
    if (mapping.local6 !== null) datapath.setFlow(mapping.local6, null);
    this.#installed.delete(mapping);
  }
}

const servicesOf = ({ services, rest }: PeerPolicy): Services => ({
  services: services.map(({ protocol, ports, security }) => ({ protocol, ports, strength: STRENGTH[security] })), rest: rest === null ? null : STRENGTH[rest],
});
