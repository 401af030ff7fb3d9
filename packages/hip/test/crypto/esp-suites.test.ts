import { fromHex, toHex } from "@i3/common";
import type { EspTransform } from "@i3/datapath";
import { describe, expect, it } from "vitest";

import { ESP_SUITE, espKeysOf, hipKeysOf, isEspSuite, Keymat, wipeKeys, type EspKeys } from "../../src/index.js";
import { KNOWN } from "./known-answers.js";

type Row = (typeof KNOWN.keymat)[number];

const KINDS = { 7: "null-hmac-sha-256", 8: "aes-cbc-hmac-sha-256", 9: "aes-cbc-hmac-sha-256", 13: "aes-gcm-16" } as const;

const keymatOf = (row: Row): Keymat =>
  new Keymat(row.rhash, fromHex(row.kij), fromHex(row.i), fromHex(row.j), fromHex(row.ownHit), fromHex(row.peerHit));

/** As known-answers has them. The type checker of lint is what compares EspKeys with the datapath's EspTransform. */
function hex(transform: EspTransform): object {
  const { kind } = transform;
  return {
    key: kind === "null-hmac-sha-256" ? "" : toHex(transform.key),
    salt: kind === "aes-gcm-16" ? toHex(transform.salt) : "",
    integrityKey: kind === "aes-gcm-16" ? "" : toHex(transform.integrityKey),
  };
}

describe("ESP keys", () => {
  it.each(KNOWN.keymat)("follow the HIP keys: $name", (row) => {
    const [own, peer] = [fromHex(row.ownHit), fromHex(row.peerHit)];
    const keymat = keymatOf(row);
    hipKeysOf(keymat, row.cipher, own, peer);
    expect(keymat.index).toBe(row.espIndex);
    const keys = espKeysOf(keymat, row.suite, own, peer);
    expect({ out: hex(keys.out), in: hex(keys.in) }).toEqual(row.esp);
    expect([keys.out.kind, keys.in.kind]).toEqual([KINDS[row.suite], KINDS[row.suite]]);
    expect(keymat.index).toBe(row.endIndex);
  });

  it.each(KNOWN.keymat)("are the peer's, the other way round, also when it skips to them: $name", (row) => {
    const keymat = keymatOf(row);
    keymat.skipTo(row.espIndex);
    const keys = espKeysOf(keymat, row.suite, fromHex(row.peerHit), fromHex(row.ownHit));
    expect({ out: hex(keys.in), in: hex(keys.out) }).toEqual(row.esp);
  });

  it("are wiped on request", () => {
    for (const row of KNOWN.keymat) {
      const keys = espKeysOf(keymatOf(row), row.suite, fromHex(row.ownHit), fromHex(row.peerHit));
      const secrets = [keys.out, keys.in].flatMap((direction: EspKeys) => Object.values(direction).filter((value) => typeof value !== "string"));
      expect(secrets.length).toBe(row.suite === 7 ? 2 : 4);
      expect(secrets.every((secret) => secret.some((byte) => byte !== 0))).toBe(true);
      wipeKeys(keys);
      expect(secrets.every((secret) => secret.every((byte) => byte === 0))).toBe(true);
    }
  });

  it("are known for these suites and no others", () => {
    const known = Array.from({ length: 300 }, (_, number) => number).filter(isEspSuite);
    expect(known).toEqual(Object.values(ESP_SUITE));
    expect(known).toEqual([7, 8, 9, 13]);
  });
});
