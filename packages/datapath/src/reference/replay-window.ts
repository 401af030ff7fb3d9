/**
 * Which sequence numbers of an association came already (RFC 4303 §3.4.3), and the high half of a number whose low half is in
 * the packet (appendix A2.2): the window reaches {@link REPLAY_WINDOW} numbers down from the highest one that was proven.
 */

/** Ours: RFC 4303 §3.4.3 wants 64 at least; a sender on 10 Gbit/s is 8 ms ahead of its slowest packet. */
export const REPLAY_WINDOW = 8_192;
const WORD_BITS = 32;
const LOW_RANGE = 0x1_0000_0000;
const MAX_HIGH = 0xffff_ffffn;

export class ReplayWindow {
  #highest = 0n;
  readonly #seen = new Uint32Array(REPLAY_WINDOW / WORD_BITS);

  /** The whole number, or null when it is too old, came before, or cannot be (RFC 4303 appendix A2.2). Changes nothing. */
  infer(low: number): bigint | null {
    const high = this.#inferHigh(low);
    if (high < 0n || high > MAX_HIGH) return null;
    const sequence = (high << 32n) | BigInt(low);
    // Numbers begin with 1. What is not above the highest is within the window, by the choice of the high half.
    return sequence === 0n || (sequence <= this.#highest && this.#isSeen(sequence)) ? null : sequence;
  }

  #inferHigh(low: number): bigint {
    const high = this.#highest >> 32n;
    const bottom = Number(this.#highest & MAX_HIGH) - REPLAY_WINDOW + 1;
    if (bottom >= 0) return low >= bottom ? high : high + 1n;
    return low >= bottom + LOW_RANGE ? high - 1n : high;
  }

  /** Marks a number from {@link infer} whose packet was proven genuine. Whether it is the highest so far. */
  accept(sequence: bigint): boolean {
    const isHighest = sequence > this.#highest;
    if (isHighest) this.#advance(sequence);
    const { word, bit } = place(sequence);
    this.#seen[word] = (this.#seen[word] as number) | bit;
    return isHighest;
  }

  #advance(sequence: bigint): void {
    if (sequence - this.#highest >= BigInt(REPLAY_WINDOW)) this.#seen.fill(0);
    else for (let passed = this.#highest + 1n; passed < sequence; passed++) this.#forget(passed);
    this.#forget(sequence);
    this.#highest = sequence;
  }

  #forget(sequence: bigint): void {
    const { word, bit } = place(sequence);
    this.#seen[word] = (this.#seen[word] as number) & ~bit;
  }

  #isSeen(sequence: bigint): boolean {
    const { word, bit } = place(sequence);
    return ((this.#seen[word] as number) & bit) !== 0;
  }
}

function place(sequence: bigint): { readonly word: number; readonly bit: number } {
  const index = Number(sequence % BigInt(REPLAY_WINDOW));
  return { word: index >>> 5, bit: 1 << (index & 31) };
}
