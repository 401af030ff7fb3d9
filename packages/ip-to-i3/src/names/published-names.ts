/** Which host a plain client's name stands for. What is not listed is nobody's. */
import type { PublishedName } from "@i3/common";

const STAR = "*.";

export class PublishedNames {
  readonly #names: ReadonlyMap<string, PublishedName>;

  readonly #isFor: (name: PublishedName) => boolean;

  /** @param isFor whether a name leads anywhere here: one that does not hides the `*.` that it is below all the same */
  constructor(names: readonly PublishedName[], isFor: (name: PublishedName) => boolean = () => true) {
    this.#isFor = isFor;
    this.#names = new Map(names.map((each) => [each.name, each]));
  }

  /** The name itself, or else the longest `*.` that it is below; undefined: not published. @param name lower case, without a dot at its end */
  find(name: string): PublishedName | undefined {
    const found = this.#listed(name);
    return found !== undefined && this.#isFor(found) ? found : undefined;
  }

  #listed(name: string): PublishedName | undefined {
    if (name.startsWith(STAR)) return undefined;
    const own = this.#names.get(name);
    if (own !== undefined) return own;
    for (let dot = name.indexOf(".", 1); dot >= 0; dot = name.indexOf(".", dot + 1)) {
      const found = this.#names.get(`*${name.slice(dot)}`);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}
