/**
 * Where servers have seen one place of this host, and what of it is believed and told to peers (docs/wire.md §9.7): a server may name a victim's
 * address, at which all peers would knock. Without I/O.
 */
import { bytesKey, dropOldest, locatorKey, sourceKey, type Locator } from "@i3/common";

// Ours:
/** As many are told; behind some NATs each server sees another port. */
const MAX_TOLD = 2;
/** Answers that are kept: of two servers, and of two more when these say different addresses. */
const MAX_ANSWERS = 4;
/** For so long an answer holds against another one. */
const LIFE_MS = 60_000;

interface Answer {
  /** Its IPv4 address, or IPv6 /64, alone: a server has as many ports and addresses there as it likes. */
  readonly server: string;
  readonly locator: Locator;
  readonly address: string;
  readonly atMs: number;
  /** Where an interface is, which is told anyway. */
  readonly isOwn: boolean;
}

export class Observed {
  /** By the server's locator; the last to be heard of last. */
  readonly #answers = new Map<string, Answer>();
  /** The address that two servers have said last, and when the second of them did. */
  #agreed: string | null = null;
  #agreedMs = -Infinity;

  /** @param own an interface has that address, with the port that we have there or another */
  add(nowMs: number, server: Locator, locator: Locator, own: "address" | "address and port" | null): void {
    const name = locatorKey(server);
    this.#answers.delete(name);
    // A server of our own network is before the NAT that others see.
    if (own !== null && isPrivate(locator.address)) return;
    // A NAT may keep the address and change the port.
    const isOwn = own === "address and port";
    const answer: Answer = { server: sourceKey(server.address), locator, address: bytesKey(locator.address), atMs: nowMs, isOwn };
    this.#answers.set(name, answer);
    const secondMs = Math.max(...this.#others(answer).map(({ address, atMs }) => (address === answer.address ? atMs : -Infinity)));
    if (secondMs > nowMs - LIFE_MS) [this.#agreed, this.#agreedMs] = [answer.address, secondMs];
    for (const [old, each] of this.#answers) if (each.atMs <= nowMs - LIFE_MS && each.address !== answer.address) this.#answers.delete(old);
    dropOldest(this.#answers, MAX_ANSWERS);
    if (this.#agreedMs <= nowMs - LIFE_MS || ![...this.#answers.values()].some(({ address }) => address === this.#agreed)) this.#agreed = null;
  }

  /** What peers are told. */
  get told(): readonly Locator[] {
    return [...this.#answers.values()].filter((answer) => !answer.isOwn && this.#isBelieved(answer)).map(({ locator }) => locator).slice(-MAX_TOLD);
  }

  /** Whether two servers have said another address within the last minute, as of the last answer, and two have not said this one too. */
  contradicts({ address }: Locator): boolean {
    const key = bytesKey(address);
    return this.#agreed !== null && ![...this.#answers.values()].some((answer) => answer.address === key && this.#isBelieved(answer));
  }

  /** Whether some server says what no other confirms: more are to be asked. */
  get isDisputed(): boolean {
    return [...this.#answers.values()].some((answer) => !this.#isBelieved(answer));
  }

  /** Of one server alone; or of two; or of two within the last minute, and still of one of them: who lies alone can take nothing away. */
  #isBelieved(answer: Answer): boolean {
    const others = this.#others(answer);
    return others.length === 0 || answer.address === this.#agreed || others.some(({ address }) => address === answer.address);
  }

  #others({ server }: Answer): readonly Answer[] {
    return [...this.#answers.values()].filter((other) => other.server !== server);
  }
}

/** Of a network that is not everybody's (RFC 1918, 6598, 4193). */
function isPrivate(address: Uint8Array): boolean {
  const [first = 0, second = 0] = address;
  if (address.length === 16) return (first & 0xfe) === 0xfc;
  return first === 10 || (first === 172 && (second & 0xf0) === 16) || (first === 192 && second === 168) || (first === 100 && (second & 0xc0) === 64);
}
