import { fromHex, toHex } from "@i3/common";
import { describe, expect, it } from "vitest";

import { checkHipMac, hipMac } from "../../src/index.js";
import { KNOWN } from "./known-answers.js";

const rows = KNOWN.mac.map(({ rhash, ...row }) => ({ rhash, key: fromHex(row.key), covered: fromHex(row.covered), mac: fromHex(row.mac) }));

describe("a HIP_MAC", () => {
  it.each(rows)("is HMAC with $rhash", ({ rhash, key, covered, mac }) => {
    expect(toHex(hipMac(rhash, key, covered))).toBe(toHex(mac));
    expect(checkHipMac(rhash, key, covered, mac)).toBe(true);
  });

  it.each(rows)("under $rhash is refused with any bit changed, cut short or made longer", ({ rhash, key, covered, mac }) => {
    for (let bit = 0; bit < mac.length * 8; bit++) {
      const changed = mac.slice();
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(checkHipMac(rhash, key, covered, changed)).toBe(false);
    }
    for (let length = 0; length < mac.length; length++) expect(checkHipMac(rhash, key, covered, mac.subarray(0, length))).toBe(false);
    expect(checkHipMac(rhash, key, covered, Uint8Array.of(...mac, 0))).toBe(false);
    expect(checkHipMac(rhash, key, Uint8Array.of(...covered, 0), mac)).toBe(false);
    expect(checkHipMac(rhash, key.map((byte) => byte ^ 1), covered, mac)).toBe(false);
  });

  it("takes a key of RHASH_len bytes only", () => {
    for (const [rhash, right] of [["sha256", 32], ["sha384", 48]] as const) {
      for (const length of [0, 16, 32, 48, 64]) {
        const made = (): Uint8Array => hipMac(rhash, new Uint8Array(length), new Uint8Array(8));
        if (length === right) expect(made().length).toBe(right);
        else expect(made).toThrow(RangeError);
      }
    }
  });
});
