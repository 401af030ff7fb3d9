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

function ask(request: Readonly<Record<string, unknown>>, transform: EspTransform): readonly (string | null)[] {
  const hexed = Object.fromEntries(Object.entries(transform).map(([name, value]: [string, string | Uint8Array]) => [name, typeof value === "string" ? value : hex(value)]));
  const input = JSON.stringify({ ...request, spi: SPI, transform: hexed });
  const { status, stdout, stderr, error } = spawnSync(PYTHON, ["-I", PROGRAM], { encoding: "utf8", input, timeout: LIMIT_MS, maxBuffer: MAX_OUTPUT_BYTES, env: { HOME: "/nonexistent", LC_ALL: "C.UTF-8" } });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`scapy-esp.py ended with ${status}: ${stderr}`);
  return JSON.parse(stdout) as readonly (string | null)[];
}

export interface ToSeal {
  readonly packet: Uint8Array;
  readonly sequence: bigint;
  /** Undefined: scapy draws one. */
  readonly iv?: Uint8Array;
}

/** ESP packets, SPI to ICV. `tunnel`: the outer addresses as text, or null for what follows the IP header. */
export const sealByScapy = (transform: EspTransform, tunnel: readonly [string, string] | null, packets: readonly ToSeal[]): readonly Uint8Array[] =>
  ask({ task: "seal", tunnel, packets: packets.map(({ packet, sequence, iv }) => ({ packet: hex(packet), sequence: String(sequence), iv: iv === undefined ? null : hex(iv) })) }, transform)
    .map((text) => Uint8Array.from(Buffer.from(text ?? "", "hex")));

export interface ToOpen {
  /** A whole IP packet, ESP directly in IP. */
  readonly packet: Uint8Array;
  readonly sequence: bigint;
}

/** What was inside, or null where the ICV is wrong. Without `tunnel` the outer header stands before it. */
export const openByScapy = (transform: EspTransform, tunnel: boolean, packets: readonly ToOpen[]): readonly (Uint8Array | null)[] =>
  ask({ task: "open", tunnel, packets: packets.map(({ packet, sequence }) => ({ packet: hex(packet), sequence: String(sequence) })) }, transform)
    .map((text) => (text === null ? null : Uint8Array.from(Buffer.from(text, "hex"))));
