/**
 * HIP packets of ours as Wireshark's dissector reads them: directly in IP, and in UDP behind the zero marker (RFC 7401, 7402, 9028; docs/wire.md §9).
 *
 * Wireshark 4.0 knows most of HIPv2, but not all: R1_COUNTER (there at its number of version 1, 128), DH_GROUP_LIST and TRANSPORT_FORMAT_LIST are "Unknown" to it,
 * it expects the
 * DNSKEY header of version 1 in HOST_ID and says "Unknown algorithm type", and takes the first byte of a signature's algorithm for all of it. Of these only type and length are compared.
 */
import { hipChecksum, setChecksum } from "@i3/hip";
import { describe, expect, it } from "vitest";
import { concat, ip4, ip6 } from "../../packages/datapath/test/reference/packets.js";
import { inIp, inUdp, type Outer } from "./captures.js";
import { expectedOf, FIELDS } from "./hip-fields.js";
import { encodeRow, HIP_ROWS, type HipRow } from "./hip-packets.js";
import { dissect, hipParameters } from "./tshark.js";

const HIP = 139;
const HIP_PORT = 10_500;
const ZERO_MARKER = new Uint8Array(4);

const OUTERS: Readonly<Record<4 | 6, Outer>> = {
  4: { source: ip4("192.0.2.1"), destination: ip4("198.51.100.7") },
  6: { source: ip6(0x101), destination: ip6(0x207) },
};

const OTHER_FIELDS = [...new Set(HIP_ROWS.flatMap(({ others = {} }) => Object.keys(others)))];

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
