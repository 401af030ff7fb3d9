/**
 * Whether a peer really is where a packet of its came from (RFC 8046 §5.4): before anything but an answer goes there, it has to return a random number that was sent
 * there. Who listens on the way could send a genuine UPDATE from an address of its choice, and a lying peer could name somebody else's.
 *
 *     UPDATE(SEQ, ECHO_REQUEST_SIGNED)    -> to the new address
 *                                         <- UPDATE(ACK, ECHO_RESPONSE_SIGNED)
 */
import { sameBytes } from "@i3/common";

import { PARAMETER } from "../wire/numbers.js";
import { parameter, type HipPacket } from "../wire/packet.js";
import { decodeEcho, encodeEcho, MAX_ECHO_BYTES } from "../wire/parameters/echo.js";
import type { ParameterContents } from "../wire/tlv.js";
import type { Outstanding } from "./pair.js";
import type { HipPath } from "./paths.js";
import { HipRefusal } from "./refusal.js";

/** Length of the random number. */
export const ECHO_BYTES = 16;

export class AddressCheck {
  readonly path: HipPath;
  readonly outstanding: Outstanding;
  readonly #echo: Uint8Array;

  /** @param send an UPDATE with the next id and this parameter, to the path */
  constructor(path: HipPath, echo: Uint8Array, send: (request: ParameterContents) => Outstanding) {
    this.path = path;
    this.#echo = echo;
    this.outstanding = send({ type: PARAMETER.echoRequestSigned, contents: encodeEcho(echo) });
  }

  /** Whether the packet, which acknowledges ours, returns the number. */
  isPassedBy(packet: HipPacket): boolean {
    const found = parameter(packet, PARAMETER.echoResponseSigned);
    return found !== undefined && sameBytes(decodeEcho(found.contents), this.#echo);
  }
}

/** What answers an ECHO_REQUEST_SIGNED of a packet; nothing when it has none. Throws HipRefusal when it is too long to return. */
export function echoesFor(packet: HipPacket): readonly ParameterContents[] {
  const found = parameter(packet, PARAMETER.echoRequestSigned);
  if (found === undefined) return [];
  if (found.contents.length > MAX_ECHO_BYTES) throw new HipRefusal("malformed", "an ECHO_REQUEST too long to return");
  return [{ type: PARAMETER.echoResponseSigned, contents: encodeEcho(decodeEcho(found.contents)) }];
}
