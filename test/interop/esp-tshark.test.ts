/**
 * Our ESP as Wireshark's dissector opens it (RFC 4303, 4106; docs/wire.md §7): bare in IP, rebuilt from the engine's datagrams, and in UDP (RFC 3948).
 *
 * Wireshark 4.0 has no 64-bit sequence numbers: it decrypts, and calls every ICV bad. scapy checks those, in esp-scapy.test.ts.
 */
import type { EspTransform } from "@i3/datapath";
import { describe, expect, it } from "vitest";
import { GCM, SPI } from "../../packages/datapath/test/reference/associations.js";
import { ip4, ip6 } from "../../packages/datapath/test/reference/packets.js";
import { inIp, inUdp, type Outer } from "./captures.js";
import { ENGINES, sealRows } from "./esp-engines.js";
import { ESP_ROWS, FIRST_SEQUENCES, ivBytes, TRANSFORMS } from "./esp-rows.js";
import { dissect } from "./tshark.js";

const ESP = 50;
const UDP_PORT = 4_444;
const OUTERS: Readonly<Record<"ip" | "ipv6", Outer>> = {
  ip: { source: ip4("192.0.2.1"), destination: ip4("198.51.100.7") },
  ipv6: { source: ip6(0x101), destination: ip6(0x207) },
};
/** Of either family, bare and in UDP, with the layers that tshark must find up to ESP. */
const CARRIERS = (["ip", "ipv6"] as const).flatMap((family) => {
  const outer = OUTERS[family];
  return [
    { layers: `raw:${family}:esp:`, carry: (esp: Uint8Array) => inIp(outer, ESP, esp) },
    { layers: `raw:${family}:udp:udpencap:esp:`, carry: (esp: Uint8Array) => inUdp(outer, UDP_PORT, esp) },
  ];
});
const FIELDS = ["frame.protocols", "esp.spi", "esp.sequence", "esp.iv", "esp.protocol", "esp.pad", "esp.pad_len", "esp.contained_data", "_ws.malformed"] as const;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** A row of tshark's table of associations, for either outer family. */
function associationOf(transform: EspTransform): readonly string[] {
  const [cipher, key, integrity, integrityKey] =
    transform.kind === "aes-gcm-16" ? ["AES-GCM with 16 octet ICV [RFC4106]", `0x${hex(transform.key)}${hex(transform.salt)}`, "NULL", ""]
    : transform.kind === "aes-cbc-hmac-sha-256" ? ["AES-CBC [RFC3602]", `0x${hex(transform.key)}`, "HMAC-SHA-256-128 [RFC4868]", `0x${hex(transform.integrityKey)}`]
    : ["NULL", "", "HMAC-SHA-256-128 [RFC4868]", `0x${hex(transform.integrityKey)}`];
  return ["IPv4", "IPv6"].flatMap((family) => ["-o", `uat:esp_sa:"${family}","*","*","0x${SPI.toString(16)}","${cipher}","${key}","${integrity}","${integrityKey}"`]);
}

const optionsFor = (transform: EspTransform): readonly string[] => [
  "-o", "esp.enable_encryption_decode:TRUE", "-o", "esp.enable_authentication_check:TRUE", ...associationOf(transform), "-d", `udp.port==${UDP_PORT},udpencap`,
  // Some packets inside look like these, by their port or by their first bytes.
  "--disable-protocol", "dns", "--disable-protocol", "tapa",
];

const blockBytes = (transform: EspTransform): number => (transform.kind === "aes-cbc-hmac-sha-256" ? 16 : 4);

describe.each(ENGINES)("tshark opens what the $name engine sealed", ({ make }) => {
  it.each(TRANSFORMS)("with $name", ({ transform }) => {
    const sealed = FIRST_SEQUENCES.flatMap((firstSequence) => sealRows(make, transform, firstSequence));
    const carried = CARRIERS.flatMap(({ layers, carry }) => sealed.map((packet) => ({ ...packet, layers, packet: carry(packet.esp) })));
    const found = dissect(carried.map(({ packet }) => packet), FIELDS, optionsFor(transform)).map((fields, at) => {
      const { row, layers = "" } = carried[at] ?? {};
      return { name: row?.name, ...fields, "frame.protocols": fields["frame.protocols"][0]?.slice(0, layers.length) };
    });
    expect(found).toEqual(carried.map(({ row: { name, payload, nextHeader }, sequence, esp, layers }) => {
      const padBytes = -(payload.length + 2) & (blockBytes(transform) - 1);
      return {
        name,
        "frame.protocols": layers,
        "esp.spi": [`0x${SPI.toString(16)}`],
        "esp.sequence": [String(BigInt.asUintN(32, sequence))],
        "esp.iv": ivBytes(transform) === 0 ? [] : [hex(esp.subarray(8, 8 + ivBytes(transform)))],
        "esp.protocol": [`0x${nextHeader.toString(16).padStart(2, "0")}`],
        "esp.pad": padBytes === 0 ? [] : [hex(Uint8Array.from({ length: padBytes }, (_, at) => at + 1))],
        "esp.pad_len": [String(padBytes)],
        "esp.contained_data": [hex(payload)],
        "_ws.malformed": [],
      };
    }));
  });

  it("but not with another key or salt", () => {
    const packets = sealRows(make, GCM, 1n).map(({ esp }) => inIp(OUTERS.ip, ESP, esp));
    for (const wrong of [{ ...GCM, key: GCM.key.with(31, 0) }, { ...GCM, salt: GCM.salt.with(3, 0) }]) {
      const found = dissect(packets, ["esp.contained_data"], optionsFor(wrong)).map((fields) => fields["esp.contained_data"][0]);
      expect(found.filter((contained, i) => contained === hex(ESP_ROWS[i]?.payload ?? new Uint8Array(0)))).toEqual([]);
    }
  });
});
