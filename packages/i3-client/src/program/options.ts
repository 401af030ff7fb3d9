/** What programs hand in by name, options and events: what is not known, or cannot be right, is refused at once. All throw ERR_I3_USAGE. */
import { nearestName } from "@i3/common";

import { usageError } from "../errors.js";
import { shown } from "./arguments.js";

/** Node's longest timer. */
export const MAX_TIMEOUT_MS = 2_147_483_647;
const MAX_PORT = 65_535;
/** Of every emitter; `once` of node:events listens to `error` beside what it waits for. */
const NODE_EVENTS: readonly string[] = ["error", "newListener", "removeListener"];

/** As they are. `names`: all that there are. */
export function readOptions<Options extends object>(call: string, options: Options, names: readonly (keyof Options & string)[]): Options {
  const there = `The options of ${call} are: ${names.join(", ")}.`;
  if (typeof options !== "object" || options === null || Array.isArray(options)) throw usageError(`the options of ${call} are ${shown(options)}`, `Pass an object. ${there}`);
  for (const name of Object.keys(options)) if (!(names as readonly string[]).includes(name)) throw usageError(`${call} has no option "${name}"`, didYouMean(name, names, there));
  return options;
}

export function checkEvent(event: string | symbol, names: readonly string[]): void {
  if (typeof event === "string" && !names.includes(event) && !NODE_EVENTS.includes(event)) throw usageError(`there is no event "${event}"`, didYouMean(event, names, `The events are: ${names.join(", ")}.`));
}

const didYouMean = (name: string, names: readonly string[], otherwise: string): string => {
  const nearest = nearestName(name, names);
  return nearest === undefined ? otherwise : `Did you mean ${nearest}?`;
};

export function readTimeout(timeoutMs: number): number {
  if (typeof timeoutMs === "number" && timeoutMs >= 0 && timeoutMs <= MAX_TIMEOUT_MS) return timeoutMs;
  throw usageError(`timeoutMs is ${shown(timeoutMs)}`, `Name a number of milliseconds, 0 to ${MAX_TIMEOUT_MS}.`);
}

export function readPort(port: number): number {
  if (Number.isInteger(port) && port >= 0 && port <= MAX_PORT) return port;
  throw usageError(`port is ${shown(port)}`, `Name a whole number, 0 (any that is free) to ${MAX_PORT}.`);
}

export function readFlag(name: string, value: boolean): boolean {
  if (typeof value === "boolean") return value;
  throw usageError(`${name} is ${shown(value)}`, `Write ${name}: true, or leave it out.`);
}

/** `least`: characters. */
export function readText(name: string, value: string, least = 0): string {
  if (typeof value === "string" && value.length >= least) return value;
  throw usageError(`${name} is ${shown(value)}`, `Name a text${least > 0 ? " that is not empty" : ""}, or leave it out.`);
}

/** An end of something signed: a Date from 1970 on, of which the whole seconds count. Returns s since 1970. */
export function readEnd(notAfter: Date): number {
  const endMs = notAfter instanceof Date ? notAfter.getTime() : NaN;
  if (endMs >= 0) return Math.floor(endMs / 1_000);
  throw usageError(`notAfter is ${notAfter instanceof Date ? "a Date that is no time, or before 1970" : shown(notAfter)}`, "Name a Date from 1970 on: new Date(Date.now() + 86_400_000) is tomorrow.");
}
