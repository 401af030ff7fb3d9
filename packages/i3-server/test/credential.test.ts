/** Who may be in a ring, and where: credentials, their files, and the commands that make them. */
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { CREDENTIAL_BYTES, errorLine, I3Error, locatorText, nodeKey, toHex, WireError } from "@i3/common";
import { readServerList } from "@i3/i3-client";

import { ringCommand } from "../src/io/ring-command.js";
import { endingSoon, readRingAuthority, readRingCredential, tellEnds } from "../src/io/ring-credential.js";
import { admitServer, isSigned, issueCredential, readCredential } from "../src/ring/credential.js";
import { publicBytesOf } from "../src/ring/raw-keys.js";
import { authorityFromText, authorityOf, authorityToText, membershipFromText, membershipToText } from "../src/ring/ring-files.js";
import { randomBytesFrom, seeded } from "./ring-net.js";

const random = randomBytesFrom(seeded(11));
const AUTHORITY = new Uint8Array(32).fill(1);
const NOW_MS = Date.UTC(2027, 0, 15);
const DAY_MS = 86_400_000;
const decode = (text: string | undefined): Uint8Array => new Uint8Array(Buffer.from(text ?? "", "base64url"));

describe("raw keys", () => {
  it("are the ones of RFC 8032 §7.1, test 1", () => {
    const secret = Buffer.from("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "hex");
    expect(toHex(publicBytesOf("ed25519", secret))).toBe("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  });

  it("of X25519 are the ones that the system makes", () => {
    const { d, x } = generateKeyPairSync("x25519").privateKey.export({ format: "jwk" }) as { readonly d: string; readonly x: string };
    expect(publicBytesOf("x25519", decode(d))).toEqual(decode(x));
  });
});

describe("a credential", () => {
  it("has the fields of docs/wire.md §4.2 in their places, and a node key that follows from key and nonce", () => {
    const publicKey = new Uint8Array(32).fill(2);
    const nonce = new Uint8Array(16).fill(3);
    const bytes = issueCredential(AUTHORITY, publicKey, nonce, 0x1234);
    expect(toHex(bytes.subarray(0, 89))).toBe(`01${toHex(publicBytesOf("ed25519", AUTHORITY))}${"02".repeat(32)}${"03".repeat(16)}0000000000001234`);
    expect(bytes.length).toBe(CREDENTIAL_BYTES);
    const credential = readCredential(bytes);
    expect(credential).toEqual({ bytes, authority: publicBytesOf("ed25519", AUTHORITY), publicKey, nodeKey: nodeKey(publicKey, nonce), endMs: 0x1234 * 1_000 });
    expect(isSigned(credential)).toBe(true);
    expect(readCredential(issueCredential(AUTHORITY, publicKey, nonce, 0)).endMs).toBe(Infinity);
  });

  it("holds no longer with any bit changed: nobody chooses its nonce, key or end", () => {
    const { credential } = admitServer(AUTHORITY, random, 5_000_000_000);
    let read = 0;
    for (let i = 0; i < 8 * CREDENTIAL_BYTES; i += 1) {
      const changed = credential.bytes.slice();
      changed[i >> 3] = (changed[i >> 3] as number) ^ (1 << (i & 7));
      try {
        expect(isSigned(readCredential(changed)), `bit ${i}`).toBe(false);
        read += 1;
      } catch (error) {
        expect(error, `bit ${i}`).toBeInstanceOf(WireError);
      }
    }
    expect(read).toBeGreaterThan(8 * (CREDENTIAL_BYTES - 9)); // version, and ends that are too late, do not come so far
  });

  it("is refused when it is too short, too long, or of another version", () => {
    const { bytes } = admitServer(AUTHORITY, random).credential;
    for (const bad of [bytes.subarray(1), Uint8Array.from([...bytes, 0]), new Uint8Array(0), bytes.map((byte, i) => (i === 0 ? 2 : byte))]) expect(() => readCredential(bad)).toThrow(WireError);
  });

  it("of two servers are two places", () => {
    const keys = Array.from({ length: 20 }, () => toHex(admitServer(AUTHORITY, random).credential.nodeKey));
    expect(new Set(keys).size).toBe(20);
  });
});

describe("files as text", () => {
  const membership = admitServer(AUTHORITY, random, 5_000_000_000);

  it("say what they are in the first line and come back as they were", () => {
    expect(authorityToText(authorityOf(AUTHORITY))).toMatch(/^i3 ring authority 1\n/);
    expect(membershipToText(membership)).toMatch(/^i3 ring credential 1\n/);
    expect(authorityFromText(authorityToText(authorityOf(AUTHORITY)))).toEqual(authorityOf(AUTHORITY));
    expect(membershipFromText(membershipToText(membership).replaceAll("\n", "\r\n\n"))).toEqual(membership);
  });

  const good = membershipToText(membership);
  it.each<[string, string, RegExp]>([
    ["empty", "", /does not begin with the line "i3 ring credential 1"/],
    ["something else", "-----BEGIN PRIVATE KEY-----\n", /does not begin with the line/],
    ["the authority's", authorityToText(authorityOf(AUTHORITY)), /authority, not of a server/],
    ["of a later version", good.replace("credential 1", "credential 2"), /later version/],
    ["without a key", good.replace(/private-key.*\n/, ""), /no private-key/],
    ["with two keys", `${good}private-key ${"00".repeat(32)}\n`, /twice/],
    ["with a word more", good.replace(/(private-key \S+)/, "$1 x"), /not known/],
    ["with a line more", `${good}colour blue\n`, /not known/],
    ["with a key cut off", good.replace(/(private-key [0-9a-f]{60})[0-9a-f]{4}/, "$1"), /private-key is not 64/],
    ["with another key", good.replace(/private-key .*/, `private-key ${"07".repeat(32)}`), /keys do not belong together/],
    ["with a changed end", good.replace(toHex(membership.credential.bytes.subarray(81, 89)), "00".repeat(8)), /signature is wrong/],
    ["with a credential of another version", good.replace("credential 01", "credential 02"), /is damaged/],
  ])("%s are refused", (_what, text, expected) => {
    expect(() => membershipFromText(text)).toThrow(expected);
  });

  it("of an authority whose keys do not belong together are refused", () => {
    const text = authorityToText(authorityOf(AUTHORITY));
    expect(() => authorityFromText(text.replace(/private-key .*/, `private-key ${"07".repeat(32)}`))).toThrow(/do not belong together/);
    expect(() => authorityFromText(good)).toThrow(/credential of a server, not/);
  });
});

describe("i3-server ring", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "i3-ring-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const at = (name: string): string => join(folder, name);
  const ring = (...args: readonly string[]): string => ringCommand(args, NOW_MS);
  const refusal = (act: () => unknown): string => {
    try {
      act();
    } catch (error) {
      expect(error).toBeInstanceOf(I3Error);
      return `${(error as I3Error).code} ${errorLine(error)}`;
    }
    throw new Error("not refused");
  };

  it("makes an authority and admits servers, in files that nobody else may read, and says what to do next", () => {
    expect(ring("make", at("authority"))).toContain(`i3-server ring admit ${at("authority")} OUT_FILE`);
    expect(ring("admit", at("authority"), at("one"))).toContain("credential-file");
    const said = ring("admit", at("authority"), at("two"), "--days", "30");
    for (const name of ["authority", "one", "two"]) expect(statSync(at(name)).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder).sort()).toEqual(["authority", "one", "two"]);
    const authority = readRingAuthority(at("authority"));
    const [one, two] = [readRingCredential(at("one"), NOW_MS), readRingCredential(at("two"), NOW_MS)];
    expect([one.credential.authority, two.credential.authority]).toEqual([authority.publicKey, authority.publicKey]);
    expect([one.credential.endMs, two.credential.endMs]).toEqual([Infinity, NOW_MS + 30 * DAY_MS]);
    expect(said).toContain(`node ${toHex(two.credential.nodeKey)} of the ring of ${toHex(authority.publicKey)}, until 2027-02-14`);
    expect(said).not.toContain(toHex(two.privateKey));
    expect([endingSoon(one, NOW_MS), endingSoon(two, NOW_MS)]).toEqual([null, null]);
    expect(endingSoon(two, NOW_MS + 20 * DAY_MS)).toMatch(/ends on 2027-02-14/);
    expect(endingSoon(two, NOW_MS + 30 * DAY_MS)).toMatch(/has ended on 2027-02-14/);
  });

  it("tells of a credential that ends soon at the start and once a day, also when the start was long before", () => {
    vi.useFakeTimers({ now: NOW_MS });
    try {
      ring("make", at("authority"));
      const told: unknown[][] = [];
      const watch = (days: number): (() => void) => {
        ring("admit", at("authority"), at(`of-${days}`), "--days", `${days}`);
        return tellEnds(readRingCredential(at(`of-${days}`), NOW_MS), () => Date.now(), (...line) => void told.push(line));
      };
      const [soon, later] = [watch(14), watch(17)];
      expect(told).toMatchObject([["warn", "credential-ends", { message: expect.stringMatching(/ends on 2027-01-29/) as string, remedy: expect.stringMatching(/ring admit.*the next server only when this one has said claims/) as string }]]);
      soon();
      vi.advanceTimersByTime(2.5 * DAY_MS);
      expect(told).toHaveLength(1);
      vi.advanceTimersByTime(15 * DAY_MS);
      const messages = told.slice(1).map(([, , fields]) => (fields as { readonly message: string }).message);
      expect(messages.map((message) => message.replace(/;.*/, ""))).toEqual([...new Array<string>(14).fill("the ring credential ends on 2027-02-01"), "the ring credential has ended on 2027-02-01"]);
      later();
      vi.advanceTimersByTime(3 * DAY_MS);
      expect(told).toHaveLength(16);
    } finally {
      vi.useRealTimers();
    }
  });

  it("signs lists of servers for clients, each newer than the last", () => {
    ring("make", at("authority"));
    const { publicKey } = readRingAuthority(at("authority"));
    writeFileSync(at("servers"), `# both\n192.0.2.1:5610 ${"11".repeat(16)}\n\n[2001:db8::1]:4000 ${"22".repeat(16)} # the other\n`);
    expect(ring("list", at("authority"), at("servers"), at("list"))).toContain(`<server-list key="${toHex(publicKey)}"`);
    const first = readServerList(at("list"), publicKey);
    expect(first?.servers.map(({ locator }) => locatorText(locator))).toEqual(["192.0.2.1:5610", "[2001:db8::1]:4000"]);
    expect(first?.record).toMatchObject({ sequence: NOW_MS, notAfterS: Math.floor(NOW_MS / 1_000) + 90 * 86_400 });
    expect(statSync(at("list")).mode & 0o777).toBe(0o644);
    ring("list", at("authority"), at("servers"), at("list"), "--days", "3");
    expect(readServerList(at("list"), publicKey)?.record.sequence).toBe(NOW_MS + 1);
    expect(readFileSync(at("list"), "utf8")).not.toContain(toHex(readRingAuthority(at("authority")).secret));
  });

  it.each([["", /^ERR_I3_RING_CREDENTIAL \S+servers names no server\. A line for each/], [Array.from({ length: 33 }, (_, i) => `192.0.2.1:${i + 1} ${"11".repeat(16)}\n`).join(""), /servers names 33 servers\. A line for each/], ["192.0.2.1 5610\n", /servers:1: .* is no server/], [`192.0.2.1:0 ${"11".repeat(16)}`, /is no server/], [`192.0.2.1:1 ${"11".repeat(16)}\n`.repeat(2), /servers: one server twice\. A line for each/]])("refuses the servers %j, and says what they must look like", (text, why) => {
    ring("make", at("authority"));
    writeFileSync(at("servers"), text);
    expect(refusal(() => ring("list", at("authority"), at("servers"), at("list")))).toMatch(why);
    expect(refusal(() => ring("list", at("authority"), at("nothing"), at("list")))).toMatch(/cannot read the servers .*A line for each/);
    expect(readdirSync(folder).sort()).toEqual(["authority", "servers"]);
  });

  it("says how many servers fit into a list", () => {
    ring("make", at("authority"));
    writeFileSync(at("servers"), Array.from({ length: 32 }, (_, i) => `[2001:db8::${i + 1}]:5610 ${"11".repeat(15)}${String(i + 10)}\n`).join(""));
    expect(refusal(() => ring("list", at("authority"), at("servers"), at("list")))).toMatch(/servers has too many servers for one list.* About 25 over IPv6 fit\.$/);
  });

  it("does not overwrite another file with a list", () => {
    ring("make", at("authority"));
    writeFileSync(at("servers"), `192.0.2.1:5610 ${"11".repeat(16)}\n`);
    expect(refusal(() => ring("list", at("authority"), at("servers"), at("servers")))).toMatch(/servers does not begin with .*It would be overwritten/);
    expect(refusal(() => ring("list", at("authority"), at("servers"), at("nowhere/list")))).toMatch(/cannot write .*folder/);
  });

  it("never overwrites, and leaves nothing behind when it cannot write", () => {
    ring("make", at("authority"));
    const before = readFileSync(at("authority"), "utf8");
    expect(refusal(() => ring("make", at("authority")))).toMatch(/^ERR_I3_RING_CREDENTIAL .*authority is there already.*Name another file/);
    expect(refusal(() => ring("admit", at("authority"), at("authority")))).toMatch(/there already/);
    expect(refusal(() => ring("make", at("nowhere/authority")))).toMatch(/cannot write .*folder/);
    expect(readFileSync(at("authority"), "utf8")).toBe(before);
    expect(readdirSync(folder)).toEqual(["authority"]);
  });

  it.each([[[]], [["make"]], [["make", "a", "b"]], [["make", "a", "--days", "1"]], [["admit", "a"]], [["admit", "a", "b", "c"]], [["admit", "a", "b", "--days", "0"]], [["admit", "a", "b", "--days", "1.5"]], [["admit", "a", "b", "--days", "36501"]], [["revoke", "a"]], [["list", "a", "b"]], [["list", "a", "b", "c", "d"]], [["list", "a", "b", "c", "--days", "0"]], [["make", "a", "--force"]]])("does not understand %j", (args) => {
    expect(refusal(() => ringCommand(args, NOW_MS))).toMatch(/^ERR_I3_USAGE .*See: i3-server --help/);
  });

  it.each([["--days -1", ["admit", "a", "b", "--days", "-1"], /USAGE --days -1 is no number from 1 to 36500\. See/], ["an option of another command", ["admit", "a", "b", "--config", "x"], /USAGE --config is no option here\. See/], ["no value", ["admit", "a", "b", "--days"], /USAGE --days needs a value\. See/]])("names what is wrong: %s", (_what, args, expected) => {
    expect(refusal(() => ringCommand(args, NOW_MS))).toMatch(expected);
  });

  it("a credential that this user may not read is refused with who may", (ctx) => {
    if (process.geteuid?.() !== 0) return ctx.skip("only root can become another user");
    ring("make", at("authority"));
    ring("admit", at("authority"), at("one"));
    chmodSync(folder, 0o755);
    const as = (user: number): string => {
      process.seteuid?.(user);
      try {
        return refusal(() => readRingCredential(at("one"), NOW_MS));
      } finally {
        process.seteuid?.(0);
      }
    };
    expect(as(4_711)).toMatch(/cannot read the ring credential .*EACCES.*It belongs to the user 0: run as that one, or run: chown 4711 \S+one$/);
    chownSync(at("one"), 4_711, 4_711);
    chmodSync(at("one"), 0);
    expect(as(4_711)).toMatch(/EACCES.*Run: chmod 600 \S+one$/);
    chmodSync(folder, 0o700);
    expect(as(4_711)).toMatch(/EACCES.*may not enter its folder: run as the user whose it is/);
  });

  it.each<[string, (file: string) => void, RegExp]>([
    ["missing", (file) => rmSync(file), /cannot read the ring credential .*one \(ENOENT.*i3-server ring admit AUTHORITY_FILE OUT_FILE/],
    ["readable by others", (file) => chmodSync(file, 0o640), /one can be read by others \(mode 640\)\. Run: chmod 600 .*one/],
    ["a folder", (file) => (rmSync(file), mkdirSync(file)), /one is not a regular file/],
    ["too large", (file) => writeFileSync(file, "#".repeat(5_000)), /5000 bytes, more than 4096/],
    ["damaged", (file) => writeFileSync(file, readFileSync(file, "utf8").slice(0, 300)), /one is damaged.*i3-server ring admit/],
  ])("a credential that is %s is refused with what to do", (_what, prepare, expected) => {
    ring("make", at("authority"));
    ring("admit", at("authority"), at("one"));
    prepare(at("one"));
    const line = refusal(() => readRingCredential(at("one"), NOW_MS));
    expect(line).toMatch(expected);
    expect(line).not.toMatch(/[0-9a-f]{64}/);
  });

  it("a credential past its end is refused, with both dates", () => {
    ring("make", at("authority"));
    ring("admit", at("authority"), at("one"), "--days", "1");
    expect(readRingCredential(at("one"), NOW_MS + DAY_MS - 1).credential.endMs).toBe(NOW_MS + DAY_MS);
    expect(refusal(() => readRingCredential(at("one"), NOW_MS + DAY_MS))).toMatch(/ended on 2027-01-16.*ring admit.*clock, which shows 2027-01-16/);
  });

  it("another user's file is refused", (ctx) => {
    if (process.geteuid?.() !== 0) return ctx.skip("only root can give a file away");
    ring("make", at("authority"));
    chownSync(at("authority"), 4_711, 4_711);
    expect(refusal(() => ring("admit", at("authority"), at("one")))).toMatch(/belongs to the user 4711.*chown 0/);
  });
});
