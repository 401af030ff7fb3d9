/**
 * Names that are reached anonymously (docs/anonymity.md): each has an instance of its own, made at the first question for it. What cannot be made fails: such a name is never looked for or
 * reached in another way.
 */
import { randomBytes } from "node:crypto";
import { anonymousAsTheyAre, bytesKey, I3Error, inRange, TokenBucket, type AddressBook, type AddressRange, type Locator, type Log, type ProxyConfig, type ProxyRule } from "@i3/common";
import type { NativeIo } from "@i3/datapath/native-io";

import { AddressParts } from "../anonymous/address-parts.js";
import { anonymousTarget, targetKey, type AnonymousTarget } from "../anonymous/anonymous-names.js";
import { Destinations } from "../anonymous/destinations.js";
import { encodeAnswer, RCODE } from "../dns/dns-answer.js";
import { FLAG_DNSSEC_OK, readOpt } from "../dns/edns.js";
import { failureOf } from "../dns/short-answers.js";
import { AnonymousGuard, anonymousTuns, removeAnonymousGuard } from "./anonymous-guard.js";
import { AnonymousInstance, untelling, type AnonymousAnswer } from "./anonymous-instance.js";
import { ClosedNames } from "./closed-names.js";
import type { AskedAnonymously } from "./dns-port.js";
import type { NftRunner } from "./interception-nft.js";
import { liveAddresses } from "./live-sockets.js";
import { rangeText, type SystemView } from "./system-view.js";

export interface AnonymousClientsOptions {
  readonly io: NativeIo;
  readonly config: ProxyConfig;
  readonly mark: number;
  readonly nft: NftRunner;
  readonly rules: readonly ProxyRule[];
  readonly book: () => AddressBook;
  /** Of the ring, those first that live as far as is known; the rest when none does. */
  readonly servers: () => readonly Locator[];
  readonly view: Pick<SystemView, "findOverlaps">;
  readonly log: Log;
}

// Ours:
const LOOK_MS = 1_000;
const MAX_REAL = 64;
const MAX_ASKED = 256;
/** Each costs a key, a thread and an interface. */
const [MADE_PER_SECOND, MADE_BURST] = [2, 32] as const;
/** Addresses of one that has ended are nobody's for so long, and refused: programs may still hold them. */
const REST_MS = 300_000;
const TYPE = { A: 1, ANY: 255 } as const;

interface Resting {
  readonly addresses: readonly Uint8Array[];
  readonly part: AddressRange;
  readonly untilMs: number;
}

export class AnonymousClients {
  readonly counters = { made: 0, failed: 0, full: 0, ended: 0, questions: 0, crowded: 0 };
  readonly #options: AnonymousClientsOptions;
  readonly #tuns: string;
  readonly #guard: AnonymousGuard;
  readonly #closedNames: ClosedNames;
  readonly #destinations: Destinations<AnonymousInstance>;
  /** By key; each is waited for by all who ask. */
  readonly #coming = new Map<string, Promise<AnonymousInstance | null>>();
  readonly #opening = new Set<AnonymousInstance>();
  /** Those that tell the far end that they go; their addresses are theirs until they rest. */
  readonly #leaving = new Map<AnonymousInstance, Promise<void>>();
  readonly #targets = new WeakMap<AnonymousInstance, AnonymousTarget>();
  /** Names that programs asked for: of a target there are two, as it is and with an ending. */
  readonly #askedNames = new WeakMap<AnonymousInstance, Set<string>>();
  readonly #parts: AddressParts;
  #resting: Resting[] = [];
  readonly #made = new TokenBucket(MADE_PER_SECOND, MADE_BURST);
  readonly #lines = new TokenBucket(1 / 60, 1);
  #rules: readonly ProxyRule[];
  #live: { readonly atMs: number; readonly addresses: ReadonlySet<string> } = { atMs: -Infinity, addresses: new Set() };
  #asked = 0;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: AnonymousClientsOptions) {
    const { config: { tun, dns, anonymous: { max, idleS, renewAfterS, range } }, nft, log } = options;
    this.#options = options;
    this.#rules = options.rules;
    this.#tuns = anonymousTuns(tun.name);
    this.#closedNames = new ClosedNames({ nft, tunName: tun.name, tuns: this.#tuns, mark: options.mark, hasPort53: dns.port === 53, log });
    this.#parts = new AddressParts(range, (length) => new Uint8Array(randomBytes(length)));
    this.#guard = new AnonymousGuard(nft, this.#tuns, () => this.#refusedRange(), (error) => log("warn", "guard-failed", { error: error.message, remedy: "It is tried again with the next change." }));
    this.#destinations = new Destinations({ max, idleMs: idleS * 1_000, renewAfterMs: renewAfterS * 1_000 });
  }

  /** Before the DNS port, which may fail to open: closes DNS around names as they are, or takes away what an earlier run has left. Rejects with I3Error. */
  async shut(): Promise<void> {
    await this.#closedNames.open(this.#isAsTheyAre());
  }

  /** Behind {@link shut}. Takes over, or removes, what an earlier run has left. Rejects with I3Error. */
  async open(): Promise<void> {
    if (this.#hasRules()) await this.#guard.open();
    else await removeAnonymousGuard(this.#options.nft, this.#tuns);
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  /** Whether a name is one of these. @param name as of a question */
  isOne(name: string): boolean {
    return this.#targetOf(name) !== null;
  }

  isTun(index: number): boolean {
    return index !== 0 && [...this.#all()].some(({ tunIndex }) => tunIndex === index);
  }

  /** Whether an address may be one of an instance: of such a one no reverse question is anybody's to hear, nor answered with a name, since whoever uses this machine could ask. */
  hides(address: Uint8Array): boolean {
    const { range } = this.#options.config.anonymous;
    return address.length === 4 && inRange(range, address) && (this.#hasRules() || this.#destinations.size > 0) && !this.#isReal({ network: address, prefixBits: 32 });
  }

  /** The range as nft has it, but for what is real there; null: all of it is, or too much. */
  #refusedRange(): string | null {
    const { view, config: { anonymous: { range } } } = this.#options;
    const real = view.findOverlaps(range);
    const prefixes = [...new Set(real.map(({ prefix }) => rangeText(prefix)))].sort();
    if (real.some(({ coversRange }) => coversRange) || prefixes.length > MAX_REAL) return null;
    return [rangeText(range), ...prefixes.map((prefix) => `ip daddr != ${prefix}`)].join(" ");
  }

  #isAsTheyAre(): boolean {
    return anonymousAsTheyAre(this.#rules, this.#options.config.dns.suffix) !== undefined;
  }

  #hasRules(): boolean {
    return this.#rules.some(({ go }) => go === "anonymous");
  }

  /** Whether something real of this machine, or what it asks, has addresses there. */
  #isReal(part: AddressRange): boolean {
    return this.#options.view.findOverlaps(part).length > 0;
  }

  ask({ query, question, limit, reply }: AskedAnonymously): void {
    this.counters.questions += 1;
    const fail = (): void => reply(failureOf(query, question.end));
    if (this.#asked >= MAX_ASKED || this.#isClosed) {
      this.counters.crowded += 1;
      return fail();
    }
    const opt = readOpt(query, question.end);
    const edns = opt === null || opt === "malformed" ? null : { dnssecOk: (opt.flags & FLAG_DNSSEC_OK) !== 0 };
    const answer = ({ rcode, addresses }: AnonymousAnswer): void =>
      reply(encodeAnswer(query, question, { rcode, records: addresses.map((data) => ({ type: TYPE.A, data })), negative: addresses.length === 0 && rcode !== RCODE.serverFailure, edns }, limit));
    // IPv6 has the host's own identity tag as address, which its other ways have too.
    if (question.type !== TYPE.A && question.type !== TYPE.ANY) return answer({ rcode: RCODE.noError, addresses: [] });
    this.#asked += 1;
    void this.#lookUp(question.name).then(answer, fail).finally(() => (this.#asked -= 1));
  }

  setRules(rules: readonly ProxyRule[]): void {
    this.#rules = rules;
    this.#closedNames.want(this.#isAsTheyAre());
    for (const instance of [...this.#destinations.all()]) {
      const target = this.#targets.get(instance);
      if (![...(this.#askedNames.get(instance) ?? [])].some((name) => target !== undefined && keyOf(this.#targetOf(name)) === targetKey(target))) this.#end(instance);
    }
  }

  setBook(book: AddressBook): void {
    for (const instance of this.#inUse()) instance.setBook(book);
  }

  /** The machine is elsewhere. */
  moved(): void {
    for (const instance of this.#inUse()) instance.moved();
  }

  /** Something real may have addresses of an instance now. It ends: would it refuse some that its gateway names, other gateways would hear the same of it. */
  routesChanged(): void {
    for (const instance of [...this.#destinations.all()]) if (this.#isReal(instance.range)) this.#end(instance);
  }

  report(): Readonly<Record<string, number>> {
    return { open: this.#destinations.size, coming: this.#coming.size, leaving: this.#leaving.size, resting: this.#resting.length, ...this.counters };
  }

  /** @param isStop as somebody wanted: otherwise what is to stay closed while no proxy runs does */
  async close(isStop: boolean): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#timer);
    await this.#closedNames.close(isStop);
    await Promise.all(this.#coming.values());
    this.#endAll();
    await Promise.all(this.#leaving.values());
    await this.#guard.close().catch(() => undefined);
  }

  *#inUse(): Generator<AnonymousInstance> {
    yield* this.#destinations.all();
    yield* this.#opening;
  }

  *#all(): Generator<AnonymousInstance> {
    yield* this.#inUse();
    yield* this.#leaving.keys();
  }

  #targetOf(name: string): AnonymousTarget | null {
    return anonymousTarget(name, this.#options.config.dns.suffix, this.#rules);
  }

  async #lookUp(name: string): Promise<AnonymousAnswer> {
    const target = this.#targetOf(name);
    if (target === null) return { rcode: RCODE.serverFailure, addresses: [] };
    if (!this.#isKnown(target.via ?? target.name)) return { rcode: target.via === null ? RCODE.nxDomain : RCODE.serverFailure, addresses: [] };
    const instance = await this.#instanceOf(target);
    // It may have taken seconds, and the rules be others.
    if (instance === null || keyOf(this.#targetOf(name)) !== targetKey(target)) return { rcode: RCODE.serverFailure, addresses: [] };
    this.#askedNames.set(instance, (this.#askedNames.get(instance) ?? new Set()).add(name));
    return await instance.lookUp();
  }

  /** Whether there may be such a host: for a typing error no instance is made. */
  #isKnown(name: string): boolean {
    return this.#options.book().lookup(name) !== undefined || this.#options.config.zones.some(({ suffix }) => name.endsWith(`.${suffix}`));
  }

  #instanceOf(target: AnonymousTarget): Promise<AnonymousInstance | null> {
    const key = targetKey(target);
    const found = this.#destinations.find(performance.now(), key);
    if (found !== undefined) return Promise.resolve(found);
    const coming = this.#coming.get(key) ?? this.#make(key, target).finally(() => this.#coming.delete(key));
    this.#coming.set(key, coming);
    return coming;
  }

  /** Null: it cannot be made, or there is no room. */
  async #make(key: string, target: AnonymousTarget): Promise<AnonymousInstance | null> {
    const nowMs = performance.now();
    const room = this.#destinations.room(nowMs, this.#opening.size, this.#isLive(nowMs));
    if (room === "full" || !this.#made.take(nowMs)) {
      this.counters.full += 1;
      return this.#warn({ why: "all places are in use", remedy: "Raise <anonymous max>, or wait: what is unused for a minute, and has no connection open, makes room." });
    }
    if (room !== "free") this.#end(room.ends);
    const { io, config, mark, book, servers, log } = this.#options;
    const range = this.#parts.take((part) => this.#isReal(part));
    if (range === null) {
      this.counters.full += 1;
      return this.#warn({ why: "no part of <anonymous range> is free", remedy: "Those of names that have ended rest for five minutes, and those where this machine has routes are never used. Give it a wider range, or another one." });
    }
    const instance = new AnonymousInstance({ io, config, target, book: book(), servers, tunName: this.#freeTun(), mark, guard: this.#guard, range, log: untelling(log), onFailure: (broken) => this.#end(broken) });
    this.#opening.add(instance);
    try {
      await this.#guard.open();
      await this.#guard.check();
      await instance.open();
      this.counters.made += 1;
      this.#targets.set(instance, target);
      this.#destinations.add(performance.now(), key, instance);
      return instance;
    } catch (error) {
      this.counters.failed += 1;
      // One whose engine broke while it opened has ended: its part rests.
      if (!this.#leaving.has(instance) && !this.#resting.some(({ part }) => part === range)) this.#parts.give(range);
      // Messages of the system may name what was being made; its kind does not.
      return this.#warn({ error: error instanceof I3Error ? error.code : error instanceof Error ? error.message.split(/[:"]/)[0] : "", remedy: "Names with go=\"anonymous\" fail until it can be made. Does a server of <servers> answer over UDP?" });
    } finally {
      this.#opening.delete(instance);
    }
  }

  /** Sockets are looked at once for many names at once. */
  #isLive(nowMs: number): (instance: AnonymousInstance) => boolean {
    return ({ own4 }) => {
      if (nowMs - this.#live.atMs >= LOOK_MS) this.#live = { atMs: nowMs, addresses: liveAddresses() };
      return own4 !== null && this.#live.addresses.has(bytesKey(own4));
    };
  }

  #warn(fields: Readonly<Record<string, unknown>>): null {
    if (this.#lines.take(performance.now())) this.#options.log("warn", "anonymous-failed", fields);
    return null;
  }

  #freeTun(): string {
    const taken = new Set(Array.from(this.#all(), ({ tunName }) => tunName));
    for (let i = 0; ; i += 1) if (!taken.has(`${this.#tuns}${i}`)) return `${this.#tuns}${i}`;
  }

  #look(): void {
    const nowMs = performance.now();
    for (const instance of this.#destinations.takeIdle(nowMs, (one) => one.lastUseMs())) this.#end(instance);
    const over = this.#resting.filter(({ untilMs }) => untilMs <= nowMs);
    this.#resting = this.#resting.filter(({ untilMs }) => untilMs > nowMs);
    for (const one of over) this.#forget(one);
    if (this.#hasRules() || this.#destinations.size > 0) void this.#guard.check().catch(() => this.#endAll());
  }

  #endAll(): void {
    for (const instance of [...this.#destinations.all()]) this.#end(instance);
  }

  #end(instance: AnonymousInstance): void {
    this.#destinations.remove(instance);
    if (this.#leaving.has(instance)) return;
    this.counters.ended += 1;
    this.#leaving.set(instance, instance.leave().finally(() => {
      this.#leaving.delete(instance);
      this.#resting.push({ addresses: instance.addresses(), part: instance.range, untilMs: performance.now() + REST_MS });
    }));
  }

  /** As many rest as there are parts, at most. */
  #forget({ addresses, part }: Resting): void {
    for (const address of addresses) this.#guard.remove(address);
    this.#parts.give(part);
  }
}

const keyOf = (target: AnonymousTarget | null): string | null => (target === null ? null : targetKey(target));

