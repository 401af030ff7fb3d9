/**
 * The part of the proxy that a DNS question passes, as the daemon joins it: DNS port, names, mappings, engine tables, routes, guard,
 * journal; on a TUN, inside the sandbox. `node dns-subject.js PORT UPSTREAM_PORT`. Names n0.i3 … are in the address book; the first
 * question for one makes its mapping. Prints "ready"; for each line on standard input one line of JSON: how long each call of the
 * DNS port's handlers took since the line before, in µs.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { bytesKey, formatIpText, parseAddressBook, parseProxyConfig } from "@i3/common";
import { NativeEngine } from "@i3/datapath";
import { loadNativeIo, type NativeIo } from "@i3/datapath/native-io";
import { generateHostIdentity } from "@i3/hip";
import { DnsPort, Guard, Journal, Pins, NftSession, Proxy, VirtualRoutes } from "@i3/i3-proxy";

const NAMES = 8_192;
const MARK = 0x6933;
const [port = "5300", upstreamPort = "5399"] = process.argv.slice(2);

let handlerUs: number[] = [];
const native = loadNativeIo();
const io: NativeIo = {
  ...native,
  watchReadable: (fd, callback) =>
    native.watchReadable(fd, () => {
      const startMs = performance.now();
      callback();
      handlerUs.push((performance.now() - startMs) * 1_000);
    }),
};

const hitOf = (i: number): string => formatIpText(Uint8Array.of(0x20, 0x01, 0, 0x22, ...createHash("sha256").update(String(i)).digest().subarray(0, 12)));
const hosts = Array.from({ length: NAMES }, (_, i) => `<host name="n${i}.i3" hit="${hitOf(i)}"/>`).join("\n");
const book = parseAddressBook(`<address-book version="1">${hosts}</address-book>`, "book.xml");
const { rules } = parseProxyConfig(
  '<i3-proxy version="1"><identity key-file="k"/><state directory="s"/><servers><server address="192.0.2.1"/></servers><rules><rule name=".*\\.i3" go="i3" security="none"/></rules></i3-proxy>', "p.xml");

const directory = mkdtempSync(join(tmpdir(), "i3-bench-"));
const { journal, content } = Journal.open(directory);
const range = { network: Uint8Array.of(10, 0, 0, 0), prefixBits: 8 };
// As the daemon does: many bytes at once.
let pool = randomBytes(65_536);
const random = (length: number): Uint8Array => {
  if (pool.length < length) pool = randomBytes(65_536);
  const out = new Uint8Array(pool.subarray(0, length));
  pool = pool.subarray(length);
  return out;
};
const fresh = new Map<string, Uint8Array>();
const given: { routes?: VirtualRoutes; guard?: Guard } = {};
const engine = NativeEngine.open({
  tun: { name: "i3bench%d", mtu: 1_360 }, udp: { address: "::", port: 0, mark: MARK }, clock: { nowMs: () => performance.now() }, onUpcalls: () => undefined,
  onFailure: (error) => {
    throw error;
  },
});
const { name: tunName, index: tunIndex } = engine.tun ?? { name: "", index: 0 };
const proxy = new Proxy({
  identity: generateHostIdentity(), sharedKey: content.sharedKey, nearerKeys: [], keepNearerKeys: () => undefined, datapath: engine, tunMtu: 1_360, lastOwn4: null, leastGeneration: 0n, keepGeneration: () => undefined, suffix: "i3", rules, access: undefined, pins: new Pins(), pinFile: "", onPinned: () => undefined, publishedNames: [], rekeyAfterMs: 3_600_000, port: engine.udp.port, shortcutsToStrangers: false, randomBytes: random, wallMs: () => Date.now(),
  addresses: { range, isTaken: () => false, randomBytes: random }, limits: { max: 65_536, maxUnproven: 256, lifetimeMs: 7_200_000, unprovenLifetimeMs: 120_000 },
  hooks: {
    allocated: (addresses) => {
      for (const address of addresses) fresh.set(bytesKey(address), address);
      setImmediate(() => {
        for (const address of fresh.values()) {
          given.routes?.add(address);
          given.guard?.add(address);
        }
        fresh.clear();
        proxy.installFresh();
      });
    },
    released: () => undefined, changed: (mapping) => journal.put(mapping), removed: (mapping) => journal.remove(mapping),
  },
  log: () => undefined,
}, book);

const own = [proxy.own4, proxy.own6];
for (const address of own) io.addAddress({ index: tunIndex, address, prefixBits: address.length * 8 });
given.routes = new VirtualRoutes({ io, tunIndex, own, range });
given.routes.start([]);
const report = (level: string, event: string, fields: unknown): void => void process.stderr.write(`${level} ${event} ${JSON.stringify(fields)}\n`);
given.guard = await Guard.start(new NftSession({ log: report }), { tunName, own, onError: (error) => report("warn", "guard", error.message) }, []);
await DnsPort.open({ io, port: Number(port), mark: MARK, names: { resolve: (name) => proxy.names.resolve(name), reverse: (address) => proxy.names.reverse(address), told: (address) => {
  if (!fresh.has(bytesKey(address))) return;
  proxy.installFresh();
  given.routes?.add(address);
} } }, [{ address: Uint8Array.of(127, 0, 0, 2), port: Number(upstreamPort), zone: null }]);
createInterface({ input: process.stdin }).on("line", () => {
  process.stdout.write(`${JSON.stringify(handlerUs)}\n`);
  handlerUs = [];
});
process.stdout.write("ready\n");
