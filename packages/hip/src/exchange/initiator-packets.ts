/** The initiator's side of the base exchange: I1 made, R1 checked, I2 made, R2 checked (RFC 7401 §5.3, §6.6, §6.8, §6.10). Nothing here keeps state. */
import { idsMatch, publicId, sameBytes } from "@i3/common";

import { isDhGroup, type DhGroup, type DhKeyPair } from "../crypto/diffie-hellman.js";
import { espSuiteText, type EspKeys, type EspSuite } from "../crypto/esp-suites.js";
import { isHipCipherSuite, type HipCipherSuite } from "../crypto/hip-cipher.js";
import type { Directions } from "../crypto/keymat.js";
import type { P256 } from "../crypto/p256.js";
import { RHASH_BYTES, type Rhash } from "../crypto/rhash.js";
import { hitOfHi, rhashOf, suiteOfHit } from "../identity/hit.js";
import type { HostIdentity } from "../identity/host-identity.js";
import { hostKeyFromHi, type HostKey } from "../identity/host-key.js";
import { HIP_PACKET, PARAMETER } from "../wire/numbers.js";
import { encodeHipPacket, hipPacketBytes, parameter, parametersOf, type HipPacket } from "../wire/packet.js";
import { decodeDhGroupList, decodeDiffieHellman, encodeDhGroupList, encodeDiffieHellman } from "../wire/parameters/diffie-hellman.js";
import { MAX_ECHO_BYTES } from "../wire/parameters/echo.js";
import { decodeEspInfo, encodeEspInfo } from "../wire/parameters/esp-info.js";
import { decodeHostId } from "../wire/parameters/host-id.js";
import { decodeI3OwnId, encodeI3Padding, encodeI3ReturnId } from "../wire/parameters/i3.js";
import type { NotifyName } from "../wire/parameters/notification.js";
import { decodePuzzle, encodeSolution, type PuzzleContents } from "../wire/parameters/puzzle.js";
import { decodeR1Counter } from "../wire/parameters/r1-counter.js";
import { decodeEspTransform, decodeHipCipher, decodeHitSuiteList, decodeTransportFormatList, encodeEspTransform, encodeHipCipher, encodeTransportFormatList } from "../wire/parameters/suites.js";
import type { ParameterContents } from "../wire/tlv.js";
import { decrypted, encrypted, espKeysAt, exchangeKeys, type ExchangeKeys } from "./association-keys.js";
import { decodeExtras, encodeExtras, type I3Extras } from "./i3-extras.js";
import { I3_I1_BYTES, MAX_DIFFICULTY_SOLVED, MIN_SPI } from "./limits.js";
import { HIP_CIPHERS, hostIdOf } from "./r1-pool.js";
import { checkCritical, HipRefusal } from "./refusal.js";
import { checkMac, checkSignature, headerOf, required, sealPacket } from "./seal.js";

/** @param returnId over i3: where R1 should go; the packet then has {@link I3_I1_BYTES} */
export function makeI1(ownHit: Uint8Array, peerHit: Uint8Array, groups: readonly DhGroup[], returnId: Uint8Array | null): Uint8Array {
  const parameters: ParameterContents[] = [{ type: PARAMETER.dhGroupList, contents: encodeDhGroupList(groups) }];
  if (returnId !== null) {
    parameters.push({ type: PARAMETER.i3ReturnId, contents: encodeI3ReturnId(returnId) });
    const padding = encodeI3Padding(hipPacketBytes(parameters), I3_I1_BYTES);
    if (padding !== null) parameters.push({ type: PARAMETER.i3Padding, contents: padding });
  }
  return encodeHipPacket(headerOf(HIP_PACKET.i1, ownHit, peerHit), parameters);
}

/** What an R1 said, all of it checked. */
export interface CheckedR1 {
  readonly peer: HostKey;
  readonly rhash: Rhash;
  readonly counter: Uint8Array | null;
  readonly generation: bigint;
  readonly puzzle: PuzzleContents;
  readonly group: DhGroup;
  readonly publicValue: Uint8Array;
  readonly cipher: HipCipherSuite;
  readonly espSuite: EspSuite;
  /** Contents of HOST_ID, as HIP_MAC_2 of R2 covers it. */
  readonly hostId: Uint8Array;
  /** The peer's public id; null: not one of ours, or without i3. */
  readonly i3OwnId: Uint8Array | null;
  readonly echoes: readonly ParameterContents[];
  readonly unsignedEchoes: readonly ParameterContents[];
}

export interface R1Question {
  readonly identity: HostIdentity;
  /** The id that we called, if it went over i3. */
  readonly calledId: Uint8Array | null;
  readonly groups: readonly DhGroup[];
  readonly espSuitesFor: (peerHit: Uint8Array) => readonly EspSuite[];
  /** Throws HipRefusal for a host that was not called; asked when the signature holds. */
  readonly checkIsMeant: (peer: HostKey) => void;
  /** R1s of this peer that are older than this are refused. */
  readonly leastGeneration: (peerHit: Uint8Array) => bigint;
}

/** Throws HipRefusal and WireError. Cheap checks first; the signature is the only dear one. */
export function checkR1(packet: HipPacket, question: R1Question): CheckedR1 {
  const hit = packet.header.senderHit;
  const rhash = rhashOf(hit);
  const puzzle = decodePuzzle(required(packet, PARAMETER.puzzle, "PUZZLE"), RHASH_BYTES[rhash]);
  const { group, publicValue } = decodeDiffieHellman(required(packet, PARAMETER.diffieHellman, "DIFFIE_HELLMAN"));
  const theirGroups = decodeDhGroupList(required(packet, PARAMETER.dhGroupList, "DH_GROUP_LIST"));
  const ciphers = decodeHipCipher(required(packet, PARAMETER.hipCipher, "HIP_CIPHER"));
  const suites = decodeHitSuiteList(required(packet, PARAMETER.hitSuiteList, "HIT_SUITE_LIST"));
  const formats = decodeTransportFormatList(required(packet, PARAMETER.transportFormatList, "TRANSPORT_FORMAT_LIST"));
  const hostId = required(packet, PARAMETER.hostId, "HOST_ID");
  const ownId = parameter(packet, PARAMETER.i3OwnId);
  const i3OwnId = ownId === undefined ? null : decodeI3OwnId(ownId.contents);

  const counter = parameter(packet, PARAMETER.r1Counter)?.contents ?? null;
  const generation = counter === null ? 0n : decodeR1Counter(counter);
  if (generation < question.leastGeneration(hit)) throw new HipRefusal("replayed", `R1 of generation ${generation}, which is over`);
  const { algorithm, hi } = decodeHostId(hostId);
  if (!sameBytes(hitOfHi(suiteOfHit(hit), hi), hit)) throw new HipRefusal("hostId", "the host key in R1 is not that of its HIT");
  const peer = keyBehind(algorithm, hi, hit);
  checkSignature(packet, peer, PARAMETER.hipSignature2, { zeroPuzzle: true, zeroReceiverHit: true });
  question.checkIsMeant(peer);
  checkCritical(packet);

  // From here on the peer has said it, but the lists that it answered may have been changed on their way.
  if (puzzle.difficulty > MAX_DIFFICULTY_SOLVED) throw new HipRefusal("proposal", `a puzzle of ${puzzle.difficulty} bits`);
  if (!theirGroups.some((candidate) => question.groups.some((own) => own === candidate))) {
    throw incompatible("NO_DH_PROPOSAL_CHOSEN", `no common Diffie-Hellman group: the peer has ${theirGroups.join(", ")}`);
  }
  if (theirGroups.find((candidate) => question.groups.some((own) => own === candidate)) !== group || !isDhGroup(group)) {
    throw new HipRefusal("proposal", `Diffie-Hellman group ${group} is not the best that both have: somebody may have changed our list on its way`);
  }
  if (question.calledId !== null && (i3OwnId === null || !(idsMatch(i3OwnId, question.calledId) || sameBytes(i3OwnId, publicId(hit))))) {
    throw new HipRefusal("hit", "R1 names an i3 id that is neither the one called nor its host's own");
  }
  if (!suites.includes(question.identity.hitSuite)) throw incompatible("NO_HIP_PROPOSAL_CHOSEN", `the peer does not take host keys like ours (${question.identity.algorithm})`);
  if (!formats.includes(PARAMETER.espTransform)) throw incompatible("NO_ESP_PROPOSAL_CHOSEN", "the peer does not speak ESP");
  const cipher = ciphers.find((candidate): candidate is HipCipherSuite => isHipCipherSuite(candidate) && HIP_CIPHERS.includes(candidate));
  if (cipher === undefined) throw incompatible("NO_HIP_PROPOSAL_CHOSEN", "no common HIP cipher");
  const offered = decodeEspTransform(required(packet, PARAMETER.espTransform, "ESP_TRANSFORM"));
  const espSuite = question.espSuitesFor(hit).find((candidate) => offered.includes(candidate));
  if (espSuite === undefined) throw incompatible("NO_ESP_PROPOSAL_CHOSEN", `no common ESP suite: the peer has ${offered.map(espSuiteText).join(", ")}`);
  return { peer, rhash, counter, generation, puzzle, group, publicValue, cipher, espSuite, hostId, i3OwnId, ...echoesOf(packet) };
}

/** The key in a HOST_ID whose hash was compared with the HIT. */
export function keyBehind(algorithm: number, hi: Uint8Array, hit: Uint8Array, p256?: P256): HostKey {
  const key = hostKeyFromHi(algorithm, hi, p256);
  // The suite in the HIT could be that of another algorithm.
  if (!sameBytes(key.hit, hit)) throw new HipRefusal("hostId", "the host key is not that of its HIT", { notify: "INVALID_HIT" });
  return key;
}

const incompatible = (notify: NotifyName, why: string): HipRefusal => new HipRefusal("proposal", why, { notify, isFinal: true });

function echoesOf(packet: HipPacket): Pick<CheckedR1, "echoes" | "unsignedEchoes"> {
  const answers = (request: number, response: number): readonly ParameterContents[] => {
    const found = parametersOf(packet, request).map(({ contents }) => ({ type: response, contents: contents.slice() }));
    if (found.reduce((sum, { contents }) => sum + contents.length, 0) > MAX_ECHO_BYTES) throw new HipRefusal("malformed", "an ECHO_REQUEST too long to return");
    return found;
  };
  return {
    echoes: answers(PARAMETER.echoRequestSigned, PARAMETER.echoResponseSigned),
    unsignedEchoes: answers(PARAMETER.echoRequestUnsigned, PARAMETER.echoResponseUnsigned),
  };
}

export interface I2Fields {
  readonly identity: HostIdentity;
  readonly r1: CheckedR1;
  readonly solution: Uint8Array;
  readonly keyPair: DhKeyPair;
  readonly spiIn: number;
  readonly returnId: Uint8Array | null;
  readonly extras: I3Extras;
  readonly random: (bytes: number) => Uint8Array;
}

/** An I2, and what is needed to understand the R2. */
export interface MadeI2 {
  readonly bytes: Uint8Array;
  readonly keys: ExchangeKeys;
  readonly esp: Directions<EspKeys>;
  readonly keymatIndex: number;
}

/** Throws WireError for a public value that is none. */
export function makeI2(fields: I2Fields): MadeI2 {
  const { identity, r1, keyPair } = fields;
  const { cipher, rhash, puzzle, peer } = r1;
  const keys = exchangeKeys({ rhash, cipher, i: puzzle.random, j: fields.solution, ownHit: identity.hit, peerHit: peer.hit }, keyPair.secret(r1.publicValue));
  const keymatIndex = keys.keymat.index;
  const esp = espKeysAt(keys.keymat, keymatIndex, r1.espSuite, identity.hit, peer.hit);
  const hostId = { type: PARAMETER.hostId, contents: hostIdOf(identity) };
  const { opaque, difficulty, random } = puzzle;
  const parameters: ParameterContents[] = [
    { type: PARAMETER.espInfo, contents: encodeEspInfo({ keymatIndex, oldSpi: 0, newSpi: fields.spiIn }) },
    ...(r1.counter === null ? [] : [{ type: PARAMETER.r1Counter, contents: r1.counter }]),
    { type: PARAMETER.solution, contents: encodeSolution({ difficulty, opaque, random, solution: fields.solution }) },
    { type: PARAMETER.diffieHellman, contents: encodeDiffieHellman(keyPair) },
    { type: PARAMETER.hipCipher, contents: encodeHipCipher([cipher]) },
    // A host that is none of ours may want its peer's key in clear, and has no use for the rest.
    r1.i3OwnId === null ? hostId : encrypted(cipher, keys.hip.out.encryption, fields.random, [hostId, ...encodeExtras(fields.extras)]),
    ...r1.echoes,
    { type: PARAMETER.transportFormatList, contents: encodeTransportFormatList([PARAMETER.espTransform]) },
    { type: PARAMETER.espTransform, contents: encodeEspTransform([r1.espSuite]) },
    ...(fields.returnId === null ? [] : [{ type: PARAMETER.i3ReturnId, contents: encodeI3ReturnId(fields.returnId) }]),
  ];
  const header = headerOf(HIP_PACKET.i2, identity.hit, peer.hit);
  const bytes = sealPacket(identity, header, parameters, { rhash, key: keys.hip.out.integrity }, r1.unsignedEchoes);
  return { bytes, keys, esp, keymatIndex };
}

export interface CheckedR2 {
  readonly spiOut: number;
  readonly extras: I3Extras;
}

/** Throws HipRefusal and WireError. */
export function checkR2(packet: HipPacket, r1: CheckedR1, i2: MadeI2): CheckedR2 {
  const info = decodeEspInfo(required(packet, PARAMETER.espInfo, "ESP_INFO"));
  const { in: keys } = i2.keys.hip;
  checkMac(packet, { rhash: r1.rhash, key: keys.integrity, hostId: r1.hostId });
  checkSignature(packet, r1.peer);
  if (info.oldSpi !== 0 || info.newSpi < MIN_SPI) throw new HipRefusal("spi", `SPI ${info.newSpi} in place of ${info.oldSpi}`);
  if (info.keymatIndex !== i2.keymatIndex) throw new HipRefusal("spi", `KEYMAT index ${info.keymatIndex} where ${i2.keymatIndex} was said`);
  const hidden = parameter(packet, PARAMETER.encrypted);
  const extras = hidden === undefined ? { privateId: null, preferences: null } : decodeExtras(decrypted(r1.cipher, keys.encryption, hidden.contents));
  return { spiOut: info.newSpi, extras };
}
