/** A host that has a key and follows the rules as far as a test wants: what it says is sealed right, whatever it is. */
import { concatBytes } from "@i3/common";

import { dhKeyPair, type DhGroup } from "../../src/crypto/diffie-hellman.js";
import { encryptParameter } from "../../src/crypto/hip-cipher.js";
import { hipKeysOf, Keymat, type HipKeys } from "../../src/crypto/keymat.js";
import { PuzzleSearch } from "../../src/crypto/puzzle.js";
import { RHASH_BYTES, type Rhash } from "../../src/crypto/rhash.js";
import { makeI1 } from "../../src/exchange/initiator-packets.js";
import type { HipPath } from "../../src/exchange/paths.js";
import { hostIdOf } from "../../src/exchange/r1-pool.js";
import { headerOf, required, sealPacket, signatureOf } from "../../src/exchange/seal.js";
import { rhashOf } from "../../src/identity/hit.js";
import type { HostIdentity } from "../../src/identity/host-identity.js";
import { HIP_PACKET, PARAMETER } from "../../src/wire/numbers.js";
import { decodeHipPacket, encodeHipPacket, parameter } from "../../src/wire/packet.js";
import { decodeDiffieHellman, encodeDiffieHellman } from "../../src/wire/parameters/diffie-hellman.js";
import { encodeEncrypted } from "../../src/wire/parameters/encrypted.js";
import { encodeEspInfo } from "../../src/wire/parameters/esp-info.js";
import { decodePuzzle, encodeSolution } from "../../src/wire/parameters/puzzle.js";
import { encodeEspTransform, encodeHipCipher, encodeTransportFormatList } from "../../src/wire/parameters/suites.js";
import { encodeParameters, type ParameterContents } from "../../src/wire/tlv.js";
import { identity, type Network, type Node } from "./bed.js";

export type Change = (parameters: ParameterContents[]) => ParameterContents[];

/** Puts one parameter in the place of another, or in its order. */
export const replaced = (type: number, contents: Uint8Array): Change => (parameters) =>
  [...parameters.filter((found) => found.type !== type), { type, contents }].sort((a, b) => a.type - b.type);
export const without = (type: number): Change => (parameters) => parameters.filter((found) => found.type !== type);

/** An R1 that its host signed anew; opaque and #I stay as they are. */
export const resigned = (own: HostIdentity, change: Change) => (bytes: Uint8Array): Uint8Array => {
  const { header, parameters } = decodeHipPacket(bytes);
  const blank = { ...header, receiverHit: new Uint8Array(16) };
  const puzzle = parameters.find(({ type }) => type === PARAMETER.puzzle)?.contents as Uint8Array;
  const changed = change(parameters.filter(({ type }) => type !== PARAMETER.hipSignature2).map(({ type, contents }) => ({ type, contents })));
  const covered = changed.map((found) => (found.type === PARAMETER.puzzle ? { ...found, contents: concatBytes(found.contents.subarray(0, 2), new Uint8Array(puzzle.length - 2)) } : found));
  return encodeHipPacket(header, [...changed, signatureOf(own, blank, covered, PARAMETER.hipSignature2)]);
};

export interface CallOptions {
  readonly group?: DhGroup;
  readonly signer?: HostIdentity;
  /** What stands in ENCRYPTED; nothing: noise. */
  readonly inside?: readonly ParameterContents[];
  /** Else HOST_ID stands in clear. */
  readonly encrypts?: boolean;
}

export const FORGER_SPI = 4_096;

export class Forger {
  readonly own: HostIdentity = identity("ecdsa-p256", 7);
  path: HipPath = { kind: "ip", address: Uint8Array.of(198, 51, 100, 7) };
  readonly network: Network;
  readonly victim: Node;
  readonly rhash: Rhash;
  keys: HipKeys | null = null;
  keymat: Keymat | null = null;
  returnId: Uint8Array | null = null;

  constructor(network: Network, victim: Node) {
    this.network = network;
    this.victim = victim;
    this.rhash = rhashOf(victim.env.identity.hit);
  }

  /** Calls over i3 from now on, with answers to this id. */
  callOverI3(returnId: Uint8Array): void {
    this.returnId = returnId;
    this.path = { kind: "i3", id: this.victim.env.ownPublicId ?? returnId };
  }

  send(bytes: Uint8Array): void {
    this.network.deliver(this.victim, bytes, this.path);
  }

  /** I1 to I2. `change` gets all but MAC and signature. */
  callWith(change: Change, { group = 7, signer = this.own, inside = [{ type: PARAMETER.hostId, contents: hostIdOf(this.own) }], encrypts = true }: CallOptions = {}): void {
    this.send(makeI1(this.own.hit, this.victim.env.identity.hit, [group], this.returnId));
    const r1 = decodeHipPacket(this.network.packet(HIP_PACKET.r1));
    const puzzle = decodePuzzle(required(r1, PARAMETER.puzzle, "PUZZLE"), RHASH_BYTES[this.rhash]);
    const dh = decodeDiffieHellman(required(r1, PARAMETER.diffieHellman, "DIFFIE_HELLMAN"));
    const random = (bytes: number): Uint8Array => this.network.random.bytes(bytes);
    const keyPair = dhKeyPair(group, random);
    const search = new PuzzleSearch(this.rhash, puzzle, this.own.hit, r1.header.senderHit, random(RHASH_BYTES[this.rhash]));
    const solution = search.step(1_000_000) as Uint8Array;
    this.keymat = new Keymat(this.rhash, keyPair.secret(dh.publicValue), puzzle.random, solution, this.own.hit, r1.header.senderHit);
    this.keys = hipKeysOf(this.keymat, 4, this.own.hit, r1.header.senderHit);
    const iv = random(16);
    const hidden = inside.length === 0 ? new Uint8Array(16) : encryptParameter(4, this.keys.out.encryption, iv, encodeParameters(inside));
    const { difficulty, opaque } = puzzle;
    this.send(this.#sealed(HIP_PACKET.i2, change([
      { type: PARAMETER.espInfo, contents: encodeEspInfo({ keymatIndex: this.keymat.index, oldSpi: 0, newSpi: FORGER_SPI }) },
      { type: PARAMETER.r1Counter, contents: parameter(r1, PARAMETER.r1Counter)?.contents as Uint8Array },
      { type: PARAMETER.solution, contents: encodeSolution({ difficulty, opaque, random: puzzle.random, solution }) },
      { type: PARAMETER.diffieHellman, contents: encodeDiffieHellman(keyPair) },
      { type: PARAMETER.hipCipher, contents: encodeHipCipher([4]) },
      encrypts ? { type: PARAMETER.encrypted, contents: encodeEncrypted({ iv, ciphertext: hidden }) } : { type: PARAMETER.hostId, contents: hostIdOf(this.own) },
      { type: PARAMETER.transportFormatList, contents: encodeTransportFormatList([PARAMETER.espTransform]) },
      { type: PARAMETER.espTransform, contents: encodeEspTransform([13]) },
    ]), signer));
  }

  /** A packet of the association that {@link callWith} made. */
  say(type: number, parameters: ParameterContents[], signer = this.own): void {
    this.send(this.#sealed(type, parameters, signer));
  }

  #sealed(type: number, parameters: ParameterContents[], signer: HostIdentity): Uint8Array {
    if (this.keys === null) throw new Error("no keys");
    return sealPacket(signer, headerOf(type, this.own.hit, this.victim.env.identity.hit), parameters, { rhash: this.rhash, key: this.keys.out.integrity });
  }
}

/** The same packet with one parameter's bytes treated; header length set right. */
export function mutatedParameter(bytes: Uint8Array, index: number, how: "truncated" | "oversized" | "repeated" | "misordered" | "dropped" | "emptied"): Uint8Array | null {
  const packet = decodeHipPacket(bytes);
  const ends = [...packet.parameters.slice(1).map(({ offset }) => offset), bytes.length];
  const parts: Uint8Array[] = packet.parameters.map(({ offset }, n) => bytes.slice(offset, ends[n]));
  const part = parts[index];
  if (part === undefined) return null;
  const length = ((part[2] ?? 0) << 8) | (part[3] ?? 0);
  switch (how) {
    case "dropped": parts.splice(index, 1); break;
    case "repeated": parts.splice(index, 0, part.slice()); break;
    case "misordered": {
      const next = parts[index + 1];
      if (next === undefined) return null;
      parts.splice(index, 2, next, part);
      break;
    }
    case "truncated":
      if (part.length <= 8) return null;
      part[2] = (length - 8) >> 8;
      part[3] = (length - 8) & 0xff;
      parts[index] = concatBytes(part.subarray(0, 4), part.subarray(4, 4 + length - 8), new Uint8Array(part.length - length - 4));
      break;
    case "oversized":
      part[2] = (length + 8) >> 8;
      part[3] = (length + 8) & 0xff;
      parts[index] = concatBytes(part, new Uint8Array(8));
      break;
    case "emptied":
      parts[index] = Uint8Array.of(part[0] ?? 0, part[1] ?? 0, 0, 0, 0, 0, 0, 0);
      break;
  }
  const out = concatBytes(bytes.subarray(0, 40), ...parts);
  out[1] = out.length / 8 - 1;
  return out;
}
