/** What a host does with packets from its TUN, and with packets that arrive for its ids (docs/datapath.md). */
import type { DropReason } from "../datapath.js";
import { matchesPlan, rewriteAddresses, type RewritePlan } from "./address-rewrite.js";
import type { FlowAction, FlowEntry } from "./flow-table.js";
import type { IcmpErrors } from "./icmp-errors.js";
import type { InboundEntry } from "./inbound-table.js";
import { IPV4, IPV6, hasRefusedOptions4, innerLength, innerVersion, isUnassignable } from "./inner-packet.js";
import { equalAt } from "./octets.js";
import type { EngineState } from "./state.js";
import { BROKEN_CHAIN, findTransport } from "./transport.js";

export class HostRules {
  readonly #state: EngineState;
  readonly #icmp: IcmpErrors;

  constructor(state: EngineState, icmp: IcmpErrors) {
    this.#state = state;
    this.#icmp = icmp;
  }

  /** A packet that a local program sent. */
  fromTun(bytes: Buffer, at: number, length: number): void {
    const size = innerLength(bytes, at, length);
    if (size < 0) return this.#state.counters.drop("inner-malformed");
    const version = innerVersion(bytes, at);
    if (isUnassignable(bytes, at, version)) return this.#state.counters.drop("not-allocated");
    const flow =
      version === 4 ? this.#state.flows.at(bytes, at + IPV4.destination, 4) : this.#state.flows.at(bytes, at + IPV6.destination, 16);
    if (flow === undefined) return this.#refuse("not-allocated", bytes, at, size);
    this.#useFlow(flow, bytes, at, size);
  }

  #useFlow(flow: FlowEntry, bytes: Buffer, at: number, size: number): void {
    const { action } = flow;
    if (action.action === "setup") this.#wait(flow, bytes, at, size);
    else if (action.action === "refuse") this.#refuse("refused", bytes, at, size);
    else this.#tunnel(flow, action, bytes, at, size);
  }

  /** Drops a packet and tells its sender that nobody is there. */
  #refuse(reason: DropReason, bytes: Buffer, at: number, size: number): void {
    this.#state.counters.drop(reason);
    this.#icmp.unreachable(this.#state.nowMs, bytes, at, size);
  }

  #wait(flow: FlowEntry, bytes: Buffer, at: number, size: number): void {
    flow.lastUse = this.#state.nowMs;
    const queued = flow.waiting.push(size, () => ({ bytes: Buffer.from(bytes.subarray(at, at + size)) }));
    if (!queued) this.#state.counters.drop("queue-full");
    // Asked even when the packet found no room: otherwise a flow could wait for ever behind other flows' queues.
    if (flow.asked) return;
    flow.asked = true;
    this.#state.upcalls.push({ kind: "flow-setup", address: Uint8Array.from(flow.address), packet: Uint8Array.from(bytes.subarray(at, at + size)) });
  }

  #tunnel(flow: FlowEntry, action: FlowAction & { action: "tunnel" }, bytes: Buffer, at: number, size: number): void {
    const { counters, nextServers, udpOut } = this.#state;
    const sourceAt = at + (action.source.length === 4 ? IPV4.source : IPV6.source);
    if (!equalAt(bytes, sourceAt, action.source)) return counters.drop("inner-address");
    flow.lastUse = this.#state.nowMs;
    const endpoint = nextServers.lookup(action.ringKey);
    if (endpoint === null) return counters.drop("no-route");
    const { header } = action;
    const refusal = udpOut.reserve(header.length + size, endpoint);
    if (refusal !== null) return counters.drop(refusal);
    header.copy(udpOut.buffer, udpOut.at);
    bytes.copy(udpOut.buffer, udpOut.at + header.length, at, at + size);
  }

  /** The waiting packets go through the flow as it now is, in order. */
  release(flow: FlowEntry): void {
    flow.asked = false;
    for (const { bytes } of flow.waiting.takeAll()) this.#useFlow(flow, bytes, 0, bytes.length);
  }

  /** The waiting packets are dropped; the next one asks again. */
  discard(flow: FlowEntry, reason: DropReason, answer: boolean): void {
    flow.asked = false;
    for (const { bytes } of flow.waiting.takeAll()) {
      this.#state.counters.drop(reason);
      if (answer) this.#icmp.unreachable(this.#state.nowMs, bytes, 0, bytes.length);
    }
  }

  /** An IP packet for an id of ours whose entry is `tun`. */
  toTun(entry: InboundEntry & { action: "tun" }, bytes: Buffer, at: number, length: number): void {
    const reason = this.#toTun(entry, bytes, at, length);
    if (reason !== null) this.#state.counters.drop(reason);
  }

  #toTun(entry: InboundEntry & { action: "tun" }, bytes: Buffer, at: number, length: number): DropReason | null {
    const size = innerLength(bytes, at, length);
    if (size < 0) return "inner-malformed";
    const version = innerVersion(bytes, at);
    const plan = version === 4 ? entry.plan4 : entry.plan6;
    if (plan === null || !matchesPlan(bytes, at, version, plan)) return "inner-address";
    const found = findTransport(bytes, at, size);
    if (found === BROKEN_CHAIN || (version === 4 && hasRefusedOptions4(bytes, at))) return "inner-malformed";
    const flow = this.#state.flows.byKey(entry.flow);
    if (flow !== undefined) flow.lastUse = this.#state.nowMs;
    return this.#write(bytes, at, size, found, plan);
  }

  #write(bytes: Buffer, at: number, size: number, found: number, plan: RewritePlan): DropReason | null {
    const { tunOut } = this.#state;
    const refusal = tunOut.reserve(size, null);
    if (refusal !== null) return refusal;
    bytes.copy(tunOut.buffer, tunOut.at, at, at + size);
    rewriteAddresses(tunOut.buffer, tunOut.at, size, found, plan);
    return null;
  }
}
