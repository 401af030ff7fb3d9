/**
 * Elements of the sets and maps of one nftables table, as they should be: changes are told to nft in the background, one command at a time, and what changes while it is at work goes into the next.
 */
import type { I3Error } from "@i3/common";
import type { NftRunner } from "./interception-nft.js";

/** Elements a command carries at most, so that a line stays well below what nft reads at once. */
const BATCH_ELEMENTS = 512;

export interface NftElementsOptions {
  readonly table: string;
  /** @default "inet" */
  readonly family?: "inet" | "arp";
  /** A burst of changes makes one command, this long after the first. */
  readonly coalesceMs: number;
  /** nft refused a change: the table is out of date until the next one succeeds. */
  readonly onError: (error: I3Error) => void;
}

export interface NftElement {
  /** Of the set or map. */
  readonly set: string;
  /** As nft writes it: "10.0.0.1 . 192.0.2.1". */
  readonly key: string;
  /** In a map: "192.0.2.1", "goto chain"; in a set empty. */
  readonly value: string;
}

export class NftElements {
  readonly #nft: NftRunner;
  readonly #options: NftElementsOptions;
  /** What nft was told, and what it should know. */
  readonly #told = new Map<string, NftElement>();
  readonly #wanted = new Map<string, NftElement>();
  /** Ids that may differ between the two; never more than the elements there are. */
  readonly #changed = new Set<string>();
  #running: Promise<void> | null = null;

  constructor(nft: NftRunner, options: NftElementsOptions) {
    this.#nft = nft;
    this.#options = options;
  }

  get size(): number {
    return this.#wanted.size;
  }

  /** As they should be. */
  wanted(): readonly NftElement[] {
    return [...this.#wanted.values()];
  }

  /** Whether it should be there. */
  has(set: string, key: string): boolean {
    return this.#wanted.has(idOf({ set, key }));
  }

  /** nft knows this one already. */
  told(set: string, key: string, value = ""): void {
    const element = { set, key, value };
    this.#told.set(idOf(element), element);
    this.#wanted.set(idOf(element), element);
  }

  /** The table was made anew with the elements `told`; `wanted` are to be in it. */
  restart(told: readonly NftElement[], wanted: readonly NftElement[]): void {
    for (const [map, elements] of [[this.#told, told], [this.#wanted, wanted]] as const) {
      map.clear();
      for (const element of elements) map.set(idOf(element), element);
    }
    this.#changed.clear();
    for (const id of [...this.#told.keys(), ...this.#wanted.keys()]) if (!this.#isTold(id)) this.#changed.add(id);
    this.#begin();
  }

  /** Takes effect in the background. @param value null: there is to be no such element */
  set(set: string, key: string, value: string | null = ""): void {
    const id = idOf({ set, key });
    if (value === null) this.#wanted.delete(id);
    else this.#wanted.set(id, { set, key, value });
    if (this.#isTold(id)) this.#changed.delete(id);
    else this.#changed.add(id);
    this.#begin();
  }

  #begin(): void {
    if (this.#running !== null || this.#changed.size === 0) return;
    this.#running = this.#drain().finally(() => {
      this.#running = null;
    });
  }

  /** Resolves when everything asked for so far is in force; rejects when nft refused it. */
  async settled(): Promise<void> {
    while (this.#running !== null) await this.#running;
    while (this.#changed.size > 0) await this.#flush();
  }

  #isTold(id: string): boolean {
    return this.#wanted.get(id)?.value === this.#told.get(id)?.value;
  }

  async #drain(): Promise<void> {
    const { coalesceMs, onError } = this.#options;
    await new Promise((resolve) => (coalesceMs === 0 ? setImmediate(resolve) : setTimeout(resolve, coalesceMs)));
    while (this.#changed.size > 0) {
      try {
        await this.#flush();
      } catch (error) {
        onError(error as I3Error);
        return;
      }
    }
  }

  async #flush(): Promise<void> {
    const ids = [...this.#changed].slice(0, BATCH_ELEMENTS);
    const adding = ids.flatMap((id) => this.#wanted.get(id) ?? []);
    const removing = ids.flatMap((id) => this.#told.get(id) ?? []);
    for (const id of ids) this.#changed.delete(id);
    try {
      await this.#nft.run([...this.#commands("delete", removing), ...this.#commands("add", adding)].join(" "));
    } catch (error) {
      for (const id of ids) this.#changed.add(id);
      throw error;
    }
    for (const element of removing) this.#told.delete(idOf(element));
    for (const element of adding) this.#told.set(idOf(element), element);
    // Asked for while nft was at work: the difference to what it has been told now counts.
    for (const id of ids) if (!this.#isTold(id)) this.#changed.add(id);
  }

  #commands(verb: "add" | "delete", elements: readonly NftElement[]): string[] {
    return [...new Set(elements.map(({ set }) => set))].map((name) => {
      const texts = elements.filter(({ set }) => set === name).map(({ key, value }) => (value === "" ? key : `${key} : ${value}`));
      return `${verb} element ${this.#options.family ?? "inet"} ${this.#options.table} ${name} { ${texts.join(", ")} };`;
    });
  }
}

const idOf = ({ set, key }: Pick<NftElement, "set" | "key">): string => `${set} ${key}`;
