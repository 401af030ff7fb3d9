/** NATs as RFC 4787 tells them apart (§4.1 mapping, §5 filtering), and which of them let two hosts speak straight. */
import type { Dependence } from "@i3/netns";

export type By = Dependence;

/** Null: no NAT. */
export type Kind = { readonly mapping: By; readonly filtering: By } | null;

const BY: readonly By[] = ["ei", "ad", "apd"];
export const KINDS: readonly Kind[] = [null, ...BY.flatMap((mapping) => BY.map((filtering) => ({ mapping, filtering })))];

/** Mapping, then filtering: ei endpoint-independent, ad address-dependent, apd address-and-port-dependent. */
export const kindName = (kind: Kind): string => (kind === null ? "none" : `${kind.mapping}/${kind.filtering}`);

const isStable = (kind: Kind): boolean => kind === null || kind.mapping === "ei";
const ignoresPorts = (kind: Kind): boolean => kind === null || (kind.mapping === "ei" && kind.filtering !== "apd");

/** A carrier's NAT, before the own one where there are two levels. */
export const CARRIER = { mapping: "ei", filtering: "apd" } as const;

/** What a host behind both looks like from outside: a mapping is what the more dependent makes of it, and the carrier filters by port. */
export const behindCarrier = (kind: Kind): Kind => ({ ...CARRIER, mapping: kind?.mapping ?? CARRIER.mapping });

/** What the issue asks for: both mappings are endpoint-independent, or one is and its filtering ignores ports. */
export const mustBeDirect = (a: Kind, b: Kind): boolean => (isStable(a) && isStable(b)) || ignoresPorts(a) || ignoresPorts(b);
