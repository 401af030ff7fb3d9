/** What the examples do before they connect: the ring that they start ends with them, however they end, and leaves no keys behind; a wrong command line starts none. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { expect, it, onTestFinished } from "vitest";

import { LoopbackServer } from "./loopback-server.js";

const EXAMPLES = fileURLToPath(new URL("../../examples/", import.meta.url));

function example(folder: string, name: string, ...args: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, [join(EXAMPLES, name), ...args], { env: { ...process.env, TMPDIR: folder }, stdio: ["pipe", "pipe", "pipe"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

/** Of who has ended, and whom nobody has waited for, /proc shows an empty command. */
const isAlive = (pid: number): boolean => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`).length > 0;
  } catch {
    return false;
  }
};

async function folderFor(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "i3-example-"));
  onTestFinished(async () => await rm(folder, { recursive: true, force: true }));
  return folder;
}

it.each([["chat.mjs", "SIGINT"], ["chat.mjs", "SIGTERM"], ["ring.mjs", "SIGINT"], ["ring.mjs", "SIGHUP"]] as const)("%s, ended by %s", async (name, signal) => {
  const folder = await folderFor();
  const child = example(folder, name);
  const servers: number[] = [];
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    const [, pid] = /is process (\d+)/.exec(line) ?? [];
    if (pid !== undefined && servers.push(Number(pid)) === 3) break;
  }
  expect([servers.map(isAlive), (await readdir(folder)).length]).toEqual([[true, true, true], 1]);
  const exited = once(child, "exit");
  child.kill(signal);
  expect(await exited).toEqual([0, null]);
  await expect.poll(() => servers.filter(isAlive)).toEqual([]);
  expect(await readdir(folder)).toEqual([]);
}, 30_000);

it.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("chat.mjs on a given ring, ended by %s, leaves its group first", async (signal) => {
  const server = await LoopbackServer.open();
  onTestFinished(() => server.close());
  const child = example(await folderFor(), "chat.mjs", "--servers", server.address);
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) if (line.startsWith("you are ")) break;
  expect(server.core.inspect().triggers).toBe(1);
  const exited = once(child, "exit");
  child.kill(signal);
  expect(await exited).toEqual([0, null]);
  expect(server.core.inspect().triggers).toBe(0);
}, 30_000);

/** Until it has ended by itself. */
async function ended(name: string, ...args: readonly string[]): Promise<{ readonly status: number | null; readonly said: string; readonly wrong: string }> {
  const child = example(await folderFor(), name, ...args);
  let said = "";
  child.stdout?.on("data", (bytes: Buffer) => (said += bytes.toString()));
  let wrong = "";
  child.stderr?.on("data", (bytes: Buffer) => (wrong += bytes.toString()));
  const [status] = (await once(child, "close")) as [number | null];
  return { status, said, wrong };
}

it.each<readonly [name: string, args: readonly string[], wrong: string]>([
  ["chat.mjs", ["--group", "zz"], "the secret of the group has not the right form. It has 32 bytes, or 64 hex digits, as Group.secret() gives it."],
  ["transcoder.mjs", ["--servers", "999.1.1.1"], 'the address of a server is "999.1.1.1". Write an IP address'],
])("%s %j says what is wrong and what to do, in one line, before it starts a ring", async (name, args, wrong) => {
  const { status, said, wrong: line } = await ended(name, ...args);
  expect([status, said, line.trimEnd().split("\n")]).toEqual([1, "", [expect.stringContaining(`${name}: ${wrong}`)]]);
}, 30_000);

it("chat.mjs: two of one name read each other, and not themselves", async () => {
  const server = await LoopbackServer.open();
  onTestFinished(() => server.close());
  const folder = await folderFor();
  const said = await Promise.all(["one", "two"].map(async (text) => {
    const child = example(folder, "chat.mjs", "--servers", server.address, "--group", "c4a7".repeat(16));
    const lines: string[] = [];
    let typing: NodeJS.Timeout | undefined;
    // Goes on until the other has read it too.
    onTestFinished(() => clearInterval(typing));
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      if (line.startsWith("you are ")) typing = setInterval(() => child.stdin?.write(`${text}\n`), 50);
      if (lines.push(line) > 0 && /^somebody: /.test(line)) break;
    }
    return lines;
  }));
  expect(said.map(([first]) => first)).toEqual([`* by the server ${server.address}`, `* by the server ${server.address}`]);
  expect(said.map((lines) => lines.at(-1))).toEqual([expect.stringMatching(/^somebody: two/), expect.stringMatching(/^somebody: one/)]);
}, 60_000);

it.each([
  ["nearest-server.mjs", ["a client in eu/paris is served by eu/paris", "a client in us/boston is served by us/boston", "a client in us/chicago is served by us/boston", "eu/paris is gone: a client there is served by eu/berlin"]],
  ["transcoder.mjs", ["sent by the sender's stack: 320 bytes went out, 160 arrived", "sent to one id, by the receiver's stack: 320 bytes went out, 160 arrived"]],
])("%s on a given ring shows what it says, and leaves nothing there", async (name, lines) => {
  const server = await LoopbackServer.open();
  onTestFinished(() => server.close());
  const { status, said, wrong } = await ended(name, "--servers", server.address);
  expect([status, said.trimEnd().split("\n"), wrong]).toEqual([0, lines, ""]);
  expect(server.core.inspect().triggers).toBe(0);
}, 30_000);

it.each([["chat.mjs", ["name", "servers", "group"]], ["nearest-server.mjs", ["servers"]], ["transcoder.mjs", ["servers"]], ["ring.mjs", []]])("%s says how it is used", async (name, options) => {
  const help = await ended(name, "--help");
  expect(help).toMatchObject({ status: 0, wrong: "" });
  expect(help.said).toMatch(new RegExp(`^Usage: node ${name}`));
  expect([...help.said.matchAll(/^ {2}--(\w+) +\S/gm)].map(([, option]) => option)).toEqual(options);
  const unknown = await ended(name, "--bogus");
  expect(unknown).toMatchObject({ status: 2, said: "" });
  expect(unknown.wrong).toMatch(new RegExp(`^${name}: .*--bogus.*--help.*\n$`));
}, 30_000);
