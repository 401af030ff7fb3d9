/**
 * Control messages (docs/wire.md §4): a fixed header, one MessagePack array, padding or a MAC.
 *
 *     0  0x19 | type | flags | 0
 *     4  body length 2 | 0
 *     8  nonce 8
 *    16  body, then zeros (padding) or, flags & 1, a MAC of 16 bytes at the very end
 *
 * Unknown trailing array elements and padding are ignored; another version or type is a WireError.
 */
import { WireError } from "../errors.js";
import { decodeLocator, encodeLocator, isSameFamily, type Locator } from "../locator.js";
import { maskLocator } from "./locator-mask.js";
import { isProofKeyKind, KEY_BYTES, KEY_KIND, type KeyKind, type ProofKeyKind, type TriggerKeyKind } from "./key-kinds.js";
import { BodyReader, decodeBody, packBody, type BodyValue } from "./msgpack.js";
import { MAX_RECORD_BYTES, MIN_RECORD_BYTES } from "./record.js";
import { readTriggerTarget, triggerTargetValue, type TriggerTarget } from "./trigger-target.js";

export const CONTROL_FIRST_BYTE = 0x19;
export const CONTROL_HEADER_BYTES = 16;
export const MAX_CONTROL_BYTES = 1_232;
/** Of CHECK alone: with zeros it asks whether a path takes so many. */
export const MAX_CHECK_BYTES = 9_000;
export const MAC_BYTES = 16;
export const NONCE_BYTES = 8;
export const COOKIE_BYTES = 24;
export const FLAG_MAC = 0x01;
/** Of a ring's authority about one server (docs/wire.md §4.2). */
export const CREDENTIAL_BYTES = 153;

const OFFSET_TYPE = 1;
const OFFSET_FLAGS = 2;
const OFFSET_BODY_LENGTH = 4;
const OFFSET_NONCE = 8;

/** Requests are padded to these lengths, so that no reply is larger (docs/wire.md §4). */
export const PADDED_BYTES: Readonly<Partial<Record<ControlMessage["type"], number>>> = {
  PING: 96, LOCATE: 96, CHALLENGE_REQUEST: 160, REFRESH: 160, HELLO: 224, RECORD_GET: 1_088, PROVE: 288, PROBE: 96, CHECK: 96,
};

/** A server on the ring. */
export interface RingNode {
  /** 16 bytes. */
  readonly key: Uint8Array;
  readonly locator: Locator;
}

/** What a server says of itself. */
export interface RingSender extends RingNode {
  /** Of the other family than `locator`, for clients of that. Not in ALIVE and ALIVE_YES, which are short. @default none */
  readonly other?: Locator;
}

export const TRIGGER_ACTION = { insert: 1, remove: 2 } as const;
export type TriggerAction = (typeof TRIGGER_ACTION)[keyof typeof TRIGGER_ACTION];
export const TRIGGER_FLAG = { /** Senders who allow it too may be told where it leads. */ shortcut: 0x0001, /** For the server that takes over when the responsible one is gone. */ replica: 0x0002 } as const;
/** Of CHECK. */
export const CHECK_FLAG = { /** The sender sends its data this way. */ inUse: 0x0001 } as const;
/** Of RECORD_PUT and RECORD_GET. */
export const RECORD_FLAG = { /** The key is another server's: what is put is to be a copy, what is asked for may be one. */ copy: 0x0001 } as const;

/** A signed request to insert or remove a trigger (docs/wire.md §4.1). */
export interface TriggerMessage {
  readonly type: "TRIGGER";
  readonly action: TriggerAction;
  readonly id: Uint8Array;
  readonly target: TriggerTarget;
  readonly flags: number;
  /** The owner's clock in ms, strictly increasing. */
  readonly counter: number;
  readonly keyKind: KeyKind;
  /** x | y for ECDSA (64 bytes of P-256, 96 of P-384), 32 bytes for Ed25519, 258 to 517 by RFC 3110 §2 for RSA, name key | Ed25519 key (64) for a name claim, the certificate (136) of a group member. */
  readonly publicKey: Uint8Array;
  /** End of the refresh chain, 16 bytes. */
  readonly commitment: Uint8Array;
  /** 24 bytes. */
  readonly cookie: Uint8Array;
  /** 64 bytes; 96 of P-384, as long as the modulus of RSA. */
  readonly signature: Uint8Array;
}

/** A host's word that it holds the trigger at an id, at the address that was asked (docs/wire.md §5.1). */
export interface ProofMessage {
  readonly type: "PROOF";
  readonly id: Uint8Array;
  /** 16 bytes: what it shows from now on. */
  readonly token: Uint8Array;
  readonly keyKind: ProofKeyKind;
  readonly publicKey: Uint8Array;
  readonly signature: Uint8Array;
}

export const REFUSAL = {
  notResponsible: 1, badCookie: 2, badSignature: 3, oldCounter: 4, wrongKey: 5, quota: 6, unsupported: 7, notYourAddress: 8, expired: 9, responsible: 10, otherFamily: 11,
} as const;

/** Of a record that is past its end; its other codes are of {@link REFUSAL}. */
export const REFUSED_ENDED = 20;

export type ControlMessage =
  | { readonly type: "PING" }
  | { readonly type: "PONG"; readonly timeMs: number; readonly observed: Locator; readonly nodeKey: Uint8Array }
  | { readonly type: "LOCATE"; readonly ringKey: Uint8Array }
  | { readonly type: "LOCATED"; readonly ringKey: Uint8Array; readonly node: RingNode }
  /** `flags`: of the trigger that is to follow. */
  | { readonly type: "CHALLENGE_REQUEST"; readonly ringKey: Uint8Array; readonly flags: number }
  | { readonly type: "CHALLENGE"; readonly ringKey: Uint8Array; readonly cookie: Uint8Array; readonly observed: Locator; readonly timeMs: number; readonly nodeKey: Uint8Array }
  | TriggerMessage
  | { readonly type: "TRIGGER_OK"; readonly action: TriggerAction; readonly id: Uint8Array; readonly lifeMs: number; readonly replica: Locator | null }
  /** `member`: the member's key, 32 bytes, when the trigger is a group's. */
  | { readonly type: "REFRESH"; readonly id: Uint8Array; readonly index: number; readonly token: Uint8Array; readonly member: Uint8Array | null }
  /** `subject`: the id (32) or ring key (16) that was asked about. */
  | { readonly type: "REFUSED"; readonly code: number; readonly subject: Uint8Array }
  | { readonly type: "NOT_PRESENT"; readonly id: Uint8Array }
  | { readonly type: "CACHE"; readonly ringKey: Uint8Array; readonly node: RingNode; readonly lifeMs: number }
  /** `target`: where the one trigger that packets for `id` go by leads. */
  | { readonly type: "SHORTCUT"; readonly id: Uint8Array; readonly target: Locator }
  | { readonly type: "PROVE" | "PROBE"; readonly id: Uint8Array }
  | ProofMessage
  | { readonly type: "PROBED"; readonly id: Uint8Array; readonly token: Uint8Array }
  /** `spi`: of the receiver's inbound side, which says the association. Sealed with its path key (docs/wire.md §9.7). */
  | { readonly type: "CHECK"; readonly spi: number; readonly flags: number }
  /** `observed`: where the CHECK came from. */
  | { readonly type: "CHECKED"; readonly spi: number; readonly observed: Locator }
  | { readonly type: "FIND"; readonly from: RingSender; readonly ringKey: Uint8Array }
  | { readonly type: "FOUND"; readonly from: RingSender; readonly final: boolean; readonly node: RingNode }
  | { readonly type: "STATE"; readonly from: RingSender }
  | { readonly type: "STATE_IS"; readonly from: RingSender; readonly pending: boolean; readonly predecessor: RingNode | null; readonly successors: readonly RingNode[] }
  | { readonly type: "NOTIFY"; readonly from: RingSender }
  | { readonly type: "ALIVE"; readonly from: RingSender }
  | { readonly type: "ALIVE_YES"; readonly from: RingSender }
  | { readonly type: "LEAVING"; readonly from: RingSender; readonly predecessor: RingNode | null; readonly successors: readonly RingNode[] }
  /** `asker`: who gets the answer; `last`: the sender takes the receiver for responsible; `hops`: servers that were asked, the receiver among them; `credential`: the asker's, 153 bytes, so that one who has never met it can seal the answer. */
  | { readonly type: "ROUTE"; readonly from: RingSender; readonly ringKey: Uint8Array; readonly asker: RingNode; readonly last: boolean; readonly hops: number; readonly credential: Uint8Array | null }
  /** `from` is responsible for the key. `credential`: the sender's, 153 bytes, when it has no session with the asker. */
  | { readonly type: "ROUTED"; readonly from: RingSender; readonly hops: number; readonly credential: Uint8Array | null }
  /** `credential`: the sender's, 153 bytes. */
  | { readonly type: "HELLO" | "HELLO_YES"; readonly credential: Uint8Array }
  /** `counter`: of the message that could not be taken. */
  | { readonly type: "HELLO_AGAIN"; readonly counter: number }
  /** `record`: as it is signed (record.ts). */
  | { readonly type: "RECORD_PUT"; readonly flags: number; readonly cookie: Uint8Array; readonly record: Uint8Array }
  | { readonly type: "RECORD_GET"; readonly flags: number; readonly ringKey: Uint8Array }
  /** `successor`: the server that has the next copy, or should get it. */
  | { readonly type: "RECORD_OK"; readonly ringKey: Uint8Array; readonly sequence: number; readonly lifeMs: number; readonly successor: Locator | null }
  | { readonly type: "RECORD_IS"; readonly ringKey: Uint8Array; readonly record: Uint8Array | null; readonly successor: Locator | null };

export type ControlType = ControlMessage["type"];

/** Numbers on the wire. */
export const CONTROL_TYPES: Readonly<Record<ControlType, number>> = {
  PING: 1, PONG: 2, LOCATE: 3, LOCATED: 4, CHALLENGE_REQUEST: 5, CHALLENGE: 6, TRIGGER: 7, TRIGGER_OK: 8, REFRESH: 9,
  REFUSED: 10, NOT_PRESENT: 11, CACHE: 12, SHORTCUT: 13, PROVE: 14, PROOF: 15, PROBE: 16, PROBED: 17, CHECK: 18, CHECKED: 19,
  FIND: 32, FOUND: 33, STATE: 34, STATE_IS: 35, NOTIFY: 36, ALIVE: 37, ALIVE_YES: 38, LEAVING: 39,
  HELLO: 40, HELLO_YES: 41, HELLO_AGAIN: 42,
  ROUTE: 50, ROUTED: 51,
  RECORD_PUT: 60, RECORD_GET: 61, RECORD_OK: 62, RECORD_IS: 63,
};
const NAMES = new Map(Object.entries(CONTROL_TYPES).map(([name, number]) => [number, name as ControlType]));

/** Whether a message passes only between servers. All but HELLO and HELLO_AGAIN carry a MAC. */
export const isRingMessage = (type: ControlType): boolean => CONTROL_TYPES[type] >= 32 && CONTROL_TYPES[type] < CONTROL_TYPES.RECORD_PUT;

const MAX_SUCCESSORS = 16;
const nodeValue = ({ key, locator }: RingNode): BodyValue => [key, encodeLocator(locator)];
const senderValue = (from: RingSender): BodyValue => (from.other === undefined ? nodeValue(from) : [from.key, encodeLocator(from.locator), encodeLocator(from.other)]);
const locatorValueOrNull = (locator: Locator | null): BodyValue => (locator === null ? null : encodeLocator(locator));
const nodeValueOrNull = (node: RingNode | null): BodyValue => (node === null ? null : nodeValue(node));

function readNode(what: string, value: readonly BodyValue[]): RingNode {
  const reader = new BodyReader(what, value);
  return { key: reader.bytes("key", 16), locator: decodeLocator(reader.view("locator", 6, 18)) };
}

function readFrom(r: BodyReader): RingSender {
  const value = r.array("from", 8);
  const node = readNode("from", value);
  if (value.length < 3) return node;
  const other = new BodyReader("from", value.slice(2)).view("other", 6, 18);
  const sender = { ...node, other: decodeLocator(other) };
  if (isSameFamily(sender.locator, sender.other)) throw new WireError("from.other", "of the same family");
  return sender;
}

function bodyOf(m: ControlMessage, nonce: Uint8Array): readonly BodyValue[] {
  const masked = (locator: Locator): Uint8Array => maskLocator(encodeLocator(locator), nonce);
  switch (m.type) {
    case "PING": return [];
    case "PONG": return [m.timeMs, masked(m.observed), m.nodeKey];
    case "LOCATE": return [m.ringKey];
    case "CHALLENGE_REQUEST": return [m.ringKey, m.flags];
    case "LOCATED": return [m.ringKey, encodeLocator(m.node.locator), m.node.key];
    case "CHALLENGE": return [m.ringKey, m.cookie, masked(m.observed), m.timeMs, m.nodeKey];
    case "TRIGGER":
      return [m.action, m.id, triggerTargetValue(m.target), m.flags, m.counter, m.keyKind, m.publicKey, m.commitment, m.cookie, m.signature];
    case "TRIGGER_OK": return [m.action, m.id, m.lifeMs, m.replica === null ? null : encodeLocator(m.replica)];
    case "REFRESH": return [m.id, m.index, m.token, m.member];
    case "REFUSED": return [m.code, m.subject];
    case "NOT_PRESENT": return [m.id];
    case "CACHE": return [m.ringKey, encodeLocator(m.node.locator), m.node.key, m.lifeMs];
    case "SHORTCUT": return [m.id, encodeLocator(m.target)];
    case "PROVE": case "PROBE": return [m.id];
    case "PROOF": return [m.id, m.token, m.keyKind, m.publicKey, m.signature];
    case "PROBED": return [m.id, m.token];
    case "CHECK": return [m.spi, m.flags];
    case "CHECKED": return [m.spi, masked(m.observed)];
    case "FIND": return [senderValue(m.from), m.ringKey];
    case "FOUND": return [senderValue(m.from), m.final, nodeValue(m.node)];
    case "STATE": case "NOTIFY": return [senderValue(m.from)];
    case "ALIVE": case "ALIVE_YES": return [nodeValue(m.from)];
    case "STATE_IS": return [senderValue(m.from), m.pending, nodeValueOrNull(m.predecessor), m.successors.map(nodeValue)];
    case "LEAVING": return [senderValue(m.from), nodeValueOrNull(m.predecessor), m.successors.map(nodeValue)];
    case "ROUTE": return [senderValue(m.from), m.ringKey, nodeValue(m.asker), m.last, m.hops, m.credential];
    case "ROUTED": return [senderValue(m.from), m.hops, m.credential];
    case "HELLO": case "HELLO_YES": return [m.credential];
    case "HELLO_AGAIN": return [m.counter];
    case "RECORD_PUT": return [m.flags, m.cookie, m.record];
    case "RECORD_GET": return [m.flags, m.ringKey];
    case "RECORD_OK": return [m.ringKey, m.sequence, m.lifeMs, locatorValueOrNull(m.successor)];
    case "RECORD_IS": return [m.ringKey, m.record, locatorValueOrNull(m.successor)];
  }
}

const readAction = (r: BodyReader): TriggerAction => (r.uint("action", 2) === 2 ? 2 : 1);
const readNodeAt = (r: BodyReader, field: string): RingNode => readNode(field, r.array(field, 8));
const readLocator = (r: BodyReader, field: string): Locator => decodeLocator(r.view(field, 6, 18));
const readMasked = (r: BodyReader, field: string, nonce: Uint8Array): Locator => decodeLocator(maskLocator(r.view(field, 6, 18), nonce));

const readSpi = (r: BodyReader): number => r.uint("spi", 0xffff_ffff);

function readLocatorOrNull(r: BodyReader, field: string): Locator | null {
  const bytes = r.bytesOrNull(field, 6, 18);
  return bytes === null ? null : decodeLocator(bytes);
}

function readLocatedNode(r: BodyReader): RingNode {
  const locator = readLocator(r, "locator");
  return { locator, key: r.bytes("nodeKey", 16) };
}

function readKeyKind(r: BodyReader): TriggerKeyKind {
  const kind = r.uint("keyKind", KEY_KIND.groupMember);
  if (kind === KEY_KIND.none) throw new WireError("TRIGGER.keyKind", "0");
  return kind as TriggerKeyKind;
}

function readTriggerMessage(r: BodyReader): TriggerMessage {
  const action = readAction(r);
  const id = r.bytes("id", 32);
  const target = readTriggerTarget(r.array("target", 16));
  const flags = r.uint("flags", 0xffff);
  const counter = r.uint("counter");
  const keyKind = readKeyKind(r);
  const bytes = KEY_BYTES[keyKind];
  return {
    type: "TRIGGER", action, id, target, flags, counter, keyKind,
    publicKey: r.bytesWithin("publicKey", ...bytes.key),
    commitment: r.bytes("commitment", 16), cookie: r.bytes("cookie", COOKIE_BYTES), signature: r.bytesWithin("signature", ...bytes.signature),
  };
}

function readProof(r: BodyReader): ProofMessage {
  const id = r.bytes("id", 32);
  const token = r.bytes("token", 16);
  const keyKind = r.uint("keyKind", KEY_KIND.groupMember);
  if (!isProofKeyKind(keyKind)) throw new WireError("PROOF.keyKind", String(keyKind));
  const { key, signature } = KEY_BYTES[keyKind];
  return { type: "PROOF", id, token, keyKind, publicKey: r.bytesWithin("publicKey", ...key), signature: r.bytesWithin("signature", ...signature) };
}

function readRingState(r: BodyReader): { predecessor: RingNode | null; successors: readonly RingNode[] } {
  const predecessor = r.arrayOrNull("predecessor", 8);
  const successors = r.array("successors", MAX_SUCCESSORS);
  return {
    predecessor: predecessor === null ? null : readNode("predecessor", predecessor),
    successors: successors.map((value) => readNode("successor", Array.isArray(value) ? (value as readonly BodyValue[]) : [])),
  };
}

function messageOf(type: ControlType, r: BodyReader, nonce: Uint8Array): ControlMessage {
  switch (type) {
    case "PING": return { type };
    case "PONG": return { type, timeMs: r.uint("timeMs"), observed: readMasked(r, "observed", nonce), nodeKey: r.bytes("nodeKey", 16) };
    case "LOCATE": return { type, ringKey: r.bytes("ringKey", 16) };
    case "CHALLENGE_REQUEST": return { type, ringKey: r.bytes("ringKey", 16), flags: r.uint("flags", 0xffff) };
    case "LOCATED": return { type, ringKey: r.bytes("ringKey", 16), node: readLocatedNode(r) };
    case "CHALLENGE":
      return {
        type, ringKey: r.bytes("ringKey", 16), cookie: r.bytes("cookie", COOKIE_BYTES), observed: readMasked(r, "observed", nonce),
        timeMs: r.uint("timeMs"), nodeKey: r.bytes("nodeKey", 16),
      };
    case "TRIGGER": return readTriggerMessage(r);
    case "TRIGGER_OK": {
      const action = readAction(r);
      const id = r.bytes("id", 32);
      const lifeMs = r.uint("lifeMs");
      const replica = r.bytesOrNull("replica", 6, 18);
      return { type, action, id, lifeMs, replica: replica === null ? null : decodeLocator(replica) };
    }
    case "REFRESH": return { type, id: r.bytes("id", 32), index: r.uint("index", 0xffff), token: r.bytes("token", 16), member: r.bytesOrNull("member", 32) };
    case "REFUSED": return { type, code: r.uint("code", 255), subject: r.bytes("subject", 16, 32) };
    case "NOT_PRESENT": return { type, id: r.bytes("id", 32) };
    case "CACHE": {
      const ringKey = r.bytes("ringKey", 16);
      return { type, ringKey, node: readLocatedNode(r), lifeMs: r.uint("lifeMs", 3_600_000) };
    }
    case "SHORTCUT": return { type, id: r.bytes("id", 32), target: readLocator(r, "target") };
    case "PROVE": case "PROBE": return { type, id: r.bytes("id", 32) };
    case "PROOF": return readProof(r);
    case "PROBED": return { type, id: r.bytes("id", 32), token: r.bytes("token", 16) };
    case "CHECK": return { type, spi: readSpi(r), flags: r.uint("flags", 0xffff) };
    case "CHECKED": return { type, spi: readSpi(r), observed: readMasked(r, "observed", nonce) };
    case "FIND": return { type, from: readFrom(r), ringKey: r.bytes("ringKey", 16) };
    case "FOUND": return { type, from: readFrom(r), final: r.boolean("final"), node: readNodeAt(r, "node") };
    case "STATE": case "NOTIFY": case "ALIVE": case "ALIVE_YES": return { type, from: readFrom(r) };
    case "STATE_IS": return { type, from: readFrom(r), pending: r.boolean("pending"), ...readRingState(r) };
    case "LEAVING": return { type, from: readFrom(r), ...readRingState(r) };
    case "ROUTE": return { type, from: readFrom(r), ringKey: r.bytes("ringKey", 16), asker: readNodeAt(r, "asker"), last: r.boolean("last"), hops: r.uint("hops", 255), credential: r.bytesOrNull("credential", CREDENTIAL_BYTES) };
    case "ROUTED": return { type, from: readFrom(r), hops: r.uint("hops", 255), credential: r.bytesOrNull("credential", CREDENTIAL_BYTES) };
    case "HELLO": case "HELLO_YES": return { type, credential: r.bytes("credential", CREDENTIAL_BYTES) };
    case "HELLO_AGAIN": return { type, counter: r.uint("counter") };
    case "RECORD_PUT": return { type, flags: r.uint("flags", 0xffff), cookie: r.bytes("cookie", COOKIE_BYTES), record: r.bytesWithin("record", MIN_RECORD_BYTES, MAX_RECORD_BYTES) };
    case "RECORD_GET": return { type, flags: r.uint("flags", 0xffff), ringKey: r.bytes("ringKey", 16) };
    case "RECORD_OK": return { type, ringKey: r.bytes("ringKey", 16), sequence: r.uint("sequence"), lifeMs: r.uint("lifeMs"), successor: readLocatorOrNull(r, "successor") };
    case "RECORD_IS":
      return { type, ringKey: r.bytes("ringKey", 16), record: r.bytesWithinOrNull("record", MIN_RECORD_BYTES, MAX_RECORD_BYTES), successor: readLocatorOrNull(r, "successor") };
  }
}

const mostBytesOf = (type: ControlMessage["type"]): number => (type === "CHECK" ? MAX_CHECK_BYTES : MAX_CONTROL_BYTES);

/**
 * One datagram. `nonce`: 8 bytes. `mac`, for messages between servers, is given all bytes before the MAC and returns 16. `least`: it is padded to so many bytes.
 * Throws WireError when it would be longer than {@link MAX_CONTROL_BYTES}, CHECK than {@link MAX_CHECK_BYTES}.
 */
export function encodeControl(message: ControlMessage, nonce: Uint8Array, mac?: (covered: Uint8Array) => Uint8Array, least = 0): Uint8Array {
  const out = encodeControlWithRoom(message, nonce, mac === undefined ? 0 : MAC_BYTES, Math.max(least, PADDED_BYTES[message.type] ?? 0));
  if (mac === undefined) return out;
  out[OFFSET_FLAGS] = FLAG_MAC;
  const macStart = out.length - MAC_BYTES;
  out.set(mac(out.subarray(0, macStart)), macStart);
  return out;
}

/** The same without a MAC: with at least `room` zeros behind the body, for what the caller writes at the end, and of at least `least` bytes. Throws as {@link encodeControl}. */
export function encodeControlWithRoom(message: ControlMessage, nonce: Uint8Array, room: number, least: number): Uint8Array {
  const body = packBody(bodyOf(message, nonce));
  const length = Math.max(CONTROL_HEADER_BYTES + body.length + room, least);
  if (length > mostBytesOf(message.type)) throw new WireError(message.type, `${length} bytes`);
  const out = new Uint8Array(length);
  out[0] = CONTROL_FIRST_BYTE;
  out[OFFSET_TYPE] = CONTROL_TYPES[message.type];
  out[OFFSET_BODY_LENGTH] = body.length >> 8;
  out[OFFSET_BODY_LENGTH + 1] = body.length & 0xff;
  out.set(nonce, OFFSET_NONCE);
  out.set(body, CONTROL_HEADER_BYTES);
  return out;
}

export interface DecodedControl {
  readonly message: ControlMessage;
  /** 8 bytes, a copy. */
  readonly nonce: Uint8Array;
  /** What the MAC covers and the MAC itself; null without one. Not yet checked. */
  readonly mac: { readonly covered: Uint8Array; readonly value: Uint8Array } | null;
}

/** The inverse of {@link encodeControl}. Throws WireError on everything else. */
export function decodeControl(bytes: Uint8Array): DecodedControl {
  if (bytes.length < CONTROL_HEADER_BYTES) throw new WireError("control", "shorter than its header");
  if (bytes[0] !== CONTROL_FIRST_BYTE) throw new WireError("control", "another version");
  const type = NAMES.get(bytes[OFFSET_TYPE] ?? 0);
  if (type === undefined) throw new WireError("control", `unknown type ${bytes[OFFSET_TYPE]}`);
  if (bytes.length > mostBytesOf(type)) throw new WireError("control", `${bytes.length} bytes`);
  const withMac = ((bytes[OFFSET_FLAGS] ?? 0) & FLAG_MAC) !== 0;
  const bodyEnd = CONTROL_HEADER_BYTES + (((bytes[OFFSET_BODY_LENGTH] ?? 0) << 8) | (bytes[OFFSET_BODY_LENGTH + 1] ?? 0));
  const macStart = bytes.length - MAC_BYTES;
  if (bodyEnd > (withMac ? macStart : bytes.length)) throw new WireError(type, "body longer than the datagram");
  const nonce = bytes.slice(OFFSET_NONCE, OFFSET_NONCE + NONCE_BYTES);
  return {
    message: messageOf(type, new BodyReader(type, decodeBody(bytes.subarray(CONTROL_HEADER_BYTES, bodyEnd))), nonce),
    nonce,
    mac: withMac ? { covered: bytes.subarray(0, macStart), value: bytes.subarray(macStart) } : null,
  };
}
