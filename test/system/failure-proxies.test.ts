/** A proxy is killed with SIGKILL in the middle of an ssh session and started again: the session goes on. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { Child } from "@i3/netns";

import { startSshd, type Ssh } from "../demo/src/sshd.js";
import { pairBed, type PairBed } from "./pair-bed.js";

let bed: PairBed;
let ssh: Ssh;
let session: Child;
beforeAll(async () => {
  bed = await pairBed();
  ssh = await startSshd(bed.home, bed.laptop);
  session = bed.laptop.spawn("ssh", ["-tt", ...ssh.options, "-4", "home.i3", "sh"]);
});
afterAll(() => bed?.close());

let count = 0;
/** Types a command and waits for its output, which is not in what was typed. */
async function typed(limitMs: number): Promise<void> {
  count += 1;
  session.stdin.write(`echo answer-$((1000 + ${count}))\n`);
  await session.waitForLine(new RegExp(`answer-${1000 + count}`), limitMs);
}

describe("an interactive ssh session", () => {
  it("works", () => typed(20_000), 30_000);

  it("goes on after the laptop's proxy was killed and started again", async () => {
    await bed.laptopProxy.kill();
    await bed.laptopProxy.start();
    await typed(20_000);
  }, 60_000);

  it("goes on after the home machine's proxy was killed and started again", async () => {
    await bed.homeProxy.kill();
    await bed.homeProxy.start();
    await typed(20_000);
  }, 60_000);

  it("goes on after both were", async () => {
    await Promise.all([bed.laptopProxy.kill(), bed.homeProxy.kill()]);
    await Promise.all([bed.laptopProxy.start(), bed.homeProxy.start()]);
    await typed(20_000);
    expect(session.running).toBe(true);
    expect(ssh.sshd.lines.filter(({ text }) => text.includes("Accepted publickey"))).toHaveLength(1);
  }, 60_000);

  it("and what the peer knows of the laptop is the same address", async () => {
    const { stdout } = await bed.home.exec("ss", ["-Htn", "state", "established", "sport", "=", ":22"]);
    expect(stdout).toContain(bed.laptopProxy.address4);
  });
});
