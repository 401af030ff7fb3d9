/**
 * The native packet engine (src/native/engine/, C++ with threads of its own) as a {@link Datapath}. Arguments are checked by the
 * functions of the reference engine, so that both refuse the same ones with the same errors; changes act at once, output leaves by
 * itself, and upcalls come in arrays in later turns of the event loop.
 */
import { concatBytes, type I3Error, type Locator, type OffloadName } from "@i3/common";
import {
  LIMITS, type ChallengeAnswers, type Counters, type Datagram, type Datapath, type Detoured, type DropReason, type Flow, type FlowCounters, type HipResponder, type Inbound, type InboundAssociation, type Lease, type OutboundAssociation, type PassOn, type RefreshAnswers, type Refreshed, type Responsibility, type SendFailure, type Services, type Strength, type TriggerEntry, type Upcall,
} from "./datapath.js";
import { tableFull } from "./errors.js";
import type { EngineHandle, EngineStatus, NativeEngineAddon, RawDatagram, VnetPacket } from "./native-addon.js";
import { brokenPort, loadNativeEngine, openNativePorts, type EngineAddon, type NativePorts } from "./native-engine-open.js";
import { ALL_WAYS, NOTHING, packDatagrams, packFlow, packPuzzles, packRewrites, packServices, packTransform, packTriggers } from "./native-engine-pack.js";
import { decodeRefreshed, decodeUpcall, SEND_FAILURES } from "./native-engine-upcalls.js";
import { behindBound, requirePrefix } from "./reference/behind-table.js";
import { makeRewritePlan } from "./reference/address-rewrite.js";
import { requireChallengeAnswers } from "./reference/challenge-rules.js";
import { prepareOutbound, prepareWatch, requireFamily, requireName, requireSpi, SEQUENCE_END } from "./reference/association-table.js";
import { encodeAddress, encodeDatagramRoute, encodeEndpoint, requireInterface } from "./reference/endpoints.js";
import { makeCipher, wipeKeys } from "./reference/esp-transforms.js";
import { noFlow, noFlowToForward, prepareAction } from "./reference/flow-table.js";
import { requireResponder } from "./reference/hip-responder.js";
import type { QueueState } from "./reference/fair-shares.js";
import { requireLength } from "./reference/octets.js";
import { prepareServices, requireStrength, STRONGEST } from "./reference/services.js";
import { replicasOf, requireAnswers, requireLease } from "./reference/refresh-rules.js";
import { requireFamilies, requireTranslation, takenTranslation } from "./reference/translation-table.js";
import { ID_BYTES, RING_KEY_BYTES } from "./wire/data-header.js";

/** In the order of `enum class Drop` in native/engine/counters.h. */
export const DROP_REASONS = [
  "malformed", "version", "hip", "puzzle", "unknown-spi", "replay", "integrity", "sequence", "ecn", "unknown-id", "hop-limit", "copy-budget", "queue-full", "no-trigger",
  "no-route", "inner-address", "inner-malformed", "not-allocated", "rate", "amplification", "refused", "policy", "credit", "detour", "too-big", "translation", "unfair-in", "unfair-out", "io-error",
] as const satisfies readonly DropReason[];

/** Behind the drops in what `engineCounters` yields. */
const COUNTS = ["tunIn", "tunOut", "udpIn", "udpOut", "upcalls", "hipAnswered", "refreshed", "challenged", "tunReads", "tunWrites", "udpReads", "udpSends", "tableBytes"] as const;
type Count = (typeof COUNTS)[number];

/** So that timers and the rest of the control plane get the event loop while a flood of upcalls comes in. */
const UPCALL_BATCHES_PER_TURN = 8;
const RHASH = { sha256: 0, sha384: 1 } as const;
const RESPONSIBILITY = { all: 0, none: 1, range: 2 } as const;

export type Offloading = Readonly<Record<OffloadName, boolean>>;

/** What the ports have asked of the system; packets per call are the engine's counters divided by these. */
export interface SystemCalls {
  readonly tunReads: number;
  readonly tunWrites: number;
  readonly udpReads: number;
  readonly udpSends: number;
}

export interface NativeEngineOptions extends NativePorts {
  /** The monotonic clock in ms that `lastUse` is told in. */
  readonly clock: { nowMs(): number };
  /** Called in a turn of its own with 1 to {@link LIMITS.upcallsPerBatch} upcalls; it may use the engine and close it. */
  readonly onUpcalls: (upcalls: readonly Upcall[]) => void;
  /** A port broke for good; the other goes on. Once for each. */
  readonly onFailure: (error: I3Error) => void;
  /** @default loadNativeEngine() */
  readonly addon?: EngineAddon;
}

export class NativeEngine implements Datapath {
  readonly implementation = "native";
  readonly #addon: NativeEngineAddon;
  readonly #handle: EngineHandle;
  #closed = false;

  protected constructor(addon: NativeEngineAddon, handle: EngineHandle) {
    this.#addon = addon;
    this.#handle = handle;
  }

  /**
   * Opens the TUN device (if asked for) and the UDP socket and begins. Throws I3Error ERR_I3_NO_NATIVE, ERR_I3_NO_TUN, ERR_I3_TUN_BUSY,
   * ERR_I3_PORT_IN_USE, ERR_I3_NO_UDP; nothing stays open then.
   */
  static open(options: NativeEngineOptions): RunningNativeEngine {
    return new RunningNativeEngine(options);
  }

  /** Without ports and threads, for tests. */
  static stepped(addon: NativeEngineAddon = loadNativeEngine()): SteppedNativeEngine {
    return new SteppedNativeEngine(addon);
  }

  setFlow(address: Uint8Array, flow: Flow | null, strength?: Strength): void {
    requireAddress(address);
    if (strength !== undefined) requireStrength(strength);
    if (flow === null) return this.#addon.engineRemoveFlow(this.#handle, address, strength ?? ALL_WAYS);
    settle(this.#addon.engineSetFlow(this.#handle, address, ...packFlow(prepareAction(flow, address.length)), strength ?? STRONGEST), "flow", LIMITS.flows);
  }

  setServices(address: Uint8Array, services: Services | null): void {
    requireAddress(address);
    if (services === null) return this.#addon.engineRemoveServices(this.#handle, address);
    const packed = packServices(prepareServices(services));
    if (this.#addon.engineFlowReport(this.#handle, address) === undefined) throw noFlow();
    settle(this.#addon.engineSetServices(this.#handle, address, ...packed));
  }

  setBehind(address: Uint8Array, bits: number, flow: Uint8Array | null): void {
    requireAddress(address);
    requirePrefix(address, bits, flow);
    if (flow === null) return this.#addon.engineRemoveBehind(this.#handle, address, bits);
    const [what, limit] = behindBound(address, bits);
    settle(this.#addon.engineSetBehind(this.#handle, address, bits, flow), what, limit);
  }

  setForwarding(flow: Uint8Array, isOn: boolean, other: Uint8Array | null = null): void {
    requireAddress(flow);
    if (other !== null) requireFamilies(flow, other);
    if (this.#addon.engineFlowReport(this.#handle, flow) === undefined) throw noFlowToForward();
    settle(this.#addon.engineSetForwarding(this.#handle, flow, isOn, other ?? NOTHING));
  }

  setTranslation(flow: Uint8Array, from: Uint8Array, to: Uint8Array | null): void {
    requireTranslation(flow, from, to);
    if (to === null) return this.#addon.engineRemoveTranslation(this.#handle, flow, from);
    settle(this.#addon.engineSetTranslation(this.#handle, flow, from, to), "translation", LIMITS.translations);
  }

  setInbound(id: Uint8Array, inbound: Inbound | null): void {
    requireId(id);
    if (inbound === null) return this.#addon.engineRemoveInbound(this.#handle, id);
    const status = inbound.action === "upcall" ? this.#addon.engineSetInboundUpcall(this.#handle, id) : this.#addon.engineSetInboundTun(this.#handle, id, ...packTarget(inbound));
    settle(status, "inbound", LIMITS.inbound);
  }

  setOutboundAssociation(name: number, association: OutboundAssociation | null): void {
    requireName(name);
    if (association === null) return this.#addon.engineRemoveOutboundAssociation(this.#handle, name);
    // Checks; the copies of the keys that come with it are not needed.
    const { cipher, spi, nextSequence } = prepareOutbound(association);
    wipeKeys(cipher);
    const { kind, key, salt, integrityKey } = packTransform(association.transform);
    const status = this.#addon.engineSetOutboundAssociation(this.#handle, name, spi, kind, key, salt, integrityKey, association.beet ?? 0, association.checksumState, nextSequence);
    settle(status, "outbound association", LIMITS.associations);
  }

  setInboundAssociation(spi: number, association: InboundAssociation | null): void {
    requireSpi(spi);
    if (association === null) return this.#addon.engineRemoveInboundAssociation(this.#handle, spi);
    const { transform, beet, checksumState } = association;
    requireFamily(beet);
    const target = packTarget(association);
    const watch = prepareWatch(association.watch);
    wipeKeys(makeCipher(transform));
    const { kind, key, salt, integrityKey } = packTransform(transform);
    const status = this.#addon.engineSetInboundAssociation(this.#handle, spi, kind, key, salt, integrityKey, beet ?? 0, checksumState, ...target, watch !== null, watch?.from ?? null);
    settle(status, "inbound association", LIMITS.associations);
  }

  nextSequence(name: number): bigint | undefined {
    requireName(name);
    const next = this.#addon.engineNextSequence(this.#handle, name);
    return next === 0n ? SEQUENCE_END : next;
  }

  setHipResponder(responder: HipResponder | null): void {
    if (responder === null) return this.#addon.engineRemoveHipResponder(this.#handle);
    requireResponder(responder);
    const { hit, openIds, r1, puzzleOffset, rhash, group, puzzles } = responder;
    const packed = packPuzzles(puzzles);
    const status = this.#addon.engineSetHipResponder(this.#handle, hit, concatBytes(...openIds), r1, puzzleOffset, RHASH[rhash], group, packed);
    packed.fill(0);
    settle(status);
  }

  setKnownSource(address: Uint8Array, isKnown: boolean): void {
    settle(this.#addon.engineSetKnownSource(this.#handle, encodeAddress(address), isKnown), "known source", LIMITS.knownSources);
  }

  setNeighbours(locators: readonly Locator[]): void {
    settle(this.#addon.engineSetNeighbours(this.#handle, concatBytes(...locators.map(encodeEndpoint))), "neighbour", LIMITS.neighbours);
  }

  setTriggers(ringKey: Uint8Array, triggers: readonly TriggerEntry[]): void {
    requireRingKey(ringKey);
    if (triggers.length > LIMITS.triggersPerRingKey) throw groupFull();
    settle(this.#addon.engineSetTriggers(this.#handle, ringKey, packTriggers(ringKey, triggers)), "trigger", LIMITS.triggers);
  }

  setLease(id: Uint8Array, lease: Lease | null): void {
    requireLease(id, lease);
    const status = lease === null
      ? this.#addon.engineRemoveLease(this.#handle, id)
      : this.#addon.engineSetLease(this.#handle, id, encodeEndpoint(lease.owner), lease.token, lease.index, lease.endMs, lease.isReplica);
    settle(status, "lease", LIMITS.triggers);
  }

  setRefreshAnswers(answers: RefreshAnswers | null): void {
    if (answers === null) return this.#addon.engineRemoveRefreshAnswers(this.#handle);
    requireAnswers(answers);
    settle(this.#addon.engineSetRefreshAnswers(this.#handle, ...packRange(answers.range), ...replicasOf(answers), answers.lifeMs));
  }

  setChallengeAnswers(answers: ChallengeAnswers | null): void {
    if (answers === null) return this.#addon.engineRemoveChallengeAnswers(this.#handle);
    requireChallengeAnswers(answers);
    settle(this.#addon.engineSetChallengeAnswers(this.#handle, ...packRange(answers.range), answers.secret, answers.nodeKey, answers.wallOffsetMs));
  }

  takeRefreshed(): readonly Refreshed[] {
    const packed = this.#addon.engineTakeRefreshed(this.#handle);
    return packed === undefined ? NONE_REFRESHED : decodeRefreshed(packed);
  }

  setResponsibility(range: Responsibility): void {
    settle(this.#addon.engineSetResponsibility(this.#handle, ...packRange(range)));
  }

  setNextServer(ringKey: Uint8Array, locator: Locator | null): void {
    requireRingKey(ringKey);
    settle(this.#addon.engineSetNextServer(this.#handle, ringKey, endpointOf(locator)), "next-server", LIMITS.nextServers);
  }

  setPassOn(passOn: PassOn | null): void {
    settle(this.#addon.engineSetPassOn(this.#handle, endpointOf(passOn?.from ?? null), endpointOf(passOn?.to ?? null)));
  }

  setDefaultServer(locator: Locator | null): void {
    this.#addon.engineSetDefaultServer(this.#handle, endpointOf(locator));
  }

  setUplink(interfaceIndex: number): void {
    requireInterface(interfaceIndex);
    this.#addon.engineSetUplink(this.#handle, interfaceIndex);
  }

  discardRoute(ringKey: Uint8Array): void {
    requireRingKey(ringKey);
    settle(this.#addon.engineDiscardRoute(this.#handle, ringKey));
  }

  release(address: Uint8Array): void {
    requireAddress(address);
    settle(this.#addon.engineRelease(this.#handle, address));
  }

  discard(address: Uint8Array, refuse: boolean): void {
    requireAddress(address);
    settle(this.#addon.engineDiscard(this.#handle, address, refuse));
  }

  send(datagrams: readonly Datagram[]): void {
    const [first] = datagrams;
    if (first === undefined) return;
    if (datagrams.length === 1) return this.#addon.engineSend(this.#handle, encodeDatagramRoute(first), first.bytes);
    // Together, so that the gates are closed once, and a lane that is woken finds all of them.
    this.#addon.engineSendAll(this.#handle, packDatagrams(datagrams));
  }

  setDetour(isOn: boolean): void {
    this.#addon.engineSetDetour(this.#handle, isOn);
  }

  takeDetoured(datagrams: readonly Detoured[]): void {
    if (datagrams.length === 0) return;
    this.#addon.engineTakeDetoured(this.#handle, packDatagrams(datagrams.map(({ from, bytes }) => ({ locator: from, bytes }))));
  }

  inject(packets: readonly Uint8Array[]): void {
    for (const packet of packets) this.#addon.engineInject(this.#handle, packet);
  }

  submit(packets: readonly Uint8Array[]): void {
    for (const packet of packets) this.#addon.engineSubmit(this.#handle, packet);
  }

  deliver(id: Uint8Array, packets: readonly Uint8Array[]): void {
    requireId(id);
    for (const packet of packets) settle(this.#addon.engineDeliver(this.#handle, id, packet));
  }

  lastUse(address: Uint8Array): number | undefined {
    requireAddress(address);
    const flow = this.#addon.engineFlowReport(this.#handle, address);
    if (flow === undefined) return this.#addon.engineBehindLastUse(this.#handle, address)?.[0];
    const [lastUseMs = NaN] = flow;
    return Number.isNaN(lastUseMs) ? undefined : lastUseMs;
  }

  flowCounters(address: Uint8Array): FlowCounters | undefined {
    requireAddress(address);
    const report = this.#addon.engineFlowReport(this.#handle, address);
    if (report === undefined) return undefined;
    const [, packetsOut = 0, bytesOut = 0, packetsIn = 0, bytesIn = 0, answersOut = 0] = report;
    return { packetsOut, bytesOut, packetsIn, bytesIn, answersOut };
  }

  counters(): Counters {
    const values = this.#addon.engineCounters(this.#handle);
    const drops = Object.fromEntries(DROP_REASONS.map((reason, i) => [reason, values[i] ?? 0])) as Record<DropReason, number>;
    return { drops, ...pick(values, "tunIn", "tunOut", "udpIn", "udpOut", "upcalls", "hipAnswered", "refreshed", "challenged") };
  }

  systemCalls(): SystemCalls {
    return pick(this.#addon.engineCounters(this.#handle), "tunReads", "tunWrites", "udpReads", "udpSends");
  }

  /** Bytes that the tables hold now. */
  tableBytes(): number {
    return pick(this.#addon.engineCounters(this.#handle), "tableBytes").tableBytes;
  }

  /** What is in use now: an offload that fails is given up. */
  offloads(): Offloading {
    return this.#addon.engineOffloads(this.#handle);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Ends the threads and closes the ports; what waits to be sent goes out first. Twice is no error; anything else throws EBADF from then on. */
  close(): void {
    this.#closed = true;
    this.#addon.closeEngine(this.#handle);
  }

  /** The next upcalls, at most {@link LIMITS.upcallsPerBatch}. */
  protected takeUpcalls(): readonly Upcall[] {
    return this.#addon.engineTakeUpcalls(this.#handle).map(decodeUpcall);
  }

  protected upcallsWait(): boolean {
    return this.#addon.engineUpcallsWait(this.#handle);
  }
}

const NONE_REFRESHED: readonly Refreshed[] = [];

/** Kind and ends. Throws RangeError. */
function packRange(range: Responsibility): readonly [number, Uint8Array, Uint8Array] {
  if (range.kind !== "range") return [RESPONSIBILITY[range.kind], NOTHING, NOTHING];
  for (const end of [range.from, range.to]) requireLength("range end", end, RING_KEY_BYTES);
  return [RESPONSIBILITY.range, range.from, range.to];
}

const requireAddress = (address: Uint8Array): void => requireLength("address", address, 4, 16);
const requireId = (id: Uint8Array): void => requireLength("id", id, ID_BYTES);
const requireRingKey = (ringKey: Uint8Array): void => requireLength("ring key", ringKey, RING_KEY_BYTES);
const endpointOf = (locator: Locator | null): Uint8Array | null => (locator === null ? null : encodeEndpoint(locator));
const groupFull = (): Error => tableFull("trigger (one ring key)", LIMITS.triggersPerRingKey);

/** Arguments of a TUN entry. Throws RangeError. */
function packTarget({ flow, strength = STRONGEST, source4, destination4, source6, destination6 }: Omit<InboundAssociation, "transform" | "beet" | "checksumState">): readonly [Uint8Array, Uint8Array, Uint8Array, Strength] {
  requireAddress(flow);
  requireStrength(strength);
  return [flow, packRewrites(makeRewritePlan(source4, destination4, 4)), packRewrites(makeRewritePlan(source6, destination6, 16)), strength];
}

/** What the engine refuses becomes an error. `table` undefined: it is none that can be full. */
function settle(status: EngineStatus, table?: string, limit = 0): void {
  if (status === 0) return;
  if (status === 2) throw groupFull();
  if (status === 4) throw tableFull("flow services", LIMITS.flowsWithServices);
  if (status === 5) throw takenTranslation();
  if (status === 1 && table !== undefined) throw tableFull(table, limit);
  throw new RangeError("the native engine refuses an argument that it should have got in another shape");
}

function pick<C extends Count>(values: Float64Array, ...names: readonly C[]): Record<C, number> {
  return Object.fromEntries(names.map((name) => [name, values[DROP_REASONS.length + COUNTS.indexOf(name)] ?? 0])) as Record<C, number>;
}

/** On a TUN and a UDP socket. */
export class RunningNativeEngine extends NativeEngine {
  readonly tun: { readonly name: string; readonly index: number } | null;
  readonly udp: { readonly port: number; readonly family: 4 | 6 };
  readonly workers: number;
  readonly #onUpcalls: (upcalls: readonly Upcall[]) => void;

  /** See {@link NativeEngine.open}. */
  constructor(options: NativeEngineOptions) {
    const { clock, onUpcalls, onFailure, addon = loadNativeEngine() } = options;
    const broken = new Set<"tun" | "udp">();
    const { handle, tun, udp } = openNativePorts(addon, options, clock.nowMs(), {
      // Neither is called before the event loop's next turn.
      onUpcalls: () => this.#drain(),
      onFailure: (port, error) => {
        if (broken.has(port) || this.closed) return;
        broken.add(port);
        onFailure(brokenPort(port, this.tun?.name ?? "", error));
      },
    });
    super(addon, handle);
    this.tun = tun;
    this.udp = udp;
    this.workers = options.workers ?? 1;
    this.#onUpcalls = onUpcalls;
  }

  /** Some batches; while any are left the addon calls again in the next turn. */
  #drain(): void {
    for (let i = 0; i < UPCALL_BATCHES_PER_TURN && !this.closed; i++) {
      const upcalls = this.takeUpcalls();
      if (upcalls.length === 0) return;
      this.#onUpcalls(upcalls);
    }
  }
}

const QUEUE_STATES: readonly QueueState[] = ["empty", "waiting", "lost"];

export interface RawStepInput {
  readonly tun?: readonly VnetPacket[];
  readonly udp?: readonly RawDatagram[];
  /** What was behind what came, of both kinds; undefined: nobody has looked. */
  readonly queue?: QueueState;
}

export interface RawStepOutput {
  readonly tun: readonly VnetPacket[];
  readonly udp: readonly RawDatagram[];
  readonly upcalls: readonly Upcall[];
}

/** Driven step by step, in one thread, with packets as they pass between the engine and the kernel. */
export class SteppedNativeEngine extends NativeEngine {
  readonly #addon: NativeEngineAddon;
  readonly #handle: EngineHandle;

  constructor(addon: NativeEngineAddon) {
    const handle = addon.createSteppedEngine();
    super(addon, handle);
    this.#addon = addon;
    this.#handle = handle;
  }

  /** `offloads` false: nothing leaves for the TUN with a partial checksum or as a train. */
  step(nowMs: number, { tun = [], udp = [], queue }: RawStepInput, offloads = true): RawStepOutput {
    const output = this.#addon.stepEngine(this.#handle, nowMs, tun, udp, offloads, queue === undefined ? 0 : 1 + QUEUE_STATES.indexOf(queue));
    return { tun: output.tun, udp: output.udp, upcalls: output.upcalls.map(decodeUpcall) };
  }

  /** As the ports say when the system refuses an ESP packet to a flow's locator. */
  sendFailed(route: Uint8Array, reason: SendFailure): void {
    this.#addon.engineSendFailed(this.#handle, route, SEND_FAILURES.indexOf(reason));
  }

  /** There are upcalls that the next step will yield without any input. */
  pending(): boolean {
    return this.upcallsWait();
  }
}
