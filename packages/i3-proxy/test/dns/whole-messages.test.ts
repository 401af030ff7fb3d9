import { encode } from "dns-packet";
import { describe, expect, it } from "vitest";

import { readOpt } from "../../src/dns/edns.js";
import { decodedMessage, hasRoom, isOneQuestion } from "../../src/dns/whole-messages.js";

const OPT = { type: "OPT", name: ".", udpPayloadSize: 1_232, extendedRcode: 0, ednsVersion: 0, flags: 0, options: [] } as never;
const query = (additionals = [OPT]): Uint8Array => encode({ type: "query", id: 1, questions: [{ type: "A", name: "a.example" }], additionals });
const counting = (message: Uint8Array, at: number, count: number): Uint8Array => {
  const out = message.slice();
  out[at] = count >> 8;
  out[at + 1] = count & 0xff;
  return out;
};

describe("a message that promises more records than it has room for", () => {
  it.each([4, 6, 8, 10])("is none: the count at %i", (at) => {
    for (const message of [query(), query([]), query().slice(0, 12)]) {
      const promised = counting(message, at, 65_535);
      expect([hasRoom(promised), decodedMessage(promised)]).toEqual([false, null]);
    }
  });

  it("is malformed beside a question of ours too", () => {
    const message = counting(query(), 8, 65_535);
    expect(readOpt(message, query([]).length)).toBe("malformed");
  });
});

it("a query has one question, and nothing that only an answer has", () => {
  expect([query(), query([]), query([OPT, OPT])].map(isOneQuestion)).toEqual([true, true, true]);
  expect([query([OPT, OPT, OPT]), counting(query(), 4, 0), counting(query(), 4, 2), counting(query(), 6, 1), counting(query(), 8, 1)].map(isOneQuestion)).toEqual([false, false, false, false, false]);
});
