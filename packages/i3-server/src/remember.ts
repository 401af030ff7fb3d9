import { dropOldest } from "@i3/common";

/** Puts an entry into a map that keeps so many, as its newest: the one that was put longest ago makes room. */
export function remember<T>(map: Map<string, T>, key: string, value: T, limit: number): void {
  map.delete(key);
  map.set(key, value);
  dropOldest(map, limit);
}
