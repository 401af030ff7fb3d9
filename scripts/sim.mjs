// @ts-check
// npm run sim [-- ARGS]: makes the machine ready and runs test/sim, rings of real cores in virtual time.
import { prepareOrExit, ROOT } from './prepare.mjs';
import { runThrough } from './processes.mjs';

const HELP = `Usage: npm run sim -- --seed S [--events N]
       npm run sim -- --seeds FROM..TO [--events N] [--jobs J]
       npm run sim -- --suite [--quick] [--seed S] [--only PARTS] [--largest SIZE] [--churn-minutes M]

Rings of i3 servers and their clients in one process and in virtual time: with faults and checkers (docs/simulation.md), or
large ones, measured (docs/simulation-suite.md). The first run installs and builds what is missing.

One run, or one of each number:
  --seed S           from which everything in the run is drawn. Any text: 7, 1.5 and x are seeds, and 07 is another one than 7.
                     The same seed gives the same run, to the last byte, at the same commit
  --seeds FROM..TO   a run of each number, at most 9 digits; 1..60 are those of --seed 1 to --seed 60
  --events N         events of a run, 1 to 9999999 (without it 1000)
  --jobs J           threads that share the runs of --seeds, 1 to 99 (without it 1)
A checker that fires prints the last 60 lines of what happened and the command that replays it. Ctrl-C ends --seeds with
what is done, and the command that goes on.

--suite, the figures of large rings:
  --quick            small rings, in seconds
  --seed S           a whole number from 1 (without it 1)
  --only PARTS       some of lookups,churn,nearness with commas between (without it all three, which take an hour and more)
  --largest SIZE     leaves out larger rings of lookups, which are of 16, 256, 4096 and 65536, with --quick of 16 and 256 (without it none);
                     that of 65536 takes half an hour and 4 GB, those up to 4096 a minute
  --churn-minutes M  virtual time of churn (without it 10, with --quick 1)

A value may follow after a blank or "="; no option may be there twice.
Exit status: 0 no checker fired and all was run, or all figures are met; 1 otherwise; 2 for bad arguments.
`;

/** MB: the ring of 65,536 needs 4,000, and node gives 2,000 to 4,000 unless it is told. test/sim says at once when the machine has less. */
const SUITE_HEAP_MB = 12_000;

const args = process.argv.slice(2);
if (args.includes('--help') || args.includes('-h')) process.stdout.write(HELP);
else {
  await prepareOrExit('sim');
  const heap = args.includes('--suite') ? [`--max-old-space-size=${SUITE_HEAP_MB}`] : [];
  process.exitCode = await runThrough(process.execPath, [...heap, 'test/sim/dist/main.js', ...args], { cwd: ROOT });
}
