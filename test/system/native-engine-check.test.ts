/**
 * The packet engine's C++ library alone, under clang's sanitizers: engine-check.cc (addresses, undefined behaviour) and engine-threads.cc (races);
 * its ports with real sockets and TUN devices of this sandbox, ports-check.cc, for both; and the addon's P-256, p256-check.cc, and what it reads of
 * netfilter, netfilter-check.cc.
 */
import { randomInt } from "node:crypto";
import { beforeAll, expect, it } from "vitest";
import { buildPrograms, runSanitized } from "../../packages/datapath/test/native/fuzz/native-programs.js";

const SEED = randomInt(2 ** 32);
let programs: readonly string[] = [];

beforeAll(async () => {
  programs = await buildPrograms(["engine-check", "engine-threads", "ports-check", "ports-threads", "p256-check", "netfilter-check"]);
}, 300_000);

async function passes(program: string, ...args: readonly string[]): Promise<void> {
  const { status, output } = await runSanitized(program, args, 60_000);
  expect(status, `seed ${SEED}\n${output.slice(-8_000)}`).toBe(0);
  expect(output).toContain("all passed");
}

it("models, bounds, sequence numbers and wiping of keys, under the address sanitizer", () => passes(programs[0] ?? "", String(SEED)));
it("lanes and control plane at the same time, under the thread sanitizer", () => passes(programs[1] ?? "", "3", String(SEED)));
it("sockets, TUN devices, threads, and offloads that the kernel refuses, under the address sanitizer", () => passes(programs[2] ?? "", String(SEED)));
it("the same under the thread sanitizer", () => passes(programs[3] ?? "", String(SEED)));
it("P-256 of the addon, with keys, points and signatures of all kinds, under the address sanitizer", () => passes(programs[4] ?? "", String(SEED)));
it("what the addon reads of netfilter, as the kernel makes it, cut, changed and noise, under the address sanitizer", () => passes(programs[5] ?? "", String(SEED)));
