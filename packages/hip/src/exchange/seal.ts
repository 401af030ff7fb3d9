/** Packets with MAC and signature (RFC 7401 §6.4), made and checked. */
import { hash } from "node:crypto";

import { checkHipMac, hipMac } from "../crypto/hip-mac.js";
import type { Rhash } from "../crypto/rhash.js";
import { RHASH_BYTES } from "../crypto/rhash.js";
import type { HostIdentity } from "../identity/host-identity.js";
import { algorithmNumber, type HostKey } from "../identity/host-key.js";
import { signHip, verifyHip } from "../identity/host-signature.js";
import { PARAMETER } from "../wire/numbers.js";
import { coveredBytes, encodeHipPacket, HIP_VERSION, parameter, type CoverageOptions, type HipHeader, type HipPacket } from "../wire/packet.js";
import { NOTIFY_CODE, type Notification } from "../wire/parameters/notification.js";
import { decodeHipMac, decodeHipSignature, encodeHipMac, encodeHipSignature } from "../wire/parameters/signature.js";
import type { ParameterContents, RawParameter } from "../wire/tlv.js";
import { HipRefusal } from "./refusal.js";

/**
 * What a NOTIFY of ours says of the packet that it is about: SHA-256 of it, checksum 0, since NATs may write another one. A signature alone would let everybody
 * who once heard a NOTIFY end all later exchanges with it, and a code alone everybody who changes an I2 on its way.
 */
export const notifiedHash = (packet: HipPacket): Uint8Array => new Uint8Array(hash("sha256", coveredBytes(packet, packet.bytes.length), "buffer"));

/** Where that hash stands in a NOTIFICATION: behind the type, when it is about a parameter. */
export const namedBy = ({ code, data }: Notification): Uint8Array => (code === NOTIFY_CODE.UNSUPPORTED_CRITICAL_PARAMETER_TYPE ? data.subarray(2) : data);

export const headerOf = (type: number, senderHit: Uint8Array, receiverHit: Uint8Array): HipHeader => ({ type, version: HIP_VERSION, controls: 0, senderHit, receiverHit });

/** A parameter that a packet must have. */
export function required(packet: { readonly parameters: readonly RawParameter[] }, type: number, name: string): Uint8Array {
  const found = parameter(packet, type);
  if (found === undefined) throw new HipRefusal("malformed", `without ${name}`, { notify: "INVALID_SYNTAX" });
  return found.contents;
}

export interface MacKey {
  readonly rhash: Rhash;
  readonly key: Uint8Array;
  /** Of R2: the responder's HOST_ID, which HIP_MAC_2 covers too. */
  readonly hostId?: Uint8Array;
}

/** Adds HIP_MAC (HIP_MAC_2 when `mac` has a HOST_ID), HIP_SIGNATURE, and `behind`, which neither covers. A packet that ends where a MAC begins is what it covers. */
export function sealPacket(
  identity: HostIdentity, header: HipHeader, parameters: readonly ParameterContents[], mac: MacKey | null, behind: readonly ParameterContents[] = [],
): Uint8Array {
  const sealed = [...parameters];
  if (mac !== null) {
    const covered = mac.hostId === undefined ? sealed : [...sealed, { type: PARAMETER.hostId, contents: mac.hostId }];
    const contents = encodeHipMac(hipMac(mac.rhash, mac.key, encodeHipPacket(header, covered)));
    sealed.push({ type: mac.hostId === undefined ? PARAMETER.hipMac : PARAMETER.hipMac2, contents });
  }
  sealed.push(signatureOf(identity, header, sealed, PARAMETER.hipSignature));
  return encodeHipPacket(header, [...sealed, ...behind]);
}

/** HIP_SIGNATURE, or HIP_SIGNATURE_2 when what it leaves out is already zero. */
export function signatureOf(identity: HostIdentity, header: HipHeader, parameters: readonly ParameterContents[], type: number): ParameterContents {
  const signature = signHip(identity, encodeHipPacket(header, parameters));
  return { type, contents: encodeHipSignature({ algorithm: algorithmNumber(identity), signature }) };
}

/** @throws HipRefusal when the MAC is missing or wrong */
export function checkMac(packet: HipPacket, { rhash, key, hostId }: MacKey): void {
  const type = hostId === undefined ? PARAMETER.hipMac : PARAMETER.hipMac2;
  const found = parameter(packet, type);
  if (found === undefined) throw new HipRefusal("malformed", "without HIP_MAC");
  const options = hostId === undefined ? {} : { appended: { type: PARAMETER.hostId, contents: hostId } };
  const mac = decodeHipMac(found.contents, RHASH_BYTES[rhash]);
  if (!checkHipMac(rhash, key, coveredBytes(packet, found.offset, options), mac)) throw new HipRefusal("mac", "a wrong HIP_MAC", { notify: "HIP_MAC_FAILED" });
}

/** @throws HipRefusal when the signature is missing, of another algorithm, or wrong */
export function checkSignature(packet: HipPacket, key: HostKey, type: number = PARAMETER.hipSignature, options: CoverageOptions = {}): void {
  const found = parameter(packet, type);
  if (found === undefined) throw new HipRefusal("malformed", "without HIP_SIGNATURE");
  const { algorithm, signature } = decodeHipSignature(found.contents);
  if (algorithm !== algorithmNumber(key) || !verifyHip(key, coveredBytes(packet, found.offset, options), signature)) {
    throw new HipRefusal("signature", "a wrong HIP_SIGNATURE", { notify: "AUTHENTICATION_FAILED" });
  }
}
