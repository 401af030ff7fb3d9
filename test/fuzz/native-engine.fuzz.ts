/**
 * libFuzzer on the packet engine's C++ library: packets into full tables (fuzz-packets.cc) and programs of the control plane
 * (fuzz-programs.cc), at the same time. They begin with the inputs in corpus/, among them those that once failed.
 */
import { randomInt } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { beforeAll, expect, it } from "vitest";
import { buildPrograms, runSanitized, type ProgramName } from "../../packages/datapath/test/native/fuzz/native-programs.js";

// Starting takes a second, so that less would say little.
const SECONDS = Math.max(10, Math.round(Number(process.env["I3_FUZZ_SECONDS"] ?? "10")));
const SEED = Number(process.env["I3_FUZZ_SEED"] ?? randomInt(2 ** 32));
const CORPUS = path.resolve(import.meta.dirname, "../../packages/datapath/test/native/fuzz/corpus");
const NAMES = ["fuzz-packets", "fuzz-programs"] as const satisfies readonly ProgramName[];
let programs: readonly string[] = [];

beforeAll(async () => {
  programs = await buildPrograms(NAMES);
}, 300_000);

async function fuzz(name: ProgramName, program: string): Promise<void> {
  const directory = mkdtempSync(path.join(tmpdir(), "i3-fuzz-"));
  try {
    const inputs = path.join(directory, "inputs");
    mkdirSync(inputs);
    for (const file of readdirSync(path.join(CORPUS, name))) {
      writeFileSync(path.join(inputs, file), Buffer.from(readFileSync(path.join(CORPUS, name, file), "utf8").replace(/\s/g, ""), "hex"));
    }
    // 0 would mean any.
    const options = [`-seed=${SEED === 0 ? 1 : SEED}`, `-max_total_time=${SECONDS}`, "-max_len=2048", "-len_control=20", "-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1"];
    const { status, output } = await runSanitized(program, [...options, `-artifact_prefix=${directory}/failed-`, inputs], (SECONDS + 60) * 1000);
    const failed = readdirSync(directory).filter((file) => file.startsWith("failed-"));
    const hex = failed.map((file) => `${file}: ${readFileSync(path.join(directory, file)).toString("hex")}`).join("\n");
    const again = `seed ${SEED}; again: put the hex into corpus/${name}/NAME.hex\n${hex}\n${output.slice(-8_000)}`;
    expect(status, again).toBe(0);
    console.log(`${name}: seed ${SEED}, ${/number_of_executed_units: (\d+)/.exec(output)?.[1]} inputs, ${/cov: (\d+) /.exec(output.slice(output.lastIndexOf("cov: ")))?.[1]} edges`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

it(`native engine, seed ${SEED}`, { timeout: (SECONDS + 120) * 1000 }, async () => {
  const outcomes = await Promise.allSettled(NAMES.map((name, i) => fuzz(name, programs[i] ?? "")));
  for (const outcome of outcomes) {
    if (outcome.status === "rejected") throw outcome.reason;
  }
});
