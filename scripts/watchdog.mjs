// @ts-check
// Notices that a stage has got stuck: no test begins or ends and no processor time goes by. Node 20 can deadlock when a worker thread exits; what is
// left then are processes on a futex that no time limit of a test ends, for vitest's own timers stand still too.
import { readdirSync, readFileSync } from 'node:fs';

/** Linux counts processor time in these units (USER_HZ), on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;

/** Processor time below this share of one processor is that of timers: daemons under test tick while nobody waits for them. */
const IDLE_SHARE = 0.01;

/**
 * A process and all that it started, by id, with the processor time of each in ticks; those that other programs adopted are not among them.
 * @param {number} root @param {string} [proc]
 * @returns {Map<number, number>}
 */
export function processTicks(root, proc = '/proc') {
  /** @type {Map<number, { parent: number, ticks: number }>} */
  const all = new Map();
  for (const name of readdirSync(proc)) {
    if (!/^\d+$/.test(name)) continue;
    try {
      // pid (name) state ppid … utime stime are fields 14 and 15; the name may hold anything, brackets too.
      const text = readFileSync(`${proc}/${name}/stat`, 'utf8');
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
      all.set(Number(name), { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) });
    } catch {
      // It has ended meanwhile.
    }
  }
  /** @type {Map<number, number>} */
  const found = new Map();
  let next = [root];
  while (next.length > 0) {
    for (const pid of next) if (all.has(pid)) found.set(pid, all.get(pid)?.ticks ?? 0);
    next = [...all].filter(([pid, { parent }]) => next.includes(parent) && !found.has(pid)).map(([pid]) => pid);
  }
  return found;
}

/**
 * What a process and all that it started wait for: one line each, with the kernel functions in which their threads are.
 * @param {number} root @param {string} [proc]
 */
export function describeProcesses(root, proc = '/proc') {
  return [...processTicks(root, proc).keys()].map((pid) => `  ${pid} ${readKernel(`${proc}/${pid}/cmdline`).replaceAll('\0', ' ').slice(0, 120)}: ${threadsOf(`${proc}/${pid}/task`)}`).join('\n');
}

/** @param {string} tasks */
function threadsOf(tasks) {
  /** @type {Map<string, number>} */
  const waits = new Map();
  let names;
  try {
    names = readdirSync(tasks);
  } catch {
    return 'has ended';
  }
  for (const name of names) {
    const wait = `${readKernel(`${tasks}/${name}/comm`).trim()} ${readKernel(`${tasks}/${name}/wchan`) || '?'}`;
    waits.set(wait, (waits.get(wait) ?? 0) + 1);
  }
  return [...waits].map(([wait, count]) => (count === 1 ? wait : `${count} ${wait}`)).join(', ');
}

/** @param {string} file @returns {string} empty when there is none, or not for us */
function readKernel(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Told now and then how a stage is; says when it has not moved for so many looks. Looks are counted, not time: a machine that slept has not been looked at. */
export class Watchdog {
  #quiet = 0;
  #progress = '';
  /** @type {Map<number, number>} */
  #ticks = new Map();
  #limit;
  #ticksEachLook;

  /** @param {{ limit: number, everyMs: number }} options looks without a movement that are too many, and the time between them */
  constructor({ limit, everyMs }) {
    this.#limit = limit;
    this.#ticksEachLook = (everyMs / 1000) * TICKS_PER_SECOND * IDLE_SHARE;
  }

  /**
   * @param {string} progress what has been done so far, in any form
   * @param {Map<number, number>} ticks of {@link processTicks}
   * @returns {boolean} whether it is stuck
   */
  look(progress, ticks) {
    const used = [...ticks].reduce((sum, [pid, now]) => sum + now - (this.#ticks.get(pid) ?? 0), 0);
    const hasMoved = progress !== this.#progress || used > this.#ticksEachLook;
    this.#progress = progress;
    this.#ticks = ticks;
    this.#quiet = hasMoved ? 0 : this.#quiet + 1;
    return this.#quiet >= this.#limit;
  }
}
