/** Lengths of prefixes that there are policy rules for (network-routes.ts), in the state directory: a run that follows a crash removes them. A line each, `4 24`: family and bits. */
import { rmSync } from "node:fs";
import { join } from "node:path";

import { replaceDurably } from "@i3/i3-client";

import { readStateFile } from "./state-file.js";

const LINE = /^(?:4 (?:[0-9]|[12][0-9]|3[0-2])|6 (?:[0-9]{1,2}|1[01][0-9]|12[0-8]))$/;

const fileOf = (stateDirectory: string): string => join(stateDirectory, "network-rules");

/** What is no such line is passed over. Throws I3Error. */
export const readLengths = (stateDirectory: string): readonly string[] =>
  (readStateFile(fileOf(stateDirectory), "the lengths of prefixes with rules") ?? "").split("\n").filter((line) => LINE.test(line));

/** Throws what the system says. */
export function keepLengths(stateDirectory: string, lengths: readonly string[]): void {
  if (lengths.length === 0) rmSync(fileOf(stateDirectory), { force: true });
  else replaceDurably(fileOf(stateDirectory), `${lengths.join("\n")}\n`);
}

/** Every one that can be. */
export const allLengths = (): readonly string[] => [...Array.from({ length: 33 }, (_, bits) => `4 ${bits}`), ...Array.from({ length: 129 }, (_, bits) => `6 ${bits}`)];
