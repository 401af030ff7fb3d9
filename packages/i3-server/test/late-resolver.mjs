// @ts-check
// For --import: a resolver that knows nothing but what stands in the file I3_TEST_NAMES, "NAME ADDRESS" a line, once it is there.
import dns from "node:dns/promises";
import { existsSync, readFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const file = process.env["I3_TEST_NAMES"] ?? "";

/** @param {string} name */
async function lookup(name) {
  const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n").map((line) => line.split(" ")) : [];
  const found = lines.filter(([known]) => known === name).map(([, address = ""]) => ({ address, family: 4 }));
  if (found.length === 0) throw Object.assign(new Error(`getaddrinfo EAI_AGAIN ${name}`), { code: "EAI_AGAIN" });
  return found;
}

Object.assign(dns, { lookup });
syncBuiltinESMExports();
