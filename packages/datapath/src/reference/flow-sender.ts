/** Sending what local programs sent: flows of action `tunnel` and `esp` (docs/datapath.md, "From the TUN" 5 and 6, "MTU"). */
import type { DropReason } from "../datapath.js";
import { SEQUENCE_END } from "./association-table.js";
import { completed, ownPacket } from "./checksum-state.js";
import { udpHeaderBytes } from "./endpoints.js";
import { planSeal, seal, type SealPlan } from "./esp-seal.js";
import type { FlowAction, FlowEntry, HeaderRoute } from "./flow-table.js";
import { canCut, cutPacket, isUnfragmentable4 } from "./fragments.js";
import type { IcmpErrors } from "./icmp-errors.js";
import { IPV4, IPV6, innerVersion, type InnerPacket } from "./inner-packet.js";
import { findHighMss, lowerMss } from "./mss-clamp.js";
import { canCut6, cutPacket6, dataOffset6, mayBeCut } from "./ip-translation.js";
import { equalAt, u16 } from "./octets.js";
import type { EngineState } from "./state.js";
import { IDENTIFICATION4 } from "./translation-header.js";
import { trafficClassOf } from "./traffic-class.js";
import { findTransport, isAnswer } from "./transport.js";

/** Bytes that every link of IPv6 carries (RFC 8200 §5): packets of so many pass, whatever a flow's MTU is. */
const LEAST_MTU6 = 1_280;

type TunnelAction = FlowAction & { readonly action: "tunnel" };
type EspAction = FlowAction & { readonly action: "esp" };
type SendingAction = TunnelAction | EspAction;

export class FlowSender {
  readonly #state: EngineState;
  readonly #icmp: IcmpErrors;
  readonly #sendPiece: (flow: FlowEntry, piece: InnerPacket) => void;

  /** `sendPiece` gets the fragments of packets that are too long. */
  constructor(state: EngineState, icmp: IcmpErrors, sendPiece: (flow: FlowEntry, piece: InnerPacket) => void) {
    this.#state = state;
    this.#icmp = icmp;
    this.#sendPiece = sendPiece;
  }

  send(flow: FlowEntry, action: SendingAction, packet: InnerPacket): void {
    const { bytes, at, length } = packet;
    const isOwn = equalAt(bytes, at + (action.source.length === 4 ? IPV4.source : IPV6.source), action.source);
    if (!isOwn && !flow.forwards) return this.#state.counters.drop("inner-address");
    flow.lastUse = this.#state.nowMs;
    const most = action.mtu === null ? null : innerVersion(bytes, at) === 4 ? action.mtu : Math.max(action.mtu, LEAST_MTU6);
    if (most !== null && length > most) this.#sendTooLong(flow, packet, most);
    else this.#sendOne(flow, action, packet);
  }

  #sendTooLong(flow: FlowEntry, packet: InnerPacket, mtu: number): void {
    const { bytes, at } = packet;
    if (isCutBefore(packet)) return this.#sendPieces6(flow, packet, mtu);
    if (innerVersion(bytes, at) === 6 || isUnfragmentable4(bytes, at)) {
      this.#state.counters.drop("too-big");
      const sender = senderOf(packet, mtu);
      return this.#icmp.tooBig(this.#state.nowMs, sender.packet.bytes, sender.packet.at, sender.packet.length, sender.mtu);
    }
    if (!canCut(packet)) return this.#state.counters.drop("too-big");
    for (const fragment of cutPacket(completed(packet), mtu)) this.#sendPiece(flow, fragment);
  }

  #sendPieces6(flow: FlowEntry, packet: InnerPacket, mtu: number): void {
    const whole = completed(packet);
    const made = whole.bytes.subarray(whole.at, whole.at + whole.length);
    if (!canCut6(made)) return this.#state.counters.drop("too-big");
    const { original } = packet;
    const identification = original === undefined ? 0 : u16(original.bytes, original.at + IDENTIFICATION4);
    for (const piece of cutPacket6(made, mtu, identification)) this.#sendPiece(flow, piece);
  }

  #sendOne(flow: FlowEntry, action: SendingAction, packet: InnerPacket): void {
    if (!this.#state.shares.may(flow)) return this.#state.counters.drop("unfair-out");
    const clamped = action.mtu === null ? packet : withClampedMss(packet, action.mtu);
    const reason = action.action === "tunnel" ? this.#tunnel(action, clamped) : this.#esp(action, clamped, isBetween(packet, action.source, flow.address));
    if (reason !== null) return this.#state.counters.drop(reason);
    this.#state.shares.charge(flow, packet.length);
    flow.packetsOut++;
    flow.bytesOut += packet.length;
    if (isAnswer(packet)) flow.answersOut++;
  }

  #tunnel({ header, ringKey }: TunnelAction, inner: InnerPacket): DropReason | null {
    const { nextServers, udpOut } = this.#state;
    const endpoint = nextServers.lookup(ringKey);
    if (endpoint === null) return "no-route";
    const refusal = udpOut.reserve(header.length + inner.length, endpoint, trafficClassOf(inner.bytes, inner.at));
    if (refusal !== null) return refusal;
    const { bytes, at, length } = completed(inner);
    header.copy(udpOut.buffer, udpOut.at);
    bytes.copy(udpOut.buffer, udpOut.at + header.length, at, at + length);
    return null;
  }

  /** `isBare`: between the two hosts whose addresses the association stands for, so that its header may be left out. */
  #esp({ association: name, straight, relay }: EspAction, packet: InnerPacket, isBare: boolean): DropReason | null {
    const association = this.#state.outboundAssociations.get(name);
    if (association === undefined || (straight === null && this.#server(relay) === null)) return "no-route";
    if (association.nextSequence === SEQUENCE_END) return "sequence";
    const plan = planSeal(association, packet, isBare);
    if (straight === null) return this.#sealed(plan, packet, relay, this.#server(relay));
    if (straight.credit === null) return this.#sealed(plan, packet, null, straight.endpoint);
    const bytes = plan.totalBytes + udpHeaderBytes(straight.endpoint);
    if (straight.credit.take(bytes)) {
      const refusal = this.#sealed(plan, packet, null, straight.endpoint);
      if (refusal !== null) straight.credit.giveBack(bytes);
      return refusal;
    }
    return relay === null ? "credit" : this.#sealed(plan, packet, relay, this.#server(relay));
  }

  #server(relay: HeaderRoute | null): Uint8Array | null {
    return relay === null ? null : this.#state.nextServers.lookup(relay.ringKey);
  }

  #sealed(plan: SealPlan, packet: InnerPacket, relay: HeaderRoute | null, endpoint: Uint8Array | null): DropReason | null {
    if (endpoint === null) return "no-route";
    const { udpOut } = this.#state;
    const headerBytes = relay?.header.length ?? 0;
    // The sequence number is taken only when there is room.
    const refusal = udpOut.reserve(headerBytes + plan.totalBytes, endpoint, trafficClassOf(packet.bytes, packet.at), relay === null);
    if (refusal !== null) return refusal;
    relay?.header.copy(udpOut.buffer, udpOut.at);
    seal(plan, udpOut.buffer, udpOut.at + headerBytes);
    return null;
  }
}

function isBetween({ bytes, at }: InnerPacket, source: Uint8Array, destination: Uint8Array): boolean {
  const { source: sourceAt, destination: destinationAt } = destination.length === 4 ? IPV4 : IPV6;
  return equalAt(bytes, at + sourceAt, source) && equalAt(bytes, at + destinationAt, destination);
}

/** It may be cut though it is IPv6: it was IPv4 that may. */
const isCutBefore = ({ original }: InnerPacket): boolean => original !== undefined && mayBeCut(original.bytes.subarray(original.at, original.at + original.length));

/** Who hears of a packet that is too long, and how much passes there: of what it sent, the packet differs by the headers. */
function senderOf(packet: InnerPacket, mtu: number): { readonly packet: InnerPacket; readonly mtu: number } {
  const { bytes, at, original } = packet;
  if (original === undefined) return { packet, mtu };
  if (innerVersion(original.bytes, original.at) === 6) return { packet: original, mtu: Math.min(Math.max(mtu + IPV6.headerBytes - IPV4.minBytes, LEAST_MTU6), 0xffff) };
  return { packet: original, mtu: mtu - dataOffset6(bytes.subarray(at)) + IPV4.minBytes };
}

/** The packet itself, or a copy whose MSS option is lowered. */
function withClampedMss(packet: InnerPacket, mtu: number): InnerPacket {
  const { bytes, at, length } = packet;
  const found = findTransport(bytes, at, length);
  const value = findHighMss(bytes, at, length, found, mtu);
  if (value < 0) return packet;
  const copy = ownPacket(packet);
  lowerMss(copy.bytes, 0, found, value - at, mtu, copy.state);
  return copy;
}
