/**
 * Asks the router before this host to open our UDP port, by NAT-PMP, then by UPnP-IGD; renewed before it ends. Each question has a thread of its own (port-mapping-worker.ts)
 * that ends with it: whatever is sent to it, this process goes on. Anybody on the link can answer in the router's name, so what comes back is looked at here, and then believed
 * as far as a path check goes (docs/wire.md §9.7): a wrong address only costs checks.
 */
import { Worker } from "node:worker_threads";

import { formatIpText, locatorText, makeLocator, parseIpText, sameBytes, type Locator, type Log } from "@i3/common";
import { canBeOneHosts } from "@i3/hip";

import type { Opened, RouterQuestion } from "./port-mapping-worker.js";

/** Where a router is to be asked. */
export interface MappedPlace {
  /** Names it, as the one that the answer is for. */
  readonly key: string;
  /** Our IPv4 address there, and its default route's next hop. */
  readonly address: Uint8Array;
  readonly gateway: Uint8Array;
}

export interface PortMappingOptions {
  readonly port: number;
  readonly onMapped: (key: string, locator: Locator | null) => void;
  readonly log: Log;
  /** Addresses at which no router can have opened anything, beside the place's own. @default none */
  readonly isOurs?: (address: Uint8Array) => boolean;
  /** @default 300,000 */
  readonly renewMs?: number;
  /** What runs in the thread. @default port-mapping-worker.js */
  readonly program?: URL;
}

// Ours:
const ASK_MS = 10_000;
/** With the start of the thread. */
const STOP_MS = 1_500;
/** Long before it ends: a router that has restarted has forgotten it, and tells nobody. */
const RENEW_MS = 300_000;
/** However short or long a life a router says, or who forges its answers: it is asked anew after half of it at the earliest, and not believed for longer than was asked for. */
const MIN_LIFE_MS = 300_000;
const MAX_LIFE_MS = 7_200_000;
/** Where no router has ever opened anything. */
const RETRY_MS = 600_000;
/** Between two lines of the log about what has failed. */
const QUIET_MS = 3_600_000;
const RESOURCES = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 8, stackSizeMb: 4 } as const;
const MAX_TEXT = 1_024;

interface Asking {
  readonly place: MappedPlace;
  readonly end: AbortController;
  opened: Opened | null;
  /** Asks again. */
  timer: NodeJS.Timeout | null;
  /** Of what `onMapped` has been told. */
  lifeTimer: NodeJS.Timeout | null;
  isMapped: boolean;
  hasBeenMapped: boolean;
  /** Of the last that was opened. */
  lifeMs: number;
}

interface Checked {
  readonly opened: Opened;
  readonly locator: Locator;
  readonly lifeMs: number;
}

export class PortMapping {
  readonly #options: PortMappingOptions;
  readonly #askings = new Map<string, Asking>();
  /** One question at a time: NAT-PMP has one port for all of this machine's. */
  #last: Promise<void> = Promise.resolve();
  /** Being closed: each for STOP_MS at most. */
  readonly #shutting = new Set<Promise<unknown>>();
  #quietUntilMs = 0;
  #asked = 0;
  #failed = 0;
  #refused = 0;

  constructor(options: PortMappingOptions) {
    this.#options = options;
  }

  /** Questions asked; that ended without an answer of their thread; whose answer was of no use. */
  get counters(): { readonly asked: number; readonly failed: number; readonly refused: number } {
    return { asked: this.#asked, failed: this.#failed, refused: this.#refused };
  }

  /** These places and no others; none: nobody needs it now. */
  setPlaces(places: readonly MappedPlace[]): void {
    const keys = new Set(places.map(({ key }) => key));
    for (const [key, asking] of this.#askings) if (!keys.has(key)) void this.#drop(asking);
    for (const place of places) {
      if (this.#askings.has(place.key)) continue;
      const asking: Asking = { place, end: new AbortController(), opened: null, timer: null, lifeTimer: null, isMapped: false, hasBeenMapped: false, lifeMs: Infinity };
      this.#askings.set(place.key, asking);
      this.#askInTurn(asking);
    }
  }

  /** Closes what was opened, as far as the routers answer soon. */
  async close(): Promise<void> {
    await Promise.all([...this.#askings.values()].map((asking) => this.#drop(asking)));
    await Promise.all(this.#shutting);
  }

  #askInTurn(asking: Asking): void {
    this.#last = this.#last.then(() => this.#ask(asking));
  }

  async #ask(asking: Asking): Promise<void> {
    const { end } = asking;
    if (end.signal.aborted) return;
    const { renewMs = RENEW_MS } = this.#options;
    const mapped = await this.#open(asking);
    if (end.signal.aborted) return;
    if (mapped !== null || !asking.isMapped) this.#mapped(asking, mapped);
    const againMs = asking.hasBeenMapped ? Math.min(renewMs, asking.lifeMs / 2) : RETRY_MS;
    asking.timer = setTimeout(() => this.#askInTurn(asking), againMs);
    asking.timer.unref();
  }

  /** Tells it until its life ends. */
  #mapped(asking: Asking, mapped: Checked | null): void {
    const { onMapped, log } = this.#options;
    const { key, gateway } = asking.place;
    if (asking.lifeTimer !== null) clearTimeout(asking.lifeTimer);
    asking.lifeTimer = null;
    if (mapped !== null && !asking.isMapped) log("info", "port-mapped", { gateway: formatIpText(gateway), at: locatorText(mapped.locator) });
    if (mapped === null && asking.isMapped) log("info", "port-mapping-ended", { gateway: formatIpText(gateway) });
    asking.isMapped = mapped !== null;
    if (mapped !== null) {
      asking.hasBeenMapped = true;
      asking.lifeMs = mapped.lifeMs;
      asking.lifeTimer = setTimeout(() => this.#mapped(asking, null), mapped.lifeMs);
      asking.lifeTimer.unref();
    }
    onMapped(key, mapped?.locator ?? null);
  }

  /**
   * Null: no router does, its answer is of no use, or its thread has none. What was opened before stays so then, for all we know: a lost datagram or a forged one tells as much.
   * It is still told, and to be closed.
   */
  async #open(asking: Asking): Promise<Checked | null> {
    const { place, end } = asking;
    const { port, program } = this.#options;
    this.#asked += 1;
    let said: unknown;
    try {
      said = await inThread(questionOf("open", asking, port), ASK_MS, end.signal, program);
    } catch (error) {
      if (end.signal.aborted) return null;
      this.#failed += 1;
      this.#tell(place, error instanceof Error ? error.message : String(error));
      return null;
    }
    if (said === null) return null;
    const answer = checked(said, place);
    if (answer === null) {
      this.#refused += 1;
      this.#tell(place, "malformed answer");
      return null;
    }
    if (this.#isUseful(place, answer.locator.address)) {
      asking.opened = answer.opened;
      return answer;
    }
    this.#refused += 1;
    this.#tell(place, `at ${locatorText(answer.locator)}, where peers cannot reach it`);
    // Routers keep one mapping of our port: to close this one would close the one that is told.
    if (asking.isMapped) return null;
    asking.opened = answer.opened;
    await this.#shut(asking);
    return null;
  }

  #isUseful(place: MappedPlace, address: Uint8Array): boolean {
    return canBeOneHosts(address) && !isPrivate(address) && !sameBytes(address, place.address) && this.#options.isOurs?.(address) !== true;
  }

  /** Seldom: who is on the link can make it happen as often as it likes. */
  #tell(place: MappedPlace, why: string): void {
    const nowMs = performance.now();
    if (nowMs < this.#quietUntilMs) return;
    this.#quietUntilMs = nowMs + QUIET_MS;
    this.#options.log("info", "port-mapping-failed", { gateway: formatIpText(place.gateway), why: why.slice(0, MAX_TEXT), failed: this.#failed, refused: this.#refused });
  }

  async #drop(asking: Asking): Promise<void> {
    this.#askings.delete(asking.place.key);
    asking.end.abort();
    for (const timer of [asking.timer, asking.lifeTimer]) if (timer !== null) clearTimeout(timer);
    await this.#shut(asking);
  }

  async #shut(asking: Asking): Promise<void> {
    if (asking.opened === null) return;
    const question = questionOf("close", asking, this.#options.port);
    asking.opened = null;
    const shut = inThread(question, STOP_MS, null, this.#options.program).catch(() => undefined);
    this.#shutting.add(shut);
    await shut;
    this.#shutting.delete(shut);
  }
}

const questionOf = (kind: RouterQuestion["kind"], { place, opened }: Asking, port: number): RouterQuestion => ({ kind, gateway: formatIpText(place.gateway), address: formatIpText(place.address), port, opened });

/** Its one answer. Rejects when it throws, ends without one, runs out of memory or time, or `signal` aborts; the thread is over then. */
async function inThread(question: RouterQuestion, ms: number, signal: AbortSignal | null, program = new URL("./port-mapping-worker.js", import.meta.url)): Promise<unknown> {
  const worker = new Worker(program, { workerData: question, env: {}, argv: [], execArgv: [], stdout: true, stderr: true, resourceLimits: RESOURCES });
  let timer: NodeJS.Timeout | undefined;
  let stop = (): void => undefined;
  try {
    return await new Promise<unknown>((resolve, reject) => {
      stop = () => reject(new Error("ended"));
      worker.on("message", resolve);
      worker.on("error", reject);
      worker.on("exit", () => reject(new Error("no answer")));
      timer = setTimeout(() => reject(new Error("too late")), ms);
      signal?.addEventListener("abort", stop);
    });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
    await worker.terminate();
  }
}

/** Null: not what a thread of ours says. */
function checked(said: unknown, { gateway }: MappedPlace): Checked | null {
  if (!isRecord(said) || !isRecord(said["opened"])) return null;
  const { externalHost, lifeS, opened: { protocol, location, externalPort } } = said as { readonly opened: Record<string, unknown> } & Record<string, unknown>;
  if (typeof externalHost !== "string" || typeof location !== "string" || location.length > MAX_TEXT) return null;
  if (!isWhole(externalPort, 0xffff) || !isWhole(lifeS, 0xffff_ffff)) return null;
  const address = parseIpText(externalHost);
  if (address?.length !== 4) return null;
  const isUpnp = protocol === "UPnP-IGD" && URL.canParse(location) && new URL(location).hostname === formatIpText(gateway);
  if (!isUpnp && !(protocol === "NAT-PMP" && location === "")) return null;
  return { opened: { protocol, location, externalPort }, locator: makeLocator(address, externalPort), lifeMs: Math.min(Math.max(MIN_LIFE_MS, lifeS * 1_000), MAX_LIFE_MS) };
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
const isWhole = (value: unknown, max: number): value is number => typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= max;

/** IPv4: of a network behind another NAT (RFC 1918, RFC 6598). */
function isPrivate([first = 0, second = 0]: Uint8Array): boolean {
  return first === 10 || (first === 172 && (second & 0xf0) === 16) || (first === 192 && second === 168) || (first === 100 && (second & 0xc0) === 64);
}
