/** Arguments of JavaScript never harm the addon: whatever they are, it returns, or throws TypeError or a system error. */
import fc from "fast-check";
import { closeSync, readdirSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { loadNativeIo, type NativeIo } from "@i3/datapath/native-io";

const io = loadNativeIo();
const udp = io.openUdp({ family: 4, address: "127.0.0.1", port: 0, mark: 0, bufferBytes: 0 });
afterAll(() => io.closeFd(udp.fd));

/** The addon as JavaScript without types sees it. */
const untyped = io as unknown as Record<keyof NativeIo, (...values: readonly unknown[]) => unknown>;
const NAMES = Object.keys(io) as (keyof NativeIo)[];

const arena = new Uint8Array(4 * 100);
const lengths = new Int32Array(4);
const addresses = new Uint8Array(4 * 18);

const hostile = fc.oneof(
  fc.anything(),
  fc.integer({ min: -3, max: 70_000 }),
  fc.constantFrom<unknown>(
    undefined, null, Number.NaN, Infinity, -1, 0.5, 2 ** 31, 2 ** 32, 2 ** 53, 10n, "", "\0", "x".repeat(1_000), Symbol("s"),
    udp.fd, arena, lengths, addresses, new Uint8Array(0), new Int32Array(0), new Float64Array(9), new DataView(new ArrayBuffer(8)),
    new Uint8Array(new SharedArrayBuffer(400)), new Proxy({}, { get: () => { throw new Error("trap"); } }), () => 1, [], {},
  ),
);

/** Options objects with right and wrong values mixed. */
const options = fc.record(
  {
    name: fc.oneof(hostile, fc.string()),
    kind: fc.constantFrom("tun", "tap", 1),
    family: fc.constantFrom(4, 6, 5, "4"),
    address: fc.oneof(fc.constantFrom("127.0.0.1", "::1", "x", Uint8Array.of(10, 0, 0, 1), new Uint8Array(16), new Uint8Array(5)), hostile),
    port: hostile,
    mark: fc.constantFrom(0, 0.5, -1, 2 ** 32),
    bufferBytes: hostile,
    index: fc.constantFrom(0x7fff_ffff, -1, 2 ** 31, "1"),
    prefixBits: fc.constantFrom(33, 129, 32, -1, 0),
    table: fc.constantFrom(0, 999_999, 2 ** 32),
  },
  { requiredKeys: [] },
);

/** What a call opened is closed again. */
function undo(name: keyof NativeIo, result: unknown): void {
  if (["openUdp", "openTun", "openNflog", "openConntrackDump"].includes(name)) io.closeFd((result as { fd: number }).fd);
  if (name === "openMarkedTcp" || name === "openReportingUdp") closeSync((result as { fd: number }).fd);
  if (name === "watchReadable" || name === "watchNetlink") (result as { close(): void }).close();
}

describe("arguments of any kind", () => {
  it.each(NAMES)("%s returns or throws a proper error", (name) => {
    fc.assert(
      fc.property(fc.oneof(hostile, options), fc.array(hostile, { maxLength: 5 }), (first, rest) => {
        if (first === udp.fd && name === "closeFd") return;
        try {
          undo(name, untyped[name](first, ...rest));
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
          const { code, message } = error as NodeJS.ErrnoException;
          expect(error instanceof TypeError || message === "trap" || /^E[A-Z0-9]+$/.test(code ?? ""), message).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("wants arrays that hold what the count says", () => {
    const fill = (...values: readonly unknown[]) => () => untyped.receiveBatch(udp.fd, ...values);
    const send = (...values: readonly unknown[]) => () => untyped.sendBatch(udp.fd, ...values);
    expect(fill(arena, 101, lengths, addresses)).toThrow(TypeError);
    expect(fill(arena, 100, new Int32Array(5), new Uint8Array(90))).toThrow(TypeError);
    expect(fill(arena, 100, lengths, new Uint8Array(71))).toThrow(TypeError);
    expect(fill(arena, 0, lengths, addresses)).toThrow(TypeError);
    expect(fill(arena, 100, new Uint32Array(4), addresses)).toThrow(TypeError);
    expect(fill(new Uint8Array(5_000), 1, new Int32Array(1_025), new Uint8Array(1_025 * 18))).toThrow("1024");
    expect(send(arena, 100, lengths, addresses, 5)).toThrow("count: more than lengths.length");
    expect(fill(arena, 99.5, lengths, addresses)).toThrow(TypeError);
    expect(fill(new Uint8Array(new SharedArrayBuffer(400)), 100, lengths, addresses)).toThrow("shared memory");
    expect(fill(arena, 100, new Int32Array(new SharedArrayBuffer(16)), addresses)).toThrow("shared memory");
    expect(send(arena, 100, Int32Array.of(101, 0, 0, 0), addresses, 1)).toThrow("outside its slot");
    expect(send(arena, 100, Int32Array.of(-1, 0, 0, 0), addresses, 1)).toThrow("outside its slot");
    expect(send(arena, 100, lengths, addresses, -1)).toThrow(TypeError);
    expect(fill(arena, 100, lengths, addresses)()).toBe(0);
  });

  it("wants groups of NFLOG and entries of conntrack within their bounds", () => {
    const nflog = { group: 1, copyBytes: 64, bufferBytes: 0, queueThreshold: 1, flushMs: 10 };
    const wrong = { group: [-1, 65_536], copyBytes: [0, 4_097], bufferBytes: [-1, 2 ** 31], queueThreshold: [0, 257], flushMs: [0, 9, 10_001] };
    for (const [name, values] of Object.entries(wrong)) {
      for (const value of [...values, 1.5, "1", undefined]) expect(() => untyped.openNflog({ ...nflog, [name]: value }), `${name} ${value}`).toThrow(TypeError);
    }
    const original = { source: new Uint8Array(4), destination: new Uint8Array(4), sourcePort: 0, destinationPort: 0, icmpType: 0, icmpCode: 0, icmpId: 0 };
    const entry = { protocol: 17, id: 0, zone: 0, original };
    for (const name of ["protocol", "id", "zone", "original"]) expect(() => untyped.deleteConntrack({ ...entry, [name]: -1 }), name).toThrow(TypeError);
    for (const name of Object.keys(original)) {
      for (const value of [-1, 65_536, new Uint8Array(5), new Uint8Array(16), null]) expect(() => untyped.deleteConntrack({ ...entry, original: { ...original, [name]: value } }), name).toThrow(TypeError);
    }
  });

  it("sees a detached array as an empty one", () => {
    const detached = new Uint8Array(400);
    structuredClone(detached.buffer, { transfer: [detached.buffer] });
    expect(() => untyped.receiveBatch(udp.fd, detached, 100, lengths, addresses)).toThrow("shorter");
  });

  it("reads options once, getters and all, before it acts", () => {
    const detached = new Uint8Array(4);
    const tricky = {
      type: "unicast", destination: detached, index: 1, table: 7_777, metric: 0, source: null,
      get prefixBits() {
        structuredClone(detached.buffer, { transfer: [detached.buffer] });
        return 32;
      },
    };
    expect(() => untyped.removeRoute(tricky)).toThrow(TypeError);
  });
});

describe("descriptors", () => {
  it("refuses those of others", () => {
    const open = readdirSync("/proc/self/fd").map(Number).filter((fd) => fd !== udp.fd);
    for (const fd of open) {
      expect(() => io.closeFd(fd)).toThrow(expect.objectContaining({ code: "EBADF" }));
      expect(() => io.watchReadable(fd, () => {})).toThrow(expect.objectContaining({ code: "EBADF" }));
      expect(() => io.readBatch(fd, arena, 100, lengths)).toThrow(expect.objectContaining({ code: "EBADF" }));
    }
  });

  it("refuses a socket where a TUN or a netlink socket is wanted", () => {
    expect(() => io.readNflog(udp.fd)).toThrow("not a group of NFLOG");
    expect(() => io.readConntrackDump(udp.fd, null)).toThrow("not a dump of conntrack");
    expect(() => io.readBatch(udp.fd, arena, 100, lengths)).toThrow("not a TUN");
    expect(() => io.writeBatch(udp.fd, arena, 100, lengths, 1)).toThrow("not a TUN");
  });
});
