import { I3Error } from "../errors.js";

/** Where in a file, and what should have stood there. */
export interface ConfigErrorSite {
  readonly file: string;
  /** 1 is the first line; 0 when the file as a whole is meant (it cannot be read, it is too large). */
  readonly line: number;
  /** XPath-like: `/i3-proxy/servers/server[2]/@port`; `/` for the document. */
  readonly path: string;
  readonly expected: string;
}

/** A configuration file or address book that is refused: `FILE:LINE: PATH: what is wrong; expected …`; of a file as a whole `FILE: what is wrong; expected …`. */
export class ConfigError extends I3Error {
  override readonly name = "ConfigError";
  readonly file: string;
  readonly line: number;
  readonly path: string;
  readonly expected: string;

  constructor(site: ConfigErrorSite, problem: string, options: { readonly cause?: unknown; readonly remedy?: string } = {}) {
    const where = site.line === 0 ? site.file : `${site.file}:${site.line}`;
    const what = site.line === 0 && site.path === "/" ? problem : `${site.path}: ${problem}`;
    super("ERR_I3_CONFIG", `${where}: ${printable(`${what}; expected ${site.expected}`)}`, options);
    this.file = site.file;
    this.line = site.line;
    this.path = site.path;
    this.expected = site.expected;
  }
}

/** Messages quote files and end on terminals: what would steer one, or turn the direction of writing, is escaped. */
const printable = (text: string): string =>
  text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`);

const SHOWN_CHARACTERS = 60;

/** A value from a file as it is shown to people: quoted, and cut when long. */
export function shown(value: string): string {
  return JSON.stringify(value.length > SHOWN_CHARACTERS ? `${value.slice(0, SHOWN_CHARACTERS)}…` : value);
}
