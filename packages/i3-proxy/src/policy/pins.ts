/**
 * Trust on first use: which host key a name outside of the address book answered with first (name → HIT). Bounded, and never
 * forgotten by itself: a pin that made room for another would let anybody be the first again. Without I/O; io/pin-file.ts keeps it.
 *
 *     {"pins": 1}                                                              first line
 *     {"name": "box.try.i3", "hit": "2001:22:…", "since": "2026-01-31T12:00:00.000Z"}    one line a name, which people may delete
 */
import { bytesKey, formatIpText, HIT_BYTES, I3Error, normalName, parseIpText } from "@i3/common";

/** More names than a person trusts unseen; half a megabyte on disk. */
export const MAX_PINS = 4_096;
const VERSION = 1;
/** Last moment of a year with four digits. */
const MAX_SINCE_MS = Date.UTC(9999, 11, 31);

export interface Pin {
  /** As {@link normalName} has it. */
  readonly name: string;
  /** 16 bytes. */
  readonly hit: Uint8Array;
  /** Wall clock, ms. */
  readonly sinceMs: number;
}

export class Pins {
  readonly #limit: number;
  readonly #pins = new Map<string, Pin>();
  readonly #byHit = new Map<string, Pin[]>();

  /** @param limit @default MAX_PINS */
  constructor(limit = MAX_PINS) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#pins.size;
  }

  get isFull(): boolean {
    return this.#pins.size >= this.#limit;
  }

  /** Ignores case and one trailing dot. */
  get(name: string): Pin | undefined {
    return this.#pins.get(normalName(name) ?? "");
  }

  all(): IterableIterator<Pin> {
    return this.#pins.values();
  }

  /** Names that were pinned to a HIT, the first one first, for logs and reverse DNS. */
  namesOf(hit: Uint8Array): readonly string[] {
    return (this.#byHit.get(bytesKey(hit)) ?? []).map(({ name }) => name);
  }

  /** False when nothing changed: the name has a pin already, or there is no room. Throws RangeError for what is no name or HIT. */
  add(name: string, hit: Uint8Array, wallMs: number): boolean {
    const normal = normalName(name);
    if (normal === undefined || hit.length !== HIT_BYTES) throw new RangeError(`a pin of ${hit.length} bytes for ${JSON.stringify(name)}`);
    if (this.#pins.has(normal) || this.isFull) return false;
    const pin = { name: normal, hit: hit.slice(), sinceMs: Math.min(MAX_SINCE_MS, Math.max(0, Math.trunc(wallMs))) };
    this.#pins.set(normal, pin);
    this.#byHit.set(bytesKey(hit), [...(this.#byHit.get(bytesKey(hit)) ?? []), pin]);
    return true;
  }
}

/** The text of a pin file. */
export function pinsToText(pins: Pins): string {
  const lines = Array.from(pins.all(), ({ name, hit, sinceMs }) => ({ name, hit: formatIpText(hit), since: new Date(sinceMs).toISOString() }));
  return [{ pins: VERSION }, ...lines].map((line) => `${JSON.stringify(line)}\n`).join("");
}

/**
 * The inverse. Throws I3Error ERR_I3_STATE with the line that is wrong, for half a file must not pass for trust in nobody.
 * @param file its name, for errors
 */
export function pinsFromText(text: string, file: string, limit = MAX_PINS): Pins {
  const [head = "", ...lines] = text.split("\n");
  const damaged = (line: number, why: string): never => {
    throw new I3Error("ERR_I3_STATE", `${file}:${line}: ${why}`, {
      remedy: "Mend the line, restore the file from a backup, or delete it: then the next key that answers to a name is trusted anew.",
    });
  };
  const version = record(head)?.["pins"];
  if (version !== VERSION) damaged(1, version === undefined ? "not a list of pinned host keys" : "pinned host keys of another version");
  if (lines.pop() !== "") damaged(lines.length + 2, "the last line is cut off");
  const pins = new Pins(limit);
  for (const [i, line] of lines.entries()) {
    if (line.trim() === "") continue; // people edit the file
    const pin = pinOf(line) ?? damaged(i + 2, "not a pinned host key");
    if (pins.get(pin.name) !== undefined) damaged(i + 2, `${pin.name} is pinned twice`);
    if (!pins.add(pin.name, pin.hit, pin.sinceMs)) damaged(i + 2, `more than ${limit} pinned host keys`);
  }
  return pins;
}

function pinOf(line: string): Pin | undefined {
  const { name, hit, since } = record(line) ?? {};
  if (typeof name !== "string" || typeof hit !== "string" || typeof since !== "string") return undefined;
  const bytes = parseIpText(hit);
  const sinceMs = Date.parse(since);
  const normal = normalName(name);
  if (normal === undefined || bytes?.length !== HIT_BYTES || !(sinceMs >= 0)) return undefined;
  return { name: normal, hit: bytes, sinceMs };
}

function record(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const json: unknown = JSON.parse(line);
    return typeof json === "object" && json !== null ? (json as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
