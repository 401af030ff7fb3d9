import { createECDH, createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";

import { fromHex, I3Error, toHex } from "@i3/common";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  generateHostIdentity, hitOf, hostIdEncoding, hostIdentityFromPem, hostIdentityToPem, signWithHost, verifyWithHost,
} from "../../src/index.js";

// Origin of the known answers, Python 3.11 (hashlib), written from RFC 7343 §2, RFC 7401 §3.2, §5.2.9 and §5.2.10:
//
//   import hashlib
//   def hit(point):
//       hi = (1).to_bytes(2, "big") + point                       # curve NIST P-256, x | y
//       d = hashlib.sha384(bytes.fromhex("F0EFF02FBFF43D0FE7930C3C6E6174EA") + hi).digest()
//       middle = (int.from_bytes(d, "big") >> 144) & (2**96 - 1)  # (384 - 96) / 2 bits on either side
//       return ((0x2001002 << 100) | (2 << 96) | middle).to_bytes(16, "big").hex()
//
// The points: the generator of P-256, the key of RFC 6979 A.2.5, and 64 bytes that count up (not on the curve).
const GENERATOR = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296" + "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
const RFC6979 = "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6" + "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
const COUNTING = Array.from({ length: 64 }, (_, i) => i.toString(16).padStart(2, "0")).join("");

// RFC 6979 A.2.5: ECDSA P-256 with SHA-256.
const RFC6979_ROWS = [
  ["sample", "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716", "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"],
  ["test", "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367", "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083"],
] as const;

const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const scalar = (value: bigint): string => value.toString(16).padStart(64, "0");
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

describe("host identity tags", () => {
  it.each([
    [GENERATOR, "20010022549b5c1aac371ebccf8c0885"],
    [RFC6979, "200100222a0a7b7ff99d30bf6f0d0507"],
    [COUNTING, "2001002273a23712ecd7871d56fb2875"],
  ])("of %s", (point, hit) => {
    expect(toHex(hitOf(fromHex(point)))).toBe(hit);
  });

  it("are made of the curve and the point", () => {
    expect(toHex(hostIdEncoding(fromHex(GENERATOR)))).toBe(`0001${GENERATOR}`);
  });

  it("lie in 2001:20::/28 with the suite ECDSA/SHA-384 behind it", () => {
    for (let i = 0; i < 20; i++) {
      const { hit, point } = generateHostIdentity();
      expect(toHex(hit).slice(0, 8)).toBe("20010022");
      expect(hit.length).toBe(16);
      expect(hitOf(point)).toEqual(hit);
    }
  });

  it.each([0, 63, 65, 66])("are not made of %i bytes", (length) => {
    expect(() => hitOf(new Uint8Array(length))).toThrow(RangeError);
  });
});

describe("host keys", () => {
  it("survive their PEM form", () => {
    for (let i = 0; i < 20; i++) {
      const identity = generateHostIdentity();
      const again = hostIdentityFromPem(hostIdentityToPem(identity));
      expect([again.point, again.hit]).toEqual([identity.point, identity.hit]);
      expect(verifyWithHost(identity.point, text("x"), signWithHost(again, text("x")))).toBe(true);
    }
  });

  it("may have small coordinates", () => {
    // A coordinate with a leading zero byte appears once in 128 keys.
    const ecdh = createECDH("prime256v1");
    let found = 0;
    for (let d = 1; found < 3; d++) {
      ecdh.setPrivateKey(Buffer.from(scalar(BigInt(d)), "hex"));
      const point = ecdh.getPublicKey().subarray(1);
      if (point[0] !== 0 && point[32] !== 0) continue;
      found++;
      const jwk = { kty: "EC", crv: "P-256", d: ecdh.getPrivateKey().toString("base64url"), x: point.subarray(0, 32).toString("base64url"), y: point.subarray(32).toString("base64url") };
      const pem = createPrivateKey({ key: jwk, format: "jwk" }).export({ type: "pkcs8", format: "pem" }) as string;
      expect(toHex(hostIdentityFromPem(pem).point)).toBe(point.toString("hex"));
    }
  });

  // openssl ecparam -name prime256v1 -genkey | openssl ec -conv_form compressed (…) and -param_enc explicit
  it.each([
    ["with a compressed point", `-----BEGIN EC PRIVATE KEY-----
MFcCAQEEIErl0L95AXlutEJBCeSUlb/vmOQW1am6gQvspHdWgpGSoAoGCCqGSM49
AwEHoSQDIgAD1grTpepFo59SreQtf/PjajUupWeiq9TsEnlA3ATGX4Y=
-----END EC PRIVATE KEY-----
`, "d60ad3a5ea45a39f52ade42d7ff3e36a352ea567a2abd4ec127940dc04c65f8616bf1997683ccb8573d5361437d680bfdf900dab20501be2e06d39b27319332d"],
    ["with explicit parameters", `-----BEGIN PRIVATE KEY-----
MIIBeQIBADCCAQMGByqGSM49AgEwgfcCAQEwLAYHKoZIzj0BAQIhAP////8AAAAB
AAAAAAAAAAAAAAAA////////////////MFsEIP////8AAAABAAAAAAAAAAAAAAAA
///////////////8BCBaxjXYqjqT57PrvVV2mIa8ZR0GsMxTsPY7zjw+J9JgSwMV
AMSdNgiG5wSTamZ44ROdJreBn36QBEEEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg
9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9QIhAP////8A
AAAA//////////+85vqtpxeehPO5ysL8YyVRAgEBBG0wawIBAQQglh4o4QI9xbxg
d1YEsz87S6R0hdANL8L2CcdD0YjY94KhRANCAATbLnlThIR8tbJ+7PE1ojOYufSh
QaCf0jE9PxTpgZAfkwbfYTaQ0sQf27u1ums86e8wWqHc7XwL+DPBgaPPUqZ6
-----END PRIVATE KEY-----
`, "db2e795384847cb5b27eecf135a23398b9f4a141a09fd2313d3f14e981901f9306df613690d2c41fdbbbb5ba6b3ce9ef305aa1dced7c0bf833c181a3cf52a67a"],
  ])("are read %s", (_, pem, point) => {
    const identity = hostIdentityFromPem(pem);
    expect(toHex(identity.point)).toBe(point);
    expect(verifyWithHost(identity.point, text("x"), signWithHost(identity, text("x")))).toBe(true);
  });

  const pemOf = (key: KeyObject): string => key.export({ type: "pkcs8", format: "pem" }) as string;

  it.each<readonly [string, () => string]>([
    ["RSA of 1,024 bits", () => pemOf(generateKeyPairSync("rsa", { modulusLength: 1_024 }).privateKey)],
    ["RSA of 2,047 bits", () => pemOf(generateKeyPairSync("rsa", { modulusLength: 2_047 }).privateKey)],
    ["RSA for PSS alone", () => pemOf(generateKeyPairSync("rsa-pss", { modulusLength: 2_048 }).privateKey)],
    ["P-521", () => pemOf(generateKeyPairSync("ec", { namedCurve: "P-521" }).privateKey)],
    ["secp256k1", () => pemOf(generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey)],
    ["Ed25519", () => pemOf(generateKeyPairSync("ed25519").privateKey)],
    ["X25519", () => pemOf(generateKeyPairSync("x25519").privateKey)],
    ["a public key", () => generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ type: "spki", format: "pem" }) as string],
    ["an encrypted key", () => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" }) as string],
    ["nothing", () => ""],
    ["words", () => "no key\n"],
    ["half a key", () => pemOf(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey).slice(0, 120)],
    ["the private half of one and the public half of another", () => {
      const [a, b] = [generateHostIdentity(), generateHostIdentity()];
      const der = a.privateKey.export({ type: "pkcs8", format: "der" });
      der.set(b.point, der.length - 64);
      return `-----BEGIN PRIVATE KEY-----\n${der.toString("base64").replaceAll(/.{64}/g, "$&\n")}\n-----END PRIVATE KEY-----\n`;
    }],
  ])("are not %s", (_, pem) => {
    let error: unknown;
    try {
      hostIdentityFromPem(pem());
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(I3Error);
    expect((error as I3Error).code).toBe("ERR_I3_KEY");
  });

  it("are refused or read right after any change of one byte", () => {
    const identity = generateHostIdentity();
    const der = identity.privateKey.export({ type: "pkcs8", format: "der" });
    fc.assert(fc.property(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const damaged = Buffer.from(der);
      damaged[at] = (damaged[at] ?? 0) ^ change;
      try {
        const read = hostIdentityFromPem(`-----BEGIN PRIVATE KEY-----\n${damaged.toString("base64")}\n-----END PRIVATE KEY-----\n`);
        expect(verifyWithHost(read.point, text("x"), signWithHost(read, text("x")))).toBe(true);
      } catch (error) {
        if (!(error instanceof I3Error)) throw error;
      }
    }), { numRuns: 300 });
  });
});

describe("host signatures", () => {
  it.each(RFC6979_ROWS)("hold over %s as RFC 6979 has them", (message, r, s) => {
    expect(verifyWithHost(fromHex(RFC6979), text(message), fromHex(r + s))).toBe(true);
    expect(verifyWithHost(fromHex(RFC6979), text(`${message}.`), fromHex(r + s))).toBe(false);
    expect(verifyWithHost(fromHex(GENERATOR), text(message), fromHex(r + s))).toBe(false);
  });

  it("fail after a change of any bit", () => {
    const [message, r, s] = RFC6979_ROWS[0];
    for (let bit = 0; bit < 512; bit += 3) {
      const signature = fromHex(r + s);
      signature[bit >> 3] = (signature[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(verifyWithHost(fromHex(RFC6979), text(message), signature)).toBe(false);
    }
  });

  // ECDSA itself: who sees (r, s) can make (r, n − s). It says nothing else and names nothing new, so nothing here counts
  // signatures or tells requests apart by them; counters do that.
  it("hold in their mirrored form too, over the same message only", () => {
    const [message, r, s] = RFC6979_ROWS[0];
    const mirrored = fromHex(r + scalar(ORDER - BigInt(`0x${s}`)));
    expect(verifyWithHost(fromHex(RFC6979), text(message), mirrored)).toBe(true);
    expect(verifyWithHost(fromHex(RFC6979), text("other"), mirrored)).toBe(false);
  });

  it("have 64 bytes, and both halves lie between 1 and n − 1", () => {
    const [message, r, s] = RFC6979_ROWS[0];
    const zero = scalar(0n);
    const bad = ["", r, r + s + "00", (r + s).slice(2), zero + zero, zero + s, r + zero, scalar(ORDER) + s, r + scalar(ORDER), "ff".repeat(64)];
    for (const signature of bad) expect(verifyWithHost(fromHex(RFC6979), text(message), fromHex(signature))).toBe(false);
  });

  it("are refused in DER form", () => {
    const [message, r, s] = RFC6979_ROWS[0];
    expect(verifyWithHost(fromHex(RFC6979), text(message), fromHex(`3046022100${r}022100${s}`))).toBe(false);
  });

  it("never throw, on any point", () => {
    const signature = fromHex(RFC6979_ROWS[0][1] + RFC6979_ROWS[0][2]);
    for (const point of [COUNTING, "00".repeat(64), "ff".repeat(64), GENERATOR.slice(2), `${GENERATOR}00`, `04${GENERATOR}`, ""]) {
      expect(verifyWithHost(fromHex(point), text("sample"), signature)).toBe(false);
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 70 }), fc.uint8Array({ maxLength: 70 }), fc.uint8Array({ minLength: 64, maxLength: 64 }), (point, message, other) => {
      expect(verifyWithHost(point, message, other)).toBe(false);
      expect(verifyWithHost(other, message, other)).toBe(false);
    }), { numRuns: 200 });
  });
});
