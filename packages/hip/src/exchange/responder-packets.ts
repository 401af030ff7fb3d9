/** The responder's side of the base exchange: I2 checked, R2 made (RFC 7401 §5.3.4, §6.9). R1 is in r1-pool.ts. Nothing here keeps state. */
import { sameBytes } from "@i3/common";

import type { DhGroup, DhKeyPair } from "../crypto/diffie-hellman.js";
import { isDhGroup } from "../crypto/diffie-hellman.js";
import { espSuiteText, isEspSuite, type EspKeys, type EspSuite } from "../crypto/esp-suites.js";
import { isHipCipherSuite, type HipCipherSuite } from "../crypto/hip-cipher.js";
import { wipeKeys, type Directions } from "../crypto/keymat.js";
import { checkSolution } from "../crypto/puzzle.js";
import { RHASH_BYTES, type Rhash } from "../crypto/rhash.js";
import { hitOfHi, rhashOf, suiteOfHit } from "../identity/hit.js";
import type { HostIdentity } from "../identity/host-identity.js";
import { algorithmNumber, type HostKey } from "../identity/host-key.js";
import { HIP_PACKET, PARAMETER } from "../wire/numbers.js";
import { parameter, type HipPacket } from "../wire/packet.js";
import { decodeDiffieHellman } from "../wire/parameters/diffie-hellman.js";
import { decodeEspInfo, encodeEspInfo } from "../wire/parameters/esp-info.js";
import { decodeHostId } from "../wire/parameters/host-id.js";
import { decodeI3ReturnId } from "../wire/parameters/i3.js";
import { decodeSolution, type SolutionContents } from "../wire/parameters/puzzle.js";
import { decodeR1Counter } from "../wire/parameters/r1-counter.js";
import { decodeEspTransform, decodeHipCipher, decodeTransportFormatList } from "../wire/parameters/suites.js";
import { decrypted, encrypted, espKeysAt, exchangeKeys, type ExchangeKeys } from "./association-keys.js";
import type { HipEnvironment, HipOffer } from "./events.js";
import { decodeExtras, encodeExtras, type I3Extras } from "./i3-extras.js";
import { keyBehind } from "./initiator-packets.js";
import { MIN_SPI } from "./limits.js";
import { puzzlePathBytes, type HipPath } from "./paths.js";
import { DEFAULT_ESP_SUITES, HIP_CIPHERS, hostIdOf, puzzleRandom, type Epoch, type R1Pool } from "./r1-pool.js";
import { HipRefusal } from "./refusal.js";
import { checkMac, checkSignature, headerOf, required, sealPacket } from "./seal.js";

/** Where an answer goes: over i3 the sender says so itself. Throws HipRefusal without a return id. */
export function answerPath(packet: HipPacket, from: HipPath): HipPath {
  if (from.kind !== "i3") return from;
  const found = parameter(packet, PARAMETER.i3ReturnId);
  if (found === undefined) throw new HipRefusal("amplification", "over i3 without a return id");
  return { kind: "i3", id: decodeI3ReturnId(found.contents) };
}

/** An I2 that was paid for: the solution is right, recent and unused. Nothing else was looked at. */
export interface PaidI2 {
  readonly solution: SolutionContents;
  readonly epoch: Epoch;
  /** Where R2 goes. */
  readonly path: HipPath;
  readonly rhash: Rhash;
}

/** Costs two hashes. Throws HipRefusal and WireError. */
export function checkPuzzle(nowMs: number, packet: HipPacket, from: HipPath, pool: R1Pool, ownHit: Uint8Array): PaidI2 {
  const rhash = rhashOf(ownHit);
  const hitI = packet.header.senderHit;
  const solution = decodeSolution(required(packet, PARAMETER.solution, "SOLUTION"), RHASH_BYTES[rhash]);
  const path = answerPath(packet, from);
  const epoch = pool.find(nowMs, solution.opaque);
  if (epoch === undefined) throw new HipRefusal("stale", "a puzzle that is over");
  if (solution.difficulty !== epoch.difficulty) throw new HipRefusal("stale", `a puzzle of ${solution.difficulty} bits, where ${epoch.difficulty} were asked for`);
  const counter = parameter(packet, PARAMETER.r1Counter);
  if (counter !== undefined && decodeR1Counter(counter.contents) !== epoch.generation) throw new HipRefusal("stale", "another generation than its puzzle's");
  if (!sameBytes(solution.random, puzzleRandom(rhash, epoch.secret, hitI, ownHit, puzzlePathBytes(path)))) throw new HipRefusal("stale", "a puzzle of somebody else");
  if (!checkSolution(rhash, solution.random, hitI, ownHit, solution.solution, epoch.difficulty)) throw new HipRefusal("solution", "no solution");
  return { solution, epoch, path, rhash };
}

/** Everything that an association needs, from a sender who has proven to be the host of its HIT. */
export interface AcceptedI2 {
  readonly peer: HostKey;
  readonly cipher: HipCipherSuite;
  readonly espSuite: EspSuite;
  readonly group: DhGroup;
  readonly keyPair: DhKeyPair;
  readonly publicValue: Uint8Array;
  readonly keys: ExchangeKeys;
  readonly esp: Directions<EspKeys>;
  readonly keymatIndex: number;
  readonly spiOut: number;
  readonly extras: I3Extras;
  readonly offer: HipOffer;
  /** Whether the peer is one of our hosts. */
  readonly speaksI3: boolean;
}

export type I2Policy = Pick<HipEnvironment, "identity" | "espSuites" | "espSuitesFor" | "offerFor" | "onUnwanted">;

/**
 * Cheapest first: form and proposals, Diffie-Hellman, MAC, ENCRYPTED, HOST_ID, signature. Throws HipRefusal and WireError.
 * @param mayCompute whether there is time for one more secret of this group
 * @param known the key of the association that this peer has: to read the same one again takes 0.13 ms
 */
export function checkI2(packet: HipPacket, { solution, epoch, path, rhash }: PaidI2, policy: I2Policy, mayCompute: (group: DhGroup) => boolean, known?: HostKey): AcceptedI2 {
  const { identity } = policy;
  const peerHit = packet.header.senderHit;
  const info = decodeEspInfo(required(packet, PARAMETER.espInfo, "ESP_INFO"));
  if (info.oldSpi !== 0 || info.newSpi < MIN_SPI) throw new HipRefusal("spi", `SPI ${info.newSpi} in place of ${info.oldSpi}`, { notify: "INVALID_SYNTAX" });
  const cipher = only(decodeHipCipher(required(packet, PARAMETER.hipCipher, "HIP_CIPHER")));
  if (cipher === undefined || !isHipCipherSuite(cipher) || !HIP_CIPHERS.includes(cipher)) {
    throw new HipRefusal("proposal", "a HIP cipher that was not offered", { notify: "INVALID_HIP_CIPHER_CHOSEN" });
  }
  if (only(decodeTransportFormatList(required(packet, PARAMETER.transportFormatList, "TRANSPORT_FORMAT_LIST"))) !== PARAMETER.espTransform) {
    throw new HipRefusal("proposal", "a transport format that was not offered", { notify: "NO_ESP_PROPOSAL_CHOSEN" });
  }
  const espSuite = only(decodeEspTransform(required(packet, PARAMETER.espTransform, "ESP_TRANSFORM")));
  if (espSuite === undefined || !isEspSuite(espSuite) || !policy.espSuitesFor(peerHit, null).includes(espSuite) || !(policy.espSuites ?? DEFAULT_ESP_SUITES).includes(espSuite)) {
    if (espSuite !== undefined && isEspSuite(espSuite)) policy.onUnwanted?.(peerHit, espSuite);
    throw new HipRefusal("proposal", `ESP suite ${espSuite === undefined ? "none" : espSuiteText(espSuite)} is not wanted for this peer`, { notify: "INVALID_ESP_TRANSFORM_CHOSEN" });
  }
  const { group, publicValue } = decodeDiffieHellman(required(packet, PARAMETER.diffieHellman, "DIFFIE_HELLMAN"));
  if (isDhGroup(group) && !mayCompute(group)) throw new HipRefusal("rate", `too many I2s with Diffie-Hellman group ${group}`);
  const keyPair = isDhGroup(group) ? epoch.r1s.get(group)?.keyPair : undefined;
  if (keyPair === undefined) throw new HipRefusal("proposal", `Diffie-Hellman group ${group} was not offered`, { notify: "INVALID_DH_CHOSEN" });

  const kij = secretOf(keyPair, publicValue);
  const keys = exchangeKeys({ rhash, cipher, i: solution.random, j: solution.solution, ownHit: identity.hit, peerHit }, kij);
  try {
    checkMac(packet, { rhash, key: keys.hip.in.integrity });
    const hidden = parameter(packet, PARAMETER.encrypted);
    const inside = hidden === undefined ? [] : decrypted(cipher, keys.hip.in.encryption, hidden.contents);
    const inClear = parameter(packet, PARAMETER.hostId);
    const { algorithm, hi } = decodeHostId(inClear?.contents ?? required({ parameters: inside }, PARAMETER.hostId, "HOST_ID"));
    if (!sameBytes(hitOfHi(suiteOfHit(peerHit), hi), peerHit)) throw new HipRefusal("hostId", "the host key in I2 is not that of its HIT", { notify: "INVALID_HIT" });
    const isKnown = known !== undefined && algorithm === algorithmNumber(known) && sameBytes(hi, known.hi);
    const peer = isKnown ? known : keyBehind(algorithm, hi, peerHit, identity.p256);
    checkSignature(packet, peer);
    const extras = decodeExtras(inside);
    const esp = espKeysAt(keys.keymat, info.keymatIndex, espSuite, identity.hit, peerHit);
    // Last of all: it makes a mapping.
    const offer = policy.offerFor(peerHit, null);
    if (offer === null) {
      wipeKeys(esp);
      throw new HipRefusal("full", "no room for another peer", { notify: "RESPONDER_BUSY_PLEASE_RETRY" });
    }
    return {
      peer, cipher, espSuite, group: keyPair.group, keyPair, publicValue, keys, esp, keymatIndex: info.keymatIndex, spiOut: info.newSpi, extras, offer,
      speaksI3: path.kind === "i3" || inside.length > 1,
    };
  } catch (refusal) {
    wipeKeys(keys.hip);
    keys.keymat.wipe();
    throw refusal;
  }
}

/** A list that must have one entry. */
const only = (numbers: readonly number[]): number | undefined => (numbers.length === 1 ? numbers[0] : undefined);

function secretOf(keyPair: DhKeyPair, publicValue: Uint8Array): Uint8Array {
  try {
    return keyPair.secret(publicValue);
  } catch (cause) {
    throw new HipRefusal("group", (cause as Error).message, { notify: "INVALID_DH_CHOSEN" });
  }
}

export function makeR2(identity: HostIdentity, rhash: Rhash, accepted: AcceptedI2, spiIn: number, random: (bytes: number) => Uint8Array): Uint8Array {
  const { cipher, keys, offer, keymatIndex } = accepted;
  const extras = accepted.speaksI3 ? encodeExtras(offer) : [];
  const parameters = [
    { type: PARAMETER.espInfo, contents: encodeEspInfo({ keymatIndex, oldSpi: 0, newSpi: spiIn }) },
    ...(extras.length === 0 ? [] : [encrypted(cipher, keys.hip.out.encryption, random, extras)]),
  ];
  const header = headerOf(HIP_PACKET.r2, identity.hit, accepted.peer.hit);
  return sealPacket(identity, header, parameters, { rhash, key: keys.hip.out.integrity, hostId: hostIdOf(identity) });
}
