/** What becomes of HIP packets (docs/datapath.md, "HIP"). */
import { IP_PROTOCOL, LIMITS, type DropReason, type HipResponder } from "../datapath.js";
import { COPY_BUDGET, dataHeaderBytes, DATA_OFFSET, HOP_LIMIT, ID_BYTES, NONCE_BYTES, PAYLOAD_KIND } from "../wire/data-header.js";
import { DATA_FIRST_BYTE } from "../wire/first-byte.js";
import { HIP_OFFSET, hipType, HIT_BYTES } from "@i3/common";
import { HIP_MARK_BYTES, HIP_TYPE, isHitAt, MAX_I1_PARAMETERS, MAX_I2_PARAMETERS, namesGroup, parametersOf, type HipParameters } from "../wire/hip.js";
import type { Arrival } from "./arrival.js";
import { fold, sumWords } from "./checksum.js";
import { decodeRoute, PORT_OFFSET, VIA, WAY_OFFSET } from "./endpoints.js";
import { PreparedResponder } from "./hip-responder.js";
import { ringKeyAt } from "./keys.js";
import { copyBytes, equalAt, u8 } from "./octets.js";
import { AnswerLimit, SecondLimit, SourceRates } from "./rate-limits.js";
import { sourceKeyAt } from "./source-shares.js";
import type { EngineState } from "./state.js";
import { ADDRESS_SLOT_BYTES, WAY_SLOT_BYTES } from "./step.js";

const MARK = new Uint8Array(HIP_MARK_BYTES);
const NO_HIT = new Uint8Array(HIT_BYTES);

export class HipRules {
  readonly #state: EngineState;
  readonly #sources = new SourceRates(LIMITS.r1PerSourcePerSecond, LIMITS.r1PerSourceBurst, LIMITS.sharedBuckets);
  readonly #all = new AnswerLimit();
  readonly #i1s = new SecondLimit(LIMITS.hipI1sPerSecond);
  readonly #i2s = new SecondLimit(LIMITS.hipI2sPerSecond);
  readonly #others = new SecondLimit(LIMITS.hipOthersPerSecond);
  #responder: PreparedResponder | null = null;

  constructor(state: EngineState) {
    this.#state = state;
  }

  /** Throws RangeError. */
  set(responder: HipResponder | null): void {
    const made = responder === null ? null : new PreparedResponder(responder);
    this.#responder?.wipe();
    this.#responder = made;
  }

  /** A datagram whose first byte is 0, or what stood in IP with HIP's protocol number. */
  straight(arrival: Arrival): void {
    const { counters } = this.#state;
    const { bytes, at, length, origins, originAt, ways, wayAt } = arrival;
    if (this.#responder === null) return counters.drop("hip");
    const isBare = u8(ways, wayAt) === VIA.ip;
    const markBytes = isBare ? 0 : HIP_MARK_BYTES;
    const [hipAt, hipBytes] = [at + markBytes, length - markBytes];
    const type = length < markBytes || !equalAt(bytes, at, MARK.subarray(0, markBytes)) ? -1 : hipType(bytes, hipAt, hipBytes);
    if (type < 0 || (isBare && !isSummedRight(arrival))) return counters.drop("malformed");
    if (type === HIP_TYPE.i1) return this.#straightI1(this.#responder, arrival, hipAt, hipBytes);
    if (type !== HIP_TYPE.i2) {
      if (!equalAt(bytes, hipAt + HIP_OFFSET.receiverHit, this.#responder.hit)) return counters.drop("hip");
      return this.#goUp(arrival, hipAt, hipBytes, "control", this.#others);
    }
    const parameters = parametersOf(bytes, hipAt, hipBytes, MAX_I2_PARAMETERS);
    const reason = unpaid(this.#responder, bytes, hipAt, parameters, origins.subarray(originAt, originAt + PORT_OFFSET));
    if (reason !== null) return counters.drop(reason);
    this.#goUp(arrival, hipAt, hipBytes, "i2", this.#i2s);
  }

  #goUp({ bytes, origins, originAt, ways, wayAt }: Arrival, hipAt: number, hipBytes: number, what: "control" | "i2", limit: SecondLimit): void {
    const { counters, upcalls, nowMs, knownSources } = this.#state;
    if (!upcalls.allowSource(what, nowMs, origins, originAt)) return;
    const isKnown = what === "control" && knownSources.has(origins, originAt);
    if (!isKnown && !limit.allow(nowMs)) return counters.drop("rate");
    upcalls.push({ kind: "hip", from: decodeRoute(origins, originAt, ways, wayAt), bytes: copyBytes(bytes, hipAt, hipAt + hipBytes) });
  }

  #straightI1(responder: PreparedResponder, arrival: Arrival, hipAt: number, hipBytes: number): void {
    const { bytes, origins, originAt } = arrival;
    const parameters = parametersOf(bytes, hipAt, hipBytes, MAX_I1_PARAMETERS);
    const reason = refusal(responder, bytes, hipAt, parameters, false) ?? (this.#sources.allow(this.#state.nowMs, sourceKeyAt(origins, originAt)) ? null : "rate");
    if (reason !== null || parameters === null) return this.#count(reason);
    if (namesGroup(bytes, parameters, responder.group)) this.#count(this.#answerStraight(responder, arrival, hipAt));
    else this.#goUp(arrival, hipAt, hipBytes, "control", this.#i1s);
  }

  /** A HIP packet behind a data header for an id whose payloads go up. False: this one does too. */
  behindHeader({ bytes, at, length }: Arrival, hipAt: number): boolean {
    const responder = this.#responder;
    if (responder === null) return false;
    const hipBytes = at + length - hipAt;
    const type = hipType(bytes, hipAt, hipBytes);
    if (type === HIP_TYPE.i2) return this.#unpaidBehindHeader(responder, bytes, hipAt, hipBytes);
    if (type >= 0 && type !== HIP_TYPE.i1) return false;
    const parameters = type < 0 ? null : parametersOf(bytes, hipAt, hipBytes, MAX_I1_PARAMETERS);
    const reason = type < 0 ? "malformed" : refusal(responder, bytes, hipAt, parameters, responder.isOpen(bytes, at + DATA_OFFSET.ids));
    if (reason !== null || parameters === null || parameters.returnIdAt === 0) this.#count(reason ?? "malformed");
    // Whoever has the id need not be who sent the I1: then it must not get more than the sender spent. Other groups' R1s are no shorter.
    else if (responder.r1.length > hipBytes) this.#count("amplification");
    else if (namesGroup(bytes, parameters, responder.group)) this.#count(this.#answerBehindHeader(responder, bytes, hipAt, parameters.returnIdAt));
    else if (this.#i1s.allow(this.#state.nowMs)) return false;
    else this.#count("rate");
    return true;
  }

  #unpaidBehindHeader(responder: PreparedResponder, bytes: Buffer, hipAt: number, hipBytes: number): boolean {
    const parameters = parametersOf(bytes, hipAt, hipBytes, MAX_I2_PARAMETERS);
    const idAt = parameters?.returnIdAt ?? 0;
    const reason = idAt === 0 ? "malformed" : unpaid(responder, bytes, hipAt, parameters, bytes.subarray(idAt, idAt + ID_BYTES));
    if (reason !== null) this.#state.counters.drop(reason);
    return reason !== null;
  }

  #count(reason: DropReason | null): void {
    if (reason === null) this.#state.counters.hipAnswered++;
    else this.#state.counters.drop(reason);
  }

  /** Returns why there is no answer, or null. */
  #answerStraight(responder: PreparedResponder, { bytes, at: start, origins, originAt, ways, wayAt }: Arrival, hipAt: number): DropReason | null {
    const { udpOut, nowMs } = this.#state;
    if (!this.#all.allow(nowMs, askerOf(bytes, hipAt, origins, originAt))) return "rate";
    const markBytes = hipAt - start;
    const route = Buffer.concat([origins.subarray(originAt, originAt + ADDRESS_SLOT_BYTES), ways.subarray(wayAt, wayAt + WAY_SLOT_BYTES)]);
    const full = udpOut.reserve(markBytes + responder.r1.length, route, 0);
    if (full !== null) return full;
    const { buffer, at } = udpOut;
    const hitAt = hipAt + HIP_OFFSET.senderHit;
    buffer.fill(0, at, at + markBytes);
    responder.write(buffer, at + markBytes, bytes, hitAt, responder.random(bytes, hitAt, origins.subarray(originAt, originAt + PORT_OFFSET)));
    return null;
  }

  #answerBehindHeader(responder: PreparedResponder, bytes: Buffer, hipAt: number, idAt: number): DropReason | null {
    const { udpOut, nowMs, nextServers } = this.#state;
    const endpoint = nextServers.lookup(ringKeyAt(bytes, idAt));
    if (endpoint === null) return "no-route";
    if (!this.#all.allow(nowMs, askerOf(bytes, hipAt, bytes, idAt))) return "rate";
    const headerBytes = dataHeaderBytes(1);
    const full = udpOut.reserve(headerBytes + responder.r1.length, endpoint, 0);
    if (full !== null) return full;
    const { buffer, at } = udpOut;
    const hitAt = hipAt + HIP_OFFSET.senderHit;
    const random = responder.random(bytes, hitAt, bytes.subarray(idAt, idAt + ID_BYTES));
    buffer.set([DATA_FIRST_BYTE, 0, HOP_LIMIT, COPY_BUDGET, 1, PAYLOAD_KIND.hip, 0, 0], at);
    random.copy(buffer, at + DATA_OFFSET.nonce, 0, NONCE_BYTES);
    bytes.copy(buffer, at + DATA_OFFSET.ids, idAt, idAt + ID_BYTES);
    responder.write(buffer, at + headerBytes, bytes, hitAt, random);
    return null;
  }
}

/** An initiator, and the first half of its return id or its address. */
const askerOf = (bytes: Buffer, hipAt: number, path: Buffer, pathAt: number): string =>
  bytes.toString("latin1", hipAt + HIP_OFFSET.senderHit, hipAt + HIP_OFFSET.senderHit + HIT_BYTES) + path.toString("latin1", pathAt, pathAt + PORT_OFFSET);

/** Why an I1 with a well-formed header is not answered, wherever it came from, or null: then it has parameters. `isOpen`: to no HIT will do. */
function refusal({ hit }: PreparedResponder, bytes: Buffer, hipAt: number, parameters: HipParameters | null, isOpen: boolean): DropReason | null {
  if (parameters === null || parameters.groupsAt === 0 || !isHitAt(bytes, hipAt + HIP_OFFSET.senderHit)) return "malformed";
  const receiverAt = hipAt + HIP_OFFSET.receiverHit;
  return equalAt(bytes, receiverAt, hit) || (isOpen && equalAt(bytes, receiverAt, NO_HIT)) ? null : "hip";
}

/** Why an I2 with a well-formed header is not for JavaScript, or null. Cheapest first: form, whose it is, then at most two hashes. */
function unpaid(responder: PreparedResponder, bytes: Buffer, hipAt: number, parameters: HipParameters | null, path: Buffer): DropReason | null {
  const hitAt = hipAt + HIP_OFFSET.senderHit;
  if (parameters === null || parameters.solutionAt === 0 || parameters.solutionBytes !== responder.solutionBytes || !isHitAt(bytes, hitAt)) return "malformed";
  if (!equalAt(bytes, hipAt + HIP_OFFSET.receiverHit, responder.hit)) return "hip";
  return responder.isSolved(bytes, parameters.solutionAt, hitAt, path) ? null : "puzzle";
}

/** RFC 7401 §5.1.1: the pseudo-header of either family adds up to the words of both addresses, the protocol and the length. */
function isSummedRight({ bytes, at, length, origins, originAt, ways, wayAt }: Arrival): boolean {
  const addresses = Buffer.concat([origins.subarray(originAt, originAt + PORT_OFFSET), ways.subarray(wayAt + WAY_OFFSET.local, wayAt + WAY_OFFSET.interfaceIndex)]);
  // Each mapped address has one word of ones, which is a zero in this arithmetic.
  return fold(sumWords(addresses, 0, addresses.length) + IP_PROTOCOL.hip + length + sumWords(bytes, at, at + length)) === 0xffff;
}
