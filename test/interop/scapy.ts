/** ESP by scapy, another implementation of RFC 4303: scapy-esp.py, run by Debian's python, which has it. */
import { spawnSync } from "node:child_process";
import path from "node:path";
import type { EspTransform } from "@i3/datapath";
import { SPI } from "../../packages/datapath/test/reference/associations.js";

/** Not the one on PATH, which may be of pyenv or of a virtual environment. */
const PYTHON = "/usr/bin/python3";
const PROGRAM = path.join(import.meta.dirname, "scapy-esp.py");
const LIMIT_MS = 60_000;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** A python with scapy takes half a second to start, and both engines ask the same. */
const answered = new Map<string, readonly (string | null)[]>();

function ask(task: "seal" | "open", transform: EspTransform, packets: readonly unknown[]): readonly (Uint8Array | null)[] {
  const hexed = Object.fromEntries(Object.entries(transform).map(([name, value]: [string, string | Uint8Array]) => [name, typeof value === "string" ? value : hex(value)]));
  const input = JSON.stringify({ task, spi: SPI, transform: hexed, packets });
  const answer = answered.get(input) ?? run(input);
  answered.set(input, answer);
  return answer.map((text) => (text === null ? null : Uint8Array.from(Buffer.from(text, "hex"))));
}

function run(input: string): readonly (string | null)[] {
  const env = { HOME: "/nonexistent", LC_ALL: "C.UTF-8" };
  const { status, stdout, stderr, error } = spawnSync(PYTHON, ["-I", PROGRAM], { encoding: "utf8", input, timeout: LIMIT_MS, maxBuffer: MAX_OUTPUT_BYTES, env });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`scapy-esp.py ended with ${status}: ${stderr}`);
  return JSON.parse(stdout) as readonly (string | null)[];
}

export interface ToSeal {
  readonly packet: Uint8Array;
  readonly sequence: bigint;
  /** Outer addresses as text; null seals what follows the IP header. */
  readonly tunnel: readonly [string, string] | null;
  /** Undefined: scapy draws one. */
  readonly iv?: Uint8Array;
}

/** ESP packets, SPI to ICV. */
export const sealByScapy = (transform: EspTransform, packets: readonly ToSeal[]): readonly Uint8Array[] =>
  ask("seal", transform, packets.map(({ packet, sequence, tunnel, iv }) => ({ packet: hex(packet), sequence: String(sequence), tunnel, iv: iv === undefined ? null : hex(iv) })))
    .map((esp) => esp ?? new Uint8Array(0));

export interface ToOpen {
  /** A whole IP packet, ESP directly in IP. */
  readonly packet: Uint8Array;
  readonly sequence: bigint;
  /** Whether the packet inside has a header of its own; otherwise the outer one stands before it. */
  readonly tunnel: boolean;
}

/** The packets inside, null where the ICV is wrong. */
export const openByScapy = (transform: EspTransform, packets: readonly ToOpen[]): readonly (Uint8Array | null)[] =>
  ask("open", transform, packets.map(({ packet, sequence, tunnel }) => ({ packet: hex(packet), sequence: String(sequence), tunnel })));
