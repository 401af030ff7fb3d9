/** What a HIP host needs and what it tells. */
import type { Log } from "@i3/common";

import type { DhGroup, DhSource } from "../crypto/diffie-hellman.js";
import type { EspKeys, EspSuite } from "../crypto/esp-suites.js";
import { wipeSecrets, type Directions } from "../crypto/keymat.js";
import type { Rhash } from "../crypto/rhash.js";
import type { HostIdentity } from "../identity/host-identity.js";
import type { HostKey } from "../identity/host-key.js";
import type { I3Preferences } from "../wire/parameters/i3.js";
import type { Call } from "./attempt.js";
import type { PeerLocator } from "./candidates.js";
import type { HipPath } from "./paths.js";

/** What this host says to one peer inside I2 or R2, and takes from it. */
export interface HipOffer {
  /** Where this peer alone reaches us over i3, 32 bytes. */
  readonly privateId: Uint8Array | null;
  readonly preferences: I3Preferences | null;
}

export interface HipEnvironment {
  readonly identity: HostIdentity;
  /** 32 bytes; null: no i3. */
  readonly ownPublicId: Uint8Array | null;
  /** Fresh unpredictable bytes. */
  readonly random: (bytes: number) => Uint8Array;
  readonly dhSource: DhSource;
  /** By preference. Over i3 only 7, 8 and 9 are offered, since the others do not fit; a host with i3 prefers these to the others. @default [7, 8, 4, 11] */
  readonly dhGroups?: readonly DhGroup[];
  /** What R1 offers, to everybody: all suites that {@link espSuitesFor} may name, by preference. @default [13, 9, 8, 7] */
  readonly espSuites?: readonly EspSuite[];
  /** Generation of the first epoch (RFC 7401 §4.1.4): must be at least the greatest that this identity used before, {@link HipHost.generation}: peers take an older R1 for a replay. */
  readonly r1Generation: bigint;
  /** Whether an address (4 or 16 bytes) is of the overlay's own ranges: no peer is asked there. @default none but HITs */
  readonly isOverlay?: (address: Uint8Array) => boolean;
  /** Whether an I1 to no HIT is answered that came for this id of ours. Straight ones never are: an address does not tell which host has it. @default at none */
  readonly isOpen?: (id: Uint8Array) => boolean;
  /** @default 3,600,000 */
  readonly rekeyAfterMs?: number;
  /** Whether rekeys that begin here have a new Diffie-Hellman secret. @default true */
  readonly rekeyWithDh?: boolean;
  /** The bytes are the receiver's to keep. */
  readonly send: (path: HipPath, packet: Uint8Array) => void;
  /** An SPI that no association uses, 256 at least. */
  readonly newSpi: () => number;
  /** Who may connect, asked before anything is spent on a packet, and again with the key that is behind the HIT. */
  readonly admits: (hit: Uint8Array, key?: HostKey) => boolean;
  /**
   * Whether the host that answered a call is the one that was meant: null, or for people why not. Asked with the HIT of an R1 whose signature holds, before anything is
   * said to it. @default whoever has the HIT that was called, if there was one, and {@link admits} lets in
   */
  readonly accepts?: (call: Call, hit: Uint8Array) => string | null;
  /** Told of each I2 that {@link HipEnvironment.admits} turned away and whose puzzle was solved; who sent it has not proved its HIT. */
  readonly onRefused?: (peerHit: Uint8Array) => void;
  /** Told of each I2 with a suite that {@link HipEnvironment.espSuitesFor} does not have, and whose puzzle was solved; who sent it has not proved its HIT. */
  readonly onUnwanted?: (peerHit: Uint8Array, espSuite: EspSuite) => void;
  /** Suites for a peer, by preference; asked before it has proved anything. `call`: what it answered, if we began. For "auth" only NULL with SHA-256, which must not stand here for "esp". */
  readonly espSuitesFor: (peerHit: Uint8Array, call: Call | null) => readonly EspSuite[];
  /** Asked when the peer has proved its HIT, or has answered `call`; null: no room for one more that calls. */
  readonly offerFor: (peerHit: Uint8Array, call: Call | null) => HipOffer | null;
  readonly onEvent: (event: HipEvent) => void;
  readonly log: Log;
}

/** A pair of security associations. SPIs: `spiIn` is where we are sent to, `spiOut` where we send to. Keys are the receiver's to wipe: {@link wipeEventKeys}. */
export interface EspPair {
  readonly spiIn: number;
  readonly spiOut: number;
  readonly keysIn: EspKeys;
  readonly keysOut: EspKeys;
}

export type HipRole = "initiator" | "responder";

/** An association whose keys are to be used at once, for both directions. */
export interface EstablishedEvent extends EspPair {
  readonly kind: "established";
  readonly peer: HostKey;
  /** Names it in later events and calls. Never used again. */
  readonly association: number;
  readonly espSuite: EspSuite;
  readonly peerPrivateId: Uint8Array | null;
  readonly peerPreferences: I3Preferences | null;
  /** Where HIP packets go from now on: over i3 to the peer's private id if it gave one. */
  readonly path: HipPath;
  readonly role: HipRole;
  /** What the peer answered; null: it called us. */
  readonly call: Call | null;
  /** The family for which both said that they do BEET; IPv4 when they do both. */
  readonly beet: 4 | 6 | null;
  /** Both said that they take the state of checksums in ESP padding. */
  readonly checksumState: boolean;
  /** Both allow shortcuts: {@link HipHost.setLocators}. */
  readonly shortcuts: boolean;
  /** 32 bytes each: for the MACs of path checks (docs/wire.md §9.7), of rekeys the same. The receiver's to wipe, as the others. */
  readonly pathKeys: Directions<Uint8Array>;
  /** The association of the same peer whose place this one takes; no further event names it. */
  readonly replaces: number | null;
}

/** The first half of a rekey or of a second pair: the peer may use these from now on. Old inbound ones stay. */
export interface InboundEvent {
  readonly kind: "inbound";
  readonly association: number;
  /** 0: the pair of the exchange. */
  readonly pair: number;
  readonly espSuite: EspSuite;
  readonly spiIn: number;
  readonly keysIn: EspKeys;
}

/** The second half: the peer has the inbound half of these, so that we send with them, and no more with the old ones. */
export interface RekeyedEvent {
  readonly kind: "rekeyed";
  readonly association: number;
  /** 0: the pair of the exchange. */
  readonly pair: number;
  readonly spiOut: number;
  readonly keysOut: EspKeys;
  readonly oldSpiIn: number;
  readonly oldSpiOut: number;
  readonly spiIn: number;
}

/** The second half of a second pair: the peer has the inbound half, so that we may send with it. */
export interface PairedEvent {
  readonly kind: "paired";
  readonly association: number;
  readonly pair: number;
  readonly espSuite: EspSuite;
  readonly spiIn: number;
  readonly spiOut: number;
  readonly keysOut: EspKeys;
}

/** {@link HipHost.addPair} led to nothing; the association stays. */
export interface PairFailedEvent {
  readonly kind: "pair-failed";
  readonly association: number;
  readonly espSuite: EspSuite;
  /** refused: the peer says no; silent: it knows no second pairs, or does not answer. */
  readonly code: "refused" | "silent";
}

/** The old inbound keys may be forgotten. */
export interface RetiredEvent {
  readonly kind: "retired";
  readonly association: number;
  readonly spiIn: number;
}

/** The peer's packets come from elsewhere now, as one that it proved to be new says: a NAT between has forgotten it. Ours go there. */
export interface MovedEvent {
  readonly kind: "moved";
  readonly association: number;
  /** Never over i3. */
  readonly path: HipPath;
}

/**
 * A genuine packet of the peer came from elsewhere, and whether it is there is being asked: up to the credit of RFC 8046 §5.6 data may go there. "moved" or "stayed" follows,
 * or "moving" with a place that takes this one's. Not for a place that the peer only names: nothing of it has come from there.
 */
export interface MovingEvent {
  readonly kind: "moving";
  readonly association: number;
  /** Never over i3. */
  readonly path: HipPath;
}

/** The peer has not answered where it seemed to be moving: it is where it was. */
export interface StayedEvent {
  readonly kind: "stayed";
  readonly association: number;
}

/** The peer says where it may be reached straight, all that it knows; whether it is there nobody has seen yet, nor whether the addresses make sense. */
export interface LocatorsEvent {
  readonly kind: "locators";
  readonly association: number;
  readonly locators: readonly PeerLocator[];
}

/** The association is over, both directions: by us, by the peer, or because the peer does not answer any more. */
export interface ClosedEvent {
  readonly kind: "closed";
  readonly association: number;
  readonly peerHit: Uint8Array;
  readonly code: "asked" | "peer" | "silent";
  /** For people. */
  readonly reason: string;
}

/** A call of {@link HipHost.connect} led to nothing. */
export interface FailedEvent {
  readonly kind: "failed";
  readonly call: Call;
  /** Null when it was opportunistic. */
  readonly peerHit: Uint8Array | null;
  readonly path: HipPath;
  /**
   * "silent": no answer that helps, though the reason may name one that did not. "refused": the peer itself, in a signed answer to this very call, or our own list.
   * "incompatible": the peer's signed R1 has nothing that we take. "busy": too many calls of our own.
   */
  readonly code: "silent" | "refused" | "busy" | "incompatible";
  /** For people. */
  readonly reason: string;
}

/** What the packet engine answers I1 with, and knows I2 by that are paid for, from now on; the shape of its HipResponder (docs/wire.md §9.4). Null: too long for it, so that I1s must come here. */
export interface R1Responder {
  readonly hit: Uint8Array;
  readonly r1: Uint8Array;
  readonly puzzleOffset: number;
  readonly rhash: Rhash;
  /** Of `r1`: an I1 that does not name it must come here. */
  readonly group: DhGroup;
  /** The first is that of `r1`; then those whose solutions are taken too. */
  readonly puzzles: readonly { readonly epoch: number; readonly secret: Uint8Array; readonly difficulty: number }[];
}

export interface ResponderEvent {
  readonly kind: "responder";
  readonly responder: R1Responder | null;
}

export type HipEvent = EstablishedEvent | InboundEvent | RekeyedEvent | PairedEvent | PairFailedEvent | RetiredEvent | MovingEvent | MovedEvent | StayedEvent | LocatorsEvent | ClosedEvent | FailedEvent | ResponderEvent;

/** Overwrites the keys of an event, of whatever kind: for who has received it, once the packet engine has its copy. Nobody else holds them. */
export function wipeEventKeys(event: HipEvent): void {
  if ("keysIn" in event) wipeSecrets(event.keysIn);
  if ("keysOut" in event) wipeSecrets(event.keysOut);
  if ("pathKeys" in event) wipeSecrets(event.pathKeys);
}
