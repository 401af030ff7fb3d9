/**
 * The paths of two hosts, which get any messages, changed and old ones between the right ones, and wrong words about places, while they move: neither throws, all credits together are no more than was
 * heard, and when the noise ends both send straight again. Runs I3_FUZZ_SECONDS (default 2) from I3_FUZZ_SEED.
 */
import { randomInt } from "node:crypto";

import { decodeControl, makeLocator, WireError, type Locator } from "@i3/common";
import { mutated, Random } from "@i3/common/testing";
import type { PathChoice, PathMessage } from "@i3/hip";
import { expect, it } from "vitest";

import { isDirect, PathWorld, type Host, type NatKind } from "../../packages/hip/test/paths/path-world.js";

const SECONDS = Number(process.env["I3_FUZZ_SECONDS"] ?? "2");
const SEED = Number(process.env["I3_FUZZ_SEED"] ?? randomInt(2 ** 32)) >>> 0;
const LIKELY = [0, 1, 0x12, 0x13, 0x19, 0x7f, 0x80, 0xff];
/** With these any two hosts find a path. */
const KINDS: readonly (NatKind | null)[] = [null, { mapping: "ei", filtering: "ei" }, { mapping: "ei", filtering: "ad" }, { mapping: "ei", filtering: "apd" }];
const STEPS = 120;

const someLocator = (random: Random): Locator => makeLocator(random.bytes(random.below(5) === 0 ? 16 : 4), 1 + random.below(65_535));

class Fuzzed {
  readonly world: PathWorld;
  readonly random: Random;
  readonly wire: Uint8Array[] = [];
  /** Of each host: the choice that it had, and what all its credits were together. */
  readonly #credited = new Map<Host, { choice: PathChoice; bytes: number }>();

  constructor(seed: number) {
    this.random = new Random(seed);
    this.world = new PathWorld(seed);
    for (const host of [this.world.a, this.world.b]) host.sites.push(this.world.site(this.random.pick(KINDS)));
    const { arrive } = this.world;
    this.world.arrive = (host, from, bytes) => {
      this.wire.push(bytes.slice());
      arrive.call(this.world, host, from, bytes);
    };
    this.world.start();
  }

  step(): void {
    const { world, random } = this;
    const host = random.pick([world.a, world.b]);
    switch (random.below(12)) {
      case 0: host.sites.splice(0, 1, world.site(random.pick(KINDS))); world.look(host); return;
      case 1: if (host.sites.length < 3) host.sites.push(world.site(random.pick(KINDS))); else host.sites.pop(); world.look(host); return;
      case 2: random.pick(host.sites).reboot(); return;
      case 3: host.set.setPeer(world.nowMs, Array.from({ length: random.below(30) }, () => ({ locator: someLocator(random), rank: random.below(256) }))); return;
      case 4: host.heardBytes += random.below(5_000); host.set.heardFrom(world.nowMs, someLocator(random)); return;
      case 5: host.set.failed(world.nowMs, someLocator(random)); return;
      case 6: host.set.setActivity(world.nowMs, random.pick(["carrying", "warm", "idle"])); return;
      case 7: world.lossPercent = random.below(60); return;
      case 8:
        world.runUntil(() => {
          this.credit();
          return false;
        }, random.below(random.below(5) === 0 ? 60_000 : 1_000));
        return;
      default: this.#noise(host);
    }
  }

  /** Old, changed, or never seen. */
  #noise(host: Host): void {
    const { random, world } = this;
    const kind = random.below(3);
    const old = this.wire.length === 0 ? random.bytes(60) : random.pick(this.wire.slice(-40));
    const bytes = kind === 0 ? old : kind === 1 ? mutated(random, old, LIKELY) : random.bytes(random.below(120));
    try {
      const decoded = decodeControl(bytes);
      if (decoded.message.type === "CHECK" || decoded.message.type === "CHECKED") host.set.handle(world.nowMs, someLocator(random), decoded, decoded.message satisfies PathMessage);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
    }
  }

  credit(): void {
    for (const host of [this.world.a, this.world.b]) {
      const { choice } = host.set;
      const before = this.#credited.get(host);
      if (choice === before?.choice) continue;
      const bytes = (before?.bytes ?? 0) + (choice.kind === "straight" ? (choice.creditBytes ?? 0) : 0);
      expect(bytes).toBeLessThanOrEqual(host.heardBytes);
      this.#credited.set(host, { choice, bytes });
    }
  }
}

it("two hosts find each other again whatever they were told", () => {
  const endMs = performance.now() + SECONDS * 1_000;
  let runs = 0;
  for (let seed = SEED; performance.now() < endMs || runs < 3; seed = (seed + 1) >>> 0, runs += 1) {
    try {
      const fuzzed = new Fuzzed(seed);
      const { world } = fuzzed;
      for (let i = 0; i < STEPS; i += 1) {
        fuzzed.step();
        fuzzed.credit();
      }
      world.lossPercent = 0;
      for (const host of [world.a, world.b]) {
        host.sites.splice(1);
        host.set.setActivity(world.nowMs, "carrying");
        world.look(host);
      }
      expect(world.runUntil(() => isDirect(world.a) && isDirect(world.b), 120_000)).toBe(true);
      world.run(5_000);
      expect([isDirect(world.a), isDirect(world.b)]).toEqual([true, true]);
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
});
