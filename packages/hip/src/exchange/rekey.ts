/**
 * One rekey (RFC 7402 §6.8 to §6.10): what we said, what the peer said, and the keys that follow.
 *
 *     who begins   UPDATE(ESP_INFO, SEQ, [DIFFIE_HELLMAN])        ->
 *                  <-        UPDATE(ESP_INFO, SEQ, ACK, [DIFFIE_HELLMAN])      who answers: takes packets with the new keys from here on
 *     sends and takes with the new keys from here on
 *                  UPDATE(ACK)                                    ->           sends with the new keys from here on
 *
 * A second pair (docs/wire.md §9.6) comes the same way: old SPI 0, always with DIFFIE_HELLMAN, and ESP_TRANSFORM with its one suite in the packet that begins.
 *
 * When both begin, each ACKs the other's UPDATE, and takes new keys when it has the other's, sends with them when it has its ACK.
 */
import type { DhKeyPair } from "../crypto/diffie-hellman.js";
import type { EspKeys, EspSuite } from "../crypto/esp-suites.js";
import { Keymat, type Directions } from "../crypto/keymat.js";
import type { Rhash } from "../crypto/rhash.js";
import { PARAMETER } from "../wire/numbers.js";
import { encodeDiffieHellman } from "../wire/parameters/diffie-hellman.js";
import { encodeEspInfo } from "../wire/parameters/esp-info.js";
import type { ParameterContents } from "../wire/tlv.js";
import { checkKeymatIndex, espKeysAt, hasKeysLeft } from "./association-keys.js";
import { HipRefusal } from "./refusal.js";

/** What a new KEYMAT is made of, besides the secret. */
export interface KeymatTerms {
  readonly rhash: Rhash;
  readonly i: Uint8Array;
  readonly j: Uint8Array;
  readonly ownHit: Uint8Array;
  readonly peerHit: Uint8Array;
  readonly espSuite: EspSuite;
}

/** The keying material in force. */
export interface Material {
  readonly keymat: Keymat;
  /** Null when all rekeys that begin here bring a new one: then the old is never needed, and forgotten. */
  readonly keyPair: DhKeyPair | null;
  readonly peerPublicValue: Uint8Array;
}

export interface OwnHalf {
  readonly spiIn: number;
  readonly keymatIndex: number;
  readonly keyPair: DhKeyPair | null;
}

export interface PeerHalf {
  readonly spiOut: number;
  readonly keymatIndex: number;
  readonly publicValue: Uint8Array | null;
}

/** `peerHalf` null: we begin. Without a new key pair the index is the next one, or the peer's if that is greater. */
export function ownHalf(material: Material, spiIn: number, peerHalf: PeerHalf | null, wantsDh: boolean, newKeyPair: () => DhKeyPair): OwnHalf {
  const needsDh = peerHalf === null ? wantsDh || !hasKeysLeft(material.keymat) : peerHalf.publicValue !== null;
  if (needsDh) return { spiIn, keymatIndex: 0, keyPair: newKeyPair() };
  return { spiIn, keymatIndex: Math.max(material.keymat.index, peerHalf?.keymatIndex ?? 0), keyPair: null };
}

export const halfParameters = (own: OwnHalf, oldSpi: number): { readonly espInfo: ParameterContents; readonly dh: readonly ParameterContents[] } => ({
  espInfo: { type: PARAMETER.espInfo, contents: encodeEspInfo({ keymatIndex: own.keymatIndex, oldSpi, newSpi: own.spiIn }) },
  dh: own.keyPair === null ? [] : [{ type: PARAMETER.diffieHellman, contents: encodeDiffieHellman(own.keyPair) }],
});

/** Keys of both halves, and the material after them. Throws HipRefusal for a public value that is none, or an index out of range; nothing has changed then. */
export function newKeys(material: Material, terms: KeymatTerms, own: OwnHalf, peer: PeerHalf): { readonly esp: Directions<EspKeys>; readonly material: Material } {
  const { ownHit, peerHit, espSuite } = terms;
  if (own.keyPair === null && peer.publicValue === null) {
    const index = Math.max(own.keymatIndex, peer.keymatIndex);
    checkKeymatIndex(material.keymat, index);
    return { esp: espKeysAt(material.keymat, index, espSuite, ownHit, peerHit), material };
  }
  const keyPair = own.keyPair ?? material.keyPair;
  if (keyPair === null) throw new RangeError("a new public value of the peer alone, and the old key pair is gone");
  const peerPublicValue = peer.publicValue ?? material.peerPublicValue;
  const keymat = keymatOf(keyPair, peerPublicValue, terms);
  material.keymat.wipe();
  return { esp: espKeysAt(keymat, 0, espSuite, ownHit, peerHit), material: { keymat, keyPair, peerPublicValue } };
}

/** Keys of a pair that has had none. Throws HipRefusal without two public values. */
export function firstKeysOf(terms: KeymatTerms, own: OwnHalf, peer: PeerHalf): { readonly esp: Directions<EspKeys>; readonly material: Material } {
  if (own.keyPair === null || peer.publicValue === null) throw new HipRefusal("proposal", "a new pair without a Diffie-Hellman value");
  const keymat = keymatOf(own.keyPair, peer.publicValue, terms);
  return { esp: espKeysAt(keymat, 0, terms.espSuite, terms.ownHit, terms.peerHit), material: { keymat, keyPair: own.keyPair, peerPublicValue: peer.publicValue } };
}

function keymatOf(keyPair: DhKeyPair, peerPublicValue: Uint8Array, { rhash, i, j, ownHit, peerHit }: KeymatTerms): Keymat {
  let kij;
  try {
    kij = keyPair.secret(peerPublicValue);
  } catch (cause) {
    throw new HipRefusal("group", (cause as Error).message);
  }
  const keymat = new Keymat(rhash, kij, i, j, ownHit, peerHit);
  kij.fill(0);
  return keymat;
}
