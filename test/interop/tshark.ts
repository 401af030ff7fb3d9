/** What tshark (Debian 12: 4.0) reads in packets. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { pcapOf } from "./captures.js";

const BETWEEN_VALUES = "\x1e";
const LIMIT_MS = 60_000;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/** Whole IP packets. Nothing is resolved, and no preferences of whoever runs this count. Throws when tshark complains. */
function runTshark(packets: readonly Uint8Array[], args: readonly string[]): string {
  const directory = mkdtempSync(path.join(tmpdir(), "i3-tshark-"));
  try {
    const file = path.join(directory, "packets.pcap");
    writeFileSync(file, pcapOf(packets));
    const env = { PATH: process.env["PATH"], HOME: directory, LC_ALL: "C.UTF-8" };
    const { status, stdout, stderr, error } = spawnSync("tshark", ["-n", "-r", file, ...args], { encoding: "utf8", env, timeout: LIMIT_MS, maxBuffer: MAX_OUTPUT_BYTES });
    if (error !== undefined) throw error;
    const complaints = stderr.split("\n").filter((line) => line !== "" && !line.startsWith("Running as user"));
    if (status !== 0 || complaints.length > 0) throw new Error(`tshark ended with ${status}: ${complaints.join(" ")}`);
    return stdout;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** One for each packet. `options`: further arguments. */
export function dissect<F extends string>(packets: readonly Uint8Array[], fields: readonly F[], options: readonly string[] = []): readonly Readonly<Record<F, readonly string[]>>[] {
  const output = ["-T", "fields", "-E", "separator=/t", "-E", "occurrence=a", "-E", `aggregator=${BETWEEN_VALUES}`, ...fields.flatMap((field) => ["-e", field])];
  const lines = runTshark(packets, [...options, ...output]).split("\n").slice(0, -1);
  if (lines.length !== packets.length) throw new Error(`tshark wrote ${lines.length} lines about ${packets.length} packets`);
  return lines.map((line) => {
    const columns = line.split("\t");
    return Object.fromEntries(fields.map((field, i) => [field, (columns[i] ?? "") === "" ? [] : (columns[i] ?? "").split(BETWEEN_VALUES)])) as Record<F, string[]>;
  });
}

/**
 * Options without which tshark guesses by the first bytes what UDP carries: it takes one SPI in 200 and all its ESP for RTCP, and finds that malformed.
 */
export function withoutGuesses(): readonly string[] {
  const { stdout } = spawnSync("tshark", ["-G", "heuristic-decodes"], { encoding: "utf8", timeout: LIMIT_MS, maxBuffer: MAX_OUTPUT_BYTES });
  const names = stdout.split("\n").map((line) => line.split("\t")).filter(([table]) => table === "udp").map(([, name]) => name ?? "");
  if (!names.includes("rtcp")) throw new Error("tshark lists none of its guesses");
  return names.flatMap((name) => ["--disable-protocol", name]);
}

/** Type and length of each HIP parameter of each packet, which stand together only in what tshark shows to people. */
export const hipParameters = (packets: readonly Uint8Array[]): readonly (readonly (readonly [number, number])[])[] =>
  runTshark(packets, ["-T", "pdml"])
    .split("<packet>")
    .slice(1)
    .map((text) => [...text.matchAll(/name="hip\.type" showname="[^"]*\(type=(\d+), length=(\d+)\)"/g)].map(([, type, length]) => [Number(type), Number(length)] as const));
