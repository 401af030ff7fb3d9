/** What keeps two hosts together: two proxies of ours over the ring, or another program between the same hosts. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { Laptop, startRing, type RingServer } from "@i3/demo";

import { nativeProcess } from "../handshake/responder-ours.js";
import { startPeer } from "../tunnel/bed.js";
import type { Bed } from "./bed.js";
import type { SubjectName } from "./plan.js";
import type { Direction } from "./probe.js";

export interface WayEvent {
  readonly direction: Direction;
  /** Since 1970. */
  readonly atMs: number;
  readonly to: string;
}

export interface Subject {
  readonly name: SubjectName;
  readonly deskAddress: string;
  readonly moverAddress: string;
  /** Until packets go by the way that they will stay on, for as long as nobody moves. */
  settle(): Promise<void>;
  /** When packets from each end went another way since then, and whither; of ours, for who looks into a figure. */
  story(sinceMs: number): readonly WayEvent[];
  /** Before its hosts go. */
  close(): Promise<void>;
}

export interface OurSubject extends Subject {
  readonly ring: readonly RingServer[];
  readonly proxies: { readonly mover: Laptop; readonly desk: Laptop };
}

const STRONGSWAN = fileURLToPath(new URL("../../peers/strongswan.sh", import.meta.url));
const START_MS = 60_000;
const SETTLE_MS = 30_000;
/** Longer than a path takes to be found (3 s). */
const STEADY_MS = 2_000;
const LOOK_MS = 50;
const RELAYED = '<rules><rule name=".*\\.i3" go="i3" shortcut="no"/></rules>';

/** @param mayGoStraight false: all packets go over the ring */
export async function startOurs({ mover, desk, servers }: Bed, { mayGoStraight }: { readonly mayGoStraight: boolean }): Promise<OurSubject> {
  const ring = await startRing(servers);
  const options = { serverAddresses: servers.map(({ address4 }) => address4), ...(mayGoStraight ? {} : { rules: RELAYED }) };
  const proxies = { mover: await Laptop.make(mover, options), desk: await Laptop.make(desk, options) };
  await proxies.mover.writeBook({ "desk.i3": proxies.desk });
  await proxies.desk.writeBook({ "mover.i3": proxies.mover });
  await Promise.all([proxies.mover.start(), proxies.desk.start()]);
  Object.values(proxies).forEach(nativeProcess);
  await untilAnswered(() => mover.exec("ping", ["-c1", "-W2", "desk.i3"]));
  const both = [proxies.mover, proxies.desk];
  return {
    name: "ours", ring, proxies, deskAddress: proxies.desk.hit, moverAddress: proxies.mover.hit,
    settle: async () => {
      if (!mayGoStraight) return void (await sleep(STEADY_MS));
      // What the move before has left behind: of a peer with many lines the log has one in 10 s only.
      await sleep(STEADY_MS);
      for (const startMs = Date.now(); Date.now() < startMs + SETTLE_MS; await sleep(LOOK_MS)) {
        const last = both.map((proxy) => pathEvents(proxy).at(-1));
        if (last.every((event) => event !== undefined && event.to !== "i3" && Date.now() - event.atMs > STEADY_MS)) return;
      }
      throw new Error(`no way past i3 within ${SETTLE_MS} ms\n${both.map(({ child }) => child?.tail(10)).join("\n")}`);
    },
    close: () => Promise.resolve(),
    story: (sinceMs) => (["mover", "desk"] as const).flatMap((end) =>
      pathEvents(proxies[end]).filter(({ atMs }) => atMs >= sinceMs).map((event) => ({ direction: end === "mover" ? "fromMover" : "toMover", ...event }))),
  };
}

interface PathEvent {
  readonly atMs: number;
  readonly to: string;
}

/** Where packets of a proxy went, and when that changed. */
function pathEvents({ child }: Laptop): readonly PathEvent[] {
  return (child?.lines ?? []).flatMap(({ text }) => {
    if (!text.includes('"event":"path"')) return [];
    const { time, to } = JSON.parse(text) as { readonly time: string; readonly to: string };
    return [{ atMs: Date.parse(time), to }];
  });
}

export async function startOther(name: Exclude<SubjectName, "ours">, { mover, desk }: Bed): Promise<Subject> {
  const still = { name, settle: () => sleep(STEADY_MS), story: () => [] };
  if (name === "wireguard-go") return { ...still, deskAddress: (await startPeer(name, mover, desk)).address, moverAddress: "10.66.0.1", close: () => Promise.resolve() };
  // Not in /run, over which each charon has another.
  const directory = await mkdtemp(join(tmpdir(), "i3-strongswan-"));
  const close = (): Promise<void> => rm(directory, { recursive: true, force: true });
  try {
    const { stdout } = await promisify(execFile)(STRONGSWAN, ["up", mover.namespace.name, mover.address4, desk.namespace.name, desk.address4, directory], { timeout: START_MS });
    return { ...still, deskAddress: stdout.trim(), moverAddress: "10.71.0.1", close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function untilAnswered(ping: () => Promise<{ readonly status: number }>): Promise<void> {
  for (const startMs = Date.now(); Date.now() < startMs + SETTLE_MS; ) if ((await ping()).status === 0) return;
  throw new Error(`no answer within ${SETTLE_MS} ms`);
}

