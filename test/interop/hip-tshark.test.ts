/**
 * HIP packets of ours as Wireshark's dissector reads them: directly in IP, and in UDP behind the zero marker (RFC 7401, 7402, 9028; docs/wire.md §9).
 *
 * Wireshark 4.0 knows most of HIPv2, but not all: R1_COUNTER (there at its number of version 1, 128), DH_GROUP_LIST and TRANSPORT_FORMAT_LIST are "Unknown" to it,
 * it expects the
 * DNSKEY header of version 1 in HOST_ID and says "Unknown algorithm type", and takes the first byte of a signature's algorithm for all of it. Of these only type and length are compared.
 */
import { hipChecksum, PARAMETER, setChecksum } from "@i3/hip";
import { describe, expect, it } from "vitest";
import { concat, ip4, ip6 } from "../../packages/datapath/test/reference/packets.js";
import { inIp, inUdp, type Outer } from "./captures.js";
import { encodeRow, HIP_ROWS, type HipRow } from "./hip-packets.js";
import { dissect, hipParameters } from "./tshark.js";

const HIP = 139;
const HIP_PORT = 10_500;
const ZERO_MARKER = new Uint8Array(4);

const OUTERS: Readonly<Record<4 | 6, Outer>> = {
  4: { source: ip4("192.0.2.1"), destination: ip4("198.51.100.7") },
  6: { source: ip6(0x101), destination: ip6(0x207) },
};

const FIELDS = [
  "frame.protocols", "hip.proto", "hip.hdr_len", "hip.shim6_fixed_p", "hip.packet_type", "hip.version", "hip.shim6_fixed_s", "hip.checksum.status", "hip.controls", "hip.hit_sndr", "hip.hit_rcvr",
  "hip.tlv_puzzle_k", "hip.tlv_puzzle_lifetime", "hip.tlv_puzzle_opaque", "hip.tlv.puzzle_random_i",
  "hip.tlv_solution_k", "hip.tlv_solution_reserved", "hip.tlv_solution_opaque", "hip.tlv.solution_random_i", "hip.tlv_solution_j",
  "hip.tlv_esp_info_reserved", "hip.tlv_esp_info_key_index", "hip.tlv_esp_info_old_spi", "hip.tlv_esp_info_new_spi", "hip.tlv.cipher_id",
  "_ws.malformed", "_ws.expert.message",
] as const;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const number = (value: number, digits: number): string => `0x${value.toString(16).padStart(digits, "0")}`;

const OTHER_FIELDS = [...new Set(HIP_ROWS.flatMap(({ others = {} }) => Object.keys(others)))];

/** What tshark must show of a row, whatever carries it. */
function expectedOf({ type, controls, senderHit, receiverHit, parameters, puzzle, solution, espInfo, ciphers = [] }: HipRow, packetBytes: number): Record<Exclude<(typeof FIELDS)[number], "frame.protocols">, readonly string[]> {
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

/** Directly in IP: `more` is added to the right checksum. */
function inHipProtocol(row: HipRow, outer: Outer, more = 0): Uint8Array {
  const bytes = encodeRow(row);
  setChecksum(bytes, (hipChecksum(bytes, outer.source, outer.destination) + more) & 0xffff);
  return inIp(outer, HIP, bytes);
}

const ROUTES = ([4, 6] as const).flatMap((family) => [
  { name: `protocol 139 of IPv${family}`, layers: family === 4 ? "raw:ip:hip" : "raw:ipv6:hip", carry: (row: HipRow) => inHipProtocol(row, OUTERS[family]) },
  {
    name: `UDP port 10500 over IPv${family}`, layers: family === 4 ? "raw:ip:udp:hip" : "raw:ipv6:udp:hip",
    carry: (row: HipRow) => inUdp(OUTERS[family], HIP_PORT, concat(ZERO_MARKER, encodeRow(row))),
  },
]);

describe.each(ROUTES)("tshark reads HIP on $name", ({ layers, carry }) => {
  const packets = HIP_ROWS.map(carry);

  it("header, checksum, PUZZLE, SOLUTION, ESP_INFO and HIP_CIPHER of every packet, and nothing malformed", () => {
    const found = dissect(packets, FIELDS).map((fields, i) => [HIP_ROWS[i]?.name, fields]);
    expect(found).toEqual(HIP_ROWS.map((row) => [row.name, { "frame.protocols": [layers], ...expectedOf(row, encodeRow(row).length) }]));
  });

  it("what it knows of the other parameters", () => {
    const found = dissect(packets, OTHER_FIELDS).map((fields, i) => [HIP_ROWS[i]?.name, fields]);
    const nothing = Object.fromEntries(OTHER_FIELDS.map((field) => [field, []]));
    expect(found).toEqual(HIP_ROWS.map(({ name, others }) => [name, { ...nothing, ...others }]));
  });

  it("type and length of every parameter", () => {
    const found = hipParameters(packets).map((parameters, i) => [HIP_ROWS[i]?.name, parameters]);
    expect(found).toEqual(HIP_ROWS.map(({ name, parameters }) => [name, parameters.map(({ type, contents }) => [type, contents.length])]));
  });
});

it("every type of packet is among them", () => {
  expect([...new Set(HIP_ROWS.map(({ type }) => type))]).toEqual([1, 2, 3, 4, 16, 17, 18, 19]);
});

it.each([4, 6] as const)("tshark tells a wrong checksum over IPv%i", (family) => {
  const statuses = dissect(HIP_ROWS.map((row) => inHipProtocol(row, OUTERS[family], 1)), ["hip.checksum.status"]).map((fields) => fields["hip.checksum.status"]);
  expect(statuses).toEqual(HIP_ROWS.map(() => ["0"]));
});
