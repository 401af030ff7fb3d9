/** The readers of NFLOG and conntrack over an addon that says what no kernel says when asked to. */
import { describe, expect, it } from "vitest";
import { conntrackUse, endConntrackOf, listConntrack, openNflog } from "@i3/datapath/io";
import type { ConntrackEntry, ConntrackPart, NativeIo, NflogBatch, NflogEntry } from "@i3/datapath/native-io";

const systemError = (code: string): Error => Object.assign(new Error(code), { code });
const OPTIONS = { group: 1, copyBytes: 64, bufferBytes: 0, queueThreshold: 64, flushMs: 100 };

const logged = (sequence: number): NflogEntry => ({ prefix: "", family: 4, hook: 1, inIndex: 1, outIndex: 0, mark: 0, hardwareProtocol: 0x0800, sequence, packet: new Uint8Array(0) });
const batch = (more: Partial<NflogBatch> & { readonly sequences?: readonly number[] }): NflogBatch => ({ entries: (more.sequences ?? []).map(logged), malformed: 0, drops: 0, more: true, ...more });

/** An addon with these batches; behind them there is nothing, or the error. */
function nflogOf(batches: NflogBatch[], error?: Error): { readonly io: NativeIo; readable: () => void; readonly closed: number[] } {
  const fake = {
    closed: [] as number[],
    readable: (): void => {},
    io: {
      openNflog: () => ({ fd: 5 }),
      readNflog: () => {
        const next = batches.shift();
        if (next === undefined && error !== undefined) throw error;
        return next ?? batch({ more: false });
      },
      watchReadable: (_: number, callback: () => void) => {
        fake.readable = callback;
        return { close() {} };
      },
      closeFd: (fd: number) => void fake.closed.push(fd),
    } as unknown as NativeIo,
  };
  return fake;
}

describe("openNflog", () => {
  it("counts gaps of the numbers, also where these begin again", () => {
    const fake = nflogOf([batch({ sequences: [2, 3] }), batch({ sequences: [2 ** 32 - 2], malformed: 1, drops: 7 }), batch({ sequences: [1] })]);
    const seen: number[] = [];
    const log = openNflog(fake.io, { ...OPTIONS, onEntries: (entries) => seen.push(...entries.map(({ sequence }) => sequence)), onFailure: (error) => { throw error; } });
    fake.readable();
    expect(seen).toEqual([2, 3, 2 ** 32 - 2, 1]);
    expect(log.counters()).toEqual({ entries: 4, lost: 2 + (2 ** 32 - 2 - 4) + 2, drops: 0, malformed: 1 });
  });

  it("leaves the event loop a turn after 16 datagrams", () => {
    const fake = nflogOf(Array.from({ length: 40 }, (_, i) => batch({ sequences: [i] })));
    let calls = 0;
    openNflog(fake.io, { ...OPTIONS, onEntries: () => (calls += 1), onFailure: (error) => { throw error; } });
    const after = [1, 2, 3].map(() => {
      fake.readable();
      return calls;
    });
    expect(after).toEqual([16, 32, 40]);
  });

  it("ends at an error, which it tells once", () => {
    const fake = nflogOf([batch({ sequences: [0] })], systemError("EBADF"));
    const failures: Error[] = [];
    const log = openNflog(fake.io, { ...OPTIONS, onEntries: () => {}, onFailure: (error) => failures.push(error) });
    fake.readable();
    fake.readable();
    log.close();
    expect(failures).toEqual([systemError("EBADF")]);
    expect(fake.closed).toEqual([5]);
  });

  it("explains what keeps it from beginning", () => {
    const io = { openNflog: () => { throw systemError("EPERM"); } } as unknown as NativeIo;
    expect(() => openNflog(io, { ...OPTIONS, onEntries: () => {}, onFailure: () => {} })).toThrow(expect.objectContaining({ code: "ERR_I3_NO_NETFILTER" }));
  });
});

const tuple = { source: new Uint8Array(4), destination: new Uint8Array(4), sourcePort: 1, destinationPort: 1, icmpType: 0, icmpCode: 0, icmpId: 0 };
const entry = (id: number): ConntrackEntry => ({ family: 4, protocol: 17, original: tuple, reply: tuple, mark: 0, id, status: 0, zone: 0 });

function conntrackOf(parts: ConntrackPart[], gone: readonly number[] = [], error?: Error): { readonly io: NativeIo; readonly closed: number[]; readonly families: number[] } {
  const closed: number[] = [];
  const families: number[] = [];
  const io = {
    openConntrackDump: (family: number) => {
      families.push(family);
      return { fd: 6 };
    },
    readConntrackDump: () => {
      const part = parts.shift();
      if (part === undefined) throw error ?? systemError("EAGAIN");
      return part;
    },
    deleteConntrack: ({ id }: ConntrackEntry) => !gone.includes(id),
    closeFd: (fd: number) => void closed.push(fd),
  } as unknown as NativeIo;
  return { io, closed, families };
}
const part = (ids: readonly number[], isDone = false): ConntrackPart => ({ entries: ids.map(entry), malformed: 0, isDone });

describe("endConntrackOf", () => {
  it("counts only those that were there, and reads no further than the end", async () => {
    const { io, closed, families } = conntrackOf([part([1, 2]), part([]), part([3, 3], true)], [2]);
    expect(await endConntrackOf(io, new Uint8Array(4))).toBe(3);
    expect({ closed, families }).toEqual({ closed: [6], families: [4] });
  });

  it("asks for the address's family", async () => {
    const { io, families } = conntrackOf([part([], true)]);
    expect(await endConntrackOf(io, new Uint8Array(16))).toBe(0);
    expect(families).toEqual([6]);
  });

  it("explains a refusal, and leaves nothing open", async () => {
    const { io, closed } = conntrackOf([part([1])], [], systemError("EPERM"));
    await expect(endConntrackOf(io, new Uint8Array(4))).rejects.toMatchObject({ code: "ERR_I3_NO_NETFILTER", cause: { code: "EPERM" } });
    expect(closed).toEqual([6]);
  });
});

describe("listConntrack", () => {
  it("gives all that could be read, and then says that there was more", async () => {
    const { io, closed } = conntrackOf([{ ...part([1]), malformed: 2 }, part([2], true)]);
    const seen: number[] = [];
    const reading = async (): Promise<void> => {
      for await (const entries of listConntrack(io, 4)) seen.push(...entries.map(({ id }) => id));
    };
    await expect(reading()).rejects.toMatchObject({ code: "ERR_I3_BAD_NETFILTER", message: "conntrack: 2 entries could not be read" });
    expect({ seen, closed }).toEqual({ seen: [1, 2], closed: [6] });
  });

  it("gives the event loop a turn before each part", async () => {
    const { io } = conntrackOf([part([1]), part([2]), part([3], true)]);
    const order: string[] = [];
    let isOver = false;
    const turn = (): void => {
      order.push("turn");
      if (!isOver) setImmediate(turn);
    };
    setImmediate(turn);
    for await (const [first] of listConntrack(io, 4)) order.push(`${first?.id}`);
    isOver = true;
    expect(order.slice(0, 6)).toEqual(["turn", "1", "turn", "2", "turn", "3"]);
  });
});

describe("conntrackUse", () => {
  it.each([
    ["what is there", { count: "12\n", max: "262144\n" }, { count: 12, max: 262_144 }],
    ["none without conntrack", {}, null],
    ["none when it is no number", { count: "", max: "1\n" }, null],
  ])("says %s", (_, files: Readonly<Record<string, string>>, use) => {
    const read = (file: string): string => {
      const text = files[file.replace("/proc/sys/net/netfilter/nf_conntrack_", "")];
      if (text === undefined) throw systemError("ENOENT");
      return text;
    };
    expect(conntrackUse(read)).toEqual(use);
  });
});
