/**
 * The packet engine's side of the addon, as C++ offers it (src/native/engine-*.cc); `NativeEngine` makes a {@link Datapath} of it.
 * Arguments are checked there: a wrong shape is a TypeError, and what the engine itself refuses is a status.
 */

/** `enum class Status` in native/engine/engine.h: 0 ok, 1 table full, 2 ring key's group full, 3 wrong shape, 4 table of flows' services full, 5 another translation's. */
export type EngineStatus = 0 | 1 | 2 | 3 | 4 | 5;

/** An engine; lives until `closeEngine` or until nobody has it any more. */
export type EngineHandle = object & { readonly __brand: "i3-engine" };

/**
 * What the ports do without asking the kernel for each packet, by name. false: listed in `without`, probed and not there, or stepped
 * down after an error; `tun…` also where there is no TUN.
 */
export interface Offloads {
  /** TUN: partial checksums and, with these, segments of TCP over IPv4 and IPv6, and UDP. */
  readonly tunChecksum: boolean;
  readonly tunTcp4: boolean;
  readonly tunTcp6: boolean;
  readonly tunUdp: boolean;
  readonly udpSegment: boolean;
  readonly udpReceive: boolean;
  /** DSCP and ECN bits can be sent and seen. */
  readonly trafficClass: boolean;
}

export interface EngineOptions {
  /** 1–16. One worker thread each, with a TUN queue and a UDP socket of its own (SO_REUSEPORT when there are several). */
  readonly workers: number;
  /** null: a server. */
  readonly tun: { readonly name: string; readonly mtu: number } | null;
  readonly udp: { readonly family: 4 | 6; readonly address: string; readonly port: number; readonly mark: number; readonly bufferBytes: number };
  /** HIP's own UDP port; null: none. */
  readonly hip: EngineOptions["udp"] | null;
  /** IP protocols 139 and 50, which need CAP_NET_RAW. */
  readonly ip: boolean;
  /** The caller's clock now, ms: `lastUse` is told in it. */
  readonly nowMs: number;
  /** Offloads that must stay off, by their name in {@link Offloads}. */
  readonly without: readonly string[];
  /** Called in JavaScript, at most once a turn, while upcalls wait. */
  readonly onUpcalls: () => void;
  /** A worker met an error for good: `port` broke. The others go on. */
  readonly onFailure: (port: "tun" | "udp", error: Error) => void;
}

export interface OpenedEngine {
  readonly handle: EngineHandle;
  readonly tun: { readonly name: string; readonly index: number } | null;
  readonly port: number;
}

/**
 * Upcall as C++ makes it: `from` is an endpoint of 18 bytes, of kinds 6, 8 and 9 a route of 39 (reference/endpoints.ts); fields that a kind has not are absent. Of kind 0 `bytes` has the endpoint
 * before the datagram, and shares its memory with the others of its batch.
 */
export interface RawUpcall {
  /** 0 control, 1 flow-setup, 2 payload, 3 route-miss, 4 no-trigger, 5 cache-request, 6 hip, 7 astray, 8 elsewhere, 9 send-failed, 10 detour */
  readonly kind: number;
  readonly from?: Uint8Array;
  readonly name?: Uint8Array;
  readonly nonce?: Uint8Array;
  readonly bytes?: Uint8Array;
  readonly payloadKind?: number;
  readonly forwarded?: boolean;
  readonly shortcutOk?: boolean;
  readonly requestBytes?: number;
  readonly strength?: number;
  readonly spi?: number;
  /** 0 unreachable, 1 too big */
  readonly reason?: number;
}

/** One packet of {@link NativeEngineAddon.stepEngine} in or out on the TUN side: a virtio_net_hdr (10 bytes, little-endian fields) and the packet. */
export type VnetPacket = Uint8Array;

/** One datagram or train. `segmentBytes` 0 or the length: a single datagram. */
export interface RawDatagram {
  readonly bytes: Uint8Array;
  readonly segmentBytes: number;
  /** Of the main port, 18 bytes, or a route of 39 (reference/endpoints.ts); what comes out is a route. */
  readonly endpoint: Uint8Array;
  readonly trafficClass: number;
  /** Of what comes out: an ESP packet to the locator of a flow, whose refusal the control plane is told of. */
  readonly tells?: boolean;
}

export interface NativeEngineAddon {
  /** Opens the ports and starts the workers. Throws system errors as the rest of the addon does; nothing stays open then. */
  openEngine(options: EngineOptions): OpenedEngine;
  /** An engine without ports and threads, driven by `stepEngine`: for the conformance suite. */
  createSteppedEngine(): EngineHandle;
  /** Throws when the engine has ports. Input arrays are copied. `offloads` false: the TUN takes no partial checksum and no train. `queue`: what was behind what came; 0 unknown, 1 nothing, 2 more, 3 more, and the kernel had no room for some. */
  stepEngine(
    handle: EngineHandle, nowMs: number, tun: readonly VnetPacket[], udp: readonly RawDatagram[], offloads: boolean, queue: number,
  ): { readonly tun: readonly VnetPacket[]; readonly udp: readonly RawDatagram[]; readonly upcalls: readonly RawUpcall[] };
  /** Joins the threads, closes the ports, frees the tables. What waits to be sent is given to the system first. Twice is no error. */
  closeEngine(handle: EngineHandle): void;

  /** `action`: 0 setup, 1 tunnel, 2 esp, 3 refuse. Empty arrays and null where the action has no such thing. `creditBytes` 0: no limit, and no account. */
  engineSetFlow(handle: EngineHandle, address: Uint8Array, action: number, header: Uint8Array, locator: Uint8Array | null, source: Uint8Array, association: number, mtu: number, creditBytes: number, creditAccount: number, strength: number): EngineStatus;
  /** `strength` 3: all ways. */
  engineRemoveFlow(handle: EngineHandle, address: Uint8Array, strength: number): void;
  /** `packed`: for each service protocol, strength, number of port ranges, and of each first and last port, 2 bytes each. `rest` 3: refused. Wrong shape also: no such flow. */
  engineSetServices(handle: EngineHandle, address: Uint8Array, packed: Uint8Array, rest: number): EngineStatus;
  engineRemoveServices(handle: EngineHandle, address: Uint8Array): void;
  /** Wrong shape also: families that differ, bits beyond the prefix. */
  engineSetBehind(handle: EngineHandle, address: Uint8Array, bits: number, flow: Uint8Array): EngineStatus;
  engineRemoveBehind(handle: EngineHandle, address: Uint8Array, bits: number): void;
  /** `other`: of the other family, or empty. Wrong shape also: no such flow. */
  engineSetForwarding(handle: EngineHandle, flow: Uint8Array, isOn: boolean, other: Uint8Array): EngineStatus;
  /** Wrong shape also: `from` and `to` of one family, `flow` and `from` of two. */
  engineSetTranslation(handle: EngineHandle, flow: Uint8Array, from: Uint8Array, to: Uint8Array): EngineStatus;
  engineRemoveTranslation(handle: EngineHandle, flow: Uint8Array, from: Uint8Array): void;
  engineSetInboundUpcall(handle: EngineHandle, id: Uint8Array): EngineStatus;
  /** `pairs4`: source from, to, destination from, to, 16 bytes in all, or empty; `pairs6` the same with 64. */
  engineSetInboundTun(handle: EngineHandle, id: Uint8Array, flow: Uint8Array, pairs4: Uint8Array, pairs6: Uint8Array, strength: number): EngineStatus;
  engineRemoveInbound(handle: EngineHandle, id: Uint8Array): void;
  /** `transform`: 0 AES-GCM, 1 NULL, 2 AES-CBC. `beet`: 4, 6 or 0. */
  engineSetOutboundAssociation(
    handle: EngineHandle, name: number, spi: number, transform: number, key: Uint8Array, salt: Uint8Array, integrityKey: Uint8Array, beet: number, checksumState: boolean, firstSequence: bigint,
  ): EngineStatus;
  engineRemoveOutboundAssociation(handle: EngineHandle, name: number): void;
  engineSetInboundAssociation(
    handle: EngineHandle, spi: number, transform: number, key: Uint8Array, salt: Uint8Array, integrityKey: Uint8Array, beet: number, checksumState: boolean,
    flow: Uint8Array, pairs4: Uint8Array, pairs6: Uint8Array, strength: number, watches: boolean, watchFrom: Uint8Array | null,
  ): EngineStatus;
  engineRemoveInboundAssociation(handle: EngineHandle, spi: number): void;
  /** undefined: no such association. 0n: all numbers are used. */
  engineNextSequence(handle: EngineHandle, name: number): bigint | undefined;
  /** `openIds`: one behind the other. `rhash`: 0 SHA-256, 1 SHA-384. */
  engineSetHipResponder(handle: EngineHandle, hit: Uint8Array, openIds: Uint8Array, r1: Uint8Array, puzzleOffset: number, rhash: number, group: number, puzzles: Uint8Array): EngineStatus;
  engineRemoveHipResponder(handle: EngineHandle): void;
  /** `address`: 16 bytes. */
  engineSetKnownSource(handle: EngineHandle, address: Uint8Array, isKnown: boolean): EngineStatus;
  /** `endpoints`: 18 bytes each. */
  engineSetNeighbours(handle: EngineHandle, endpoints: Uint8Array): EngineStatus;
  /** For each trigger: id 32, then 0 and an endpoint of 18, or 1, the number of ids and these. */
  engineSetTriggers(handle: EngineHandle, ringKey: Uint8Array, packed: Uint8Array): EngineStatus;
  engineSetLease(handle: EngineHandle, id: Uint8Array, owner: Uint8Array, token: Uint8Array, index: number, endMs: number, isReplica: boolean): EngineStatus;
  engineRemoveLease(handle: EngineHandle, id: Uint8Array): EngineStatus;
  /** `kind` as below; replicas: an endpoint of IPv4, and one of IPv6. */
  engineSetRefreshAnswers(handle: EngineHandle, kind: number, from: Uint8Array, to: Uint8Array, replica4: Uint8Array | null, replica6: Uint8Array | null, lifeMs: number): EngineStatus;
  engineRemoveRefreshAnswers(handle: EngineHandle): void;
  engineSetChallengeAnswers(handle: EngineHandle, kind: number, from: Uint8Array, to: Uint8Array, secret: Uint8Array, nodeKey: Uint8Array, wallOffsetMs: number): EngineStatus;
  engineRemoveChallengeAnswers(handle: EngineHandle): void;
  /** For each lease: id 32 | token 16 | index 4 | times 4 | atMs 8, a double; all big-endian. undefined: none. */
  engineTakeRefreshed(handle: EngineHandle): Uint8Array | undefined;
  /** 0 all, 1 none, 2 range. */
  engineSetResponsibility(handle: EngineHandle, kind: number, from: Uint8Array, to: Uint8Array): EngineStatus;
  engineSetNextServer(handle: EngineHandle, ringKey: Uint8Array, endpoint: Uint8Array | null): EngineStatus;
  engineSetPassOn(handle: EngineHandle, from: Uint8Array | null, to: Uint8Array | null): EngineStatus;
  engineSetDefaultServer(handle: EngineHandle, endpoint: Uint8Array | null): void;
  engineSetUplink(handle: EngineHandle, interfaceIndex: number): void;
  engineDiscardRoute(handle: EngineHandle, ringKey: Uint8Array): EngineStatus;
  engineRelease(handle: EngineHandle, address: Uint8Array): EngineStatus;
  engineDiscard(handle: EngineHandle, address: Uint8Array, refuse: boolean): EngineStatus;
  /** As if the system had refused an ESP packet to a flow's locator at the time of the last step. `reason` as in an upcall. */
  engineSendFailed(handle: EngineHandle, route: Uint8Array, reason: number): void;
  engineSend(handle: EngineHandle, endpoint: Uint8Array, bytes: Uint8Array): void;
  /** For each datagram its route 39, length 4, big-endian, and bytes. */
  engineSendAll(handle: EngineHandle, packed: Uint8Array): void;
  engineSetDetour(handle: EngineHandle, isOn: boolean): void;
  /** As `engineSendAll`, with where each came from. */
  engineTakeDetoured(handle: EngineHandle, packed: Uint8Array): void;
  engineInject(handle: EngineHandle, packet: Uint8Array): void;
  engineSubmit(handle: EngineHandle, packet: Uint8Array): void;
  engineDeliver(handle: EngineHandle, id: Uint8Array, packet: Uint8Array): EngineStatus;
  /** [last use ms or NaN, packets out, bytes out, packets in, bytes in]; undefined: no such flow. */
  engineFlowReport(handle: EngineHandle, address: Uint8Array): Float64Array | undefined;
  /** [ms], of a single address behind a peer; undefined: there is none, or it was never used. */
  engineBehindLastUse(handle: EngineHandle, address: Uint8Array): Float64Array | undefined;
  /** At most LIMITS.upcallsPerBatch. */
  engineTakeUpcalls(handle: EngineHandle): readonly RawUpcall[];
  engineUpcallsWait(handle: EngineHandle): boolean;
  /** Drops in the order of DROP_REASONS (native-engine.ts), then tunIn, tunOut, udpIn, udpOut, upcalls, hipAnswered, refreshed, challenged, tunReads, tunWrites, udpReads, udpSends, tableBytes. */
  engineCounters(handle: EngineHandle): Float64Array;
  engineOffloads(handle: EngineHandle): Offloads;
}
