import { expect, it } from "vitest";

import { makeSession } from "../../src/ring/sessions.js";
import { SentMessages, type SentMessage } from "../../src/ring/sent-messages.js";
import { admitServer } from "../../src/ring/credential.js";

const bytes = (length: number): Uint8Array => new Uint8Array(length).fill(7);
const { credential } = admitServer(bytes(32), bytes);
const [one, other] = [makeSession(credential, bytes(32), 1), makeSession(credential, bytes(32), 1)];
const sent = (counter: number, session = one): SentMessage => ({ nonce: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, counter % 3), counter, to: { address: Uint8Array.of(192, 0, 2, 1), port: 1 }, toKey: null, purpose: "own", session });

it("messages that were sent are found by nonce and counter, once each", () => {
  const messages = new SentMessages(8);
  for (const counter of [1, 2, 3]) messages.add(sent(counter));
  expect(messages.take(sent(2).nonce, 2)).toEqual(sent(2));
  expect([messages.take(sent(2).nonce, 2), messages.take(sent(2).nonce, 3), messages.take(sent(3).nonce, 4)]).toEqual([null, null, null]);
});

it("of two with the same nonce and counter the later is found, and then none", () => {
  const messages = new SentMessages(8);
  messages.add(sent(1, one));
  messages.add(sent(1, other));
  expect(messages.take(sent(1).nonce, 1)?.session).toBe(other);
  expect(messages.take(sent(1).nonce, 1)).toBeNull();
});

it("the oldest make room, also when some were taken", () => {
  const messages = new SentMessages(4);
  for (const counter of [1, 2, 3, 4]) messages.add(sent(counter));
  messages.take(sent(3).nonce, 3);
  for (const counter of [5, 6]) messages.add(sent(counter));
  expect([1, 2, 3, 4, 5, 6].filter((counter) => messages.take(sent(counter).nonce, counter) !== null)).toEqual([4, 5, 6]);
});

it("are found by nonce alone, and can be forgotten by it", () => {
  const messages = new SentMessages(8);
  for (const counter of [1, 2, 3, 4]) messages.add(sent(counter));
  messages.forgetNonce(sent(1).nonce); // of the fourth too
  expect([1, 2, 3].map((counter) => messages.has(sent(counter).nonce))).toEqual([false, true, true]);
  expect([1, 2, 3, 4].filter((counter) => messages.take(sent(counter).nonce, counter) !== null)).toEqual([2, 3]);
});

it("those of a session can be forgotten", () => {
  const messages = new SentMessages(4);
  for (const counter of [1, 2, 3, 4]) messages.add(sent(counter, counter % 2 === 0 ? one : other));
  messages.forget(one);
  expect([1, 2, 3, 4].filter((counter) => messages.take(sent(counter).nonce, counter) !== null)).toEqual([1, 3]);
});
