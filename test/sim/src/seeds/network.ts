/** What happens to a datagram on its way: it takes time, and is lost, doubled, held up or cut off as the weather is. */
import { Draw } from "./draw.js";
import type { Endpoint } from "./endpoints.js";
import { Flights, type Flight } from "./flights.js";

/** Nearest and farthest pair, one way, ms. */
const NEAR_MS = 2;
const FAR_MS = 40;
const JITTER_MS = 4;

export interface Weather {
  /** Probabilities, 0–1. */
  readonly loss: number;
  readonly twice: number;
  readonly held: number;
  /** At most so long, ms; a second copy too. */
  readonly heldMs: number;
  /** All ways are so many times as long. */
  readonly slowness: number;
}

export const CALM: Weather = { loss: 0, twice: 0, held: 0, heldMs: 1, slowness: 1 };

/** From these nothing reaches those, until then. */
export interface Cut {
  readonly from: ReadonlySet<Endpoint>;
  readonly to: ReadonlySet<Endpoint>;
  readonly untilMs: number;
}

export class Network {
  weather: Weather = CALM;
  weatherUntilMs = Infinity;
  readonly flights = new Flights();
  readonly #draw: Draw;
  /** Of a pair, by the lower address and the higher. */
  readonly #delays = new Map<Endpoint, Map<Endpoint, number>>();
  #cuts: Cut[] = [];
  #order = 0;

  constructor(seed: string) {
    this.#draw = new Draw(`${seed}/network`);
  }

  cut(cut: Cut): void {
    this.#cuts.push(cut);
  }

  /** No weather, no cuts. */
  calm(): void {
    this.weather = CALM;
    this.weatherUntilMs = Infinity;
    this.#cuts = [];
  }

  isCut(nowMs: number, from: Endpoint, to: Endpoint): boolean {
    if (this.#cuts.length === 0) return false;
    this.#cuts = this.#cuts.filter(({ untilMs }) => untilMs > nowMs);
    return this.#cuts.some((cut) => cut.from.has(from) && cut.to.has(to));
  }

  /** Returns whether it was doubled, which it is not unless `mayDouble`. */
  send(nowMs: number, from: Endpoint, to: Endpoint, bytes: Uint8Array, mayDouble: boolean): boolean {
    if (nowMs >= this.weatherUntilMs) {
      this.weather = CALM;
      this.weatherUntilMs = Infinity;
    }
    const { loss, twice, held, heldMs, slowness } = this.weather;
    if (this.isCut(nowMs, from, to)) return false;
    if (loss > 0 && this.#draw.chance(loss)) return false;
    const delayMs = this.#delayMs(from, to) * slowness;
    this.#fly(nowMs + delayMs + this.#draw.below(JITTER_MS) + (held > 0 && this.#draw.chance(held) ? this.#draw.below(heldMs) : 0), from, to, bytes);
    const isDoubled = twice > 0 && this.#draw.chance(twice) && mayDouble;
    if (isDoubled) this.#fly(nowMs + delayMs + this.#draw.below(heldMs), from, to, bytes);
    return isDoubled;
  }

  /** The first datagram that is there by `nowMs`. */
  arrived(nowMs: number): Flight | undefined {
    return this.flights.firstMs <= nowMs ? this.flights.pop() : undefined;
  }

  #fly(atMs: number, from: Endpoint, to: Endpoint, bytes: Uint8Array): void {
    this.#order += 1;
    this.flights.push({ atMs, order: this.#order, from, to, bytes });
  }

  /** Of a pair, the same both ways. */
  #delayMs(from: Endpoint, to: Endpoint): number {
    const low = Math.min(from, to);
    const high = Math.max(from, to);
    let delays = this.#delays.get(low);
    if (delays === undefined) this.#delays.set(low, (delays = new Map<number, number>()));
    let delayMs = delays.get(high);
    if (delayMs === undefined) delays.set(high, (delayMs = this.#draw.between(NEAR_MS, FAR_MS)));
    return delayMs;
  }
}
