import { expect, it } from "vitest";

import { KeyedBuckets, SourceBuckets } from "../src/index.js";

const v4 = (last: number): Uint8Array => Uint8Array.of(192, 0, 2, last);
const v6 = (site: number, host: number): Uint8Array => Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, site, 0, 0, 0, 0, 0, 0, 0, host);
const make = (maxSources = 8): SourceBuckets => new SourceBuckets({ perSecond: 2, burst: 3, maxSources });

it("each source has its own bucket, and all addresses of an IPv6 /64 are one", () => {
  const buckets = make();
  const taken = (addresses: readonly Uint8Array[]): number => addresses.filter((address) => buckets.take(1_000, address)).length;
  expect(taken([v4(1), v4(1), v4(1), v4(1)])).toBe(3);
  expect(taken([v4(2)])).toBe(1);
  expect(taken([1, 2, 3, 4, 5].map((host) => v6(1, host)))).toBe(3);
  expect(taken([v6(2, 1)])).toBe(1);
  expect(buckets.take(1_499, v4(1))).toBe(false);
  expect(buckets.take(1_999, v4(1))).toBe(true);
});

it("the least recently heard of is forgotten beyond the limit", () => {
  const buckets = make(2);
  for (let i = 0; i < 3; i += 1) for (const last of [1, 2]) expect(buckets.take(0, v4(last))).toBe(true);
  expect(buckets.take(0, v4(1))).toBe(false);
  expect(buckets.take(0, v4(3))).toBe(true);
  expect(buckets.take(0, v4(1))).toBe(false);
  expect(buckets.take(0, v4(2))).toBe(true);
});

it("asking whether there is something to take takes nothing, and makes nobody remembered", () => {
  const buckets = new KeyedBuckets({ perSecond: 2, burst: 1, maxKeys: 2 });
  for (const key of ["a", "b"]) expect([buckets.has(0, key), buckets.has(0, key), buckets.take(0, key), buckets.has(0, key)]).toEqual([true, true, true, false]);
  for (const key of ["c", "d"]) expect(buckets.has(0, key)).toBe(true);
  expect(["a", "b"].map((key) => buckets.has(0, key))).toEqual([false, false]);
  expect([buckets.has(499, "a"), buckets.has(500, "a"), buckets.take(500, "a")]).toEqual([false, true, true]);
});
