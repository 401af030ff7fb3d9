import { fromHex, toHex, WireError } from "@i3/common";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { decryptParameter, encryptParameter, hipCipherLengths, HIP_CIPHER_SUITE, isHipCipherSuite } from "../../src/index.js";
import { KNOWN } from "./known-answers.js";

const rows = KNOWN.cipher.map(({ cipher, ...row }) => ({
  cipher, length: row.parameters.length / 2, key: fromHex(row.key), iv: fromHex(row.iv), parameters: fromHex(row.parameters), data: fromHex(row.data),
}));

describe("the HIP ciphers", () => {
  it.each(rows)("encrypt $length bytes under suite $cipher as the other program does, and back", ({ cipher, key, iv, parameters, data }) => {
    expect(toHex(encryptParameter(cipher, key, iv, parameters))).toBe(toHex(data));
    expect(toHex(decryptParameter(cipher, key, iv, data))).toBe(toHex(parameters));
  });

  it("add a whole block of padding where nothing is missing", () => {
    const { key, iv } = rows.find((row) => row.cipher === 2) ?? expect.fail();
    expect(encryptParameter(2, key, iv, new Uint8Array(32)).length).toBe(48);
    expect(encryptParameter(2, key, iv, new Uint8Array(40)).length).toBe(48);
  });

  it.each(KNOWN.badCipher)("refuse $why", ({ cipher, key, iv, data }) => {
    expect(() => decryptParameter(cipher, fromHex(key), fromHex(iv), fromHex(data))).toThrow("ENCRYPTED: no whole parameters inside");
    expect(() => decryptParameter(cipher, fromHex(key), fromHex(iv), fromHex(data))).toThrow(WireError);
  });

  it("refuse data that is no whole number of blocks, or an IV of another length", () => {
    for (const { cipher, key, iv, data } of rows) {
      for (let length = 0; length < data.length; length++) {
        if (length % (cipher === 1 ? 8 : 16) === 0 && length > 0) continue;
        expect(() => decryptParameter(cipher, key, iv, data.subarray(0, length))).toThrow(WireError);
      }
      for (const length of [0, 8, 15, 16, 17].filter((one) => one !== iv.length)) {
        expect(() => decryptParameter(cipher, key, new Uint8Array(length), data)).toThrow(WireError);
        expect(() => encryptParameter(cipher, key, new Uint8Array(length), data)).toThrow(RangeError);
      }
    }
  });

  it("refuse a key of another length and what is no list of whole parameters", () => {
    for (const { cipher, key, iv, parameters, data } of rows) {
      for (const length of [0, 15, 16, 24, 32, 33].filter((one) => one !== key.length)) {
        expect(() => encryptParameter(cipher, new Uint8Array(length), iv, parameters)).toThrow(RangeError);
        expect(() => decryptParameter(cipher, new Uint8Array(length), iv, data)).toThrow(RangeError);
      }
      for (const length of [0, 1, 4, 12, 15, 17]) expect(() => encryptParameter(cipher, key, iv, new Uint8Array(length))).toThrow(RangeError);
    }
  });

  it("give a value or a WireError for any bytes", () => {
    const { key, iv } = rows.find((row) => row.cipher === 4) ?? expect.fail();
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(1 as const, 4 as const), (data, cipher) => {
      try {
        const opened = cipher === 1 ? decryptParameter(1, new Uint8Array(0), new Uint8Array(0), data) : decryptParameter(4, key, iv, data);
        expect(opened.length % 8).toBe(0);
        expect(opened.length).toBeGreaterThan(0);
      } catch (error) {
        expect(error).toBeInstanceOf(WireError);
      }
    }), { seed: 1, numRuns: 500 });
  });

  it("give bytes of their own, which share nothing with what they were given", () => {
    const parameters = new Uint8Array(16);
    encryptParameter(1, new Uint8Array(0), new Uint8Array(0), parameters)[0] = 1;
    decryptParameter(1, new Uint8Array(0), new Uint8Array(0), parameters)[0] = 1;
    expect(parameters[0]).toBe(0);
    for (const { cipher, key, iv, parameters: whole, data } of rows) {
      expect(Buffer.isBuffer(encryptParameter(cipher, key, iv, whole)) || Buffer.isBuffer(decryptParameter(cipher, key, iv, data))).toBe(false);
    }
  });

  it("are these three", () => {
    expect(Array.from({ length: 300 }, (_, number) => number).filter(isHipCipherSuite)).toEqual(Object.values(HIP_CIPHER_SUITE));
    expect([1, 2, 4].filter(isHipCipherSuite).map(hipCipherLengths).map(({ keyBytes, ivBytes }) => [keyBytes, ivBytes])).toEqual([[0, 0], [16, 16], [32, 16]]);
  });
});
