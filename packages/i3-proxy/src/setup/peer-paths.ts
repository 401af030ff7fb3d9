/** The ways to peers' private ids: whose each is, so that no two mappings send to one. Each set-up has its own. */
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
  readonly #byId = new Map<string, Mapping>();

  constructor(environment: PeerPathsEnvironment) {
    this.#env = environment;
  }

  /** The mapping that sends to a private id. */
  mappingOf(privateId: Uint8Array): Mapping | undefined {
    return this.#byId.get(bytesKey(privateId));
  }

  /** False when the id is another mapping's already, or public (ours or that of a host that we know: nobody's private id), or there is no room. */
  open(mapping: Mapping, privateId: Uint8Array): boolean {
    const owner = this.mappingOf(privateId);
    if (owner === mapping) return true;
    const { client, mappings, ownId } = this.#env;
    if (owner !== undefined || sameBytes(privateId, ownId) || mappings.byPeer(privateId) !== undefined || !client.openPath(privateId)) return false;
    this.#byId.set(bytesKey(privateId), mapping);
    return true;
  }

  close(privateId: Uint8Array): void {
    if (this.#byId.delete(bytesKey(privateId))) this.#env.client.closePath(privateId);
  }

  /** What stands in front of packets to a mapping's peer; null when it has no way there. */
  headerOf(mapping: Mapping, payloadKind: number): Uint8Array | null {
    if (mapping.peer === null || this.mappingOf(mapping.peer.privateId) !== mapping) return null;
    return this.#env.client.pathHeader(mapping.peer.privateId, payloadKind);
  }
}
