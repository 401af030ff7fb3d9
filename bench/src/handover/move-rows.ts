/** A row for each figure of each move, on each path: ours beside what others make of the same move in the same run. */
import { setTimeout as sleep } from "node:timers/promises";

import type { NetNode } from "@i3/netns";

import { makeRow, median, worst, type Row } from "../report.js";
import { pings } from "../handshake/first-answer-rows.js";
import { openBed, type Bed } from "./bed.js";
import { MOVES, type Figure, type Move, type Wanted } from "./moves.js";
import { say, type Plan, type SubjectName } from "./plan.js";
import { busySpans, INTERVAL_MS, lostOf, recoveryOf, stallOf, startProbes, type Direction, type Flow } from "./probe.js";
import { startOther, startOurs, type Subject } from "./subject.js";

const PINGS = 20;
/** Before the move, to see how even the stream is on this machine: about as long as a make-before-break takes. */
const STILL_MS = 4_000;
/** Before a change of ways, and after its first packets have come. */
const AROUND_MS = 50;
/** Some begin anew after 15 s. */
const OTHERS_WATCH_MS = 20_000;

/** `still`: as `own`, in the 4 s before. */
type Figures = Readonly<Record<Figure | "still", number>>;

/** Of one run. */
interface Seen {
  readonly fromMover: Figures;
  readonly toMover: Figures;
  /** The longest time without an arrival of plain packets over a path that nothing happens to: how even this machine was meanwhile. */
  readonly plainGap: number;
}

interface Measured {
  readonly roundTripMs: number;
  readonly runs: readonly Seen[];
}

export async function moveRows(plan: Plan): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const move of MOVES) {
    if (!plan.rows.has(move.row)) continue;
    for (const roundTripMs of plan.roundTrips) {
      const measured = new Map<SubjectName, Measured>();
      for (const name of plan.subjects) if (name === "ours" || move.isRelayed !== true) measured.set(name, await measure(plan, move, name, roundTripMs));
      for (const wanted of move.wanted) rows.push(rowOf(move, wanted, roundTripMs, measured));
    }
  }
  return rows;
}

async function measure(plan: Plan, move: Move, name: SubjectName, roundTripMs: number): Promise<Measured> {
  const runs = name === "ours" ? plan.runs : plan.othersRuns;
  const seen: Seen[] = [];
  let plainMs = NaN;
  while (seen.length < runs) {
    const bed = await openBed({ ...move.bed, roundTripMs });
    try {
      await move.prepare?.(bed);
      // The least: limits must not grow with what a busy machine adds.
      plainMs = Math.min(...(await pings(bed.mover, bed.desk.address4, PINGS)));
      const subject = name === "ours" ? await startOurs(bed, { mayGoStraight: move.isRelayed !== true }) : await startOther(name, bed);
      try {
        do {
          seen.push(await oneRun(bed, move, subject));
          await move.restore?.(bed);
        } while (move.restore !== null && seen.length < runs);
      } finally {
        await subject.close();
      }
    } finally {
      await bed.topology.close();
    }
  }
  return { roundTripMs: plainMs, runs: seen };
}

async function oneRun(bed: Bed, move: Move, subject: Subject): Promise<Seen> {
  const { core, dsl } = bed;
  const probes = await startProbes({ ...bed, ...subject });
  const plain = await startProbes({ mover: core, desk: dsl, moverAddress: addressTowards(core, dsl), deskAddress: addressTowards(dsl, core) });
  await subject.settle();
  const stillMs = Date.now();
  await sleep(STILL_MS);
  const fromMs = Date.now();
  await move.act(bed, subject);
  const actedMs = Date.now();
  await sleep(subject.name === "ours" ? move.watchMs : OTHERS_WATCH_MS);
  const toMs = Date.now();
  const [flows, plainFlows] = await Promise.all([probes.stop(), plain.stop()]);
  const [before, window] = [{ fromMs: stillMs, toMs: fromMs }, { fromMs, toMs }];
  const busy = Object.values(plainFlows).flatMap((flow) => busySpans(flow, { fromMs: stillMs, toMs }));
  const figures = (flow: Flow): Figures => {
    const { gapMs, ownGapMs } = stallOf(flow, window, busy);
    const { afterMs, behindMs } = recoveryOf(flow, { fromMs: actedMs, toMs });
    return { gap: gapMs, own: ownGapMs, after: afterMs, behind: behindMs, lost: lostOf(flow, window), still: stallOf(flow, before, busy).ownGapMs };
  };
  const plainGap = Math.max(...Object.values(plainFlows).map((flow) => stallOf(flow, window).gapMs));
  const seen = { fromMover: figures(flows.fromMover), toMover: figures(flows.toMover), plainGap };
  const told = (direction: Direction): string =>
    `${Object.entries(seen[direction]).map(([figure, value]) => `${figure} ${value.toFixed(figure === "lost" ? 0 : 1)}`).join(", ")} (gap over at +${stallOf(flows[direction], window).overAfterMs.toFixed(0)} ms)`;
  say(`${move.name}, ${bed.roundTripMs} ms, ${subject.name}: from the mover ${told("fromMover")}; towards it ${told("toMover")}; plain gap ${plainGap.toFixed(1)}`);
  for (const { direction, atMs, to } of subject.story(fromMs)) {
    const { gapMs } = stallOf(flows[direction], { fromMs: atMs - AROUND_MS, toMs: atMs + bed.roundTripMs + AROUND_MS });
    say(`    ${direction === "fromMover" ? "from the mover" : "towards it"}, +${(atMs - fromMs).toFixed(0)} ms: by ${to}, longest gap around that ${gapMs.toFixed(1)} ms`);
  }
  return seen;
}

const addressTowards = (node: NetNode, other: NetNode): string => node.interfaces.find(({ name }) => name === `to-${other.name}`)?.address4 ?? "";

function rowOf({ name: move }: Move, { name, figure, directions, atMost }: Wanted, pathMs: number, measured: ReadonlyMap<SubjectName, Measured>): Row {
  const ofRun = (run: Seen, what: keyof Figures): number => Math.max(...directions.map((direction) => run[direction][what]));
  const of = (subject: SubjectName, what: keyof Figures): readonly number[] => (measured.get(subject)?.runs ?? []).map((run) => ofRun(run, what));
  const others = [...measured.keys()].filter((subject) => subject !== "ours");
  const plainMs = measured.get("ours")?.roundTripMs ?? NaN;
  const isLost = figure === "lost";
  const row = makeRow({
    name: `${move}, ${pathMs} ms: ${name}`, unit: isLost ? "" : "ms", better: "lower", ...(isLost && { judged: "worst" as const }), runs: of("ours", figure),
    baselines: { limit: atMost(plainMs), ...Object.fromEntries(others.map((subject) => [subject, isLost ? worst(of(subject, figure), "lower") : median(of(subject, figure))])) }, limits: { limit: 1 },
  });
  const beside = (what: keyof Figures): Readonly<Record<string, number>> => Object.fromEntries([...measured.keys()].map((subject) => [subject, median(of(subject, what))]));
  const plainGaps = Object.fromEntries([...measured].map(([subject, { runs }]) => [subject, median(runs.map(({ plainGap }) => plainGap))]));
  return { ...row, beside: { "packets lost": beside("lost"), "longest gap before the move, ms": beside("still"), [`longest gap of plain packets meanwhile, ms, of ${INTERVAL_MS}`]: plainGaps, "shortest round trip of plain IP, ms": { measured: plainMs } }, isRequired: true };
}
