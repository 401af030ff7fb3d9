/** `<address-book>`: names of one's own for hosts, by host identity tag or by id. */
import { bytesKey, toHex } from "../bytes.js";
import { normalName } from "../normal-name.js";
import { ConfigError, shown } from "./config-error.js";
import { formatIpText } from "./ip-text.js";
import { Refusal, element, list, optional, readDocument, required, type Site, type ValueType } from "./schema.js";
import { GROUP, GROUPS, HIT, ID, IP_ADDRESS, NOTE, PORT, dnsName, word, type IpHost } from "./value-types.js";

export const MAX_ADDRESS_BOOK_BYTES = 16_777_216;
/** About as many as fit into the bytes. */
const MAX_ENTRIES = 262_144;
/** Of HIP in UDP (RFC 9028 §6). */
export const HIP_UDP_PORT = 10_500;

/** Where a host that knows HIP and not i3 is: its packets in UDP (RFC 9028), or bare (IP protocol 139, and 50 for ESP). */
export type HipAddress =
  | { readonly protocol: "udp"; /** 4 or 16 bytes. */ readonly address: Uint8Array; readonly port: number }
  | { readonly protocol: "ip"; readonly address: Uint8Array };

/** One host. It has exactly one of `hit` and `id`; the id that belongs to a hit is derived elsewhere (docs/wire.md §2). */
export interface BookEntry {
  /** Lower case, without trailing dot, at least two labels. */
  readonly name: string;
  /** 16 bytes. */
  readonly hit?: Uint8Array;
  /** 32 bytes. */
  readonly id?: Uint8Array;
  /** Given only beside `hit`: it is reached there, and not over i3. */
  readonly at?: HipAddress;
  /** For access lists: lower case, at least one. */
  readonly groups?: readonly string[];
  readonly note?: string;
  /** In the file. */
  readonly line: number;
}

export interface AddressBook {
  /** In the order of the file. */
  readonly entries: readonly BookEntry[];
  /** Ignores case and one trailing dot. */
  lookup(name: string): BookEntry | undefined;
  /** The first entry with this hit (16 bytes) or id (32 bytes). */
  reverse(hitOrId: Uint8Array): BookEntry | undefined;
  /** Where the host with this hit (16 bytes) is, whichever of its entries says so; undefined: it is reached over i3. */
  addressOf(hit: Uint8Array): HipAddress | undefined;
}

const BOOK_NAME = dnsName(2);

const HOST =
  element(
    {
      name: required(BOOK_NAME), hit: optional(HIT), id: optional(ID), address: optional(IP_ADDRESS), protocol: optional(word(["udp", "ip"])),
      port: optional(PORT), group: optional(GROUPS), note: optional(NOTE),
    },
    {},
    ({ name, hit, id, address, protocol, port, group, note }, site): BookEntry => {
      const { line } = site;
      const at = hipAddress(address, protocol, port, site);
      if (hit !== undefined && id !== undefined) site.fail("id", "given beside hit", "exactly one of hit and id");
      const more = { ...(at !== undefined && { at }), ...(group !== undefined && { groups: group }), ...(note !== undefined && { note }) };
      if (hit !== undefined) return { name, hit, ...more, line };
      if (id === undefined) return site.fail(undefined, "neither hit nor id", "exactly one of hit and id");
      if (at !== undefined) site.fail("address", "given beside id", "hit beside address", "A host without i3 is known by its host identity tag");
      return { name, id, ...more, line };
    },
  );

function hipAddress(address: IpHost | undefined, protocol: "udp" | "ip" | undefined, port: number | undefined, site: Site): HipAddress | undefined {
  if (address === undefined) {
    if (protocol !== undefined) site.fail("protocol", "given without address", "address beside protocol");
    if (port !== undefined) site.fail("port", "given without address", "address beside port");
    return undefined;
  }
  if (protocol !== "ip") return Object.freeze({ protocol: "udp", address: address.bytes, port: port ?? HIP_UDP_PORT });
  if (port !== undefined) site.fail("port", 'given beside protocol="ip"', "no port, or protocol udp");
  return Object.freeze({ protocol, address: address.bytes });
}

type Addressed = Omit<BookEntry, "line">;

const addressText = (at: HipAddress): string => `${at.protocol} ${formatIpText(at.address)}${at.protocol === "udp" ? ` ${at.port}` : ""}`;

/** The first entry with an address of each hit. `refuse` hears of a second one that differs, with its place from 0. */
function addressedEntries<T extends Addressed>(entries: readonly T[], refuse: (at: number, first: T) => never): ReadonlyMap<string, T> {
  const byHit = new Map<string, T>();
  for (const [i, entry] of entries.entries()) {
    if (entry.at === undefined || entry.hit === undefined) continue;
    const key = bytesKey(entry.hit);
    const first = byHit.get(key);
    if (first?.at === undefined) byHit.set(key, entry);
    else if (addressText(first.at) !== addressText(entry.at)) refuse(i, first);
  }
  return byHit;
}

const ONE_ADDRESS = "one address, protocol and port for all names of a host";

function makeBook(entries: readonly BookEntry[], byHit: ReadonlyMap<string, BookEntry>): AddressBook {
  const byName = new Map<string, BookEntry>();
  const byBytes = new Map<string, BookEntry>();
  for (const entry of entries) {
    byName.set(entry.name, entry);
    const key = bytesKey(entry.hit ?? entry.id ?? new Uint8Array());
    if (!byBytes.has(key)) byBytes.set(key, entry);
  }
  return {
    entries,
    lookup: (name) => byName.get(normalName(name) ?? ""),
    reverse: (hitOrId) => byBytes.get(bytesKey(hitOrId)),
    addressOf: (hit) => byHit.get(bytesKey(hit))?.at,
  };
}

const BOOK = element({}, { host: list(HOST, 0, MAX_ENTRIES, "name") }, ({ host }, site) => {
  const refuse = (i: number, first: BookEntry): never =>
    site.failInside(`host[${i + 1}]/@address`, host[i]?.line ?? 0, `another than the same hit has on line ${first.line}`, ONE_ADDRESS);
  return makeBook(host, addressedEntries(host, refuse));
});

/**
 * Parses an address book.
 * @param input text, or bytes in UTF-8; at most 16 MiB
 * @param file its name, for errors
 * @throws ConfigError, and nothing else
 */
export const parseAddressBook = (input: string | Uint8Array, file: string): AddressBook =>
  readDocument({ root: "address-book", element: BOOK, maxBytes: MAX_ADDRESS_BOOK_BYTES }, input, file);

/** An address book without entries: what a missing file means. */
export const EMPTY_ADDRESS_BOOK: AddressBook = Object.freeze(makeBook(Object.freeze([]), new Map()));

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

/** One attribute as text, after a check that it can be read back. */
function written<T>(name: string, type: ValueType<T>, text: string, host: number): string {
  const parsed = type.parse(text, "");
  if (parsed instanceof Refusal) {
    const site = { file: "address book", line: 0, path: `/address-book/host[${host}]/@${name}`, expected: type.expected };
    throw new ConfigError(site, `${shown(text)} ${parsed.why}`);
  }
  return ` ${name}="${escaped(text)}"`;
}

function writtenAddress(at: HipAddress, host: number): string {
  const port = at.protocol === "ip" || at.port === HIP_UDP_PORT ? "" : written("port", PORT, String(at.port), host);
  return `${written("address", IP_ADDRESS, formatIpText(at.address), host)} protocol="${at.protocol}"${port}`;
}

function writtenGroups(groups: readonly string[], host: number): string {
  for (const group of groups) written("group", GROUP, group, host); // one with a blank would be read back as two
  return written("group", GROUPS, groups.join(" "), host);
}

/**
 * The text of an address book, for {@link parseAddressBook} to read back. Lines are numbered anew; comments are not kept.
 * Of an entry with both hit and id the hit is written. Throws ConfigError for entries that could not be read back.
 */
export function renderAddressBook(entries: Iterable<Omit<BookEntry, "line">>): string {
  const names = new Set<string>();
  const all = Array.from(entries);
  const hosts = all.map(({ name, hit, id, at, groups, note }, i) => {
    const host = i + 1;
    if (at !== undefined && hit === undefined) {
      const site = { file: "address book", line: 0, path: `/address-book/host[${host}]/@address`, expected: "hit beside address" };
      throw new ConfigError(site, "given without hit");
    }
    const attributes = [
      written("name", BOOK_NAME, name, host),
      hit === undefined ? written("id", ID, toHex(id ?? new Uint8Array()), host) : written("hit", HIT, formatIpText(hit), host),
      at === undefined ? "" : writtenAddress(at, host),
      groups === undefined ? "" : writtenGroups(groups, host),
      note === undefined ? "" : written("note", NOTE, note, host),
    ];
    names.add(name.toLowerCase());
    if (names.size !== host) {
      const site = { file: "address book", line: 0, path: `/address-book/host[${host}]/@name`, expected: "every name once" };
      throw new ConfigError(site, `${shown(name)} is given twice`);
    }
    return `  <host${attributes.join("")}/>\n`;
  });
  addressedEntries(all, (i) => {
    throw new ConfigError({ file: "address book", line: 0, path: `/address-book/host[${i + 1}]/@address`, expected: ONE_ADDRESS }, "another than the same hit has before");
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<address-book version="1">\n${hosts.join("")}</address-book>\n`;
}
