import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  addressInRange, claimId, commonPrefixBits, domainHash, groupId, groupPrefix, idsMatch, inRange, nameId, nameIdOfKey, nameKey, nodeKey, privateId, privatePrefix, publicId, ringKey, toHex,
  virtualAddress, WireError, type AddressRange,
} from "../src/index.js";

// Origin of the known answers, Python 3.11 (hashlib), written from docs/wire.md §2:
//
//   import hashlib
//   def H(domain, *parts):
//       h = hashlib.sha256(b"i3/1 " + domain.encode() + b"\0")
//       for p in parts: h.update(len(p).to_bytes(2, "big") + p)
//       return h.digest()
//   def virtual(network, bits, ident):
//       host_bits = 32 - bits; r = H("h24", ident)
//       while True:
//           for i in range(0, 30, 3):
//               host = int.from_bytes(r[i:i+3], "big") >> (24 - host_bits)
//               if host not in (0, 2**host_bits - 1):
//                   return (int.from_bytes(bytes(map(int, network.split("."))), "big") | host).to_bytes(4, "big").hex()
//           r = H("h24", r)
//   # ids that are a counter of 32 bytes; the first whose first byte of H("h24", id) is 255, is 0, and the first whose
//   # first and fourth are both one of these:
//   #   104 -> 0a010209, 316 -> 0a01029b, 22190 -> 0a0102f2 in 10.1.2.0/24

const upTo = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i);
const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);
const range = (text: string): AddressRange => {
  const [network = "", bits = ""] = text.split("/");
  return { network: Uint8Array.from(network.split(".").map(Number)), prefixBits: Number(bits) };
};
const counterId = (value: number): Uint8Array => {
  const id = new Uint8Array(32);
  new DataView(id.buffer).setUint32(28, value);
  return id;
};

describe("the hash of the system", () => {
  it.each<readonly [string, readonly Uint8Array[], string]>([
    ["x", [], "0b2ab451673a695ddcf3bcb061fd0ce8cb8c1008bff8938939b090ecca6c3849"],
    ["x", [new Uint8Array(0)], "a4bffe7694bbfcea6a26487783a2fe8e34a1f8c8c505c236e05a8f6e34625b3f"],
    ["x", [Uint8Array.of(0x61, 0x62), Uint8Array.of(0x63)], "de6ea2abde44d2e2f4f2ef6e1a5cf6d9619874bcf05c957a6e80e8dad6c6e39a"],
  ])("of %s and %j", (domain, parts, expected) => {
    expect(toHex(domainHash(domain, ...parts))).toBe(expected);
  });

  it("tells lists of parts and domains apart", () => {
    const byte = (value: number): Uint8Array => Uint8Array.of(value);
    const lists = [[], [byte(1)], [byte(1), byte(2)], [Uint8Array.of(1, 2)], [new Uint8Array(0), byte(1)], [byte(1), new Uint8Array(0)]];
    const hashes = ["a", "ab", "b"].flatMap((domain) => lists.map((parts) => toHex(domainHash(domain, ...parts))));
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  it("yields bytes whose slice is a copy, which a Buffer's is not", () => {
    for (const bytes of [domainHash("x"), publicId(upTo(16)), privatePrefix(upTo(32)), nodeKey(upTo(64), upTo(16))]) {
      const before = toHex(bytes);
      bytes.slice().fill(0);
      expect(toHex(bytes)).toBe(before);
    }
  });

  it("refuses a part whose length does not fit two bytes", () => {
    expect(domainHash("x", new Uint8Array(65_535)).length).toBe(32);
    expect(() => domainHash("x", new Uint8Array(65_536))).toThrow(RangeError);
  });
});

describe("ids", () => {
  it("are made as the page says", () => {
    expect(toHex(publicId(upTo(16)))).toBe("45016ae37b0db0f2bc92f2ea7534f1b4f0d5e1ac76d0d5897d0fdc987ad038fe");
    expect(toHex(privatePrefix(upTo(32)))).toBe("b1cfccc590dd51fc5be7c52d7ee75f1d");
    expect(toHex(groupPrefix(upTo(32)))).toBe("e2e22d47c375141fada56cd60589b3bf");
    expect(toHex(groupId(upTo(32), filled(16, 0xbb)))).toBe("e2e22d47c375141fada56cd60589b3bf" + "bb".repeat(16));
    expect(toHex(nodeKey(upTo(64), new Uint8Array(16)))).toBe("ea57bc08df1b0705594a72bbee94081d");
    expect(toHex(privateId(filled(16, 0xaa), filled(16, 0xbb)))).toBe("aa".repeat(16) + "bb".repeat(16));
    expect(toHex(ringKey(privateId(filled(16, 0xaa), filled(16, 0xbb))))).toBe("aa".repeat(16));
  });

  it("public ones are right in any order of questions, and whatever becomes of the bytes asked with or answered", () => {
    const hits = [upTo(16), filled(16, 0xaa), upTo(16).reverse()];
    const ids = hits.map((hit) => toHex(domainHash("public", hit)));
    for (const n of [0, 0, 1, 0, 2, 2, 1]) expect(toHex(publicId(hits[n] as Uint8Array))).toBe(ids[n]);
    // Not even one bit of the last HIT may differ.
    for (let bit = 0; bit < 128; bit++) {
      const hit = upTo(16).map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));
      publicId(upTo(16));
      expect(toHex(publicId(hit))).toBe(toHex(domainHash("public", hit)));
    }
    const asked = upTo(16);
    publicId(asked).fill(0);
    expect(toHex(publicId(upTo(16)))).toBe(ids[0]);
    publicId(asked);
    asked.fill(0xaa);
    expect([toHex(publicId(asked)), toHex(publicId(upTo(16)))]).toEqual([ids[1], ids[0]]);
  });

  it.each<readonly [string, () => unknown]>([
    ["HIT", () => publicId(upTo(15))],
    ["key", () => privatePrefix(upTo(33))],
    ["group key", () => groupPrefix(upTo(31))],
    ["group suffix", () => groupId(upTo(32), upTo(15))],
    ["prefix", () => privateId(upTo(15), upTo(16))],
    ["suffix", () => privateId(upTo(16), upTo(17))],
    ["id", () => virtualAddress(range("10.0.0.0/8"), upTo(31))],
  ])("are not made of a %s of another length", (_, make) => {
    expect(make).toThrow(WireError);
  });
});

describe("matching", () => {
  /** Bit by bit. */
  function oracle(a: Uint8Array, b: Uint8Array): number {
    const bits = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("");
    const [left, right] = [bits(a), bits(b)];
    let shared = 0;
    while (shared < Math.min(left.length, right.length) && left[shared] === right[shared]) shared += 1;
    return shared;
  }
  const id = fc.uint8Array({ minLength: 32, maxLength: 32 });
  /** An id and another that first differs at a bit, or nowhere. */
  const pair = fc.tuple(id, fc.integer({ min: 0, max: 256 }), id).map(([a, bit, noise]) => {
    const b = a.map((byte, i) => (i > bit >> 3 ? (noise[i] ?? 0) : byte));
    if (bit < 256) b[bit >> 3] = (b[bit >> 3] ?? 0) ^ (0x80 >> (bit & 7));
    return { a, b, bit };
  });

  it("counts the bits that two ids share", () => {
    fc.assert(fc.property(pair, ({ a, b, bit }) => {
      expect(commonPrefixBits(a, b)).toBe(oracle(a, b));
      expect(commonPrefixBits(a, b)).toBe(bit);
      expect(commonPrefixBits(b, a)).toBe(bit);
      expect(idsMatch(a, b)).toBe(bit >= 128);
    }), { numRuns: 500 });
    fc.assert(fc.property(id, id, (a, b) => {
      expect(commonPrefixBits(a, b)).toBe(oracle(a, b));
    }));
  });

  it("needs 128 bits, not 127", () => {
    const a = filled(32, 0);
    for (let bit = 0; bit < 256; bit++) {
      const b = a.slice();
      b[bit >> 3] = 0x80 >> (bit & 7);
      expect(commonPrefixBits(a, b)).toBe(bit);
      expect(idsMatch(a, b)).toBe(bit >= 128);
    }
    expect(commonPrefixBits(a, a)).toBe(256);
  });
});

describe("virtual addresses", () => {
  it.each([
    ["10.0.0.0/8", "0acb9590", "0ac722b2", "0ace526c"],
    ["100.64.0.0/10", "6472e564", "6471c8ac", "6473949b"],
    ["172.16.0.0/12", "ac1cb959", "ac1c722b", "ac1ce526"],
    ["192.168.0.0/16", "c0a8cb95", "c0a8c722", "c0a8ce52"],
    ["10.1.2.0/24", "0a0102cb", "0a0102c7", "0a0102ce"],
  ])("in %s", (text, zeros, counting, ones) => {
    expect([filled(32, 0), upTo(32), filled(32, 0xff)].map((id) => toHex(virtualAddress(range(text), id)))).toEqual([zeros, counting, ones]);
  });

  it.each([[104, "all ones", "0a010209"], [316, "all zeros", "0a01029b"], [22_190, "such twice", "0a0102f2"]])("passes over a host part of id %i that is %s", (value, _, expected) => {
    const first = domainHash("h24", counterId(value));
    expect([0, 255]).toContain(first[0]);
    expect(toHex(virtualAddress(range("10.1.2.0/24"), counterId(value)))).toBe(expected);
  });

  it("lie in their range and are neither its first nor its last", () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.integer({ min: 8, max: 24 }), fc.integer({ min: 0, max: 0xffff_ffff }), (id, prefixBits, value) => {
      const network = new Uint8Array(4);
      const hosts = 2 ** (32 - prefixBits);
      new DataView(network.buffer).setUint32(0, Math.floor(value / hosts) * hosts);
      const address = virtualAddress({ network, prefixBits }, id);
      const host = new DataView(address.buffer).getUint32(0) - Math.floor(value / hosts) * hosts;
      expect(host).toBeGreaterThan(0);
      expect(host).toBeLessThan(hosts - 1);
      expect(inRange({ network, prefixBits }, address)).toBe(true);
    }));
  });

  it("are checked against a range at its borders", () => {
    const net = range("172.16.0.0/12");
    const inside = (text: string): boolean => inRange(net, Uint8Array.from(text.split(".").map(Number)));
    expect(["172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0", "10.0.0.1"].map(inside)).toEqual([true, true, false, false, false]);
    expect(inRange(net, upTo(16))).toBe(false);
    expect(inRange(range("255.255.255.0/24"), Uint8Array.of(255, 255, 255, 255))).toBe(true);
    expect(toHex(addressInRange(range("255.255.255.0/24"), 255))).toBe("ffffffff");
    expect(toHex(addressInRange(net, 0xfffff))).toBe("ac1fffff");
    expect(toHex(net.network)).toBe("ac100000");
  });

  it("of a view at an offset is that of its bytes", () => {
    const around = Uint8Array.from([9, 9, 9, 10, 1, 2, 3, 9]);
    expect(inRange(range("10.0.0.0/8"), around.subarray(3, 7))).toBe(true);
  });
});

describe("the id of a name", () => {
  // Python, as above: H("name", H("name key", b"box.try.i3"))[:16] + bytes(16), and behind the same half H("claim", bytes(range(32)))[:16].
  const BOX = "30530ed22ea7901ab7674140c1c84437";
  const CLAIM = "047e96b0aa71df063b2035efc61adb24";

  it("is that of a program written from docs/wire.md", () => {
    expect(toHex(nameId("box.try.i3"))).toBe(BOX + "0".repeat(32));
    expect(toHex(claimId(nameKey("box.try.i3"), upTo(32)))).toBe(BOX + CLAIM);
  });

  it("is one for all ways to write the name", () => {
    for (const text of ["BOX.try.i3", "box.try.i3.", "Box.Try.I3"]) expect(nameId(text)).toEqual(nameId("box.try.i3"));
    expect(nameIdOfKey(nameKey("BOX.try.i3."))).toEqual(nameId("box.try.i3"));
    expect(nameId("bo.xtry.i3")).not.toEqual(nameId("box.try.i3"));
  });

  it.each(["", ".", "a b", "-a.i3", "a..i3", `${"a".repeat(64)}.i3`, "ä.i3"])("is refused for what is no name: %j", (text) => {
    expect(() => nameId(text)).toThrow(RangeError);
  });

  it("needs keys of the right length", () => {
    expect(() => nameIdOfKey(upTo(31))).toThrow(WireError);
    expect(() => claimId(upTo(32), upTo(33))).toThrow(WireError);
  });
});
