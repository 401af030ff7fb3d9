import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { addHost, World } from "../../../../test/sim/world.js";
import { coreCounterFields } from "../../src/core-counter-fields.js";

const WIRE = readFileSync(new URL("../../../../docs/wire.md", import.meta.url), "utf8");
const { proxy } = addHost(new World(), "192.0.2.1", { servers: [] });
const fields = coreCounterFields(proxy);

/** First column of the table behind a line that begins so. */
function rowsBehind(start: string): readonly string[] {
  const [, table = ""] = (WIRE.split(`\n${start}`)[1] ?? "").split("\n\n");
  return Array.from(table.matchAll(/^\| `(\w+)` \| .+ \|$/gm), (match) => match[1] ?? "");
}

describe("docs/wire.md §8 says what each counter means", () => {
  it.each([
    { of: "set-up packets", start: "A proxy's set-up in cleartext (§6)", counters: fields.setup },
    { of: "a client's messages", start: "A client's (§4, §5;", counters: fields.client },
    { of: "a client's shortcuts", start: "A client's shortcuts (§5.1;", counters: fields.shortcuts },
  ])("of $of", ({ start, counters }) => {
    expect(rowsBehind(start).toSorted()).toEqual(Object.keys(counters).toSorted());
  });
});
