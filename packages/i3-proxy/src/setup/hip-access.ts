/** What the access list says of calls by HIP, of peers and of ours (docs/policy.md, "Who may connect"). */
import { publicId } from "@i3/common";

import type { Mapping } from "../mappings/mapping.js";
import type { HipSetupEnvironment } from "./hip-environment.js";
import type { Link } from "./hip-link.js";

export class HipAccess {
  readonly #env: HipSetupEnvironment;
  readonly #links: ReadonlyMap<Mapping, Link>;

  constructor(environment: HipSetupEnvironment, links: ReadonlyMap<Mapping, Link>) {
    this.#env = environment;
    this.#links = links;
  }

  /** Whether this host may call: the list's default is about those who connect to us, its entries about everybody. */
  mayCall(mapping: Mapping): boolean {
    const { mayCall, peerHit } = mapping;
    const isRefused = this.#env.refuses(mapping);
    if (isRefused) this.#env.onOwnRefused(mapping);
    return !isRefused && (mayCall || peerHit === null || this.#env.admits(peerHit));
  }

  /** Whether a host may connect. Whom we call may answer, and begin a fresh exchange as long as that association lives, unless an entry refuses it. */
  admits(hit: Uint8Array): boolean {
    if (this.#env.refuses({ peerHit: hit, peerId: null })) return false;
    const mapping = this.#env.mappings.byPeer(publicId(hit));
    const link = mapping === undefined ? undefined : this.#links.get(mapping);
    if (mapping === undefined || link === undefined) return this.#env.admits(hit);
    const isOurs = link.association !== null ? link.isOurs : link.call !== null && mapping.mayCall;
    return isOurs || this.#env.admits(hit);
  }
}
