/** Bounds a map or a set: what was put in longest ago makes room. */
export function dropOldest<Key>(kept: Map<Key, unknown> | Set<Key>, most: number): void {
  for (const oldest of kept.keys()) {
    if (kept.size <= most) return;
    kept.delete(oldest);
  }
}

/** Puts an entry into a map that keeps so many, as its newest: the one that was put longest ago makes room. */
export function remember<Value>(map: Map<string, Value>, key: string, value: Value, most: number): void {
  map.delete(key);
  map.set(key, value);
  dropOldest(map, most);
}
