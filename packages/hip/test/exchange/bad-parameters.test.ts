/**
 * Each parameter of each packet truncated, repeated, misordered and so on, with MAC and signature as they were, so that these answer, and with both made anew by the right keys, so
 * that what stands behind them answers. What is dropped is counted once, changes nothing, and the right packet behind it still does its work.
 */
import { describe, expect, it } from "vitest";

import type { HipDrop } from "../../src/exchange/counters.js";
import { HIP_PACKET, PARAMETER } from "../../src/wire/numbers.js";
import { decodeHipPacket, parameter } from "../../src/wire/packet.js";
import { decodeNotification, notifyName } from "../../src/wire/parameters/notification.js";
import { PARAMETER_ROWS, type Answer } from "./bad-parameter-rows.js";
import { held, SPOILINGS, type HeldKind, type HeldPacket, type Spoiling } from "./held-packet.js";

const KINDS: readonly HeldKind[] = ["I1", "R1", "I2", "inside I2", "I2 in clear", "R2", "inside R2", "UPDATE", "UPDATE for a second pair", "CLOSE", "CLOSE_ACK", "NOTIFY"];
/** Of an I2 with HOST_ID in clear all other parameters are those of any I2. */
const ONLY: Readonly<Partial<Record<HeldKind, readonly number[]>>> = { "I2 in clear": [PARAMETER.hostId] };

const stateOf = ({ to }: HeldPacket): string => JSON.stringify([to.host.sizes, to.events.filter(({ kind }) => kind !== "responder")], (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));

/** What went out in answer: names of NOTIFY codes. */
function saidBy({ network, to }: HeldPacket, since: number, longest: number): readonly string[] {
  return network.wire.slice(since).map(({ from, bytes }) => {
    expect([from === to, bytes[2], bytes.length <= longest]).toEqual([true, HIP_PACKET.notify, true]);
    return notifyName(decodeNotification(parameter(decodeHipPacket(bytes), PARAMETER.notification)?.contents as Uint8Array).code);
  });
}

/** Delivers the spoilt packet, then, if it did nothing, the genuine one. */
function answerTo(kind: HeldKind, index: number, how: Spoiling, isSealedAnew: boolean): Answer {
  const packet = held(kind);
  const { network, to, path, genuine } = packet;
  const bytes = packet.spoilt(index, how, isSealedAnew);
  if (bytes === null) return null;
  const [state, drops, sent] = [stateOf(packet), { ...to.host.counters.drops }, network.wire.length];
  network.deliver(to, bytes, path);
  const reasons = (Object.keys(drops) as HipDrop[]).flatMap((reason) => Array.from({ length: to.host.counters.drops[reason] - drops[reason] }, () => reason));
  if (reasons.length === 0 && (kind !== "NOTIFY" || to.of("failed").length > 0)) {
    const isAcknowledged = network.types(to).length > 0 && network.wire.at(-1)?.bytes[2] === HIP_PACKET.update;
    return packet.succeeds() ? "taken" : isAcknowledged ? "acknowledged" : "lost";
  }
  expect(stateOf(packet)).toBe(state);
  const said = saidBy(packet, sent, bytes.length);
  network.deliver(to, genuine, path);
  expect(packet.succeeds()).toBe(true);
  return reasons.length === 0 ? "noted" : [...reasons, ...said].join(", ");
}

describe.each(KINDS)("%s", (kind) => {
  const rows = PARAMETER_ROWS.filter((row) => row.kind === kind);

  it("is taken when nothing is spoilt, and each of its parameters has a row", () => {
    const packet = held(kind);
    packet.network.deliver(packet.to, packet.genuine, packet.path);
    expect(packet.succeeds()).toBe(true);
    const types = packet.parameters.map(({ type }) => type).filter((type) => ONLY[kind]?.includes(type) !== false);
    expect(rows.map(({ name }) => PARAMETER[name])).toEqual(types);
  });

  it.each(rows)("$name: $why", ({ name, asItIs, sealedAnew }) => {
    const index = held(kind).parameters.findIndex(({ type }) => type === PARAMETER[name]);
    const answers = (isSealedAnew: boolean): Record<string, Answer> => Object.fromEntries(SPOILINGS.map((how) => [how, answerTo(kind, index, how, isSealedAnew)]));
    const expected = (row: readonly Answer[]): Record<string, Answer> => Object.fromEntries(SPOILINGS.map((how, n) => [how, row[n] ?? null]));
    expect(answers(false)).toEqual(expected(asItIs));
    if (kind !== "I1") expect(answers(true)).toEqual(expected(sealedAnew));
  });
});
