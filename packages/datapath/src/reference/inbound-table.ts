/** Our ids → what to do with data packets that arrive for exactly one of them. */
import { LIMITS, type Inbound } from "../datapath.js";
import { tableFull } from "../errors.js";
import { makeRewritePlan, type RewritePlan } from "./address-rewrite.js";
import { addressKey, idKey, idKeyAt, type AddressKey } from "./keys.js";

export type InboundEntry =
  | { readonly action: "upcall" }
  | { readonly action: "tun"; readonly flow: AddressKey; readonly plan4: RewritePlan | null; readonly plan6: RewritePlan | null };

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
  const plan4 = makeRewritePlan(inbound.source4, inbound.destination4, 4);
  const plan6 = makeRewritePlan(inbound.source6, inbound.destination6, 16);
  return { action: "tun", flow: addressKey(inbound.flow), plan4, plan6 };
}
