/** What a proxy waits for when it starts, and says when that does not come, and when it leaves. */
import { I3Error, type Log, type ProxyConfig } from "@i3/common";

import { clockTrouble, isUndecided } from "../policy/clock.js";
import { refusalText } from "../policy/refusal-text.js";
import type { Proxy } from "../proxy.js";

/** A start waits this long for a server's answer, and then goes on without. */
const NO_SERVER_MS = 8_000;
/** And this long for all to tell their clocks, when those that have answered say that this machine's is wrong. */
const CLOCKS_MS = 1_000;
/** READY waits this long for the triggers; names work after it too, as soon as they are in. */
const TRIGGERS_MS = 10_000;
/** A stop waits this long for peers to have heard of it: a CLOSE that was lost comes again after half a second. */
const LEAVE_MS = 700;
/** And this long for the ring to have removed our triggers. */
const UNREGISTER_MS = 1_000;
const POLL_MS = 20;

export interface StartWaits {
  readonly proxy: Proxy;
  readonly servers: ProxyConfig["servers"];
  /** The start is not to wait for anybody any more. */
  readonly signal: AbortSignal;
  readonly log: Log;
}

/** Waits for a server, and for our triggers in the ring; the log says what did not come. Rejects with I3Error when this machine's clock is wrong. */
export async function awaitRing(waits: StartWaits): Promise<void> {
  if (await awaitServer(waits)) await awaitTriggers(waits);
}

/** Peers hear that a proxy goes, and the ring forgets it. @param run calls the core while there is one @param isGone there is none any more */
export async function leaveRing({ client }: Proxy, run: (work: (proxy: Proxy, nowMs: number) => void) => void, isGone: () => boolean): Promise<void> {
  let isTold = false;
  const tell = (): boolean => {
    run((proxy, nowMs) => void (isTold = proxy.leave(nowMs)));
    return isTold;
  };
  await until(tell, LEAVE_MS, isGone);
  run((proxy, nowMs) => proxy.stop(nowMs));
  await until(() => client.triggers(performance.now()).length === 0, UNREGISTER_MS, isGone);
}

/** False when `done` does not hold within the time, or nobody waits any more. */
export async function until(done: () => boolean, limitMs: number, isGivenUp: () => boolean = () => false): Promise<boolean> {
  const endMs = performance.now() + limitMs;
  while (!done()) {
    if (isGivenUp() || performance.now() > endMs) return false;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return true;
}

/** False: none answers yet; the log says so when one does. */
async function awaitServer(waits: StartWaits): Promise<boolean> {
  const { proxy, servers, signal, log } = waits;
  const isFound = await until(() => signal.aborted || proxy.client.firstHop() !== null, NO_SERVER_MS);
  if (signal.aborted) return false;
  if (!isFound) {
    const byTcp = servers.some(({ tcp }) => tcp !== undefined) ? "" : " A server that has <fallback> is reached where UDP is not allowed when it has its tcp-port in <servers>.";
    log("warn", "no-server", { servers: servers.map(({ host, port }) => `${host.text}:${port}`), remedy: `No i3 server answers. Until one does, only hosts with an address in the address book can be reached. Check <servers>, whether this machine is online, and whether UDP to these ports is allowed.${byTcp}` });
    return false;
  }
  await checkClock(waits);
  return !signal.aborted;
}

/** Whoever answers first may be the one whose clock is wrong: the majority decides. */
async function checkClock({ proxy: { client }, signal }: StartWaits): Promise<void> {
  if (clockTrouble(client.clocks())?.isOwn !== true) return;
  await until(() => signal.aborted || !isUndecided(client.clocks()), CLOCKS_MS);
  const trouble = clockTrouble(client.clocks());
  if (trouble?.isOwn === true && !signal.aborted) throw new I3Error("ERR_I3_CLOCK", trouble.why, { remedy: trouble.remedy });
}

async function awaitTriggers({ proxy, signal, log }: StartWaits): Promise<void> {
  if (await until(() => signal.aborted || proxy.isReady(performance.now()), TRIGGERS_MS)) return;
  const codes = proxy.client.triggers(performance.now()).flatMap(({ live, refusal }) => (live || refusal === null ? [] : refusal));
  const why = codes.length === 0 ? {} : { why: `the servers refuse: ${[...new Set(codes)].map(refusalText).join("; ")}` };
  log("warn", "not-registered", { ...why, remedy: "The servers answer but have not taken this host's triggers yet; it goes on trying, at least every few seconds. Names of others work." });
}
