/**
 * The system's resolvers: resolv.conf, read again when it changes and never written to, and the servers that systemd-resolved asks.
 * Also who else on this machine answers on port 53, since what those ask must not come back to them through us.
 */
import { readdirSync, readFileSync, readlinkSync, unwatchFile, watchFile } from "node:fs";
import { hostname } from "node:os";
import { bytesKey, formatIpText, parseIpText } from "@i3/common";

export interface Resolver {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly port: number;
  /** Interface of a link-local address, otherwise null. */
  readonly zone: string | null;
}

export const RESOLV_CONF = "/etc/resolv.conf";
/** The servers behind the stub 127.0.0.53. */
export const RESOLVED_CONF = "/run/systemd/resolve/resolv.conf";

/** "192.0.2.1", "fe80::1%eth0". */
export const resolverText = ({ address, zone }: Resolver): string => (zone === null ? formatIpText(address) : `${formatIpText(address)}%${zone}`);

/** Each has local ports of its own. libc asks at most the first three. */
export const MAX_RESOLVERS = 8;
const DNS_PORT = 53;
const MAX_FILE_CHARS = 65_536;
const POLL_MS = 1_000;
/** State of a UDP socket that takes datagrams from anybody. */
const UNCONNECTED = "07";
const DNS_PORT_HEX = "0035";
/** What libc asks when resolv.conf names nobody (resolv.conf(5)). */
const DEFAULT_RESOLVER: Resolver = { address: Uint8Array.of(127, 0, 0, 1), port: DNS_PORT, zone: null };

/** The nameserver lines, in order, each once. */
export function parseResolvConf(text: string): Resolver[] {
  const resolvers = new Map<string, Resolver>();
  for (const line of text.slice(0, MAX_FILE_CHARS).split("\n")) {
    const [, server = ""] = /^nameserver[ \t]+([^ \t#;]+)/.exec(line) ?? [];
    const [literal = "", zone = null] = server.split("%");
    const address = parseIpText(literal);
    if (address !== undefined) resolvers.set(`${bytesKey(address)}%${zone ?? ""}`, { address, port: DNS_PORT, zone });
  }
  return [...resolvers.values()];
}

/**
 * Domains that libc tries behind names, of the last line that says so (resolv.conf(5)); without one that of the machine's own name. Lower case, without a dot at the end. As many as the file has room for, as with glibc.
 * @param hostName of this machine
 */
export function parseSearchDomains(text: string, hostName: string): string[] {
  const lines = text.slice(0, MAX_FILE_CHARS).split("\n").flatMap((line) => /^(?:search|domain)[ \t]+([^#;]*)/.exec(line)?.[1] ?? []);
  const words = lines.at(-1)?.split(/[ \t]+/) ?? [/^[^.]+\.(.+)$/.exec(hostName)?.[1] ?? ""];
  return [...new Set(words.map((word) => word.toLowerCase().replace(/\.+$/, "")).filter((word) => word !== ""))];
}

/** User ids of sockets bound to port 53, from the text of /proc/net/udp or udp6. @param own inodes of sockets that are left out */
export function parsePort53Uids(text: string, own: ReadonlySet<string> = new Set()): number[] {
  const uids = new Set<number>();
  for (const line of text.split("\n").slice(1)) {
    // sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …
    const fields = line.trim().split(/\s+/);
    const local = fields[1] ?? "";
    const state = fields[3];
    if (state === UNCONNECTED && local.endsWith(`:${DNS_PORT_HEX}`) && fields[7] !== undefined && !own.has(fields[9] ?? "")) uids.add(Number(fields[7]));
  }
  return [...uids];
}

export interface ResolverFilesOptions {
  /** The first is what libc reads, the others name further servers. @default [RESOLV_CONF, RESOLVED_CONF] */
  readonly files?: readonly string[];
  readonly onChange: () => void;
}

export class ResolverFiles {
  readonly #files: readonly string[];
  readonly #onChange: () => void;
  #resolvers: readonly Resolver[];
  #searchDomains: readonly string[];

  constructor(options: ResolverFilesOptions) {
    this.#files = options.files ?? [RESOLV_CONF, RESOLVED_CONF];
    this.#onChange = options.onChange;
    this.#resolvers = this.#read();
    this.#searchDomains = this.#readSearch();
    for (const file of this.#files) watchFile(file, { interval: POLL_MS, persistent: false }, () => this.#onFile());
  }

  /** Those that programs ask come first; at least one, at most {@link MAX_RESOLVERS}. */
  get resolvers(): readonly Resolver[] {
    return this.#resolvers;
  }

  /** As {@link parseSearchDomains}, of what libc reads. */
  get searchDomains(): readonly string[] {
    return this.#searchDomains;
  }

  close(): void {
    for (const file of this.#files) unwatchFile(file);
  }

  #onFile(): void {
    const before = describe(this.#resolvers);
    this.#resolvers = this.#read();
    this.#searchDomains = this.#readSearch();
    if (describe(this.#resolvers) !== before) this.#onChange();
  }

  #readSearch(): readonly string[] {
    return parseSearchDomains(readText(this.#files[0] ?? ""), hostname());
  }

  #read(): readonly Resolver[] {
    const [first = [], ...more] = this.#files.map((file) => parseResolvConf(readText(file)));
    const asked = first.length === 0 ? [DEFAULT_RESOLVER] : first;
    const seen = new Set(asked.map((resolver) => bytesKey(resolver.address)));
    return [...asked, ...more.flat().filter((resolver) => !seen.has(bytesKey(resolver.address)))].slice(0, MAX_RESOLVERS);
  }
}

const describe = (resolvers: readonly Resolver[]): string => resolvers.map(({ address, zone }) => `${bytesKey(address)}%${zone ?? ""}`).join();

/** User ids under which other programs of this network namespace serve port 53. */
export function localServerUids(): number[] {
  const own = ownSockets();
  return [...new Set(["udp", "udp6"].flatMap((name) => parsePort53Uids(readText(`/proc/net/${name}`), own)))];
}

/** Inodes of this process's own. */
function ownSockets(): ReadonlySet<string> {
  const inodes = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
    } catch {
      // Closed meanwhile, such as that of the directory.
      return undefined;
    }
  });
  return new Set(inodes.filter((inode) => inode !== undefined));
}

/** Empty when it cannot be read. */
function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
