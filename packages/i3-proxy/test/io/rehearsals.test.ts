/** What is rehearsed is over some time, and says so. */
import { randomBytes } from "node:crypto";

import { generateHostIdentity, systemDhSource } from "@i3/hip";
import { expect, it } from "vitest";

import { beginRehearsals } from "../../src/io/rehearsals.js";

const environment = { newIdentity: () => generateHostIdentity("ecdsa-p256"), random: (bytes: number) => randomBytes(bytes), dhSource: systemDhSource };

/** The event that is logged first. */
const outcome = (changes: Partial<typeof environment>): Promise<unknown> => new Promise((resolve) => void beginRehearsals((...entry) => resolve(entry), { ...environment, ...changes }));

it("six exchanges", async () => {
  expect(await outcome({})).toEqual(["debug", "rehearsed", { exchanges: 6 }]);
});

it("a failure is told, and ends nothing else", async () => {
  const one = generateHostIdentity("ecdsa-p256");
  expect(await outcome({ newIdentity: () => one })).toMatchObject(["error", "rehearsal-failed", {}]);
});

it("ends early", async () => {
  let identities = 0;
  const newIdentity = (): ReturnType<typeof generateHostIdentity> => {
    identities += 1;
    return generateHostIdentity("ecdsa-p256");
  };
  beginRehearsals(() => expect.fail("not over"), { ...environment, newIdentity })();
  await new Promise((resolve) => setImmediate(resolve));
  expect(identities).toBe(0);
});
