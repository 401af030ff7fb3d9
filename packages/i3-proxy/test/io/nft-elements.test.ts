import { describe, expect, it } from "vitest";

import { NftElements } from "../../src/io/nft-elements.js";

interface World {
  readonly elements: NftElements;
  readonly lines: string[];
  /** Of the command that is at work. */
  end(error?: Error): Promise<void>;
}

function world(): World {
  const [lines, waits] = [[] as string[], [] as ((error?: Error) => void)[]];
  const nft = { run: (line: string): Promise<void> => new Promise((resolve, reject) => void (lines.push(line), waits.push((error) => (error === undefined ? resolve() : reject(error))))) };
  const elements = new NftElements(nft, { table: "t", coalesceMs: 0, onError: () => undefined });
  return {
    elements, lines,
    end: async (error) => {
      while (waits.length === 0) await new Promise((resolve) => setImmediate(resolve));
      waits.shift()?.(error);
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

describe("elements of a table", () => {
  it("are in force only when nft has them all, more than one command's too", async () => {
    const { elements, lines, end } = world();
    for (let i = 0; i < 1_100; i += 1) elements.set("s", `10.0.${i >> 8}.${i & 255}`);
    let isSettled = false;
    const settled = elements.settled().then(() => (isSettled = true));
    for (const isLast of [false, false, true]) {
      expect(isSettled).toBe(false);
      await end();
      expect(isSettled).toBe(isLast);
    }
    await settled;
    expect(lines.map((line) => line.split(",").length)).toEqual([512, 512, 76]);
  });

  it("that nft refused are all tried again before anybody is told that they are in force", async () => {
    const { elements, lines, end } = world();
    for (let i = 0; i < 600; i += 1) elements.set("s", `10.1.${i >> 8}.${i & 255}`);
    await end(new Error("refused"));
    const settled = elements.settled();
    await end();
    await end();
    await settled;
    expect(lines.map((line) => line.split(",").length)).toEqual([512, 512, 88]);
  });

  it("that are taken back while nft is at work are taken out behind it", async () => {
    const { elements, lines, end } = world();
    elements.set("m", "a", "1");
    await new Promise((resolve) => setImmediate(resolve));
    elements.set("m", "a", null);
    const settled = elements.settled();
    await end();
    await end();
    await settled;
    expect(lines).toEqual(["add element inet t m { a : 1 };", "delete element inet t m { a : 1 };"]);
    expect(elements.size).toBe(0);
  });
});
