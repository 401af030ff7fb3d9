import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { answerQuery } from "../../src/dns/dns-core.js";
import { WaitingQuestions } from "../../src/io/dns-port-waiting.js";
import { HOME_V4, testNames } from "../dns/names.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function bed(isKnown = false) {
  const listeners = new Map<string, Set<() => void>>();
  const whenKnown = (name: string, done: () => void): (() => void) => {
    if (isKnown) {
      done();
      return () => undefined;
    }
    const all = listeners.get(name) ?? new Set();
    listeners.set(name, all.add(done));
    return () => void all.delete(done);
  };
  const heard: string[] = [];
  const waiting = new WaitingQuestions({ whenKnown });
  const add = (name: string, host?: string): void => waiting.add(name, () => void heard.push(`known ${name}`), () => void heard.push(`failed ${name}`), host);
  const tell = (name: string): void => [...(listeners.get(name) ?? [])].forEach((done) => done());
  const left = (): number => [...listeners.values()].reduce((sum, { size }) => sum + size, 0);
  return { waiting, heard, add, tell, left };
}

describe("questions about names that are looked for", () => {
  it("are answered when the name is known, each once, and only those", () => {
    const { waiting, heard, add, tell, left } = bed();
    for (const name of ["a.i3", "a.i3", "b.i3"]) add(name);
    vi.advanceTimersByTime(1_999);
    expect(heard).toEqual([]);
    tell("a.i3");
    expect([heard, waiting.size, left()]).toEqual([["known a.i3", "known a.i3"], 1, 1]);
    vi.advanceTimersByTime(1);
    expect([heard.at(-1), heard.length, waiting.size, left(), waiting.counters]).toEqual(["failed b.i3", 3, 0, 0, { waited: 3, late: 1, full: 0 }]);
    tell("b.i3");
    vi.advanceTimersByTime(10_000);
    expect(heard).toHaveLength(3);
  });

  it("about a name that is known by now are answered at once", () => {
    const { waiting, heard, add } = bed(true);
    add("a.i3");
    vi.advanceTimersByTime(10_000);
    expect([heard, waiting.size]).toEqual([["known a.i3"], 0]);
  });

  it("are 256 at a time; of more the oldest fails at once, and is counted", () => {
    const { waiting, heard, add, tell } = bed();
    for (let n = 0; n < 257; n++) add(n === 0 ? "first.i3" : "a.i3");
    expect([heard, waiting.size, waiting.counters]).toEqual([["failed first.i3"], 256, { waited: 257, late: 0, full: 1 }]);
    tell("a.i3");
    expect([heard.length, waiting.size]).toEqual([257, 0]);
    add("a.i3");
    expect(waiting.counters).toEqual({ waited: 258, late: 0, full: 1 });
  });

  it("of a host that asks for everything make room for the others', oldest first", () => {
    const { heard, add, tell } = bed();
    add("early.i3", "pc");
    for (let n = 0; n < 300; n++) add(`${n}.i3`, "flood");
    for (let n = 0; n < 20; n++) add("late.i3", `phone ${n}`);
    expect(heard).toEqual(Array.from({ length: 65 }, (_, n) => `failed ${n}.i3`));
    tell("early.i3");
    tell("late.i3");
    expect(heard.slice(65)).toEqual(["known early.i3", ...Array.from({ length: 20 }, () => "known late.i3")]);
  });

  it("fail at once where the source of names cannot tell, and are silent after the end", () => {
    const heard: string[] = [];
    new WaitingQuestions({}).add("a.i3", () => undefined, () => void heard.push("failed"));
    expect(heard).toEqual(["failed"]);
    const { waiting, heard: none, add, left } = bed();
    add("a.i3");
    waiting.close();
    vi.advanceTimersByTime(10_000);
    expect([none, left(), waiting.size]).toEqual([[], 0, 0]);
  });
});

it("a question waits while its name is looked for, and others do not", () => {
  const query = (name: string): Uint8Array => Uint8Array.from([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...name.split(".").flatMap((label) => [label.length, ...Buffer.from(label)]), 0, 0, 1, 0, 1]);
  let looked = 0;
  const names = { ...testNames, resolve: (name: string) => (name.endsWith("corp.i3") ? ((looked += 1), "looking" as const) : testNames.resolve(name)) };
  expect(answerQuery(query("Home.corp.i3"), names)).toEqual({ kind: "wait", name: "home.corp.i3" });
  const other = answerQuery(query("home.i3"), names);
  expect([other.kind === "answer" && [...other.bytes.slice(-4)], looked]).toEqual([[...HOME_V4], 1]);
});
