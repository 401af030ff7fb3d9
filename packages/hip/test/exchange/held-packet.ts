/**
 * One packet of a real exchange, held back before it arrives, and what its sender knew when it sealed it: so a test can spoil one parameter and either leave MAC and signature
 * as they were, or have both made anew over what is spoilt.
 */
import { concatBytes, publicId, sameBytes } from "@i3/common";

import { dhKeyPair, type DhKeyPair } from "../../src/crypto/diffie-hellman.js";
import { ESP_SUITE } from "../../src/crypto/esp-suites.js";
import { decryptParameter, encryptParameter, hipCipherLengths, type HipCipherSuite } from "../../src/crypto/hip-cipher.js";
import { hipMac } from "../../src/crypto/hip-mac.js";
import { hipKeysOf, Keymat, type HipDirectionKeys } from "../../src/crypto/keymat.js";
import { RHASH_BYTES } from "../../src/crypto/rhash.js";
import type { HipPath } from "../../src/exchange/paths.js";
import { hostIdOf } from "../../src/exchange/r1-pool.js";
import { required } from "../../src/exchange/seal.js";
import { rhashOf } from "../../src/identity/hit.js";
import { algorithmNumber } from "../../src/identity/host-key.js";
import { signHip } from "../../src/identity/host-signature.js";
import { HIP_PACKET, PARAMETER } from "../../src/wire/numbers.js";
import { decodeHipPacket, type HipPacket } from "../../src/wire/packet.js";
import { decodeDiffieHellman } from "../../src/wire/parameters/diffie-hellman.js";
import { decodeEncrypted, encodeEncrypted } from "../../src/wire/parameters/encrypted.js";
import { decodeSolution } from "../../src/wire/parameters/puzzle.js";
import { encodeHipSignature } from "../../src/wire/parameters/signature.js";
import { decodeHipCipher } from "../../src/wire/parameters/suites.js";
import { decodeParameters, type ParameterContents } from "../../src/wire/tlv.js";
import { identity, Network, pairMatches, suites, type Node } from "./bed.js";

export const SPOILINGS = ["truncated", "emptied", "oversized", "overrunning", "repeated", "misordered", "missing"] as const;
/** The last byte is not there; no byte is; there is one more; the length says more than the packet has; it comes twice; behind its neighbour; not at all. */
export type Spoiling = (typeof SPOILINGS)[number];

/** "inside": the parameters in ENCRYPTED are meant. */
export type HeldKind = "I1" | "R1" | "I2" | "inside I2" | "I2 in clear" | "R2" | "inside R2" | "UPDATE" | "UPDATE for a second pair" | "CLOSE" | "CLOSE_ACK" | "NOTIFY";

export interface HeldPacket {
  readonly kind: HeldKind;
  readonly network: Network;
  readonly to: Node;
  readonly path: HipPath;
  /** Sealed anew, with all the parameters that the table has. */
  readonly genuine: Uint8Array;
  readonly parameters: readonly ParameterContents[];
  /** Null where there is nothing to spoil: the last parameter has no neighbour. */
  readonly spoilt: (index: number, how: Spoiling, isSealedAnew: boolean) => Uint8Array | null;
  /** Whether all went on as it should, within two seconds. */
  readonly succeeds: () => boolean;
}

interface Target {
  readonly index: number;
  readonly how: Spoiling;
}

/** Makes the contents of MACs and signatures over what stands before them; null leaves them as they are. */
type Sealer = ((type: number, before: Uint8Array) => Uint8Array | null) | null;

const TYPES: Readonly<Record<HeldKind, number>> = {
  I1: HIP_PACKET.i1, R1: HIP_PACKET.r1, I2: HIP_PACKET.i2, "inside I2": HIP_PACKET.i2, "I2 in clear": HIP_PACKET.i2, R2: HIP_PACKET.r2, "inside R2": HIP_PACKET.r2, UPDATE: HIP_PACKET.update,
  "UPDATE for a second pair": HIP_PACKET.update, CLOSE: HIP_PACKET.close, CLOSE_ACK: HIP_PACKET.closeAck, NOTIFY: HIP_PACKET.notify,
};

const echo = (type: number): ParameterContents => ({ type, contents: new Uint8Array(12).fill(7) });
/** What may stand in a packet, and that our hosts do not write into it. */
const MORE: Readonly<Partial<Record<HeldKind, readonly ParameterContents[]>>> = {
  R1: [echo(PARAMETER.echoRequestSigned), echo(PARAMETER.echoRequestUnsigned), { type: PARAMETER.natTraversalMode, contents: Uint8Array.of(0, 0, 0, 1) }],
  I2: [echo(PARAMETER.echoResponseSigned), echo(PARAMETER.echoResponseUnsigned)],
  UPDATE: [echo(PARAMETER.echoRequestSigned), echo(PARAMETER.echoResponseSigned), { type: PARAMETER.locatorSet, contents: Uint8Array.of(0, 0, 4, 0, ...new Uint8Array(4), ...new Uint8Array(16).fill(9)) }],
};

const LENGTH_THAT_IS_NOT_THERE = 4_000;

const contentsOf = (bytes: Uint8Array): readonly ParameterContents[] => decodeHipPacket(bytes).parameters.map(({ type, contents }) => ({ type, contents }));

/** Type, length and contents, filled up to a multiple of 8. */
function tlv(type: number, contents: Uint8Array, length = contents.length): Uint8Array {
  const out = new Uint8Array(Math.ceil((4 + contents.length) / 8) * 8);
  new DataView(out.buffer).setUint16(0, type);
  new DataView(out.buffer).setUint16(2, length);
  out.set(contents, 4);
  return out;
}

function spoiltTlv(type: number, contents: Uint8Array, how: Spoiling | null): Uint8Array {
  switch (how) {
    case "truncated": return tlv(type, contents.subarray(0, contents.length - 1));
    case "emptied": return tlv(type, new Uint8Array(0));
    case "oversized": return tlv(type, concatBytes(contents, new Uint8Array(1)));
    case "overrunning": return tlv(type, contents, LENGTH_THAT_IS_NOT_THERE);
    case "repeated": return concatBytes(tlv(type, contents), tlv(type, contents));
    case "missing": return new Uint8Array(0);
    case "misordered": case null: return tlv(type, contents);
  }
}

const withLength = (bytes: Uint8Array): Uint8Array => bytes.map((byte, at) => (at === 1 ? bytes.length / 8 - 1 : byte));

/** `start`: a header, or nothing inside ENCRYPTED. */
function assembled(start: Uint8Array, parameters: readonly ParameterContents[], target: Target | null, sealer: Sealer): Uint8Array {
  const order = parameters.map((_, index) => index);
  if (target?.how === "misordered") order.splice(target.index, 2, target.index + 1, target.index);
  let out = start;
  for (const index of order) {
    const { type, contents } = parameters[index] as ParameterContents;
    out = concatBytes(out, spoiltTlv(type, sealer?.(type, out) ?? contents, target?.index === index ? target.how : null));
  }
  return start.length === 0 ? out : withLength(out);
}

/** HIP_SIGNATURE_2 leaves out the receiver's HIT, and opaque and #I of PUZZLE (RFC 7401 §5.2.15). */
function blankedForR1(before: Uint8Array): Uint8Array {
  const out = before.slice().fill(0, 24, 40);
  for (let at = 40; at < out.length; ) {
    const view = new DataView(out.buffer, at);
    const length = view.getUint16(2);
    if (view.getUint16(0) === PARAMETER.puzzle && length > 2) out.fill(0, at + 6, Math.min(out.length, at + 4 + length));
    at += Math.ceil((4 + length) / 8) * 8;
  }
  return out;
}

function sealerOf(sender: Node, keys: HipDirectionKeys | null, rhash: ReturnType<typeof rhashOf>): Sealer {
  const own = sender.env.identity;
  const signature = (covered: Uint8Array): Uint8Array => encodeHipSignature({ algorithm: algorithmNumber(own), signature: signHip(own, withLength(covered)) });
  return (type, before) => {
    switch (type) {
      case PARAMETER.hipMac: return keys === null ? null : hipMac(rhash, keys.integrity, withLength(before));
      case PARAMETER.hipMac2: return keys === null ? null : hipMac(rhash, keys.integrity, withLength(concatBytes(before, tlv(PARAMETER.hostId, hostIdOf(own)))));
      case PARAMETER.hipSignature2: return signature(blankedForR1(before));
      case PARAMETER.hipSignature: return signature(before);
      default: return null;
    }
  };
}

/** The HIP keys with which `sender` seals, from what is on the wire and the Diffie-Hellman keys of both. */
function keysOf(network: Network, sender: Node, receiver: Node, pairs: readonly DhKeyPair[]): { readonly keys: HipDirectionKeys; readonly cipher: HipCipherSuite; readonly rhash: ReturnType<typeof rhashOf> } {
  const [r1, i2] = [HIP_PACKET.r1, HIP_PACKET.i2].map((type) => decodeHipPacket(network.packet(type))) as [HipPacket, HipPacket];
  const rhash = rhashOf(r1.header.senderHit);
  const [ofR, ofI] = [r1, i2].map((packet) => decodeDiffieHellman(required(packet, PARAMETER.diffieHellman, "")).publicValue) as [Uint8Array, Uint8Array];
  const pair = pairs.find(({ publicValue }) => sameBytes(publicValue, ofI)) as DhKeyPair;
  const { random, solution } = decodeSolution(required(i2, PARAMETER.solution, ""), RHASH_BYTES[rhash]);
  const [own, peer] = [sender.env.identity.hit, receiver.env.identity.hit];
  const cipher = decodeHipCipher(required(i2, PARAMETER.hipCipher, ""))[0] as HipCipherSuite;
  return { keys: hipKeysOf(new Keymat(rhash, pair.secret(ofR), random, solution, own, peer), cipher, own, peer).out, cipher, rhash };
}

/** Runs an exchange up to where a packet of this kind is about to arrive. */
export function held(kind: HeldKind): HeldPacket {
  const network = new Network();
  const isOverI3 = !["I2 in clear", "UPDATE", "UPDATE for a second pair", "CLOSE", "CLOSE_ACK"].includes(kind);
  const pairs: DhKeyPair[] = [];
  const [a, b] = [0, 1].map((n) => {
    const own = identity("ecdsa-p256", n);
    const node: Node = network.add("ab"[n] as string, own, {
      ownPublicId: isOverI3 ? publicId(own.hit) : null,
      dhSource: (group) => {
        const pair = dhKeyPair(group, (bytes) => network.random.bytes(bytes));
        pairs.push(pair);
        return pair;
      },
    });
    const id = new Uint8Array(32).fill(0xa0 + n);
    if (isOverI3) node.ids.push(id);
    const addresses = { own4: new Uint8Array(4), own6: new Uint8Array(16), peer4: new Uint8Array(4), peer6: new Uint8Array(16) };
    node.offer = { ...suites(ESP_SUITE.aesGcm16, ESP_SUITE.nullSha256), privateId: isOverI3 ? id : null, preferences: isOverI3 ? { flags: 0, ...addresses } : null };
    return node;
  }) as [Node, Node];
  if (kind === "NOTIFY") b.admits = () => false;
  // Of a rekey the answer, which has an ACK too.
  let passes = kind === "UPDATE" ? 1 : 0;
  let found: { readonly bytes: Uint8Array; readonly from: Node; readonly path: HipPath } | null = null;
  network.middlebox = ({ bytes, from, path }) => {
    if (found !== null) return null;
    if (bytes[2] !== TYPES[kind] || passes-- > 0) return bytes;
    found = { bytes, from, path: path.kind === "i3" ? path : { kind: "udp", locator: from.locator } };
    return null;
  };
  if (isOverI3) network.connectI3(a, b);
  else network.connect(a, b);
  network.run(100);
  const association = (): number => a.last("established").association;
  if (kind === "UPDATE") a.host.rekey(network.nowMs, association());
  if (kind === "UPDATE for a second pair") a.host.addPair(network.nowMs, association(), ESP_SUITE.nullSha256);
  if (kind === "CLOSE" || kind === "CLOSE_ACK") a.host.close(network.nowMs, association());
  network.run(100);
  if (found === null) throw new Error(`no ${kind}`);
  network.middlebox = ({ bytes }) => bytes;
  const { bytes, from, path } = found as { readonly bytes: Uint8Array; readonly from: Node; readonly path: HipPath };
  const to = from === a ? b : a;

  const isBefore = kind === "I1" || kind === "R1";
  const known = isBefore ? null : keysOf(network, from, to, pairs);
  const sealer = sealerOf(from, known?.keys ?? null, known?.rhash ?? "sha384");
  const outer = [...contentsOf(bytes), ...(MORE[kind] ?? [])].sort((x, y) => x.type - y.type);
  const header = bytes.slice(0, 40);
  const genuine = assembled(header, outer, null, sealer);

  let parameters: readonly ParameterContents[] = outer;
  let spoilt: HeldPacket["spoilt"] = (index, how, isSealedAnew) =>
    how === "misordered" && index === outer.length - 1 ? null : isSealedAnew ? assembled(header, outer, { index, how }, sealer) : assembled(header, contentsOf(genuine), { index, how }, null);
  if (kind === "inside I2" || kind === "inside R2") {
    const { keys, cipher } = known as NonNullable<typeof known>;
    const { iv, ciphertext } = decodeEncrypted(outer.find(({ type }) => type === PARAMETER.encrypted)?.contents as Uint8Array, hipCipherLengths(cipher).ivBytes as 16);
    parameters = decodeParameters("inside", decryptParameter(cipher, keys.encryption, iv, ciphertext)).map(({ type, contents }) => ({ type, contents }));
    spoilt = (index, how, isSealedAnew) => {
      if (!isSealedAnew || (how === "misordered" && index === parameters.length - 1)) return null;
      const contents = encodeEncrypted({ iv, ciphertext: encryptParameter(cipher, keys.encryption, iv, assembled(new Uint8Array(0), parameters, { index, how }, null)) });
      return assembled(header, outer.map((one) => (one.type === PARAMETER.encrypted ? { ...one, contents } : one)), null, sealer);
    };
  }

  const succeeds = (): boolean => {
    network.run(2_000);
    switch (kind) {
      case "UPDATE": return [a, b].every((node) => node.of("rekeyed").length === 1 && node.host.sizes.associations === 1);
      case "UPDATE for a second pair": return [a, b].every((node) => node.of("paired").length === 1 && node.host.sizes.associations === 1);
      case "CLOSE": return b.of("closed").length === 1;
      case "CLOSE_ACK": return a.host.sizes.associations === 0;
      case "NOTIFY": return a.of("failed").length === 1;
      default: return pairMatches(a.last("established"), b.last("established"));
    }
  };
  return { kind, network, to, path, genuine, parameters, spoilt, succeeds };
}

