/**
 * Where two hosts that speak i3 and both allow shortcuts might reach each other straight (docs/wire.md §9.7): `UPDATE(ESP_INFO old = new, SEQ, ENCRYPTED{LOCATOR_SET})`, each time
 * the whole set. Whether anything is really there the owner finds out.
 */
import { makeLocator, sameBytes, type Locator } from "@i3/common";

import { PARAMETER } from "../wire/numbers.js";
import { parameter } from "../wire/packet.js";
import { decodeLocatorSet, encodeLocatorSet, LOCATOR_KIND, MAX_LOCATORS, PROTOCOL_UDP, TRAFFIC_TYPE, type HipLocator, type LocatorSet } from "../wire/parameters/locator-set.js";
import type { ParameterContents, RawParameter } from "../wire/tlv.js";
import { Announcement, type AnnouncementHome } from "./announcement.js";

/** host: an address of an interface; server: as a server saw it; peer: as a peer saw it. */
export type PeerLocatorKind = "host" | "server" | "peer";

export interface PeerLocator {
  readonly kind: PeerLocatorKind;
  /** 32 bits, greater is better (RFC 8445 §5.1.2). */
  readonly priority: number;
  /** Of the main UDP port. */
  readonly locator: Locator;
}

const NUMBERS: Readonly<Record<PeerLocatorKind, number>> = { host: LOCATOR_KIND.host, server: LOCATOR_KIND.serverReflexive, peer: LOCATOR_KIND.peerReflexive };
const KINDS = new Map(Object.entries(NUMBERS).map(([kind, number]) => [number, kind as PeerLocatorKind]));
/** A set holds until the next one. */
const NO_END_S = 0xffff_ffff;

const hipLocatorOf = (spi: number) => ({ kind, priority, locator }: PeerLocator): HipLocator => ({
  trafficType: TRAFFIC_TYPE.both, preferred: false, lifetimeSeconds: NO_END_S, spi, address: locator.address,
  transport: { port: locator.port, protocol: PROTOCOL_UDP, kind: NUMBERS[kind], priority },
});

/** Null: of another type, transport or kind than ours, for HIP packets alone, or without a port. */
function peerLocatorOf({ trafficType, address, transport }: HipLocator): PeerLocator | null {
  if (trafficType === TRAFFIC_TYPE.signaling || transport === undefined || transport.protocol !== PROTOCOL_UDP || transport.port === 0) return null;
  const kind = KINDS.get(transport.kind);
  return kind === undefined ? null : { kind, priority: transport.priority, locator: makeLocator(address, transport.port) };
}

export interface CandidatesHome {
  readonly announcement: AnnouncementHome;
  /** Where we are sent to. */
  readonly spiIn: () => number;
  /** ENCRYPTED with these in it. */
  readonly encrypt: (parameters: readonly ParameterContents[]) => ParameterContents;
}

/** Of one UPDATE of the peer. */
export interface PeerCandidates {
  readonly locators: readonly PeerLocator[];
  /** How many more it had, which nobody can use. */
  readonly skipped: number;
}

export class Candidates {
  readonly announcement: Announcement;
  readonly #home: CandidatesHome;
  /** Our last set, as if its SPI were 0. */
  #said = encodeLocatorSet([]);
  /** The UPDATE of the peer's last set. */
  #peerId: number | null = null;

  constructor(home: CandidatesHome) {
    this.announcement = new Announcement(home.announcement);
    this.#home = home;
  }

  /** Nothing when they are what was said last. RangeError for more than {@link MAX_LOCATORS}, or a priority of more than 32 bits. */
  set(nowMs: number, locators: readonly PeerLocator[]): void {
    if (locators.length > MAX_LOCATORS) throw new RangeError(`${locators.length} locators`);
    const set = encodeLocatorSet(locators.map(hipLocatorOf(0)));
    if (sameBytes(set, this.#said)) return;
    this.#said = set;
    this.announcement.say(nowMs, () => {
      const contents = encodeLocatorSet(locators.map(hipLocatorOf(this.#home.spiIn())));
      return [this.#home.encrypt([{ type: PARAMETER.locatorSet, contents }])];
    });
  }

  /** The peer's set in UPDATE `id`. Null when a later one came before it. */
  take(id: number, { locators, skipped }: LocatorSet): PeerCandidates | null {
    if (this.#peerId !== null && (id - this.#peerId) >>> 0 > 0x7fff_ffff) return null;
    this.#peerId = id;
    const known = locators.map(peerLocatorOf).filter((locator) => locator !== null);
    return { locators: known, skipped: skipped + locators.length - known.length };
  }
}

/** Of a host without i3 (RFC 8046 §3.2): where it is now. 4 or 16 bytes. */
export const addressParameter = (spiIn: number, address: Uint8Array): ParameterContents =>
  ({ type: PARAMETER.locatorSet, contents: encodeLocatorSet([{ trafficType: TRAFFIC_TYPE.both, preferred: true, lifetimeSeconds: NO_END_S, spi: spiIn, address }]) });

/** LOCATOR_SET of what stood inside ENCRYPTED. Throws WireError. */
export function locatorSetIn(inside: readonly RawParameter[]): LocatorSet | null {
  const found = parameter({ parameters: inside }, PARAMETER.locatorSet);
  return found === undefined ? null : decodeLocatorSet(found.contents);
}
