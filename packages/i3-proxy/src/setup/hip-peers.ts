/** The mappings of hosts that call or are called by HIP: found or made, what each is told of us, and what each has told. */
import { publicId, sameBytes, TokenBucket } from "@i3/common";
import { I3_PREFERENCE_FLAG, type Call, type EstablishedEvent, type HipOffer, type I3Preferences } from "@i3/hip";

import type { NewPeer } from "../mappings/mapping-table.js";
import type { Mapping } from "../mappings/mapping.js";
import type { PeerPolicy } from "../policy/policy.js";
import type { HipSetupEnvironment } from "./hip-environment.js";
import type { NamedCalls } from "./named-calls.js";
import type { PeerPaths } from "./peer-paths.js";
import { peerText } from "./unreachable.js";

/** Ours: people hear that places are short once a minute. */
const FULL_LOGS_PER_SECOND = 1 / 60;
const ZERO4 = new Uint8Array(4);
const ZERO6 = new Uint8Array(16);

export interface HipPeersEnvironment extends HipSetupEnvironment {
  readonly paths: PeerPaths;
  readonly calls: NamedCalls;
  readonly nowMs: () => number;
}

export class HipPeers {
  readonly #env: HipPeersEnvironment;
  readonly #fullLogs = new TokenBucket(FULL_LOGS_PER_SECOND, 1);

  constructor(environment: HipPeersEnvironment) {
    this.#env = environment;
  }

  /** The mapping of a host that has proved its HIT; made when it called us, in the place of a stranger if there is no other. Null: no room. */
  of(hit: Uint8Array): Mapping | null {
    const { mappings, nameOf, policyOf, ownTriggerFor, wallMs, onOwnTrigger } = this.#env;
    const peerId = publicId(hit);
    const old = mappings.byPeer(peerId);
    if (old !== undefined) {
      mappings.learnHit(old, hit);
      return old;
    }
    const name = nameOf(hit);
    const peer: NewPeer = { peerId, peerHit: hit, privateId: null, name, ownTrigger: ownTriggerFor(name), wanted: name !== null, policy: policyOf(name) };
    let made = mappings.create(wallMs(), peer);
    if (made === null && this.#endStranger(peer)) made = mappings.create(wallMs(), peer);
    if (made !== null && made.ownKey !== null) onOwnTrigger(made);
    return made;
  }

  /** Makes room for a host that has solved our puzzle. False: nobody's place is to be had. */
  #endStranger(newcomer: NewPeer): boolean {
    const { mappings, drop, nowMs, log } = this.#env;
    const ended = mappings.strangerInTheWay(nowMs(), newcomer);
    if (mappings.strangersPart >= 1 && this.#fullLogs.take(nowMs())) log("warn", "strangers-full", { remedy: "All places for hosts that the address book does not name are taken; newcomers get those of hosts that no program here has answered for a minute. <access> says who may connect at all." });
    if (ended === null) return false;
    log("debug", "stranger-ended", { peer: peerText(ended), why: "a newcomer has taken its place" });
    drop(ended);
    return true;
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
    const { checksumState, beetIpv4, shortcuts } = I3_PREFERENCE_FLAG;
    const preferences: I3Preferences = {
      flags: checksumState | beetIpv4 | (mapping.policy.shortcut ? shortcuts : 0), own4, own6: identity.hit, peer4: mapping.local4, peer6: mapping.local6 ?? ZERO6,
    };
    return { privateId: mapping.ownPrivateId, preferences };
  }

  /** False when there is no room for the way to the peer's private id, or another mapping has it. */
  open(mapping: Mapping, { peerPrivateId, peerPreferences, path }: EstablishedEvent): boolean {
    if (path.kind !== "i3") {
      // Its packets go straight to where it is, also when it is a host of ours.
      if (mapping.peer !== null) this.#env.paths.close(mapping, mapping.peer.privateId);
      mapping.peer = null;
      return true;
    }
    if (peerPrivateId === null) return false;
    const old = mapping.peer?.privateId ?? null;
    if (!this.#env.paths.open(mapping, peerPrivateId)) return false;
    if (old !== null && !sameBytes(old, peerPrivateId)) this.#env.paths.close(mapping, old);
    const { own4, peer4, own6, peer6 } = peerPreferences ?? { own4: ZERO4, peer4: ZERO4, own6: ZERO6, peer6: ZERO6 };
    mapping.peer = { privateId: peerPrivateId, own4, peer4, own6, peer6 };
    return true;
  }
}
