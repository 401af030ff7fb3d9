// The XSDs beside the parser: what xmllint accepts and refuses. Needs xmllint (Debian: libxml2-utils).
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ConfigError } from "../../src/index.js";
import { BAD_DOCUMENTS, FORMATS, book, proxy, rootOf, server } from "./bad-documents.js";
import { BAD_GATEWAYS } from "./bad-gateways.js";
import { BAD_POLICIES } from "./bad-policies.js";
import { BAD_PUBLICATIONS } from "./bad-publications.js";

const DEPLOY = fileURLToPath(new URL("../../../../deploy/", import.meta.url));
const present = spawnSync("xmllint", ["--version"]).error === undefined;
if (!present) console.log("skipped: xmllint is not installed (Debian: libxml2-utils)");

/** Which of the files xmllint accepts. */
function accepted(format: string, files: readonly string[]): ReadonlySet<string> {
  const schema = join(DEPLOY, "schema", `${rootOf(format)}.xsd`);
  const { stderr, error } = spawnSync("xmllint", ["--noout", "--nonet", "--schema", schema, ...files], { encoding: "utf8" });
  if (error !== undefined) throw error;
  return new Set(files.filter((file) => stderr.includes(`${file} validates\n`)));
}

const GOOD = [
  { format: "i3-proxy", what: "minimal", input: proxy() },
  {
    format: "i3-proxy",
    what: "in another order",
    input: proxy(
      '<log/><rules/><dns suffix="a.b"><resolver address="::1"/></dns><listen address="0.0.0.0"/>',
      '<virtual-addresses range="192.168.0.0/24"/><tun name="a-b_c.d"/><address-book file="a b"/>',
    ),
  },
  {
    format: "i3-proxy",
    what: "with policy",
    input: proxy(
      '<rules><rule name="a" go="i3"/><rule name="b" go="i3" security="auth" protocol="icmp" trust="first-use"/>',
      '<rule name="b" go="i3" security="esp" protocol="132" ports="1"/><rule name="b" go="i3" protocol="udp" ports="22,80-90,100-65535"/></rules>',
      '<access default="allow"><refuse group="A-b_9"/><allow hit="2001:22::1"/><refuse hit="2001:21::1"/></access>',
    ),
  },
  { format: "i3-proxy", what: "with zones", input: proxy(`<zones><zone suffix="I3" key="${"aB".repeat(32)}"/><zone suffix="a.i3" key="${"01".repeat(32)}"><record file="r"/><record file="q"/></zone></zones>`) },
  { format: "i3-proxy", what: "of a site", input: proxy('<site interface="lan.0" listen=" 192.168.1.1 fd00:1::1" networks="192.168.1.0/24 fd00:1::/64 "/>') },
  { format: "i3-proxy", what: "without zones", input: proxy("<zones/>") },
  { format: "i3-proxy", what: "that admits nobody", input: proxy("<access/>") },
  {
    format: "i3-to-ip",
    what: "with a list",
    input: proxy(
      '<gateway out=" eth0\tb-1.2 " max-servers="1" translate="yes"><limits connections-per-client="1" new-per-second="100000"/><refuse/><allow hit="2001:22::1" networks="internet"/><refuse group="a" names="x"/>',
      '<allow group="b" names=".*" networks="0.0.0.0/0 internet ::/0 fd00:5::/64" protocol="tcp" ports="22,80-90"/></gateway>',
    ),
  },
  {
    format: "ip-to-i3",
    what: "that publishes",
    input: proxy(
      '<rules><rule name=".*\\.i3" go="i3"/></rules><publish listen=" 192.0.2.5\t2001:db8::5 "><port listen="2222" to="Home.i3" port="22" proxy-protocol="v2"/><shared port="443" by="sni"/>',
      '<name name="*.Home.example.org" to="home.i3" https="8443" http="8080" proxy-protocol="none"/><shared port="80" by="host" forwarded="no"/><name name="home" to="home.i3"/></publish>',
    ),
  },
  {
    format: "ip-to-i3",
    what: "that answers for a domain",
    input: proxy(
      '<rules><rule name="w" go="gateway" via="g.i3"/><rule name=".*\\.i3" go="i3"/></rules><publish><domain name="D.example" listen="192.0.2.5 2001:db8::5" ns="ns.other.example" ns-addresses="192.0.2.6" addresses="192.0.2.7"/>',
      '<waypoints addresses=" 198.51.100.8  198.51.100.16/28\t2001:db8:9::/125 " claim-ms="100" rest-s="3600"/><port listen="1" to="w" go="gateway" port="2"/><name name="a.d.example" to="a.i3" go="i3" waypoint=" ping\ttcp/1,3-4 "/></publish>',
    ),
  },
  { format: "ip-to-i3", what: "that publishes a port", input: proxy('<rules><rule name=".*\\.i3" go="i3"/></rules><publish><port listen="1" to="home.i3" port="65535"/></publish>') },
  { format: "i3-server", what: "minimal", input: server() },
  { format: "i3-server", what: "with a ring", input: server('<ring credential-file="s"><member address="a_b.c1"/><member address="1::2"/></ring>') },
  { format: "i3-server", what: "with an engine", input: server('<engine kind="native" workers="16" without=" tunTcp6  udpReceive"/>') },
  { format: "address-book", what: "empty", input: book() },
  {
    format: "address-book",
    what: "with hosts",
    input: book('<host name="a.b" hit="2001:0022::1.2.3.4" note=""/>', `<host name="A.C" id="${"aB".repeat(32)}" group=" b	A-_9 "/>`),
  },
  {
    format: "address-book",
    what: "with hosts without i3",
    input: book(
      '<host name="a.b" hit="2001:22::1" address="192.0.2.1"/><host name="b.b" hit="2001:22::2" address="2001:db8::1" protocol="udp" port="1"/>',
      '<host name="c.b" hit="2001:22::3" address="::1.2.3.4" protocol="ip"/>',
    ),
  },
];

// skipped without xmllint, which only these tests need
describe.skipIf(!present)("schemas", () => {
  let directory = "";
  const files: string[] = [];
  const write = (input: string | Uint8Array): string => {
    const file = join(directory, `${files.length}.xml`);
    writeFileSync(file, input);
    files.push(file);
    return file;
  };

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "i3-schema-"));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  it.each(Object.keys(FORMATS))("accept the example of %s", (format) => {
    const file = join(DEPLOY, "examples", `${format}.xml`);
    expect([...accepted(format, [file])]).toEqual([file]);
  });

  it.each(GOOD)("accept what the parser accepts: $format $what", ({ format, input }) => {
    expect(() => FORMATS[format]?.(input, "x.xml")).not.toThrow();
    expect(accepted(format, [write(input)]).size).toBe(1);
  });

  it.each(Object.keys(FORMATS))("refuse what the parser refuses, as far as XSD can say it: %s", (format) => {
    const rows = [...BAD_DOCUMENTS, ...BAD_GATEWAYS, ...BAD_POLICIES, ...BAD_PUBLICATIONS].filter((row) => row.format === format).map((row) => ({ ...row, file: write(row.input) }));
    const valid = accepted(format, rows.map((row) => row.file));
    const wrong = rows.filter((row) => valid.has(row.file) !== (row.schemaAccepts === true));
    expect(wrong.map((row) => row.what)).toEqual([]);
  });

  it.each(Object.keys(FORMATS))("accept every small change of the example of %s that the parser accepts", (format) => {
    const text = readFileSync(join(DEPLOY, "examples", `${format}.xml`), "utf8").replaceAll(/<!--[^]*?-->/g, "");
    const piece = fc.oneof(fc.constantFrom(..."<>/=\"'&; \n-!?a0:.x"), fc.constant(""), fc.string({ maxLength: 1, unit: "binary" }));
    const change = fc.tuple(fc.nat(text.length), piece, fc.nat(2)).map(([at, put, cut]) => text.slice(0, at) + put + text.slice(at + cut));
    const taken = fc.sample(change, { numRuns: 400, seed: 5610 }).filter((input) => {
      try {
        return FORMATS[format]?.(input, "x.xml") !== undefined;
      } catch {
        return false;
      }
    });
    expect(taken.length).toBeGreaterThan(20);
    const written = taken.map((input) => ({ input, file: write(input) }));
    const valid = accepted(format, written.map(({ file }) => file));
    expect(written.filter(({ file }) => !valid.has(file)).map(({ input }) => input)).toEqual([]);
  });

  it("refuse generated documents with one thing wrong, as the parser does", () => {
    // Every attribute of every example in turn: misspelt, and with a value that no attribute but free text can have.
    for (const [format, parse] of Object.entries(FORMATS)) {
      const source = spawnSync("xmllint", ["--nonet", join(DEPLOY, "examples", `${format}.xml`)], { encoding: "utf8" }).stdout;
      const text = source.replaceAll(/<!--[^]*?-->/g, "");
      const attributes = [...text.slice(text.indexOf(`<${rootOf(format)}`)).matchAll(/ ([a-z-]+)="[^"]*"/g)];
      const offset = text.indexOf(`<${rootOf(format)}`);
      const variants = attributes.flatMap((match) => {
        const at = offset + match.index;
        const free = /note|file|directory|socket|names/.test(match[1] ?? "") || text.slice(0, at).endsWith("<rule");
        const replace = (attribute: string): string => text.slice(0, at) + attribute + text.slice(at + match[0].length);
        return [replace(match[0].replace("=", "x=")), ...(free ? [] : [replace(` ${match[1]}="?"`)])];
      });
      const elements = [...text.matchAll(/<([a-z][a-z0-9-]*)/g)].map((match) => {
        const renamed = `${match[1]}x`;
        return text.replaceAll(new RegExp(`(</?)${match[1]}(?=[\\s/>])`, "g"), `$1${renamed}`);
      });
      const written = [...variants, ...elements].map((input) => ({ input, file: write(input) }));
      expect(written.length).toBeGreaterThan(8);
      for (const { input } of written) expect(() => parse(input, "x.xml")).toThrow(ConfigError);
      expect([...accepted(format, written.map(({ file }) => file))]).toEqual([]);
    }
  });
});
