import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rename, rm, symlink, unlink, utimes, writeFile } from "node:fs/promises";
import { EventEmitter, once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ConfigError, WatchedFile, readBoundedFile, type FileUpdate, type Schedule, type WatchDirectory } from "../../src/index.js";

const SETTLE_MS = 50;
const POLL_MS = 500;
const RENEW_MS = 5000;
const MAX_BYTES = 100;

/** A clock that stands still until a test runs what is due. */
class ManualTimers {
  readonly #due = new Map<symbol, { readonly callback: () => void; readonly delayMs: number }>();

  readonly schedule: Schedule = (callback, delayMs) => {
    const key = Symbol();
    this.#due.set(key, { callback, delayMs });
    return () => this.#due.delete(key);
  };

  /** Runs what is scheduled with this delay; returns how much that was. */
  fire(delayMs: number): number {
    const ready = [...this.#due].filter(([, timer]) => timer.delayMs === delayMs);
    for (const [key, { callback }] of ready) {
      this.#due.delete(key);
      callback();
    }
    return ready.length;
  }

  get delays(): readonly number[] {
    return [...this.#due.values()].map((timer) => timer.delayMs).sort((a, b) => a - b);
  }
}

/** Directory events that a test makes up. */
class ManualWatch {
  opened = 0;
  directories: string[] = [];
  closed = 0;
  fails = false;
  #event: (name: string | undefined) => void = () => undefined;

  readonly watch: WatchDirectory = (directory, onEvent) => {
    if (this.fails) throw new Error("no watches left");
    this.opened++;
    this.directories.push(directory);
    this.#event = onEvent;
    return {
      close: () => {
        this.closed++;
        this.directories.splice(this.directories.indexOf(directory), 1);
      },
    };
  };

  event(name: string | undefined): void {
    this.#event(name);
  }
}

const parse = (bytes: Uint8Array): string => {
  const text = Buffer.from(bytes).toString();
  if (text.startsWith("bad")) throw new Error(`does not parse: ${text}`);
  return text;
};

describe("watched file", () => {
  let directory = "";
  let file = "";
  let timers = new ManualTimers();
  let watch = new ManualWatch();
  let updates: (string | Error)[] = [];
  const open: WatchedFile<string>[] = [];

  const record = (update: FileUpdate<string>): void => {
    updates.push(update.ok ? update.value : update.error instanceof Error ? update.error : new Error(String(update.error)));
  };

  async function openManual(): Promise<WatchedFile<string>> {
    const watched = await WatchedFile.open({
      file,
      maxBytes: MAX_BYTES,
      parse,
      onUpdate: record,
      schedule: timers.schedule,
      watchDirectory: watch.watch,
    });
    open.push(watched);
    return watched;
  }

  /** The event, the wait, and the reading that follows. */
  async function settle(watched: WatchedFile<string>, name: string | null = "book.xml"): Promise<void> {
    watch.event(name ?? undefined);
    expect(timers.fire(SETTLE_MS)).toBe(1);
    await watched.refresh();
  }

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "i3-watch-"));
    file = join(directory, "book.xml");
    timers = new ManualTimers();
    watch = new ManualWatch();
    updates = [];
    await writeFile(file, "one");
  });

  afterEach(async () => {
    for (const watched of open.splice(0)) watched.close();
    await rm(directory, { recursive: true, force: true });
  });

  it("has its first content at once", async () => {
    expect((await openManual()).current).toBe("one");
    expect(updates).toEqual([]);
  });

  it.each(["bad", "x".repeat(MAX_BYTES + 1)])("does not open with content %j", async (content) => {
    await writeFile(file, content);
    await expect(openManual()).rejects.toThrow(content === "bad" ? "does not parse: bad" : "101 bytes; expected at most 100 bytes");
    expect(timers.delays).toEqual([]);
  });

  it("does not open when it is missing", async () => {
    await unlink(file);
    const error = await openManual().catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ConfigError);
    expect(error).toMatchObject({ file, line: 0, message: `${file}: cannot be read; expected a readable file` });
  });

  it("sees a change that came between its first reading and the watch", async () => {
    let parsed = 0;
    const watched = await WatchedFile.open({
      file,
      maxBytes: MAX_BYTES,
      parse: async (bytes) => {
        if (parsed++ === 0) await writeFile(file, "two");
        return parse(bytes);
      },
      onUpdate: record,
      schedule: timers.schedule,
      watchDirectory: watch.watch,
    });
    open.push(watched);
    expect([watched.current, updates]).toEqual(["two", ["two"]]);
  });

  it("is read again after an edit in place", async () => {
    const watched = await openManual();
    await writeFile(file, "two");
    await settle(watched);
    expect([watched.current, updates]).toEqual(["two", ["two"]]);
  });

  it("is read again after a replacement by rename", async () => {
    const watched = await openManual();
    for (const content of ["two", "three"]) {
      await writeFile(join(directory, ".book.xml.swp"), content);
      await rename(join(directory, ".book.xml.swp"), file);
      await settle(watched);
    }
    expect(updates).toEqual(["two", "three"]);
  });

  it("makes one update of many events", async () => {
    const watched = await openManual();
    await writeFile(file, "two");
    for (let i = 0; i < 10; i++) watch.event("book.xml");
    expect(timers.delays).toEqual([SETTLE_MS, POLL_MS, RENEW_MS]);
    await settle(watched);
    await settle(watched);
    expect(updates).toEqual(["two"]);
  });

  it("keeps the last good content while the file is bad", async () => {
    const watched = await openManual();
    await writeFile(file, "bad 1");
    await settle(watched);
    expect([watched.current, watched.error]).toEqual(["one", new Error("does not parse: bad 1")]);
    await writeFile(file, "bad 2");
    await settle(watched);
    await settle(watched);
    await writeFile(file, "one");
    await settle(watched);
    expect([watched.current, watched.error]).toEqual(["one", undefined]);
    expect(updates).toEqual([new Error("does not parse: bad 1"), new Error("does not parse: bad 2"), "one"]);
  });

  it("reports a deletion once, and the file that is made again", async () => {
    const watched = await openManual();
    await unlink(file);
    await settle(watched);
    await settle(watched);
    expect(watched.current).toBe("one");
    await writeFile(file, "one");
    await settle(watched);
    expect(watched.error).toBeUndefined();
    expect(updates).toEqual([expect.objectContaining({ code: "ERR_I3_CONFIG", file }), "one"]);
  });

  it("does not report what did not change", async () => {
    const watched = await openManual();
    await utimes(file, 1, 1);
    await settle(watched);
    await settle(watched, "other.xml");
    expect(updates).toEqual([]);
  });

  it("does not trust an unchanged stamp when its own name is reported, as two changes may bear one time", async () => {
    let content = "one";
    const stamp = { device: 1n, inode: 1n, size: 3n, modifiedNs: 1n, changedNs: 1n };
    const watched = await WatchedFile.open({
      file,
      maxBytes: MAX_BYTES,
      parse,
      onUpdate: record,
      schedule: timers.schedule,
      watchDirectory: watch.watch,
      access: { read: () => Promise.resolve({ bytes: Buffer.from(content), stamp }), readStamp: () => Promise.resolve(stamp), resolve: (name) => Promise.resolve(name) },
    });
    open.push(watched);
    content = "two";
    await settle(watched, "other.xml");
    expect(updates).toEqual([]);
    await settle(watched);
    expect(updates).toEqual(["two"]);
    content = "six";
    await settle(watched, null);
    expect(updates).toEqual(["two", "six"]);
  });

  it("follows a link that is turned elsewhere", async () => {
    for (const version of ["1", "2"]) {
      await mkdir(join(directory, version));
      await writeFile(join(directory, version, "book.xml"), `version ${version}`);
    }
    await unlink(file);
    await symlink("1", join(directory, "..data"));
    await symlink("..data/book.xml", file);
    const watched = await openManual();
    await symlink("2", join(directory, "..new"));
    await rename(join(directory, "..new"), join(directory, "..data"));
    await settle(watched, "..data");
    expect(updates).toEqual(["version 2"]);
  });

  it("watches where a link leads, and where it is turned to", async () => {
    for (const version of ["1", "2"]) {
      await mkdir(join(directory, version));
      await writeFile(join(directory, version, "target.xml"), `version ${version}`);
    }
    await unlink(file);
    await symlink("1/target.xml", file);
    const watched = await openManual();
    expect(watch.directories).toEqual([directory, join(directory, "1")]);
    await writeFile(join(directory, "1", "target.xml"), "edited");
    await settle(watched, "target.xml");
    await symlink("2/target.xml", `${file}~`);
    await rename(`${file}~`, file);
    await settle(watched);
    expect(watch.directories).toEqual([directory, join(directory, "2")]);
    // While it leads nowhere, what comes in that place is waited for.
    await unlink(join(directory, "2", "target.xml"));
    await settle(watched, "target.xml");
    expect(timers.fire(RENEW_MS)).toBe(1);
    await watched.refresh();
    expect(watch.directories).toEqual([directory, join(directory, "2")]);
    expect(updates).toEqual(["edited", "version 2", expect.any(ConfigError)]);
  });

  it("polls twice a second where no event comes", async () => {
    watch.fails = true;
    const watched = await openManual();
    for (const content of ["two", "three"]) {
      await writeFile(file, content);
      expect(timers.fire(POLL_MS)).toBe(1);
      await watched.refresh();
    }
    expect(updates).toEqual(["two", "three"]);
  });

  it("renews the watch", async () => {
    watch.fails = true;
    const watched = await openManual();
    const renew = async (): Promise<void> => {
      expect(timers.fire(RENEW_MS)).toBe(1);
      await watched.refresh();
    };
    await renew();
    watch.fails = false;
    await renew();
    expect([watch.opened, watch.closed]).toEqual([1, 0]);
    await renew();
    expect([watch.opened, watch.closed]).toEqual([2, 1]);
    watched.close();
    expect(watch.closed).toBe(2);
  });

  it("does nothing after it is closed, even with a reading under way", async () => {
    const watched = await openManual();
    await writeFile(file, "two");
    const reading = watched.refresh();
    watched.close();
    await reading;
    watch.event("book.xml");
    await watched.refresh();
    expect([updates, timers.delays, watch.closed]).toEqual([[], [], 1]);
  });

  it("is no directory, FIFO or device", async () => {
    await expect(readBoundedFile(directory, MAX_BYTES)).rejects.toThrow("not a regular file; expected a file");
    await expect(readBoundedFile("/dev/zero", MAX_BYTES)).rejects.toThrow("not a regular file");
    execFileSync("mkfifo", [join(directory, "fifo")]);
    await expect(readBoundedFile(join(directory, "fifo"), MAX_BYTES)).rejects.toThrow("not a regular file");
  });

  it("is not taken when it is longer than it said", async () => {
    // Files of /proc say 0 bytes.
    await expect(readBoundedFile("/proc/self/status", MAX_BYTES)).rejects.toThrow("changed while it was read; expected a file at rest");
  });

  it.each(["a file", "a link into another directory"])("works with the system's own watch and timers, by the name of %s", async (kind) => {
    const events = new EventEmitter();
    const name = file;
    if (kind !== "a file") {
      await mkdir(join(directory, "elsewhere"));
      file = join(directory, "elsewhere", "target.xml");
      await rename(name, file);
      await symlink(file, name);
    }
    const watched = await WatchedFile.open({
      file: name,
      maxBytes: MAX_BYTES,
      parse,
      settleMs: 1,
      // Not within this test: the watch alone must do.
      pollMs: 1_000_000,
      renewMs: 1_000_000,
      onUpdate: (update) => {
        record(update);
        events.emit("update");
      },
    });
    open.push(watched);
    const steps: readonly (readonly [change: () => Promise<void>, current: string])[] = [
      [async () => writeFile(`${file}~`, "two").then(() => rename(`${file}~`, file)), "two"],
      [async () => unlink(file), "two"],
      [async () => writeFile(`${file}~`, "three").then(() => rename(`${file}~`, file)), "three"],
    ];
    for (const [change, current] of steps) {
      const updated = once(events, "update");
      await change();
      await updated;
      expect(watched.current).toBe(current);
    }
    expect(updates).toEqual(["two", expect.any(ConfigError), "three"]);
  });
});
