/** How the examples ask over i3: what is no question and no answer does no harm, and nobody waits for ever. */
import { EventEmitter } from "node:events";

import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { answerTo, readAnswer, readQuestion } from "../../examples/questions.mjs";
import type { I3Connection, Message, Trigger } from "../../src/index.js";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const ID = "c4a7".repeat(16);

it("what anybody may send is a question or an answer, or nothing", () => {
  expect(readQuestion(bytes(JSON.stringify({ number: 7, replyTo: ID, more: 1 })))).toEqual({ number: 7, replyTo: ID });
  expect(readAnswer(bytes(JSON.stringify({ number: 7, place: "eu" })))).toEqual({ number: 7, place: "eu" });
  const foreign = [
    new Uint8Array(0), Uint8Array.of(0xff, 0xfe), bytes("hello"), bytes("null"), bytes("5"), bytes("[]"), bytes("{}"),
    ...[{ number: 7 }, { number: "7", replyTo: ID, place: "eu" }, { number: 1e300, replyTo: ID, place: "eu" }, { number: 7, replyTo: ID.slice(1), place: 5 }, { number: 7, replyTo: [ID], place: ["eu"] }, { number: 7, replyTo: `${ID}00` }, { number: 7, replyTo: "z".repeat(64) }].map((value) => bytes(JSON.stringify(value))),
  ];
  expect(foreign.map((payload) => [readQuestion(payload), readAnswer(payload)])).toEqual(foreign.map(() => [undefined, undefined]));
});

const inbox = new EventEmitter();
const message = (text: string): Message => ({ id: new Uint8Array(32), payload: bytes(text), stack: [], hopLimit: 1, copyBudget: 1 });
const ask = (server: string | null, send: () => boolean): Promise<number> =>
  answerTo({ server: () => server } as unknown as I3Connection, send, inbox as unknown as Trigger, ({ payload }) => readAnswer(payload)?.number);
const said: unknown[] = [];
beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(console, "error").mockImplementation((line) => void said.push(line));
});
afterEach(() => {
  // Nothing is left of a question, answered or not.
  expect([inbox.listenerCount("message"), vi.getTimerCount()]).toEqual([0, 0]);
  vi.useRealTimers();
  vi.restoreAllMocks();
  said.length = 0;
});

it("a question is asked again each second until its answer is there", async () => {
  let asked = 0;
  const answer = ask("192.0.2.1:5610", () => (asked += 1) > 0);
  await vi.advanceTimersByTimeAsync(3_500);
  inbox.emit("message", message("something else"));
  inbox.emit("message", message(JSON.stringify({ number: 7, place: "eu" })));
  expect([await answer, asked, said]).toEqual([7, 4, []]);
});

it("a question that cannot be sent says why, and is given up after 10 s", async () => {
  let asked = 0;
  const given = expect(ask(null, () => (asked += 1) > 2)).rejects.toMatchObject({ code: "ERR_I3_NO_SERVER", message: "no answer has come within 10 s", remedy: expect.stringContaining("servers") as string });
  await vi.advanceTimersByTimeAsync(9_900);
  expect([asked, said]).toEqual([10, ["* not sent: no server answers", "* not sent: no server answers"]]);
  await vi.advanceTimersByTimeAsync(100);
  await given;
});

it("a question of which the system takes no more says so", async () => {
  const answer = ask("192.0.2.1:5610", () => false);
  inbox.emit("message", message(JSON.stringify({ number: 7, place: "eu" })));
  expect([await answer, said]).toEqual([7, ["* not sent: too many packets wait for the system"]]);
});
