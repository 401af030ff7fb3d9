// @ts-check
/**
 * What the proxy does to a machine, without a proxy: TUN, routes, guard, DNS. Settings as JSON in the first argument; "ready" when
 * all is in force. Lines on standard input: `allocate ADDRESS`, `release ADDRESS`, `counters`, `overlaps`; SIGTERM stops it cleanly.
 */
import { createInterface } from "node:readline";
import { formatIpText, parseIpText } from "@i3/common";
import { loadNativeIo } from "@i3/datapath/native-io";
import { ResolverFiles } from "../../dist/io/dns-upstream-resolvers.js";
import { Interception } from "../../dist/io/interception.js";
import { overlapText, SystemView } from "../../dist/io/system-view.js";
import { VirtualRoutes } from "../../dist/io/virtual-routes.js";

/** @typedef {{ tunName?: string, port?: number, intercept?: boolean, restored?: string[], unallocated?: "auto" | "refuse" | "pass", nftProgram?: string }} Settings */

/** @param {string} text */
function bytes(text) {
  const address = parseIpText(text);
  if (address === undefined) throw new RangeError(`no address: ${text}`);
  return address;
}

const HOME = { v4: bytes("10.1.2.3"), v6: bytes("2001:25::3") };
const own = [bytes("10.9.9.9"), bytes("2001:25::9")];
const range = { network: bytes("10.0.0.0"), prefixBits: 8 };
const mark = 0x6933;

async function main() {
  /** @type {Settings} */
  const { tunName = "i3test", port = 5353, intercept = true, restored = [], unallocated = "auto", nftProgram } = JSON.parse(process.argv[2] ?? "{}");
  const io = loadNativeIo();
  const tun = io.openTun({ name: tunName, kind: "tun" });
  const tunIndex = io.interfaceIndex(tun.name);
  io.setLink({ index: tunIndex, up: true, mtu: 0 });
  for (const address of own) io.addAddress({ index: tunIndex, address, prefixBits: address.length * 8 });
  const routes = new VirtualRoutes({ io, tunIndex, own, range });
  routes.start(restored.map(bytes));
  const resolvers = new ResolverFiles({
    onChange: () => {
      view.refresh();
      interception.update();
    },
  });
  const view = new SystemView({ io, tunIndex: () => tunIndex, resolvers: () => resolvers.resolvers.map(({ address }) => address) });
  /** @param {Uint8Array} address */
  const allocate = (address) => {
    routes.add(address);
    interception.allocated(address);
  };
  const names = {
    /** @param {string} name @returns {import("../../dist/dns/dns-core.js").NameAddresses | "unknown" | "elsewhere"} */
    resolve(name) {
      if (name !== "home.i3") return name.endsWith(".i3") ? "unknown" : "elsewhere";
      allocate(HOME.v4);
      allocate(HOME.v6);
      return HOME;
    },
    /** @param {Uint8Array} address */
    reverse: (address) => (formatIpText(address) === "10.1.2.3" ? "home.i3" : null),
  };
  const interception = await Interception.open({
    io, tunName, mark, names, own, restored: restored.map(bytes), resolvers, view,
    config: { dns: { port, intercept, resolvers: [] }, virtualAddresses: { range, unallocated } },
    log: (level, event, fields) => console.log(level, event, JSON.stringify(fields)),
    ...(nftProgram === undefined ? {} : { nftProgram }),
  });
  await interception.enable();
  const watch = view.watch(() => interception.update());
  createInterface({ input: process.stdin }).on("line", (line) => {
    const [command, address = ""] = line.split(" ");
    if (command === "allocate") allocate(bytes(address));
    if (command === "release") {
      routes.remove(bytes(address));
      interception.released(bytes(address));
    }
    if (command === "counters") console.log("counters", JSON.stringify(interception.counters()));
    if (command === "overlaps") console.log("overlaps", JSON.stringify(view.findOverlaps(range).map(overlapText)));
  });
  process.once("SIGTERM", () => {
    watch.close();
    resolvers.close();
    void interception.close().then(() => {
      routes.close();
      process.exit(0);
    });
  });
  console.log("ready");
}

main().catch((error) => {
  console.log("failed", error.code, error.message, error.remedy ?? "");
  process.exit(1);
});
