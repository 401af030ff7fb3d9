import { readFileSync } from "node:fs";

import { expect, it } from "vitest";

import { newHipCounters } from "../../src/exchange/counters.js";

it("docs/wire.md §8 says what each reason to drop a HIP packet means", () => {
  const text = readFileSync(new URL("../../../../docs/wire.md", import.meta.url), "utf8");
  const [, section = ""] = text.split("\nA HIP host's (§9)");
  const rows = Array.from((section.split("\n## 9.")[0] ?? "").matchAll(/^\| `(\w+)` \| .+ \|$/gm), (match) => match[1]);
  expect(rows).toEqual(Object.keys(newHipCounters().drops));
});
