/**
 * Parameters as type, length, contents (RFC 7401 §5.2.1), in a packet and inside ENCRYPTED.
 *
 *     0  type 2; its lowest bit is C, "critical"
 *     2  length 2: of the contents alone
 *     4  contents, then 0 to 7 bytes so that the whole is a multiple of 8: sent as zeros, not looked at by receivers
 *
 * Types stand in rising order. Unknown types with C are refused, those without are kept and ignored.
 */
import { WireError } from "@i3/common";
import { isCriticalParameter, isKnownParameter, mayRepeat } from "./numbers.js";

export const TLV_HEADER_BYTES = 4;

/** One TLV: views, not copies. `offset` is where its type field stands in the packet: what MACs and signatures cover ends there. */
export interface RawParameter {
  readonly type: number;
  readonly contents: Uint8Array;
  readonly offset: number;
}

/** What {@link encodeParameters} takes. */
export interface ParameterContents {
  readonly type: number;
  readonly contents: Uint8Array;
}

/** A parameter that must not be skipped and that we do not know: a NOTIFY with UNSUPPORTED_CRITICAL_PARAMETER_TYPE may answer (RFC 7401 §5.2.19). */
export class CriticalParameterError extends WireError {
  override readonly code = "ERR_I3_HIP_CRITICAL_PARAMETER";
  readonly parameterType: number;

  constructor(what: string, parameterType: number) {
    super(what, `critical parameter ${parameterType} is not known`);
    this.parameterType = parameterType;
  }
}

/** What a parameter takes with its header and padding. */
export const parameterBytes = (contentsBytes: number): number => Math.ceil((TLV_HEADER_BYTES + contentsBytes) / 8) * 8;

/** What a list of parameters takes. */
export const parametersBytes = (parameters: readonly ParameterContents[]): number =>
  parameters.reduce((sum, { contents }) => sum + parameterBytes(contents.length), 0);

// RFC 7401 §5.2: the order in the range of transport formats is left to their documents; RFC 5201's peers list them by preference.
const isTransportFormat = (type: number): boolean => type >= 2_048 && type <= 4_095;

/** Writes at `offset` and returns the bytes written. Sorts nothing: RangeError when out of order or repeated without leave. */
export function encodeParametersInto(out: Uint8Array, offset: number, parameters: readonly ParameterContents[]): number {
  let at = offset;
  let last = -1;
  for (const { type, contents } of parameters) {
    if (!Number.isInteger(type) || type < 0 || type > 0xffff) throw new RangeError(`parameter type ${type}`);
    if (type < last || (type === last && !mayRepeat(type))) throw new RangeError(`parameter ${type} after ${last}`);
    if (contents.length > 0xffff) throw new RangeError(`parameter ${type} of ${contents.length} bytes`);
    last = type;
    out[at] = type >> 8;
    out[at + 1] = type & 0xff;
    out[at + 2] = contents.length >> 8;
    out[at + 3] = contents.length & 0xff;
    out.set(contents, at + TLV_HEADER_BYTES);
    out.fill(0, at + TLV_HEADER_BYTES + contents.length, at + parameterBytes(contents.length));
    at += parameterBytes(contents.length);
  }
  return at - offset;
}

/** The plaintext of ENCRYPTED without the cipher's padding. RangeError as {@link encodeParametersInto}. */
export function encodeParameters(parameters: readonly ParameterContents[]): Uint8Array {
  const out = new Uint8Array(parametersBytes(parameters));
  encodeParametersInto(out, 0, parameters);
  return out;
}

/**
 * All parameters from `start` to the end of `bytes`, views of it. Throws WireError.
 * @param onCritical told the type of each unknown critical one; @default throws {@link CriticalParameterError}
 */
export function decodeParameters(what: string, bytes: Uint8Array, start = 0, onCritical = (type: number): void => refuseCritical(what, type)): readonly RawParameter[] {
  const found: RawParameter[] = [];
  let last = -1;
  for (let at = start; at < bytes.length; ) {
    if (bytes.length - at < 8) throw new WireError(what, "a parameter shorter than 8 bytes");
    const type = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
    const length = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
    const end = at + parameterBytes(length);
    if (end > bytes.length) throw new WireError(what, `parameter ${type} longer than the packet`);
    if (type < last && !(isTransportFormat(type) && isTransportFormat(last))) throw new WireError(what, `parameter ${type} after ${last}`);
    if (!mayRepeat(type) && found.some((parameter) => parameter.type === type)) throw new WireError(what, `parameter ${type} twice`);
    if (isCriticalParameter(type) && !isKnownParameter(type)) onCritical(type);
    found.push({ type, contents: bytes.subarray(at + TLV_HEADER_BYTES, at + TLV_HEADER_BYTES + length), offset: at });
    last = type;
    at = end;
  }
  return found;
}

function refuseCritical(what: string, type: number): never {
  throw new CriticalParameterError(what, type);
}
