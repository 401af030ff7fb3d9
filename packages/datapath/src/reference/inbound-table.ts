/** Our ids → what to do with data packets that arrive for exactly one of them. */
import { LIMITS, type Inbound, type Strength } from "../datapath.js";
import { tableFull } from "../errors.js";
import { makeRewritePlan, type RewritePlan } from "./address-rewrite.js";
import { addressKey, idKey, idKeyAt, type AddressKey } from "./keys.js";
import { requireStrength, STRONGEST } from "./services.js";

/** How packets get to the TUN: what they must carry, what they leave with, and the flow that they belong to. */
export interface TunTarget {
  readonly flow: AddressKey;
  /** How what comes this way was protected. */
  readonly strength: Strength;
  readonly plan4: RewritePlan | null;
  readonly plan6: RewritePlan | null;
}

export type InboundEntry = { readonly action: "upcall" } | ({ readonly action: "tun" } & TunTarget);

export class InboundTable {
  readonly #entries = new Map<string, InboundEntry>();

  /** The entry for the 32 bytes at `at`. */
  at(bytes: Buffer, at: number): InboundEntry | undefined {
    return this.#entries.size === 0 ? undefined : this.#entries.get(idKeyAt(bytes, at));
  }

  byId(id: Uint8Array): InboundEntry | undefined {
    return this.#entries.get(idKey(id));
  }

  /** Sets, replaces or removes. Throws DatapathError ERR_I3_TABLE_FULL, RangeError. */
  set(id: Uint8Array, inbound: Inbound | null): void {
    const key = idKey(id);
    if (inbound === null) {
      this.#entries.delete(key);
      return;
    }
    const entry = prepareInbound(inbound);
    if (!this.#entries.has(key) && this.#entries.size >= LIMITS.inbound) throw tableFull("inbound", LIMITS.inbound);
    this.#entries.set(key, entry);
  }
}

function prepareInbound(inbound: Inbound): InboundEntry {
  if (inbound.action === "upcall") return { action: "upcall" };
  return { action: "tun", ...makeTunTarget(inbound) };
}

/** Throws RangeError. */
export function makeTunTarget({ flow, strength = STRONGEST, source4, destination4, source6, destination6 }: Omit<Inbound & { action: "tun" }, "action">): TunTarget {
  const key = addressKey(flow);
  requireStrength(strength);
  return { flow: key, strength, plan4: makeRewritePlan(source4, destination4, 4), plan6: makeRewritePlan(source6, destination6, 16) };
}
