/**
 * The reference engine: the specification of the packet engine in TypeScript (docs/datapath.md). No I/O, clock or randomness:
 * the time is that of the last step.
 */
import { MAX_CHECK_BYTES, MAX_CONTROL_BYTES, type Locator } from "@i3/common";
import { IP_PROTOCOL, type ChallengeAnswers, type Counters, type Datagram, type Detoured, type Flow, type FlowCounters, type HipResponder, type Inbound, type InboundAssociation, type Lease, type OutboundAssociation, type PassOn, type RefreshAnswers, type Refreshed, type Responsibility, type SendFailure, type Services, type Strength, type TriggerEntry, type Upcall } from "../datapath.js";
import { DATA_OFFSET, ID_BYTES, LAST_PAYLOAD_KIND, NONCE_BYTES, PAYLOAD_KIND, parseDataHeader } from "../wire/data-header.js";
import { classifyDatagram, isBetweenServers, isCheck } from "../wire/first-byte.js";
import type { Arrival } from "./arrival.js";
import { requireName } from "./association-table.js";
import { ChallengeRules } from "./challenge-rules.js";
import { PORT_OFFSET, VIA, decodeEndpoint, decodeRoute, encodeDatagramRoute, encodeEndpoint, requireInterface, viaAt } from "./endpoints.js";
import { EspInput } from "./esp-input.js";
import { HostRules } from "./host-rules.js";
import { HipRules } from "./hip-rules.js";
import { IcmpErrors } from "./icmp-errors.js";
import type { InboundEntry, TunTarget } from "./inbound-table.js";
import { addressKey, keyBytes, ringKey } from "./keys.js";
import { asBuffer, copyBytes, ownBuffer, u16, u8 } from "./octets.js";
import { MAX_DATAGRAM_BYTES, MAX_HELD_BYTES, MAX_HELD_PACKETS, type Output } from "./outputs.js";
import { RefreshRules } from "./refresh-rules.js";
import { ServerRules } from "./server-rules.js";
import { STRONGEST } from "./services.js";
import { EngineState } from "./state.js";
import { ADDRESS_SLOT_BYTES, CHECKSUM, WAY_SLOT_BYTES, type Batch, type DatagramBatch, type PacketBatch, type StepCore, type StepInput } from "./step.js";

/** A way, as it stands in a batch. */
const MAIN_PORT = Buffer.alloc(WAY_SLOT_BYTES);

export class ReferenceEngine implements StepCore {
  readonly implementation = "reference";
  readonly #state = new EngineState();
  readonly #icmp = new IcmpErrors(this.#state.tunOut);
  readonly #host = new HostRules(this.#state, this.#icmp);
  readonly #esp = new EspInput(this.#state, this.#host);
  readonly #server = new ServerRules(this.#state);
  readonly #hip = new HipRules(this.#state);
  readonly #refreshes = new RefreshRules(this.#state);
  readonly #challenges = new ChallengeRules(this.#state);
  /** What came by a detour, until the next step. */
  #detoured: { readonly bytes: Buffer; readonly origin: Buffer }[] = [];
  #detouredBytes = 0;

  step(nowMs: number, input: StepInput, tunOut: PacketBatch, udpOut: DatagramBatch): readonly Upcall[] {
    const state = this.#state;
    state.nowMs = Math.max(state.nowMs, nowMs);
    state.shares.begin(state.nowMs);
    state.tunOut.attach(tunOut);
    state.udpOut.attach(udpOut);
    this.#readDetoured();
    if (input.tun !== null) this.#readTun(input.tun);
    if (input.udp !== null) this.#readUdp(input.udp);
    if (input.queue !== undefined && input.tun !== null) state.shares.saw("tun", input.queue);
    if (input.queue !== undefined && input.udp !== null) state.shares.saw("udp", input.queue);
    state.tunOut.detach();
    state.udpOut.detach();
    return state.upcalls.take();
  }

  pending(): boolean {
    const { tunOut, udpOut, upcalls } = this.#state;
    return tunOut.held > 0 || udpOut.held > 0 || upcalls.waiting > 0 || this.#detoured.length > 0;
  }

  /** Packets that wait for `release`, `discard`, `setNextServer` or `discardRoute`. */
  queuedPackets(): number {
    return this.#state.budget.packets;
  }

  #readTun(batch: PacketBatch): void {
    const bytes = asBuffer(batch.arena);
    for (let i = 0; i < batch.count; i++) {
      this.#state.counters.tunIn++;
      this.#host.fromTun(bytes, i * batch.slotBytes, slotLength(batch, i), batch.checksums[i] ?? CHECKSUM.complete);
    }
  }

  #readUdp(batch: DatagramBatch): void {
    const bytes = asBuffer(batch.arena);
    const origins = asBuffer(batch.addresses);
    const ways = asBuffer(batch.ways);
    for (let i = 0; i < batch.count; i++) {
      this.#state.counters.udpIn++;
      const trafficClass = batch.trafficClasses[i] ?? 0;
      this.#fromUdp({ bytes, at: i * batch.slotBytes, length: slotLength(batch, i), origins, originAt: i * ADDRESS_SLOT_BYTES, ways, wayAt: i * WAY_SLOT_BYTES, trafficClass });
    }
  }

  #readDetoured(): void {
    this.#detouredBytes = 0;
    for (const { bytes, origin } of this.#detoured.splice(0)) {
      this.#state.counters.udpIn++;
      this.#fromUdp({ bytes, at: 0, length: bytes.length, origins: origin, originAt: 0, ways: MAIN_PORT, wayAt: 0, trafficClass: 0 });
    }
  }

  #fromUdp(arrival: Arrival): void {
    const { bytes, at, length, origins, originAt } = arrival;
    // Port 0 is nobody's: nothing could be answered to it (RFC 768).
    if (length < 1 || u16(origins, originAt + PORT_OFFSET) === 0) return this.#state.counters.drop("malformed");
    const via = viaAt(arrival.ways, arrival.wayAt);
    if (via === VIA.ip) return this.#fromIp(arrival);
    const kind = classifyDatagram(u8(bytes, at), length);
    // i3 is spoken on the main port alone.
    if (via === VIA.hip && (kind === "data" || kind === "control" || kind === "version")) return this.#state.counters.drop("malformed");
    if (kind === "data") this.#data(arrival);
    else if (kind === "control") this.#control(arrival);
    else if (kind === "esp") this.#esp.straight(arrival);
    else if (kind === "hip") this.#hip.straight(arrival);
    else if (kind !== "keep-alive") this.#state.counters.drop(kind);
  }

  /** What stood in IP itself: the protocol is in the place of the port. */
  #fromIp(arrival: Arrival): void {
    const protocol = u16(arrival.origins, arrival.originAt + PORT_OFFSET);
    if (protocol === IP_PROTOCOL.esp) this.#esp.straight(arrival);
    else if (protocol === IP_PROTOCOL.hip) this.#hip.straight(arrival);
    else this.#state.counters.drop("malformed");
  }

  #control(arrival: Arrival): void {
    const { bytes, at, length, origins, originAt } = arrival;
    const { counters, upcalls, nowMs } = this.#state;
    if (length > (isCheck(u8(bytes, at + 1), length) ? MAX_CHECK_BYTES : MAX_CONTROL_BYTES)) return counters.drop("malformed");
    const what = isBetweenServers(u8(bytes, at + 1), length) ? "ring" : "control";
    if (!upcalls.allowSource(what, nowMs, origins, originAt, () => this.#refreshes.answer(arrival) || this.#challenges.answer(arrival))) return;
    upcalls.push({ kind: "control", from: decodeEndpoint(origins, originAt), bytes: copyBytes(bytes, at, at + length) });
  }

  #data(arrival: Arrival): void {
    const { bytes, at, length } = arrival;
    const headerBytes = parseDataHeader(bytes, at, length);
    if (headerBytes < 0) return this.#state.counters.drop("malformed");
    const entry = this.#state.inbound.at(bytes, at + DATA_OFFSET.ids);
    if (entry !== undefined) return this.#arrived(entry, arrival, headerBytes);
    if (this.#state.range.serves) return this.#server.serve(arrival);
    this.#state.counters.drop("unknown-id");
  }

  #arrived(entry: InboundEntry, arrival: Arrival, headerBytes: number): void {
    const { bytes, at, length, trafficClass } = arrival;
    const payloadKind = u8(bytes, at + DATA_OFFSET.payloadKind);
    const payloadAt = at + headerBytes;
    if (payloadKind > LAST_PAYLOAD_KIND) return this.#state.counters.drop("malformed");
    if (payloadKind === PAYLOAD_KIND.esp) return this.#esp.behindHeader(arrival, payloadAt);
    if (entry.action === "tun" && payloadKind === PAYLOAD_KIND.ipPacket) return this.#plainToTun(entry, bytes, payloadAt, length - headerBytes, trafficClass);
    if (entry.action === "upcall" && payloadKind === PAYLOAD_KIND.hip && this.#hip.behindHeader(arrival, payloadAt)) return;
    this.#goUp(arrival, payloadKind, payloadAt);
  }

  #plainToTun(target: TunTarget, bytes: Buffer, at: number, length: number, trafficClass: number): void {
    const reason = this.#host.toTun(target, { bytes, at, length, state: CHECKSUM.complete }, trafficClass);
    if (reason !== null) this.#state.counters.drop(reason);
  }

  #goUp({ bytes, at, length, origins, originAt }: Arrival, payloadKind: number, payloadAt: number): void {
    const { upcalls, nowMs } = this.#state;
    if (!upcalls.allowSource("data", nowMs, origins, originAt)) return;
    upcalls.push({
      kind: "payload",
      id: copyBytes(bytes, at + DATA_OFFSET.ids, at + DATA_OFFSET.ids + ID_BYTES),
      from: decodeEndpoint(origins, originAt),
      nonce: copyBytes(bytes, at + DATA_OFFSET.nonce, at + DATA_OFFSET.nonce + NONCE_BYTES),
      payloadKind,
      payload: copyBytes(bytes, payloadAt, at + length),
    });
  }

  sendFailed(nowMs: number, route: Uint8Array, reason: SendFailure): void {
    const state = this.#state;
    state.nowMs = Math.max(state.nowMs, nowMs);
    if (state.upcalls.allowFailure(state.nowMs, route)) state.upcalls.push({ kind: "send-failed", locator: decodeRoute(route, 0, route, ADDRESS_SLOT_BYTES), reason });
  }

  setFlow(address: Uint8Array, flow: Flow | null, strength?: Strength): void {
    if (flow === null) return this.#host.discard(this.#state.flows.remove(address, strength), "not-allocated", false);
    const set = this.#state.flows.set(address, flow, strength ?? STRONGEST);
    // At once, so that nothing newer can leave before.
    if (flow.action !== "setup") this.#host.release(set.flow, [set.way]);
  }

  setServices(address: Uint8Array, services: Services | null): void {
    const flow = this.#state.flows.setServices(address, services);
    if (flow !== undefined) this.#host.judgeAgain(flow, flow.ways);
  }

  setBehind(address: Uint8Array, bits: number, flow: Uint8Array | null): void {
    this.#state.behind.set(address, bits, flow);
  }

  setForwarding(flow: Uint8Array, isOn: boolean, other: Uint8Array | null = null): void {
    this.#state.flows.setForwarding(flow, isOn, other);
  }

  setTranslation(flow: Uint8Array, from: Uint8Array, to: Uint8Array | null): void {
    this.#state.translations.set(flow, from, to);
  }

  setInbound(id: Uint8Array, inbound: Inbound | null): void {
    this.#state.inbound.set(id, inbound);
  }

  setOutboundAssociation(name: number, association: OutboundAssociation | null): void {
    this.#state.outboundAssociations.set(name, association);
  }

  setInboundAssociation(spi: number, association: InboundAssociation | null): void {
    this.#state.inboundAssociations.set(spi, association);
  }

  nextSequence(name: number): bigint | undefined {
    requireName(name);
    return this.#state.outboundAssociations.get(name)?.nextSequence;
  }

  setHipResponder(responder: HipResponder | null): void {
    this.#hip.set(responder);
  }

  setKnownSource(address: Uint8Array, isKnown: boolean): void {
    this.#state.knownSources.set(address, isKnown);
  }

  setNeighbours(locators: readonly Locator[]): void {
    this.#state.knownSources.setNeighbours(locators);
  }

  setTriggers(key: Uint8Array, triggers: readonly TriggerEntry[]): void {
    this.#state.triggers.set(key, triggers);
  }

  setLease(id: Uint8Array, lease: Lease | null): void {
    this.#refreshes.setLease(id, lease);
  }

  setRefreshAnswers(answers: RefreshAnswers | null): void {
    this.#refreshes.setAnswers(answers);
  }

  setChallengeAnswers(answers: ChallengeAnswers | null): void {
    this.#challenges.set(answers);
  }

  takeRefreshed(): readonly Refreshed[] {
    return this.#refreshes.take();
  }

  /** Packets that wait for a server of keys that are now ours are served; as a host none wait. */
  setResponsibility(range: Responsibility): void {
    this.#state.range.set(range);
    for (const key of this.#state.waitingRoutes.keys()) {
      if (!this.#state.range.serves || this.#state.range.owns(keyBytes(key), 0)) this.#server.resume(key);
    }
  }

  setNextServer(key: Uint8Array, locator: Locator | null): void {
    const name = ringKey(key);
    this.#state.nextServers.set(name, locator);
    if (locator !== null) this.#server.resume(name);
  }

  /** Throws RangeError. */
  setPassOn(passOn: PassOn | null): void {
    this.#state.passOn = passOn === null ? null : { from: encodeEndpoint(passOn.from), to: encodeEndpoint(passOn.to) };
  }

  setDefaultServer(locator: Locator | null): void {
    this.#state.nextServers.setDefault(locator);
    if (locator !== null) for (const key of this.#state.waitingRoutes.keys()) this.#server.resume(key);
  }

  setUplink(interfaceIndex: number): void {
    requireInterface(interfaceIndex);
    this.#state.udpOut.uplink = interfaceIndex;
  }

  discardRoute(key: Uint8Array): void {
    this.#state.counters.drop("no-route", this.#state.waitingRoutes.take(ringKey(key)).length);
  }

  release(address: Uint8Array): void {
    const flow = this.#state.flows.byKey(addressKey(address));
    if (flow !== undefined) this.#host.release(flow, flow.ways);
  }

  discard(address: Uint8Array, refuse: boolean): void {
    const flow = this.#state.flows.byKey(addressKey(address));
    if (flow !== undefined) this.#host.discard(flow.ways, "refused", refuse);
  }

  send(datagrams: readonly Datagram[]): void {
    for (const datagram of datagrams) this.#put(this.#state.udpOut, datagram.bytes, encodeDatagramRoute(datagram));
  }

  setDetour(isOn: boolean): void {
    const { udpOut, upcalls } = this.#state;
    udpOut.detour = isOn ? (length, endpoint) => upcalls.detour(length, endpoint) : null;
  }

  takeDetoured(datagrams: readonly Detoured[]): void {
    const arrivals = datagrams.map(({ from, bytes }) => ({ bytes: Buffer.from(bytes), origin: asBuffer(encodeEndpoint(from)) }));
    for (const arrival of arrivals) {
      const { length } = arrival.bytes;
      if (length > MAX_DATAGRAM_BYTES) this.#state.counters.drop("too-big");
      else if (this.#detouredBytes + length > MAX_HELD_BYTES || this.#detoured.length >= MAX_HELD_PACKETS) this.#state.counters.drop("queue-full");
      else {
        this.#detouredBytes += length;
        this.#detoured.push(arrival);
      }
    }
  }

  inject(packets: readonly Uint8Array[]): void {
    for (const packet of packets) this.#put(this.#state.tunOut, packet, null);
  }

  submit(packets: readonly Uint8Array[]): void {
    for (const packet of packets) this.#host.fromTun(ownBuffer(packet), 0, packet.length, CHECKSUM.complete);
  }

  /** With traffic class 0, or a complete checksum. */
  #put(out: Output, bytes: Uint8Array, endpoint: Uint8Array | null): void {
    const refusal = out.reserve(bytes.length, endpoint, 0);
    if (refusal !== null) return this.#state.counters.drop(refusal);
    out.buffer.set(bytes, out.at);
  }

  deliver(id: Uint8Array, packets: readonly Uint8Array[]): void {
    const entry = this.#state.inbound.byId(id);
    for (const packet of packets) {
      if (entry?.action === "tun") this.#plainToTun(entry, ownBuffer(packet), 0, packet.length, 0);
      else this.#state.counters.drop("unknown-id");
    }
  }

  lastUse(address: Uint8Array): number | undefined {
    const key = addressKey(address);
    return (this.#state.flows.byKey(key) ?? this.#state.behind.host(key))?.lastUse;
  }

  flowCounters(address: Uint8Array): FlowCounters | undefined {
    return this.#state.flows.byKey(addressKey(address))?.counters();
  }

  counters(): Counters {
    return this.#state.counters.snapshot();
  }
}

/** A length that does not fit the slot is a packet that was cut off on the way in: 0, which every rule counts as malformed. */
function slotLength(batch: Batch, i: number): number {
  const length = batch.lengths[i] ?? 0;
  return length < 0 || length > batch.slotBytes ? 0 : length;
}
