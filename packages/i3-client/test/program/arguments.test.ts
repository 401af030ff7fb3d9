/** What programs hand in: each form that is taken, and the error for what is not. */
import { locatorText, toHex } from "@i3/common";
import { generateTriggerKey, signStep } from "@i3/hip";
import { describe, expect, it } from "vitest";

import { ClientError, Group, maxPayloadBytes, MAX_PREFERENCE_BYTES } from "../../src/index.js";
import { readId, readPayload, readServer, readStack, shortId } from "../../src/program/arguments.js";
import { consentFromBytes, consentToBytes, readConsents } from "../../src/program/consent.js";
import { anycastIdOf } from "../../src/program/group.js";

const ID = Uint8Array.from({ length: 32 }, (_, i) => i);
const random = (length: number): Uint8Array => new Uint8Array(length).fill(7);

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    expect(error.remedy).toMatch(/\.$/);
    return error.code;
  }
  return "none";
}

describe("ids", () => {
  it("are 32 bytes or 64 digits, and become bytes of our own", () => {
    expect(readId(ID)).toEqual(ID);
    expect(readId(ID)).not.toBe(ID);
    expect(readId(toHex(ID).toUpperCase())).toEqual(ID);
    for (const bad of [new Uint8Array(31), "ab", `${toHex(ID)}0`, "g".repeat(64), null, 7, undefined]) expect(codeOf(() => readId(bad as never))).toBe("ERR_I3_USAGE");
  });

  it("make stacks of 1 to 15", () => {
    expect(readStack(ID)).toEqual([ID]);
    expect(readStack(Array.from({ length: 15 }, () => ID))).toHaveLength(15);
    for (const bad of [[], Array.from({ length: 16 }, () => ID), [ID, "no"]]) expect(codeOf(() => readStack(bad))).toBe("ERR_I3_USAGE");
  });

  it("that are wrong are not shown: they may be a secret", () => {
    const secret = "5ec2e7".repeat(20);
    expect(() => readId(secret)).toThrow(/^the id is a text of 120 characters$/);
  });

  it("of one key differ for people too", () => {
    expect(shortId(ID)).toBe("00010203…1c1d1e1f");
  });
});

describe("payloads", () => {
  it("are bytes or text, as long as one datagram carries", () => {
    expect([maxPayloadBytes(), maxPayloadBytes(2), maxPayloadBytes(15)]).toEqual([1_184, 1_152, 736]);
    expect(readPayload("ä", 1)).toEqual(Uint8Array.of(0xc3, 0xa4));
    expect(readPayload(new Uint8Array(1_184), 1)).toHaveLength(1_184);
    expect(codeOf(() => readPayload(new Uint8Array(1_185), 1))).toBe("ERR_I3_TOO_LARGE");
    expect(codeOf(() => readPayload(new Uint8Array(1_153), 2))).toBe("ERR_I3_TOO_LARGE");
    for (const ids of [0, 16, 1.5, "2", null]) expect(codeOf(() => maxPayloadBytes(ids as never))).toBe("ERR_I3_USAGE");
    expect(codeOf(() => readPayload({} as never, 1))).toBe("ERR_I3_USAGE");
  });
});

describe("servers", () => {
  it.each([
    ["192.0.2.1", "192.0.2.1:5610"], ["192.0.2.1:5611", "192.0.2.1:5611"], ["2001:db8::1", "[2001:db8::1]:5610"], ["[2001:db8::1]:5611", "[2001:db8::1]:5611"], ["::ffff:192.0.2.1", "192.0.2.1:5610"],
  ])("%s is %s", (text, locator) => expect(locatorText(readServer(text))).toBe(locator));

  it.each(["", "i3.example.net", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:", "192.0.2.256", "[192.0.2.1", "2001:db8::1:99999"])("%j is refused", (text) => {
    expect(codeOf(() => readServer(text))).toBe("ERR_I3_USAGE");
  });
});

describe("consents", () => {
  const key = generateTriggerKey();
  const through = Uint8Array.from([...key.prefix, ...new Uint8Array(16)]);
  const step = signStep({ kind: "private", key }, ID, through, 1_900_000_000);

  it("are bytes and back", () => {
    const bytes = consentToBytes(step);
    expect(bytes).toHaveLength(32 + 8 + 1 + 2 + 32 + 64);
    expect(toHex(bytes.subarray(0, 43))).toBe(`${toHex(through)}00000000713fb300020020`);
    expect(consentFromBytes(bytes)).toEqual(step);
    expect(readConsents([bytes], ID, 1)).toEqual([step]);
  });

  it("that are cut off or of no kind are refused, wherever", () => {
    const bytes = consentToBytes(step);
    for (let length = 0; length < bytes.length; length += 1) expect(codeOf(() => readConsents([bytes.subarray(0, length)], ID, 1))).toBe("ERR_I3_USAGE");
    for (const kind of [0, 5, 6, 8, 255]) expect(codeOf(() => readConsents([bytes.map((byte, i) => (i === 40 ? kind : byte))], ID, 1))).toBe("ERR_I3_USAGE");
    expect(codeOf(() => readConsents([bytes.map((byte, i) => (i === 32 ? 0xff : byte))], ID, 1))).toBe("ERR_I3_USAGE");
  });

  it("for another id, of another key, or too many are refused", () => {
    const bytes = consentToBytes(step);
    const forged = consentToBytes({ ...step, publicKey: generateTriggerKey().publicKey });
    expect(codeOf(() => readConsents([bytes], random(32), 1))).toBe("ERR_I3_USAGE");
    expect(codeOf(() => readConsents([forged], ID, 1))).toBe("ERR_I3_USAGE");
    expect(codeOf(() => readConsents([bytes, bytes], ID, 1))).toBe("ERR_I3_USAGE");
  });
});

describe("groups", () => {
  it("come back from their secret, and show it nowhere else", () => {
    const group = Group.fromSecret(random(32));
    expect(Group.fromSecret(toHex(group.secret())).id).toEqual(group.id);
    expect(JSON.stringify(group)).not.toContain(toHex(random(32)));
    for (const bad of [random(31), "00", 5]) expect(codeOf(() => Group.fromSecret(bad as never))).toBe("ERR_I3_USAGE");
    for (const bad of [random(31), toHex(random(32)), undefined]) expect(() => group.admit(bad as never, new Date(0))).toThrow(/^the key of the member is /);
    for (const bad of [new Date(NaN), new Date(-1), 1e12, undefined]) expect(() => group.admit(random(32), bad as never)).toThrow(/^notAfter is /);
  });

  it("have anycast ids with a preference behind a mark", () => {
    const { id } = Group.fromSecret(random(32));
    expect(toHex(anycastIdOf(id, "eu", random).subarray(16))).toBe(`ff6575${"07".repeat(13)}`);
    expect(anycastIdOf(id, new Uint8Array(MAX_PREFERENCE_BYTES), random)).toHaveLength(32);
    expect(codeOf(() => anycastIdOf(id, "x".repeat(12), random))).toBe("ERR_I3_USAGE");
  });
});
