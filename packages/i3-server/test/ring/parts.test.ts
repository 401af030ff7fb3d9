/** The pieces of the channel on their own. */
import { hkdfSync } from "node:crypto";

import { describe, expect, it } from "vitest";

import { concatBytes, decodeControl, toHex } from "@i3/common";

import { SUCCESSORS } from "../../src/chord/constants.js";
import { MAX_HALF_OPEN, MAX_SESSIONS } from "../../src/ring/constants.js";
import { CounterWindow } from "../../src/ring/counter-window.js";
import { admitServer, type Credential } from "../../src/ring/credential.js";
import { privateKeyOf } from "../../src/ring/raw-keys.js";
import { isMacRight, pairKeyOf, sealRingMessage, trailerOf } from "../../src/ring/ring-message.js";
import { makeSession, Sessions } from "../../src/ring/sessions.js";
import { randomBytesFrom, seeded } from "../ring-net.js";

const random = randomBytesFrom(seeded(3));
const AUTHORITY = new Uint8Array(32).fill(1);
const [one, two, three] = [admitServer(AUTHORITY, random), admitServer(AUTHORITY, random), admitServer(AUTHORITY, random)];

describe("the key of a pair", () => {
  const pair = (a: typeof one, b: typeof one): Uint8Array | null => pairKeyOf(privateKeyOf("x25519", a.privateKey), a.credential, b.credential);

  it("is the same at both, another with everybody else, and with another place", () => {
    expect(pair(one, two)).toEqual(pair(two, one));
    const elsewhere = { ...two.credential, nodeKey: new Uint8Array(16) };
    const keys = [pair(one, two), pair(one, three), pair(two, three), pair(one, one), pair(one, { ...two, credential: elsewhere })].map((key) => toHex(key ?? new Uint8Array(0)));
    expect(new Set(keys).size).toBe(5);
    expect(keys.every((key) => key.length === 64)).toBe(true);
  });

  it("does not exist with a point of small order", () => {
    for (const point of [new Uint8Array(32), Uint8Array.of(1, ...new Uint8Array(31))]) expect(pair(one, { ...two, credential: { ...two.credential, publicKey: point } })).toBeNull();
  });

  it("is HKDF as RFC 5869 A.3 has it, without salt", () => {
    // The platform's, which is what the wire format names.
    expect(toHex(new Uint8Array(hkdfSync("sha256", new Uint8Array(22).fill(0x0b), new Uint8Array(0), new Uint8Array(0), 42)))).toBe(
      "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    );
  });
});

describe("a sealed message", () => {
  const direction = { pairKey: new Uint8Array(32).fill(5), sender: one.credential.nodeKey, receiver: two.credential.nodeKey };
  const from = { key: one.credential.nodeKey, locator: { address: Uint8Array.of(192, 0, 2, 1), port: 1 } };
  const sealed = sealRingMessage({ type: "STATE", from }, new Uint8Array(8).fill(7), direction, { senderEpoch: 0x0102, receiverEpoch: Number.MAX_SAFE_INTEGER, counter: 3 });

  it("ends with both epochs, the counter and the MAC", () => {
    expect(sealed.length).toBe(464);
    expect(toHex(sealed.subarray(-40, -16))).toBe("0000000000000102001fffffffffffff0000000000000003");
    const decoded = decodeControl(sealed);
    expect(trailerOf(decoded)).toEqual({ senderEpoch: 0x0102, receiverEpoch: Number.MAX_SAFE_INTEGER, counter: 3 });
    expect(isMacRight(decoded, direction)).toBe(true);
    expect(isMacRight(decoded, { ...direction, sender: direction.receiver, receiver: direction.sender })).toBe(false);
  });

  it("of a server with a locator of each family is no longer than the question of one without", () => {
    const asker = from;
    const node = { key: one.credential.nodeKey, locator: { address: new Uint8Array(16).fill(0x20), port: 65_535 } };
    const dual = { ...node, other: asker.locator };
    const trailer = { senderEpoch: 1, receiverEpoch: 1, counter: 1 };
    const bytesOf = (message: Parameters<typeof sealRingMessage>[0]): number => sealRingMessage(message, new Uint8Array(8), direction, trailer).length;
    const ringKey = new Uint8Array(16);
    expect(bytesOf({ type: "FOUND", from: dual, final: true, node })).toBeLessThanOrEqual(bytesOf({ type: "FIND", from: asker, ringKey }));
    expect(bytesOf({ type: "STATE_IS", from: dual, pending: false, predecessor: node, successors: Array.from({ length: SUCCESSORS }, () => node) })).toBeLessThanOrEqual(bytesOf({ type: "STATE", from: asker }));
    expect(bytesOf({ type: "ALIVE_YES", from: dual })).toBeLessThanOrEqual(bytesOf({ type: "ALIVE", from: asker }));
    for (const credential of [null, one.credential.bytes]) expect(bytesOf({ type: "ROUTED", from: dual, hops: 255, credential })).toBeLessThanOrEqual(bytesOf({ type: "ROUTE", from: asker, ringKey, asker, last: false, hops: 1, credential }));
  });

  it("has no trailer where its body is, and none of numbers that are too large", () => {
    const large = sealed.slice();
    large[424] = 0xff;
    expect(trailerOf(decodeControl(large))).toBeNull();
    const bodyEnd = 16 + (sealed[5] ?? 0);
    for (let rest = 16; rest < 40; rest += 1) expect(trailerOf(decodeControl(sealed.slice(0, bodyEnd + rest))), `${rest}`).toBeNull();
    expect(trailerOf(decodeControl(sealed.slice(0, bodyEnd + 40)))).not.toBeNull();
  });
});

describe("the window", () => {
  it("takes each of the last 64 once", () => {
    const window = new CounterWindow();
    expect(window.take(0)).toBe(true);
    expect([1, 1, 100, 37, 36, 37, 100, 99].map((counter) => window.take(counter))).toEqual([true, false, true, true, false, false, false, true]);
    expect([Number.MAX_SAFE_INTEGER, 100, Number.MAX_SAFE_INTEGER - 63, Number.MAX_SAFE_INTEGER - 64].map((counter) => window.take(counter))).toEqual([true, false, true, false]);
  });
});

describe("sessions", () => {
  const credentialOf = (i: number): Credential => ({ ...one.credential, nodeKey: concatBytes(new Uint8Array(12), Uint8Array.of(0, i >> 16, (i >> 8) & 0xff, i & 0xff)) });
  const sessionOf = (i: number) => makeSession(credentialOf(i), new Uint8Array(32).fill(1), 1);

  it("are 4,096; the least recently used goes, never a neighbour's, and its key is wiped", () => {
    const sessions = new Sessions(MAX_SESSIONS);
    const all = Array.from({ length: MAX_SESSIONS }, (_, i) => sessionOf(i));
    for (const session of all) expect(sessions.prove(session)).toBeNull();
    sessions.keep([credentialOf(0).nodeKey, credentialOf(2).nodeKey]);
    sessions.use(credentialOf(1).nodeKey);
    expect(sessions.prove(sessionOf(MAX_SESSIONS))).toBe(all[3]);
    expect(all[3]?.pairKey).toEqual(new Uint8Array(32));
    expect(sessions.prove(sessionOf(MAX_SESSIONS + 1))).toBe(all[4]);
    expect(sessions.size).toBe(MAX_SESSIONS);
    for (const i of [0, 1, 2]) expect(sessions.peek(credentialOf(i).nodeKey)).toBe(all[i]);
    sessions.clear();
    expect(all[0]?.pairKey).toEqual(new Uint8Array(32));
  });

  it("that are half-open are 256, take no proven one's place, and their keys are wiped", () => {
    const sessions = new Sessions(MAX_SESSIONS);
    const proven = sessionOf(9_999);
    sessions.prove(proven);
    const all = Array.from({ length: 2 * MAX_HALF_OPEN }, (_, i) => sessionOf(i));
    for (const session of all) sessions.addHalfOpen(session);
    expect(all.filter(({ credential }) => sessions.peek(credential.nodeKey) !== undefined)).toEqual(all.slice(MAX_HALF_OPEN));
    expect(all[0]?.pairKey).toEqual(new Uint8Array(32));
    expect(sessions.peek(proven.credential.nodeKey)).toBe(proven);
    expect(sessions.use(all.at(-1)?.credential.nodeKey ?? new Uint8Array(0))).toBeUndefined();
  });
});
