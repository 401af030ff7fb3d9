import { WireError } from "@i3/common";
import { describe, expect, it } from "vitest";

import {
  decodeAck, decodeDhGroupList, decodeDiffieHellman, decodeEspInfo, decodeEspTransform, decodeHipCipher, decodeHipPacket, decodeHitSuiteList, decodeHostId, decodeI3Preferences,
  decodeLocatorSet, decodeNatTraversalMode, decodePuzzle, decodeR1Counter, decodeSolution, decodeTransportFormatList, encodeAck, encodeDhGroupList, encodeDiffieHellman, encodeEcho, encodeEncrypted,
  encodeEspInfo, encodeEspTransform, encodeHipCipher, encodeHipMac, encodeHipPacket, encodeHitSuiteList, encodeHostId, encodeI3Padding, encodeI3Preferences,
  encodeI3PrivateId, encodeI3ReturnId, encodeI3OwnId, encodeLocatorSet, encodeNatTraversalMode, encodeNotification, encodePuzzle, encodeR1Counter, encodeSeq, encodeSolution,
  encodeTransportFormatList, hipPacketBytes, MAX_ACKS, MAX_CIPHERS, MAX_DH_GROUPS, MAX_ECHO_BYTES, MAX_HIP_PACKET_BYTES, MAX_HIT_SUITES, MAX_LOCATORS, MAX_NAT_MODES,
  MAX_TRANSPORT_FORMATS, NOTIFY_CODE, notifyName, PARAMETER, type HipLocator,
} from "../../src/index.js";
import { filled, hex } from "./packet-rows.js";
import { PARAMETER_ROWS } from "./parameter-rows.js";

const header = { type: 2, version: 2, controls: 0, senderHit: filled(16, 1), receiverHit: filled(16, 2) };

describe("HIP parameters", () => {
  it("has a row for every type", () => {
    expect(new Set(PARAMETER_ROWS.map(({ type }) => type))).toEqual(new Set(Object.values(PARAMETER)));
  });

  describe.each(PARAMETER_ROWS)("$name", ({ type, hex: text, value, encode, decode, again, allLengths, grows }) => {
    const wire = hex(text);

    it("is written", () => {
      expect(encode()).toEqual(wire);
      expect(again(wire)).toEqual(wire);
    });

    it("is read at an offset, and nothing of the packet is kept", () => {
      const packet = decodeHipPacket(encodeHipPacket(header, [{ type: 2, contents: filled(5, 0xee) }, { type, contents: wire }]));
      const contents = packet.parameters[1]?.contents ?? new Uint8Array(0);
      expect(contents.byteOffset).toBeGreaterThan(40);
      const decoded = decode(contents);
      packet.bytes.fill(0xee);
      expect(decoded).toEqual(value);
    });

    it("is rejected at every truncation that is not another value", () => {
      for (let length = 0; length < wire.length; length++) {
        const cut = wire.subarray(0, length);
        if (type === PARAMETER.i3Padding) expect(decode(cut)).toBe(length);
        else if (allLengths.includes(length)) expect(again(cut)).toEqual(cut);
        else expect(() => decode(cut)).toThrow(WireError);
      }
    });

    it("is rejected with a byte behind it, unless such bytes are ignored or part of it", () => {
      const longer = Uint8Array.from([...wire, 0]);
      if (grows) expect(decode(longer)).toBeDefined();
      else expect(() => decode(longer)).toThrow(WireError);
    });

    it("is rejected when empty, unless nothing is a value", () => {
      const nothing = wire.length === 0 || allLengths.includes(0);
      if (nothing) expect(decode(new Uint8Array(0))).toBeDefined();
      else expect(() => decode(new Uint8Array(0))).toThrow(WireError);
    });
  });

  it("ignores reserved fields", () => {
    expect(decodeEspInfo(hex("ffff 0001 00000002 00000003"))).toEqual({ keymatIndex: 1, oldSpi: 2, newSpi: 3 });
    expect(decodeR1Counter(hex("ffffffff 0000000000000007"))).toBe(7n);
    expect(decodeSolution(hex(`0a ff beef ${"11".repeat(64)}`), 32)).toEqual({ difficulty: 10, opaque: hex("beef"), random: filled(32, 0x11), solution: filled(32, 0x11) });
    expect(decodeEspTransform(hex("ffff 000d"))).toEqual([13]);
    expect(decodeNatTraversalMode(hex("ffff 0001"))).toEqual([1]);
    expect(decodeLocatorSet(hex(`00 00 04 ff 00000000 ${"01".repeat(16)}`)).locators).toEqual([
      { trafficType: 0, preferred: true, lifetimeSeconds: 0, spi: null, address: filled(16, 1) },
    ]);
    expect(decodeLocatorSet(hex(`00 00 04 fe 00000000 ${"01".repeat(16)}`)).locators[0]?.preferred).toBe(false);
  });

  it("takes the length of RHASH from the caller alone", () => {
    expect(() => decodePuzzle(filled(36, 1), 48)).toThrow(WireError);
    expect(() => decodePuzzle(filled(52, 1), 32)).toThrow(WireError);
    expect(() => decodeSolution(filled(68, 1), 48)).toThrow(WireError);
    expect(() => decodeSolution(filled(100, 1), 32)).toThrow(WireError);
  });

  it("cuts lists that are too long and refuses to write them, or none", () => {
    const lists = [
      { bytes: 1, limit: MAX_DH_GROUPS, encode: encodeDhGroupList, decode: decodeDhGroupList },
      { bytes: 2, limit: MAX_CIPHERS, encode: encodeHipCipher, decode: decodeHipCipher },
      { bytes: 2, limit: MAX_TRANSPORT_FORMATS, encode: encodeTransportFormatList, decode: decodeTransportFormatList },
      { bytes: 4, limit: MAX_ACKS, encode: encodeAck, decode: decodeAck },
      { bytes: 2, limit: MAX_CIPHERS, encode: encodeEspTransform, decode: decodeEspTransform, reserved: 2 },
      { bytes: 2, limit: MAX_NAT_MODES, encode: encodeNatTraversalMode, decode: decodeNatTraversalMode, reserved: 2 },
    ];
    for (const { bytes, limit, encode, decode, reserved = 0 } of lists) {
      const most = Array.from({ length: limit }, (_, i) => i + 1);
      expect(decode(encode(most))).toEqual(most);
      expect(decode(Uint8Array.from([...encode(most), ...filled(bytes * 3, 9)]))).toEqual(most);
      if (bytes > 1) expect(() => decode(Uint8Array.from([...encode(most), 9]))).toThrow(WireError);
      expect(() => encode([...most, 1])).toThrow(RangeError);
      expect(() => encode([])).toThrow(RangeError);
      expect(() => encode([256 ** bytes])).toThrow(RangeError);
      expect(() => decode(filled(reserved, 0))).toThrow(WireError);
    }
  });

  it("skips HIT suites that do not fit four bits", () => {
    expect(decodeHitSuiteList(hex("01 20 00 2f 10"))).toEqual([2, 1]);
    expect(() => decodeHitSuiteList(hex("01 00 2f"))).toThrow(WireError);
    expect(decodeHitSuiteList(filled(MAX_HIT_SUITES + 3, 0x10))).toHaveLength(MAX_HIT_SUITES);
    for (const suites of [[0], [16], [-1], [1.5], [], Array.from({ length: MAX_HIT_SUITES + 1 }, () => 1)]) expect(() => encodeHitSuiteList(suites)).toThrow(RangeError);
  });

  it("refuses a second public value and a length that is not the value's", () => {
    expect(() => decodeDiffieHellman(hex("07 0002 aabb 08 0001 cc"))).toThrow(WireError);
    expect(() => decodeDiffieHellman(hex("07 0003 aabb"))).toThrow(WireError);
    expect(decodeDiffieHellman(hex("07 0000")).publicValue).toHaveLength(0);
  });

  it("refuses domain identifiers without a type, without bytes or of unknown type", () => {
    for (const text of ["0001 0001 0007 99 61", "0001 1000 0007 99", "0001 2000 0007 99", "0001 3001 0007 99 61", "0001 f001 0007 99 61"]) {
      expect(() => decodeHostId(hex(text))).toThrow(WireError);
    }
    const longest = { algorithm: 7, hi: hex("99"), domainId: { type: 2, bytes: filled(4_095, 0x61) } } as const;
    expect(decodeHostId(encodeHostId(longest))).toEqual(longest);
  });

  it("skips and counts locators of other types, and refuses known ones of another length", () => {
    const address = `00 00 04 00 00000001 ${"20".repeat(16)}`;
    const later = `01 03 07 00 00000001 ${"33".repeat(28)}`;
    const empty = "00 ff 00 00 00000001";
    expect(decodeLocatorSet(hex(`${later} ${address} ${empty}`))).toEqual({
      locators: [{ trafficType: 0, preferred: false, lifetimeSeconds: 1, spi: null, address: filled(16, 0x20) }], skipped: 2,
    });
    const others = [`00 00 05 00 00000001 ${"20".repeat(20)}`, `00 01 04 00 00000001 ${"20".repeat(16)}`, `00 02 06 00 00000001 ${"20".repeat(24)}`, `00 02 08 00 00000001 ${"20".repeat(32)}`];
    for (const text of [...others, "00 00 00 00 00000001", "00 02 00 00 00000001"]) {
      expect(() => decodeLocatorSet(hex(text))).toThrow(WireError);
    }
    expect(decodeLocatorSet(hex(`${address} `.repeat(MAX_LOCATORS + 2)))).toMatchObject({ locators: { length: MAX_LOCATORS }, skipped: 2 });
    expect(() => decodeLocatorSet(hex(`${`${address} `.repeat(MAX_LOCATORS + 2)} 00`))).toThrow(WireError);
    const locator: HipLocator = { trafficType: 0, preferred: false, lifetimeSeconds: 1, spi: null, address: filled(4, 1) };
    expect(() => encodeLocatorSet(Array.from({ length: MAX_LOCATORS + 1 }, () => locator))).toThrow(RangeError);
    expect(() => encodeLocatorSet([{ ...locator, address: filled(5, 1) }])).toThrow(RangeError);
    expect(() => encodeLocatorSet([{ ...locator, spi: -1 }])).toThrow(RangeError);
    const transport = { port: 1, protocol: 17, kind: 0, priority: 0 };
    expect(encodeLocatorSet([{ ...locator, spi: 256, transport }])).toHaveLength(36);
    expect(() => encodeLocatorSet([{ ...locator, transport }])).toThrow(RangeError);
    for (const wrong of [{ port: 65_536 }, { protocol: 256 }, { kind: -1 }, { priority: 2 ** 32 }]) {
      expect(() => encodeLocatorSet([{ ...locator, spi: 256, transport: { ...transport, ...wrong } }])).toThrow(RangeError);
    }
  });

  it("knows preferences of version 1 only, with any flags", () => {
    const wire = encodeI3Preferences({ flags: 0xfff0, own4: filled(4, 1), own6: filled(16, 2), peer4: filled(4, 3), peer6: filled(16, 4) });
    expect(decodeI3Preferences(Uint8Array.from([...wire, 1, 2, 3])).flags).toBe(0xfff0);
    for (const version of [0, 2, 255]) expect(() => decodeI3Preferences(wire.with(0, version))).toThrow(WireError);
  });

  it("pads a packet to any possible length", () => {
    const rest = [{ type: PARAMETER.dhGroupList, contents: filled(3, 7) }, { type: PARAMETER.i3ReturnId, contents: filled(32, 7) }];
    const unpadded = hipPacketBytes(rest);
    for (let wanted = unpadded - 16; wanted <= MAX_HIP_PACKET_BYTES; wanted += 8) {
      const contents = encodeI3Padding(unpadded, wanted);
      if (wanted <= unpadded) expect(contents).toBeNull();
      else {
        const packet = encodeHipPacket(header, [...rest, { type: PARAMETER.i3Padding, contents: contents ?? filled(0, 0) }]);
        expect(packet).toHaveLength(wanted);
        expect(packet.subarray(unpadded + 4).every((byte) => byte === 0)).toBe(true);
      }
    }
    for (const [from, to] of [[41, 80], [40, 81], [40, 2_056]] as const) expect(() => encodeI3Padding(from, to)).toThrow(RangeError);
  });

  it("names notify codes", () => {
    expect(notifyName(NOTIFY_CODE.INVALID_SYNTAX)).toBe("INVALID_SYNTAX");
    expect(notifyName(9_999)).toBe("9999");
  });

  it("refuses to write fields that do not fit", () => {
    const puzzle = { difficulty: 1, lifetime: 1, opaque: filled(2, 1), random: filled(32, 1) };
    const faults: readonly (() => unknown)[] = [
      () => encodePuzzle({ ...puzzle, difficulty: 256 }), () => encodePuzzle({ ...puzzle, lifetime: -1 }), () => encodePuzzle({ ...puzzle, opaque: filled(3, 1) }),
      () => encodePuzzle({ ...puzzle, random: filled(31, 1) }), () => encodeSolution({ ...puzzle, solution: filled(48, 1) }),
      () => encodeEspInfo({ keymatIndex: 65_536, oldSpi: 0, newSpi: 0 }), () => encodeEspInfo({ keymatIndex: 0, oldSpi: 2 ** 32, newSpi: 0 }), () => encodeEspInfo({ keymatIndex: 0, oldSpi: 0, newSpi: 0.5 }),
      () => encodeDiffieHellman({ group: 256, publicValue: filled(1, 1) }), () => encodeDiffieHellman({ group: 1, publicValue: filled(65_536, 1) }),
      () => encodeHostId({ algorithm: 7, hi: filled(65_536, 1), domainId: null }), () => encodeHostId({ algorithm: 7, hi: filled(1, 1), domainId: { type: 1, bytes: filled(4_096, 1) } }),
      () => encodeHostId({ algorithm: 7, hi: filled(1, 1), domainId: { type: 1, bytes: filled(0, 1) } }),
      () => encodeEncrypted({ iv: filled(8, 1), ciphertext: filled(8, 1) }), () => encodeHipMac(filled(20, 1)), () => encodeSeq(2 ** 32), () => encodeNotification({ code: 65_536, data: filled(0, 0) }),
      () => encodeEcho(filled(MAX_ECHO_BYTES + 1, 1)), () => encodeR1Counter(-1n), () => encodeR1Counter(1n << 64n),
      () => encodeI3ReturnId(filled(31, 1)), () => encodeI3OwnId(filled(33, 1)), () => encodeI3PrivateId(filled(0, 1)),
      () => encodeI3Preferences({ flags: 65_536, own4: filled(4, 1), own6: filled(16, 1), peer4: filled(4, 1), peer6: filled(16, 1) }),
      () => encodeI3Preferences({ flags: 0, own4: filled(16, 1), own6: filled(16, 1), peer4: filled(4, 1), peer6: filled(16, 1) }),
    ];
    for (const fault of faults) expect(fault).toThrow(RangeError);
  });
});
