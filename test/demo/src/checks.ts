/** The demo's checks: each says in words what it shows, runs a real program, and must hold. */
import { createHash } from "node:crypto";

import type { Host, RunResult } from "@i3/netns";

export interface Check {
  /** What a person learns from it. */
  readonly title: string;
  /** Rejects with the reason when it does not hold; the text is shown. */
  run(): Promise<string>;
}

export interface Tally {
  passed: number;
  failed: number;
}

/** Runs the checks in order and prints each with its time. */
export async function runChecks(checks: readonly Check[], print: (line: string) => void): Promise<Tally> {
  const tally: Tally = { passed: 0, failed: 0 };
  for (const [i, check] of checks.entries()) {
    const startedMs = performance.now();
    const timed = (): string => `${Math.round(performance.now() - startedMs)} ms`;
    try {
      const shown = await check.run();
      tally.passed += 1;
      print(`  ok   ${i + 1}. ${check.title} (${timed()})\n         ${shown}`);
    } catch (error) {
      tally.failed += 1;
      print(`  FAIL ${i + 1}. ${check.title} (${timed()})\n         ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return tally;
}

/** The result of a program that must have ended with status 0. */
export async function succeed(host: Host, program: string, args: readonly string[], timeoutMs = 30_000): Promise<RunResult> {
  const result = await host.exec(program, args, { timeoutMs });
  if (result.status !== 0) throw new Error(`${program} ${args.join(" ")} on ${host.name}: status ${result.status}: ${result.stderr.trim().slice(-300)}`);
  return result;
}

export function expectEqual(actual: string, expected: string, what: string): void {
  if (actual !== expected) throw new Error(`${what}: ${actual}, expected ${expected}`);
}

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
