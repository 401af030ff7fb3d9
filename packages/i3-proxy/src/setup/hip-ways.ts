/** What the encrypted set-up installs in the packet engine: flows, and associations with the addresses that their packets carry. */
import { PAYLOAD_KIND, type AddressRewrite, type Datapath } from "@i3/datapath";
import { sameBytes } from "@i3/common";
import type { EspKeys, EstablishedEvent, HostIdentity } from "@i3/hip";

import type { Mapping } from "../mappings/mapping.js";
import type { InboundForm, Link } from "./hip-link.js";
import type { PeerPaths } from "./peer-paths.js";

// Ours:
/** Inbound keys that were replaced are good for packets that are still on their way. */
const RETIRE_MS = 3_000;
const ZERO6 = new Uint8Array(16);

export interface HipWaysEnvironment {
  readonly identity: HostIdentity;
  readonly own4: Uint8Array;
  readonly datapath: Datapath;
  readonly paths: PeerPaths;
}

export class HipWays {
  readonly #env: HipWaysEnvironment;
  /** Replaced, oldest first. */
  readonly #retired: { readonly spi: number; readonly untilMs: number }[] = [];

  constructor(environment: HipWaysEnvironment) {
    this.#env = environment;
  }

  get dueMs(): number {
    return this.#retired[0]?.untilMs ?? Infinity;
  }

  /** Flows and inbound id of a mapping as it is now. */
  install(mapping: Mapping, link: Link | undefined): void {
    const { datapath, own4, identity, paths } = this.#env;
    const header = (link?.locator ?? null) === null ? paths.headerOf(mapping, PAYLOAD_KIND.esp) : null;
    for (const [address, source] of [[mapping.local4, own4], [mapping.local6, identity.hit]] as const) {
      if (address === null) continue;
      // A host without i3 has no IPv4 address for us: it could make nothing of such a packet.
      const isNone = mapping.state === "open" && address === mapping.local4 && link?.form?.source4 === null;
      if (mapping.state === "refused" || isNone) datapath.setFlow(address, { action: "refuse" });
      else if (mapping.state === "open" && link?.activeFromMs === null && typeof link.association === "number") {
        datapath.setFlow(address, { action: "esp", association: link.association, header, locator: header === null ? link.locator : null, source });
      } else datapath.setFlow(address, { action: "setup" });
    }
    datapath.setInbound(mapping.ownPrivateId, { action: "upcall" });
  }

  uninstall(mapping: Mapping): void {
    const { datapath } = this.#env;
    datapath.setFlow(mapping.local4, null);
    if (mapping.local6 !== null) datapath.setFlow(mapping.local6, null);
    datapath.setInbound(mapping.ownPrivateId, null);
  }

  setInbound(spi: number, keys: EspKeys, form: InboundForm): void {
    this.#env.datapath.setInboundAssociation(spi, { transform: keys, ...form });
  }

  setOutbound(association: number, spi: number, keys: EspKeys, { beet, checksumState }: InboundForm): void {
    this.#env.datapath.setOutboundAssociation(association, { spi, transform: keys, beet, checksumState });
  }

  removeInbound(spi: number): void {
    this.#env.datapath.setInboundAssociation(spi, null);
  }

  removeOutbound(association: number): void {
    this.#env.datapath.setOutboundAssociation(association, null);
  }

  /** Packets for these are taken for a moment longer. */
  retire(nowMs: number, spis: readonly number[]): void {
    for (const spi of spis) this.#retired.push({ spi, untilMs: nowMs + RETIRE_MS });
  }

  handleTimer(nowMs: number): void {
    while (this.dueMs <= nowMs) this.removeInbound(this.#retired.shift()?.spi as number);
  }

  /** Packets of a mapping's flows, both families. */
  traffic(mapping: Mapping): { readonly sent: number; readonly heard: number } {
    const counts = [mapping.local4, mapping.local6].map((address) => (address === null ? undefined : this.#env.datapath.flowCounters(address)));
    const sum = (pick: "packetsOut" | "packetsIn"): number => counts.reduce((total, count) => total + (count?.[pick] ?? 0), 0);
    return { sent: sum("packetsOut"), heard: sum("packetsIn") };
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
      beet: beet ? 4 : null, checksumState, flow: mapping.local4,
      source4: pair(peerPreferences.own4, mapping.local4), destination4: pair(peerPreferences.peer4, own4),
      source6: v6 === null ? null : pair(peerPreferences.own6, v6), destination6: v6 === null ? null : pair(peer6, identity.hit),
    };
  }
}
