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

/** A configuration file or address book that is refused: `FILE:LINE: PATH: what is wrong; expected …`. */
export class ConfigError extends I3Error {
  override readonly name = "ConfigError";
  readonly file: string;
  readonly line: number;
  readonly path: string;
  readonly expected: string;

  constructor(site: ConfigErrorSite, problem: string, options: { readonly cause?: unknown; readonly remedy?: string } = {}) {
    const where = site.line === 0 ? site.file : `${site.file}:${site.line}`;
    super("ERR_I3_CONFIG", `${where}: ${site.path}: ${problem}; expected ${site.expected}`, options);
    this.file = site.file;
    this.line = site.line;
    this.path = site.path;
    this.expected = site.expected;
  }
}

const SHOWN_CHARACTERS = 60;

/** A value from a file as it is shown to people: quoted, control characters escaped, cut when long. */
export function shown(value: string): string {
  return JSON.stringify(value.length > SHOWN_CHARACTERS ? `${value.slice(0, SHOWN_CHARACTERS)}…` : value);
}
