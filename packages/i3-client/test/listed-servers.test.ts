import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { encodeServerList, locatorText, makeLocator, RECORD_KIND, recordKey, type ServerListConfig } from "@i3/common";
import { signRecord, triggerKeyFromSeed } from "@i3/hip";

import { ListedServers, readServerList, serverListOf, serverListToText, writeServerList, type I3Client, type ServerList } from "../src/index.js";

const WALL_MS = 1_800_000_000_000;
const KEY = triggerKeyFromSeed(new Uint8Array(32).fill(1));
const list = (sequence: number, servers: readonly number[], lifeS = 1_000): ServerList => {
  const value = encodeServerList(servers.map((n) => ({ key: new Uint8Array(16).fill(n), locator: makeLocator(Uint8Array.of(192, 0, 2, n), 5610) })));
  return serverListOf(signRecord(KEY, { kind: RECORD_KIND.serverList, label: "", sequence, notAfterS: WALL_MS / 1_000 + lifeS, value }), KEY.publicKey);
};

let folder = "";
let logged: string[] = [];
let told: string[][] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "i3-listed-"));
  logged = [];
  told = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const cache = (): string => join(folder, "server-list");
const origin = (): string => join(folder, "origin");
const client = { setListedServers: (_nowMs: number, locators: Parameters<I3Client["setListedServers"]>[1]) => void told.push(locators.map(locatorText)) } as I3Client;
const open = (config: Partial<ServerListConfig> = {}): ListedServers => new ListedServers({
  config: { key: KEY.publicKey, file: undefined, label: "", publish: false, ...config }, copyFile: cache(), wallMs: () => WALL_MS,
  log: (level, event, fields) => void logged.push(`${level} ${event} ${JSON.stringify(fields)}`), run: (work) => work(client, 0),
});
const read = (config?: Partial<ServerListConfig>): string[] => open(config).read().map(locatorText);

describe("listed servers at the start", () => {
  it("are those of the origin, and a copy is kept; when the origin is gone they are those of the copy", () => {
    writeFileSync(origin(), serverListToText(list(1, [1, 2])));
    expect(read({ file: origin() })).toEqual(["192.0.2.1:5610", "192.0.2.2:5610"]);
    rmSync(origin());
    expect(read({ file: origin() })).toEqual(["192.0.2.1:5610", "192.0.2.2:5610"]);
    expect(logged.filter((line) => line.startsWith("warn"))).toEqual([`warn server-list ${JSON.stringify({ file: origin(), why: "does not exist", remedy: "The copy of the last one is used." })}`]);
  });

  it("are those of the copy when the origin is older: an old list does not come back", () => {
    writeServerList(cache(), list(5, [5]));
    writeFileSync(origin(), serverListToText(list(4, [4])));
    expect(read({ file: origin() })).toEqual(["192.0.2.5:5610"]);
    expect(readServerList(cache(), KEY.publicKey)?.record.sequence).toBe(5);
  });

  it("are none when the list has ended, is another's, damaged, or has another label, and the log says why", () => {
    writeServerList(cache(), list(1, [1], -1));
    expect(read()).toEqual([]);
    expect(logged.join()).toContain("have ended");
    writeServerList(cache(), list(1, [1]));
    expect(read({ key: new Uint8Array(32) })).toEqual([]);
    expect(logged.join()).toContain("is of the key");
    expect(read({ label: "b" })).toEqual([]);
    writeFileSync(cache(), "garbage");
    expect(read()).toEqual([]);
    expect(logged.join()).toContain("does not begin with");
  });

  it("are none before there is a list, without a word", () => {
    expect(read()).toEqual([]);
    expect(logged).toEqual([]);
  });
});

describe("a list that comes later", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("is found within 5 s while there is none, and a newer one within 10 minutes; each is kept", () => {
    const listed = open({ file: origin() });
    expect(listed.read()).toEqual([]);
    listed.start();
    vi.advanceTimersByTime(5_000);
    expect(told).toEqual([]);
    writeFileSync(origin(), serverListToText(list(1, [1])));
    vi.advanceTimersByTime(5_000);
    expect(told).toEqual([["192.0.2.1:5610"]]);
    writeFileSync(origin(), serverListToText(list(2, [2, 3])));
    vi.advanceTimersByTime(600_000);
    expect(told).toEqual([["192.0.2.1:5610"], ["192.0.2.2:5610", "192.0.2.3:5610"]]);
    writeFileSync(origin(), serverListToText(list(1, [1])));
    vi.advanceTimersByTime(1_200_000);
    expect(told).toHaveLength(2);
    expect(readServerList(cache(), KEY.publicKey)?.record.sequence).toBe(2);
    listed.close();
    writeFileSync(origin(), serverListToText(list(3, [4])));
    vi.advanceTimersByTime(1_200_000);
    expect(told).toHaveLength(2);
  });
});

describe("a list from the ring", () => {
  const ringKey = recordKey(list(1, [1]).record);

  it("takes the place of an older one, and is kept", () => {
    writeServerList(cache(), list(1, [1]));
    const listed = open();
    listed.read();
    listed.handleRecord({ kind: "record", ringKey, record: list(2, [7]).record, why: "found" });
    expect(told).toEqual([["192.0.2.7:5610"]]);
    expect(readServerList(cache(), KEY.publicKey)?.record.sequence).toBe(2);
    listed.handleRecord({ kind: "record", ringKey, record: list(1, [1]).record, why: "found" });
    listed.handleRecord({ kind: "record", ringKey, record: null, why: "absent" });
    listed.handleRecord({ kind: "record", ringKey: new Uint8Array(16), record: list(9, [9]).record, why: "found" });
    expect(told).toHaveLength(1);
  });

  it("that is not there is told of once, while there is none", () => {
    const listed = open();
    listed.read();
    for (const why of ["absent", "absent", "no-answer", "no-answer"] as const) listed.handleRecord({ kind: "record", ringKey, record: null, why });
    listed.handleRecord({ kind: "record", ringKey: new Uint8Array(16), record: null, why: "absent" });
    expect(logged.map((line) => /"why":"([^"]*)"/.exec(line)?.[1])).toEqual(["the ring has none of this key and label", "no server that should know has answered"]);
    listed.handleRecord({ kind: "record", ringKey, record: list(2, [7]).record, why: "found" });
    listed.handleRecord({ kind: "record", ringKey, record: null, why: "absent" });
    expect(logged).toHaveLength(3);
  });

  it("that cannot be kept is used nevertheless", () => {
    const listed = open();
    listed.read();
    rmSync(folder, { recursive: true });
    writeFileSync(folder, "");
    listed.handleRecord({ kind: "record", ringKey, record: list(2, [7]).record, why: "found" });
    expect(told).toHaveLength(1);
    expect(existsSync(cache())).toBe(false);
    expect(logged.some((line) => line.startsWith("error server-list"))).toBe(true);
  });
});
