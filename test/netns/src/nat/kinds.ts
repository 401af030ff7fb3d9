/** What a NAT does, in the terms of RFC 4787 (§4.1 mapping, §5 filtering). Pure. */
import { NetnsError } from "../errors.js";

/** Endpoint-independent, address-dependent, address-and-port-dependent. */
export type Dependence = "ei" | "ad" | "apd";

/** Names that people use, RFC 3489's and RFC 4787's; "none" is a stateful firewall that does not translate. */
export type NatKind = "full-cone" | "address-restricted" | "port-restricted" | "symmetric" | "none";

export interface Behaviour {
  /** "none": addresses and ports are left alone. */
  readonly mapping: Dependence | "none";
  readonly filtering: Dependence;
}

export const DEPENDENCES: readonly Dependence[] = ["ei", "ad", "apd"];

export const NAT_KINDS: Readonly<Record<NatKind, Behaviour>> = {
  "full-cone": { mapping: "ei", filtering: "ei" },
  "address-restricted": { mapping: "ei", filtering: "ad" },
  "port-restricted": { mapping: "ei", filtering: "apd" },
  symmetric: { mapping: "apd", filtering: "apd" },
  none: { mapping: "none", filtering: "apd" },
};

export interface BehaviourOptions {
  /** Short for a mapping and a filtering. @default "port-restricted" */
  readonly kind?: NatKind;
  /** Instead of the kind's. */
  readonly mapping?: Dependence;
  /** Instead of the kind's. */
  readonly filtering?: Dependence;
}

/** Throws ERR_I3_NETNS_PLAN for an unknown word, or a mapping or filtering beside the kind "none". */
export function behaviourOf({ kind = "port-restricted", mapping, filtering }: BehaviourOptions): Behaviour {
  if (!Object.hasOwn(NAT_KINDS, kind)) throw new NetnsError("ERR_I3_NETNS_PLAN", `${kind} is none of ${Object.keys(NAT_KINDS).join(", ")}`);
  for (const given of [mapping, filtering]) {
    if (given === undefined || DEPENDENCES.includes(given)) continue;
    throw new NetnsError("ERR_I3_NETNS_PLAN", `${String(given)} is none of ${DEPENDENCES.join(", ")}`);
  }
  if (kind === "none" && (mapping ?? filtering) !== undefined) {
    throw new NetnsError("ERR_I3_NETNS_PLAN", 'a NAT of the kind "none" has neither mapping nor filtering to choose');
  }
  const named = NAT_KINDS[kind];
  return { mapping: mapping ?? named.mapping, filtering: filtering ?? named.filtering };
}
