/** Where triggers belong is asked of other servers (docs/adr/0008): how soon after a dispute, and of whom when some are silent. */
import { decodeControl, encodeControl, privateId, type ControlMessage } from "@i3/common";
import { generateTriggerKey, type TriggerSigner } from "@i3/hip";
import { expect, it } from "vitest";

import { FakeRing, filled } from "./fake-ring.js";

const key = generateTriggerKey();
const ID = privateId(key.prefix, filled(16, 1));
const SIGNER: TriggerSigner = { kind: "private", key };
const FIRST_CHECK_MS = 1_000;
const CHECK_MS = 30_000;
const RETRY_MS = 3_000;
const SILENT_MS = 60_000;

const silence = (message: ControlMessage): null | undefined => (message.type === "LOCATE" ? null : undefined);

/** The trigger is at the last server; the others are the nearer the smaller their number. */
function inserted(servers: number): FakeRing {
  const ring = new FakeRing(servers);
  for (const server of ring.servers) server.delayMs = server.number;
  ring.run(100);
  ring.client.insertTrigger(ring.nowMs, ID, SIGNER);
  ring.until(() => ring.live(ID), 900);
  return ring;
}

/** Whom the checks asked, in order, and when; the question before the trigger was inserted left out. */
const asked = (ring: FakeRing): readonly { readonly server: number; readonly atMs: number }[] =>
  ring.servers.flatMap(({ heard, number }) => heard.flatMap(({ message, atMs }) => (message.type === "LOCATE" ? [{ server: number, atMs }] : []))).sort((a, b) => a.atMs - b.atMs).slice(1);

it("every 30 s, but 1 s after a second answer that named another server", () => {
  const ring = inserted(3);
  const thief = ring.addStranger();
  ring.owner = ring.server(3);
  const original = ring.client.handleControl.bind(ring.client);
  let answers = 0;
  ring.client.handleControl = (nowMs, from, bytes) => {
    const { message, nonce } = decodeControl(bytes);
    if (message.type === "LOCATED" && (answers += 1) === 2) original(nowMs, from, encodeControl({ ...message, node: { key: filled(16, 9), locator: thief.locator } }, nonce));
    original(nowMs, from, bytes);
  };
  ring.run(2 * CHECK_MS + 5 * FIRST_CHECK_MS);
  const times = asked(ring).map(({ atMs }) => atMs);
  const waits = times.slice(1).map((atMs, i) => Math.round((atMs - (times[i] ?? 0)) / 100) * 100);
  expect(waits, "the second of four was disputed").toEqual([CHECK_MS, FIRST_CHECK_MS, CHECK_MS]);
  expect([ring.live(ID), ring.client.triggers(ring.nowMs)[0]?.server]).toEqual([true, ring.server(3).locator]);
});

it("of none that was silent in the last minute, however many those are", () => {
  const ring = inserted(5);
  for (const number of [1, 2, 3]) ring.server(number).script = silence;
  ring.run(FIRST_CHECK_MS + 3 * RETRY_MS + 100);
  expect(asked(ring).map(({ server }) => server)).toEqual([1, 2, 3, 4]);
  const silentMs = asked(ring)[1]?.atMs ?? 0;
  ring.run(CHECK_MS);
  for (const number of [1, 2, 3]) ring.server(number).script = () => undefined;
  ring.run(2 * CHECK_MS);
  expect(asked(ring).map(({ server }) => server)).toEqual([1, 2, 3, 4, 4, 1, 1]);
  expect((asked(ring)[5]?.atMs ?? 0) - silentMs).toBeGreaterThanOrEqual(SILENT_MS);
});

it("of the one that was silent longest ago, when all were, and never of the server itself", () => {
  const ring = inserted(4);
  for (const { number } of ring.servers) ring.server(number).script = silence;
  ring.run(FIRST_CHECK_MS + 8 * RETRY_MS + 100);
  expect(asked(ring).map(({ server }) => server)).toEqual([1, 2, 3, 1, 2, 3, 1, 2, 3]);
  ring.server(2).script = () => undefined;
  ring.run(2 * CHECK_MS);
  expect(asked(ring).slice(9).map(({ server }) => server)).toEqual([1, 2, 2]);
});
