/**
 * The plain set-up, security="none" (paper §4.3; docs/wire.md §6): INIT and CONFIRM.
 *
 *     0  type | 0 | length 2 (with these four bytes)
 *     4  body: MessagePack array; unknown elements behind the known ones are ignored
 *     length … : in INIT, one IP packet may follow
 */
import {
  BodyReader, concatBytes, decodeBody, encodeBody, KEY_KIND, publicId, sameBytes, u64Bytes, WireError, type BodyValue,
} from "@i3/common";
import { hitOf, signWithHost, verifyWithHost, type HostIdentity } from "@i3/hip";

const HEADER_BYTES = 4;
const TYPE_INIT = 1;
const TYPE_CONFIRM = 2;
const INIT_DOMAIN = new TextEncoder().encode("i3/1 init\0");
const CONFIRM_DOMAIN = new TextEncoder().encode("i3/1 confirm\0");

/** The virtual addresses of one side: its own, and those by which its programs know the other. */
export interface AddressPairs {
  /** 4 bytes. */
  readonly own4: Uint8Array;
  readonly peer4: Uint8Array;
  /** 16 bytes. */
  readonly own6: Uint8Array;
  readonly peer6: Uint8Array;
}

export interface InitFields extends AddressPairs {
  readonly calleeId: Uint8Array;
  readonly callerPrivateId: Uint8Array;
  /** The caller's clock in ms, strictly increasing. */
  readonly counter: number;
}

export interface ConfirmFields extends AddressPairs {
  readonly callerId: Uint8Array;
  readonly callerPrivateId: Uint8Array;
  readonly calleePrivateId: Uint8Array;
  /** That of the INIT. */
  readonly counter: number;
}

export interface Provable {
  /** HIT of whoever signed; null when nothing is proved. Costs an ECDSA verification at each call. */
  readonly prove: () => Uint8Array | null;
}

export type SetupMessage = ({ readonly type: "INIT" } & InitFields & Provable) | ({ readonly type: "CONFIRM" } & ConfirmFields & Provable);

const initElements = (f: InitFields): BodyValue[] => [f.calleeId, f.callerPrivateId, f.counter, f.own4, f.peer4, f.own6, f.peer6];
const confirmElements = (f: ConfirmFields): BodyValue[] =>
  [f.callerId, f.callerPrivateId, f.calleePrivateId, f.counter, f.own4, f.peer4, f.own6, f.peer6];

/** What is signed: every element behind its length, integers as 8 bytes. */
function signedBytes(domain: Uint8Array, elements: readonly BodyValue[]): Uint8Array {
  const parts: Uint8Array[] = [domain];
  for (const element of elements) {
    const bytes = element instanceof Uint8Array ? element : u64Bytes(element as number);
    parts.push(Uint8Array.of(bytes.length >> 8, bytes.length & 0xff), bytes);
  }
  return concatBytes(...parts);
}

function encode(type: number, domain: Uint8Array, identity: HostIdentity | null, fields: readonly BodyValue[]): Uint8Array {
  if (identity !== null && identity.algorithm !== "ecdsa-p256") throw new RangeError(`a set-up message signed with ${identity.algorithm}`);
  const elements: BodyValue[] = identity === null
    ? [KEY_KIND.none, new Uint8Array(0), ...fields]
    : [KEY_KIND.ecdsaP256, identity.point, ...fields];
  const signature = identity === null ? new Uint8Array(0) : signWithHost(identity, signedBytes(domain, elements));
  const body = encodeBody([...elements, signature]);
  const length = HEADER_BYTES + body.length;
  return concatBytes(Uint8Array.of(type, 0, length >> 8, length & 0xff), body);
}

/** An INIT; unsigned when `identity` is null. */
export const encodeInit = (fields: InitFields, identity: HostIdentity | null): Uint8Array =>
  encode(TYPE_INIT, INIT_DOMAIN, identity, initElements(fields));

export const encodeConfirm = (fields: ConfirmFields, identity: HostIdentity): Uint8Array =>
  encode(TYPE_CONFIRM, CONFIRM_DOMAIN, identity, confirmElements(fields));

/** The message and, without them, the bytes that follow it. Checks no signature. Throws WireError. */
export function splitSetup(payload: Uint8Array): { readonly message: Uint8Array; readonly rest: Uint8Array } {
  if (payload.length < HEADER_BYTES) throw new WireError("set-up", "truncated");
  const length = ((payload[2] ?? 0) << 8) | (payload[3] ?? 0);
  if (length < HEADER_BYTES || length > payload.length) throw new WireError("set-up", "length wrong");
  return { message: payload.subarray(0, length), rest: payload.subarray(length) };
}

const readAddresses = (r: BodyReader): AddressPairs => ({
  own4: r.bytes("own4", 4), peer4: r.bytes("peer4", 4), own6: r.bytes("own6", 16), peer6: r.bytes("peer6", 16),
});

/** Decodes one message. Throws WireError on a wrong form; a wrong signature is not an error, it proves nothing. */
export function decodeSetup(message: Uint8Array): SetupMessage {
  const elements = decodeBody(message.subarray(HEADER_BYTES));
  const r = new BodyReader("set-up", elements);
  const type = message[0];
  const keyKind = r.uint("keyKind", 255);
  const point = r.bytes("hostKey", 0, 64);
  if (type === TYPE_INIT) {
    const fields: InitFields = {
      calleeId: r.bytes("calleeId", 32), callerPrivateId: r.bytes("callerPrivateId", 32), counter: r.uint("counter"), ...readAddresses(r),
    };
    const signature = r.bytes("signature", 0, 64);
    return { type: "INIT", ...fields, prove: () => provedHit(INIT_DOMAIN, keyKind, point, initElements(fields), signature) };
  }
  if (type !== TYPE_CONFIRM) throw new WireError("set-up", `unknown type ${type}`);
  const fields: ConfirmFields = {
    callerId: r.bytes("callerId", 32), callerPrivateId: r.bytes("callerPrivateId", 32), calleePrivateId: r.bytes("calleePrivateId", 32),
    counter: r.uint("counter"), ...readAddresses(r),
  };
  const signature = r.bytes("signature", 0, 64);
  return { type: "CONFIRM", ...fields, prove: () => provedHit(CONFIRM_DOMAIN, keyKind, point, confirmElements(fields), signature) };
}

function provedHit(domain: Uint8Array, keyKind: number, point: Uint8Array, fields: readonly BodyValue[], signature: Uint8Array): Uint8Array | null {
  if (keyKind !== KEY_KIND.ecdsaP256 || point.length !== 64) return null;
  return verifyWithHost(point, signedBytes(domain, [keyKind, point, ...fields]), signature) ? hitOf(point) : null;
}

/** Whether a proved HIT is the host whose public id was asked for. */
export const isHostOf = (hit: Uint8Array | null, id: Uint8Array): boolean => hit !== null && sameBytes(publicId(hit), id);
