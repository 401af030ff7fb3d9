import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { parseIpText } from "@i3/common";
import { expect, it, onTestFinished } from "vitest";

import { readGatewayState, stateFileOf, writeGatewayState, type GatewayState } from "../../src/io/gateway-state.js";

const ip = (text: string): Uint8Array => parseIpText(text) as Uint8Array;
const STATE: GatewayState = {
  router: { forward4: "0", forward6: null }, secret: Uint8Array.from({ length: 32 }, (_, i) => 8 * i), led: [{ hit: ip("2001:22::a"), real: ip("192.168.5.1"), called: [{ virtual: ip("10.1.2.3"), inside: ip("10.1.2.3") }, { virtual: ip("fd12::4"), inside: ip("10.9.9.9") }], names: ["wiki.corp", "b"], askedMs: 4 }, { hit: ip("2001:22::a"), real: ip("fd00::1"), called: [{ virtual: ip("fd12::1"), inside: ip("fd12::1") }], names: ["six"], askedMs: 5 }],
};

function file(): string {
  const directory = mkdtempSync(join(tmpdir(), "i3-gateway-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return stateFileOf(directory);
}

it("comes back as it was, and nobody else may read it", () => {
  const at = file();
  expect(readGatewayState(at)).toEqual({ router: null, secret: null, led: [] });
  writeGatewayState(at, STATE);
  expect(readGatewayState(at)).toEqual(STATE);
  expect(statSync(at).mode & 0o777).toBe(0o600);
});

it("keeps what was asked for last", () => {
  const at = file();
  const names = Array.from({ length: 8 }, (_, i) => `${i}${"x".repeat(240)}`);
  const led = Array.from({ length: 3_000 }, (_, i) => ({ hit: ip("2001:22::a"), real: Uint8Array.of(192, 0, i >> 8, i & 0xff), called: [{ virtual: Uint8Array.of(10, 0, i >> 8, i & 0xff), inside: Uint8Array.of(10, 0, i >> 8, i & 0xff) }], names, askedMs: 3_000 - i }));
  writeGatewayState(at, { ...STATE, led });
  const back = readGatewayState(at).led;
  expect(back.length).toBeGreaterThan(1_000);
  expect([back.length < 3_000, back[0]?.askedMs, back.at(-1)?.askedMs]).toEqual([true, 3_000 - back.length + 1, 3_000]);
});

it("that is damaged, or open to others, is never taken for an empty one", () => {
  const at = file();
  writeGatewayState(at, STATE);
  const text = readFileSync(at, "utf8");
  const field = (from: string, to: string): string => {
    expect(text).toContain(from);
    return text.replace(from, to);
  };
  for (const bad of [text.slice(0, -4), "", "null", "[]", field('"version":1', '"version":2'), field('"192.168.5.1"', '"192.168.5.256"'), field('"wiki.corp"', "7"), field("10.1.2.3 ", "10.1.2.3=10.1.2.4 "), field("=10.9.9.9", "=fd12::9"), field("fd12::4=", "10.1.2.4="), field("fd12::4=10.9.9.9", "fd12::4"), field('"forward4":"0"', '"forward4":"/etc/passwd"'), field(",4,", ',"4",'), field(",4,", ",-4,"), field('"secret":"0008', '"secret":"08'), field('"secret":"0008', '"secret":"0G08'), field('"led":[\n[', '"led":[\n')]) {
    writeFileSync(at, bad);
    expect(() => readGatewayState(at), bad).toThrow(/damaged/);
  }
  writeFileSync(at, text);
  chmodSync(at, 0o644);
  expect(() => readGatewayState(at)).toThrow(/can be read or changed by others/);
});
