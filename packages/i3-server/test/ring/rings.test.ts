/** Whole servers, many in one process and in virtual time: rings of credentials, restarts, and somebody who records and repeats. */
import type { Upcall } from "@i3/datapath";
import { describe, expect, it } from "vitest";

import { encodeControl, locatorText, makeLocator, sameLocator, toHex, type Locator } from "@i3/common";

import { compareKeys, plusPowerOfTwo } from "../../src/chord/ring-key.js";
import { admitServer, type RingMembership } from "../../src/ring/credential.js";
import { ServerCore } from "../../src/server/server-core.js";
import { randomBytesFrom, seeded } from "../ring-net.js";
import { NotingEngine } from "../server-bench.js";
import { AUTHORITY, type Datagram, OTHER_AUTHORITY, typeOf, WALL_MS } from "./channel-net.js";

const DELAY_MS = 10;

class Server {
  readonly engine = new NotingEngine();
  core!: ServerCore;
  up = true;
  clockErrorMs = 0;
  logged: string[] = [];

  constructor(readonly rings: Rings, readonly locator: Locator, readonly membership: RingMembership, readonly members: readonly Locator[]) {
    this.start();
  }

  get text(): string {
    return `${toHex(this.membership.credential.nodeKey).slice(0, 8)}@${locatorText(this.locator)}`;
  }

  start(): void {
    const { rings, locator, members, membership } = this;
    this.up = true;
    this.logged = [];
    this.core = new ServerCore({
      self: { key: membership.credential.nodeKey, locator }, members, ring: membership, datapath: this.engine, limits: { triggers: 100, perSource: 10, claimsPerName: 0 },
      random: rings.bytes, wallMs: (nowMs) => WALL_MS + Math.floor(nowMs) + this.clockErrorMs, log: (_level, event) => this.logged.push(event),
    });
    this.core.start(rings.nowMs);
    rings.collect(this);
  }

  take(from: Locator, bytes: Uint8Array): void {
    this.core.handleUpcalls(this.rings.nowMs, [{ kind: "control", from, bytes }]);
    this.rings.collect(this);
  }
}

class Rings {
  nowMs = 0;
  readonly bytes: (length: number) => Uint8Array;
  readonly servers: Server[] = [];
  readonly wire: Datagram[] = [];
  #flights: Datagram[] = [];

  constructor(seed: number) {
    this.bytes = randomBytesFrom(seeded(seed));
  }

  static locatorOf = (index: number): Locator => makeLocator(Uint8Array.of(10, 2, 0, index + 1), 4_000);

  /** All know all. */
  add(size: number, authority = AUTHORITY, notAfterS = 0, of = size): Server[] {
    const members = Array.from({ length: of }, (_, i) => Rings.locatorOf(i));
    const added: Server[] = [];
    for (let i = 0; i < size; i += 1) {
      added.push(new Server(this, Rings.locatorOf(this.servers.length), admitServer(authority, this.bytes, notAfterS), members));
      this.servers.push(added.at(-1) as Server);
      this.run(10);
    }
    return added;
  }

  collect(server: Server): void {
    for (const { locator, bytes } of server.engine.take()) {
      const datagram = { atMs: this.nowMs, from: server.locator, to: locator, bytes };
      this.wire.push(datagram);
      this.#flights.push(datagram);
    }
  }

  run(forMs: number): void {
    const endMs = this.nowMs + forMs;
    for (;;) {
      const up = this.servers.filter((server) => server.up);
      const flightMs = (this.#flights[0]?.atMs ?? Infinity) + DELAY_MS;
      const nextMs = Math.max(this.nowMs, Math.min(flightMs, ...up.map(({ core }) => core.deadlineMs())));
      if (nextMs > endMs) break;
      this.nowMs = nextMs;
      if (flightMs <= nextMs) {
        const { from, to, bytes } = this.#flights.shift() as Datagram;
        up.find(({ locator }) => sameLocator(locator, to))?.take(from, bytes);
        continue;
      }
      for (const server of up) {
        if (server.core.deadlineMs() > nextMs) continue;
        server.core.handleTimer(nextMs);
        this.collect(server);
      }
    }
    this.nowMs = endMs;
  }

  /** ms until it holds, or Infinity. */
  until(holds: () => boolean, limitMs: number): number {
    const startMs = this.nowMs;
    while (!holds()) {
      if (this.nowMs - startMs >= limitMs) return Infinity;
      this.run(20);
    }
    return this.nowMs - startMs;
  }
}

/** Whether these and nobody else are one ordered ring. */
function isRing(servers: readonly Server[]): boolean {
  const sorted = [...servers].sort((a, b) => compareKeys(a.membership.credential.nodeKey, b.membership.credential.nodeKey));
  return sorted.every(({ core }, i) => {
    const { predecessor, successors } = core.inspect();
    const [after, before] = [sorted[(i + 1) % sorted.length], sorted[(i + sorted.length - 1) % sorted.length]];
    return successors[0] === after?.text && predecessor === before?.text && successors.every((text) => sorted.some((server) => server.text === text));
  });
}

const stateOf = (servers: readonly Server[]): string => JSON.stringify(servers.map(({ core, logged, engine }) => {
  const { predecessor, successors } = core.inspect();
  return [predecessor, successors, logged, engine.responsibility];
}));

describe("rings", () => {
  it.each([1, 2, 3])("of two authorities whose servers know each other never mix (seed %i)", (seed) => {
    const rings = new Rings(seed);
    const [ours, theirs] = [rings.add(5, AUTHORITY, 0, 8), rings.add(3, OTHER_AUTHORITY, 0, 8)];
    expect(rings.until(() => isRing(ours) && isRing(theirs), 6_000)).toBeLessThan(4_000);
    rings.run(20_000);
    expect(isRing(ours) && isRing(theirs)).toBe(true);
    for (const { core, logged } of rings.servers) {
      expect(core.counters.get("foreign-ring")).toBeGreaterThan(0);
      expect(logged).toContain("foreign-ring");
      expect(core.inspect().sessions).toBeLessThan(ours.some((server) => server.core === core) ? 5 : 3);
    }
  });

  it("do without a server whose credential has ended, and drop one whose credential ends", () => {
    const rings = new Rings(4);
    const members = rings.add(3);
    const [late] = rings.add(1, AUTHORITY, WALL_MS / 1_000 + 30, 3) as [Server];
    rings.run(10_000);
    expect(isRing([...members, late])).toBe(true);
    rings.run(25_000);
    expect(isRing(members)).toBe(true);
    late.start();
    rings.run(10_000);
    expect(isRing(members)).toBe(true);
    expect(late.logged).toContain("own-credential-ended");
    for (const { core } of members) expect(core.counters.get("credential-ended")).toBeGreaterThan(0);
  });
});

it("in a large ring a lookup takes one way to the responsible server and one back, though the two have never met", () => {
  const rings = new Rings(11);
  const servers = rings.add(48, AUTHORITY, 0, 1);
  expect(rings.until(() => isRing(servers), 20_000)).toBeLessThan(20_000);
  const client = makeLocator(Uint8Array.of(198, 51, 100, 1), 7_000);
  const isBetween = ({ from, to }: Datagram, a: Server, b: Server): boolean => [[a, b], [b, a]].some(([x, y]) => sameLocator(from, (x as Server).locator) && sameLocator(to, (y as Server).locator));
  let met = 0;
  for (const owner of servers) {
    const asker = servers.find((server) => server !== owner && !rings.wire.some((datagram) => isBetween(datagram, server, owner)));
    if (asker === undefined) continue;
    const since = rings.wire.length;
    asker.take(client, encodeControl({ type: "LOCATE", ringKey: owner.membership.credential.nodeKey }, rings.bytes(8)));
    rings.run(100);
    const told = rings.wire.slice(since).find((datagram) => sameLocator(datagram.to, client));
    const between = rings.wire.slice(since).filter((datagram) => isBetween(datagram, asker, owner));
    expect([told === undefined ? null : typeOf(told), between.filter(({ atMs }) => atMs <= (told?.atMs ?? 0)).map(typeOf)]).toEqual(["LOCATED", ["ROUTED"]]);
    const routed = between[0] as Datagram;
    expect((told?.atMs ?? Infinity) - routed.atMs, "one way back").toBe(DELAY_MS);
    met += 1;
  }
  expect(met, "pairs that have never met").toBeGreaterThan(20);
});

describe("a server that restarts", () => {
  it.each([[0, 1], [-3_600_000, 2], [3_600_000, 3], [-10, 4]])("at once, with its clock %i ms off, is in its place within a second and nobody is taken for dead (seed %i)", (clockErrorMs, seed) => {
    const rings = new Rings(seed);
    const servers = rings.add(5);
    rings.run(10_000);
    expect(isRing(servers)).toBe(true);
    const logs = servers.map(({ logged }) => logged.length);
    const server = servers[seed] as Server;
    server.up = false;
    rings.run(300);
    server.clockErrorMs = clockErrorMs;
    server.start();
    logs[seed] = 0;
    expect(rings.until(() => isRing(servers), 5_000)).toBeLessThan(1_000);
    rings.run(3_000);
    expect(isRing(servers)).toBe(true);
    for (const [i, { logged }] of servers.entries()) expect(logged.slice(logs[i]).filter((event) => /^node-|alone/.test(event))).toEqual([]);
  });

  it("is back under a flood of HELLOs from made-up addresses", () => {
    const rings = new Rings(9);
    const servers = rings.add(4);
    rings.run(10_000);
    const shown = admitServer(OTHER_AUTHORITY, rings.bytes).credential.bytes.slice();
    shown.set((servers[0] as Server).membership.credential.authority, 1);
    const [first, , third] = servers as [Server, Server, Server, Server];
    third.up = false;
    const outageMs: number[] = [];
    for (let ms = 0; ms < 2_500; ms += 10) {
      for (const target of servers) {
        if (!target.up) continue;
        for (let i = 0; i < 5; i += 1) target.take(makeLocator(Uint8Array.of(198, 18, ...rings.bytes(2)), 1), encodeControl({ type: "HELLO", credential: shown }, rings.bytes(8)));
      }
      if (ms === 500) third.start();
      if (ms > 500 && isRing(servers)) outageMs.push(ms - 500);
      rings.run(10);
    }
    expect(first.core.counters.get("hello-rate")).toBeGreaterThan(500);
    expect(first.core.counters.get("credential")).toBeLessThanOrEqual(700);
    expect(outageMs[0] ?? Infinity).toBeLessThan(1_000);
    expect(isRing(servers)).toBe(true);
  });
});

describe("packets in the name of the server where ways lead", () => {
  it("for ids that are not the receiver's cost no way: each is looked up, once a second, and lookups of all of them leave room", () => {
    const rings = new Rings(11);
    const servers = rings.add(12);
    rings.run(10_000);
    expect(isRing(servers)).toBe(true);
    const sorted = [...servers].sort((a, b) => compareKeys(a.membership.credential.nodeKey, b.membership.credential.nodeKey));
    const [asker, far] = [sorted[0], sorted[10]] as [Server, Server]; // behind the list of successors, so that a lookup takes its time
    const keys = Array.from({ length: 100 }, (_, i) => plusPowerOfTwo(far.membership.credential.nodeKey, 20).map((byte, at) => (at === 15 ? i : byte)));
    const say = (upcall: Upcall): void => {
      asker.core.handleUpcalls(rings.nowMs, [upcall]);
      rings.collect(asker);
    };
    const back = (ringKey: Uint8Array): void => say({ kind: "no-trigger", id: Uint8Array.from([...ringKey, ...new Uint8Array(16)]), from: sorted[11]?.locator as Locator, nonce: new Uint8Array(8), forwarded: true, requestBytes: 200 });
    const ways = (): number => keys.filter((key) => asker.engine.nextServers.has(toHex(key))).length;
    const refreshed = (): number => asker.core.counters.get("routes-astray");
    for (const key of keys) {
      say({ kind: "route-miss", ringKey: key, from: makeLocator(Uint8Array.of(192, 0, 2, 1), 1) });
      rings.run(30);
    }
    rings.run(1_100);
    expect(ways()).toBe(100);
    for (let round = 0; round < 3; round += 1) {
      back(keys[0] as Uint8Array);
      expect([refreshed(), ways(), asker.core.inspect().waiting]).toEqual([round + 1, 100, 1]);
      rings.run(200);
      expect([asker.core.inspect().waiting, ways()]).toEqual([0, 100]);
      back(keys[0] as Uint8Array);
      expect(refreshed()).toBe(round + 1);
      rings.run(1_000);
    }
    for (const key of keys) back(key);
    expect([asker.core.inspect().waiting, ways()]).toEqual([15 + 29, 100]); // the server counts as one source, as one that has proven its address
    rings.run(500);
    expect([asker.core.inspect().waiting, ways(), asker.core.counters.get("routes-dropped")]).toEqual([0, 100, 0]);
  });
});

describe("everything that was ever said, said again", () => {
  const said = (): { readonly rings: Rings; readonly servers: Server[] } => {
    const rings = new Rings(6);
    const servers = rings.add(5);
    rings.run(8_000);
    const leaver = servers.pop() as Server;
    leaver.core.leave(rings.nowMs);
    rings.collect(leaver);
    rings.run(2_000);
    leaver.up = false;
    rings.servers.splice(rings.servers.indexOf(leaver), 1);
    expect(rings.until(() => isRing(servers), 4_000)).toBeLessThan(4_000);
    rings.run(3_000);
    for (const type of ["LEAVING", "NOTIFY", "FIND", "STATE"]) expect(rings.wire.some((datagram) => typeOf(datagram) === type), type).toBe(true);
    return { rings, servers };
  };
  const THIEF = makeLocator(Uint8Array.of(198, 51, 100, 9), 5_000);

  /** At one moment, so that nothing else happens; what is answered is small, and goes to the thief but for an echo of a HELLO. */
  function repeatAll(rings: Rings, servers: readonly Server[]): void {
    const tape = rings.wire.filter(({ atMs }) => atMs + DELAY_MS < rings.nowMs); // what has not arrived yet is still new
    for (const server of servers) {
      const before = stateOf([server]);
      for (const { to, bytes } of tape) {
        if (!sameLocator(to, server.locator)) continue;
        const since = rings.wire.length;
        server.take(THIEF, bytes);
        const answers = rings.wire.slice(since);
        expect(answers.length).toBeLessThanOrEqual(1);
        for (const answer of answers) {
          expect(["HELLO_YES", "HELLO_AGAIN"]).toContain(typeOf(answer));
          expect(answer.to).toEqual(THIEF);
          expect(answer.bytes.length).toBeLessThanOrEqual(bytes.length);
        }
      }
      expect(stateOf([server])).toBe(before);
    }
  }

  it("changes nothing in a ring that stands, nor when one has restarted, nor when all have", () => {
    const { rings, servers } = said();
    repeatAll(rings, servers);
    const [first, ...others] = servers as [Server, ...Server[]];
    first.start();
    repeatAll(rings, servers);
    expect(rings.until(() => isRing(servers), 5_000)).toBeLessThan(1_500);
    repeatAll(rings, servers);
    for (const server of others) server.start();
    repeatAll(rings, servers);
    expect(rings.until(() => isRing(servers), 5_000)).toBeLessThan(4_000);
    repeatAll(rings, servers);
    rings.run(2_000);
    expect(isRing(servers)).toBe(true);
  });
});
