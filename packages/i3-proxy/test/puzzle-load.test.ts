/** Puzzles get hard with what a proxy answers, and easy again: its packet engine tells, `HipHost` hears it. Real core and engine, virtual time. */
import { concatBytes, makeLocator, sameBytes, type Locator } from "@i3/common";
import { decodeHipPacket, encodeDhGroupList, encodeHipPacket, encodeSolution, HIP_PACKET, parameter, PARAMETER } from "@i3/hip";
import { describe, expect, it } from "vitest";

import { addHost, World } from "../../../test/sim/world.js";

const MARK = new Uint8Array(4);
const STEP_MS = 50;
/** An epoch, after which the difficulty falls, and a second until the load is told. */
const CALM_MS = 61_000;

function bed() {
  const world = new World();
  const home = addHost(world, "198.51.100.2", { servers: [], security: "esp", hip: { udpPort: 10_500, ipProtocol: true } });
  world.run(1_000);
  let sources = 0;
  const newcomer = (): { readonly from: Locator; readonly hit: Uint8Array } => {
    sources += 1;
    const last = [sources >> 16, sources >> 8, sources].map((byte) => byte & 0xff);
    return { from: makeLocator(Uint8Array.of(100, ...last), 10_500), hit: Uint8Array.of(0x20, 1, 0, 0x21, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...last) };
  };
  const packetOf = (hit: Uint8Array, type: number, contents: { readonly type: number; readonly contents: Uint8Array }): Uint8Array =>
    concatBytes(MARK, encodeHipPacket({ type, version: 2, controls: 0, senderHit: hit, receiverHit: home.identity.hit }, [contents]));
  const i1Of = (hit: Uint8Array): Uint8Array => packetOf(hit, HIP_PACKET.i1, { type: PARAMETER.dhGroupList, contents: encodeDhGroupList([7]) });
  /** PUZZLE of the R1 that a newcomer gets now. */
  const puzzle = (sender = newcomer()): Uint8Array => {
    world.wire.length = 0;
    world.inject(home.node, { udp: { from: sender.from, bytes: i1Of(sender.hit) } });
    const r1 = world.wire.find(({ to }) => sameBytes(to.address, sender.from.address))?.bytes.subarray(MARK.length) ?? new Uint8Array();
    return parameter(decodeHipPacket(r1), PARAMETER.puzzle)?.contents ?? new Uint8Array();
  };
  const difficulty = (): number => puzzle()[0] ?? NaN;
  /** So many I1s a second, each of another host. */
  const i1Storm = (perSecond: number, forMs: number): void => {
    for (let atMs = 0; atMs < forMs; atMs += STEP_MS) {
      world.injectAll(home.node, Array.from({ length: (perSecond * STEP_MS) / 1_000 }, newcomer).map(({ from, hit }) => ({ from, bytes: i1Of(hit) })));
      world.run(STEP_MS);
    }
  };
  /** So many I2s a second, each with a solution of its own for the puzzles of a few hosts, and nothing else in it. */
  const i2Storm = (perSecond: number, forMs: number): void => {
    const solvers = Array.from({ length: 5 }, newcomer).map((sender) => ({ ...sender, puzzle: puzzle(sender) }));
    let n = 0;
    for (let atMs = 0; atMs < forMs; atMs += STEP_MS) {
      for (let i = 0; i < (perSecond * STEP_MS) / 1_000; i += 1) {
        const solver = solvers[(n += 1) % solvers.length] as (typeof solvers)[number];
        const random = solver.puzzle.slice(4);
        const contents = encodeSolution({ difficulty: solver.puzzle[0] ?? 0, opaque: solver.puzzle.slice(2, 4), random, solution: world.random(random.length) });
        world.inject(home.node, { udp: { from: solver.from, bytes: packetOf(solver.hit, HIP_PACKET.i2, { type: PARAMETER.solution, contents }) } });
      }
      world.run(STEP_MS);
    }
  };
  return { world, difficulty, i1Storm, i2Storm };
}

describe("puzzles of a proxy", () => {
  it.each([["I1s", 1_200, 900], ["I2s", 80, 40]] as const)("are hard while more %s come than it answers without noticing, and easy again afterwards", (kind, many, few) => {
    const { world, difficulty, i1Storm, i2Storm } = bed();
    const storm = kind === "I1s" ? i1Storm : i2Storm;
    expect(difficulty()).toBe(0);
    storm(few, 7_000);
    expect(difficulty()).toBe(0);
    storm(many, 7_000);
    expect(difficulty()).toBe(10);
    world.run(CALM_MS);
    expect(difficulty()).toBe(0);
  });
});
