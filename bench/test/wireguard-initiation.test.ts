/** WireGuard's first message as a responder reads it: one that is wrong would be dropped without a word. wireguard-go itself answers them in the bench. */
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";

import { blake2s } from "../src/handshake/blake2s.js";
import { INITIATION_BYTES, makeInitiation, newX25519 } from "../src/handshake/wireguard-initiation.js";

const upTo = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i);

describe("BLAKE2s", () => {
  it.each([0, 1, 63, 64, 65, 128, 300])("without a key, of %i bytes, as OpenSSL's", (length) => {
    expect(Buffer.from(blake2s(new Uint8Array(0), upTo(length), 32)).toString("hex")).toBe(createHash("blake2s256").update(upTo(length)).digest("hex"));
  });

  /** Python 3.11: hashlib.blake2s(bytes(range(n)), key=bytes(range(32)), digest_size=d).hexdigest() */
  it.each([
    [0, 32, "48a8997da407876b3d79c0d92325ad3b89cbb754d86ab71aee047ad345fd2c49"],
    [116, 16, "072e94ffbfc684bd8ab2a1b9dade2fd5"],
    [64, 16, "f1efa90d2547036841ecd3627fafbc36"],
    [200, 20, "72c6146ea7aaf3af9d9cfa4250dd69857dc28a2f"],
  ] as const)("with a key, %i bytes into %i", (length, digest, expected) => {
    expect(Buffer.from(blake2s(upTo(32), upTo(length), digest)).toString("hex")).toBe(expected);
  });
});

it("a message has its parts where WireGuard has them, and its MAC covers them", () => {
  const [from, to] = [newX25519(), newX25519()];
  const message = makeInitiation({ from, to: to.publicKey, sender: 0x0102_0304, timeNs: 5_000_000_007n });
  expect([message.length, [...message.subarray(0, 8)]]).toEqual([INITIATION_BYTES, [1, 0, 0, 0, 4, 3, 2, 1]]);
  const key = createHash("blake2s256").update("mac1----").update(to.raw).digest();
  expect(message.subarray(116, 132)).toEqual(blake2s(key, message.subarray(0, 116), 16));
  expect(message.subarray(132)).toEqual(new Uint8Array(16));
});
