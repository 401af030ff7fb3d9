/**
 * What passes between servers, each pair with a key of its own (docs/wire.md §4.2): no I/O, no clock. Messages go in by send and
 * leave as datagrams; datagrams go in by receive, which returns the message when it is a member's and new.
 * Call start once, then handleTimer at deadlineMs.
 */
import type { KeyObject } from "node:crypto";

import {
  encodeControl, locatorKey, locatorText, remember, sameBytes, TokenBucket, WireError, type ControlMessage, type ControlType, type DecodedControl, type Locator, type Log, type RingNode,
} from "@i3/common";

import type { RingMessage } from "../chord/chord.js";
import type { CounterName, ServerCounters } from "../counters.js";
import { SourceRate, sourceOf } from "../triggers/source-rate.js";
import { Calls, type Call, type CallPurpose } from "./calls.js";
import {
  EPOCH_UNIT_MS, EPOCHS_PER_UNIT, HELLO_YES_PER_SECOND, HELLOS_PER_SECOND, HELLOS_PER_SOURCE_PER_SECOND, LOCATOR_MS, MAX_LOCATORS, MAX_SENT, MAX_SESSIONS, OUTDONE_TIMES, STRANGERS_PER_SECOND,
} from "./constants.js";
import { readCredential, type Credential, type RingMembership } from "./credential.js";
import { privateKeyOf } from "./raw-keys.js";
import { RefusalLog } from "./refusal-log.js";
import { credentialChecks, isMacRight, sealRingMessage, trailerOf, type CredentialChecks, type Direction, type RingMac } from "./ring-message.js";
import { SentMessages } from "./sent-messages.js";
import { makeSession, renewPeer, Sessions, type Session } from "./sessions.js";

export interface ChannelInit {
  readonly membership: RingMembership;
  /** `length` unpredictable bytes. */
  readonly random: (length: number) => Uint8Array;
  /** What the clock on the wall shows at `nowMs`, whole ms since 1970. */
  readonly wallMs: (nowMs: number) => number;
  readonly counters: ServerCounters;
  readonly log: Log;
  readonly transmit: (to: Locator, bytes: Uint8Array) => void;
  /** @default MAX_SESSIONS */
  readonly maxSessions?: number;
  /** @default HMAC-SHA-256-128 of docs/wire.md §4.2 */
  readonly mac?: RingMac | undefined;
  /** @default credentialChecks */
  readonly credentials?: CredentialChecks | undefined;
}

/** They wait for nobody: to who has just asked there is a session, and an asker of ROUTE has shown his credential. Never are they larger than what they answer. */
const ANSWERS: ReadonlySet<ControlType> = new Set(["FOUND", "STATE_IS", "ALIVE_YES", "ROUTED"]);

/** For what the receiver of a message is called. FIND goes to whom a FOUND has named, ROUTED to whom a ROUTE names as its asker. */
const purposeOf = ({ type }: ControlMessage, toKey: Uint8Array | null): CallPurpose => (type === "ROUTED" || (type === "FIND" && toKey !== null) ? "lookup" : "own");

type Routed = Extract<ControlMessage, { type: "ROUTED" }>;

/** Receiver's epoch of a ROUTED to who has no session with its sender: of no run. */
const NO_EPOCH = 0;

/** Counter of the HELLO_YES that nobody has asked for: of one with our credential, who knows that we have it. */
const DOUBLE_TOO = 1;

export class Channel {
  readonly #init: ChannelInit;
  readonly #credentials: CredentialChecks;
  readonly #own: Credential;
  readonly #ownKey: KeyObject;
  readonly #sessions: Sessions;
  readonly #calls = new Calls();
  readonly #sent = new SentMessages(MAX_SENT);
  /** Who answered at a locator, and until when that is believed. */
  readonly #atLocator = new Map<string, { readonly key: Uint8Array; readonly endMs: number }>();
  readonly #hellosOfSource = new SourceRate(HELLOS_PER_SOURCE_PER_SECOND);
  readonly #hellos = new TokenBucket(HELLOS_PER_SECOND, HELLOS_PER_SECOND);
  readonly #checks = new TokenBucket(HELLO_YES_PER_SECOND, HELLO_YES_PER_SECOND);
  readonly #strangers = new TokenBucket(STRANGERS_PER_SECOND, STRANGERS_PER_SECOND);
  readonly #refusals: RefusalLog;
  /** Of new sessions. Each session that goes makes it larger, so that nothing that was said in it is taken again. */
  #epoch = 0;
  #isClosed = false;
  #saidDouble = false;
  #saidEnded = false;

  constructor(init: ChannelInit) {
    this.#init = init;
    this.#credentials = init.credentials ?? credentialChecks;
    this.#own = init.membership.credential;
    this.#ownKey = privateKeyOf("x25519", init.membership.privateKey);
    this.#sessions = new Sessions(init.maxSessions ?? MAX_SESSIONS);
    this.#refusals = new RefusalLog(init.log);
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  start(nowMs: number): void {
    const [high = 0, low = 0] = this.#init.random(2);
    this.#epoch = (Math.max(0, Math.floor(this.#init.wallMs(nowMs) / EPOCH_UNIT_MS)) + 1) * EPOCHS_PER_UNIT + high * 256 + low;
  }

  /**
   * Sends a message, or keeps it until its receiver has answered a HELLO.
   * @param toKey node key of the receiver, 16 bytes; null: whoever is at `to`
   * @param maxBytes the longest an answer may be; others may be as long as they are
   * @param shown the receiver's credential as the question has shown it that this answers
   */
  send(nowMs: number, to: Locator, toKey: Uint8Array | null, nonce: Uint8Array, message: ControlMessage, maxBytes: number, shown: Uint8Array | null = null): void {
    const isAnswer = ANSWERS.has(message.type);
    const there = toKey ?? this.#whoIsAt(nowMs, to);
    const session = there === null ? undefined : this.#sessions.use(there);
    if (session !== undefined && !this.#hasEnded(nowMs, session)) return this.#seal(session, to, toKey, nonce, message, isAnswer ? maxBytes : Infinity);
    if (message.type === "ROUTED" && shown !== null && toKey !== null) return this.#answerStranger(nowMs, to, toKey, nonce, message, maxBytes, shown);
    if (isAnswer) return this.#count("session");
    const call = this.#call(nowMs, to, toKey, purposeOf(message, toKey));
    if (call !== null && !this.#calls.wait(call, { nonce, message })) this.#count("waiting-dropped");
  }

  /** The sessions with these nodes stay, and are begun where there are none, so that nothing has to wait when one of them is needed. */
  setNeighbours(nowMs: number, nodes: readonly RingNode[]): void {
    this.#sessions.keep(nodes.map(({ key }) => key));
    for (const { key, locator } of nodes) if (this.#sessions.use(key) === undefined) this.#call(nowMs, locator, key, "own");
  }

  /** A datagram of `bytes` bytes. Null when it is for the channel itself, or good for nothing. */
  receive(nowMs: number, from: Locator, bytes: number, decoded: DecodedControl): RingMessage | null {
    if (this.#isClosed) return null;
    const { message } = decoded;
    switch (message.type) {
      case "HELLO": this.#handleHello(nowMs, from, bytes, decoded.nonce, message.credential); return null;
      case "HELLO_YES": this.#handleYes(nowMs, from, decoded, message.credential); return null;
      case "HELLO_AGAIN": this.#handleAgain(nowMs, decoded.nonce, message.counter); return null;
      default: return this.#open(nowMs, from, bytes, decoded, message as RingMessage) ? (message as RingMessage) : null;
    }
  }

  handleTimer(nowMs: number): void {
    const { again, failed } = this.#calls.due(nowMs);
    for (const { waiting } of failed) for (const _message of waiting) this.#count("waiting-dropped");
    for (const call of again) this.#sayHello(nowMs, call);
  }

  /** Next call of handleTimer, ms. */
  deadlineMs(): number {
    return this.#calls.deadlineMs();
  }

  /** Wipes all keys, and says nothing any more. */
  close(): void {
    this.#isClosed = true;
    this.#sessions.clear();
  }

  // --- messages ----------------------------------------------------------------------------------------------------

  #whoIsAt(nowMs: number, locator: Locator): Uint8Array | null {
    const entry = this.#atLocator.get(locatorKey(locator));
    return entry === undefined || entry.endMs <= nowMs ? null : entry.key;
  }

  #seal(session: Session, to: Locator, toKey: Uint8Array | null, nonce: Uint8Array, message: ControlMessage, maxBytes = Infinity): void {
    session.counter += 1;
    const trailer = { senderEpoch: session.ownEpoch, receiverEpoch: session.peerEpoch, counter: session.counter };
    const bytes = sealRingMessage(message, nonce, this.#towards(session), trailer, this.#init.mac);
    if (bytes.length > maxBytes) return this.#count("amplification");
    this.#sent.add({ nonce, counter: session.counter, to, toKey, purpose: purposeOf(message, toKey), session });
    this.#init.transmit(to, bytes);
  }

  /** Whether a message is of whom it names, for us as we are now, and seen for the first time. */
  #open(nowMs: number, from: Locator, bytes: number, decoded: DecodedControl, message: RingMessage): boolean {
    const trailer = trailerOf(decoded);
    if (trailer === null) return this.#drop("mac");
    if (message.type === "ROUTED" && message.credential !== null) return trailer.receiverEpoch === NO_EPOCH ? this.#openStranger(nowMs, decoded, message, message.credential) : this.#drop("epoch");
    const session = this.#sessions.peek(message.from.key);
    if (session === undefined) {
      // Nobody shares a key with himself; all others can say who they are.
      if (!sameBytes(message.from.key, this.#own.nodeKey)) this.#sayAgain(from, bytes, decoded.nonce, trailer.counter);
      return this.#drop("session");
    }
    if (!isMacRight(decoded, this.#fromPeer(session), this.#init.mac)) return this.#drop("mac");
    if (this.#hasEnded(nowMs, session)) return this.#drop("credential-ended");
    if (trailer.receiverEpoch !== session.ownEpoch) {
      // Of a start of ours that the clock now puts later: what is to come is later still.
      if (trailer.receiverEpoch > session.ownEpoch) this.#raise(session, trailer.receiverEpoch);
      this.#sayAgain(from, bytes, decoded.nonce, trailer.counter);
      return this.#drop("epoch");
    }
    if (trailer.senderEpoch < session.peerEpoch) {
      // Recorded, or from one who has to begin a later epoch and does not know yet.
      this.#sayAgain(from, bytes, decoded.nonce, trailer.counter);
      return this.#drop("epoch");
    }
    if (trailer.senderEpoch > session.peerEpoch) renewPeer(nowMs, session, trailer.senderEpoch);
    if (!session.window.take(trailer.counter)) return this.#drop("replay");
    if (!this.#sessions.touch(session)) this.#prove(session);
    return true;
  }

  // --- answers to who was never met ------------------------------------------------------------------------------

  /** The session with whoever has shown this credential in a lookup, or in its answer; null, and counted, when he has none that is good. */
  #strangerOf(nowMs: number, shown: Uint8Array, nodeKey: Uint8Array): Session | null {
    const credential = this.#read(shown);
    if (credential === null || !sameBytes(credential.nodeKey, nodeKey) || !sameBytes(credential.authority, this.#own.authority)) return this.#none("credential");
    if (credential.endMs <= this.#init.wallMs(nowMs)) return this.#none("credential-ended");
    return this.#sessionFor(credential, () => this.#strangers.take(nowMs));
  }

  /** Shows our own credential, and names no epoch: it is new by the asker's nonce alone. */
  #answerStranger(nowMs: number, to: Locator, toKey: Uint8Array, nonce: Uint8Array, message: Routed, maxBytes: number, shown: Uint8Array): void {
    const session = this.#strangerOf(nowMs, shown, toKey);
    if (session === null) return;
    session.counter += 1;
    const trailer = { senderEpoch: session.ownEpoch, receiverEpoch: NO_EPOCH, counter: session.counter };
    const bytes = sealRingMessage({ ...message, credential: this.#own.bytes }, nonce, this.#towards(session), trailer, this.#init.mac);
    if (bytes.length > maxBytes) return this.#count("amplification");
    this.#init.transmit(to, bytes);
  }

  /** New by the nonce, which we made, and which is good once. */
  #openStranger(nowMs: number, decoded: DecodedControl, { from }: RingMessage, shown: Uint8Array): boolean {
    if (!this.#sent.has(decoded.nonce)) return this.#drop("session");
    const session = this.#strangerOf(nowMs, shown, from.key);
    if (session === null) return false;
    if (!isMacRight(decoded, this.#fromPeer(session), this.#init.mac)) return this.#drop("mac");
    this.#sent.forgetNonce(decoded.nonce);
    return true;
  }

  // --- HELLO -------------------------------------------------------------------------------------------------------

  /** The call of a server, begun when there is none; null, and counted, when too many run. */
  #call(nowMs: number, to: Locator, toKey: Uint8Array | null, purpose: CallPurpose): Call | null {
    const running = this.#calls.of(to, toKey);
    if (running !== undefined) {
      this.#calls.raise(nowMs, running, purpose);
      return running;
    }
    const call = this.#calls.begin(nowMs, to, toKey, this.#init.random(8), purpose);
    if (call === null) return this.#none("calls-refused");
    this.#sayHello(nowMs, call);
    return call;
  }

  #sayHello(nowMs: number, call: Call): void {
    if (this.#own.endMs <= this.#init.wallMs(nowMs) && !this.#saidEnded) {
      this.#saidEnded = true;
      this.#init.log("error", "own-credential-ended", { message: "this server's credential has ended, so the ring does without it", remedy: "Get another one with: i3-server ring admit, name it in <ring>, and start again." });
    }
    this.#init.transmit(call.to, (call.hello ??= encodeControl({ type: "HELLO", credential: this.#own.bytes }, call.nonce)));
  }

  /** Changes no session: whose credential it is shows only in what comes after it. */
  #handleHello(nowMs: number, from: Locator, bytes: number, nonce: Uint8Array, shown: Uint8Array): void {
    if (this.#calls.byNonce(nonce) !== undefined) return; // ours, come back: a member's address is our own
    const credential = this.#read(shown);
    if (credential === null) return this.#count("credential");
    if (sameBytes(credential.nodeKey, this.#own.nodeKey)) return this.#answerDouble(nowMs, from, bytes, nonce, credential);
    if (this.#isRefused(nowMs, from, credential)) return;
    const session = this.#sessionFor(credential, () => this.#hellosOfSource.allow(nowMs, sourceOf(from)) && this.#hellos.take(nowMs));
    if (session !== null) this.#sayYes(from, bytes, nonce, session);
  }

  /** The session with who shows this credential, a half-open one when it is new; null, and counted, when it is not good, or `mayCheck` says that too many are looked at. */
  #sessionFor(credential: Credential, mayCheck: () => boolean): Session | null {
    const known = this.#sessions.peek(credential.nodeKey);
    if (known !== undefined && sameBytes(known.credential.bytes, credential.bytes)) return known;
    if (!mayCheck()) return this.#none("hello-rate");
    if (!this.#credentials.isSigned(credential)) return this.#none("credential");
    if (known !== undefined) return known; // another end, the same keys
    const session = this.#newSession(credential);
    if (session === null) return this.#none("credential");
    this.#sessions.addHalfOpen(session);
    return session;
  }

  #sayYes(to: Locator, requestBytes: number, nonce: Uint8Array, session: Session): void {
    const answer = { type: "HELLO_YES", credential: this.#own.bytes } as const;
    const bytes = sealRingMessage(answer, nonce, this.#towards(session), { senderEpoch: session.ownEpoch, receiverEpoch: session.peerEpoch, counter: 0 }, this.#init.mac);
    if (bytes.length > requestBytes) return this.#count("amplification");
    this.#init.transmit(to, bytes);
  }

  #handleYes(nowMs: number, from: Locator, decoded: DecodedControl, shown: Uint8Array): void {
    const call = this.#calls.byNonce(decoded.nonce);
    const trailer = trailerOf(decoded);
    if (trailer === null || (call === undefined && trailer.counter !== DOUBLE_TOO)) return this.#count("hello-unasked");
    const credential = this.#read(shown);
    if (credential === null) return this.#count("credential");
    if (sameBytes(credential.nodeKey, this.#own.nodeKey)) return this.#meetDouble(nowMs, from, decoded, call, credential);
    if (call === undefined) return this.#count("hello-unasked");
    if (this.#isRefused(nowMs, from, credential)) return;
    const known = this.#sessions.peek(credential.nodeKey);
    const session = known !== undefined && sameBytes(known.credential.bytes, shown) ? known : this.#checked(nowMs, call, credential, known);
    if (session === null) return;
    if (!isMacRight(decoded, this.#fromPeer(session), this.#init.mac)) {
      if (session !== known) session.pairKey.fill(0);
      return this.#count("mac");
    }
    this.#learn(nowMs, session, call, trailer.senderEpoch, trailer.receiverEpoch);
    this.#calls.end(call);
    this.#prove(session);
    if (call.toKey === null) remember(this.#atLocator, locatorKey(call.to), { key: credential.nodeKey, endMs: nowMs + LOCATOR_MS }, MAX_LOCATORS);
    else if (!sameBytes(call.toKey, credential.nodeKey)) return this.#count("waiting-dropped", call.waiting.length); // somebody else is there now
    for (const { nonce, message } of call.waiting) this.#seal(session, call.to, call.toKey, nonce, message);
  }

  /** The session of a credential that was not seen before; null, and counted, when it is not good. */
  #checked(nowMs: number, call: Call, credential: Credential, known: Session | undefined): Session | null {
    call.checksLeft -= 1;
    if (call.checksLeft < 0 || !this.#checks.take(nowMs)) return this.#none("hello-rate");
    if (!this.#credentials.isSigned(credential)) return this.#none("credential");
    return known ?? this.#newSession(credential) ?? this.#none("credential");
  }

  /**
   * What a HELLO_YES says, which is new, for it has our nonce: the peer's epoch, and the newest of ours that it knows (0: none). An epoch of ours that is
   * not later than that was made with a clock that had been set back.
   */
  #learn(nowMs: number, session: Session, call: Call, epoch: number, knownOfOurs: number): void {
    const isProven = this.#sessions.isProven(session);
    const { ownEpoch } = session;
    if (isProven ? knownOfOurs > session.ownEpoch : knownOfOurs >= session.ownEpoch) this.#raise(session, knownOfOurs);
    // Since it knows us it has heard somebody else who is us, later: what was on its way when we started is heard once.
    if (isProven && knownOfOurs > ownEpoch && (session.outdone += 1) >= OUTDONE_TIMES) this.#logDouble({ heardBy: locatorText(call.to) });
    if (epoch > session.peerEpoch) renewPeer(nowMs, session, epoch);
    // It has forgotten us within one epoch, so it has to begin a later one: it does when we ask for it. (Of two calls at once the second is answered before it has heard of us.)
    else if (isProven && epoch === session.peerEpoch && knownOfOurs === 0 && call.beganMs > session.peerSinceMs) session.peerEpoch += 1;
  }

  /** Who could not take a message says so. Anybody can: then there is a HELLO now and then, and nothing else. */
  #handleAgain(nowMs: number, nonce: Uint8Array, counter: number): void {
    const sent = this.#sent.take(nonce, counter); // one is enough, and a recorded one is none
    if (sent === null || !sent.session.callsAgain.take(nowMs)) return this.#count("hello-unasked");
    this.#call(nowMs, sent.to, sent.toKey, sent.purpose);
  }

  #sayAgain(to: Locator, requestBytes: number, nonce: Uint8Array, counter: number): void {
    const bytes = encodeControl({ type: "HELLO_AGAIN", counter }, nonce);
    if (bytes.length <= requestBytes) this.#init.transmit(to, bytes);
  }

  // --- another server with our credential --------------------------------------------------------------------------

  /** It, or somebody who recorded a HELLO of ours: who can read the answer has our key, and says so in its log. */
  #answerDouble(nowMs: number, from: Locator, bytes: number, nonce: Uint8Array, credential: Credential): void {
    if (!this.#hellosOfSource.allow(nowMs, sourceOf(from)) || !this.#hellos.take(nowMs)) return this.#count("hello-rate");
    const session = sameBytes(credential.bytes, this.#own.bytes) ? this.#newSession(credential) : null;
    if (session === null) return this.#count("credential");
    this.#sayYes(from, bytes, nonce, session);
    session.pairKey.fill(0);
  }

  /** It answers a HELLO of ours, and is told that we are one too: with counter 1, and our epoch that it had from us, so that nobody can play that back to it. Or it tells us so. */
  #meetDouble(nowMs: number, from: Locator, decoded: DecodedControl, call: Call | undefined, credential: Credential): void {
    if (!sameBytes(credential.bytes, this.#own.bytes) || (call !== undefined && (call.checksLeft -= 1) < 0)) return this.#count("credential");
    if (call === undefined && (!this.#hellosOfSource.allow(nowMs, sourceOf(from)) || !this.#hellos.take(nowMs))) return this.#count("hello-rate");
    const session = this.#newSession(credential);
    const trailer = trailerOf(decoded);
    const isReal = session !== null && trailer !== null && isMacRight(decoded, this.#fromPeer(session), this.#init.mac) && (call !== undefined || trailer.receiverEpoch === session.ownEpoch);
    if (isReal && call !== undefined) this.#sayDoubleToo(from, decoded.nonce, session, trailer.senderEpoch);
    session?.pairKey.fill(0);
    if (!isReal) return this.#count("mac");
    if (call !== undefined) this.#calls.end(call);
    this.#logDouble({ from: locatorText(from) });
  }

  #sayDoubleToo(to: Locator, nonce: Uint8Array, session: Session, receiverEpoch: number): void {
    const message = { type: "HELLO_YES", credential: this.#own.bytes } as const;
    this.#init.transmit(to, sealRingMessage(message, nonce, this.#towards(session), { senderEpoch: session.ownEpoch, receiverEpoch, counter: DOUBLE_TOO }, this.#init.mac));
  }

  /** `where`: the other one's address, or that of a server that hears both. */
  #logDouble(where: { readonly from: string } | { readonly heardBy: string }): void {
    if (this.#saidDouble) return;
    this.#saidDouble = true;
    const remedy = "Stop the one that was set up last, admit it on its own with: i3-server ring admit, and start it again with what that makes. The other can stay as it is.";
    this.#init.log("error", "duplicate-key", { ...where, message: "another server has this server's credential, and the ring takes the two for one", remedy });
  }

  // --- sessions ----------------------------------------------------------------------------------------------------

  #newSession(credential: Credential): Session | null {
    const pairKey = this.#credentials.pairKeyOf(this.#ownKey, this.#own, credential);
    return pairKey === null ? null : makeSession(credential, pairKey, this.#epoch);
  }

  /** The peer has the key of its credential. */
  #prove(session: Session): void {
    const victim = this.#sessions.prove(session);
    if (victim === null) return;
    this.#count("sessions-dropped");
    this.#forget(victim);
  }

  #forget(session: Session): void {
    this.#sessions.remove(session);
    this.#epoch += 1;
    this.#sent.forget(session);
  }

  /**
   * Our epoch towards this peer is to be later than one that it knows, and none of another start of ours, which may have heard of the same one. Above the largest number there is none:
   * then this pair stays apart.
   */
  #raise(session: Session, known: number): void {
    const [high = 0, low = 0] = this.#init.random(2);
    const later = known + 1 + high * 256 + low;
    if (Number.isSafeInteger(later)) session.ownEpoch = later;
  }

  #hasEnded(nowMs: number, session: Session): boolean {
    if (session.credential.endMs > this.#init.wallMs(nowMs)) return false;
    this.#forget(session);
    return true;
  }

  #isRefused(nowMs: number, from: Locator, credential: Credential): boolean {
    const isForeign = !sameBytes(credential.authority, this.#own.authority);
    if (!isForeign && credential.endMs > this.#init.wallMs(nowMs)) return false;
    const refusal = isForeign ? "foreign-ring" : "credential-ended";
    this.#count(refusal);
    this.#refusals.say(nowMs, refusal, from, credential);
    return true;
  }

  #read(shown: Uint8Array): Credential | null {
    try {
      return readCredential(shown);
    } catch (error) {
      if (error instanceof WireError) return null;
      throw error;
    }
  }

  #towards({ pairKey, credential }: Session): Direction {
    return { pairKey, sender: this.#own.nodeKey, receiver: credential.nodeKey };
  }

  #fromPeer({ pairKey, credential }: Session): Direction {
    return { pairKey, sender: credential.nodeKey, receiver: this.#own.nodeKey };
  }

  #count(name: CounterName, times = 1): void {
    for (let i = 0; i < times; i += 1) this.#init.counters.count(name);
  }

  #drop(name: CounterName): false {
    this.#count(name);
    return false;
  }

  #none(name: CounterName): null {
    this.#count(name);
    return null;
  }
}
