/** The second pair of ESP associations of a mapping, of the kind that the first is not (docs/wire.md §9.6): made when a packet needs it. */
import type { Log } from "@i3/common";
import { ESP_SUITE, isReadableSuite, type EspSuite, type HipHost, type PairFailedEvent } from "@i3/hip";

import type { Mapping } from "../mappings/mapping.js";
import { hasServices, STRENGTH, strengthsOf } from "../policy/policy.js";
import type { Link } from "./hip-link.js";
import { peerText } from "./unreachable.js";

// Ours:
/** A pair that the peer did not take is asked for again, when a packet needs it. */
const PAIR_AGAIN_MS = 30_000;
/** Packets wait so long for a peer that keeps silent: HIP goes on asking for 15.5 s, and a pair that comes about then is used. */
const PAIR_WAIT_MS = 3_000;

export class SecondPairs {
  readonly #hip: HipHost;
  readonly #links: ReadonlyMap<Mapping, Link>;
  readonly #install: (mapping: Mapping) => void;
  readonly #log: Log;
  readonly #refused = new Set<Mapping>();
  /** Pairs that were asked for, and until when packets wait for them; the soonest first. */
  readonly #asked = new Map<Mapping, { readonly untilMs: number; readonly espSuite: EspSuite }>();

  /** @param install programs the engine for a mapping as it is now */
  constructor({ hip, links, install, log }: { hip: HipHost; links: ReadonlyMap<Mapping, Link>; install: (mapping: Mapping) => void; log: Log }) {
    this.#hip = hip;
    this.#links = links;
    this.#install = install;
    this.#log = log;
  }

  /** It is gone, or anew. */
  forget(mapping: Mapping): void {
    this.#refused.delete(mapping);
    this.#asked.delete(mapping);
  }

  nextDeadlineMs(): number {
    const [soonest] = this.#asked.values();
    let deadline = soonest?.untilMs ?? Infinity;
    for (const mapping of this.#refused) deadline = Math.min(deadline, this.#links.get(mapping)?.secondAgainMs ?? Infinity);
    return deadline;
  }

  /** The other kind of keys, for services that need it. */
  addWanted(nowMs: number, mapping: Mapping): void {
    const link = this.#links.get(mapping);
    // Who answered a call waits a moment: an UPDATE would overtake R2.
    if (link === undefined || link.association === null || link.activeFromMs !== null) return;
    const strength = link.strength === STRENGTH.esp ? STRENGTH.auth : STRENGTH.esp;
    const isWanted = link.wanted.has(strength);
    link.wanted.clear();
    if (!isWanted || link.second !== "none" || !hasServices(mapping.policy) || !strengthsOf(mapping.policy).includes(strength)) return;
    link.second = "asked";
    const espSuite = strength === STRENGTH.auth ? ESP_SUITE.nullSha256 : ESP_SUITE.aesGcm16;
    this.#asked.delete(mapping);
    this.#asked.set(mapping, { untilMs: nowMs + PAIR_WAIT_MS, espSuite });
    this.#hip.addPair(nowMs, link.association, espSuite);
  }

  /** What needs that pair goes encrypted instead, or if it is the encrypted one is refused for a while; the rest goes on. */
  refuse(nowMs: number, mapping: Mapping, link: Link, { code, espSuite }: Pick<PairFailedEvent, "code" | "espSuite">): void {
    this.#asked.delete(mapping);
    const isReadable = isReadableSuite(espSuite);
    link.second = "refused";
    // Who knows no second pairs keeps packets waiting each time that it is asked.
    link.secondAgainMs = isReadable && code === "silent" ? Infinity : nowMs + PAIR_AGAIN_MS;
    this.#refused.add(mapping);
    const security = isReadable ? "auth" : "esp";
    const why = code === "refused" ? `the peer's rules have no service with security="${security}" for this machine` : "the peer does not answer, or knows one kind of protection only";
    const fields = { peer: peerText(mapping), security, why, remedy: "Write the same services into the rules of both machines, or leave security out: esp needs no second kind of keys." };
    if (!link.isRefusalTold) this.#log("warn", isReadable ? "service-encrypted" : "service-refused", fields);
    link.isRefusalTold = true;
    this.#install(mapping);
  }

  /** What waits for a silent peer waits no more, and what was refused for a while is asked for again. */
  handleTimer(nowMs: number): void {
    for (const [mapping, { untilMs, espSuite }] of this.#asked) {
      if (untilMs > nowMs) break;
      this.#asked.delete(mapping);
      const link = this.#links.get(mapping);
      if (link?.second === "asked") this.refuse(nowMs, mapping, link, { code: "silent", espSuite });
    }
    for (const mapping of this.#refused) {
      const link = this.#links.get(mapping);
      if (link !== undefined && link.secondAgainMs > nowMs) continue;
      this.#refused.delete(mapping);
      if (link?.second !== "refused") continue;
      link.second = "none";
      this.#install(mapping);
    }
  }

  /** Cleartext goes to private ids, and a host without i3 has none. */
  tellWithoutClear(mapping: Mapping, link: Link): void {
    if (link.isRefusalTold || mapping.peer !== null || !hasServices(mapping.policy) || !strengthsOf(mapping.policy).includes(STRENGTH.none)) return;
    link.isRefusalTold = true;
    this.#log("warn", "service-refused", { peer: peerText(mapping), security: "none", why: "the peer is a host without i3, to which nothing goes in cleartext", remedy: 'Leave security="none" out of the rules for this name.' });
  }
}
