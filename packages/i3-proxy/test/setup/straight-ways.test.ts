import { describe, expect, it } from "vitest";

import { makeLocator, type Locator } from "@i3/common";
import { Random } from "@i3/common/testing";
import type { Datagram, Datapath } from "@i3/datapath";
import type { EstablishedEvent, HipHost, HipPath } from "@i3/hip";
import type { I3Client, ServerStatus } from "@i3/i3-client";

import type { Mapping } from "../../src/mappings/mapping.js";
import { OwnLocators } from "../../src/paths/own-locators.js";
import { isStraightAllowed, StraightWays, witnesses } from "../../src/setup/straight-ways.js";

const OVER_I3: HipPath = { kind: "i3", id: new Uint8Array(32) };
const PAST_I3: HipPath = { kind: "udp", locator: { address: Uint8Array.of(198, 51, 100, 2), port: 10_500 } };

it.each([
  [true, true, OVER_I3, true], [false, true, OVER_I3, false], [true, false, OVER_I3, false], [true, true, PAST_I3, false],
] as const)("packets may go past i3 when our rules say %s, both flags say %s, and the way is %o: %s", (isByRules, shortcuts, path, isAllowed) => {
  expect(isStraightAllowed({ policy: { shortcut: isByRules } } as Mapping, { shortcuts, path })).toBe(isAllowed);
});

it("servers that were only heard of are asked where they see this host when no other lives: who named them may have named any that agrees with it", () => {
  const [one, two, three] = [1, 2, 3].map((last) => makeLocator(Uint8Array.of(192, 0, 2, last), 5_610)) as [Locator, Locator, Locator];
  const asked = (...alive: readonly (readonly [Locator, number])[]): readonly Locator[] =>
    witnesses({ configuredServers: () => [one, two], servers: () => alive.map(([locator, rttMs]) => ({ locator, rttMs, liveness: "alive" }) as ServerStatus) });
  expect(asked([three, 1], [one, 30], [two, 20])).toEqual([two, one]);
  expect(asked([three, 1], [one, 30])).toEqual([one]);
  expect(asked([three, 1])).toEqual([three]);
});

describe("a peer that makes its keys anew ten times a second, and names ever new places", () => {
  /** With another key each time: who has no name here can have as many as it likes. */
  function run({ isStranger }: { readonly isStranger: boolean }) {
    const [checks, lines]: [Datagram[], string[]] = [[], []];
    const random = new Random(1);
    const mapping = { policy: { shortcut: true }, isStranger, name: isStranger ? null : "desk.i3", peerHit: new Uint8Array(16), local4: null, local6: null } as unknown as Mapping;
    const own = new OwnLocators(5_610, { network: Uint8Array.of(10, 0, 0, 0), prefixBits: 8 });
    own.setPlaces([{ interfaceIndex: 2, family: 4, addresses: [Uint8Array.of(192, 168, 1, 10)], gateway: null, prefixes: null }]);
    const ways = new StraightWays({
      datapath: { send: (datagrams: readonly Datagram[]) => void checks.push(...datagrams), flowCounters: () => null } as unknown as Datapath,
      client: { servers: () => [], configuredServers: () => [] } as unknown as I3Client, own, range: { network: Uint8Array.of(10, 0, 0, 0), prefixBits: 8 }, tunMtu: 1_400,
      randomBytes: (length) => random.bytes(length), hip: () => ({ setLocators: () => undefined }) as unknown as HipHost, mappingOf: () => mapping, install: () => undefined,
      log: (_level, event) => void lines.push(event),
    });
    for (let i = 0; i < 100; i += 1) {
      const nowMs = i * 100;
      if (isStranger) mapping.peerHit = random.bytes(16);
      ways.established(nowMs, mapping, {
        kind: "established", association: i, peer: { hit: mapping.peerHit }, spiIn: 1_000 + i, spiOut: 1, pathKeys: { in: new Uint8Array(32), out: new Uint8Array(32) }, shortcuts: true, path: OVER_I3,
      } as unknown as EstablishedEvent);
      ways.handleEvent(nowMs, { kind: "locators", association: i, locators: Array.from({ length: 16 }, (_, n) => ({ kind: "host", priority: 0, locator: makeLocator(Uint8Array.of(198, 51, i, n), 5_610) })) });
      while (ways.nextDeadlineMs() < nowMs + 100) ways.handleTimer(Math.max(nowMs, ways.nextDeadlineMs()));
      if (i >= 40) ways.close(nowMs, i - 40, true);
    }
    return { checks: checks.length, lines };
  }

  it("has 64 checks, and 16 a second, and four lines in the log, and one in 10 s", () => {
    const { checks, lines } = run({ isStranger: false });
    expect([checks > 200, checks <= 64 + 160]).toEqual([true, true]);
    expect(lines).toEqual(["path", "path", "path", "path"]);
  });

  it("has half of all checks when it has no name here", () => {
    const { checks } = run({ isStranger: true });
    expect([checks > 600, checks <= 200 + 500]).toEqual([true, true]);
  });
});
