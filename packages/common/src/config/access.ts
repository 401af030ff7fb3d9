/** `<access>`: who may connect to this host, by host identity tag or by group of the address book. The first entry that matches decides. */
import { bytesKey } from "../bytes.js";
import { element, list, optional, withDefault, type Site } from "./schema.js";
import { GROUP, HIT, word } from "./value-types.js";

/** Of each kind. */
const MAX_ENTRIES = 1024;

/** It has exactly one of `hit` and `group`. */
export interface AccessEntry {
  readonly admits: boolean;
  /** 16 bytes. */
  readonly hit?: Uint8Array;
  /** Lower case. */
  readonly group?: string;
  /** In the file. */
  readonly line: number;
}

export interface AccessConfig {
  /** What happens to hosts that no entry matches. */
  readonly default: "allow" | "refuse";
  /** In the order of the file. */
  readonly entries: readonly AccessEntry[];
}

interface PlacedEntry {
  readonly entry: AccessEntry;
  readonly position: number;
}

const entryElement = (admits: boolean) =>
  element({ hit: optional(HIT), group: optional(GROUP) }, {}, ({ hit, group }, site): PlacedEntry => {
    const { line, position } = site;
    if (hit !== undefined && group !== undefined) site.fail("group", "given beside hit", "exactly one of hit and group");
    if (hit !== undefined) return { entry: Object.freeze({ admits, hit, line }), position };
    if (group !== undefined) return { entry: Object.freeze({ admits, group, line }), position };
    return site.fail(undefined, "neither hit nor group", "exactly one of hit and group");
  });

function checkedEntries(placed: readonly PlacedEntry[], site: Site): readonly AccessEntry[] {
  const entries = [...placed].sort((a, b) => a.position - b.position).map(({ entry }) => entry);
  const seen = new Map<string, number>();
  for (const [i, { admits, hit, group, line }] of entries.entries()) {
    const key = hit === undefined ? `g${group}` : `h${bytesKey(hit)}`;
    const first = seen.get(key);
    if (first !== undefined) {
      const of = entries.slice(0, i + 1).filter((entry) => entry.admits === admits).length;
      site.failInside(`${admits ? "allow" : "refuse"}[${of}]`, line, `never used, because line ${first} decides`, `every ${hit === undefined ? "group" : "hit"} once`);
    }
    seen.set(key, line);
  }
  return Object.freeze(entries);
}

export const ACCESS = element(
    { default: withDefault(word(["allow", "refuse"]), "refuse") },
    { allow: list(entryElement(true), 0, MAX_ENTRIES), refuse: list(entryElement(false), 0, MAX_ENTRIES) },
    ({ default: otherwise, allow, refuse }, site): AccessConfig => ({ default: otherwise, entries: checkedEntries([...allow, ...refuse], site) }),
  );
