/** What the flood's generator sends is what an engine answers: otherwise a flood would cost nothing and prove nothing. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { makeLocator, publicId } from "@i3/common";
import { makeDatagramBatch, ReferenceEngine, type Counters } from "@i3/datapath";
import { generateHostIdentity, HipHost, systemDhSource } from "@i3/hip";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { rangesText, relayedI1, straightI1, type ForgedDatagram } from "../src/handshake/forged-i1.js";

const COUNT = 16;
const SOURCE = fileURLToPath(new URL("../native/forged-flood.c", import.meta.url));
const identity = generateHostIdentity("ecdsa-p256");
let directory = "";

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "i3-forged-"));
  execFileSync("gcc", ["-O1", "-Wall", "-Wextra", "-Werror", "-o", join(directory, "forged-flood"), SOURCE]);
});
afterAll(() => rmSync(directory, { recursive: true }));

/** What the generator would send. */
function forge(datagram: ForgedDatagram): readonly Uint8Array[] {
  const text = execFileSync(join(directory, "forged-flood"), ["-", "5610", String(COUNT), "0", rangesText(datagram)], { input: datagram.bytes, encoding: "utf8" });
  return text.trim().split("\n").map((line) => new Uint8Array(Buffer.from(line, "hex")));
}

/** Counters of an engine with this identity's responder, after it has got them from as many sources. */
function countersAfter(datagrams: readonly Uint8Array[]): Counters {
  const engine = new ReferenceEngine();
  const ownPublicId = publicId(identity.hit);
  const host = new HipHost({
    identity, ownPublicId, random: (bytes) => new Uint8Array(bytes).fill(1), dhSource: systemDhSource, r1Generation: 1n, send: () => undefined, newSpi: () => 0x3000_0000,
    admits: () => true, espSuitesFor: () => [13], offerFor: () => ({ privateId: null, preferences: null }), onEvent: () => undefined, log: () => undefined,
  }, 1_000);
  engine.setHipResponder(host.responder === null ? null : { ...host.responder, openIds: [] });
  engine.setInbound(ownPublicId, { action: "upcall" });
  engine.setDefaultServer(makeLocator(Uint8Array.of(192, 0, 2, 9), 5_610));
  const udp = makeDatagramBatch(COUNT, 2_048);
  datagrams.forEach((bytes, i) => {
    udp.arena.set(bytes, i * udp.slotBytes);
    udp.lengths[i] = bytes.length;
    udp.addresses.set([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 16, 0, 0, i, 0x30, 0x39], i * 18);
  });
  udp.count = datagrams.length;
  engine.step(1_000, { tun: { ...makeDatagramBatch(0, 2_048), checksums: new Uint8Array(0) }, udp }, { ...makeDatagramBatch(COUNT, 4_096), checksums: new Uint8Array(COUNT) }, makeDatagramBatch(COUNT, 4_096));
  return engine.counters();
}

describe.each([["straight", straightI1], ["relayed", relayedI1]] as const)("a %s I1 of the flood", (_, make) => {
  it("is answered, and each is another's", () => {
    const forged = forge(make(identity.hit));
    expect(new Set(forged.map((bytes) => Buffer.from(bytes).toString("hex"))).size).toBe(COUNT);
    expect(countersAfter(forged)).toMatchObject({ hipAnswered: COUNT, drops: { malformed: 0, hip: 0, rate: 0 } });
  });

  it("for another host is seen to be wrong", () => {
    const forged = forge(make(generateHostIdentity("ecdsa-p256").hit));
    expect(countersAfter(forged).hipAnswered).toBe(0);
  });

  it("with random bytes over its header is seen to be wrong", () => {
    const { bytes, random } = make(identity.hit);
    const forged = forge({ bytes, random: [...random, [(random[0]?.[0] ?? 0) - 12, 4]] });
    const { hipAnswered, drops } = countersAfter(forged);
    expect([hipAnswered, drops.malformed]).toEqual([0, COUNT]);
  });
});

it("ranges beyond the datagram are refused", () => {
  const { bytes } = straightI1(identity.hit);
  expect(() => forge({ bytes, random: [[bytes.length - 1, 2]] })).toThrow(/no range/);
});
