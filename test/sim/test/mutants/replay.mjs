// @ts-check
// node replay.mjs EVENTS SEED…: runs the seeds with a checker that fires in every run, and prints of each when, with which digest, and the command that
// replays it.
import { failureText, runSeed } from '../../dist/index.js';
import { CheckFailed } from '../../dist/seeds/trace.js';
import { World } from '../../dist/seeds/world.js';

/** Packets that clients get before it fires. */
const PACKETS = 12;

const [events = '', ...seeds] = process.argv.slice(2);
const delivered = World.prototype.delivered;
/** @param {Parameters<typeof delivered>} args */
World.prototype.delivered = function (...args) {
  delivered.apply(this, args);
  if (this.arrived.size >= PACKETS) throw new CheckFailed('injected', 'so it was wanted');
};
for (const seed of seeds) {
  const outcome = runSeed(seed, Number(events));
  const replay = failureText(outcome, Number(events)).split('\n').at(-1)?.replace('replay: ', '');
  console.log(`${seed} ${outcome.failure?.checker} at ${outcome.endMs} ms of virtual time, digest ${outcome.digest}: ${replay}`);
}
