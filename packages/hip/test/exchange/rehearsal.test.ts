/** A rehearsal is a whole exchange: one that stops half way would leave code cold. */
import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";

import { dhKeyPair } from "../../src/crypto/diffie-hellman.js";
import { rehearsal, type RehearsalEnvironment } from "../../src/exchange/rehearsal.js";
import { identity } from "./bed.js";

function environment(changes: Partial<RehearsalEnvironment> = {}): RehearsalEnvironment {
  let made = 0;
  return { newIdentity: () => identity("ecdsa-p256", made++), random: (bytes) => randomBytes(bytes), dhSource: (group) => dhKeyPair(group, randomBytes), ...changes };
}

function run(env: RehearsalEnvironment): { readonly steps: number; readonly isWhole: boolean } {
  const rehearsing = rehearsal(env);
  for (let steps = 1; ; steps++) {
    const { done, value } = rehearsing.next();
    if (done === true) return { steps, isWhole: value };
  }
}

describe("a rehearsal", () => {
  it("ends with an association at both hosts, in seven steps", () => {
    expect(run(environment())).toEqual({ steps: 7, isWhole: true });
  });

  it("says when it went wrong: of one host with itself", () => {
    expect(() => run(environment({ newIdentity: () => identity() }))).toThrow(/call of the host itself/);
  });
});
