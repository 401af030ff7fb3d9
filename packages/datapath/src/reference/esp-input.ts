/** What a host does with an ESP packet that arrived, bare or behind a data header (docs/datapath.md, "From UDP"). */
import type { DropReason } from "../datapath.js";
import type { InboundAssociationEntry } from "./association-table.js";
import { isRefusedInBeet, rebuildPacket } from "./beet.js";
import { openEsp, type Opened } from "./esp-open.js";
import { ESP_HEADER_BYTES } from "./esp-transforms.js";
import type { HostRules } from "./host-rules.js";
import { PROTOCOL, innerVersion } from "./inner-packet.js";
import { u32 } from "./octets.js";
import type { EngineState } from "./state.js";

export class EspInput {
  readonly #state: EngineState;
  readonly #host: HostRules;

  constructor(state: EngineState, host: HostRules) {
    this.#state = state;
    this.#host = host;
  }

  /** `trafficClass` is the outer header's. */
  receive(bytes: Buffer, at: number, length: number, trafficClass: number): void {
    const reason = this.#receive(bytes.subarray(at, at + length), trafficClass);
    if (reason !== null) this.#state.counters.drop(reason);
  }

  #receive(packet: Buffer, trafficClass: number): DropReason | null {
    if (packet.length < ESP_HEADER_BYTES) return "malformed";
    const association = this.#state.inboundAssociations.get(u32(packet, 0));
    if (association === undefined) return "unknown-spi";
    const opened = openEsp(association, packet);
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
