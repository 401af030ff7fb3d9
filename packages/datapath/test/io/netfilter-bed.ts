/**
 * What the tests of NFLOG and conntrack stand on:
 *
 *     writeBatch ──▶ i3n0 (TUN, 10.99.4.1/24, fd69:3300::1/64) ──▶ rules of one nft table ──▶ a socket of this namespace
 */
import { execFileSync, spawnSync } from "node:child_process";
import type { NativeIo } from "@i3/datapath/native-io";
import { be16, concat, packet } from "../reference/packets.js";
import { ip, makeTun } from "./namespace.js";

export const OWN4 = Uint8Array.of(10, 99, 4, 1);
export const own6 = (last: number): Uint8Array => Uint8Array.of(0xfd, 0x69, 0x33, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last);
export const client4 = (last: number): Uint8Array => Uint8Array.of(10, 99, 4, last);
export const PORT = 4_000;

export const udpFrom = (source: Uint8Array, sourcePort: number, destination: Uint8Array, payload = new Uint8Array(20), port = PORT): Uint8Array =>
  packet(source, destination, 17, concat(be16(sourcePort), be16(port), be16(8 + payload.length), be16(0), payload));

export interface NetfilterBed {
  readonly index: number;
  /** As if they came in by the TUN. Throws unless it takes all of them. */
  arrive(packets: readonly Uint8Array[]): void;
  /** Replaces all rules of this file. */
  rules(body: string): void;
  close(): void;
}

export function openNetfilterBed(io: NativeIo): NetfilterBed {
  const tun = makeTun(io, "i3n0", 4);
  ip("-6", "address", "add", "fd69:3300::1/64", "dev", "i3n0", "nodad");
  // What comes for it is kept, so that nothing is answered.
  const sink = io.openUdp({ family: 6, address: "::", port: PORT, mark: 0, bufferBytes: 0 });
  return {
    index: tun.index,
    arrive(packets) {
      for (let at = 0; at < packets.length; at += 1_024) {
        const part = packets.slice(at, at + 1_024);
        const arena = new Uint8Array(part.length * 256);
        part.forEach((bytes, i) => arena.set(bytes, i * 256));
        const taken = io.writeBatch(tun.fd, arena, 256, Int32Array.from(part, ({ length }) => length), part.length);
        if (taken !== part.length) throw new Error(`the TUN took ${taken} of ${part.length} packets`);
      }
    },
    rules(body) {
      execFileSync("nft", ["-f", "-"], { input: `table inet i3test { }\ndelete table inet i3test\ntable inet i3test {\n${body}\n}\n` });
    },
    close() {
      execFileSync("nft", ["-f", "-"], { input: "table inet i3test { }\ndelete table inet i3test\n" });
      io.closeFd(sink.fd);
      io.closeFd(tun.fd);
    },
  };
}

/** What a program says that has the addon as `io`, and no CAP_NET_ADMIN. */
export function withoutRight(program: string): string {
  const script = `import { createRequire } from "node:module"; const io = createRequire("/")(${JSON.stringify(ADDON)}); try { ${program}; console.log("done") } catch ({ code, syscall }) { console.log(code, syscall) }`;
  const { stdout, stderr, status } = spawnSync("setpriv", ["--bounding-set=-net_admin", "--inh-caps=-net_admin", process.execPath, "--input-type=module", "-e", script], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return stdout.trim();
}
const ADDON = new URL("../../build/Release/i3_native_io.node", import.meta.url).pathname;
