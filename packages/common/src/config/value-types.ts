/** The values that stand in attributes. Each says what it expects and parses, or refuses with a reason. */
import { dirname, isAbsolute, join } from "node:path";
import { fromHex } from "../bytes.js";
import { HIT_BYTES, hitSuite, ID_BYTES, isKnownHit, type AddressRange } from "../ids.js";
import { MAX_NAME_CHARACTERS, normalName } from "../normal-name.js";
import { formatIpText, parseIpText, parseIpv4Text, parseIpv6Text } from "./ip-text.js";
import { nearestName } from "./nearest-name.js";
import { Refusal, type ValueType } from "./schema.js";

export const MAX_PATTERN_CHARACTERS = 256;
/** Linux: PATH_MAX, IFNAMSIZ and sun_path, less the zero at the end. */
const MAX_PATH_BYTES = 4095;
const MAX_INTERFACE_CHARACTERS = 15;
const MAX_SOCKET_PATH_BYTES = 107;
const MAX_NOTE_CHARACTERS = 1024;
const MAX_GROUP_CHARACTERS = 32;
const MAX_GROUPS = 16;

/** A whole number in decimal. */
export const wholeNumber = (min: number, max: number): ValueType<number> => ({
  expected: `a whole number from ${min} to ${max}`,
  parse: (text) => {
    if (!/^(?:0|[1-9][0-9]*)$/.test(text)) return new Refusal("is not a whole number");
    const value = Number(text);
    return value >= min && value <= max ? value : new Refusal("is out of range");
  },
});

export const PORT = wholeNumber(1, 65_535);

export const BOOLEAN: ValueType<boolean> = {
  expected: "true or false",
  parse: (text) => (text === "true" || text === "false" ? text === "true" : new Refusal("is neither")),
};

/**
 * One of some words.
 * @param later words of versions to come: refused, but not as typing errors
 */
export const word = <const W extends string>(words: readonly W[], later: readonly string[] = []): ValueType<W> => ({
  expected: words.length === 1 ? words.join() : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`,
  parse: (text) => {
    const found = words.find((known) => known === text);
    if (found !== undefined) return found;
    if (later.includes(/^[a-z]*/.exec(text)?.[0] ?? "")) return new Refusal("is not built yet");
    return new Refusal("is not known", nearestName(text, words));
  },
});

/** What stands between blanks. */
export const wordsOf = (text: string): readonly string[] => text.split(/[ \t\r\n]+/).filter((each) => each !== "");

/** Some of the words, each at most once, with blanks between; none is empty. */
export const someOf = <const W extends string>(words: readonly W[]): ValueType<readonly W[]> => ({
  expected: `some of ${words.join(" ")}`,
  parse: (text) => {
    const given = wordsOf(text);
    const found = given.flatMap((name) => words.filter((known) => known === name));
    const unknown = given.find((name) => !(words as readonly string[]).includes(name));
    if (unknown !== undefined) return new Refusal("has a word that is not known", nearestName(unknown, words));
    return new Set(found).size < found.length ? new Refusal("names one twice") : Object.freeze(found);
  },
});

/** A DNS name in lower case. The last label has a letter: `10.0.0.256` is no name. */
export const dnsName = (minLabels: number): ValueType<string> => ({
  expected:
    minLabels === 1
      ? `a DNS name (letters, digits and hyphens; at most ${MAX_NAME_CHARACTERS} characters, labels of at most 63)`
      : `a DNS name of at least ${minLabels} labels, such as home.i3 (letters, digits and hyphens; at most ${MAX_NAME_CHARACTERS} characters, labels of at most 63)`,
  parse: (text) => {
    if (text.endsWith(".")) return new Refusal("ends in a dot");
    if (text.length > MAX_NAME_CHARACTERS) return new Refusal("is too long");
    const name = normalName(text);
    if (name === undefined) return new Refusal("is not a DNS name");
    const labels = name.split(".");
    if (!/[a-z]/.test(labels.at(-1) ?? "")) return new Refusal("is not a DNS name");
    return labels.length < minLabels ? new Refusal("has too few labels") : name;
  },
});

export interface IpHost {
  readonly kind: "ipv4" | "ipv6";
  /** Canonical text (RFC 5952). */
  readonly text: string;
  /** 4 or 16. */
  readonly bytes: Uint8Array;
}

/** What stands in an attribute `address`. A name is looked up by whoever uses it, not here. */
export type ConfigHost = IpHost | { readonly kind: "name"; readonly text: string };

function ipHost(text: string): IpHost | undefined {
  const bytes = parseIpText(text);
  if (bytes === undefined) return undefined;
  return Object.freeze({ kind: bytes.length === 4 ? "ipv4" : "ipv6", text: formatIpText(bytes), bytes });
}

/** Why a text is no address; one with a port behind it is the most frequent. */
function noHost(text: string, why: string): Refusal {
  const port = /^(?:\[[0-9a-f:.]+\]|[^:[\]]+):([0-9]{1,5})$/i.exec(text)?.[1];
  return new Refusal(port === undefined ? why : `has a port, which goes into port="${port}"`);
}

/** An address of our own to bind to, `::` and `0.0.0.0` among them. */
export const LISTEN_ADDRESS: ValueType<IpHost> = {
  expected: 'an IPv4 or IPv6 address, such as "::"',
  parse: (text) => ipHost(text) ?? noHost(text, "is not an IP address"),
};

/** Whether datagrams can be sent there as to one host. */
const isUnicast = ({ bytes }: IpHost): boolean =>
  bytes.some((byte) => byte !== 0) && (bytes.length === 4 ? (bytes[0] ?? 0) < 224 : bytes[0] !== 0xff);

/** An address that can be sent to. */
export const IP_ADDRESS: ValueType<IpHost> = {
  expected: "the IPv4 or IPv6 address of one host",
  parse: (text) => {
    const host = ipHost(text);
    if (host === undefined) return noHost(text, "is not an IP address");
    return isUnicast(host) ? host : new Refusal("is not the address of one host");
  },
};

/** An address that can be sent to, or the name of one. */
export const HOST: ValueType<ConfigHost> = {
  expected: "an IPv4 address, an IPv6 address or a host name",
  parse: (text, file) => {
    const host = ipHost(text);
    if (host !== undefined) return isUnicast(host) ? host : new Refusal("is not the address of one host");
    const name = dnsName(1).parse(text, file);
    return name instanceof Refusal ? noHost(text, "is neither address nor name") : Object.freeze({ kind: "name", text: name });
  },
};

/** A range of IPv4 addresses that are free to be given to others: not "this network", loopback, multicast or reserved. */
export const addressRange = (minBits: number, maxBits: number): ValueType<AddressRange> => ({
  expected: `an IPv4 prefix from /${minBits} to /${maxBits}, such as 10.0.0.0/8`,
  parse: (text) => {
    const [address = "", bits = "", ...rest] = text.split("/");
    const network = parseIpv4Text(address);
    if (network === undefined || rest.length > 0 || !/^(?:0|[1-9][0-9]?)$/.test(bits)) return new Refusal("is not an IPv4 prefix");
    const prefixBits = Number(bits);
    if (prefixBits < minBits || prefixBits > maxBits) return new Refusal("is too wide or too narrow");
    const value = network.reduce((sum, byte) => sum * 256 + byte, 0);
    if (value % 2 ** (32 - prefixBits) !== 0) return new Refusal(`has bits behind the first ${prefixBits}`);
    const first = network[0] ?? 0;
    if (first === 0 || first === 127 || first >= 224) return new Refusal("is not a range for hosts");
    return Object.freeze({ network, prefixBits });
  },
});

const byteLength = (text: string): number => new TextEncoder().encode(text).length;

const fileOfAtMost = (maxBytes: number): ValueType<string> => ({
  expected: `the name of a file (at most ${maxBytes} bytes)`,
  parse: (text, file) => {
    if (text.trim() === "") return new Refusal("is empty");
    const name = isAbsolute(text) ? text : join(dirname(file), text);
    return byteLength(name) > maxBytes ? new Refusal("is too long") : name;
  },
});

/** A file or directory; a relative name is relative to the document's own directory. */
export const FILE = fileOfAtMost(MAX_PATH_BYTES);
export const SOCKET_FILE = fileOfAtMost(MAX_SOCKET_PATH_BYTES);

export const INTERFACE_NAME: ValueType<string> = {
  expected: `the name of an interface (at most ${MAX_INTERFACE_CHARACTERS} letters, digits, "-", "_", ".")`,
  parse: (text) =>
    text.length <= MAX_INTERFACE_CHARACTERS && /^[A-Za-z0-9_.-]+$/.test(text) && !/^\.\.?$/.test(text)
      ? text
      : new Refusal("is not an interface name"),
};

/** A pattern that must match the whole of a name, ignoring case. */
export interface NamePattern {
  /** As it was written. */
  readonly source: string;
  readonly expression: RegExp;
}

export const NAME_PATTERN: ValueType<NamePattern> = {
  expected: `a regular expression for whole names (at most ${MAX_PATTERN_CHARACTERS} characters)`,
  parse: (text) => {
    if (text === "") return new Refusal("is empty");
    if (text.length > MAX_PATTERN_CHARACTERS) return new Refusal("is too long");
    try {
      // Alone first: `a)|(b` compiles between parentheses only.
      void new RegExp(text);
      return Object.freeze({ source: text, expression: new RegExp(`^(?:${text})$`, "i") });
    } catch (error) {
      const meant = text.startsWith("*.") ? `; did you mean ".*${text.slice(1).replaceAll(".", "\\.")}"` : "";
      return new Refusal(`does not compile (${error instanceof Error ? error.message : String(error)})${meant}`);
    }
  },
};

/** A host identity tag: 16 bytes (docs/wire.md §2). */
export const HIT: ValueType<Uint8Array> = {
  expected: `a host identity tag: an IPv6 address within 2001:20::/28 of suite 1 or 2 (2001:21:… or 2001:22:…)`,
  parse: (text) => {
    const bytes = parseIpv6Text(text);
    if (bytes?.length !== HIT_BYTES) return new Refusal("is not an IPv6 address");
    const suite = hitSuite(bytes);
    if (suite === null) return new Refusal("is outside of 2001:20::/28");
    return isKnownHit(bytes) ? bytes : new Refusal(`is of the unknown suite ${suite}`);
  },
};

/** An i3 id: 32 bytes. */
export const ID: ValueType<Uint8Array> = {
  expected: `an id: ${2 * ID_BYTES} hexadecimal digits`,
  parse: (text) => {
    if (!/^[0-9a-f]*$/i.test(text)) return new Refusal("is not hexadecimal");
    if (text.length !== 2 * ID_BYTES) return new Refusal(`has ${text.length} digits`);
    return fromHex(text);
  },
};

const GROUP_NAME = new RegExp(`^[a-z0-9_-]{1,${MAX_GROUP_CHARACTERS}}$`);
const GROUP_EXPECTED = `the name of a group (at most ${MAX_GROUP_CHARACTERS} letters, digits, "-", "_")`;

/** Ed25519, 32 bytes. */
export const PUBLIC_KEY: ValueType<Uint8Array> = {
  expected: "an Ed25519 public key: 64 hexadecimal digits",
  parse: (text) => (/^[0-9a-f]{64}$/i.test(text) ? fromHex(text) : new Refusal("is not 64 hexadecimal digits")),
};

/** Of a public key, 32 bytes. */
export const KEY_PIN: ValueType<Uint8Array> = {
  expected: "the SHA-256 of a public key (SubjectPublicKeyInfo): 64 hexadecimal digits",
  parse: (text) => (/^[0-9a-f]{64}$/i.test(text) ? fromHex(text) : new Refusal("is not 64 hexadecimal digits")),
};

/** Of a record of the ring (docs/wire.md §4.3). */
export const RECORD_LABEL: ValueType<string> = {
  expected: "at most 63 of a-z, 0-9, _ . -",
  parse: (text) => (/^[a-z0-9_.-]{0,63}$/.test(text) ? text : new Refusal("is no label of a record")),
};

/** A group of hosts, in lower case. */
export const GROUP: ValueType<string> = {
  expected: GROUP_EXPECTED,
  parse: (text) => {
    const group = text.toLowerCase();
    return GROUP_NAME.test(group) ? group : new Refusal("is not the name of a group");
  },
};

/** The groups that a host is in, in lower case, with blanks between. */
export const GROUPS: ValueType<readonly string[]> = {
  expected: `${GROUP_EXPECTED}, or up to ${MAX_GROUPS} with blanks between`,
  parse: (text) => {
    const groups = wordsOf(text.toLowerCase());
    if (groups.length === 0) return new Refusal("is empty");
    if (groups.length > MAX_GROUPS) return new Refusal("has too many groups");
    if (!groups.every((group) => GROUP_NAME.test(group))) return new Refusal("has something else than names of groups");
    return new Set(groups).size < groups.length ? new Refusal("names one twice") : Object.freeze(groups);
  },
};

/** A remark of the user's own, on one line. */
export const NOTE: ValueType<string> = {
  expected: `at most ${MAX_NOTE_CHARACTERS} characters on one line`,
  parse: (text) => {
    if (text.length > MAX_NOTE_CHARACTERS) return new Refusal("is too long");
    return /[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufffe\uffff]|\p{Surrogate}/u.test(text) ? new Refusal("has control characters") : text;
  },
};
