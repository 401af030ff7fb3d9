import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { parseProxyConfig, type I3Error } from "@i3/common";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { checkFiles } from "../../src/io/check-files.js";

let directory: string;
beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), "i3-check-"))));
afterEach(() => rmSync(directory, { recursive: true }));

const inside = (file: string): string => join(directory, file);
const check = (algorithm: string, ...more: readonly string[]): Promise<readonly string[]> => {
  const required = `<identity key-file="host.key" algorithm="${algorithm}"/><state directory="state"/><servers><server address="192.0.2.1"/></servers>`;
  return checkFiles(parseProxyConfig(`<i3-proxy version="1">${required}${more.join("")}</i3-proxy>`, inside("i3-proxy.xml")));
};

describe("--check", () => {
  it("warns of groups that nobody is in and of names without a rule", async () => {
    writeFileSync(inside("book.xml"), '<address-book version="1"><host name="home.i3" hit="2001:22::1"/><host name="hip.example.net" hit="2001:22::2" address="192.0.2.9"/></address-book>');
    const book = '<address-book file="book.xml"/><rules><rule name=".*\\.i3" go="i3"/></rules>';
    const unruled = "no rule matches hip.example.net of the address book: the proxy does not answer for it";
    expect(await check("ecdsa-p256", book)).toEqual([unruled]);
    expect(await check("ecdsa-p256", book, '<access><allow group="friends"/></access>')).toEqual(['<access> has the group "friends", and no host of the address book is in it', unruled]);
    expect(await check("ecdsa-p256", book.replace(".i3", ".(i3|net)"))).toEqual([]);
  });

  it.each([
    ["nothing else", "<access/>", ["nobody may connect"]],
    ["hosts to refuse alone", '<access><refuse group="a"/></access>', ["nobody may connect", '"a"']],
    ["hosts to allow where all are", '<access default="allow"><allow hit="2001:22::1"/></access>', ["line 1 of <access> changes nothing"]],
    ["those behind the last that is refused", '<access default="allow"><allow hit="2001:22::1"/><refuse hit="2001:22::2"/>\n<allow hit="2001:22::3"/></access>', ["line 2 of <access> changes nothing"]],
    ["exceptions from those that are refused", '<access default="allow"><allow hit="2001:22::1"/><refuse hit="2001:22::2"/></access>', []],
    ["hosts to allow", '<access><allow hit="2001:22::1"/></access>', []],
  ])("warns of an access list that does what is probably not meant: %s", async (_, access, warnings) => {
    expect(await check("ecdsa-p256", access)).toEqual(warnings.map((text) => expect.stringContaining(text) as unknown));
  });

  it.each([[2_048, "nothing"], [3_072, "nothing"], [4_096, "ERR_I3_HIP_IDENTITY"]])("of an RSA key of %i bits that HIP is spoken with refuses %s, as the start does", async (modulusLength, refused) => {
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength });
    writeFileSync(inside("host.key"), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
    const found = (...more: readonly string[]): Promise<unknown> => check("rsa", ...more).then(() => "nothing", (error: unknown) => (error as I3Error).code);
    for (const element of ['<rules><rule name="a.i3" go="i3"/></rules>', '<hip udp-port="10500"/>', '<published-names><publish name="a.i3"/></published-names>']) expect(await found(element)).toBe(refused);
    expect(await found()).toBe("nothing");
  }, 60_000);
});
