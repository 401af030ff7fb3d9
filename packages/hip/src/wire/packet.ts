/**
 * A whole HIP packet (RFC 7401 §5), without the four zero bytes that stand before it in UDP: the header, whose form is that of `@i3/common` wire/hip-header.ts, then
 * parameters (tlv.ts). Nothing may follow them.
 */
import { HIP_HEADER_BYTES, HIP_NEXT_HEADER_NONE, HIP_OFFSET, hipType, HIT_BYTES, MAX_HIP_PACKET_BYTES, WireError } from "@i3/common";
import { CriticalParameterError, decodeParameters, encodeParametersInto, parameterBytes, parametersBytes, type ParameterContents, type RawParameter } from "./tlv.js";
import { PARAMETER } from "./numbers.js";

export { HIP_HEADER_BYTES, MAX_HIP_PACKET_BYTES } from "@i3/common";

// RFC 7401 §5.1.
export const HIP_VERSION = 2;
/** Controls bit A: the sender's host identity is anonymous (RFC 7401 §5.1.2). */
export const CONTROL_ANONYMOUS = 0x0001;

export interface HipHeader {
  /** 0 to 127; {@link HIP_PACKET} has the known ones. */
  readonly type: number;
  /** Always 2: others are refused. */
  readonly version: number;
  readonly controls: number;
  /** 16 bytes, a copy. */
  readonly senderHit: Uint8Array;
  /** 16 bytes, a copy; zeros in an opportunistic I1. */
  readonly receiverHit: Uint8Array;
}

/** `parameters` and `bytes` are views of what was given. */
export interface HipPacket {
  readonly header: HipHeader;
  /** As it stands; not checked here, since only the caller knows the addresses and whether UDP was outside. */
  readonly checksum: number;
  readonly parameters: readonly RawParameter[];
  /** The type of the first critical parameter that is not known: such a packet means nothing, but its sender may be told (RFC 7401 §5.2.19). Null in what {@link decodeHipPacket} returns. */
  readonly unknownCritical: number | null;
  readonly bytes: Uint8Array;
}

/**
 * Reads one whole packet. Throws WireError, and {@link CriticalParameterError} for an unknown critical parameter. The type of packet is not looked at.
 * DEVIATION: RFC 7401 §5.1 lets other data follow behind a next header other than 59, to be ignored; here such a packet is refused, because
 * nothing that a MAC does not cover should travel with one.
 */
export function decodeHipPacket(bytes: Uint8Array): HipPacket {
  const packet = decodeHipPacketLeniently(bytes);
  if (packet.unknownCritical !== null) throw new CriticalParameterError("HIP", packet.unknownCritical);
  return packet;
}

/** The same, for who looks at `unknownCritical` itself. Throws WireError. */
export function decodeHipPacketLeniently(bytes: Uint8Array): HipPacket {
  const type = hipType(bytes, 0, bytes.length);
  if (type < 0) throw new WireError("HIP", "a malformed header: too short, or of another length, next header or version than it should be");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let unknownCritical: number | null = null;
  const parameters = decodeParameters("HIP", bytes, HIP_HEADER_BYTES, (critical) => {
    unknownCritical ??= critical;
  });
  return {
    header: {
      type, version: HIP_VERSION, controls: view.getUint16(HIP_OFFSET.controls),
      senderHit: bytes.slice(HIP_OFFSET.senderHit, HIP_OFFSET.senderHit + HIT_BYTES), receiverHit: bytes.slice(HIP_OFFSET.receiverHit, HIP_OFFSET.receiverHit + HIT_BYTES),
    },
    checksum: view.getUint16(HIP_OFFSET.checksum),
    parameters, unknownCritical, bytes,
  };
}

/** The length that {@link encodeHipPacket} would make. */
export const hipPacketBytes = (parameters: readonly ParameterContents[]): number => HIP_HEADER_BYTES + parametersBytes(parameters);

/** Header length and order are seen to, checksum is 0. RangeError when parameters are out of order, or the whole is longer than {@link MAX_HIP_PACKET_BYTES}. */
export function encodeHipPacket(header: HipHeader, parameters: readonly ParameterContents[]): Uint8Array {
  const length = hipPacketBytes(parameters);
  if (length > MAX_HIP_PACKET_BYTES) throw new RangeError(`HIP packet of ${length} bytes`);
  if (header.version !== HIP_VERSION) throw new RangeError(`HIP version ${header.version}`);
  if (!Number.isInteger(header.type) || header.type < 0 || header.type > 0x7f) throw new RangeError(`HIP packet type ${header.type}`);
  if (!Number.isInteger(header.controls) || header.controls < 0 || header.controls > 0xffff) throw new RangeError(`HIP controls ${header.controls}`);
  if (header.senderHit.length !== HIT_BYTES || header.receiverHit.length !== HIT_BYTES) throw new RangeError("a HIT has 16 bytes");
  const out = new Uint8Array(length);
  const view = new DataView(out.buffer);
  view.setUint8(HIP_OFFSET.nextHeader, HIP_NEXT_HEADER_NONE);
  view.setUint8(HIP_OFFSET.length, length / 8 - 1);
  view.setUint8(HIP_OFFSET.type, header.type);
  view.setUint8(HIP_OFFSET.version, (HIP_VERSION << 4) | 1);
  view.setUint16(HIP_OFFSET.controls, header.controls);
  out.set(header.senderHit, HIP_OFFSET.senderHit);
  out.set(header.receiverHit, HIP_OFFSET.receiverHit);
  encodeParametersInto(out, HIP_HEADER_BYTES, parameters);
  return out;
}

/** The only parameter of a type. WireError when there are several. */
export function parameter(packet: { readonly parameters: readonly RawParameter[] }, type: number): RawParameter | undefined {
  const found = parametersOf(packet, type);
  if (found.length > 1) throw new WireError("HIP", `parameter ${type} twice`);
  return found[0];
}

/** All parameters of a type that may repeat, in their order. */
export const parametersOf = (packet: { readonly parameters: readonly RawParameter[] }, type: number): readonly RawParameter[] =>
  packet.parameters.filter((found) => found.type === type);

export interface CoverageOptions {
  /** HIP_SIGNATURE_2: an R1 is signed before its receiver is known. */
  readonly zeroReceiverHit?: boolean;
  /** HIP_SIGNATURE_2: Opaque and Random #I of PUZZLE are filled in later; difficulty and lifetime are covered. */
  readonly zeroPuzzle?: boolean;
  /** HIP_MAC_2: the responder's HOST_ID, which R2 does not carry, counts as if it stood at the end. */
  readonly appended?: ParameterContents;
}

/**
 * The bytes that a MAC or signature whose type field stands at `offset` covers: all before it, checksum zero, header length as if the packet ended
 * there (RFC 7401 §6.4.1, §6.4.2; §5.2.13 and §5.2.15 for the options). A copy. RangeError when `offset` is not where a parameter begins or the packet ends.
 */
export function coveredBytes(packet: HipPacket, offset: number, options: CoverageOptions = {}): Uint8Array {
  if (offset !== packet.bytes.length && !packet.parameters.some((found) => found.offset === offset)) throw new RangeError(`no parameter at ${offset}`);
  const { appended } = options;
  const length = offset + (appended === undefined ? 0 : parameterBytes(appended.contents.length));
  // HOST_ID may make it longer than any packet; header length then wraps as a byte, for both sides alike.
  const out = new Uint8Array(length);
  out.set(packet.bytes.subarray(0, offset));
  if (appended !== undefined) encodeParametersInto(out, offset, [appended]);
  out[HIP_OFFSET.length] = length / 8 - 1;
  out.fill(0, HIP_OFFSET.checksum, HIP_OFFSET.checksum + 2);
  if (options.zeroReceiverHit === true) out.fill(0, HIP_OFFSET.receiverHit, HIP_OFFSET.receiverHit + HIT_BYTES);
  if (options.zeroPuzzle === true) {
    for (const puzzle of parametersOf(packet, PARAMETER.puzzle)) {
      // type 2, length 2, K 1, lifetime 1, then what is left out
      if (puzzle.offset < offset && puzzle.contents.length > 2) out.fill(0, puzzle.offset + 6, puzzle.offset + 4 + puzzle.contents.length);
    }
  }
  return out;
}
