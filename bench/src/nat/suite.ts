/**
 * Suite `nat`: every kind of NAT against every other (bench/README.md). Real proxies, a ring of three, NATs of nftables.
 *
 *     npm run bench -- nat [--json FILE] [--only one-level,two-levels,two-families,KIND,…] [--quick]
 */
import { makeRow, type Row } from "../report.js";
import { openFamilyBed, openNatBed, pairName, startFresh, type Member } from "./bed.js";
import { behindCarrier, kindName, mustBeDirect, type Kind } from "./kinds.js";
import { makePlan, say } from "./plan.js";
import { checkedPlaces, triedOf, triedText, type Tried } from "./tried.js";

/** A path is looked for so long at first; then now and then. */
const DIRECT_MS = 3_000;
/** Beyond it nothing is waited for. */
const PATIENCE_MS = 4_500;
const FIRST_ANSWER_MS = 10_000;
const LOOK_MS = 5;

interface Met {
  readonly pair: string;
  readonly caller: Kind;
  readonly called: Kind;
  /** Null: none. */
  readonly answerMs: number | null;
  /** Both send straight; null: one of them at least goes over i3. */
  readonly directMs: number | null;
  /** By the caller and by who is called, where it stays on i3. */
  readonly tried: readonly [Tried, Tried] | null;
}

export async function nat(options: { readonly quick: boolean; readonly only: string | undefined }): Promise<readonly Row[]> {
  const { rows, kinds } = makePlan(options);
  const made: Row[] = [];
  for (const [name, levels] of [["one-level", 1], ["two-levels", 2]] as const) {
    if (!rows.has(name)) continue;
    const met = await meetAll(kinds, levels);
    printMatrix(`${name}, the row calls the column: D both send straight and after how many ms, i over i3 only, - not at all`, kinds, met, wayCell);
    printMatrix(`${name}, first answer after how many ms`, kinds, met, ({ answerMs }) => answerMs?.toFixed(0) ?? "-");
    made.push(...met.map((each) => rowOf(name, each, levels)));
  }
  if (rows.has("two-families")) made.push(...(await meetFamilies()));
  return made;
}

/** By i3 both ways. */
async function meetFamilies(): Promise<readonly Row[]> {
  say("a host with IPv4 alone and one with IPv6 alone are started");
  const bed = await openFamilyBed();
  try {
    const [four, six] = [bed.near[0] as Member, bed.far[0] as Member];
    const met = [await meet(four, six), await meet(six, four)];
    return met.map((each, i) => byI3("two-families", { ...each, pair: i === 0 ? "IPv4 only calls IPv6 only" : "IPv6 only calls IPv4 only" }));
  } finally {
    await bed.close();
  }
}

/** Each kind calls each, so of two kinds both do. */
async function meetAll(kinds: readonly Kind[], levels: 1 | 2): Promise<readonly Met[]> {
  say(`${2 * kinds.length} hosts behind ${levels === 1 ? "a NAT" : "two NATs"} each`);
  const bed = await openNatBed(kinds, levels);
  try {
    const met: Met[] = [];
    for (const caller of bed.near) for (const called of bed.far) met.push(await meet(caller, called));
    return met;
  } finally {
    await bed.close();
  }
}

/** From a program's first packet, between hosts that have just been started. The name was asked before. */
async function meet(caller: Member, called: Member): Promise<Met> {
  const pair = pairName(caller, called);
  const both = [caller, called] as const;
  await Promise.all(both.map(startFresh));
  const { host } = caller;
  const address = (await host.exec("dig", ["+short", "+time=3", called.name, "A"])).stdout.trim();
  const startMs = performance.now();
  const ping = host.spawn("ping", ["-n", "-i", "0.1", "-W", "1", address]);
  const answerMs = await ping.waitForLine(/icmp_seq=\d+ ttl/, FIRST_ANSWER_MS).then(() => performance.now() - startMs, () => null);
  const isDirect = (): boolean => goesStraight(caller, called.name) && goesStraight(called, caller.name);
  while (!isDirect() && performance.now() - startMs < PATIENCE_MS) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  const directMs = isDirect() ? performance.now() - startMs : null;
  const tried = directMs === null ? await Promise.all([triedBy(caller, called), triedBy(called, caller)]) : null;
  await ping.stop();
  await Promise.all(both.map(({ laptop }) => laptop.kill()));
  say(`${pair}: first answer ${answerMs === null ? "none" : `${answerMs.toFixed(0)} ms`}, ${directMs === null ? "by i3" : `direct after ${directMs.toFixed(0)} ms`}${
    tried === null ? "" : `; the caller tried ${triedText(tried[0])}; who is called ${triedText(tried[1])}`}`);
  return { pair, caller: caller.kind, called: called.kind, answerMs, directMs, tried };
}

/** What its log says last of the way to a peer. */
function goesStraight({ laptop }: Member, peer: string): boolean {
  const told = (laptop.child?.lines ?? []).map(({ text }) => text).filter((text) => text.includes('"event":"path"') && text.includes(`"peer":"${peer}"`)).at(-1);
  return told !== undefined && !told.includes('"to":"i3"');
}

const triedBy = async ({ host }: Member, peer: Member): Promise<Tried> =>
  triedOf(await checkedPlaces(host), { own: peer.place, outside: peer.nats.at(-1)?.address4 ?? peer.place });

function rowOf(name: string, { pair, caller, called, answerMs, directMs, tried }: Met, levels: 1 | 2): Row {
  const isDue = levels === 1 ? mustBeDirect(caller, called) : mustBeDirect(behindCarrier(caller), behindCarrier(called));
  const triedBeside = tried === null ? {} : { ...triedRows("the caller", tried[0]), ...triedRows("who is called", tried[1]) };
  if (answerMs === null || (directMs === null && !isDue)) {
    return { ...byI3(name, { pair, answerMs }), beside: triedBeside };
  }
  return {
    ...makeRow({ name: `${name}, ${pair}: direct`, unit: "ms", better: "lower", runs: [directMs ?? NaN], baselines: { "3 s": DIRECT_MS }, limits: { "3 s": 1 } }),
    beside: { "first answer over i3": { ms: answerMs }, ...triedBeside }, isRequired: isDue,
  };
}

const byI3 = (name: string, { pair, answerMs }: Pick<Met, "pair" | "answerMs">): Row => ({
  ...makeRow({ name: `${name}, ${pair}: by i3, first answer`, unit: "ms", better: "lower", runs: [answerMs ?? NaN], baselines: { patience: FIRST_ANSWER_MS }, limits: { patience: 1 } }),
  isRequired: true,
});

function triedRows(who: string, tried: Tried): NonNullable<Row["beside"]> {
  const of = (what: "places" | "checks"): Readonly<Record<string, number>> => Object.fromEntries(Object.entries(tried).map(([kind, counts]) => [kind, counts[what]]));
  return { [`candidates that ${who} tried`]: of("places"), [`checks that ${who} sent there`]: of("checks") };
}

const wayCell = ({ answerMs, directMs }: Met): string => (answerMs === null ? "-" : directMs === null ? "i" : `D ${directMs.toFixed(0)}`);

function printMatrix(title: string, kinds: readonly Kind[], met: readonly Met[], cellOf: (met: Met) => string): void {
  const width = 8;
  const cell = (caller: Kind, called: Kind): string => {
    const found = met.find((each) => each.caller === caller && each.called === called);
    return found === undefined ? "" : cellOf(found);
  };
  process.stdout.write(`${title}\n`);
  process.stdout.write(`${"".padEnd(width)}${kinds.map((kind) => kindName(kind).padStart(width)).join("")}\n`);
  for (const a of kinds) process.stdout.write(`${kindName(a).padEnd(width)}${kinds.map((b) => cell(a, b).padStart(width)).join("")}\n`);
}
