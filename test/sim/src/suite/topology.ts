/**
 * A transit-stub network, as GT-ITM makes them: domains of transit routers, stubs on each router, nodes in each stub. Delays one way, ms, drawn from the seed:
 *
 *     5 transit domains × 4 routers × 5 stubs × 20 nodes = 2,000 nodes
 *     between domains   30–70   a ring of the domains, and half of the other pairs
 *     within a domain   10–20   a path of its routers, and 60 % of the other pairs
 *     router to stub     2–8
 *     node to its stub   1–3
 */
import type { Draw } from "./draw.js";

const DOMAINS = 5;
const ROUTERS = 4;
const STUBS = 5;
const NODES = 20;
export const TOPOLOGY_NODES = DOMAINS * ROUTERS * STUBS * NODES;

/** One way between two nodes by number, whole ms. */
export type Delay = (from: number, to: number) => number;

export function transitStub(draw: Draw): Delay {
  const routers = shortestPaths(transitLinks(draw));
  const stubMs = Array.from({ length: DOMAINS * ROUTERS * STUBS }, () => draw.between(2, 8));
  const nodeMs = Array.from({ length: TOPOLOGY_NODES }, () => draw.between(1, 3));
  // Which node is where has nothing to do with when it joins.
  const places = shuffled(draw, TOPOLOGY_NODES);
  return (from, to) => {
    const [a, b] = [places[from] ?? 0, places[to] ?? 0];
    const ends = (nodeMs[a] ?? 0) + (nodeMs[b] ?? 0);
    const [stubA, stubB] = [Math.floor(a / NODES), Math.floor(b / NODES)];
    if (stubA === stubB) return ends;
    const between = routers[Math.floor(stubA / STUBS)]?.[Math.floor(stubB / STUBS)] ?? 0;
    return ends + (stubMs[stubA] ?? 0) + between + (stubMs[stubB] ?? 0);
  };
}

/** Delays of the links between routers; Infinity where there is none. */
function transitLinks(draw: Draw): number[][] {
  const count = DOMAINS * ROUTERS;
  const links = Array.from({ length: count }, (_, i) => Array.from({ length: count }, (_, j) => (i === j ? 0 : Infinity)));
  const link = (a: number, b: number, ms: number): void => {
    (links[a] as number[])[b] = ms;
    (links[b] as number[])[a] = ms;
  };
  for (let domain = 0; domain < DOMAINS; domain += 1) {
    for (let i = 0; i < ROUTERS; i += 1) {
      for (let j = i + 1; j < ROUTERS; j += 1) {
        if (j === i + 1 || draw.part() < 0.6) link(domain * ROUTERS + i, domain * ROUTERS + j, draw.between(10, 20));
      }
    }
    for (let other = domain + 1; other < DOMAINS; other += 1) {
      const isRing = other === domain + 1 || (domain === 0 && other === DOMAINS - 1);
      if (isRing || draw.part() < 0.5) link(domain * ROUTERS + draw.below(ROUTERS), other * ROUTERS + draw.below(ROUTERS), draw.between(30, 70));
    }
  }
  return links;
}

/** Floyd and Warshall. */
function shortestPaths(links: number[][]): number[][] {
  for (const [k, through] of links.entries()) {
    for (const row of links) {
      for (let j = 0; j < row.length; j += 1) row[j] = Math.min(row[j] as number, (row[k] as number) + (through[j] as number));
    }
  }
  return links;
}

function shuffled(draw: Draw, count: number): number[] {
  const out = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i -= 1) {
    const j = draw.below(i + 1);
    [out[i], out[j]] = [out[j] as number, out[i] as number];
  }
  return out;
}
