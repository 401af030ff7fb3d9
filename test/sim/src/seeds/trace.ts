/** What happened in a run: a digest of all of it, the last lines in words, and what a checker that fires throws. */
import { createHash } from "node:crypto";

import { endpointText, type Endpoint } from "./endpoints.js";

const LINES = 60;
const CHUNK_BYTES = 65_536;
/** Time 8, from 8, to 8, length 4. */
const RECORD_BYTES = 28;

/** A checker has fired. */
export class CheckFailed extends Error {
  constructor(readonly checker: string, message: string) {
    super(message);
    this.name = "CheckFailed";
  }
}

/** What is counted, so that it shows when something was never looked at (docs/simulation.md). */
export const CHECKED = ["invariant", "nine principals", "principals of fewer", "too few settled", "list", "place", "packet", "straight packet"] as const;

export type Checked = (typeof CHECKED)[number];

type Line = string | { readonly from: Endpoint; readonly to: Endpoint; readonly bytes: Uint8Array };

export class Trace {
  readonly #hash = createHash("sha256");
  readonly #chunk = Buffer.alloc(CHUNK_BYTES);
  #used = 0;
  readonly #lines: { readonly atMs: number; readonly line: Line }[] = [];
  #next = 0;

  /** A datagram that was sent. */
  sent(nowMs: number, from: Endpoint, to: Endpoint, bytes: Uint8Array): void {
    this.#keep(nowMs, { from, to, bytes });
    const need = RECORD_BYTES + bytes.length;
    if (this.#used + need > CHUNK_BYTES) this.#flush();
    const chunk = this.#chunk;
    chunk.writeDoubleBE(nowMs, this.#used);
    chunk.writeDoubleBE(from, this.#used + 8);
    chunk.writeDoubleBE(to, this.#used + 16);
    chunk.writeUInt32BE(bytes.length, this.#used + 24);
    chunk.set(bytes, this.#used + RECORD_BYTES);
    this.#used += need;
  }

  /** Something else that happened. */
  note(nowMs: number, text: string): void {
    this.#keep(nowMs, text);
    this.#flush();
    this.#hash.update(`${nowMs} ${text}\n`);
  }

  /** Ends the trace. */
  digest(): string {
    this.#flush();
    return this.#hash.digest("hex");
  }

  /** The last lines, oldest first. */
  lines(): readonly string[] {
    return [...this.#lines.slice(this.#next), ...this.#lines.slice(0, this.#next)].map(({ atMs, line }) => `${(atMs / 1_000).toFixed(3)} ${lineText(line)}`);
  }

  #keep(atMs: number, line: Line): void {
    this.#lines[this.#next] = { atMs, line };
    this.#next = (this.#next + 1) % LINES;
  }

  #flush(): void {
    this.#hash.update(this.#chunk.subarray(0, this.#used));
    this.#used = 0;
  }
}

const CONTROL: Readonly<Record<number, string>> = {
  1: "PING", 2: "PONG", 3: "LOCATE", 4: "LOCATED", 5: "CHALLENGE_REQUEST", 6: "CHALLENGE", 7: "TRIGGER", 8: "TRIGGER_OK", 9: "REFRESH", 10: "REFUSED", 11: "NOT_PRESENT", 12: "CACHE",
  32: "FIND", 33: "FOUND", 34: "STATE", 35: "STATE_IS", 36: "NOTIFY", 37: "ALIVE", 38: "ALIVE_YES", 39: "LEAVING", 40: "HELLO", 41: "HELLO_YES", 42: "HELLO_AGAIN",
};

function lineText(line: Line): string {
  if (typeof line === "string") return line;
  const { from, to, bytes } = line;
  const [first = 0, type = 0] = bytes;
  const what = first === 0x19 ? (CONTROL[type] ?? `control ${type}`) : first === 0x11 ? `data ${Buffer.from(bytes.subarray(16, 24)).toString("hex")}` : `byte ${first}`;
  return `${endpointText(from)} > ${endpointText(to)} ${what} ${bytes.length}`;
}
