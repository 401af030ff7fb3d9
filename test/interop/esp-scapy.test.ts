/**
 * ESP between our engines and scapy (RFC 4303, 4106, 3602, 2410, 4868; docs/wire.md §7), with 64-bit sequence numbers and their ICV: the same bytes
 * from both, each opens what the other sealed, and each refuses what was changed.
 */
import { afterEach, describe, expect, it } from "vitest";
import { inbound, OWN, OWN6, PEER, PEER6, SPI } from "../../packages/datapath/test/reference/associations.js";
import { ip4 } from "../../packages/datapath/test/reference/packets.js";
import { inIp } from "./captures.js";
import { ENGINES, sealRows, type SealedRow, type SteppedEngine } from "./esp-engines.js";
import { ESP_ROWS, FIRST_SEQUENCES, ivBytes, TRANSFORMS, type EspRow } from "./esp-rows.js";
import { openByScapy, sealByScapy, type ToOpen, type ToSeal } from "./scapy.js";

const ESP = 50;
const TUNNEL = ["192.0.2.1", "198.51.100.7"] as const;
const OUTER = { source: ip4(TUNNEL[0]), destination: ip4(TUNNEL[1]) };
const HIGH = 1n << 32n;

const hex = (bytes: Uint8Array | null | undefined): string | null => (bytes === null || bytes === undefined ? null : Buffer.from(bytes).toString("hex"));
const isTunnelled = ({ payload, packet }: EspRow): boolean => payload === packet;
const tunnelOf = (row: EspRow): readonly [string, string] | null => (isTunnelled(row) ? TUNNEL : null);

/** In the outer header of another machine's; BEET in the header of the packet inside, which is transport mode and all that scapy has. */
function carried(row: EspRow, esp: Uint8Array): Uint8Array {
  if (isTunnelled(row)) return inIp(OUTER, ESP, esp);
  return row.family === 4 ? inIp({ source: OWN, destination: PEER }, ESP, esp) : inIp({ source: OWN6, destination: PEER6 }, ESP, esp);
}

let opened: SteppedEngine | undefined;
afterEach(() => {
  opened?.close();
  opened = undefined;
});

describe.each(ENGINES)("the $name engine and scapy", ({ make }) => {
  describe.each(TRANSFORMS)("with $name", ({ transform }) => {
    const seal = (): readonly SealedRow[] => FIRST_SEQUENCES.flatMap((first) => sealRows(make, transform, first));

    it("seal the same packet to the same bytes", () => {
      const sealed = seal();
      const made = sealByScapy(transform, sealed.map(({ row, sequence, esp }) => ({ packet: row.packet, sequence, tunnel: tunnelOf(row), iv: esp.slice(8, 8 + ivBytes(transform)) })));
      expect(sealed.map(({ row, sequence }, i) => [row.name, sequence, hex(made[i])])).toEqual(sealed.map(({ row, sequence, esp }) => [row.name, sequence, hex(esp)]));
    });

    it("scapy opens what the engine sealed", () => {
      const sealed = seal();
      const found = openByScapy(transform, sealed.map(({ row, sequence, esp }) => ({ packet: carried(row, esp), sequence, tunnel: isTunnelled(row) })));
      expect(sealed.map(({ row, sequence }, i) => [row.name, sequence, hex(found[i])])).toEqual(sealed.map(({ row, sequence }) => [row.name, sequence, hex(row.packet)]));
    });

    it("scapy refuses it with another high half of its number, and with any byte changed", () => {
      const [first] = sealRows(make, transform, HIGH - 1n) as readonly [SealedRow];
      const asked = (esp: Uint8Array, sequence = HIGH - 1n): ToOpen => ({ packet: carried(first.row, esp), sequence, tunnel: true });
      const elsewhere = [2n * HIGH - 1n, 2n ** 64n - 1n].map((sequence) => asked(first.esp, sequence));
      // All but the SPI, by which scapy finds its association.
      const changed = Array.from(first.esp.keys()).slice(4).filter((at) => at < 60 || at >= first.esp.length - 40).map((at) => asked(first.esp.with(at, (first.esp[at] ?? 0) ^ 0x10)));
      const [genuine, ...others] = openByScapy(transform, [asked(first.esp), ...elsewhere, ...changed]);
      expect(hex(genuine)).toEqual(hex(first.row.packet));
      expect(others.map(hex)).toEqual([...elsewhere, ...changed].map(() => null));
    });

    it.each([null, 4, 6] as const)("the engine opens what scapy sealed, BEET %s", (beet) => {
      const { engine, fromUdp } = (opened = make());
      engine.setInboundAssociation(SPI, inbound({ transform, beet }));
      engine.setFlow(OWN, { action: "refuse" });
      // The high half is not sent: the engine follows it from number to number across the end of the low one.
      const numbered = [HIGH / 2n, HIGH - 9_000n, ...ESP_ROWS.map((_, i) => HIGH - 4n + BigInt(i))].map((sequence, i) => ({ row: ESP_ROWS[i % ESP_ROWS.length] as EspRow, sequence }));
      const made = sealByScapy(transform, numbered.map(({ row, sequence }) => ({ packet: row.packet, sequence, tunnel: tunnelOf(row) })));
      const understood = numbered.map(({ row }, i) => ({ row, esp: made[i] ?? new Uint8Array(0) })).filter(({ row }) => isTunnelled(row) || row.family === beet);
      const { tun, drops } = fromUdp(understood.map(({ esp }) => esp));
      expect(drops).toEqual({});
      expect(tun.map(hex)).toEqual(understood.map(({ row }) => hex(row.packet)));
    });

    it("the engine refuses what scapy sealed for another number, with another key, and what was changed", () => {
      const { engine, fromUdp } = (opened = make());
      engine.setInboundAssociation(SPI, inbound({ transform, beet: 4 }));
      engine.setFlow(OWN, { action: "refuse" });
      const [{ packet }] = ESP_ROWS as readonly [EspRow];
      const one = (sequence: bigint): ToSeal => ({ packet, sequence, tunnel: TUNNEL });
      const [genuine = new Uint8Array(0), high = new Uint8Array(0)] = sealByScapy(transform, [one(7n), one(HIGH + 8n)]);
      const otherKey = transform.kind === "aes-gcm-16" ? { ...transform, key: transform.key.with(0, 1) } : { ...transform, integrityKey: transform.integrityKey.with(0, 1) };
      const bad = [high, ...sealByScapy(otherKey, [one(9n)]), ...[8, 40, genuine.length - 1].map((at) => genuine.with(at, (genuine[at] ?? 0) ^ 1))];
      expect(fromUdp(bad)).toMatchObject({ tun: [], drops: { integrity: bad.length } });
      expect(fromUdp([genuine]).tun.map(hex)).toEqual([hex(packet)]);
    });
  });
});
