/** The mappings of hosts that call or are called by HIP: found or made, what each is told of us, and what each has told. */
import { publicId, sameBytes } from "@i3/common";
import { I3_PREFERENCE_FLAG, type Call, type EstablishedEvent, type HipOffer, type I3Preferences } from "@i3/hip";

import type { Mapping } from "../mappings/mapping.js";
import type { PeerPolicy } from "../policy/policy.js";
import type { HipSetupEnvironment } from "./hip-environment.js";
import type { NamedCalls } from "./named-calls.js";
import type { PeerPaths } from "./peer-paths.js";

const ZERO4 = new Uint8Array(4);
const ZERO6 = new Uint8Array(16);

export interface HipPeersEnvironment extends HipSetupEnvironment {
  readonly paths: PeerPaths;
  readonly calls: NamedCalls;
}

export class HipPeers {
  readonly #env: HipPeersEnvironment;

  constructor(environment: HipPeersEnvironment) {
    this.#env = environment;
  }

  /** The mapping of a host that has proved its HIT; made when it called us. Null: no room. */
  of(hit: Uint8Array): Mapping | null {
    const { mappings, nameOf, policyOf, ownTriggerFor, wallMs, onOwnTrigger } = this.#env;
    const peerId = publicId(hit);
    const old = mappings.byPeer(peerId);
    if (old !== undefined) {
      mappings.learnHit(old, hit);
      return old;
    }
    const name = nameOf(hit);
    const made = mappings.create(wallMs(), { peerId, peerHit: hit, privateId: null, name, ownTrigger: ownTriggerFor(name), wanted: name !== null, policy: policyOf(name) });
    if (made !== null && made.ownKey !== null) onOwnTrigger(made);
    return made;
  }

  policyOf(hit: Uint8Array, call: Call | null): PeerPolicy {
    const { mappings, nameOf, policyOf } = this.#env;
    return this.#env.calls.named(call)?.policy ?? mappings.byPeer(publicId(hit))?.policy ?? policyOf(nameOf(hit));
  }

  /** What we tell a peer inside the exchange. Called only for one who has proved its HIT, or whom we called. */
  offerFor(hit: Uint8Array, call: Call | null): HipOffer | null {
    const { own4, identity, mappings } = this.#env;
    const named = this.#env.calls.named(call);
    const mapping = named?.isNameOnly === true && mappings.byPeer(publicId(hit)) === undefined ? named : this.of(hit);
    if (mapping === null) return null;
    const { shortcuts, checksumState, beetIpv4 } = I3_PREFERENCE_FLAG;
    const preferences: I3Preferences = {
      flags: shortcuts | checksumState | beetIpv4, own4, own6: identity.hit, peer4: mapping.local4, peer6: mapping.local6 ?? ZERO6,
    };
    return { privateId: mapping.ownPrivateId, preferences };
  }

  /** False when there is no room for the way to the peer's private id, or another mapping has it. */
  open(mapping: Mapping, { peerPrivateId, peerPreferences, path }: EstablishedEvent): boolean {
    if (path.kind !== "i3") {
      // Its packets go straight to where it is, also when it is a host of ours.
      if (mapping.peer !== null) this.#env.paths.close(mapping.peer.privateId);
      mapping.peer = null;
      return true;
    }
    if (peerPrivateId === null) return false;
    const old = mapping.peer?.privateId ?? null;
    if (!this.#env.paths.open(mapping, peerPrivateId)) return false;
    if (old !== null && !sameBytes(old, peerPrivateId)) this.#env.paths.close(old);
    const { own4, peer4, own6, peer6 } = peerPreferences ?? { own4: ZERO4, peer4: ZERO4, own6: ZERO6, peer6: ZERO6 };
    mapping.peer = { privateId: peerPrivateId, own4, peer4, own6, peer6 };
    return true;
  }
}
