import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { encodeServerList, locatorText, makeLocator, RECORD_KIND, type RingNode } from "@i3/common";
import { signRecord, triggerKeyFromSeed } from "@i3/hip";

import { newestList, readServerList, serverListFromText, serverListOf, ServerListProblem, serverListToText, writeServerList, type ServerList } from "../src/index.js";
import { FakeRing, filled, WALL_START_MS } from "./fake-ring.js";

const KEY = triggerKeyFromSeed(filled(32, 1));
const OTHER = triggerKeyFromSeed(filled(32, 2));
const node = (n: number): RingNode => ({ key: filled(16, n), locator: makeLocator(Uint8Array.of(192, 0, 2, n), 5610) });
const list = (sequence: number, lifeS = 1_000, key = KEY): ServerList =>
  serverListOf(signRecord(key, { kind: RECORD_KIND.serverList, label: "", sequence, notAfterS: WALL_START_MS / 1_000 + lifeS, value: encodeServerList([node(1), node(2)]) }), key.publicKey);

describe("a signed server list", () => {
  it("comes back from its text", () => {
    expect(serverListFromText(serverListToText(list(1)), KEY.publicKey)).toEqual(list(1));
    expect(serverListFromText(`\n# mine\n${serverListToText(list(1))}\n`, KEY.publicKey).servers).toEqual([node(1), node(2)]);
  });

  it.each<[string, () => string, RegExp]>([
    ["of another key", () => serverListToText(list(1, 1_000, OTHER)), /is of the key/],
    ["with a changed digit", () => serverListToText(list(1)).replace(/.(?=\n$)/, (digit) => (digit === "0" ? "1" : "0")), /signature is wrong/],
    ["that is cut", () => serverListToText(list(1)).slice(0, -40), /is damaged/],
    ["with two records", () => `${serverListToText(list(1))}record 00\n`, /not one line/],
    ["that is something else", () => "<xml/>", /does not begin with/],
    ["that is empty", () => "", /does not begin with/],
  ])("%s is refused", (_what, text, why) => {
    expect(() => serverListFromText(text(), KEY.publicKey)).toThrow(why);
    expect(() => serverListFromText(text(), KEY.publicKey)).toThrow(ServerListProblem);
  });

  it("that is a record of another kind is refused", () => {
    const name = signRecord(KEY, { kind: RECORD_KIND.name, label: "a", sequence: 1, notAfterS: 1, value: Uint8Array.from([0x20, 1, 0, 0x20, ...filled(12, 0)]) });
    expect(() => serverListOf(name, KEY.publicKey)).toThrow(/another kind/);
  });

  it("counts until its end; of several the newest does", () => {
    expect(newestList([list(1), undefined, list(3), list(2)], WALL_START_MS)).toEqual(list(3));
    expect(newestList([list(1, 5_000), list(3)], WALL_START_MS + 1_000_000)).toEqual(list(1, 5_000));
    expect(newestList([list(1), list(3)], WALL_START_MS + 1_000_000)).toBeUndefined();
  });
});

describe("its file", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "i3-list-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("is written whole, for this user alone, and read again", () => {
    const file = join(folder, "state", "server-list");
    writeServerList(file, list(1));
    writeServerList(file, list(2));
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readServerList(file, KEY.publicKey)).toEqual(list(2));
    expect(readdirSync(join(folder, "state"))).toEqual(["server-list"]);
  });

  it("that is missing is none; others are refused", () => {
    expect(readServerList(join(folder, "none"), KEY.publicKey)).toBeUndefined();
    mkdirSync(join(folder, "dir"));
    expect(() => readServerList(join(folder, "dir"), KEY.publicKey)).toThrow(/not a regular file/);
    writeFileSync(join(folder, "long"), "a".repeat(20_000));
    expect(() => readServerList(join(folder, "long"), KEY.publicKey)).toThrow(/20000 bytes/);
  });
});

describe("the servers of a list", () => {
  it("are used when all configured ones are gone, and left when they are in it no more", () => {
    const ring = new FakeRing(1);
    const listed = ring.addStranger();
    ring.run(2_000);
    expect(locatorText(ring.client.firstHop() ?? node(9).locator)).toBe(locatorText(ring.server(1).locator));
    ring.client.setListedServers(ring.nowMs, [listed.locator]);
    ring.server(1).down = true;
    ring.run(6_000);
    expect(ring.client.firstHop()).toEqual(listed.locator);
    ring.client.setListedServers(ring.nowMs, []);
    ring.server(1).down = false;
    ring.run(6_000);
    expect(ring.client.firstHop()).toEqual(ring.server(1).locator);
    ring.run(700_000);
    expect(ring.client.servers()).toHaveLength(1);
  });

  it("that are nearer than the configured ones are preferred like these", () => {
    const ring = new FakeRing(1);
    ring.server(1).delayMs = 50;
    const listed = ring.addStranger();
    ring.client.setListedServers(ring.nowMs, [listed.locator]);
    ring.run(2_000);
    expect(ring.client.firstHop()).toEqual(listed.locator);
  });
});
