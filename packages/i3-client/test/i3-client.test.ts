import { makeLocator, privateId, publicId, type ControlMessage } from "@i3/common";
import { generateHostIdentity, generateTriggerKey } from "@i3/hip";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { CLIENT, FakeRing, filled } from "./fake-ring.js";

const identity = generateHostIdentity();
const key = generateTriggerKey();
const IDS = [publicId(identity.hit), ...[1, 2, 3].map((n) => privateId(key.prefix, filled(16, n)))];
const PATHS = [0xa0, 0xa1, 0xb0].map((byte) => Uint8Array.from([...filled(16, byte & 0xf0), ...filled(16, byte)]));

/** Answers that a server, or a liar, may give to anything. */
const ANSWERS: readonly ((ring: FakeRing, n: number) => ControlMessage | null)[] = [
  () => null,
  (_ring, n) => ({ type: "PONG", timeMs: n * 1e12, observed: CLIENT, nodeKey: filled(16, n) }),
  (ring, n) => ({ type: "LOCATED", ringKey: (IDS[n % 4] ?? filled(16, 0)).slice(0, 16), node: { key: filled(16, n), locator: ring.server((n % 3) + 1).locator } }),
  (ring, n) => ring.server((n % 3) + 1).challenge((IDS[n % 4] ?? filled(16, 0)).slice(0, 16)),
  (_ring, n) => ({ type: "TRIGGER_OK", action: n % 2 === 0 ? 1 : 2, id: IDS[n % 4] ?? filled(32, 0), lifeMs: [0, 1, 10, 30_000, Number.MAX_SAFE_INTEGER][n % 5] ?? 0, replica: null }),
  (_ring, n) => ({ type: "REFUSED", code: n % 10, subject: IDS[n % 4] ?? filled(32, 0) }),
];

type Step = readonly [kind: number, n: number];

/** The rings check after each turn that the next deadline lies in the future, and that few turns pass. */
function play(steps: readonly Step[]): FakeRing {
  const ring = new FakeRing(3);
  for (const [kind, n] of steps) {
    const server = ring.server((n % 3) + 1);
    const path = PATHS[n % 3] as Uint8Array;
    switch (kind) {
      case 0: case 1: case 2: ring.run([1, 20, 700, 3_000, 31_000][n % 5] ?? 0); break;
      case 3: server.down = !server.down; break;
      case 4: ring.client.insertTrigger(ring.nowMs, IDS[n % 4] as Uint8Array, n % 4 === 0 ? { kind: "host", identity } : { kind: "private", key }); break;
      case 5: ring.client.removeTrigger(ring.nowMs, IDS[n % 4] as Uint8Array); break;
      case 6: server.script = n % 2 === 0 ? () => undefined : (message) => (message.type === "PING" && n % 4 === 1 ? undefined : (ANSWERS[n % 6]?.(ring, n) ?? null)); break;
      case 7: ring.loses = n % 3 === 0 ? () => false : (count) => (count * n) % 7 < n % 5; break;
      case 8: ring.owner = server; break;
      case 9: ring.wallAheadMs += (n - 50) * 60_000; break;
      case 10: ring.client.renewTriggers(ring.nowMs); break;
      case 11: ring.client.openPath(path); break;
      case 12: ring.client.closePath(path); break;
      case 13: ring.client.setPathActive(path, n % 2 === 0); break;
      case 14: if (ring.client.openPath(path)) {
        const nonce = ring.client.pathHeader(path, 1).slice(8, 16);
        const locator = n % 4 === 0 ? makeLocator(filled(4, n + 1), n + 1) : server.locator;
        ring.inject(server.locator, n % 5 === 0 ? { type: "NOT_PRESENT", id: path } : { type: "CACHE", ringKey: path.slice(0, 16), node: { key: filled(16, n), locator }, lifeMs: 0 }, nonce);
      } break;
      default: server.delayMs = n * 8;
    }
  }
  return ring;
}

const step = fc.tuple(fc.nat(15), fc.nat(100));

describe("the client", () => {
  it("never leaves its deadline in the past, whatever servers say", () => {
    fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => void play(steps)), { numRuns: 300 });
  }, 60_000);

  it("recovers from anything once the servers are honest", () => {
    fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const ring = play(steps);
      ring.loses = () => false;
      ring.owner = ring.server(2);
      for (const server of ring.servers) Object.assign(server, { down: false, delayMs: 10, script: () => undefined });
      // Counters of removed triggers are remembered for 60 s; a quota pauses 10 s.
      ring.run(100_000);
      ring.client.insertTrigger(ring.nowMs, IDS[0] as Uint8Array, { kind: "host", identity });
      ring.until(() => ring.live(IDS[0] as Uint8Array), 10_500);
      expect(ring.client.firstHop()).not.toBe(null);
      expect(ring.server(2).has(IDS[0] as Uint8Array)).toBe(true);
      for (const { id, live } of ring.client.triggers(ring.nowMs)) expect(ring.server(2).has(id)).toBe(live);
    }), { numRuns: 100 });
  }, 60_000);

  it("has nothing to do before it knows a server or a trigger", () => {
    const ring = new FakeRing(0);
    expect(ring.client.nextDeadlineMs()).toBe(Infinity);
    expect([ring.client.firstHop(), ring.client.servers(), ring.client.triggers(0), ring.client.takeEvents()]).toEqual([null, [], [], []]);
  });
});
