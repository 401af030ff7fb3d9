/** ESP associations: outbound by the name that the control plane gave them, inbound by SPI (docs/datapath.md, "Associations"). */
import type { Locator } from "@i3/common";
import { LIMITS, MAX_SPI, MIN_RECEIVER_SPI, MIN_SPI, type InboundAssociation, type OutboundAssociation } from "../datapath.js";
import { tableFull } from "../errors.js";
import { encodeEndpoint } from "./endpoints.js";
import { makeCipher, sameKeys, wipeKeys, type EspCipher } from "./esp-transforms.js";
import { NOTICE_INTERVAL_MS, SAME_PLACE_INTERVAL_MS } from "./rate-limits.js";
import { makeTunTarget, type TunTarget } from "./inbound-table.js";
import { copyBytes, equalAt } from "./octets.js";
import { ReplayWindow } from "./replay-window.js";
import { ADDRESS_SLOT_BYTES } from "./step.js";

/** The number after the last that is used. */
export const SEQUENCE_END = 1n << 64n;
const MAX_NAME = 0xffff_ffff;
const MAX_RECEIVER_SPI = 0xffff_ffff;

export interface OutboundEntry {
  readonly spi: number;
  readonly cipher: EspCipher;
  readonly beet: 4 | 6 | null;
  readonly checksumState: boolean;
  /** The next packet's; {@link SEQUENCE_END} when all are used. */
  nextSequence: bigint;
}

export interface InboundAssociationEntry extends TunTarget {
  readonly cipher: EspCipher;
  readonly beet: 4 | 6 | null;
  readonly checksumState: boolean;
  readonly window: ReplayWindow;
  /** `from`: an endpoint; null: none that would not be told of. */
  readonly watch: { readonly from: Uint8Array | null } | null;
  readonly told: Told;
}

/** When and where a packet from elsewhere was last told of. */
export class Told {
  #lastMs = -Infinity;
  #from: Uint8Array | null = null;

  /** Of the endpoint at `originAt`. */
  allow(nowMs: number, origins: Uint8Array, originAt: number): boolean {
    const isSame = this.#from !== null && equalAt(origins, originAt, this.#from);
    if (nowMs - this.#lastMs < (isSame ? SAME_PLACE_INTERVAL_MS : NOTICE_INTERVAL_MS)) return false;
    this.#lastMs = nowMs;
    if (!isSame) this.#from = copyBytes(origins, originAt, originAt + ADDRESS_SLOT_BYTES);
    return true;
  }

  /** There was no room for it. */
  forgetPlace(): void {
    this.#from = null;
  }
}

/** Throws RangeError. */
export const prepareWatch = (watch: { readonly from: Locator | null } | undefined): { readonly from: Uint8Array | null } | null =>
  watch === undefined ? null : { from: watch.from === null ? null : encodeEndpoint(watch.from) };

/** Throws RangeError when it is no name of an association. */
export function requireName(name: number): void {
  if (!Number.isInteger(name) || name < 0 || name > MAX_NAME) throw new RangeError(`association name ${name}`);
}

function requireBetween(spi: number, min: number, max: number): void {
  if (!Number.isInteger(spi) || spi < min || spi > max) throw new RangeError(`SPI ${spi}, expected ${min} to ${max}`);
}

/** Of ours. */
export const requireSpi = (spi: number): void => requireBetween(spi, MIN_SPI, MAX_SPI);

export function requireFamily(beet: number | null): void {
  if (beet !== null && beet !== 4 && beet !== 6) throw new RangeError(`BEET for family ${beet}`);
}

/** The entries of one direction; what leaves the table is wiped. */
class AssociationTable<Entry extends { readonly cipher: EspCipher }> {
  readonly #entries = new Map<number, Entry>();

  constructor(readonly name: string) {}

  get(key: number): Entry | undefined {
    return this.#entries.get(key);
  }

  /** Throws DatapathError ERR_I3_TABLE_FULL. */
  replace(key: number, entry: Entry): void {
    if (!this.#entries.has(key) && this.#entries.size >= LIMITS.associations) {
      wipeKeys(entry.cipher);
      throw tableFull(this.name, LIMITS.associations);
    }
    this.remove(key);
    this.#entries.set(key, entry);
  }

  remove(key: number): void {
    const entry = this.#entries.get(key);
    if (entry !== undefined) wipeKeys(entry.cipher);
    this.#entries.delete(key);
  }
}

export class OutboundAssociations {
  readonly #table = new AssociationTable<OutboundEntry>("outbound association");

  get(name: number): OutboundEntry | undefined {
    return this.#table.get(name);
  }

  /** Sets, replaces or removes. Throws DatapathError ERR_I3_TABLE_FULL, RangeError. */
  set(name: number, association: OutboundAssociation | null): void {
    requireName(name);
    if (association === null) return this.#table.remove(name);
    const fresh = prepareOutbound(association);
    const before = this.#table.get(name);
    const keeps = before !== undefined && sameKeys(before.cipher, fresh.cipher);
    if (keeps && before.nextSequence > fresh.nextSequence) fresh.nextSequence = before.nextSequence;
    this.#table.replace(name, fresh);
  }
}

export function prepareOutbound({ spi, transform, beet, checksumState, firstSequence = 1n }: OutboundAssociation): OutboundEntry {
  requireBetween(spi, MIN_RECEIVER_SPI, MAX_RECEIVER_SPI);
  requireFamily(beet);
  if (typeof firstSequence !== "bigint" || firstSequence < 1n || firstSequence >= SEQUENCE_END) throw new RangeError(`first sequence number ${firstSequence}`);
  return { spi, cipher: makeCipher(transform), beet, checksumState, nextSequence: firstSequence };
}

export class InboundAssociations {
  readonly #table = new AssociationTable<InboundAssociationEntry>("inbound association");

  get(spi: number): InboundAssociationEntry | undefined {
    return this.#table.get(spi);
  }

  /** Sets, replaces or removes. Throws DatapathError ERR_I3_TABLE_FULL, RangeError. */
  set(spi: number, association: InboundAssociation | null): void {
    requireSpi(spi);
    if (association === null) return this.#table.remove(spi);
    const { transform, beet, checksumState } = association;
    requireFamily(beet);
    const target = makeTunTarget(association);
    const watch = prepareWatch(association.watch);
    const cipher = makeCipher(transform);
    const before = this.#table.get(spi);
    const keeps = before !== undefined && sameKeys(before.cipher, cipher);
    this.#table.replace(spi, { ...target, cipher, beet, checksumState, watch, window: keeps ? before.window : new ReplayWindow(), told: keeps ? before.told : new Told() });
  }
}
