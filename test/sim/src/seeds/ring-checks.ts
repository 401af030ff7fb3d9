/**
 * What must hold of the ring (facts of Zave, "How to make Chord correct", 2016). Always: lists are in order and name only servers.
 * In fair weather, when servers come, go and fail but are not taken for dead while they live: her inductive invariant, and one ordered
 * ring. In quiet: the ring is exactly that of the servers that run.
 */
import { sameBytes, type RingNode } from "@i3/common";

import { endpointOfLocator, type Endpoint } from "./endpoints.js";
import type { ServerMachine } from "./server-machine.js";
import { CheckFailed, type Checked } from "./trace.js";

/** Length of a successor list (chord/constants.ts). */
const SUCCESSORS = 8;
/** A member is in all lists that it belongs to so long after it joined: eight rounds of 500 ms, the ways, and answers that were pending. */
const SETTLED_MS = 16_000;

/** Whether `x` lies strictly between `from` and `to` on the circle; `from` = `to`: everywhere but there. */
export function isBetween(from: string, x: string, to: string): boolean {
  if (from < to) return from < x && x < to;
  if (from > to) return x > from || x < to;
  return x !== from;
}

/** In order of the ring. */
export const inRingOrder = (servers: readonly ServerMachine[]): ServerMachine[] => [...servers].sort((a, b) => (a.key < b.key ? -1 : 1));

/** The server responsible for a ring key, of servers in ring order. */
export const responsible = (ordered: readonly ServerMachine[], ringKey: string): ServerMachine | undefined => ordered.find(({ key }) => key >= ringKey) ?? ordered[0];

const fail = (checker: string, message: string): never => {
  throw new CheckFailed(checker, message);
};

const listText = (servers: readonly ServerMachine[]): string => servers.map(({ number }) => number).join(" ");

/**
 * One server by itself: its list is in the order of the ring, without itself, at most eight, and of servers that there are, where they are.
 * Returns the list.
 */
export function checkLists(server: ServerMachine, servers: ReadonlyMap<Endpoint, ServerMachine>): ServerMachine[] {
  const { successors, predecessor, name, key: self } = server;
  const meant = ({ key, locator }: RingNode): ServerMachine => {
    const other = servers.get(endpointOfLocator(locator));
    return other !== undefined && sameBytes(other.node.key, key) ? other : fail("list-order", `${name} has a neighbour that is no server`);
  };
  const list = successors.map(meant);
  if (list.length > SUCCESSORS) fail("list-order", `${name} has ${list.length} successors`);
  let last = self;
  for (const { key } of list) {
    if (key === self || !isBetween(last, key, self)) fail("list-order", `${name} has its successors out of order: ${listText(list)}`);
    last = key;
  }
  if (predecessor !== null && meant(predecessor) === server) fail("list-order", `${name} is its own predecessor`);
  return list;
}

/** Zave's invariant and the one ring, of servers that all can talk. Members have joined and run. Returns how its principals were counted. */
export function checkInvariant(nowMs: number, servers: Iterable<ServerMachine>): Checked {
  const members = [...servers].filter((server) => server.isUp && !server.isLeaving && server.memberSinceMs !== null);
  const next = new Map<ServerMachine, ServerMachine>();
  for (const member of members) {
    const live = member.list.find((entry) => members.includes(entry));
    if (live === undefined) fail("live-successor", `no successor of ${member.name} lives: ${listText(member.list)}`);
    else next.set(member, live);
  }
  const counted = checkPrincipals(nowMs, members);
  checkOneRing(members, next);
  return counted;
}

/**
 * Principals are members that no adjacent pair in a list skips, the list's owner first. Who has been a member for long enough is one, and stays one. Once so many
 * have, there are r + 1, or in a smaller ring (chord.ts) all.
 */
function checkPrincipals(nowMs: number, members: readonly ServerMachine[]): Checked {
  const isSettled = ({ memberSinceMs }: ServerMachine): boolean => memberSinceMs !== null && nowMs - memberSinceMs >= SETTLED_MS;
  const least = Math.min(SUCCESSORS + 1, members.length);
  const skipped = new Map<ServerMachine, ServerMachine>();
  for (const owner of members) {
    let from = owner.key;
    for (const { key: to } of owner.list) {
      for (const member of members) if (isBetween(from, member.key, to)) skipped.set(member, owner);
      from = to;
    }
  }
  for (const [member, { name, list }] of skipped) if (isSettled(member)) fail("principals", `the list of ${name} skips ${member.name}: ${listText(list)}`);
  if (members.filter(isSettled).length < least) return "too few settled";
  if (members.length - skipped.size < least) fail("principals", `only ${members.length - skipped.size} of ${members.length} members are skipped by no list`);
  return least > SUCCESSORS ? "nine principals" : "principals of fewer";
}

/** From every member the best successors lead into one cycle, which goes round once. */
function checkOneRing(members: readonly ServerMachine[], next: ReadonlyMap<ServerMachine, ServerMachine>): void {
  const ring = new Set<ServerMachine>();
  for (const start of members) {
    const seen = new Set<ServerMachine>();
    let at = start;
    while (!seen.has(at)) {
      seen.add(at);
      at = next.get(at) as ServerMachine;
    }
    if (ring.has(at)) continue;
    if (ring.size > 0) fail("one-ring", `${start.name} is in another ring than ${[...ring].map(({ name }) => name).join(", ")}`);
    for (let member = at; !ring.has(member); member = next.get(member) as ServerMachine) ring.add(member);
  }
  for (const member of ring) {
    const to = next.get(member) as ServerMachine;
    for (const other of ring) if (isBetween(member.key, other.key, to.key)) fail("ordered-ring", `${other.name} stands between ${member.name} and its successor ${to.name}`);
  }
}

/** After quiet time: every list and predecessor is what it should be. */
export function checkIdeal(running: readonly ServerMachine[]): void {
  const ordered = inRingOrder(running);
  ordered.forEach((server, i) => {
    const wanted = Array.from({ length: Math.min(SUCCESSORS, ordered.length - 1) }, (_, step) => ordered[(i + 1 + step) % ordered.length] as ServerMachine);
    if (server.list.length !== wanted.length || server.list.some((other, j) => other !== wanted[j])) {
      fail("ideal-ring", `after quiet time ${server.name} has the successors ${listText(server.list)}, of the ring ${listText(ordered)}`);
    }
    const before = ordered[(i + ordered.length - 1) % ordered.length] as ServerMachine;
    const predecessor = server.predecessor === null ? null : endpointOfLocator(server.predecessor.locator);
    if (ordered.length > 1 && predecessor !== before.endpoint) fail("ideal-ring", `after quiet time the predecessor of ${server.name} is not ${before.name}`);
  });
}
