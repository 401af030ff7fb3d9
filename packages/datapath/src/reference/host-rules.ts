/** What a host does with packets from its TUN, and with packets that arrive for its ids (docs/datapath.md). */
import { sameBytes } from "@i3/common";
import type { DropReason } from "../datapath.js";
import { destinationAt, ICMP_QUOTE, isErrorAboutOthers, isQuotingError, matchesPlan, NO_ERROR, NOBODY, planKeeping, quotedDestination, rewriteAddresses, sourceAt, type RewritePlan, type RewritePlans } from "./address-rewrite.js";
import type { BehindEntry } from "./behind-table.js";
import { completeChecksum, completed, effectiveState } from "./checksum-state.js";
import type { FlowEntry, Way } from "./flow-table.js";
import { FlowSender } from "./flow-sender.js";
import type { IcmpErrors } from "./icmp-errors.js";
import type { TunTarget } from "./inbound-table.js";
import { addressKey, type AddressKey } from "./keys.js";
import { IPV4, IPV6, hasRefusedOptions4, innerLength, innerVersion, isOneHost, isUnassignable, type InnerPacket } from "./inner-packet.js";
import { canCut6, cutPacket6, hopsLeft, mayBeCut, translatePacket, TRANSLATED_PIECE_BYTES } from "./ip-translation.js";
import { findHighMss, lowerMss } from "./mss-clamp.js";
import { asBuffer, copyBytes, equalAt, u16 } from "./octets.js";
import { strengthFor, STRONGEST } from "./services.js";
import type { EngineState } from "./state.js";
import { CHECKSUM } from "./step.js";
import { combineEcn, setEcn, trafficClassOf } from "./traffic-class.js";
import { addressesOf, IDENTIFICATION4 } from "./translation-header.js";
import type { Translation } from "./translation-table.js";
import { BROKEN_CHAIN, findTransport, transportOffset, transportProtocol } from "./transport.js";

/** A packet that may come. */
interface Judged extends RewritePlans {
  /** Its transport header: {@link findTransport}. */
  readonly found: number;
  /** Of a host behind the peer, or about a packet to it. */
  readonly behind: BehindEntry | undefined;
  /** It goes on as a packet of the other family. */
  readonly translation?: Translation | undefined;
}

export class HostRules {
  readonly #state: EngineState;
  readonly #icmp: IcmpErrors;
  readonly #sender: FlowSender;

  constructor(state: EngineState, icmp: IcmpErrors) {
    this.#state = state;
    this.#icmp = icmp;
    // A piece is a packet of its own: the receiver judges it so, and a later one shows no ports.
    this.#sender = new FlowSender(state, icmp, (flow, piece) => this.#useFlow(flow, piece));
  }

  /** A packet that a local program sent; `checksum` is the state that it came with. */
  fromTun(bytes: Buffer, at: number, length: number, checksum: number): void {
    const size = innerLength(bytes, at, length);
    if (size < 0) return this.#state.counters.drop("inner-malformed");
    const version = innerVersion(bytes, at);
    if (isUnassignable(bytes, at, version)) return this.#state.counters.drop("not-allocated");
    const packet = { bytes, at, length: size, state: effectiveState(bytes, at, size, checksum) };
    const [destination, addressBytes] = version === 4 ? [at + IPV4.destination, 4] : [at + IPV6.destination, 16];
    const own = this.#state.flows.at(bytes, destination, addressBytes);
    if (own !== undefined && !this.#state.translations.isEmpty && this.#turnBack(own, packet)) return;
    const flow = own ?? this.#flowBehind(bytes, destination, addressBytes);
    if (flow === undefined) return this.#refuse("not-allocated", packet);
    this.#useFlow(flow, packet);
  }

  /** Of the peer behind which the host is. */
  #flowBehind(bytes: Buffer, at: number, length: number): FlowEntry | undefined {
    const behind = this.#state.behind.at(bytes, at, length);
    const flow = behind && this.#state.flows.byKey(behind.flow);
    if (behind !== undefined && flow !== undefined) behind.lastUse = this.#state.nowMs;
    return flow;
  }

  /** By the way of the strength that the packet needs. */
  #useFlow(flow: FlowEntry, packet: InnerPacket): void {
    const { bytes, at, length } = packet;
    const strength = flow.services === null ? STRONGEST : strengthFor(flow.services, bytes, at, length);
    if (strength === null) return this.#refuse("policy", packet);
    const way = flow.way(strength);
    if (way === undefined) return this.#state.counters.drop("policy");
    this.#useWay(flow, way, packet);
  }

  #useWay(flow: FlowEntry, way: Way, packet: InnerPacket): void {
    const { action } = way;
    if (action.action === "setup") this.#wait(flow, way, packet);
    else if (action.action === "refuse") this.#refuse("refused", packet);
    else this.#sender.send(flow, action, packet);
  }

  /** Drops a packet and tells its sender that nobody is there. */
  #refuse(reason: DropReason, packet: InnerPacket): void {
    const { bytes, at, length } = packet.original ?? packet;
    this.#state.counters.drop(reason);
    this.#icmp.unreachable(this.#state.nowMs, bytes, at, length);
  }

  #wait(flow: FlowEntry, way: Way, turned: InnerPacket): void {
    // As it came: it is judged again, and its sender may have to be told.
    const packet = turned.original ?? turned;
    const { bytes, at, length, state } = packet;
    flow.lastUse = this.#state.nowMs;
    const queued = way.waiting.push(length, () => ({ bytes: Buffer.from(bytes.subarray(at, at + length)), state }));
    if (!queued) this.#state.counters.drop("queue-full");
    // Asked even when the packet found no room: otherwise a flow could wait for ever behind other flows' queues.
    if (way.asked) return;
    way.asked = true;
    const whole = completed(packet);
    this.#state.upcalls.push({ kind: "flow-setup", address: Uint8Array.from(flow.address), strength: way.strength, packet: copyBytes(whole.bytes, whole.at, whole.at + length) });
  }

  /** What waits in these ways goes through the flow as it now is, in order. */
  release(flow: FlowEntry, ways: readonly Way[]): void {
    for (const way of ways) way.asked = false;
    this.judgeAgain(flow, ways);
  }

  /** As {@link release}, but set-ups that the control plane knows of go on. */
  judgeAgain(flow: FlowEntry, ways: readonly Way[]): void {
    const packets = ways.flatMap(({ waiting }) => waiting.takeAll());
    for (const { bytes, state } of packets) {
      if ((innerVersion(bytes, 0) === 4) === (flow.address.length === 4)) this.#useFlow(flow, { bytes, at: 0, length: bytes.length, state });
      else this.fromTun(bytes, 0, bytes.length, state);
    }
  }

  /** The waiting packets are dropped; the next one asks again. */
  discard(ways: readonly Way[], reason: DropReason, answer: boolean): void {
    for (const way of ways) {
      way.asked = false;
      for (const { bytes } of way.waiting.takeAll()) {
        this.#state.counters.drop(reason);
        if (answer) this.#icmp.unreachable(this.#state.nowMs, bytes, 0, bytes.length);
      }
    }
  }

  /**
   * A packet that arrived for an id or an association of ours, of at most `length` bytes. `outerClass` is the traffic class that it
   * came with, null when the packet has it from there. Returns why it was dropped, or null.
   */
  toTun(target: TunTarget, { bytes, at, length, state }: InnerPacket, outerClass: number | null): DropReason | null {
    const size = innerLength(bytes, at, length);
    if (size < 0) return "inner-malformed";
    const version = innerVersion(bytes, at);
    const judged = this.#judge(target, bytes, at, size, version);
    if (typeof judged === "string") return judged;
    const { behind } = judged;
    const innerClass = trafficClassOf(bytes, at);
    const ecn = combineEcn(innerClass, outerClass ?? innerClass);
    if (ecn === null) return "ecn";
    const flow = this.#state.flows.byKey(target.flow);
    const needed = flow === undefined || flow.services === null ? STRONGEST : strengthFor(flow.services, bytes, at, size);
    // More than is needed is always welcome: the two ends need not have the same rules.
    if (flow !== undefined && flow.services !== null && (needed === null || target.strength < needed)) return "policy";
    if (flow !== undefined) flow.lastUse = this.#state.nowMs;
    if (behind !== undefined) behind.lastUse = this.#state.nowMs;
    const answers = needed === null ? undefined : flow?.way(needed);
    return this.#write({ bytes, at, length: size, state: effectiveState(bytes, at, size, state) }, judged, ecn, flow, answers?.mtu ?? null);
  }

  /** Which rewrites a packet gets, by who sends to whom; or why it may not come. */
  #judge(target: TunTarget, bytes: Buffer, at: number, size: number, version: number): Judged | DropReason {
    const peers = version === 4 ? target.plan4 : target.plan6;
    if (peers === null) return "inner-address";
    const [source, destination] = [sourceAt(bytes, at, version), destinationAt(bytes, at, version)];
    const isPeers = matchesPlan(bytes, at, version, peers);
    const isToUs = isPeers || sameBytes(destination, peers.destination.from);
    if (!isToUs && !this.#isForwarded(target, peers, source, destination)) return "inner-address";
    const found = findTransport(bytes, at, size);
    if (found === BROKEN_CHAIN || (version === 4 && hasRefusedOptions4(bytes, at))) return "inner-malformed";
    const quoted = quotedDestination(bytes, at, size, found, peers);
    if (isPeers && (quoted === NO_ERROR || (quoted >= 0 && equalAt(bytes, quoted, peers.source.from)))) return { found, plan: peers, quoted: peers, behind: undefined };
    if (!isToUs) {
      const plan = planKeeping(peers, "destination", destination);
      const { translations } = this.#state;
      const translation = translations.isEmpty ? undefined : translations.findFrom(addressKey(peers.source.to), destination);
      return isErrorAboutOthers(bytes, at, size, found, plan) ? "inner-address" : { found, plan, quoted: plan, behind: undefined, translation };
    }
    // Of a host behind the peer; or about a packet to one, by the peer or whoever is on the way.
    if (quoted === NOBODY || (!isPeers && !this.#maySpeak(peers, source))) return "inner-address";
    const behind = this.#behindOf(peers, quoted === NO_ERROR ? source : bytes.subarray(quoted, quoted + source.length));
    if (behind === undefined) return "inner-address";
    const kept = planKeeping(peers, "source", source);
    return { found, plan: isPeers ? peers : kept, quoted: kept, behind };
  }

  /** The entry of a host for which the peer passes: nobody with a flow of its own has one. */
  #behindOf(peers: RewritePlan, host: Buffer): BehindEntry | undefined {
    const entry = this.#state.behind.at(host, 0, host.length);
    return entry?.flow === addressKey(peers.source.to) && this.#state.flows.byKey(addressKey(host)) === undefined ? entry : undefined;
  }

  /** The peer, whose packets come protected, may send to a host that is not this one. */
  #isForwarded({ strength }: TunTarget, peers: RewritePlan, source: Buffer, destination: Buffer): boolean {
    if (strength === 0 || !sameBytes(source, peers.source.from) || !isOneHost(destination)) return false;
    return this.#state.flows.byKey(addressKey(peers.source.to))?.forwards === true;
  }

  /** A host that is no other peer and not this one may say something of its own, or of a packet on its way to a host behind the peer. */
  #maySpeak({ destination }: RewritePlan, source: Buffer): boolean {
    return isOneHost(source) && !sameBytes(source, destination.from) && !sameBytes(source, destination.to) && this.#state.flows.byKey(addressKey(source)) === undefined;
  }

  /** `mtu`: of the way that answers take. */
  #write(packet: InnerPacket, judged: Judged, ecn: number, flow: FlowEntry | undefined, mtu: number | null): DropReason | null {
    const { translation } = judged;
    const refusal = translation === undefined ? this.#writeAsItIs(packet, judged, ecn, mtu) : this.#writeTranslated(translation, packet, judged, ecn, mtu);
    if (refusal !== null || flow === undefined) return refusal;
    flow.packetsIn++;
    flow.bytesIn += packet.length;
    return null;
  }

  #writeAsItIs({ bytes, at, length, state }: InnerPacket, judged: Judged, ecn: number, mtu: number | null): DropReason | null {
    const { tunOut } = this.#state;
    const refusal = tunOut.reserve(length, null, state);
    if (refusal !== null) return refusal;
    const { buffer, at: start } = tunOut;
    bytes.copy(buffer, start, at, at + length);
    finish(buffer, start, length, state, judged, ecn, mtu);
    return null;
  }

  #writeTranslated(translation: Translation, { bytes, at, length, state }: InnerPacket, judged: Judged, ecn: number, mtu: number | null): DropReason | null {
    const packet = Buffer.from(bytes.subarray(at, at + length));
    finish(packet, 0, length, state, judged, ecn, mtu);
    const { source } = addressesOf(packet);
    const peer = this.#state.flows.byKey(addressKey(source));
    const other = peer && this.#otherOf(peer);
    if (peer === undefined || other === undefined) return "translation";
    if (hopsLeft(packet) < 2) {
      const error = this.#icmp.timeExceededPacket(this.#state.nowMs, packet, 0, length);
      if (error !== null) this.#useFlow(peer, { bytes: error, at: 0, length: error.length, state: CHECKSUM.complete });
      return "hop-limit";
    }
    const ends = { before: { source, destination: translation.from }, after: { source: asBuffer(other.address), destination: translation.to } };
    const made = translatePacket(packet, ends, state, this.#state.identifications);
    if (made === null) return "translation";
    return made.length <= TRANSLATED_PIECE_BYTES || !mayBeCut(packet) ? this.#put(made, state) : this.#putPieces6(made, u16(packet, IDENTIFICATION4), state);
  }

  #putPieces6(packet: Buffer, identification: number, state: number): DropReason | null {
    if (state === CHECKSUM.partial) completeChecksum(packet, 0, packet.length);
    if (!canCut6(packet)) return "translation";
    for (const { bytes } of cutPacket6(packet, TRANSLATED_PIECE_BYTES, identification)) {
      const refusal = this.#put(bytes, CHECKSUM.complete);
      if (refusal !== null) return refusal;
    }
    return null;
  }

  #put(packet: Buffer, state: number): DropReason | null {
    const { tunOut } = this.#state;
    const refusal = tunOut.reserve(packet.length, null, state);
    if (refusal === null) packet.copy(tunOut.buffer, tunOut.at);
    return refusal;
  }

  /** The same peer's flow of the other family, when the peer's packets go on there too. */
  #otherOf({ other }: FlowEntry): FlowEntry | undefined {
    const found = other === null ? undefined : this.#state.flows.byKey(other);
    return found?.forwards === true ? found : undefined;
  }

  /** What the packet comes from, or, of an error, to what the packet was sent that it is about: routers on the way have addresses of their own. `flow`: of the peer, in the family that it would become. */
  #translationOf(flow: AddressKey, packet: Buffer): Translation | undefined {
    const { translations } = this.#state;
    const version = innerVersion(packet, 0);
    const found = findTransport(packet, 0, packet.length);
    if (found >= 0 && isQuotingError(packet, transportOffset(found), packet.length, version, transportProtocol(found))) {
      const quote = packet.subarray(transportOffset(found) + ICMP_QUOTE);
      const [from, to] = version === 4 ? [IPV4.destination, IPV4.minBytes] : [IPV6.destination, IPV6.headerBytes];
      const translation = quote.length < to ? undefined : translations.findTo(flow, quote.subarray(from, to));
      if (translation !== undefined) return translation;
    }
    return translations.findTo(flow, addressesOf(packet).source);
  }

  /** A packet for a flow whose peer may know its sender by an address of the other family. False: it does not, and nothing was done. */
  #turnBack(flow: FlowEntry, original: InnerPacket): boolean {
    if (!flow.forwards || flow.other === null) return false;
    const { bytes, at, length, state } = original;
    const { counters, identifications, nowMs } = this.#state;
    const packet = bytes.subarray(at, at + length);
    const translation = this.#translationOf(flow.other, packet);
    if (translation === undefined) return false;
    const { destination } = addressesOf(packet);
    const other = this.#otherOf(flow);
    if (other !== undefined && hopsLeft(packet) < 2) {
      counters.drop("hop-limit");
      this.#icmp.timeExceeded(nowMs, packet, 0, length);
      return true;
    }
    const ends = other && { before: { source: translation.to, destination }, after: { source: translation.from, destination: asBuffer(other.address) } };
    const made = ends === undefined ? null : translatePacket(packet, ends, state, identifications);
    if (other === undefined || made === null) counters.drop("translation");
    else this.#useFlow(other, { bytes: made, at: 0, length: made.length, state, original });
    return true;
  }
}

/** What a packet gets on its way to the TUN. `mtu`: of the way that answers take. */
function finish(buffer: Buffer, start: number, length: number, state: number, judged: Judged, ecn: number, mtu: number | null): void {
  const { found } = judged;
  setEcn(buffer, start, ecn);
  rewriteAddresses(buffer, start, length, found, judged, state);
  const value = mtu === null ? -1 : findHighMss(buffer, start, length, found, mtu);
  if (value >= 0) lowerMss(buffer, start, found, value, mtu as number, state);
}
