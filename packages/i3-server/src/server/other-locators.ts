/**
 * Where clients of the family that servers do not use among each other find them (docs/wire.md §4.2, "Two families"). A member says that itself,
 * and could name any address: so it is told to nobody before it has answered a PING of ours from there.
 */
import { bytesKey, encodeControl, isSameFamily, NONCE_BYTES, remember, sameBytes, sameLocator, type Locator, type RingNode, type RingSender } from "@i3/common";

import type { ServerCounters } from "../counters.js";
import { ANSWER_WAIT_MS, MAX_OTHER_LOCATORS, MAX_UNANSWERED_PING_MS, MAX_WAITING_PER_KEY, OTHER_PROVEN_MS, OTHER_RENEW_MS, UNANSWERED_PING_MS } from "./constants.js";

/** What one server says of itself. */
interface Claim {
  /** Null: it has none. */
  readonly locator: Locator | null;
  provenMs: number;
  askedMs: number;
  /** Of the last PING, until that is answered. */
  nonce: Uint8Array | null;
  /** PINGs without an answer. */
  silences: number;
  waiting: { readonly sinceMs: number; readonly act: () => void }[];
}

/** `unknown`: it may have one, and nobody has seen yet that it is there. */
export type ClientLocator = Locator | "none" | "unknown";

export interface OtherLocatorsInit {
  readonly self: RingSender;
  readonly counters: ServerCounters;
  /** `length` unpredictable bytes. */
  readonly random: (length: number) => Uint8Array;
  readonly transmit: (to: Locator, bytes: Uint8Array) => void;
}

export class OtherLocators {
  readonly #init: OtherLocatorsInit;
  /** By node key, who was heard last at the end. */
  readonly #claims = new Map<string, Claim>();

  constructor(init: OtherLocatorsInit) {
    this.#init = init;
  }

  /** An authenticated message of this server. */
  heard({ key, other }: RingSender): void {
    const text = bytesKey(key);
    const known = this.#claims.get(text);
    const isSame = known !== undefined && (known.locator === null ? other === undefined : other !== undefined && sameLocator(known.locator, other));
    remember(this.#claims, text, isSame ? known : changed(known, other ?? null), MAX_OTHER_LOCATORS);
  }

  /** Where who asks from `asker` reaches a server. Asks in passing whether that one is still there. */
  of(nowMs: number, node: RingNode, asker: Locator): ClientLocator {
    if (isSameFamily(node.locator, asker)) return node.locator;
    return this.#otherOf(nowMs, node);
  }

  /** Counted when there is none to tell. */
  tell(nowMs: number, node: RingNode | null, asker: Locator): Locator | null {
    if (node === null) return null;
    const locator = this.of(nowMs, node, asker);
    if (typeof locator !== "string") return locator;
    this.#init.counters.count(locator === "none" ? "other-family" : "other-unproven");
    return null;
  }

  /** In both families, for who is told later: what is known now. */
  both(nowMs: number, node: RingNode | null): readonly [Locator | null, Locator | null] {
    if (node === null) return [null, null];
    const other = this.#otherOf(nowMs, node);
    return [node.locator, typeof other === "string" ? null : other];
  }

  /** Does it when an unknown locator has shown itself, if that is soon. */
  whenKnown(nowMs: number, node: RingNode, act: () => void): void {
    const claim = this.#claims.get(bytesKey(node.key));
    if (claim === undefined) return;
    claim.waiting = claim.waiting.filter(({ sinceMs }) => nowMs - sinceMs < ANSWER_WAIT_MS);
    if (claim.waiting.length < MAX_WAITING_PER_KEY) claim.waiting.push({ sinceMs: nowMs, act });
    else this.#init.counters.count("cache-pending-full");
  }

  /** False: nobody asked. */
  handlePong(nowMs: number, from: Locator, nonce: Uint8Array, nodeKey: Uint8Array): boolean {
    const claim = this.#claims.get(bytesKey(nodeKey));
    if (claim === undefined || claim.locator === null || claim.nonce === null || !sameLocator(claim.locator, from) || !sameBytes(claim.nonce, nonce)) return false;
    claim.nonce = null;
    claim.silences = 0;
    claim.provenMs = nowMs;
    const waiting = claim.waiting.filter(({ sinceMs }) => nowMs - sinceMs < ANSWER_WAIT_MS);
    claim.waiting = [];
    for (const { act } of waiting) act();
    return true;
  }

  #otherOf(nowMs: number, node: RingNode): ClientLocator {
    const { self } = this.#init;
    if (sameBytes(node.key, self.key)) return self.other ?? "none";
    const claim = this.#claims.get(bytesKey(node.key));
    if (claim === undefined) return "unknown";
    if (claim.locator === null) return "none";
    this.#askAgain(nowMs, claim, claim.locator);
    return nowMs - claim.provenMs < OTHER_PROVEN_MS ? claim.locator : "unknown";
  }

  #askAgain(nowMs: number, claim: Claim, to: Locator): void {
    const isAnswered = claim.nonce === null && claim.provenMs !== -Infinity;
    const pauseMs = isAnswered ? OTHER_RENEW_MS : Math.min(UNANSWERED_PING_MS * 2 ** claim.silences, MAX_UNANSWERED_PING_MS);
    if (nowMs - claim.askedMs < pauseMs) return;
    if (claim.nonce !== null) claim.silences += 1;
    claim.askedMs = nowMs;
    claim.nonce = this.#init.random(NONCE_BYTES);
    this.#init.transmit(to, encodeControl({ type: "PING" }, claim.nonce));
  }
}

/** Says another locator than before. It is not asked sooner for that: who goes on changing what it says could have PINGs sent as it likes. */
const changed = (known: Claim | undefined, locator: Locator | null): Claim => ({
  locator, provenMs: -Infinity, askedMs: known?.askedMs ?? -Infinity, nonce: null, silences: (known?.silences ?? 0) + (known === undefined || known.nonce === null ? 0 : 1), waiting: [],
});
