/** Calls over i3 that are under way, and whether who answers may have the name that was called (docs/policy.md, "Which key a name stands for"). */
import { bytesKey, errorLine, formatIpText, publicId, sameBytes } from "@i3/common";
import type { Call } from "@i3/hip";

import { addressesOf } from "../mappings/mapping-table.js";
import type { Mapping } from "../mappings/mapping.js";
import type { HipSetupEnvironment } from "./hip-environment.js";
import type { Link } from "./hip-link.js";
import { peerText } from "./unreachable.js";

const NO_ID = new Uint8Array(32);

const NOT_ITS_OWN_REMEDY = "If its owner says that the key is new, correct its id or HIT in the address book; otherwise somebody else answers in its place.";

export class NamedCalls {
  readonly #env: HipSetupEnvironment;
  readonly #links: ReadonlyMap<Mapping, Link>;
  /** By return id. */
  readonly #called = new Map<string, Mapping>();

  constructor(environment: HipSetupEnvironment, links: ReadonlyMap<Mapping, Link>) {
    this.#env = environment;
    this.#links = links;
  }

  add(returnId: Uint8Array, mapping: Mapping): void {
    this.#called.set(bytesKey(returnId), mapping);
  }

  remove(returnId: Uint8Array): void {
    this.#called.delete(bytesKey(returnId));
  }

  /** The mapping whose call it is; `hit`: of the peer, for calls that do not go over i3. */
  of({ returnId }: Call, hit: Uint8Array | null): Mapping | undefined {
    if (returnId !== null) return this.#called.get(bytesKey(returnId));
    return hit === null ? undefined : this.#env.mappings.byPeer(publicId(hit));
  }

  /** Whose call went to an id. */
  callerOf(id: Uint8Array): Mapping | undefined {
    for (const mapping of this.#called.values()) if (sameBytes(this.#links.get(mapping)?.calledId ?? NO_ID, id)) return mapping;
    return undefined;
  }

  /** The mapping whose call went to whoever has an id or a name. */
  named(call: Call | null): Mapping | undefined {
    return call === null || call.hit !== null || call.returnId === null ? undefined : this.#called.get(bytesKey(call.returnId));
  }

  /** Whether the host that answered a call may have its name (docs/policy.md): null, or why not. */
  accepts(call: Call, hit: Uint8Array): string | null {
    const { trust, log, refuses } = this.#env;
    if (call.hit !== null && sameBytes(call.hit, hit)) return null;
    const mapping = this.of(call, call.hit);
    const link = mapping === undefined ? undefined : this.#links.get(mapping);
    if (mapping === undefined || link === undefined) return "the call is over";
    if (refuses({ peerHit: hit, peerId: null })) return "the access list refuses it";
    const name = link.askedName ?? mapping.name;
    const verdict = name === null ? null : trust.judge(name, hit);
    if (verdict?.kind !== "refused" && (mapping.isNameOnly || sameBytes(publicId(hit), mapping.peerId ?? NO_ID))) return null;
    const why = verdict?.kind === "refused" ? errorLine(verdict.error) : `${peerText(mapping)} answered with the key of ${formatIpText(hit)}, which is not its own`;
    const said = verdict?.kind === "refused" ? { error: verdict.error.message, remedy: verdict.error.remedy } : { error: why, remedy: NOT_ITS_OWN_REMEDY };
    // Once a call: who answers with ever other keys shall not fill the log.
    if (link.wrongKey !== why) log(link.wrongKey === null ? "warn" : "debug", "wrong-key", { peer: name ?? peerText(mapping), ...said });
    link.wrongKey = why;
    return why;
  }

  /**
   * The mapping of a host whose key an exchange has proven. Null: no room, or the name may not have that key.
   * @param mappingOf finds or makes that of a HIT
   */
  proven(call: Call | null, hit: Uint8Array, mappingOf: (hit: Uint8Array) => Mapping | null): Mapping | null {
    const { mappings, trust, drop, datapath, log, onNamed } = this.#env;
    const named = this.named(call);
    if (named === undefined || named.name === null) return mappingOf(hit);
    const verdict = trust.judge(named.name, hit);
    if (verdict.kind === "refused") return null;
    if (verdict.kind === "first-use") trust.pin(named.name, hit);
    if (!named.isNameOnly) {
      const mapping = mappingOf(hit);
      if (mapping !== null && verdict.kind === "first-use") onNamed(mapping);
      return mapping;
    }
    const peerId = publicId(hit);
    const other = mappings.byPeer(peerId);
    if (other === undefined) {
      mappings.bind(named, peerId, hit);
      onNamed(named);
      return named;
    }
    // Two virtual addresses of one host would mix up what comes from it: programs that have the new one hear so, and asking again gives the old one.
    log("info", "known-host", { peer: named.name, why: "this host has another virtual address here already", remedy: "Ask for the name again." });
    for (const address of addressesOf(named)) datapath.discard(address, true);
    drop(named);
    mappings.want(other);
    other.name ??= named.name;
    onNamed(other);
    return mappingOf(hit);
  }
}
