/**
 * Vectors that RFCs print, beside those in ../known-answers: HKDF of RFC 5869 appendix A and ECDH of RFC 5903 section 8 (crypto.py), ECDSA P-256 with SHA-256 of RFC 6979 A.2.5
 * (../identity/host-identity.test.ts), Ed25519 of RFC 8032 section 7.1 (../trigger-key.test.ts), the TCP segment of RFC 7401 C.3 in @i3/datapath (test/reference/rfc-vectors.test.ts). RFC 7343 prints none; HITs are computed by identity.py. Typed in here, and each found
 * right by Python's `cryptography` 48 and `hmac`, and a sum of words for the checksums.
 */
import { concatBytes, fromHex, toHex } from "@i3/common";
import { AES_128_CBC_ROWS, ascii, counting } from "@i3/common/testing";
import { describe, expect, it } from "vitest";

import { checkHipMac, encodeDhGroupList, encodeHipPacket, decryptParameter, encryptParameter, hipChecksum, hipMac, hostKeyFromHi, PARAMETER } from "../../src/index.js";
import { verifyHip } from "../../src/identity/host-signature.js";

const bytes = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);

describe("RFC 7401 appendix C", () => {
  const hit = (last: number): Uint8Array => fromHex(`200100200000000000000000000000${last.toString(16).padStart(2, "0")}`);
  const i1 = encodeHipPacket({ type: 1, version: 2, controls: 0, senderHit: hit(1), receiverHit: hit(2) }, [{ type: PARAMETER.dhGroupList, contents: encodeDhGroupList([3, 4, 8]) }]);
  const six = (last: number): Uint8Array => Uint8Array.of(0x20, 1, 0xd, 0xb8, ...bytes(11, 0), last);
  const four = (last: number): Uint8Array => Uint8Array.of(192, 0, 2, last);

  it.each([["C.1, I1 in IPv6", six(1), six(2), 6_750], ["C.2, I1 in IPv4", four(1), four(2), 61_902]] as const)("%s", (_, source, destination, checksum) => {
    expect([i1.length, hipChecksum(i1, source, destination)]).toEqual([48, checksum]);
  });
});

describe("RFC 3602 section 4: AES-128-CBC", () => {
  it.each(AES_128_CBC_ROWS)("%s, then a block of padding", (_, key, iv, plain, ciphertext) => {
    const sealed = encryptParameter(2, fromHex(key), fromHex(iv), plain);
    expect([toHex(sealed.subarray(0, plain.length)), sealed.length]).toEqual([ciphertext, plain.length + 16]);
    expect(toHex(decryptParameter(2, fromHex(key), fromHex(iv), sealed))).toBe(toHex(plain));
  });
});

describe("RFC 4868 section 2.7.2: the first half of HMAC-SHA-256 and HMAC-SHA-384, with keys as long as the hash", () => {
  const rows = [
    ["AUTH256-1", "sha256", bytes(32, 0x0b), ascii("Hi There"), "198a607eb44bfbc69903a0f1cf2bbdc5"],
    ["AUTH256-2", "sha256", ascii("Jefe".repeat(8)), ascii("what do ya want for nothing?"), "167f928588c5cc2eef8e3093caa0e87c"],
    ["AUTH256-3", "sha256", bytes(32, 0xaa), bytes(50, 0xdd), "cdcb1220d1ecccea91e53aba3092f962"],
    ["AUTH256-4", "sha256", counting(32, 1), bytes(50, 0xcd), "372efcf9b40b35c2115b1346903d2ef4"],
    ["AUTH384-1", "sha384", bytes(48, 0x0b), ascii("Hi There"), "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973"],
    ["AUTH384-2", "sha384", ascii("Jefe".repeat(12)), ascii("what do ya want for nothing?"), "2c7353974f1842fd66d53c452ca42122b28c0b594cfb184d"],
    ["AUTH384-3", "sha384", bytes(48, 0xaa), bytes(50, 0xdd), "809f439be00274321d4a538652164b53554a508184a0c316"],
    ["AUTH384-4", "sha384", concatBytes(counting(32, 1), counting(16, 10)), bytes(50, 0xcd), "5b540085c6e6358096532b2493609ed1cb298f774f87bb5c"],
  ] as const;

  it.each(rows)("%s", (_, rhash, key, data, half) => {
    const mac = hipMac(rhash, key, data);
    expect(toHex(mac.subarray(0, mac.length / 2))).toBe(half);
    expect(checkHipMac(rhash, key, data, mac)).toBe(true);
  });
});

describe("RFC 6979 with SHA-384, as HIP signs", () => {
  const p256 = "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
  const p384 = "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc138015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720";
  const rows = [
    ["A.2.5", 1, p256, "sample", "0eafea039b20e9b42309fb1d89e213057cbf973dc0cfc8f129edddc800ef77194861f0491e6998b9455193e34e7b0d284ddd7149a74b95b9261f13abde940954"],
    ["A.2.5", 1, p256, "test", "83910e8b48bb0c74244ebdf7f07a1c5413d61472bd941ef3920e623fbccebeb68ddbec54cf8cd5874883841d712142a56a8d0f218f5003cb0296b6b509619f2c"],
    ["A.2.6", 2, p384, "sample", "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe4699ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8"],
    ["A.2.6", 2, p384, "test", "8203b63d3c853e8d77227fb377bcf7b7b772e97892a80f36ab775d509d7a5feb0542a7f0812998da8f1dd3ca3cf023dbddd0760448d42d8a43af45af836fce4de8be06b485e9b61b827c2f13173923e06a739f040649a667bf3b828246baa5a5"],
  ] as const;

  it.each(rows)("%s, curve %d: holds over its message", (_, curve, point, message, signature) => {
    const peer = hostKeyFromHi(7, concatBytes(Uint8Array.of(0, curve), fromHex(point)));
    expect([verifyHip(peer, ascii(message), fromHex(signature)), verifyHip(peer, ascii(`${message}.`), fromHex(signature))]).toEqual([true, false]);
  });
});
