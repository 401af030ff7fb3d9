/** What rules of nft log to a group, as the addon tells it. */
import { execFileSync } from "node:child_process";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { openNflog, type Nflog } from "@i3/datapath/io";
import { loadNativeIo, type NflogEntry, type NflogOptions } from "@i3/datapath/native-io";
import { turns, until } from "./batches.js";
import { requireOwnNamespace } from "./namespace.js";
import { client4, openNetfilterBed, OWN4, own6, PORT, udpFrom, withoutRight, type NetfilterBed } from "./netfilter-bed.js";

const io = loadNativeIo();
const GROUP = 33;
let bed: NetfilterBed;
beforeAll(() => {
  requireOwnNamespace(io);
  bed = openNetfilterBed(io);
});
afterAll(() => bed.close());

const opened: Nflog[] = [];
afterEach(() => {
  for (const log of opened.splice(0)) log.close();
});

const OPTIONS: NflogOptions = { group: GROUP, copyBytes: 64, bufferBytes: 1 << 20, queueThreshold: 1, flushMs: 10 };

function open(more: Partial<NflogOptions> = {}): { readonly log: Nflog; readonly entries: NflogEntry[]; readonly calls: number[] } {
  const entries: NflogEntry[] = [];
  const calls: number[] = [];
  const onEntries = (batch: readonly NflogEntry[]): void => {
    entries.push(...batch);
    calls.push(batch.length);
  };
  const log = openNflog(io, { ...OPTIONS, ...more, onEntries, onFailure: (error) => { throw error; } });
  opened.push(log);
  return { log, entries, calls };
}
const logUdp = (prefix: string): void => bed.rules(`chain in { type filter hook input priority 0; udp dport ${PORT} meta mark set 0x69330001 log prefix "${prefix}" group ${GROUP}; }`);
const many = (count: number): Uint8Array[] => Array.from({ length: count }, (_, i) => udpFrom(client4(2), 1_024 + i, OWN4));
const sourcePort = ({ packet }: NflogEntry): number => Buffer.from(packet).readUInt16BE(20);

describe("a group of NFLOG", () => {
  it.each([
    ["IPv4", udpFrom(client4(2), 1_000, OWN4, new Uint8Array(100).fill(7)), { family: 4, hardwareProtocol: 0x0800 }],
    ["IPv6", udpFrom(own6(2), 1_000, own6(1), new Uint8Array(100).fill(7)), { family: 6, hardwareProtocol: 0x86dd }],
  ])("tells a packet of %s that came in, up to copyBytes", async (_, packet, fields) => {
    logUdp("c12 r3 +");
    const { entries, log } = open();
    bed.arrive([packet]);
    await until(() => entries.length > 0, "an entry");
    expect(entries).toEqual([{ ...fields, prefix: "c12 r3 +", hook: 1, inIndex: bed.index, outIndex: 0, mark: 0x6933_0001, sequence: 0, packet: packet.slice(0, 64) }]);
    expect(log.counters()).toEqual({ entries: 1, lost: 0, drops: 0, malformed: 0 });
  });

  it("tells the interface by which a packet goes out", async () => {
    bed.rules(`chain out { type filter hook output priority 0; ip daddr 10.99.4.9 log prefix "out" group ${GROUP}; }`);
    const { entries } = open();
    const socket = io.openUdp({ family: 4, address: "0.0.0.0", port: 0, mark: 0x77, bufferBytes: 0 });
    io.sendBatch(socket.fd, new Uint8Array(4), 4, Int32Array.of(4), Uint8Array.of(...new Uint8Array(10), 255, 255, 10, 99, 4, 9, 0, 9), 1);
    io.closeFd(socket.fd);
    await until(() => entries.length > 0, "an entry");
    expect(entries).toMatchObject([{ prefix: "out", hook: 3, inIndex: 0, outIndex: bed.index, mark: 0x77 }]);
  });

  it("takes a prefix of 127 bytes, and none", async () => {
    const longest = "0123456789".repeat(13).slice(0, 127);
    logUdp(longest);
    const { entries } = open();
    bed.arrive(many(1));
    await until(() => entries.length > 0, "an entry");
    bed.rules(`chain in { type filter hook input priority 0; udp dport ${PORT} log group ${GROUP}; }`);
    bed.arrive(many(1));
    await until(() => entries.length > 1, "another entry");
    expect(entries.map(({ prefix }) => prefix)).toEqual([longest, ""]);
  });

  it("brings many in batches, in order, and the last of them when flushMs is over", async () => {
    logUdp("many");
    const { entries, calls, log } = open({ queueThreshold: 64 });
    bed.arrive(many(1_000));
    await until(() => entries.length === 1_000, "all entries");
    expect(entries.map(sourcePort)).toEqual(many(1_000).map((_, i) => 1_024 + i));
    expect(entries.map(({ sequence }) => sequence)).toEqual(entries.map((_, i) => i));
    expect(Math.max(...calls)).toBe(64);
    expect(log.counters()).toEqual({ entries: 1_000, lost: 0, drops: 0, malformed: 0 });
  });

  it("counts what a full buffer loses, and reads on", async () => {
    logUdp("flood");
    const { entries, log } = open({ bufferBytes: 8_192 });
    bed.arrive(many(2_000));
    await until(() => log.counters().drops > 0, "drops");
    await turns();
    const before = entries.length;
    bed.arrive(many(1));
    await until(() => entries.length > before, "an entry after the flood");
    const { lost, drops, malformed } = log.counters();
    expect(entries.length + lost).toBe(2_001);
    // One packet a datagram, with this threshold.
    expect({ drops, malformed }).toEqual({ drops: lost, malformed: 0 });
    expect(entries.at(-1)?.sequence).toBe(2_000);
  });

  it("is one socket's, and free again when that is closed", async () => {
    const first = open();
    expect(() => open()).toThrow(expect.objectContaining({ code: "ERR_I3_NFLOG_BUSY", message: `group ${GROUP} of NFLOG is used by another process` }));
    first.log.close();
    first.log.close();
    logUdp("again");
    const { entries } = open();
    bed.arrive(many(1));
    await until(() => entries.length > 0, "an entry");
    expect(first.entries).toEqual([]);
  });

  it("may be closed by what it calls", async () => {
    logUdp("close");
    let seen = 0;
    const log = openNflog(io, {
      ...OPTIONS,
      onEntries: (entries) => {
        seen += entries.length;
        log.close();
      },
      onFailure: (error) => { throw error; },
    });
    bed.arrive(many(5));
    await until(() => seen > 0, "an entry");
    await turns();
    expect(seen).toBe(1);
    open();
  });

  it("needs CAP_NET_ADMIN", () => {
    expect(withoutRight(`io.openNflog(${JSON.stringify(OPTIONS)})`)).toBe("EPERM NFULNL_MSG_CONFIG");
  });

  // K3 of docs/gateways.md: what is longer must be refused before nft sees it.
  it("is told of by rules with prefixes of at most 127 bytes", () => {
    expect(() => execFileSync("nft", ["add", "rule", "inet", "i3test", "in", "log", "prefix", `"${"x".repeat(128)}"`, "group", `${GROUP}`], { stdio: "pipe" })).toThrow();
  });
});

describe("descriptors", () => {
  it("are read as what they are", () => {
    const { fd } = io.openNflog({ ...OPTIONS, group: 34 });
    try {
      expect(() => io.receiveBatch(fd, new Uint8Array(8), 8, new Int32Array(1), new Uint8Array(18))).toThrow("not a UDP socket");
      expect(() => io.readConntrackDump(fd, null)).toThrow("not a dump of conntrack");
      expect(io.readNflog(fd)).toEqual({ entries: [], malformed: 0, drops: 0, more: false });
    } finally {
      io.closeFd(fd);
    }
    expect(() => io.readNflog(fd)).toThrow(expect.objectContaining({ code: "EBADF" }));
  });
});
