/**
 * All servers of a ring are restarted one after the other, the first hardly a second after the ring has come to be, and programs behind
 * port-dependent NATs lose no packet (docs/failures.md). Virtual time; I3_RESTARTS=200 for so many rings, not only these.
 */
import { locatorText, privateId } from "@i3/common";
import { triggerKeyFromSeed } from "@i3/hip";
import type { ServerCore } from "@i3/i3-server";
import { expect, it } from "vitest";

import { World, type Node } from "../../../test/sim/world.js";
import { filled } from "./fake-ring.js";
import { Program } from "./program.js";

const SERVERS = 4;
const EVERY_MS = 20;
const RINGS = Number(process.env["I3_RESTARTS"] ?? 6);

/** What became of the packets of both while all servers were restarted. */
function restartAll(seed: number): { readonly sent: number; readonly lostAtMs: readonly number[]; readonly told: readonly string[] } {
  const world: World = new World({ seed: `restarts ${seed}`, delayBetweenMs: () => 0.3 + ((world.random(1)[0] ?? 0) / 256) * 3 });
  const draw = (least: number, most: number): number => least + ((world.random(1)[0] ?? 0) / 256) * (most - least);
  const told: string[] = [];
  const memberships = Array.from({ length: SERVERS }, () => world.membership());
  const places = memberships.map((_, i) => world.node(`192.0.2.${i + 1}`));
  const start = (i: number): Node => world.server(i + 1, places.filter((_place, other) => other !== i), memberships[i]);
  const ring: Node[] = [];
  for (let i = 0; i < SERVERS; i += 1) {
    ring.push(start(i));
    world.run(draw(0, 30));
  }
  world.run(draw(500, 1_000));
  const programs = [1, 2].map((n) => {
    const program = new Program(world, `198.51.100.${n}`, ring);
    program.node.symmetric = new Map();
    return program;
  });
  const ids = programs.map((program, i) => {
    const key = triggerKeyFromSeed(world.random(32));
    const id = privateId(key.prefix, filled(16, i));
    program.listen(id);
    program.client.insertTrigger(world.nowMs, id, { kind: "private", key });
    return id;
  });
  world.run(1_000, () => programs.every((program, i) => program.isLive(ids[i] as Uint8Array)));
  programs.forEach((program, i) => program.client.openPath(ids[1 - i] as Uint8Array));

  const sentMs: number[] = [];
  const say = (): void => {
    programs.forEach((program, i) => program.say(ids[1 - i] as Uint8Array, String(sentMs.length)));
    sentMs.push(world.nowMs);
    world.run(EVERY_MS);
    world.wire.length = 0;
  };
  const sayUntil = (what: string, holds: () => boolean): void => {
    for (let left = 30_000 / EVERY_MS; !holds(); left -= 1) {
      if (left <= 0) throw new Error(`seed ${seed}: not ${what} within 30 s`);
      say();
    }
  };
  const note = (what: string): void => void told.push(`${world.nowMs.toFixed(0)} ${what}; triggers at ${programs.map((program, i) => program.serverOf(ids[i] as Uint8Array)).join(" and ")}`);
  const sayFor = (ms: number): void => {
    const endMs = world.nowMs + ms;
    sayUntil("over", () => world.nowMs >= endMs);
  };
  sayFor(draw(100, 500));
  for (let i = 0; i < SERVERS; i += 1) {
    const node = ring[i] as Node;
    const core = node.core as ServerCore;
    note(`${locatorText(node.locator)} is to leave`);
    core.leave(world.nowMs);
    world.inject(node, {});
    sayUntil("left", () => core.hasLeft);
    node.down = true;
    sayFor(draw(100, 400));
    const fresh = start(i);
    ring[i] = fresh;
    note("started again");
    sayUntil("claiming", () => fresh.log.some(({ event }) => event === "claims"));
  }
  world.run(1_000);
  const lostAtMs = programs.flatMap((program) => {
    const arrived = new Set(program.texts());
    return sentMs.filter((_ms, n) => !arrived.has(String(n)));
  });
  return { sent: 2 * sentMs.length, lostAtMs, told };
}

it(`no packet is lost when all servers are restarted (${RINGS} rings)`, () => {
  let all = 0;
  for (let seed = 1; seed <= RINGS; seed += 1) {
    const { sent, lostAtMs, told } = restartAll(seed);
    all += sent;
    const [first, last] = [lostAtMs[0], lostAtMs.at(-1)];
    if (first !== undefined) throw new Error(`seed ${seed}: ${lostAtMs.length} of ${sent} packets lost, sent from ${first} to ${last} ms:\n${told.join("\n")}`);
  }
  process.stdout.write(`    ${RINGS} rings: 0 of ${all} packets lost\n`);
  expect(all).toBeGreaterThan(RINGS * 2_000);
}, 600_000 + RINGS * 20_000);
