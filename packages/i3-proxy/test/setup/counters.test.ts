import { readFileSync } from "node:fs";

import { expect, it } from "vitest";

import { addHost, World } from "../../../../test/sim/world.js";

it("docs/wire.md §8 says what each reason to drop a set-up packet means", () => {
  const text = readFileSync(new URL("../../../../docs/wire.md", import.meta.url), "utf8");
  const [, section = ""] = text.split("\nA proxy's set-up in cleartext (§6)");
  const rows = Array.from((section.split("\nA HIP host's")[0] ?? "").matchAll(/^\| `(\w+)` \| .+ \|$/gm), (match) => match[1]);
  const { proxy } = addHost(new World(), "192.0.2.1", { servers: [] });
  expect(rows.toSorted()).toEqual(Object.keys(proxy.setups.plain.counters).toSorted());
});
