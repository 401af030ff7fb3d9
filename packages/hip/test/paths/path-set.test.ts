/** Which paths are found, kept, left and found again, between hosts behind NATs of every kind. */
import { decodeControl, encodeControlWithRoom, sameLocator } from "@i3/common";
import { describe, expect, it } from "vitest";

import { macOf, sealPathMessage } from "../../src/paths/check-message.js";
import { isDirect, PathWorld, type By, type NatKind } from "./path-world.js";

const BY: readonly By[] = ["ei", "ad", "apd"];
const KINDS: readonly (NatKind | null)[] = [null, ...BY.flatMap((mapping) => BY.map((filtering) => ({ mapping, filtering })))];
const nameOf = (kind: NatKind | null): string => (kind === null ? "none" : `${kind.mapping}/${kind.filtering}`);

/** Whether what a sends first gets to b, at the port that b's servers see, from wherever a's NAT sends it; and b's answer, from wherever b's NAT sends that, to a. */
function reaches(a: NatKind | null, b: NatKind | null): boolean {
  const isTaken = b === null || b.filtering === "ei" || (b.mapping === "ei" && (b.filtering === "ad" || a === null || a.mapping === "ei"));
  const isAnswered = b === null || b.mapping === "ei" || a === null || a.filtering !== "apd";
  return isTaken && isAnswered;
}

/** More than the issue asks for: both mappings are endpoint-independent, or one is and its filtering ignores ports. */
const isPossible = (a: NatKind | null, b: NatKind | null): boolean => reaches(a, b) || reaches(b, a);

function worldOf(a: NatKind | null, b: NatKind | null, delayMs = 10): PathWorld {
  const world = new PathWorld();
  for (const [host, kind] of [[world.a, a], [world.b, b]] as const) {
    const site = world.site(kind);
    site.delayMs = delayMs;
    host.sites.push(site);
  }
  return world;
}

describe("finding a path", () => {
  for (const [i, a] of KINDS.entries()) {
    for (const b of KINDS.slice(i)) {
      it(`${nameOf(a)} with ${nameOf(b)}: ${isPossible(a, b) ? "direct in 3 s" : "by i3"}`, () => {
        const world = worldOf(a, b, 25);
        world.start();
        expect(world.runUntil(() => isDirect(world.a) && isDirect(world.b), 3_000)).toBe(isPossible(a, b));
        world.run(20_000);
        expect([isDirect(world.a), isDirect(world.b)]).toEqual([isPossible(a, b), isPossible(a, b)]);
      });
    }
  }

  it("begins with i3", () => {
    const world = worldOf(null, null);
    world.start();
    expect(world.a.set.choice).toEqual({ kind: "relay" });
  });

  it("goes where the peer prefers, though it is farther, and stays there", () => {
    const world = worldOf(null, null);
    const far = world.site(null);
    far.delayMs = 60;
    world.b.sites.unshift(far);
    world.start();
    world.run(10_000);
    expect(world.a.set.choice).toMatchObject({ kind: "straight", locator: far.inside, creditBytes: null });
    const { changes } = world.a.set.counters;
    world.run(60_000);
    expect(world.a.set.counters.changes).toBe(changes);
  });

  it("takes the nearer of two ways to one interface", () => {
    const world = worldOf(null, null);
    const far = world.site(null);
    far.delayMs = 60;
    world.b.sites.unshift(far);
    world.b.locators = () => world.b.sites.map(({ inside }) => ({ locator: inside, rank: 0 }));
    // What the peer sends from the far one comes late: the near one is known by then.
    world.start();
    world.run(10_000);
    expect(world.a.set.choice).toMatchObject({ kind: "straight", locator: world.b.sites[1]!.inside });
  });

  it("keeps NATs open while packets went lately, and lets go of paths when none did", () => {
    const world = worldOf({ mapping: "ei", filtering: "apd" }, { mapping: "ei", filtering: "apd" });
    world.start("warm");
    world.run(60_000);
    expect([isDirect(world.a), isDirect(world.b)]).toEqual([true, true]);
    for (const { set } of [world.a, world.b]) set.setActivity(world.nowMs, "idle");
    const sent = world.a.sent.length;
    expect(world.a.set.choice.kind).toBe("relay");
    world.run(120_000);
    // What the peer sent last is answered.
    expect(world.a.sent.length - sent).toBeLessThanOrEqual(1);
    for (const { set } of [world.a, world.b]) set.setActivity(world.nowMs, "carrying");
    expect(world.runUntil(() => isDirect(world.a) && isDirect(world.b), 3_000)).toBe(true);
  });

  it("stays with a path that loses a tenth of its packets", () => {
    const world = worldOf(null, null);
    world.start();
    world.run(3_000);
    world.lossPercent = 10;
    world.run(60_000);
    expect(world.a.set.counters.died + world.b.set.counters.died).toBeLessThanOrEqual(2);
  });
});

describe("leaving a path", () => {
  for (const delayMs of [10, 50]) {
    it(`that died silently within a second, where the round trip is ${4 * delayMs} ms`, () => {
      const world = worldOf(null, null, delayMs);
      world.start();
      world.run(5_000 + 137);
      world.a.sites[0]!.isCut = true;
      const cutMs = world.nowMs;
      world.runUntil(() => !isDirect(world.a) && !isDirect(world.b), 5_000);
      expect(world.nowMs - cutMs).toBeLessThanOrEqual(900);
      world.a.sites[0]!.isCut = false;
      expect(world.runUntil(() => isDirect(world.a) && isDirect(world.b), 15_000)).toBe(true);
    });
  }

  it("for the other interface, which has been tried before", () => {
    const world = worldOf(null, null);
    const second = world.site(null);
    world.a.sites.push(second);
    world.start();
    world.run(10_000);
    world.a.sites[0]!.isCut = true;
    const cutMs = world.nowMs;
    const isMoved = (): boolean => world.a.set.choice.kind === "straight" && world.a.set.choice.place.interfaceIndex === world.indexOf(second);
    expect(world.runUntil(isMoved, 1_000)).toBe(true);
    expect(isDirect(world.a)).toBe(true);
    expect(world.nowMs - cutMs).toBeLessThanOrEqual(800);
    // The peer follows, without having found out by itself.
    const isLed = (): boolean => world.b.set.choice.kind === "straight" && world.b.set.choice.locator.address[2] === second.inside.address[2] && isDirect(world.b);
    expect(world.runUntil(isLed, 300)).toBe(true);
    // Its checks are answered by the interface that lives, though the system would take the other one.
    const { changes } = world.b.set.counters;
    world.run(60_000);
    expect([isLed(), world.b.set.counters.changes]).toEqual([true, changes]);
  });

  it("at once when the system refuses to send", () => {
    const world = worldOf(null, null);
    world.start();
    world.run(5_000);
    world.a.set.failed(world.nowMs, world.b.sites[0]!.inside);
    expect(world.a.set.choice.kind).toBe("relay");
  });
});

describe("moving", () => {
  const move = (world: PathWorld, kind: NatKind | null): void => {
    world.a.sites.splice(0, 1, world.site(kind));
    world.look(world.a);
  };

  it("goes on by i3 at once, and leads the peer within one round trip", () => {
    const world = worldOf({ mapping: "ei", filtering: "apd" }, null, 25);
    world.start();
    world.run(5_000);
    world.b.heardBytes = 1e6;
    world.relayMs = 10_000;
    const movedMs = world.nowMs;
    move(world, { mapping: "apd", filtering: "apd" });
    expect(world.a.set.choice.kind).toBe("relay");
    const isLed = (): boolean => world.b.set.choice.kind === "straight" && world.b.set.choice.locator.address[3] === 3;
    expect(world.runUntil(isLed, 3_000)).toBe(true);
    // One way, since the new site is 10 ms away.
    expect(world.nowMs - movedMs).toBeLessThanOrEqual(36);
    expect(world.b.set.choice).toMatchObject({ creditBytes: 262_144 });
    expect(world.runUntil(() => isDirect(world.a) && isDirect(world.b), 500)).toBe(true);
  });

  it("of both at once is healed by what they say over i3", () => {
    const world = worldOf({ mapping: "ei", filtering: "apd" }, { mapping: "ei", filtering: "apd" });
    world.start();
    world.run(5_000);
    for (const host of [world.a, world.b]) {
      host.sites.splice(0, 1, world.site({ mapping: "ei", filtering: "apd" }));
      world.look(host);
    }
    expect(world.runUntil(() => isDirect(world.a) && isDirect(world.b), 3_000)).toBe(true);
  });

  it("make before break goes from one proven path to another", () => {
    const world = worldOf(null, null);
    world.start();
    world.run(5_000);
    const better = world.site(null);
    // It comes up as one of two, and is preferred a moment later.
    world.a.sites.push(better);
    world.look(world.a);
    world.run(5);
    world.a.sites.reverse();
    world.look(world.a);
    const seen: string[] = [];
    const isOn = world.runUntil(() => {
      seen.push(world.a.set.choice.kind);
      return world.a.set.choice.kind === "straight" && world.a.set.choice.place.interfaceIndex === world.indexOf(better);
    }, 100);
    expect([isOn, new Set(seen)]).toEqual([true, new Set(["straight"])]);
    expect(isDirect(world.a)).toBe(true);
    world.run(3_000);
    expect(world.b.set.choice).toMatchObject({ kind: "straight", locator: better.inside, creditBytes: null });
    world.a.sites.splice(1, 1);
    world.look(world.a);
    expect(isDirect(world.a)).toBe(true);
    world.run(1_000);
    expect(isDirect(world.b)).toBe(true);
  });

  it("a NAT that forgot its mappings is noticed with the next packet from inside", () => {
    const world = worldOf({ mapping: "ei", filtering: "apd" }, null);
    world.start("warm");
    world.run(20_000);
    world.b.heardBytes = 1e6;
    world.a.sites[0]!.reboot();
    // A packet of data.
    const from = world.a.sites[0]!.out(world.b.sites[0]!.inside);
    world.b.set.heardFrom(world.nowMs, from);
    expect(world.b.set.choice).toMatchObject({ kind: "straight", locator: from, creditBytes: 262_144 });
    expect(world.runUntil(() => isDirect(world.b), 200)).toBe(true);
  });

  it("a thousand times in a minute does not keep the peer busy, and the last place holds", () => {
    const world = worldOf(null, null);
    world.start();
    world.run(5_000);
    const before = world.b.sent.length;
    for (let i = 0; i < 1_000; i++) {
      world.a.sites.splice(0, 1, world.site(null));
      world.look(world.a);
      world.run(60);
    }
    expect(world.b.sent.length - before).toBeLessThanOrEqual(4_000);
    expect(world.runUntil(() => isDirect(world.a) && isDirect(world.b), 30_000)).toBe(true);
  });
});

describe("lies", () => {
  const victim = { address: Uint8Array.of(203, 0, 113, 9), port: 7 };

  it("a peer that names a victim's address: not more checks go there than the budget has", () => {
    const world = worldOf(null, null);
    world.start();
    world.run(3_000);
    for (let i = 0; i < 600; i++) {
      world.b.set.setPeer(world.nowMs, Array.from({ length: 16 }, (_, port) => ({ locator: { ...victim, port: 1_000 + ((i * 16 + port) % 60_000) }, rank: 0 })));
      world.run(100);
    }
    const there = world.b.sent.filter(({ to }) => to.address[2] === 113);
    expect(there.length).toBeGreaterThan(0);
    // Half of what all associations together may.
    expect(there.length).toBeLessThanOrEqual(24 + 30);
    expect(world.b.budget.refused).toBeGreaterThan(1_000);
  });

  it("places that cannot be one host's are not checked", () => {
    const world = worldOf(null, null);
    world.b.set.setActivity(0, "carrying");
    world.look(world.b);
    world.b.set.setPeer(0, [{ locator: { address: Uint8Array.of(127, 0, 0, 1), port: 5_610 }, rank: 0 }]);
    world.run(10_000);
    expect(world.b.sent).toEqual([]);
    expect(world.b.set.counters.refused).toBe(1);
  });

  it("a check without the key, and one that was kept, move nobody", () => {
    const world = worldOf(null, null);
    const taken: Uint8Array[] = [];
    const { arrive } = world;
    world.arrive = (host, from, bytes) => {
      if (host === world.b) taken.push(bytes.slice());
      arrive.call(world, host, from, bytes);
    };
    world.start();
    world.run(5_000);
    const { choice } = world.b.set;
    world.b.heardBytes = 1e9;
    for (const bytes of [...taken]) arrive.call(world, world.b, victim, bytes);
    for (const bytes of [...taken]) arrive.call(world, world.b, victim, bytes.with(bytes.length - 1, (bytes.at(-1) as number) ^ 1));
    expect(world.b.set.choice).toBe(choice);
    world.run(5_000);
    expect(isDirect(world.b)).toBe(true);
  });

  it("a check that was answered before is answered again ten times a second at most; what is late has its one answer", () => {
    const world = new PathWorld();
    world.b.sites.push(world.site(null));
    const check = (number: number): Uint8Array => sealPathMessage(new Uint8Array(32).fill(2), { type: "CHECK", spi: world.b.spi, flags: 0 }, Uint8Array.of(0, 0, 0, number, 0, 0, 0, 0));
    for (let number = 100; number > 36; number -= 1) world.arrive(world.b, victim, check(number));
    expect([world.b.sent.length, world.b.set.counters.refused]).toEqual([64, 0]);
    for (let ms = 0; ms < 10_000; ms += 10) {
      world.arrive(world.b, victim, check(37 + (ms / 10) % 64));
      world.run(10);
    }
    const copies = world.b.sent.length - 64;
    expect([copies >= 100, copies <= 20 + 100, copies + world.b.set.counters.refused]).toEqual([true, true, 1_000]);
    // New ones are not kept back by copies.
    for (let number = 101; number < 200; number += 1) world.arrive(world.b, victim, check(number));
    expect(world.b.sent.length - 64 - copies).toBe(99);
  });

  describe("an answer that the peer kept back", () => {
    /** b knows the locator of a victim, and a has the nonce of the last CHECK that went there. */
    const kept = (): { readonly world: PathWorld; readonly answer: () => void; readonly there: () => number } => {
      const world = new PathWorld();
      world.b.sites.push(world.site(null));
      world.b.set.setActivity(0, "carrying");
      world.b.set.setPlaces(0, world.b.places());
      let nonce: Uint8Array = new Uint8Array(8);
      const { carry } = world;
      world.carry = (site, from, to, bytes) => {
        if (sameLocator(to, victim)) nonce = decodeControl(bytes).nonce;
        carry.call(world, site, from, to, bytes);
      };
      world.b.set.setPeer(0, [{ locator: victim, rank: 0 }]);
      const answer = (): void => world.arrive(world.b, victim, sealPathMessage(new Uint8Array(32).fill(2), { type: "CHECKED", spi: world.b.spi, observed: victim }, nonce));
      return { world, answer, there: () => world.b.sent.filter(({ to }) => sameLocator(to, victim)).length };
    };

    it("counts for 5 s", () => {
      const { world, answer, there } = kept();
      // The last check of the opening went at 2,100 ms; the next one goes 5 s after it.
      world.run(2_100 + 4_999);
      expect(there()).toBe(6);
      answer();
      expect(isDirect(world.b)).toBe(true);
    });

    it("does not count later, and is counted", () => {
      const { world, answer, there } = kept();
      // The second opening ends 2,100 ms after it began, and the third follows 10 s later.
      world.run(2_100 + 5_000 + 2_100 + 5_001);
      expect(there()).toBe(12);
      answer();
      expect([world.b.set.choice.kind, world.b.set.counters.refused]).toEqual(["relay", 1]);
    });

    it("does not count once nothing was asked for, however long ago that is", () => {
      const { world, answer } = kept();
      world.run(2_100);
      world.b.set.setActivity(world.nowMs, "idle");
      answer();
      world.run(3_600_000);
      answer();
      world.b.set.setActivity(world.nowMs, "carrying");
      expect([world.b.set.choice.kind, world.b.set.counters.refused]).toEqual(["relay", 2]);
    });

    it("makes the path no slower to leave than 3 s after it", () => {
      const { world, answer } = kept();
      world.run(2_100 + 4_900);
      answer();
      expect(isDirect(world.b)).toBe(true);
      const provenMs = world.nowMs;
      expect(world.runUntil(() => !isDirect(world.b), 60_000)).toBe(true);
      expect(world.nowMs - provenMs).toBeLessThanOrEqual(3_000);
    });
  });

  describe("a peer that goes to and fro between places that both answer", () => {
    const flapping = (): { readonly world: PathWorld; readonly hear: (which: number) => void; readonly at: () => number } => {
      const world = worldOf(null, null);
      world.b.sites.push(world.site(null));
      world.start();
      world.run(10_000);
      // It answers, and says nothing of itself.
      world.b.set.setActivity(world.nowMs, "idle");
      const hear = (which: number): void => world.a.set.heardFrom(world.nowMs, world.b.sites[which]!.inside);
      const at = (): number => world.b.sites.findIndex(({ inside }) => world.a.set.choice.kind === "straight" && sameLocator(world.a.set.choice.locator, inside));
      return { world, hear, at };
    };

    it("is followed at once, and then each 50 ms to where it was last", () => {
      const { world, hear, at } = flapping();
      const { changes, checks } = { ...world.a.set.counters };
      expect(at()).toBe(0);
      hear(1);
      expect(at()).toBe(1);
      for (let i = 0; i < 1_001; i++) {
        hear(i % 2);
        world.run(1);
      }
      expect(world.a.set.counters.changes - changes).toBeLessThanOrEqual(21);
      expect(world.a.set.counters.checks - checks).toBeLessThanOrEqual(60);
      world.run(200);
      expect(at()).toBe(0);
      hear(1);
      hear(0);
      world.run(49);
      expect(at()).toBe(1);
      world.run(1);
      expect(at()).toBe(0);
    });

    it("is followed at once when the path in use ceases to work", () => {
      const { world, hear, at } = flapping();
      hear(1);
      const elsewhere = { ...victim, port: 8 };
      world.a.heardBytes = 1e6;
      world.a.set.heardFrom(world.nowMs, elsewhere);
      expect(at()).toBe(1);
      world.a.set.failed(world.nowMs, world.b.sites[1]!.inside);
      expect(world.a.set.choice).toMatchObject({ kind: "straight", locator: elsewhere, creditBytes: 262_144 });
    });

    it("is where it was when it has come back before it was followed", () => {
      const { world, hear, at } = flapping();
      hear(1);
      hear(0);
      hear(1);
      const { changes } = world.a.set.counters;
      world.run(200);
      expect([at(), world.a.set.counters.changes]).toEqual([1, changes]);
    });
  });

  it.each([[95, 0, 1], [96, 1, 0]])("a check of %i bytes has %i answers", (bytes, answers, refused) => {
    const world = new PathWorld();
    world.b.sites.push(world.site(null));
    const check = encodeControlWithRoom({ type: "CHECK", spi: world.b.spi, flags: 0 }, new Uint8Array(8), 16, bytes);
    // It has a MAC.
    check[2] = 1;
    check.set(macOf(new Uint8Array(32).fill(2), check.subarray(0, -16)), bytes - 16);
    world.arrive(world.b, victim, check);
    expect([world.b.sent.length, world.b.set.counters.refused]).toEqual([answers, refused]);
  });

  it("credit is never more than what came from the peer", () => {
    const world = worldOf(null, null);
    world.start();
    world.run(5_000);
    let credited = 0;
    let last = world.b.set.choice;
    world.b.heardBytes = 5_000;
    for (let i = 0; i < 200; i++) {
      world.b.set.heardFrom(world.nowMs, { ...victim, port: 1_000 + i });
      const { choice } = world.b.set;
      if (choice !== last && choice.kind === "straight") credited += choice.creditBytes ?? 0;
      last = choice;
      world.run(50);
    }
    expect(credited).toBe(5_000);
  });
});
