/**
 * What cutehip, another implementation of HIPv2, sent to us in both roles (docs/interop.md), again: our random bytes are those of the recording, so its MACs and signatures
 * fit, and its ESP opens in both engines.
 */
import { readFileSync } from "node:fs";

import { makeLocator } from "@i3/common";
import { dhKeyPair, HipHost, hipChecksum, hostIdentityFromPem, type EspKeys, type HipEvent } from "@i3/hip";
import { describe, expect, it } from "vitest";
import { concat, ip4 } from "../../packages/datapath/test/reference/packets.js";
import { ENGINES } from "./esp-engines.js";

interface Recording {
  readonly identityPem: string;
  readonly ours: string;
  readonly cutehip: string;
  readonly theyCall: { readonly i1: string; readonly i2: string; readonly esp: readonly string[]; readonly update: string; readonly close: string };
  readonly weCall: { readonly r1: string; readonly r2: string; readonly esp: readonly string[]; readonly closeAck: string };
}

const recording = JSON.parse(readFileSync(new URL("cutehip.json", import.meta.url), "utf8")) as Recording;
const { theyCall, weCall } = recording;
const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"));
const cutehipHit = bytes(theyCall.i1).slice(8, 24);
const identity = hostIdentityFromPem(recording.identityPem);
/** Protocol 139 was carried to the engine's UDP port by a bridge; puzzles are bound to this address. */
const PATH = { kind: "udp", locator: makeLocator(ip4("127.0.0.1"), 6_000) } as const;
const FIRST_SPI = 0x3000_0000;
const ECHO_REQUEST = 128;
const ECHO_REPLY = 129;

function host() {
  const same = (length: number): Uint8Array => new Uint8Array(length).fill(0x42);
  const events: HipEvent[] = [];
  const sent: Uint8Array[] = [];
  let spi = FIRST_SPI;
  const hip = new HipHost({
    identity, ownPublicId: null, random: same, dhSource: (group) => dhKeyPair(group, same), r1Generation: 1_000n, send: (_, packet) => sent.push(packet), newSpi: () => spi++, admits: () => true,
    espSuitesFor: () => [9, 8], offerFor: () => ({ privateId: null, preferences: null }), onEvent: (event) => events.push(event), log: () => undefined,
  }, 0);
  const hear = (hex: string): void => hip.handle(0, bytes(hex), PATH);
  const established = () => events.find((event) => event.kind === "established");
  return { hip, events, sent, hear, established, sentTypes: (): readonly number[] => sent.map((packet) => packet[2] ?? 0) };
}

function called(i2 = theyCall.i2) {
  const bed = host();
  bed.hear(theyCall.i1);
  bed.hear(i2);
  return bed;
}

function calling(r2 = weCall.r2) {
  const bed = host();
  bed.hip.connect(0, { hit: cutehipHit, path: PATH, returnId: null });
  bed.hear(weCall.r1);
  // The puzzle has 8 bits; a turn tries 1,500 times.
  for (let turn = 0; turn < 10 && bed.sent.length < 2; turn++) bed.hip.tick(0);
  bed.hear(r2);
  return bed;
}

/** Flips a bit of one byte. */
const changed = (hex: string, at: number): string => Buffer.from(bytes(hex).with(at, (bytes(hex)[at] ?? 0) ^ 0x10)).toString("hex");

describe("packets of cutehip", () => {
  it("have the checksum that we compute", () => {
    for (const hex of [theyCall.i1, theyCall.i2, theyCall.update, theyCall.close, weCall.r1, weCall.r2, weCall.closeAck]) {
      expect(hipChecksum(bytes(hex), ip4(recording.cutehip), ip4(recording.ours))).toBe(Buffer.from(bytes(hex)).readUInt16BE(4));
    }
  });

  it("I1 and I2 make an association, UPDATE is acknowledged, CLOSE ends it", () => {
    const { hear, events, established, sentTypes, hip } = called();
    expect(established()).toMatchObject({ role: "responder", espSuite: 9, peer: { algorithm: "ecdsa-p384", hit: cutehipHit }, peerPreferences: null });
    hear(theyCall.update);
    hear(theyCall.close);
    expect(sentTypes()).toEqual([2, 4, 16, 19]);
    expect(events.at(-1)).toMatchObject({ kind: "closed", code: "peer" });
    expect(Object.values(hip.counters.drops).every((count) => count === 0)).toBe(true);
  });

  it("R1 and R2 make an association, CLOSE_ACK ends it", () => {
    const { hear, established, hip, sentTypes } = calling();
    const found = established();
    expect(found).toMatchObject({ role: "initiator", espSuite: 9, peer: { algorithm: "ecdsa-p384", hit: cutehipHit } });
    hip.close(0, found?.association ?? 0);
    hear(weCall.closeAck);
    expect(sentTypes()).toEqual([1, 3, 18]);
    expect(hip.sizes).toEqual({ attempts: 0, associations: 0 });
  });

  it("make none when any of their bytes is another", () => {
    // Not the checksum, which is not looked at in UDP, nor the padding at the end.
    const places = (hex: string): readonly number[] => Array.from({ length: hex.length / 2 - 8 }, (_, at) => at).filter((at) => at % 11 === 0 && at > 5);
    for (const at of places(theyCall.i2)) expect([at, called(changed(theyCall.i2, at)).established()]).toEqual([at, undefined]);
    for (const at of places(weCall.r2)) expect([at, calling(changed(weCall.r2, at)).established()]).toEqual([at, undefined]);
  });
});

describe.each(ENGINES)("the $name engine opens cutehip's ESP", ({ make }) => {
  it.each([
    { name: "that calls", association: called, esp: theyCall.esp, types: [ECHO_REQUEST, ECHO_REQUEST] },
    { name: "that we call", association: calling, esp: weCall.esp, types: [ECHO_REPLY, ECHO_REPLY] },
  ])("of a host $name", ({ association, esp, types }) => {
    const transform: EspKeys | undefined = association(undefined).established()?.keysIn;
    if (transform === undefined) throw new Error("no association");
    const stepped = make();
    try {
      stepped.engine.setFlow(cutehipHit, { action: "refuse" });
      stepped.engine.setInboundAssociation(FIRST_SPI, {
        transform, beet: 6, checksumState: false, flow: cutehipHit, source4: null, destination4: null,
        source6: { from: cutehipHit, to: cutehipHit }, destination6: { from: identity.hit, to: identity.hit },
      });
      const { tun } = stepped.fromUdp(esp.map(bytes));
      expect(tun.map((packet) => [Buffer.from(packet.subarray(8, 40)).toString("hex"), packet[6], packet[40]]))
        .toEqual(types.map((type) => [Buffer.from(concat(cutehipHit, identity.hit)).toString("hex"), 58, type]));
      // Again, and with another ICV: dropped for what they are.
      expect(stepped.fromUdp(esp.map(bytes))).toMatchObject({ tun: [], drops: { replay: 2 } });
    } finally {
      stepped.close();
    }
  });
});
