/** The exchanges that this host calls for: with whom and by which way one begins, and how it ends (architecture §6.2; docs/policy.md, "Which key a name stands for"). */
import { sameBytes, type HipAddress } from "@i3/common";
import type { Call, HipHost, HipPath } from "@i3/hip";

import type { Mapping } from "../mappings/mapping.js";
import type { HipSetupEnvironment } from "./hip-environment.js";
import type { Link } from "./hip-link.js";
import type { KnownPeers } from "./known-peers.js";
import type { NamedCalls } from "./named-calls.js";
import { peerText } from "./unreachable.js";

export interface HipCallsEnvironment extends Pick<HipSetupEnvironment, "client" | "returnIds" | "ports" | "log" | "directOf" | "trust"> {
  readonly hip: HipHost;
  readonly named: NamedCalls;
  readonly known: KnownPeers;
  readonly linkOf: (nowMs: number, mapping: Mapping) => Link;
}

export class HipCalls {
  readonly #env: HipCallsEnvironment;

  constructor(environment: HipCallsEnvironment) {
    this.#env = environment;
  }

  /** A call to an address. False when its way is not open. */
  #callAddress(nowMs: number, mapping: Mapping, hit: Uint8Array, at: HipAddress): boolean {
    const { ports, log } = this.#env;
    if (at.protocol === "ip" && ports?.ipProtocol !== true) {
      log("warn", "no-ip-protocol", { peer: peerText(mapping), remedy: 'IP protocol 139 is not open: write <hip ip-protocol="true"/> into the configuration, or protocol="udp" into the address book.' });
      return false;
    }
    const link = this.#env.linkOf(nowMs, mapping);
    const path: HipPath = at.protocol === "ip" ? { kind: "ip", address: at.address } : { kind: "udp", locator: { address: at.address, port: at.port, via: ports?.udpPort === undefined ? "udp" : "hip" } };
    link.call = { hit, path, returnId: null };
    this.#env.known.update(link);
    link.startedMs = nowMs;
    link.absent = false;
    this.#env.hip.connect(nowMs, link.call);
    return true;
  }

  /** False when there is no way to call this peer. */
  connect(nowMs: number, mapping: Mapping): boolean {
    if (mapping.peerId === null) return false;
    const at = mapping.peerHit === null ? null : this.#env.directOf(mapping.peerHit);
    if (at !== null && mapping.peerHit !== null) return this.#callAddress(nowMs, mapping, mapping.peerHit, at);
    return this.#callId(nowMs, mapping, mapping.peerId, mapping.peerHit);
  }

  /** @param hit null: whoever has the id, if {@link NamedCalls.accepts} takes its key */
  #callId(nowMs: number, mapping: Mapping, id: Uint8Array, hit: Uint8Array | null): boolean {
    const { client, returnIds } = this.#env;
    const link = this.#env.linkOf(nowMs, mapping);
    if (link.returnId === null && !client.openPath(id)) return false;
    link.returnId ??= returnIds.take();
    Object.assign(link, { startedMs: nowMs, absent: false, calledId: id, call: { hit, path: { kind: "i3", id }, returnId: link.returnId } });
    this.#env.named.add(link.returnId, mapping);
    this.#env.hip.connect(nowMs, link.call as Call);
    return true;
  }

  /** The host of a pinned name is not there. Whoever claims the name now is asked for its key, so that people hear of another one. False: nothing of that kind is left. */
  askWhoHasTheName(nowMs: number, mapping: Mapping, link: Link, absentId: Uint8Array): boolean {
    const askedName = mapping.askedName ?? mapping.name;
    const id = this.#env.trust.claimedIdOf(askedName);
    if (id === null || mapping.peerId === null || !sameBytes(absentId, mapping.peerId) || link.calledId !== mapping.peerId) return false;
    this.abandon(link);
    link.askedName = askedName;
    return this.#callId(nowMs, mapping, id, null);
  }

  /** Ends the call that is under way, if there is one; what went wrong with it last. */
  abandon(link: Link): string | null {
    const trouble = link.call === null ? null : this.#env.hip.abandon(link.call);
    this.end(link);
    return trouble;
  }

  end(link: Link): void {
    const { returnIds, client } = this.#env;
    const { returnId, calledId } = link;
    Object.assign(link, { returnId: null, calledId: null, askedName: null, call: null, renewalDueMs: Infinity });
    this.#env.known.update(link);
    if (returnId === null) return;
    returnIds.give(returnId);
    this.#env.named.remove(returnId);
    if (calledId !== null) client.closePath(calledId);
  }
}
