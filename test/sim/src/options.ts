/** Options of the command line: `--name value` or `--name=value`, each once; scripts/sim.mjs explains them. */

/** For people: what is wrong with which option. */
export class BadArgument extends Error {
  override readonly name = "BadArgument";
}

/**
 * Option → value; of a flag "".
 * @param names of options with a value
 * @param flags of those without
 */
export function readOptions(args: readonly string[], names: readonly string[], flags: readonly string[] = []): ReadonlyMap<string, string> {
  const options = new Map<string, string>();
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    const [, name = arg, given] = /^(--[^=]+)=(.*)$/s.exec(arg) ?? [];
    if (!names.includes(name) && !flags.includes(name)) throw new BadArgument(`${name} is no option here`);
    if (options.has(name)) throw new BadArgument(`${name} is there twice`);
    if (flags.includes(name) && given !== undefined) throw new BadArgument(`${name} takes no value`);
    const value = flags.includes(name) ? "" : (given ?? rest.shift() ?? "");
    if (names.includes(name) && (value === "" || value.startsWith("--"))) throw new BadArgument(`${name} needs a value`);
    options.set(name, value);
  }
  return options;
}

/** Of an option that is a whole number from `min` to `max`; `other` when it is not there. */
export function wholeNumber<T>(options: ReadonlyMap<string, string>, name: string, [min, max]: readonly [number, number], other: T): number | T {
  const text = options.get(name);
  if (text === undefined) return other;
  const value = Number(text);
  if (!/^\d{1,9}$/.test(text) || value < min || value > max) throw new BadArgument(`${name} ${text} is no whole number from ${min} to ${max}`);
  return value;
}

/** Runs what the arguments say; 2, and a line, when they are no good. */
export async function orBadArgument(run: () => number | Promise<number>): Promise<number> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof BadArgument)) throw error;
    console.error(`sim: ${error.message}. See: npm run sim -- --help`);
    return 2;
  }
}
