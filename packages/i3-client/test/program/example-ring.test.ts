/** The ring that the examples start ends with them, however they end, and leaves no keys behind. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { expect, it, onTestFinished } from "vitest";

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
  await exited;
  await expect.poll(() => servers.filter(isAlive)).toEqual([]);
  expect(await readdir(folder)).toEqual([]);
}, 30_000);

it("chat.mjs with a secret that is none says so before it starts a ring", async () => {
  const folder = await folderFor();
  const child = example(folder, "chat.mjs", "--group", "zz");
  let said = "";
  child.stdout?.on("data", (bytes: Buffer) => (said += bytes.toString()));
  let wrong = "";
  child.stderr?.on("data", (bytes: Buffer) => (wrong += bytes.toString()));
  const [status] = (await once(child, "close")) as [number | null];
  expect([status, said]).toEqual([1, ""]);
  expect(wrong).toContain("ERR_I3_USAGE");
}, 30_000);
