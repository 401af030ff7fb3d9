/** What a host does with an ESP packet that arrived, bare or behind a data header (docs/datapath.md, "From UDP"). */
import type { DropReason } from "../datapath.js";
import type { Arrival } from "./arrival.js";
import type { InboundAssociationEntry } from "./association-table.js";
import { decodeRoute } from "./endpoints.js";
import { isRefusedInBeet, rebuildPacket } from "./beet.js";
import { openEsp, type Opened } from "./esp-open.js";
import { ESP_HEADER_BYTES } from "./esp-transforms.js";
import type { HostRules } from "./host-rules.js";
import { PROTOCOL, innerVersion } from "./inner-packet.js";
import { equalAt, u32 } from "./octets.js";
import type { EngineState } from "./state.js";

export class EspInput {
  readonly #state: EngineState;
  readonly #host: HostRules;

  constructor(state: EngineState, host: HostRules) {
    this.#state = state;
    this.#host = host;
  }

  /** A datagram that is nothing but ESP. */
  straight(arrival: Arrival): void {
    const { bytes, at, length } = arrival;
    this.#count(this.#receive(bytes.subarray(at, at + length), arrival.trafficClass, arrival));
  }

  /** From `at` to the end of a datagram. */
  behindHeader({ bytes, at: datagramAt, length, trafficClass }: Arrival, at: number): void {
    this.#count(this.#receive(bytes.subarray(at, datagramAt + length), trafficClass, null));
  }

  #count(reason: DropReason | null): void {
    if (reason !== null) this.#state.counters.drop(reason);
  }

  /** `trafficClass` is the outer header's; `origin`: where it came from, if straight. */
  #receive(packet: Buffer, trafficClass: number, origin: Arrival | null): DropReason | null {
    if (packet.length < ESP_HEADER_BYTES) return "malformed";
    const spi = u32(packet, 0);
    const association = this.#state.inboundAssociations.get(spi);
    if (association === undefined) return "unknown-spi";
    const peer = this.#state.flows.byKey(association.flow);
    if (!this.#state.shares.may(peer)) return "unfair-in";
    const opened = openEsp(association, packet, (isNewest) => {
      this.#state.shares.charge(peer, packet.length);
      if (isNewest && origin !== null) this.#watch(spi, association, origin);
    });
    if (typeof opened === "string") return opened;
    switch (opened.nextHeader) {
      // A dummy (RFC 4303 §2.6): there is nothing in it.
      case PROTOCOL.nothing:
        return null;
      case PROTOCOL.ipv4:
        return this.#fromTunnel(association, opened, 4, trafficClass);
      case PROTOCOL.ipv6:
        return this.#fromTunnel(association, opened, 6, trafficClass);
      default:
        return this.#fromBeet(association, opened, trafficClass);
    }
  }

  /** Tells when the newest packet came from where its association does not expect it. */
  #watch(spi: number, { watch, told }: InboundAssociationEntry, { origins, originAt, ways, wayAt }: Arrival): void {
    if (watch === null || (watch.from !== null && equalAt(origins, originAt, watch.from))) return;
    const { upcalls, nowMs } = this.#state;
    if (!told.allow(nowMs, origins, originAt)) return;
    if (upcalls.hasKnownRoom) upcalls.push({ kind: "elsewhere", spi, from: decodeRoute(origins, originAt, ways, wayAt) });
    else told.forgetPlace();
  }

  #fromTunnel(association: InboundAssociationEntry, { payload, checksumState }: Opened, version: 4 | 6, trafficClass: number): DropReason | null {
    if (payload.length === 0 || innerVersion(payload, 0) !== version) return "inner-malformed";
    return this.#host.toTun(association, { bytes: payload, at: 0, length: payload.length, state: checksumState }, trafficClass);
  }

  #fromBeet(association: InboundAssociationEntry, { payload, nextHeader, checksumState }: Opened, trafficClass: number): DropReason | null {
    const { beet, plan4, plan6 } = association;
    if (beet === null || isRefusedInBeet(nextHeader)) return "inner-malformed";
    const plan = beet === 4 ? plan4 : plan6;
    if (plan === null) return "inner-address";
    const bytes = rebuildPacket(beet, plan, trafficClass, nextHeader, payload);
    return bytes === null ? "inner-malformed" : this.#host.toTun(association, { bytes, at: 0, length: bytes.length, state: checksumState }, null);
  }
}
