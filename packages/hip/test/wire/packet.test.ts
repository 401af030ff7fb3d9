import { WireError } from "@i3/common";
import { describe, expect, it } from "vitest";

import {
  coveredBytes, CriticalParameterError, decodeHipPacket, decodeParameters, encodeHipPacket, encodeParameters, hipChecksum, hipPacketBytes, isCriticalParameter,
  isKnownParameter, MAX_HIP_PACKET_BYTES, mayRepeat, PARAMETER, parameter, parameterBytes, parametersOf, setChecksum, type HipHeader,
} from "../../src/index.js";
import { filled, hex, PACKET_ROWS } from "./packet-rows.js";

const header: HipHeader = { type: 3, version: 2, controls: 0, senderHit: filled(16, 0xaa), receiverHit: filled(16, 0xbb) };

/** A packet of parameters in any order. */
function around(tlvs: Uint8Array): Uint8Array {
  const out = Uint8Array.from([...encodeHipPacket(header, []), ...tlvs]);
  out[1] = out.length / 8 - 1;
  return out;
}

const tlv = (type: number, contents: Uint8Array): Uint8Array => encodeParameters([{ type, contents }]);

describe("HIP packets", () => {
  describe.each(PACKET_ROWS)("$name", ({ header: expected, parameters, hex: text }) => {
    const wire = hex(text);

    it("is written", () => {
      expect(encodeHipPacket(expected, parameters)).toEqual(wire);
      expect(hipPacketBytes(parameters)).toBe(wire.length);
    });

    it("is read at an offset", () => {
      const datagram = Uint8Array.from([0, 0, 0, 0, ...wire, 0xee]);
      const bytes = datagram.subarray(4, 4 + wire.length);
      const packet = decodeHipPacket(bytes);
      expect(packet.header).toEqual(expected);
      expect(packet.checksum).toBe(0);
      expect(packet.bytes).toBe(bytes);
      expect(packet.parameters.map(({ type, contents }) => ({ type, contents }))).toEqual(parameters);
      for (const { type, offset } of packet.parameters) expect(new DataView(wire.buffer).getUint16(offset)).toBe(type);
      datagram.fill(0xee);
      expect(packet.header).toEqual(expected);
      expect(packet.parameters.every(({ contents }) => contents.every((byte) => byte === 0xee))).toBe(true);
    });

    it("is rejected at every truncation and with bytes behind it", () => {
      for (let length = 0; length < wire.length; length++) expect(() => decodeHipPacket(wire.subarray(0, length))).toThrow(WireError);
      for (let more = 1; more <= 16; more++) expect(() => decodeHipPacket(Uint8Array.from([...wire, ...filled(more, 0)]))).toThrow(WireError);
    });

    it("is rejected when cut inside a parameter, its header length right", () => {
      const ends = [40, ...decodeHipPacket(wire).parameters.map(({ offset, contents }) => offset + parameterBytes(contents.length))];
      for (let length = 40; length < wire.length; length += 8) {
        const cut = wire.slice(0, length);
        cut[1] = length / 8 - 1;
        if (ends.includes(length)) expect(decodeHipPacket(cut).bytes).toBe(cut);
        else expect(() => decodeHipPacket(cut)).toThrow(WireError);
      }
    });

    it("is rejected with every other length, next header, version or fixed bit, and read with any reserved bits and padding", () => {
      const changed = (at: number, value: number): Uint8Array => wire.with(at, value);
      for (let value = 0; value < 256; value++) {
        if (value !== 59) expect(() => decodeHipPacket(changed(0, value))).toThrow(WireError);
        if (value !== wire[1]) expect(() => decodeHipPacket(changed(1, value))).toThrow(WireError);
        if (value >= 0x80) expect(() => decodeHipPacket(changed(2, value))).toThrow(WireError);
        if ((value & 0xf1) !== 0x21) expect(() => decodeHipPacket(changed(3, value))).toThrow(WireError);
        else expect(decodeHipPacket(changed(3, value)).header).toEqual(expected);
      }
      const padded = wire.slice();
      for (const { offset, contents } of decodeHipPacket(wire).parameters) padded.fill(0xff, offset + 4 + contents.length, offset + parameterBytes(contents.length));
      expect(decodeHipPacket(padded).parameters.map(({ type, contents }) => ({ type, contents }))).toEqual(parameters);
    });
  });

  it("takes the longest packet and refuses to write a longer one", () => {
    const wire = encodeHipPacket(header, [{ type: 32_778, contents: filled(2_004, 7) }]);
    expect([wire.length, wire[1]]).toEqual([MAX_HIP_PACKET_BYTES, 255]);
    expect(decodeHipPacket(wire).parameters[0]?.contents).toEqual(filled(2_004, 7));
    expect(() => encodeHipPacket(header, [{ type: 32_778, contents: filled(2_005, 7) }])).toThrow(RangeError);
  });

  it("refuses to write what it would not read", () => {
    const bad = (change: Partial<HipHeader>): (() => unknown) => () => encodeHipPacket({ ...header, ...change }, []);
    for (const change of [{ version: 1 }, { type: -1 }, { type: 128 }, { type: 1.5 }, { controls: -1 }, { controls: 65_536 }, { senderHit: filled(15, 0) }, { receiverHit: filled(17, 0) }]) {
      expect(bad(change)).toThrow(RangeError);
    }
    const contents = filled(4, 0);
    for (const types of [[321, 257], [4_095, 2_049], [257, 257], [61_697, 61_697], [65_536], [-1]]) {
      expect(() => encodeHipPacket(header, types.map((type) => ({ type, contents })))).toThrow(RangeError);
    }
    expect(() => encodeParameters([{ type: 1_000, contents: filled(65_536, 0) }])).toThrow(RangeError);
  });

  it("refuses falling types, but not among transport formats", () => {
    const list = (...types: number[]): Uint8Array => around(Uint8Array.from(types.flatMap((type) => [...tlv(type, filled(2, 1))])));
    expect(() => decodeHipPacket(list(321, 257))).toThrow(WireError);
    expect(() => decodeHipPacket(list(961, 2_049, 897))).toThrow(WireError);
    expect(() => decodeHipPacket(list(4_095, 961))).toThrow(WireError);
    expect(() => decodeHipPacket(list(4_098, 4_095))).toThrow(WireError);
    expect(decodeHipPacket(list(961, 4_095, 2_049, 61_505)).parameters.map(({ type }) => type)).toEqual([961, 4_095, 2_049, 61_505]);
    expect(() => decodeHipPacket(list(4_095, 2_049, 4_095))).toThrow(WireError);
  });

  it("refuses every known type twice unless it may repeat", () => {
    for (const type of Object.values(PARAMETER)) {
      const twice = around(Uint8Array.from([...tlv(type, filled(1, 1)), ...tlv(type, filled(1, 2))]));
      const repeats = type === PARAMETER.espInfo || type === PARAMETER.notification || type === PARAMETER.echoRequestUnsigned || type === PARAMETER.echoResponseUnsigned;
      expect([type, mayRepeat(type)]).toEqual([type, repeats]);
      if (repeats) {
        const packet = decodeHipPacket(twice);
        expect(parametersOf(packet, type).map(({ contents }) => contents[0])).toEqual([1, 2]);
        expect(() => parameter(packet, type)).toThrow(WireError);
      } else {
        expect(() => decodeHipPacket(twice)).toThrow(WireError);
      }
    }
  });

  it("finds a parameter or none", () => {
    const packet = decodeHipPacket(encodeHipPacket(header, [{ type: 257, contents: filled(3, 1) }, { type: 321, contents: filled(3, 2) }]));
    expect(parameter(packet, 321)).toEqual({ type: 321, contents: filled(3, 2), offset: 48 });
    expect(parameter(packet, 385)).toBeUndefined();
    expect(parametersOf(packet, 385)).toEqual([]);
  });

  it("tells an unknown critical parameter from every other fault", () => {
    for (let type = 0; type < 65_536; type += type < 4_200 ? 1 : 97) {
      const wire = around(tlv(type, filled(2, 0)));
      expect(isCriticalParameter(type)).toBe(type % 2 === 1);
      if (type % 2 === 1 && !isKnownParameter(type)) {
        const error = ((): unknown => {
          try {
            return decodeHipPacket(wire);
          } catch (thrown) {
            return thrown;
          }
        })();
        expect(error).toBeInstanceOf(CriticalParameterError);
        expect(error).toBeInstanceOf(WireError);
        expect(error).toMatchObject({ code: "ERR_I3_HIP_CRITICAL_PARAMETER", parameterType: type });
      } else {
        expect(decodeHipPacket(wire).parameters).toHaveLength(1);
      }
    }
  });

  it("reads the parameters inside ENCRYPTED", () => {
    const inner = [{ type: 705, contents: filled(9, 1) }, { type: 32_774, contents: filled(32, 2) }];
    const wire = encodeParameters(inner);
    expect(wire).toEqual(hex(`02c1 0009 ${"01".repeat(9)} 000000 | 8006 0020 ${"02".repeat(32)} 00000000`));
    expect(decodeParameters("ENCRYPTED", wire).map(({ type, contents }) => ({ type, contents }))).toEqual(inner);
    for (let length = 1; length < wire.length; length++) {
      if (length === 16) expect(decodeParameters("ENCRYPTED", wire.subarray(0, length))).toHaveLength(1);
      else expect(() => decodeParameters("ENCRYPTED", wire.subarray(0, length))).toThrow(WireError);
    }
  });
});

describe("HIP checksum", () => {
  const wire = encodeHipPacket({ type: 1, version: 2, controls: 1, senderHit: hex("2001002a000102030405060708090a0b"), receiverHit: filled(16, 0) }, [
    { type: 511, contents: hex("080703") },
  ]);
  const four = [hex("c0000207"), hex("cb007109")] as const;
  const six = [hex("20010db8000000000000000000000001"), hex("20010db800000000000000000000ffff")] as const;

  /** All sixteen-bit words one after the other, with end-around carry (RFC 1071). */
  function naive(...parts: readonly Uint8Array[]): number {
    const all = Uint8Array.from(parts.flatMap((part) => [...part]));
    let sum = 0;
    for (let i = 0; i < all.length; i += 2) {
      sum += new DataView(all.buffer).getUint16(i);
      if (sum > 0xffff) sum -= 0xffff;
    }
    return 0xffff - sum;
  }

  it("is that of the pseudo-header of either family, whatever stands in the field", () => {
    const expected4 = naive(...four, hex("00 8b 0030"), wire);
    const expected6 = naive(...six, hex("00000030 000000 8b"), wire);
    expect(expected4).not.toBe(expected6);
    for (const stands of [0, 1, 0xffff, expected4]) {
      const bytes = wire.slice();
      setChecksum(bytes, stands);
      expect(decodeHipPacket(bytes).checksum).toBe(stands);
      expect(hipChecksum(bytes, ...four)).toBe(expected4);
      expect(hipChecksum(bytes, ...six)).toBe(expected6);
    }
  });

  it("refuses mixed and odd addresses and short packets", () => {
    expect(() => hipChecksum(wire, four[0], six[0])).toThrow(RangeError);
    expect(() => hipChecksum(wire, filled(5, 1), filled(5, 1))).toThrow(RangeError);
    expect(() => hipChecksum(wire.subarray(0, 39), ...four)).toThrow(RangeError);
    expect(() => { setChecksum(wire.subarray(0, 39), 1); }).toThrow(RangeError);
  });
});

describe("what MACs and signatures cover", () => {
  const parameters = [
    { type: PARAMETER.r1Counter, contents: filled(12, 1) },
    { type: PARAMETER.puzzle, contents: hex(`0a 25 beef ${"11".repeat(32)}`) },
    { type: PARAMETER.hostId, contents: filled(3, 2) },
    { type: PARAMETER.hipMac, contents: filled(32, 3) },
    { type: PARAMETER.hipSignature, contents: filled(5, 4) },
    { type: PARAMETER.echoRequestUnsigned, contents: filled(4, 5) },
  ];
  const bytes = encodeHipPacket(header, parameters);
  setChecksum(bytes, 0xabcd);
  bytes[3] = 0x2f; // reserved bits are covered as they came
  const packet = decodeHipPacket(bytes);
  const at = (type: number): number => parameter(packet, type)?.offset ?? -1;

  it("is all before it, the checksum zero and the header length its own", () => {
    for (const [index, { type }] of parameters.entries()) {
      const expected = encodeHipPacket(header, parameters.slice(0, index)).with(3, 0x2f);
      expect(coveredBytes(packet, at(type))).toEqual(expected);
    }
    expect(coveredBytes(packet, bytes.length)).toEqual(encodeHipPacket(header, parameters).with(3, 0x2f));
    expect(new DataView(bytes.buffer).getUint16(4)).toBe(0xabcd);
  });

  it("leaves out the receiver's HIT and the puzzle's opaque and random, not its difficulty and lifetime", () => {
    const offset = at(PARAMETER.hipSignature);
    const zeroed = parameters.slice(0, 4).with(1, { type: PARAMETER.puzzle, contents: hex(`0a 25 0000 ${"00".repeat(32)}`) });
    expect(coveredBytes(packet, offset, { zeroPuzzle: true })).toEqual(encodeHipPacket(header, zeroed).with(3, 0x2f));
    expect(coveredBytes(packet, offset, { zeroReceiverHit: true })).toEqual(
      encodeHipPacket({ ...header, receiverHit: filled(16, 0) }, parameters.slice(0, 4)).with(3, 0x2f));
    expect(coveredBytes(packet, at(PARAMETER.puzzle), { zeroPuzzle: true })).toEqual(encodeHipPacket(header, parameters.slice(0, 1)).with(3, 0x2f));
    const tiny = decodeHipPacket(encodeHipPacket(header, [{ type: PARAMETER.puzzle, contents: filled(1, 9) }, { type: PARAMETER.seq, contents: filled(4, 9) }]));
    expect(coveredBytes(tiny, 48, { zeroPuzzle: true })).toEqual(encodeHipPacket(header, [{ type: PARAMETER.puzzle, contents: filled(1, 9) }]));
  });

  it("counts the responder's HOST_ID as the last parameter for HIP_MAC_2", () => {
    const before = [{ type: PARAMETER.espInfo, contents: filled(12, 1) }];
    const r2 = decodeHipPacket(encodeHipPacket(header, [...before, { type: PARAMETER.hipMac2, contents: filled(48, 1) }]));
    const hostId = { type: PARAMETER.hostId, contents: filled(75, 6) };
    expect(coveredBytes(r2, 56, { appended: hostId })).toEqual(encodeHipPacket(header, [...before, hostId]));
    expect(coveredBytes(r2, 56, { appended: { type: PARAMETER.hostId, contents: filled(2_500, 1) } })).toHaveLength(56 + 2_504);
  });

  it("ends where a parameter begins or the packet ends", () => {
    for (let offset = -1; offset <= bytes.length + 8; offset++) {
      if (offset === bytes.length || packet.parameters.some((found) => found.offset === offset)) continue;
      expect(() => coveredBytes(packet, offset)).toThrow(RangeError);
    }
  });
});
