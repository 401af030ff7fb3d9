/**
 * The ways to peers' private ids. Nobody proves that an id is its own, and whoever has seen one in a header may name it: so several mappings may send to one, and none
 * keeps another from its way. Each set-up has its own.
 */
import { bytesKey, sameBytes } from "@i3/common";
import type { I3Client } from "@i3/i3-client";

import type { Mapping } from "../mappings/mapping.js";
import type { MappingTable } from "../mappings/mapping-table.js";

export interface PeerPathsEnvironment {
  readonly client: I3Client;
  readonly mappings: MappingTable;
  /** Our public id. */
  readonly ownId: Uint8Array;
}

export class PeerPaths {
  readonly #env: PeerPathsEnvironment;
  readonly #byId = new Map<string, Set<Mapping>>();

  constructor(environment: PeerPathsEnvironment) {
    this.#env = environment;
  }

  /** The mappings that send to a private id. */
  mappingsOf(privateId: Uint8Array): readonly Mapping[] {
    return [...(this.#byId.get(bytesKey(privateId)) ?? [])];
  }

  /** False when the id is a private one of ours, or public (ours or that of a host that we know: nobody's private id), or there is no room. */
  open(mapping: Mapping, privateId: Uint8Array): boolean {
    const there = this.#byId.get(bytesKey(privateId));
    if (there !== undefined) {
      there.add(mapping);
      return true;
    }
    const { client, mappings, ownId } = this.#env;
    if (sameBytes(privateId, ownId) || mappings.byPeer(privateId) !== undefined || mappings.byPrivateId(privateId) !== undefined || !client.openPath(privateId)) return false;
    this.#byId.set(bytesKey(privateId), new Set([mapping]));
    return true;
  }

  close(mapping: Mapping, privateId: Uint8Array): void {
    const there = this.#byId.get(bytesKey(privateId));
    if (there?.delete(mapping) !== true || there.size > 0) return;
    this.#byId.delete(bytesKey(privateId));
    this.#env.client.closePath(privateId);
  }

  /** What stands in front of packets to a mapping's peer; null when it has no way there. */
  headerOf(mapping: Mapping, payloadKind: number): Uint8Array | null {
    if (mapping.peer === null || this.#byId.get(bytesKey(mapping.peer.privateId))?.has(mapping) !== true) return null;
    return this.#env.client.pathHeader(mapping.peer.privateId, payloadKind);
  }
}
