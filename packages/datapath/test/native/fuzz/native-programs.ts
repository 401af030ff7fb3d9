/** Builds the C++ programs of this directory with clang's sanitizers, outside node: objects are kept until a source changes. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, existsSync, utimesSync } from "node:fs";
import { availableParallelism } from "node:os";
import path from "node:path";

const HERE = import.meta.dirname;
const ROOT = path.resolve(HERE, "../../../../..");
const ENGINE = path.join(ROOT, "packages/datapath/src/native/engine");
const PORTS = path.join(ENGINE, "ports");
const NATIVE = path.dirname(ENGINE);
const CACHE = path.join(ROOT, "node_modules/.cache/i3-native-programs");
const COMPILER = "clang++";
const KEPT_DAYS = 3;

/** node's own headers of OpenSSL, as the addon has them; the library is Debian's, which every Debian has. */
const NODE_HEADERS = path.resolve(process.execPath, "../../include/node");
const LIBRARY_PLACES = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];

const COMMON = ["-std=c++20", "-g1", "-O1", "-fno-omit-frame-pointer", "-DI3_CHECKED", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wconversion", "-Werror"];
const SANITIZERS = {
  address: ["-fsanitize=address,undefined,fuzzer-no-link", "-fno-sanitize-recover=all"],
  thread: ["-fsanitize=thread"],
};

interface Program {
  readonly sanitizer: keyof typeof SANITIZERS;
  readonly sources: readonly string[];
  readonly link: readonly string[];
  /** With the engine's sockets, TUN queues and threads. */
  readonly ports?: true;
  /** Files of the addon, in place of the engine. */
  readonly addon?: readonly string[];
}
const PROGRAMS = {
  "fuzz-packets": { sanitizer: "address", sources: ["fuzz-packets.cc", "checking-sink.cc"], link: ["-fsanitize=fuzzer"] },
  "fuzz-programs": { sanitizer: "address", sources: ["fuzz-programs.cc", "checking-sink.cc"], link: ["-fsanitize=fuzzer"] },
  "engine-check": { sanitizer: "address", sources: ["engine-check.cc", "services-check.cc", "detour-check.cc", "batch-check.cc", "tracked-memory.cc", "checking-sink.cc"], link: [] },
  "engine-threads": { sanitizer: "thread", sources: ["engine-threads.cc", "checking-sink.cc"], link: ["-pthread"] },
  "ports-check": { sanitizer: "address", sources: ["ports-check.cc", "checking-sink.cc"], link: ["-pthread"], ports: true },
  "ports-threads": { sanitizer: "thread", sources: ["ports-check.cc", "checking-sink.cc"], link: ["-pthread"], ports: true },
  "p256-check": { sanitizer: "address", sources: ["p256-check.cc", "node-stand-in.cc"], link: [], addon: ["p256.cc"] },
  "netfilter-check": { sanitizer: "address", sources: ["netfilter-check.cc", "node-stand-in.cc"], link: [], addon: ["netfilter-messages.cc", "netlink.cc"] },
} as const satisfies Record<string, Program>;
export type ProgramName = keyof typeof PROGRAMS;

export interface Outcome {
  readonly status: number | null;
  readonly output: string;
}

/** Runs a program with its output kept; it is killed after `limitMs`. */
export function run(command: string, args: readonly string[], options: { readonly limitMs?: number; readonly env?: NodeJS.ProcessEnv } = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: ROOT, env: options.env ?? process.env, stdio: ["ignore", "pipe", "pipe"], timeout: options.limitMs, killSignal: "SIGKILL" });
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, output: Buffer.concat(chunks).toString() }));
  });
}

/** clang 14's shadow memory does not fit every random layout of newer kernels; where the layout may be fixed, it is. */
export async function runSanitized(program: string, args: readonly string[], limitMs: number): Promise<Outcome> {
  // Leaks are looked for by engine-check itself; the sanitizer's way needs ptrace, which containers forbid.
  const env = { ...process.env, ASAN_OPTIONS: "detect_leaks=0:quarantine_size_mb=16:malloc_context_size=8", UBSAN_OPTIONS: "print_stacktrace=1" };
  const canFix = await run("setarch", ["-R", "true"]).then(({ status }) => status === 0, () => false);
  return canFix ? run("setarch", ["-R", program, ...args], { limitMs, env }) : run(program, args, { limitMs, env });
}

const sha256 = (...parts: readonly (string | Buffer)[]): string => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${part.length} `).update(part);
  return hash.digest("hex").slice(0, 24);
};
const filesOf = (directory: string, end: string): string[] =>
  readdirSync(directory)
    .filter((name) => name.endsWith(end))
    .sort()
    .map((name) => path.join(directory, name));

/** What `make(file)` writes, kept under a name that says of what; several runs may make the same. */
async function kept(name: string, make: (file: string) => readonly string[]): Promise<string> {
  const file = path.join(CACHE, name);
  if (existsSync(file)) {
    utimesSync(file, new Date(), new Date());
    return file;
  }
  const fresh = `${file}.${process.pid}`;
  const { status, output } = await run(COMPILER, make(fresh));
  if (status !== 0) throw new Error(`${COMPILER} failed:\n${output}`);
  renameSync(fresh, file);
  return file;
}

function forgetOld(): void {
  for (const name of readdirSync(CACHE)) {
    const file = path.join(CACHE, name);
    if (Date.now() - statSync(file).mtimeMs > KEPT_DAYS * 86_400_000) rmSync(file, { force: true });
  }
}

/** The programs' files, in the order of the names. */
export async function buildPrograms(names: readonly ProgramName[]): Promise<string[]> {
  mkdirSync(CACHE, { recursive: true });
  forgetOld();
  const version = await run(COMPILER, ["--version"]);
  const headers = [...filesOf(NATIVE, ".h"), ...filesOf(ENGINE, ".h"), ...filesOf(PORTS, ".h"), ...filesOf(HERE, ".h")].map((file) => readFileSync(file));
  const base = sha256(version.output, process.version, ...headers);
  const library = LIBRARY_PLACES.map((place) => path.join(place, "libcrypto.so.3")).find((file) => existsSync(file));
  if (library === undefined) throw new Error("no libcrypto.so.3: apt-get install libssl3");
  const objects = new Map<string, Promise<string>>();
  const slots = Array.from({ length: Math.max(2, availableParallelism()) }, () => Promise.resolve());
  const compile = (source: string, { sanitizer, addon }: Program): Promise<string> => {
    const flags = [...COMMON, ...SANITIZERS[sanitizer], "-iquote", ENGINE, "-iquote", HERE, "-isystem", NODE_HEADERS, ...(addon === undefined ? [] : ["-iquote", NATIVE, "-DNAPI_VERSION=8"])];
    const key = `${path.basename(source, ".cc")}-${sha256(base, flags.join(" "), readFileSync(source))}.o`;
    const known = objects.get(key);
    if (known !== undefined) return known;
    // As many at a time as there are processors: each waits for the one that was given its place before.
    const place = objects.size % slots.length;
    const made = (slots[place] ?? Promise.resolve()).then(() => kept(key, (file) => [...flags, "-c", source, "-o", file]));
    slots[place] = made.then(
      () => undefined,
      () => undefined,
    );
    objects.set(key, made);
    return made;
  };
  return Promise.all(
    names.map(async (name) => {
      const program: Program = PROGRAMS[name];
      const { sanitizer, sources, link, ports, addon } = program;
      const engineSources = addon === undefined ? filesOf(ENGINE, ".cc") : addon.map((source) => path.join(NATIVE, source));
      const portSources = ports === true ? filesOf(PORTS, ".cc") : [];
      const files = await Promise.all([...sources.map((source) => path.join(HERE, source)), ...engineSources, ...portSources].map((source) => compile(source, program)));
      const key = `${name}-${sha256(files.join(" "), link.join(" "), library)}`;
      return kept(key, (file) => [...SANITIZERS[sanitizer], ...link, ...files, library, "-o", file]);
    }),
  );
}
