// @ts-check
/**
 * The part of the proxy that a DNS question passes: DNS port, routes, guard, on a TUN, inside the sandbox. Names nNUMBER.i3 have an address
 * of their own, which the first question allocates (routes, guard, as the proxy does). Prints "ready"; for
 * each line on standard input one line of JSON: how long each call of the DNS port's handlers took since the line before, in µs.
 */
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import { loadNativeIo } from "@i3/datapath/native-io";
import { DnsPort } from "../../packages/i3-proxy/dist/io/dns-port.js";
import { Guard } from "../../packages/i3-proxy/dist/io/guard.js";
import { NftSession } from "../../packages/i3-proxy/dist/io/interception-nft-session.js";
import { VirtualRoutes } from "../../packages/i3-proxy/dist/io/virtual-routes.js";

const [port = "5300", upstreamPort = "5399"] = process.argv.slice(2);
const mark = 0x6933;
const native = loadNativeIo();
/** @type {number[]} */
let handlerUs = [];
/** @type {import("@i3/datapath/native-io").NativeIo} */
const io = {
  ...native,
  watchReadable: (fd, callback) =>
    native.watchReadable(fd, () => {
      const startMs = performance.now();
      callback();
      handlerUs.push((performance.now() - startMs) * 1_000);
    }),
};
const tun = io.openTun({ name: "i3bench%d", kind: "tun" });
const tunIndex = io.interfaceIndex(tun.name);
const own = [Uint8Array.of(10, 255, 0, 1), Uint8Array.of(0x20, 0x01, 0, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)];
io.setLink({ index: tunIndex, up: true, mtu: 0 });
for (const address of own) io.addAddress({ index: tunIndex, address, prefixBits: address.length * 8 });
const routes = new VirtualRoutes({ io, tunIndex, own, range: { network: Uint8Array.of(10, 0, 0, 0), prefixBits: 8 } });
routes.start([]);
const guard = await Guard.start(new NftSession({ log: (...fields) => console.error(...fields) }), { tunName: tun.name, own, onError: (error) => console.error(error) }, []);

/** @type {Map<string, { v4: Uint8Array, v6: Uint8Array }>} */
const known = new Map();

/** @param {string} name */
function allocate(name) {
  const hash = createHash("sha256").update(name).digest();
  const mapping = { v4: Uint8Array.of(10, hash[0] ?? 0, hash[1] ?? 0, hash[2] ?? 0), v6: Uint8Array.of(0x20, 0x01, 0, 0x25, ...hash.subarray(0, 12)) };
  for (const address of [mapping.v4, mapping.v6]) {
    routes.add(address);
    guard.add(address);
  }
  known.set(name, mapping);
  return mapping;
}

const names = {
  /** @param {string} name @returns {import("../../packages/i3-proxy/dist/dns/dns-core.js").NameAddresses | "elsewhere"} */
  resolve: (name) => (name.endsWith(".i3") ? (known.get(name) ?? allocate(name)) : "elsewhere"),
  reverse: () => null,
};
await DnsPort.open({ io, port: Number(port), mark, names }, [{ address: Uint8Array.of(127, 0, 0, 2), port: Number(upstreamPort), zone: null }]);
createInterface({ input: process.stdin }).on("line", () => {
  console.log(JSON.stringify(handlerUs));
  handlerUs = [];
});
console.log("ready");
