/**
 * A file that is read again whenever it changes: edited in place, replaced by rename, deleted and made again, or reached
 * through a symbolic link that is turned (as Kubernetes does) or whose target changes. The last good content stays until better content comes.
 *
 * Directories are watched, not the file, since the watch of a replaced file stays with the old one: that of the name and that of what a link
 * leads to. A poll of the stamp stands behind the watch, so that a change is seen within a second everywhere: network file systems report nothing,
 * links may lead over others, the number of watches is limited, and a directory itself may be replaced.
 */
import { createHash } from "node:crypto";
import { watch } from "node:fs";
import { realpath } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { readBoundedFile, readStamp, sameStamp, type FileContent, type FileStamp } from "./bounded-file.js";

/** Calls back once after a delay, unless the returned function is called before. */
export type Schedule = (callback: () => void, delayMs: number) => () => void;

/** Calls back when something in a directory may have changed, with the name if it is known. Throws where it cannot watch. */
export type WatchDirectory = (directory: string, onEvent: (name: string | undefined) => void) => { close(): void };

export interface FileAccess {
  readonly read: (file: string, maxBytes: number) => Promise<FileContent>;
  readonly readStamp: (file: string) => Promise<FileStamp>;
  /** The name behind all symbolic links. Rejects where there is nothing. */
  readonly resolve: (file: string) => Promise<string>;
}

export type FileUpdate<T> =
  | { readonly ok: true; readonly value: T }
  /** ConfigError, or whatever `parse` threw. */
  | { readonly ok: false; readonly error: unknown };

export interface WatchedFileInit<T> {
  readonly file: string;
  readonly maxBytes: number;
  readonly parse: (bytes: Uint8Array, file: string) => T | Promise<T>;
  /** Every change after the first reading. Errors come once, not at each poll. */
  readonly onUpdate: (update: FileUpdate<T>) => void;
  /** From the first sign of a change to the reading, so that one save is one update. @default 50 */
  readonly settleMs?: number;
  /** Between looks at the stamp. @default 500 */
  readonly pollMs?: number;
  /** Until the watch is made anew. @default 5000 */
  readonly renewMs?: number;
  /** @default timers of the process, which do not keep it alive */
  readonly schedule?: Schedule;
  /** @default fs.watch */
  readonly watchDirectory?: WatchDirectory;
  /** @default regular files of the file system */
  readonly access?: FileAccess;
}

const DEFAULT_SETTLE_MS = 50;
const DEFAULT_POLL_MS = 500;
const DEFAULT_RENEW_MS = 5000;

const scheduleTimeout: Schedule = (callback, delayMs) => {
  const timer = setTimeout(callback, delayMs).unref();
  return () => clearTimeout(timer);
};

const watchWithFs: WatchDirectory = (directory, onEvent) => {
  const watcher = watch(directory, { persistent: false }, (_, name) => onEvent(name ?? undefined));
  // It is renewed soon.
  watcher.on("error", () => watcher.close());
  return watcher;
};

const FILE_SYSTEM: FileAccess = { read: readBoundedFile, readStamp, resolve: realpath };

const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("base64");

export class WatchedFile<T> {
  readonly #init: WatchedFileInit<T>;
  readonly #schedule: Schedule;
  readonly #access: FileAccess;
  #current: T;
  #error: unknown;
  #stamp: FileStamp | undefined;
  /** Of the last content that was read, good or bad; undefined when none could be. */
  #digest: string | undefined;
  /** What the file's name led to when it was last seen. */
  #target: string;
  #isWatchOld = false;
  #watchers: readonly { close(): void }[] = [];
  #cancelSettle: (() => void) | undefined;
  #cancelPoll: (() => void) | undefined;
  #cancelRenewal: (() => void) | undefined;
  /** A change of the very file was reported: a stamp can miss two changes within one tick of the file system's clock. */
  #distrustStamp = false;
  #reading: Promise<void> | undefined;
  #closed = false;

  private constructor(init: WatchedFileInit<T>, current: T) {
    this.#init = init;
    this.#schedule = init.schedule ?? scheduleTimeout;
    this.#access = init.access ?? FILE_SYSTEM;
    this.#current = current;
    this.#target = init.file;
  }

  /** Reads the file and begins to watch it. Throws what reading or parsing throws: a first reading has nothing to fall back on. */
  static async open<T>(init: WatchedFileInit<T>): Promise<WatchedFile<T>> {
    const { bytes, stamp } = await (init.access ?? FILE_SYSTEM).read(init.file, init.maxBytes);
    const watched = new WatchedFile(init, await init.parse(bytes, init.file));
    watched.#stamp = stamp;
    watched.#digest = digest(bytes);
    await watched.#watch();
    watched.#poll();
    watched.#renew();
    // What changed between the reading and the watch.
    await watched.refresh();
    return watched;
  }

  /** The last good content. */
  get current(): T {
    return this.#current;
  }

  /** Why the file as it is now is not used; undefined when it is. */
  get error(): unknown {
    return this.#error;
  }

  /** Looks at the file now, and resolves when any update has been reported. One reading at a time; later callers share the next. */
  async refresh(): Promise<void> {
    while (this.#reading !== undefined) await this.#reading;
    if (this.#closed) return;
    this.#reading = this.#read();
    try {
      await this.#reading;
    } finally {
      this.#reading = undefined;
    }
  }

  close(): void {
    this.#closed = true;
    this.#cancelSettle?.();
    this.#cancelPoll?.();
    this.#cancelRenewal?.();
    this.#unwatch();
  }

  /** Watches the directory of the name and that of its target, in the place of what was watched before. */
  async #watch(): Promise<void> {
    const { file } = this.#init;
    // Of a link that leads nowhere now, the place where it did.
    this.#target = await this.#access.resolve(file).catch(() => this.#target);
    if (this.#closed) return;
    this.#isWatchOld = false;
    this.#unwatch();
    const names = new Map<string, readonly string[]>();
    for (const path of [file, this.#target]) names.set(dirname(path), [...(names.get(dirname(path)) ?? []), basename(path)]);
    this.#watchers = [...names].flatMap(([directory, own]) => this.#watchDirectory(directory, own));
  }

  #watchDirectory(directory: string, names: readonly string[]): readonly { close(): void }[] {
    const { watchDirectory = watchWithFs } = this.#init;
    try {
      return [watchDirectory(directory, (changed) => this.#onEvent(changed === undefined || names.includes(changed)))];
    } catch {
      // No watches left, or no directory now: the poll goes on, and it is tried again.
      return [];
    }
  }

  #unwatch(): void {
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers = [];
  }

  #onEvent(own: boolean): void {
    if (this.#closed) return;
    this.#distrustStamp ||= own;
    // Not put off by further events: a busy directory must not keep us from reading.
    this.#cancelSettle ??= this.#schedule(() => {
      this.#cancelSettle = undefined;
      void this.refresh();
    }, this.#init.settleMs ?? DEFAULT_SETTLE_MS);
  }

  #poll(): void {
    this.#cancelPoll = this.#schedule(() => {
      void this.refresh().then(() => {
        if (!this.#closed) this.#poll();
      });
    }, this.#init.pollMs ?? DEFAULT_POLL_MS);
  }

  /** A watch stays with its directory when that is renamed away, and tells nothing then. */
  #renew(): void {
    this.#cancelRenewal = this.#schedule(() => {
      this.#isWatchOld = true;
      void this.refresh().then(() => {
        if (!this.#closed) this.#renew();
      });
    }, this.#init.renewMs ?? DEFAULT_RENEW_MS);
  }

  async #read(): Promise<void> {
    const distrust = this.#distrustStamp;
    this.#distrustStamp = false;
    if (this.#isWatchOld) await this.#watch();
    const { file, maxBytes, parse } = this.#init;
    let content: FileContent;
    try {
      if (!distrust && this.#stamp !== undefined && sameStamp(await this.#access.readStamp(file), this.#stamp)) return;
      content = await this.#access.read(file, maxBytes);
    } catch (error) {
      this.#stamp = undefined;
      this.#digest = undefined;
      // Once, not at every poll.
      const known = this.#error instanceof Error && error instanceof Error && this.#error.message === error.message;
      if (!known) this.#fail(error);
      return;
    }
    this.#stamp = content.stamp;
    if ((await this.#access.resolve(file).catch(() => this.#target)) !== this.#target) await this.#watch();
    const contentDigest = digest(content.bytes);
    if (contentDigest === this.#digest) return;
    this.#digest = contentDigest;
    let value: T;
    try {
      value = await parse(content.bytes, file);
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (this.#closed) return;
    this.#current = value;
    this.#error = undefined;
    this.#init.onUpdate({ ok: true, value });
  }

  #fail(error: unknown): void {
    this.#error = error;
    if (!this.#closed) this.#init.onUpdate({ ok: false, error });
  }
}
