/** What the encrypted set-up installs in the packet engine: flows, and associations with the addresses that their packets carry. */
import { sameBytes, sameLocator, type ViaLocator } from "@i3/common";
import { DatapathError, PAYLOAD_KIND, type AddressRewrite, type Datapath, type Flow, type Inbound } from "@i3/datapath";
import { ESP_SUITE, isReadableSuite, MAX_CREDIT_BYTES, RELAY, type EspSuite, type EstablishedEvent, type HostIdentity, type PathChoice } from "@i3/hip";

import type { Mapping } from "../mappings/mapping.js";
import { hasServices, STRENGTH, strengthsOf } from "../policy/policy.js";
import { viaPlace } from "../paths/association-paths.js";
import { largestInner, largestRelayed, LEAST_MTU } from "./esp-room.js";
import type { FlowWays } from "./flow-ways.js";
import type { InboundForm, Link } from "./hip-link.js";
import type { PeerPaths } from "./peer-paths.js";
import type { RingReach } from "./ring-reach.js";

// Ours:
/** Inbound keys that were replaced are good for packets that are still on their way. */
const RETIRE_MS = 3_000;
/**
 * New keys when so many packets have gone with one: half of what 32 bits count, since a peer may have no 64-bit numbers, and understands nothing behind 2^32. The other
 * half is for what goes while the rekey is under way, three minutes of it at 10 million packets a second. At 9,000 bytes a packet AES has then made 2^40 blocks with the
 * key, which somebody can tell from random ones with a chance of 2^-49 (2^80 / 2^129, of GCM as of CBC); NIST SP 800-38D §8.3 has 2^32 packets as the most.
 */
export const REKEY_AFTER_PACKETS = 1n << 31n;
const MAX_MTU = 65_535;
const ZERO6 = new Uint8Array(16);
const REFUSE: Flow = { action: "refuse" };
const SETUP: Flow = { action: "setup" };
type EspFlow = Extract<Flow, { action: "esp" }>;
/** Of those that may be (docs/wire.md §7), the one that adds most. */
const WIDEST_SUITE = ESP_SUITE.aes256CbcSha256;
/** Of IPv4 (RFC 791) and IPv6 (RFC 8200 §5): where less fits, packets must pass that do not. */
const WHOLE_FROM = { 4: LEAST_MTU, 16: 1_280 } as const;
/** HIP counts associations from 1. */
const SECOND_NAMES = 0x8000_0000;

/** The engine's name of the outbound half of an association's second pair. */
export const secondName = (association: number): number => association + SECOND_NAMES;

export interface HipWaysEnvironment {
  readonly identity: HostIdentity;
  readonly own4: Uint8Array;
  readonly datapath: Datapath;
  readonly flows: FlowWays;
  readonly paths: PeerPaths;
  readonly ring: Pick<RingReach, "isSilent" | "is6">;
  /** Where an association's packets go that may go past i3. */
  readonly choice: (association: number) => PathChoice;
}

export class HipWays {
  readonly #env: HipWaysEnvironment;
  /** SPIs that were replaced, oldest first: until when they are good. */
  readonly #retired = new Map<number, number>();

  constructor(environment: HipWaysEnvironment) {
    this.#env = environment;
  }

  get dueMs(): number {
    return this.#retired.values().next().value ?? Infinity;
  }

  /** Flows and inbound id of a mapping as it is now. */
  install(mapping: Mapping, link: Link | undefined): void {
    const { choice, ...way } = this.#wayOf(mapping, link);
    const clear = this.#env.paths.headerOf(mapping, PAYLOAD_KIND.ipPacket);
    this.#env.flows.install(mapping, (strength, source) => {
      // A host without i3 has no IPv4 address for us: it could make nothing of such a packet.
      const isNone = mapping.state === "open" && source.length === 4 && link?.form?.source4 === null;
      const isCutOff = mapping.state === "open" && way.locator === null && this.#env.ring.isSilent;
      if (mapping.state === "refused" || isNone || isCutOff) return REFUSE;
      if (mapping.state !== "open" || link?.activeFromMs !== null || link.association === null) return SETUP;
      // Of rules with cleartext alone, whose peer wanted keys, nothing goes without them.
      const isJudged = hasServices(mapping.policy) && mapping.security !== "none";
      if (isJudged && strength === STRENGTH.none) return clear === null ? REFUSE : { action: "tunnel", header: clear, source, ...this.#relayed(clear, null) };
      // Whoever does not take the readable pair takes more than was asked for.
      const isSecond = isJudged && strength !== link.strength && !(link.second === "refused" && link.strength > strength);
      if (isSecond && link.second !== "up") return link.second === "refused" ? REFUSE : SETUP;
      const association = isSecond ? secondName(link.association) : link.association;
      const suite = !isSecond ? (link.keys?.suite ?? WIDEST_SUITE) : strength === STRENGTH.auth ? ESP_SUITE.nullSha256 : WIDEST_SUITE;
      return { action: "esp", association, ...way, ...this.#relayed(way.header, suite), ...fitted(choice, suite, source), source };
    });
    this.#env.datapath.setInbound(mapping.ownPrivateId, this.#inboundOf(mapping, link));
  }

  #relayed(header: Uint8Array | null, suite: EspSuite | null): Partial<Pick<EspFlow, "mtu">> {
    return header === null || !this.#env.ring.is6 ? {} : { mtu: largestRelayed(header.length, suite) };
  }

  /** Behind a header, straight, or for so many bytes straight and then behind the header, if there is one. */
  #wayOf(mapping: Mapping, link: Link | undefined): Pick<EspFlow, "header" | "locator" | "credit"> & { readonly choice: PathChoice } {
    const association = link?.association ?? null;
    const moving = link?.moving ?? null;
    if (association !== null && moving !== null) return { header: null, locator: moving.locator, credit: { account: association, bytes: moving.bytes }, choice: RELAY };
    const locator = link?.locator ?? null;
    if (locator !== null) return { header: null, locator, choice: RELAY };
    const header = this.#env.paths.headerOf(mapping, PAYLOAD_KIND.esp);
    const choice = association === null ? RELAY : this.#env.choice(association);
    if (association === null || choice.kind === "relay") return { header, locator: null, choice };
    const straight = viaPlace(choice.locator, choice.place);
    if (choice.creditBytes === null) return { header: null, locator: straight, choice };
    return { header, locator: straight, credit: { account: association, bytes: choice.creditBytes }, choice };
  }

  /** What comes in cleartext for a mapping that has services of that kind; the engine drops what needs more. */
  #inboundOf(mapping: Mapping, link: Link | undefined): Inbound {
    const form = link?.form ?? null;
    if (mapping.state !== "open" || mapping.peer === null || form === null || mapping.security === "none" || !hasServices(mapping.policy) || !strengthsOf(mapping.policy).includes(STRENGTH.none)) return { action: "upcall" };
    const { flow, source4, destination4, source6, destination6 } = form;
    return { action: "tun", strength: STRENGTH.none, flow, source4, destination4, source6, destination6 };
  }

  uninstall(mapping: Mapping): void {
    this.#env.flows.remove(mapping);
    this.#env.datapath.setInbound(mapping.ownPrivateId, null);
  }

  /** Installs the associations of an exchange. False when there is no room; one of them may be there then. */
  installs(event: EstablishedEvent, form: InboundForm): boolean {
    return this.takes(event, form) && this.sends(event.association, event, form);
  }

  /** Installs what packets come in with; they are as strong as its suite. False when there is no room. */
  takes({ spiIn, espSuite, keysIn }: Pick<EstablishedEvent, "spiIn" | "espSuite" | "keysIn">, form: InboundForm): boolean {
    const isIn = hasRoom(() => this.#env.datapath.setInboundAssociation(spiIn, { transform: keysIn, ...(isReadableSuite(espSuite) ? { strength: STRENGTH.auth } : {}), watch: { from: null }, ...form }));
    // HIP gives the SPI of a replaced association out again at once: from here on it is another one's.
    if (isIn) this.#retired.delete(spiIn);
    return isIn;
  }

  /** Installs what packets go out with. False when there is no room. */
  sends(association: number, { spiOut, keysOut }: Pick<EstablishedEvent, "spiOut" | "keysOut">, { beet, checksumState }: InboundForm): boolean {
    return hasRoom(() => this.#env.datapath.setOutboundAssociation(association, { spi: spiOut, transform: keysOut, beet, checksumState }));
  }

  removeInbound(spi: number): void {
    this.#env.datapath.setInboundAssociation(spi, null);
  }

  removeOutbound(association: number): void {
    this.#env.datapath.setOutboundAssociation(association, null);
  }

  /** Packets for these are taken for a moment longer. */
  retire(nowMs: number, spis: readonly number[]): void {
    for (const spi of spis) this.#retired.set(spi, nowMs + RETIRE_MS);
  }

  handleTimer(nowMs: number): void {
    for (const [spi, untilMs] of this.#retired) {
      if (untilMs > nowMs) return;
      this.#retired.delete(spi);
      this.removeInbound(spi);
    }
  }

  /** Packets of a mapping's flows, both families. */
  traffic(mapping: Mapping): { readonly sent: number; readonly heard: number } {
    const counts = [mapping.local4, mapping.local6].map((address) => (address === null ? undefined : this.#env.datapath.flowCounters(address)));
    const sum = (pick: "packetsOut" | "packetsIn"): number => counts.reduce((total, count) => total + (count?.[pick] ?? 0), 0);
    return { sent: sum("packetsOut"), heard: sum("packetsIn") };
  }

  /** Bytes that programs got of a peer in all, both families. */
  heardBytes(mapping: Mapping): number {
    return [mapping.local4, mapping.local6].reduce((sum, address) => sum + (address === null ? 0 : (this.#env.datapath.flowCounters(address)?.bytesIn ?? 0)), 0);
  }

  /** A peer without i3 seems to be there: until it has answered no more goes there than came from it since the last time. */
  follow(mapping: Mapping, link: Link, locator: ViaLocator | null): void {
    const heardBytes = this.heardBytes(mapping);
    const bytes = Math.min(MAX_CREDIT_BYTES, heardBytes - link.creditedBytes);
    // Only the address of ours is another one: the peer is where it was.
    const isThere = locator === null || (link.locator !== null && sameLocator(link.locator, locator));
    link.moving = isThere || bytes <= 0 ? null : { locator, bytes };
    if (link.moving !== null) link.creditedBytes = heardBytes;
    this.install(mapping, link);
  }

  /** Whether so many packets have gone with the keys of one of its pairs that it needs new ones. */
  isWornOut({ association, second }: Pick<Link, "association" | "second">): boolean {
    if (association === null) return false;
    const names = second === "up" ? [association, secondName(association)] : [association];
    return names.some((name) => (this.#env.datapath.nextSequence(name) ?? 0n) > REKEY_AFTER_PACKETS);
  }

  /** What packets of an association carry, and what programs see. */
  formOf(mapping: Mapping, { beet, checksumState, peerPreferences, peer }: EstablishedEvent): InboundForm {
    const { own4, identity } = this.#env;
    const pair = (from: Uint8Array, to: Uint8Array): AddressRewrite => ({ from, to });
    const v6 = mapping.local6;
    if (peerPreferences === null) {
      // A host that knows HIP only: its packets carry HITs, without IP headers (RFC 7402 §6).
      return { beet: 6, checksumState: false, flow: mapping.local4, source4: null, destination4: null, source6: v6 === null ? null : pair(peer.hit, v6), destination6: v6 === null ? null : pair(identity.hit, identity.hit) };
    }
    const peer6 = sameBytes(peerPreferences.peer6, ZERO6) ? identity.hit : peerPreferences.peer6;
    return {
      beet, checksumState, flow: mapping.local4,
      source4: pair(peerPreferences.own4, mapping.local4), destination4: pair(peerPreferences.peer4, own4),
      source6: v6 === null ? null : pair(peerPreferences.own6, v6), destination6: v6 === null ? null : pair(peer6, identity.hit),
    };
  }
}

/** On a path whose length is known packets are as long as fits, and stay whole. IPv6's least may not fit: then IP cuts what is around it. */
function fitted(choice: PathChoice, suite: EspSuite, source: Uint8Array): Partial<Pick<EspFlow, "mtu" | "locator">> {
  if (choice.kind === "relay" || choice.mtu === null) return {};
  const fits = largestInner(choice.mtu, choice.place.family, suite);
  return fits < WHOLE_FROM[source.length as 4 | 16] ? { mtu: Math.max(fits, LEAST_MTU) } : { mtu: Math.min(fits, MAX_MTU), locator: viaPlace(choice.locator, choice.place, true) };
}

function hasRoom(install: () => void): boolean {
  try {
    install();
    return true;
  } catch (cause) {
    if (cause instanceof DatapathError && cause.code === "ERR_I3_TABLE_FULL") return false;
    throw cause;
  }
}
