/**
 * The packet engine's interface (docs/datapath.md): TypeScript decides per flow, the engine moves every packet.
 * Implementations: `reference/` (TypeScript, the specification) and `native/` (C++, own threads).
 *
 * Ids are 32 bytes, ring keys 16, virtual addresses 4 or 16; all are copied by the engine.
 */
import type { Locator, ViaLocator } from "@i3/common";

/** Rewrites of one inner address pair: a packet must carry `from`; it leaves with `to`. Equal when headers are preserved. */
export interface AddressRewrite {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
}

/**
 * What protects the packets of one association (RFC 4303, 64-bit sequence numbers). The engine copies keys and wipes its copies
 * when the entry goes. Lengths in bytes; wrong ones are a RangeError.
 */
export type EspTransform =
  /** RFC 4106; `key` 16 or 32, `salt` 4. The IV is the sequence number. */
  | { readonly kind: "aes-gcm-16"; readonly key: Uint8Array; readonly salt: Uint8Array }
  /** RFC 2410 with HMAC-SHA-256-128 (RFC 4868), for `security="auth"`; `integrityKey` 32. */
  | { readonly kind: "null-hmac-sha-256"; readonly integrityKey: Uint8Array }
  /** RFC 3602 with HMAC-SHA-256-128, for conformity (RFC 7402 §5.1.2); `key` 16 or 32, `integrityKey` 32. */
  | { readonly kind: "aes-cbc-hmac-sha-256"; readonly key: Uint8Array; readonly integrityKey: Uint8Array };

interface AssociationBase {
  readonly transform: EspTransform;
  /** The family whose packets may travel without their IP header (BEET, RFC 7402 appendix B) when nothing is lost by it; null: always tunnel mode. */
  readonly beet: 4 | 6 | null;
  /** Negotiated: the checksum's state travels in the length of the padding (docs/wire.md §7), so that it need not be computed. */
  readonly checksumState: boolean;
}

export interface OutboundAssociation extends AssociationBase {
  /** The receiver's choice, {@link MIN_RECEIVER_SPI} to 2^32 - 1: a host that never heard of i3 draws from all of them. */
  readonly spi: number;
  /** Number of the first packet. Setting an association again with the same keys keeps its counter. Keys that were removed or replaced must never come back: the engine has forgotten how far they were used. @default 1n */
  readonly firstSequence?: bigint;
}

/** Setting it again with the same keys keeps its replay window. */
export interface InboundAssociation extends AssociationBase {
  /** As in {@link Inbound} `tun`. A BEET packet carries the `from` addresses of its family. */
  readonly flow: Uint8Array;
  /** @default 2 */
  readonly strength?: Strength;
  readonly source4: AddressRewrite | null;
  readonly destination4: AddressRewrite | null;
  readonly source6: AddressRewrite | null;
  readonly destination6: AddressRewrite | null;
  /** Authentic packets that come straight, are newer than all before, and from another address or port than `from` (null: any), make the upcall `elsewhere`. @default none do */
  readonly watch?: { readonly from: Locator | null };
}

/** What puzzles were made with in one epoch. */
export interface HipPuzzles {
  /** 0 to 65,535: PUZZLE's and SOLUTION's opaque. */
  readonly epoch: number;
  /** 32 bytes. */
  readonly secret: Uint8Array;
  /** K, 0 to 255. */
  readonly difficulty: number;
}

/**
 * What the engine needs to answer I1 packets by itself, and to tell I2 packets that are paid for from others (RFC 7401 §5.3.1, §6.7, §6.9;
 * docs/datapath.md, "HIP"), so that a flood of them costs no JavaScript. Copied; what the engine has of the secrets is wiped when it is
 * replaced or removed. Wrong shapes are a RangeError.
 */
export interface HipResponder {
  /** Ours, 16 bytes. */
  readonly hit: Uint8Array;
  /** Ids (32 bytes each, at most {@link LIMITS.hipOpenIds}) at which an I1 whose receiver HIT is zero is answered; nowhere else, and never straight. */
  readonly openIds: readonly Uint8Array[];
  /**
   * A whole signed R1 of ours, at most {@link LIMITS.hipR1Bytes}. What is filled in for each I1 is zero: the receiver's HIT, PUZZLE's
   * opaque and random #I; so is the checksum, which UDP and i3 do without.
   */
  readonly r1: Uint8Array;
  /** Where in `r1` PUZZLE's contents begin: K 1, lifetime 1, opaque 2, #I 32 or 48. */
  readonly puzzleOffset: number;
  /** Of `hit`: #I has 32 or 48 bytes. */
  readonly rhash: "sha256" | "sha384";
  /** The Diffie-Hellman group of `r1`, 1 to 255: an I1 that does not name it goes up. */
  readonly group: number;
  /** The first is that of `r1`, with the K that it has; then those whose solutions are taken too. At most {@link LIMITS.hipPuzzles}. */
  readonly puzzles: readonly HipPuzzles[];
}

/** The least that another host may choose for what is sent to it (RFC 4303 §2.1: 1 to 255 are reserved). */
export const MIN_RECEIVER_SPI = 256;
/** SPIs of ours never begin like an i3 header or a HIP marker (docs/wire.md §1). */
export const MIN_SPI = 0x2000_0000;
export const MAX_SPI = 0xfeff_ffff;

/** What stands in the place of a port with `ip` (RFC 7401 §5.1, RFC 4303 §2). */
export const IP_PROTOCOL = { hip: 139, esp: 50 } as const;

/** How packets of one way are protected: 0 in cleartext, 1 authenticated, 2 encrypted. */
export type Strength = 0 | 1 | 2;

/** Packets of a protocol, with ports those of which either port is one of them (docs/policy.md). */
export interface Service {
  /** IP protocol number, 0 to 255. */
  readonly protocol: number;
  /** Ascending, at most {@link LIMITS.portRangesPerService}, and only of TCP, UDP, DCCP, SCTP and UDP-Lite; empty: every packet of the protocol. */
  readonly ports: readonly { readonly first: number; readonly last: number }[];
  readonly strength: Strength;
}

/** What packets of one virtual address need (docs/datapath.md, "Services"). Copied. */
export interface Services {
  /** The first that matches decides; at most {@link LIMITS.servicesPerFlow}. */
  readonly services: readonly Service[];
  /** Of what no service takes; null: refused. */
  readonly rest: Strength | null;
}

/** What to do with packets that local programs send to one virtual address, or with those that need one {@link Strength}. */
export type Flow =
  /** Hold packets (at most {@link LIMITS.queuedPacketsPerFlow} a way) and tell the control plane once: upcall `flow-setup`. */
  | { readonly action: "setup" }
  /**
   * Put `header` (data header, perhaps a set-up message) in front and send to the server that the next-server table names
   * for the ring key of its first id. `source`: the only inner source address that may use the flow, unless it forwards.
   */
  | {
      readonly action: "tunnel";
      readonly header: Uint8Array;
      readonly source: Uint8Array;
      /** Largest inner packet, bytes, 576 to 65,535; of IPv6 1,280 at least pass (RFC 8200 §5). Larger ones are cut or answered "too big"; MSS options are clamped to it, whatever passes. @default none */
      readonly mtu?: number;
    }
  /**
   * Seal with the outbound association of that name and send: `header` (a data header of payload kind 4) in front and to the server of its first id,
   * or without one straight to `locator`, by `ip` with the port {@link IP_PROTOCOL.esp}. Exactly one of the two is null, but with `credit`.
   */
  | {
      readonly action: "esp";
      readonly association: number;
      readonly header: Uint8Array | null;
      readonly locator: ViaLocator | null;
      readonly source: Uint8Array;
      readonly mtu?: number;
      /**
       * For a `locator` that has not answered yet: so many `bytes` (ESP, and UDP's header by `udp` and `hip`) go there at most, 1 to 2^53 - 1. From the first packet that would make them more
       * all go behind `header`, or without one are dropped, counted `credit`. All flows, ways and associations with the same `account` (0 to 2^32 - 1), locator and bytes share one
       * credit: one that is set so while another has it goes on with what was used. @default no limit
       */
      readonly credit?: { readonly account: number; readonly bytes: number };
    }
  /** Answer with ICMP host unreachable (code 1) / ICMPv6 address unreachable (code 3). */
  | { readonly action: "refuse" };

/** What to do with data packets whose first id is exactly a given id of ours. */
export type Inbound =
  /** Whole payload goes up: upcall `payload` (public ids, set-up messages, native programs). */
  | { readonly action: "upcall" }
  /**
   * Payload kind 1 goes to the TUN after the rewrites of its family; other kinds go up. A packet whose addresses do not
   * match, and whose peer leads to no others, is dropped, counted `inner-address`. `flow` is the virtual address whose last use it also marks, and whose services it must satisfy.
   */
  | {
      readonly action: "tun";
      readonly flow: Uint8Array;
      /** How what comes for this id was protected. @default 2 */
      readonly strength?: Strength;
      readonly source4: AddressRewrite | null;
      readonly destination4: AddressRewrite | null;
      readonly source6: AddressRewrite | null;
      readonly destination6: AddressRewrite | null;
    };

/** One trigger as the engine of a server sees it. */
export interface TriggerEntry {
  readonly id: Uint8Array;
  readonly target: { readonly kind: "locator"; readonly locator: Locator } | { readonly kind: "stack"; readonly ids: readonly Uint8Array[] };
}

/** Ring keys in (from, to] belong to this server; `all` for a ring of one, `none` for hosts. */
export type Responsibility = { readonly kind: "all" } | { readonly kind: "none" } | { readonly kind: "range"; readonly from: Uint8Array; readonly to: Uint8Array };

/** A trigger whose refreshes the engine answers by itself (docs/datapath.md, "Refreshes"). */
export interface Lease {
  /** Where it may be refreshed from. */
  readonly owner: Locator;
  /** The last value of its chain that was shown, 16 bytes, and how many steps before the end that lies, at most 65,535. */
  readonly token: Uint8Array;
  readonly index: number;
  /** When it ends, ms on the engine's clock. */
  readonly endMs: number;
  /** Refreshed whoever is responsible, and answered without a replica. */
  readonly isReplica: boolean;
}

/** What the engine needs besides to answer refreshes. */
export interface RefreshAnswers {
  /** The ring keys whose triggers are refreshed here. */
  readonly range: Responsibility;
  /** Where the server is that owners are to give their replicas to, at most one locator of each family; an owner is told the one of its own. */
  readonly replicas: readonly Locator[];
  /** How long a trigger lives from its refresh, 1 to 65,535 ms. */
  readonly lifeMs: number;
}

/** By which the engine answers CHALLENGE_REQUEST (docs/datapath.md, "Challenges"). Copied; what the engine has of the secret is wiped when it is replaced or removed. */
export interface ChallengeAnswers {
  /** The ring keys that are ours: of these triggers are answered for, of all others replicas. */
  readonly range: Responsibility;
  /** That cookies are made with, 32 bytes (docs/wire.md §4.1). */
  readonly secret: Uint8Array;
  /** 16 bytes. */
  readonly nodeKey: Uint8Array;
  /** What the clock on the wall showed when the engine's showed 0, whole ms since 1970, at most 2^52. */
  readonly wallOffsetMs: number;
}

/** A lease that was refreshed: as it is now, when that was last (the engine's clock), and how often since it was told of. */
export interface Refreshed extends Pick<Lease, "token" | "index"> {
  readonly id: Uint8Array;
  readonly atMs: number;
  readonly times: number;
}

export interface Datagram {
  /** By `ip`: port {@link IP_PROTOCOL.hip} and a HIP packet with checksum 0, which the port fills in; or port {@link IP_PROTOCOL.esp}. */
  readonly locator: ViaLocator;
  readonly bytes: Uint8Array;
  /** It leaves by its port whatever {@link Datapath.setDetour} says: a probe of whether that port works. @default false */
  readonly isStraight?: boolean;
}

/** A datagram that took another way than a socket of the engine's. */
export interface Detoured {
  readonly from: Locator;
  readonly bytes: Uint8Array;
}

/** What the engine hands up, in batches of at most {@link LIMITS.upcallsPerBatch}. Byte arrays belong to the receiver; those of control datagrams may lie in one buffer, so who keeps one copies it. */
export type Upcall =
  /** A control datagram (first byte 0x19), not looked into. */
  | { readonly kind: "control"; readonly from: Locator; readonly bytes: Uint8Array }
  /**
   * A HIP packet that came straight, without UDP's four zero bytes. Its header is well-formed, and so by `ip` is its checksum; nothing behind it is looked at.
   * An I1 is one that the engine's R1 has no answer for: it names other groups. An I2 has solved a puzzle of ours.
   */
  | { readonly kind: "hip"; readonly from: ViaLocator; readonly bytes: Uint8Array }
  /** First packet to an address whose flow, by the way that the packet needs, is `setup`; the packets wait for `release` or `discard`. Once per way and set-up. */
  | { readonly kind: "flow-setup"; readonly address: Uint8Array; readonly strength: Strength; /** A copy of that packet. */ readonly packet: Uint8Array }
  /** A data packet for an inbound entry that wants it up. */
  | { readonly kind: "payload"; readonly id: Uint8Array; readonly from: Locator; readonly nonce: Uint8Array; readonly payloadKind: number; readonly payload: Uint8Array }
  /** Server: no next server known for this ring key; packets wait for `setNextServer` or `discardRoute`. Once until one of them; it counts as an upcall of the source that was first, `from`. */
  | { readonly kind: "route-miss"; readonly ringKey: Uint8Array; readonly from: Locator }
  /** Server: a packet for an id that is ours and has no trigger. At most one per ring key and source in 100 ms. */
  | { readonly kind: "no-trigger"; readonly id: Uint8Array; readonly from: Locator; readonly nonce: Uint8Array; readonly forwarded: boolean; readonly requestBytes: number }
  /** Server: a packet that another server had sent on has used up its hops here, though the id is not ours: the ways of several servers lead in a circle. At most one per ring key and source in 100 ms, together with `no-trigger`. */
  | { readonly kind: "astray"; readonly id: Uint8Array; readonly from: Locator }
  /** Server: CACHE_REQUEST was set by a sender that is not a server; `shortcutOk`: SHORTCUT_OK too. `id`: as the sender named it. At most one per ring key and source in 100 ms. */
  | { readonly kind: "cache-request"; readonly id: Uint8Array; readonly from: Locator; readonly nonce: Uint8Array; readonly shortcutOk: boolean; readonly requestBytes: number }
  /** A packet that {@link InboundAssociation.watch} asks for. At most one per SPI in 100 ms, and from the place that was told last in 5 s. */
  | { readonly kind: "elsewhere"; readonly spi: number; readonly from: ViaLocator }
  /** The system refused an ESP packet to the `locator` of a flow: there is no way there from that place, or only one for shorter ones. At most one per locator in 100 ms. */
  | { readonly kind: "send-failed"; readonly locator: ViaLocator; readonly reason: SendFailure }
  /** A datagram that would have left by the main port: see {@link Datapath.setDetour}. */
  | { readonly kind: "detour"; readonly locator: Locator; readonly bytes: Uint8Array };

export type SendFailure = "unreachable" | "too-big";

/** From a server that joined a moment ago to one that has its triggers still (docs/wire.md §4.2). */
export interface PassOn {
  readonly from: Locator;
  readonly to: Locator;
}

/** Bounds of every queue and table; see docs/datapath.md for what happens when one is full. */
export const LIMITS = {
  queuedPacketsPerFlow: 16,
  queuedPacketsPerRoute: 32,
  queuedBytes: 4 * 1024 * 1024,
  upcallsPerBatch: 256,
  upcallsPerSourcePerSecond: 2_000,
  /** Of control, copies, R1s and I2s: sources beyond those that have a bucket of their own share so many, by a seeded hash. A flood from made-up sources leaves most of them full. */
  sharedBuckets: 65_536,
  /** Copies at a server beyond the first of each packet of one source (an IPv4 address, an IPv6 /64): so many a second, and so many at once. */
  copiesPerSourcePerSecond: 200_000,
  copiesPerSourceBurst: 20_000,
  /** Hops of a copy from id to id at a server that cost its source nothing; each further one takes what a copy takes. */
  freeHops: 4,
  /** R1 packets to one source (an IPv4 address, an IPv6 /64) without a data header: so many a second, and so many at once. */
  r1PerSourcePerSecond: 10,
  r1PerSourceBurst: 20,
  /** R1 packets in all, to who asks for the first time. */
  r1PerSecond: 4_000,
  /** R1 packets to those who were refused for that, or had one of these, and ask again after so many ms: HIP asks again after 500, 1,500 and 3,500. */
  r1AgainPerSecond: 4_000,
  r1AgainFromMs: 300,
  r1AgainToMs: 4_000,
  /** I1 packets that go up, by either way, since the engine's R1 has no group that they name: JavaScript answers them. */
  hipI1sPerSecond: 100,
  /** I2 packets with a solved puzzle from one source (an IPv4 address, an IPv6 /64) without a data header: so many a second, and so many at once. */
  hipI2sPerSourcePerSecond: 50,
  hipI2sPerSourceBurst: 100,
  /** HIP packets without a data header that go up, of all sources together: each is work for JavaScript, an I2 (with a solved puzzle) most. */
  hipI2sPerSecond: 2_000,
  hipOthersPerSecond: 4_000,
  /** The least UDP payload that IPv6 always carries whole (RFC 8200 §5: 1,280 - 40 - 8). */
  hipR1Bytes: 1_232,
  hipOpenIds: 32,
  /** Addresses of {@link Datapath.setKnownSource}. */
  knownSources: 131_072,
  /** Locators of {@link Datapath.setNeighbours}: a server has one predecessor and at most 16 successors. */
  neighbours: 32,
  /** Messages between servers that go up of each. */
  upcallsPerNeighbourPerSecond: 8_000,
  /** Of an epoch each: those of one and two minutes ago, and those that a rise of the difficulty has ended. */
  hipPuzzles: 8,
  flows: 65_536,
  /** Single addresses of {@link Datapath.setBehind}, and shorter prefixes. */
  behind: 65_536,
  behindPrefixes: 256,
  /** Pairs of {@link Datapath.setTranslation}. */
  translations: 65_536,
  /** Flows that have services, or ways besides that of strength 2. */
  flowsWithServices: 16_384,
  servicesPerFlow: 32,
  portRangesPerService: 16,
  inbound: 131_072,
  /** Outbound, and as many inbound. */
  associations: 131_072,
  nextServers: 65_536,
  triggers: 1_048_576,
  /** Until groups with certified members exist: hosts need one or two, and each is a copy and a step for whoever sends there. */
  triggersPerRingKey: 128,
  /** How many refreshes of a trigger in a row may be lost (docs/wire.md §4.1). */
  refreshSkip: 64,
  /** In the last of a trigger's life its refreshes go up, so that the control plane does not end one that has just been refreshed. */
  leaseMarginMs: 1_000,
  refreshedPerBatch: 256,
  /** In 10 ms whose share is known; the others have no limit in these. */
  sharePeers: 4_096,
} as const;

/** Why a packet was dropped (docs/wire.md §8). */
export type DropReason =
  | "malformed" | "version" | "hip" | "puzzle" | "unknown-spi" | "replay" | "integrity" | "sequence" | "ecn" | "unknown-id" | "hop-limit" | "copy-budget" | "queue-full" | "no-trigger"
  | "no-route" | "inner-address" | "inner-malformed" | "not-allocated" | "rate" | "amplification" | "refused" | "policy" | "credit" | "detour" | "too-big" | "translation" | "unfair-in" | "unfair-out" | "io-error";

export interface Counters {
  readonly drops: Readonly<Record<DropReason, number>>;
  readonly tunIn: number;
  readonly tunOut: number;
  readonly udpIn: number;
  readonly udpOut: number;
  readonly upcalls: number;
  /** R1 packets that answered I1 packets. */
  readonly hipAnswered: number;
  /** Refreshes that the engine answered. */
  readonly refreshed: number;
  /** Requests for a challenge that the engine answered. */
  readonly challenged: number;
}

/** Of one flow since its address was first set, kept by later calls of `setFlow` until it is removed; bytes are of inner packets. */
export interface FlowCounters {
  readonly packetsOut: number;
  readonly bytesOut: number;
  readonly packetsIn: number;
  readonly bytesIn: number;
  /** Of `packetsOut` what a host sends by itself to whoever asks: ICMP but echo requests, TCP resets and SYN-ACKs; and later fragments, which do not show what they are. */
  readonly answersOut: number;
}

export interface Datapath {
  /** Which implementation this is; benches assert it. */
  readonly implementation: "reference" | "native";
  /**
   * Throws DatapathError ERR_I3_TABLE_FULL. Replacing `setup` by another action sends what waits through it at once, before anything newer.
   * `strength`: which of the address's ways this is, 2 unless given; without services all packets take way 2. `null` removes the way, and with
   * the last way, or without `strength`, the flow: its counters, its last use and its services.
   */
  setFlow(address: Uint8Array, flow: Flow | null, strength?: Strength): void;
  /**
   * What packets of an address that has a flow need, both ways; `null`: no more services. What waits is judged again. Throws DatapathError
   * ERR_I3_TABLE_FULL, RangeError also for services of an address that has no flow.
   */
  setServices(address: Uint8Array, services: Services | null): void;
  /**
   * The hosts whose addresses begin with the first `bits` of `address` (the others are 0) are behind the peer whose flow has the address `flow`, of the same family: packets for them take that flow, whole, and
   * that peer may send what comes from them (docs/datapath.md, "Behind a peer"). The longest prefix decides; an address with a flow of its own is nobody's, either way. The flow need not be there. `null` removes. Throws DatapathError ERR_I3_TABLE_FULL, RangeError.
   */
  setBehind(address: Uint8Array, bits: number, flow: Uint8Array | null): void;
  /**
   * Whether this host passes packets on for the peer with that flow: between it and others than this host's own address, of that flow's family; what comes of it in cleartext, no. Ends with the flow. `other`: the same peer's
   * flow of the other family, which need not be there, for {@link Datapath.setTranslation}; both name each other. @default null, none. Throws RangeError when there is no flow, and for two of one family.
   */
  setForwarding(flow: Uint8Array, isOn: boolean, other?: Uint8Array | null): void;
  /**
   * What a peer for which this host passes packets on, by its flow of the family of `from`, sends to `from` goes to `to`, an address of the other family, as a packet of that family (RFC 7915), and what comes to
   * that peer from there comes as from `from` (docs/datapath.md, "Translation"). Other peers have their own. The flow need not be there. `null` removes. Throws DatapathError ERR_I3_TABLE_FULL, RangeError also
   * for `from` and `to` of one family, a flow of the other than `from`, and for a `to` that another `from` of that flow has.
   */
  setTranslation(flow: Uint8Array, from: Uint8Array, to: Uint8Array | null): void;
  setInbound(id: Uint8Array, inbound: Inbound | null): void;
  /** `name` is the caller's: an integer from 0 to 2^32 - 1. Flows that name a missing one drop their packets, `no-route`. `null` removes and wipes. */
  setOutboundAssociation(name: number, association: OutboundAssociation | null): void;
  /** ESP with this SPI, bare or behind an id of ours. `null` removes and wipes. */
  setInboundAssociation(spi: number, association: InboundAssociation | null): void;
  /** The number that the next packet of an outbound association will carry; undefined when there is none. For rekeying in time. */
  nextSequence(name: number): bigint | undefined;
  /** From now on I1 packets that name its group are answered by this; `null`: no more, and HIP goes up only from behind a data header. */
  setHipResponder(responder: HipResponder | null): void;
  /**
   * An address (4 or 16 bytes) whose packets are expected: of a server that this host uses, of a peer with an association. What goes up from there does not share
   * limits with what others send. Counted: it is known until it was forgotten as often as it was made known.
   */
  setKnownSource(address: Uint8Array, isKnown: boolean): void;
  /**
   * Servers beside this one on the ring, in place of those before: messages between servers that come from exactly there share no limits with what others send, under the
   * same address or any. Throws DatapathError ERR_I3_TABLE_FULL.
   */
  setNeighbours(locators: readonly Locator[]): void;
  /** All triggers of one ring key, replacing what was there; an empty list removes. */
  setTriggers(ringKey: Uint8Array, triggers: readonly TriggerEntry[]): void;
  /** Refreshes of this trigger are answered by the engine from now on; `null`: go up. What `takeRefreshed` has not told of the one before is forgotten. Throws DatapathError ERR_I3_TABLE_FULL. */
  setLease(id: Uint8Array, lease: Lease | null): void;
  /** `null`, as at the start: all refreshes go up. */
  setRefreshAnswers(answers: RefreshAnswers | null): void;
  /** `null`, as at the start: all requests for a challenge go up. */
  setChallengeAnswers(answers: ChallengeAnswers | null): void;
  /** Leases that were refreshed, each once, in the order of their last refresh; at most {@link LIMITS.refreshedPerBatch}. */
  takeRefreshed(): readonly Refreshed[];
  setResponsibility(range: Responsibility): void;
  /** Where packets for a ring key go next; `null` removes. Packets that wait for it go out. */
  setNextServer(ringKey: Uint8Array, locator: Locator | null): void;
  /** Server: what another server has sent on, has no trigger here and is not ours goes from `from` to `to`, whatever the table says, and back to `to` when that sent it on, if the table says so; `null`, as at the start: by the table, and never back. */
  setPassOn(passOn: PassOn | null): void;
  /** Where packets go whose ring key is not in the table (hosts: the first-hop server; servers: `null`, which makes a route-miss). */
  setDefaultServer(locator: Locator | null): void;
  /** By which interface datagrams of the main port leave that name neither one nor an address of ours; 0, as at the start: the system's choice. Throws RangeError. */
  setUplink(interfaceIndex: number): void;
  /** The waiting packets of a route-miss are dropped, counted `no-route`. */
  discardRoute(ringKey: Uint8Array): void;
  /** The waiting packets of all ways go through the flow as it now is, each by its own way, in order. */
  release(address: Uint8Array): void;
  /** The waiting packets of all ways are dropped, each answered as `refuse` does when `refuse` is true. */
  discard(address: Uint8Array, refuse: boolean): void;
  /** Control datagrams and data packets made by the control plane. */
  send(datagrams: readonly Datagram[]): void;
  /**
   * While on, what would leave by the main port goes up instead, upcall `detour`, but for what is {@link Datagram.isStraight} and ESP to a flow's `locator`;
   * without room among the upcalls that wait it is dropped, `detour`. Off at the start. For networks that let no UDP through (docs/datapath.md, "Detour").
   */
  setDetour(isOn: boolean): void;
  /** Treated in the next step as if they had come by the main port, with traffic class 0. */
  takeDetoured(datagrams: readonly Detoured[]): void;
  /** Whole IP packets to the TUN, as they are. */
  inject(packets: readonly Uint8Array[]): void;
  /** Whole IP packets, treated as if they had come from the TUN. */
  submit(packets: readonly Uint8Array[]): void;
  /** An IP packet that came inside a set-up message: treated as if it had arrived for `id` with payload kind 1. */
  deliver(id: Uint8Array, packets: readonly Uint8Array[]): void;
  /** ms (the engine's clock, see `step`) of the last packet either way through a flow, or to and from a single address behind a peer; undefined when there is none. */
  lastUse(address: Uint8Array): number | undefined;
  flowCounters(address: Uint8Array): FlowCounters | undefined;
  counters(): Counters;
}
