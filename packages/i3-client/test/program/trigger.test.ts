/** A program's handle of a trigger: when it is live, and who gets its messages. */
import { expect, it } from "vitest";

import { MAX_WAITING_MESSAGES } from "../../src/index.js";
import type { Message } from "../../src/program/message.js";
import { ProgramTrigger } from "../../src/program/trigger.js";

const [A, B] = [Uint8Array.of(1), Uint8Array.of(2)] as const;
const message = (n: number): Message => ({ id: A, payload: Uint8Array.of(n & 0xff), stack: [], hopLimit: 1, copyBudget: 1 });
const make = (parts: readonly Uint8Array[] = [A]): ProgramTrigger => new ProgramTrigger(A, parts, () => undefined);

it("is live when all its parts are, and says so once", () => {
  const trigger = make([A, B]);
  const said: string[] = [];
  trigger.on("live", () => said.push("live")).on("lost", (why) => said.push(why));
  trigger.setLive(A);
  expect(trigger.live).toBe(false);
  trigger.setLive(B);
  trigger.setLive(B);
  trigger.setLost(A, "gone");
  trigger.setLost(B, "gone too");
  trigger.setLive(A);
  trigger.setLive(B);
  expect(said).toEqual(["live", "gone", "live"]);
});

it("gives a loop what came before it, and ends it when it is removed", async () => {
  const trigger = make();
  trigger.deliver(message(1));
  const heard: (number | undefined)[] = [];
  const loop = (async () => {
    for await (const { payload } of trigger) heard.push(payload[0]);
  })();
  await Promise.resolve();
  trigger.deliver(message(2));
  trigger.remove();
  trigger.deliver(message(3));
  await loop;
  expect(heard).toEqual([1, 2]);
});

it("gives a listener what came before it", async () => {
  const trigger = make();
  trigger.deliver(message(1));
  const heard: (number | undefined)[] = [];
  trigger.on("message", ({ payload }) => heard.push(payload[0]));
  await Promise.resolve();
  trigger.deliver(message(2));
  expect(heard).toEqual([1, 2]);
});

it("keeps so many for a slow loop, and counts the others", () => {
  const trigger = make();
  for (let i = 0; i < MAX_WAITING_MESSAGES + 3; i += 1) trigger.deliver(message(i));
  expect(trigger.dropped).toBe(3);
});
