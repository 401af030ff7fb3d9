// @ts-check
// Starting other programs: with output passed through or kept, signals handed on, and the exit status as a shell would report it.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';

/** @typedef {{ status: number, output: string }} Outcome */

/** @type {NodeJS.Signals[]} */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** @param {number | null} code @param {NodeJS.Signals | null} signal */
function exitStatus(code, signal) {
  return code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
}

/**
 * Runs a program with its output kept; rejects only when the program cannot be started.
 * Signals go to the program and do not end us, so that the caller can restore what it must.
 * @param {string} command @param {string[]} args @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 * @returns {Promise<Outcome>}
 */
export function runKept(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    /** @param {NodeJS.Signals} signal */
    const handOn = (signal) => child.kill(signal);
    for (const signal of SIGNALS) process.on(signal, handOn);
    const done = () => SIGNALS.forEach((signal) => process.off(signal, handOn));
    /** @type {Buffer[]} */
    const chunks = [];
    child.stdout.on('data', (chunk) => chunks.push(chunk));
    child.stderr.on('data', (chunk) => chunks.push(chunk));
    child.on('error', (error) => {
      done();
      reject(error);
    });
    child.on('close', (code, signal) => {
      done();
      resolve({ status: exitStatus(code, signal), output: Buffer.concat(chunks).toString() });
    });
  });
}

/**
 * Runs a program on our own stdin, stdout and stderr and hands signals on to it.
 * A terminal delivers Ctrl-C to the whole foreground group itself, so then SIGINT is not sent a second time.
 * @param {string} command @param {string[]} args @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 * @returns {Promise<number>} the exit status
 */
export function runThrough(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: 'inherit' });
    /** @param {NodeJS.Signals} signal */
    const handOn = (signal) => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    };
    for (const signal of SIGNALS) process.on(signal, handOn);
    const done = () => SIGNALS.forEach((signal) => process.off(signal, handOn));
    child.on('error', (error) => {
      done();
      reject(error);
    });
    child.on('close', (code, signal) => {
      done();
      resolve(exitStatus(code, signal));
    });
  });
}

/** @typedef {{ everyMs: number, isStuck: (pid: number) => boolean }} Watch asked again and again, with the process that was started */

/** How long a stage has between SIGTERM and SIGKILL. */
const GRACE_MS = 10_000;

/**
 * Runs a program in a process group of its own, with our stdout and stderr, and ends the whole group at the deadline or
 * when we are told to end, or when it is stuck. With `isPiped` it sees no terminal: what it writes may stand between others' lines.
 * @param {string} command @param {string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, cwd?: string, isPiped?: boolean, limitMs: number, watch?: Watch }} options
 * @returns {Promise<{ status: number, timedOut: boolean, interrupted: boolean, stuck: boolean }>}
 */
export function runStage(command, args, { limitMs, watch, isPiped = false, ...options }) {
  return new Promise((resolve, reject) => {
    const output = isPiped ? 'pipe' : 'inherit';
    const child = spawn(command, args, { ...options, stdio: ['ignore', output, output], detached: true });
    child.stdout?.pipe(process.stdout, { end: false });
    child.stderr?.pipe(process.stderr, { end: false });
    let timedOut = false;
    let interrupted = false;
    let stuck = false;
    /** @type {NodeJS.Timeout | undefined} */
    let killTimer;
    /** @param {NodeJS.Signals} signal */
    const endGroup = (signal) => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, signal);
      } catch {
        // The group has ended by itself meanwhile.
      }
    };
    const end = () => {
      endGroup('SIGTERM');
      killTimer ??= setTimeout(() => endGroup('SIGKILL'), GRACE_MS);
    };
    const onSignal = () => {
      interrupted = true;
      end();
    };
    const deadline = setTimeout(() => {
      timedOut = true;
      end();
    }, limitMs);
    const looks = setInterval(() => {
      if (stuck || child.pid === undefined || watch?.isStuck(child.pid) !== true) return;
      stuck = true;
      end();
    }, watch?.everyMs ?? limitMs);
    for (const signal of SIGNALS) process.on(signal, onSignal);
    const done = () => {
      clearTimeout(deadline);
      clearInterval(looks);
      clearTimeout(killTimer);
      for (const signal of SIGNALS) process.off(signal, onSignal);
    };
    child.on('error', (error) => {
      done();
      reject(error);
    });
    child.on('close', (code, signal) => {
      done();
      // Whatever the stage left running would disturb the next one.
      endGroup('SIGKILL');
      resolve({ status: exitStatus(code, signal), timedOut, interrupted, stuck });
    });
  });
}
