/** Small text files of keys: a first line that says what it is, then `name hex` lines; blank lines and those that begin with # mean nothing. */
import { fromHex } from "./bytes.js";

/** Why a file is refused: continues its name. */
export class HexFieldsProblem extends Error {}

/**
 * Each field once, and no other. Throws HexFieldsProblem.
 * @param sizes bytes of each
 */
export function readHexFields<Name extends string>(text: string, firstLine: string, sizes: Readonly<Record<Name, number>>): Readonly<Record<Name, Uint8Array>> {
  const [first = "", ...lines] = text.split("\n").map((line) => line.trim());
  if (first !== firstLine) throw new HexFieldsProblem(`does not begin with the line "${firstLine}"`);
  const found = new Map<string, Uint8Array>();
  for (const line of lines) {
    if (line === "" || line.startsWith("#")) continue;
    const [name = "", value = "", ...rest] = line.split(/[ \t]+/);
    const size = Object.hasOwn(sizes, name) ? sizes[name as Name] : undefined;
    if (size === undefined || rest.length > 0 || found.has(name)) throw new HexFieldsProblem("is damaged: a line that is not known, or there twice");
    if (!/^[0-9a-f]*$/i.test(value) || value.length !== 2 * size) throw new HexFieldsProblem(`is damaged: ${name} is not ${2 * size} hexadecimal digits`);
    found.set(name, fromHex(value));
  }
  const missing = Object.keys(sizes).find((name) => !found.has(name));
  if (missing !== undefined) throw new HexFieldsProblem(`is damaged: no ${missing}`);
  return Object.fromEntries(found) as Readonly<Record<Name, Uint8Array>>;
}
