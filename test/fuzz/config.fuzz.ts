// Any bytes give a configuration or a ConfigError: random bytes, mutated examples, and documents made of our own words.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ConfigError, parseAddressBook, parseProxyConfig, parseServerConfig, renderAddressBook } from "@i3/common";

const seconds = Number(process.env["I3_FUZZ_SECONDS"] ?? "2");
const seed = Number(process.env["I3_FUZZ_SEED"] ?? Date.now() % 2 ** 32) >>> 0;

const PARSERS = { "i3-proxy": parseProxyConfig, "i3-server": parseServerConfig, "address-book": parseAddressBook } as const;
const PARSES = Object.values(PARSERS);
const EXAMPLES = Object.keys(PARSERS).map((name) =>
  readFileSync(new URL(`../../deploy/examples/${name}.xml`, import.meta.url)),
);

/** mulberry32. */
function random(state: number): () => number {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Source {
  readonly #next: () => number;

  constructor(from: number) {
    this.#next = random(from);
  }

  below(limit: number): number {
    return Math.floor(this.#next() * limit);
  }

  pick<T>(values: readonly T[]): T {
    const value = values[this.below(values.length)];
    if (value === undefined) throw new RangeError("nothing to pick from");
    return value;
  }

  bytes(limit: number): Buffer {
    return Buffer.from(Array.from({ length: this.below(limit) }, () => this.below(256)));
  }
}

/** Pieces that mean something to XML or to JavaScript. */
const PIECES = [
  ..."<>/=\"'&;!?-[] \n\r\0",
  ...["<!--", "-->", "<![CDATA[", "]]>", "<!DOCTYPE a [", "<!ENTITY x SYSTEM 'file:///etc/passwd'>", "&x;", "&#0;", "&#x110000;", "&amp;"],
  ...["<?xml version='1.0'?>", "<?", "?>", "\uFEFF", "\uFFFE", "é", "😀", "</", "/>", "xmlns='a'", "xmlns:a='b'", "a:b"],
  ...["__proto__", "constructor", "hasOwnProperty", "toString", "#line", "#attributes", "$", "_", "cdata"],
];
const NAMES = [
  ...EXAMPLES.flatMap((text) => [...text.toString().matchAll(/(?:<| )([a-z][a-z0-9-]*)(?:[ />]|=")/g)].map((match) => match[1] ?? "")),
  ...["__proto__", "constructor", "hasOwnProperty", "_"],
];
const VALUES = [
  ...EXAMPLES.flatMap((text) => [...text.toString().matchAll(/="([^"]*)"/g)].map((match) => match[1] ?? "")),
  ...["esp", "auth", "tcp", "icmp", "22,80-90", "first-use", "refuse", "family", "192.0.2.1", "ip", ".*", ".*\\.i3"],
  ...["", "0", "-1", "1e9", "99999999999999999999", "::", "10.0.0.0/8", "(", "a".repeat(300), "&#10;", "&lt;"],
];

function mutated(source: Source): Buffer {
  let text = source.pick(EXAMPLES);
  for (let edits = 1 + source.below(4); edits > 0; edits--) {
    const at = source.below(text.length + 1);
    const to = Math.min(text.length, at + (source.below(3) === 0 ? source.below(200) : source.below(3)));
    const piece = source.pick([
      () => source.bytes(4),
      () => Buffer.from(source.pick(PIECES)),
      () => Buffer.alloc(0),
      () => text.subarray(source.below(text.length), source.below(text.length)),
    ])();
    text = Buffer.concat([text.subarray(0, at), piece, text.subarray(to)]);
  }
  return text;
}

function made(source: Source, depth = 0): string {
  const name = depth === 0 && source.below(8) > 0 ? source.pick(Object.keys(PARSERS)) : source.pick(NAMES);
  const attributes = Array.from({ length: source.below(4) }, () => ` ${source.pick(NAMES)}="${source.pick(VALUES)}"`);
  if (depth === 0) attributes.unshift(' version="1"');
  const children = depth > 3 ? [] : Array.from({ length: source.below(5) }, () => made(source, depth + 1));
  const text = source.below(20) === 0 ? source.pick(PIECES) : "";
  return `<${name}${attributes.join("")}>${text}${children.join("\n")}</${name}>`;
}

const INPUTS: Readonly<Record<string, (source: Source) => Buffer>> = {
  "random bytes": (source) => source.bytes(300),
  "pieces of XML": (source) => Buffer.from(Array.from({ length: source.below(40) }, () => source.pick(PIECES)).join("")),
  "mutated examples": mutated,
  "documents of our own words": (source) => Buffer.from(made(source)),
};

describe("configuration parsers", () => {
  it.each(Object.keys(INPUTS))("take %s", (kind) => {
    console.log(`I3_FUZZ_SEED=${seed} (${kind})`);
    const source = new Source(seed);
    const end = Date.now() + (seconds * 1000) / Object.keys(INPUTS).length;
    let values = 0;
    let refused = 0;
    do {
      const input = INPUTS[kind]?.(source) ?? Buffer.alloc(0);
      for (const parse of PARSES) {
        try {
          const value = parse(input, "f.xml");
          values++;
          expect(Object.isFrozen(value)).toBe(true);
          if ("entries" in value) expect(parseAddressBook(renderAddressBook(value.entries), "f.xml").entries.length).toBe(value.entries.length);
        } catch (error) {
          if (!(error instanceof ConfigError)) throw new Error(`seed ${seed}: ${JSON.stringify(input.toString("latin1"))}`, { cause: error });
          refused++;
          const lines = input.toString("latin1").split(/\r\n?|\n/).length;
          if (error.line < 1 || error.line > lines || !error.path.startsWith("/") || error.message.includes("\n")) {
            throw new Error(`seed ${seed}: ${JSON.stringify(input.toString("latin1"))}`, { cause: error });
          }
        }
      }
    } while (Date.now() < end);
    console.log(`${values} values, ${refused} refused`);
    expect(refused).toBeGreaterThan(0);
  });
});
