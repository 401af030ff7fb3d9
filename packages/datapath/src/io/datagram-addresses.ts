/**
 * Addresses between node's text and the engine's 18 bytes (IPv6 or IPv4-mapped address 16, port 2), with a cache each way:
 * parsing costs more than all the rest of a datagram.
 */
import { isIPv4, isIPv6, SocketAddress } from "node:net";

/** Entries of each cache; when it is full it is emptied. */
const MAX_CACHED = 4_096;
const MAPPED_PREFIX = "00000000000000000000ffff";

export class DatagramAddresses {
  readonly #parsed = new Map<string, Uint8Array>();
  readonly #written = new Map<string, string | null>();

  /** `family`: the socket's. One of family 6 is dual stack and wants IPv4 as ::ffff:a.b.c.d. */
  constructor(private readonly family: 4 | 6) {}

  /** False when `address` is none. */
  write(address: string, port: number, out: Uint8Array, offset: number): boolean {
    let bytes = this.#parsed.get(address);
    if (bytes === undefined) {
      const parsed = parseAddress(address);
      if (parsed === null) return false;
      if (this.#parsed.size >= MAX_CACHED) this.#parsed.clear();
      this.#parsed.set(address, parsed);
      bytes = parsed;
    }
    out.set(bytes, offset);
    out[offset + 16] = port >> 8;
    out[offset + 17] = port & 0xff;
    return true;
  }

  /** Null when a socket of this family cannot reach the address. */
  read(bytes: Uint8Array, offset: number): { readonly address: string; readonly port: number } | null {
    const key = Buffer.from(bytes.buffer, bytes.byteOffset + offset, 16).toString("latin1");
    let address = this.#written.get(key);
    if (address === undefined) {
      address = formatAddress(bytes.subarray(offset, offset + 16), this.family);
      if (this.#written.size >= MAX_CACHED) this.#written.clear();
      this.#written.set(key, address);
    }
    return address === null ? null : { address, port: ((bytes[offset + 16] ?? 0) << 8) | (bytes[offset + 17] ?? 0) };
  }
}

/** 16 bytes, IPv4 mapped; null when the text is no address. A zone (`%eth0`) is left out. */
export function parseAddress(text: string): Uint8Array | null {
  if (isIPv4(text)) return Uint8Array.from([...Buffer.from(MAPPED_PREFIX, "hex"), ...text.split(".").map(Number)]);
  const bare = text.split("%", 1)[0] ?? "";
  if (!isIPv6(bare)) return null;
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(bare);
  const hex = dotted === null ? bare : `${dotted[1]}${groupOf(dotted[2], dotted[3])}:${groupOf(dotted[4], dotted[5])}`;
  const [head = "", tail] = hex.split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array<string>(8 - before.length - after.length).fill("0");
  return Uint8Array.from([...before, ...zeros, ...after].flatMap((group) => [parseInt(group, 16) >> 8, parseInt(group, 16) & 0xff]));
}

const groupOf = (high: string | undefined, low: string | undefined): string => ((Number(high) << 8) | Number(low)).toString(16);

function formatAddress(bytes: Uint8Array, family: 4 | 6): string | null {
  const hex = Buffer.from(bytes).toString("hex");
  if (hex.startsWith(MAPPED_PREFIX)) return `${family === 6 ? "::ffff:" : ""}${bytes.subarray(12).join(".")}`;
  if (family === 4) return null;
  return new SocketAddress({ address: (hex.match(/.{4}/g) ?? []).join(":"), family: "ipv6" }).address;
}
