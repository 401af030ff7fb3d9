/** The fields of HIP that Wireshark's dissector reads right (hip-tshark.test.ts says which it does not), and what it must show of a packet. */
import {
  decodeEspInfo, decodeHipCipher, decodeHipPacket, decodePuzzle, decodeSolution, parameter, parametersOf, PARAMETER, RHASH_BYTES, rhashOf, type HipPacket, type Rhash,
} from "@i3/hip";
import type { HipRow } from "./hip-packets.js";

export type HipFields = Pick<HipRow, "type" | "controls" | "senderHit" | "receiverHit" | "parameters" | "puzzle" | "solution" | "espInfo" | "ciphers">;

export const FIELDS = [
  "frame.protocols", "hip.proto", "hip.hdr_len", "hip.shim6_fixed_p", "hip.packet_type", "hip.version", "hip.shim6_fixed_s", "hip.checksum.status", "hip.controls", "hip.hit_sndr", "hip.hit_rcvr",
  "hip.tlv_puzzle_k", "hip.tlv_puzzle_lifetime", "hip.tlv_puzzle_opaque", "hip.tlv.puzzle_random_i",
  "hip.tlv_solution_k", "hip.tlv_solution_reserved", "hip.tlv_solution_opaque", "hip.tlv.solution_random_i", "hip.tlv_solution_j",
  "hip.tlv_esp_info_reserved", "hip.tlv_esp_info_key_index", "hip.tlv_esp_info_old_spi", "hip.tlv_esp_info_new_spi", "hip.tlv.cipher_id",
  "_ws.malformed", "_ws.expert.message",
] as const;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const number = (value: number, digits: number): string => `0x${value.toString(16).padStart(digits, "0")}`;

/** What tshark must show of a row, whatever carries it. */
export function expectedOf({ type, controls, senderHit, receiverHit, parameters, puzzle, solution, espInfo, ciphers = [] }: HipFields, packetBytes: number): Readonly<Record<Exclude<(typeof FIELDS)[number], "frame.protocols">, readonly string[]>> {
  const one = <T>(value: T | undefined, show: (value: T) => string): readonly string[] => (value === undefined ? [] : [show(value)]);
  return {
    "hip.proto": ["59"],
    "hip.hdr_len": [String(packetBytes / 8 - 1)],
    "hip.shim6_fixed_p": ["0"],
    "hip.packet_type": [String(type)],
    "hip.version": ["2"],
    "hip.shim6_fixed_s": ["1"],
    "hip.checksum.status": ["1"],
    "hip.controls": [number(controls, 4)],
    "hip.hit_sndr": [hex(senderHit)],
    "hip.hit_rcvr": [hex(receiverHit)],
    "hip.tlv_puzzle_k": one(puzzle, ({ difficulty }) => String(difficulty)),
    "hip.tlv_puzzle_lifetime": one(puzzle, ({ lifetime }) => String(lifetime)),
    "hip.tlv_puzzle_opaque": one(puzzle, ({ opaque }) => `0x${hex(opaque)}`),
    "hip.tlv.puzzle_random_i": one(puzzle, ({ random }) => hex(random)),
    "hip.tlv_solution_k": one(solution, ({ difficulty }) => String(difficulty)),
    "hip.tlv_solution_reserved": one(solution, () => "0"),
    "hip.tlv_solution_opaque": one(solution, ({ opaque }) => `0x${hex(opaque)}`),
    "hip.tlv.solution_random_i": one(solution, ({ random }) => hex(random)),
    "hip.tlv_solution_j": one(solution, (fields) => hex(fields.solution)),
    "hip.tlv_esp_info_reserved": one(espInfo, () => "0x0000"),
    "hip.tlv_esp_info_key_index": one(espInfo, ({ keymatIndex }) => number(keymatIndex, 4)),
    "hip.tlv_esp_info_old_spi": one(espInfo, ({ oldSpi }) => number(oldSpi, 8)),
    "hip.tlv_esp_info_new_spi": one(espInfo, ({ newSpi }) => number(newSpi, 8)),
    "hip.tlv.cipher_id": ciphers.map(String),
    "_ws.malformed": [],
    "_ws.expert.message": parameters.filter(({ type: parameterType }) => parameterType === PARAMETER.hostId).map(() => "Unknown algorithm type"),
  };
}

/** What our own decoders read in a packet. RHASH is that of the responder's HIT, who sends PUZZLE and gets SOLUTION. */
export function fieldsOf(bytes: Uint8Array): HipFields {
  const packet: HipPacket = decodeHipPacket(bytes);
  const { header, parameters } = packet;
  const lengthOf = (hit: Uint8Array): (typeof RHASH_BYTES)[Rhash] => RHASH_BYTES[rhashOf(hit)];
  const [puzzle, solution, ciphers] = [PARAMETER.puzzle, PARAMETER.solution, PARAMETER.hipCipher].map((type) => parameter(packet, type)?.contents);
  const [espInfo] = parametersOf(packet, PARAMETER.espInfo);
  return {
    type: header.type, controls: header.controls, senderHit: header.senderHit, receiverHit: header.receiverHit, parameters,
    ...(puzzle !== undefined && { puzzle: decodePuzzle(puzzle, lengthOf(header.senderHit)) }),
    ...(solution !== undefined && { solution: decodeSolution(solution, lengthOf(header.receiverHit)) }),
    ...(ciphers !== undefined && { ciphers: decodeHipCipher(ciphers) }),
    ...(espInfo !== undefined && { espInfo: decodeEspInfo(espInfo.contents) }),
  };
}
