/**
 * Suite `nat`: every kind of NAT against every other (bench/README.md). Real proxies, a ring of three, NATs of nftables.
 *
 *     npm run bench -- nat [--json FILE] [--only one-level,two-levels,two-families] [--quick]
 */
import { makeRow, type Row } from "../report.js";
import { openFamilyBed, openNatBed, pairName, type Member } from "./bed.js";
import { kindName, mustBeDirect, type Kind } from "./kinds.js";
import { makePlan, say } from "./plan.js";

/** A path is looked for so long at first; then now and then. */
const DIRECT_MS = 3_000;
/** Beyond it nothing is waited for. */
const PATIENCE_MS = 4_500;
const FIRST_ANSWER_MS = 10_000;
const LOOK_MS = 5;

interface Met {
  readonly pair: string;
  readonly a: Kind;
  readonly b: Kind;
  /** Null: none. */
  readonly answerMs: number | null;
  /** Both send straight; null: one of them at least goes over i3. */
  readonly directMs: number | null;
}

export async function nat(options: { readonly quick: boolean; readonly only: string | undefined }): Promise<readonly Row[]> {
  const { rows, kinds } = makePlan(options);
  const made: Row[] = [];
  for (const [name, levels] of [["one-level", 1], ["two-levels", 2]] as const) {
    if (!rows.has(name)) continue;
    const met = await meetAll(kinds, levels);
    printMatrix(name, kinds, met);
    made.push(...met.map((each) => rowOf(name, each, levels)));
  }
  if (rows.has("two-families")) made.push(...(await meetFamilies()));
  return made;
}

const FAMILIES = "IPv4 only <-> IPv6 only";

/** By i3 both ways. */
async function meetFamilies(): Promise<readonly Row[]> {
  say("a host with IPv4 alone and one with IPv6 alone are started");
  const bed = await openFamilyBed();
  try {
    const [four, six] = [bed.near[0] as Member, bed.far[0] as Member];
    const met = [await meet(four, six), await meet(six, four)];
    process.stdout.write(`two-families: ${FAMILIES}: ${met.map(({ answerMs, directMs }) => (answerMs === null ? "-" : directMs === null ? "i" : "D")).join(" and ")}\n`);
    return [makeRow({ name: `two-families, ${FAMILIES}: by i3, first answer`, unit: "ms", better: "lower", runs: met.map(({ answerMs }) => answerMs ?? NaN), baselines: {} })];
  } finally {
    await bed.close();
  }
}

async function meetAll(kinds: readonly Kind[], levels: 1 | 2): Promise<readonly Met[]> {
  say(`${2 * kinds.length} hosts behind ${levels === 1 ? "a NAT" : "two NATs"} each are started`);
  const bed = await openNatBed(kinds, levels);
  try {
    const met: Met[] = [];
    for (const [i, a] of bed.near.entries()) {
      for (const b of bed.far.slice(i)) met.push(await meet(a, b));
    }
    return met;
  } finally {
    await bed.close();
  }
}

/** From a program's first packet. The name was asked before. */
async function meet(a: Member, b: Member): Promise<Met> {
  const pair = pairName(a, b);
  const { host } = a.laptop;
  const address = (await host.exec("dig", ["+short", "+time=3", b.name, "A"])).stdout.trim();
  const from = [a, b].map(({ laptop }) => laptop.child?.lines.length ?? 0);
  const startMs = performance.now();
  const ping = host.spawn("ping", ["-n", "-i", "0.1", "-W", "1", address]);
  const answerMs = await ping.waitForLine(/icmp_seq=\d+ ttl/, FIRST_ANSWER_MS).then(() => performance.now() - startMs, () => null);
  const isDirect = (): boolean => goesStraight(a, b.name, from[0] ?? 0) && goesStraight(b, a.name, from[1] ?? 0);
  while (!isDirect() && performance.now() - startMs < PATIENCE_MS) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  const directMs = isDirect() ? performance.now() - startMs : null;
  await ping.stop();
  say(`${pair}: first answer ${answerMs === null ? "none" : `${answerMs.toFixed(0)} ms`}, ${directMs === null ? "by i3" : `direct after ${directMs.toFixed(0)} ms`}`);
  return { pair, a: a.kind, b: b.kind, answerMs, directMs };
}

/** What its log says last of the way to a peer. */
function goesStraight({ laptop }: Member, peer: string, from: number): boolean {
  const told = (laptop.child?.lines ?? []).slice(from).map(({ text }) => text).filter((text) => text.includes('"event":"path"') && text.includes(`"peer":"${peer}"`)).at(-1);
  return told !== undefined && !told.includes('"to":"i3"');
}

function rowOf(name: string, { pair, a, b, answerMs, directMs }: Met, levels: 1 | 2): Row {
  const isDue = levels === 1 && mustBeDirect(a, b);
  const beside = { "first answer over i3": { ms: answerMs ?? NaN } };
  if (directMs === null && !isDue) {
    return { ...makeRow({ name: `${name}, ${pair}: by i3, first answer`, unit: "ms", better: "lower", runs: [answerMs ?? NaN], baselines: {} }) };
  }
  return { ...makeRow({ name: `${name}, ${pair}: direct`, unit: "ms", better: "lower", runs: [directMs ?? NaN], baselines: { "3 s": DIRECT_MS }, limits: { "3 s": 1 } }), beside };
}

/** D: direct, i: by i3, -: not at all. */
function printMatrix(name: string, kinds: readonly Kind[], met: readonly Met[]): void {
  const width = 8;
  const cell = (a: Kind, b: Kind): string => {
    const found = met.find((each) => (each.a === a && each.b === b) || (each.a === b && each.b === a));
    return found === undefined ? "" : found.answerMs === null ? "-" : found.directMs === null ? "i" : `D ${found.directMs.toFixed(0)}`;
  };
  process.stdout.write(`${name}: D direct and after how many ms, i over i3 only, - not at all\n`);
  process.stdout.write(`${"".padEnd(width)}${kinds.map((kind) => kindName(kind).padStart(width)).join("")}\n`);
  for (const a of kinds) process.stdout.write(`${kindName(a).padEnd(width)}${kinds.map((b) => cell(a, b).padStart(width)).join("")}\n`);
}
