/** With whom this server shares a key: proven ones, least recently used first, and half-open ones, who have only shown a credential. */
import { bytesKey, TokenBucket } from "@i3/common";

import { CALLS_AGAIN_AT_ONCE, CALLS_AGAIN_PER_SECOND, MAX_HALF_OPEN } from "./constants.js";
import { CounterWindow } from "./counter-window.js";
import type { Credential } from "./credential.js";

export interface Session {
  readonly credential: Credential;
  /** 32 bytes; wiped when the session goes. */
  readonly pairKey: Uint8Array;
  /** Ours towards this peer: what its messages must name. */
  ownEpoch: number;
  /** The newest that is known of the peer; 0: none. */
  peerEpoch: number;
  /** When that was learnt. */
  peerSinceMs: number;
  /** How often the peer, which knew us, had heard a later epoch of ours than we have begun. */
  outdone: number;
  /** Of our last message. */
  counter: number;
  window: CounterWindow;
  /** How often it is called because of a HELLO_AGAIN, which anybody on the path can forge. */
  readonly callsAgain: TokenBucket;
}

export const makeSession = (credential: Credential, pairKey: Uint8Array, ownEpoch: number): Session =>
  ({ credential, pairKey, ownEpoch, peerEpoch: 0, peerSinceMs: -Infinity, outdone: 0, counter: 0, window: new CounterWindow(), callsAgain: new TokenBucket(CALLS_AGAIN_PER_SECOND, CALLS_AGAIN_AT_ONCE) });

/** The peer is known to be at `epoch`, later than before. */
export function renewPeer(nowMs: number, session: Session, epoch: number): void {
  session.peerEpoch = epoch;
  session.peerSinceMs = nowMs;
  session.window = new CounterWindow();
}

export class Sessions {
  readonly #proven = new Map<string, Session>();
  readonly #halfOpen = new Map<string, Session>();
  /** The last of the proven ones. */
  #newest: Session | null = null;
  /** Node keys that keep their session. */
  #kept: ReadonlySet<string> = new Set();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#proven.size;
  }

  /** The proven session with a node, which counts as used. */
  use(nodeKey: Uint8Array): Session | undefined {
    const text = bytesKey(nodeKey);
    const session = this.#proven.get(text);
    if (session !== undefined) this.#used(text, session);
    return session;
  }

  /** Proven or half-open. */
  peek(nodeKey: Uint8Array): Session | undefined {
    const text = bytesKey(nodeKey);
    return this.#proven.get(text) ?? this.#halfOpen.get(text);
  }

  /** A proven one counts as used; false: it is not proven. */
  touch(session: Session): boolean {
    const text = bytesKey(session.credential.nodeKey);
    if (this.#proven.get(text) !== session) return false;
    this.#used(text, session);
    return true;
  }

  /** The order matters only to who has to make room. */
  #used(text: string, session: Session): void {
    if (session === this.#newest) return;
    this.#proven.delete(text);
    this.#proven.set(text, session);
    this.#newest = session;
  }

  isProven(session: Session): boolean {
    return this.#proven.get(bytesKey(session.credential.nodeKey)) === session;
  }

  /** The oldest half-open one makes room. */
  addHalfOpen(session: Session): void {
    const oldest = this.#halfOpen.values().next();
    if (this.#halfOpen.size >= MAX_HALF_OPEN && oldest.done === false) this.remove(oldest.value);
    this.#halfOpen.set(bytesKey(session.credential.nodeKey), session);
  }

  /** From half-open, or new; returns a proven one that made room. */
  prove(session: Session): Session | null {
    const text = bytesKey(session.credential.nodeKey);
    this.#halfOpen.delete(text);
    this.#proven.set(text, session);
    this.#newest = session;
    if (this.#proven.size <= this.#max) return null;
    const victim = [...this.#proven].find(([key]) => key !== text && !this.#kept.has(key))?.[1] ?? null;
    if (victim !== null) this.remove(victim);
    return victim;
  }

  remove(session: Session): void {
    const text = bytesKey(session.credential.nodeKey);
    if (this.#proven.get(text) === session) this.#proven.delete(text);
    if (this.#newest === session) this.#newest = null;
    if (this.#halfOpen.get(text) === session) this.#halfOpen.delete(text);
    session.pairKey.fill(0);
  }

  keep(nodeKeys: readonly Uint8Array[]): void {
    this.#kept = new Set(nodeKeys.map(bytesKey));
  }

  clear(): void {
    for (const session of [...this.#proven.values(), ...this.#halfOpen.values()]) this.remove(session);
  }
}
