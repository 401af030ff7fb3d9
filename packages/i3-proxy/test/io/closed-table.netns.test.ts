/** The table that others cannot clear, as the kernel's nft takes it. What it does with packets: test/system/gateway-servers.test.ts. */
import { execFileSync } from "node:child_process";

import { expect, it } from "vitest";

import { closedTable, closedTableRules } from "../../src/io/closed-table.js";
import { NftSession } from "../../src/io/interception-nft-session.js";

const tables = (): string => execFileSync("nft", ["list", "tables"], { encoding: "utf8" });

it("stays when somebody clears all tables, is made anew, and ends with who made it", async () => {
  const nft = new NftSession({ log: () => undefined });
  for (let i = 0; i < 2; i += 1) await nft.run(closedTableRules("i3", -4));
  execFileSync("nft", ["add table inet other; flush ruleset"]);
  expect(tables()).toBe(`table inet ${closedTable("i3")}\n`);
  const text = execFileSync("nft", ["list", "table", "inet", closedTable("i3")], { encoding: "utf8" });
  expect(text).toMatch(/meta mark & 0x20000000 == 0x00000000 counter packets 0 bytes 0 drop\s+meta mark set meta mark & 0xdfffffff/);
  await nft.close();
  expect(tables()).toBe("");
});
