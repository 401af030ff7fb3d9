/** A lost key file never makes a silent new identity. */
import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { formatIpText } from "@i3/common";
import { afterEach, beforeEach, expect, it } from "vitest";

import { Journal } from "../../src/io/journal.js";
import { checkIdentity, openIdentity } from "../../src/io/own-identity.js";

let directory = "";
beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), "i3-identity-"))));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const config = (keyFile = "host.key") => ({ identity: { keyFile: join(directory, keyFile), algorithm: "ecdsa-p256" as const }, state: { directory: join(directory, "state") } });

/** A first run, with a journal. */
function firstRun(): Uint8Array {
  const { identity, created } = openIdentity(config());
  const { journal } = Journal.open(config().state.directory);
  journal.setOwn(identity.hit, Uint8Array.of(10, 0, 0, 1));
  journal.close();
  expect(created).toBe(true);
  return identity.hit;
}

it("is made at the first start, and the same ever after, whatever else the journal lives through", () => {
  const hit = firstRun();
  Journal.open(config().state.directory).journal.close();
  expect(openIdentity(config())).toMatchObject({ created: false, identity: { hit } });
  checkIdentity(config());
});

it("is not made anew when its file is lost: the message says whose key it was and what to do", () => {
  const hit = firstRun();
  const { keyFile } = config().identity;
  renameSync(keyFile, `${keyFile}.away`);
  for (const open of [openIdentity, checkIdentity]) {
    expect(() => open(config())).toThrow(expect.objectContaining({
      code: "ERR_I3_KEY_FILE", message: expect.stringContaining(`${keyFile} does not exist, and this machine was ${formatIpText(hit)}`) as unknown,
      remedy: expect.stringMatching(/backup.*mappings\.journal/) as unknown,
    }) as Error);
  }
  expect(existsSync(keyFile)).toBe(false);
});

it.each([
  ["the file beside it", "host.key.hit", /remove \S+mappings\.journal, and change its HIT in all address books\.$/], ["the journal", "state", /remove \S+host\.key\.hit, and change its HIT in all address books\.$/],
])("is not made anew either when %s is lost too; without both it is", (_, lost, remedy) => {
  firstRun();
  rmSync(config().identity.keyFile);
  rmSync(join(directory, lost), { recursive: true });
  for (const open of [openIdentity, checkIdentity]) expect(() => open(config())).toThrow(expect.objectContaining({ code: "ERR_I3_KEY_FILE", remedy: expect.stringMatching(remedy) as unknown }) as Error);
  for (const other of ["host.key.hit", "state"]) rmSync(join(directory, other), { recursive: true, force: true });
  expect(openIdentity(config()).created).toBe(true);
});

it("is not another key's: a backup of another machine is noticed", () => {
  firstRun();
  openIdentity({ ...config("other.key"), state: { directory: join(directory, "none") } });
  expect(() => openIdentity(config("other.key"))).toThrow(/holds the key of 2001:2.*and this machine was 2001:2/);
});

it.each([["of before it said whose it was", '{"journal":1}\n'], ["that is damaged", "{"], ["with a HIT that is none", '{"journal":1,"hit":"xyz"}\n'], ["that is empty", ""]])("a journal %s says that there was a key, and not whose", (_, text) => {
  Journal.open(config().state.directory).journal.close();
  writeFileSync(join(config().state.directory, "mappings.journal"), text, { mode: 0o600 });
  for (const open of [openIdentity, checkIdentity]) expect(() => open(config())).toThrow(/host\.key does not exist, and this machine had a key before$/);
  openIdentity({ ...config(), state: { directory: join(directory, "none") } });
  expect(openIdentity(config()).created).toBe(false);
});
