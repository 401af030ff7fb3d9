import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { locatorText, type Endpoint, type Locator } from "@i3/common";

import { ServerNames } from "../../src/io/server-names.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const name = (text: string): Endpoint => ({ host: { kind: "name", text }, port: 5610 }) as unknown as Endpoint;
const address: Endpoint = { host: { kind: "ipv4", text: "192.0.2.1", bytes: Uint8Array.of(192, 0, 2, 1) }, port: 5610 } as unknown as Endpoint;

function bed(lookup: (name: string) => Promise<readonly string[]>) {
  const logged: unknown[] = [];
  const later: string[] = [];
  const asked: string[] = [];
  const names = new ServerNames({
    log: (level, event, fields) => logged.push([level, event, fields["name"]]), onFound: (locators) => later.push(...locators.map(locatorText)),
    lookup: (host) => {
      asked.push(host);
      return lookup(host);
    },
  });
  return { names, logged, later, asked };
}
const texts = (locators: readonly Locator[]): readonly string[] => locators.map(locatorText);

describe("the names of servers", () => {
  it("are looked up at the start, and addresses are taken as they are", async () => {
    const { names, logged } = bed(() => Promise.resolve(["192.0.2.7", "2001:db8::7"]));
    expect(texts(await names.first([address, name("a.example")]))).toEqual(["192.0.2.1:5610", "192.0.2.7:5610", "[2001:db8::7]:5610"]);
    expect(logged).toEqual([]);
  });

  it("that nobody knows are tried again, ever more slowly, and told once", async () => {
    let isOnline = false;
    const { names, logged, later, asked } = bed((host) => (isOnline && host === "a.example" ? Promise.resolve(["192.0.2.7"]) : Promise.reject(new Error("EAI_AGAIN"))));
    expect(await names.first([name("a.example"), name("wrong.example")])).toEqual([]);
    await vi.advanceTimersByTimeAsync(61_000);
    expect([logged, later, asked.filter((host) => host === "a.example").length]).toEqual([[["warn", "server-unknown", "a.example"], ["warn", "server-unknown", "wrong.example"]], [], 6]);
    isOnline = true;
    await vi.advanceTimersByTimeAsync(600_000);
    expect([later, asked.filter((host) => host === "a.example").length, logged.length]).toEqual([["192.0.2.7:5610"], 7, 2]);
    const before = asked.length;
    names.close();
    await vi.advanceTimersByTimeAsync(600_000);
    expect(asked.length).toBe(before);
  });

  it("do not hold up the start when the resolver keeps silent, and count when it answers", async () => {
    let answer: (addresses: readonly string[]) => void = () => undefined;
    const { names, later } = bed(() => new Promise((resolve) => (answer = resolve)));
    const first = names.first([address, name("a.example")]);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(texts(await first)).toEqual(["192.0.2.1:5610"]);
    answer(["192.0.2.7"]);
    await vi.advanceTimersByTimeAsync(0);
    expect(later).toEqual(["192.0.2.7:5610"]);
  });
});
