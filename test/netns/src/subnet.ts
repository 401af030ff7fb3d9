/** Arithmetic on IPv4 and IPv6 prefixes: enough to hand out addresses of a subnet one after another. */
import { isIPv4, isIPv6 } from "node:net";
import { NetnsError } from "./errors.js";

export interface Subnet {
  readonly family: 4 | 6;
  /** First address of the prefix, as a number. */
  readonly base: bigint;
  readonly prefixBits: number;
  /** As given, canonical: "192.168.1.0/24". */
  readonly text: string;
}

/** Parses "ADDRESS/BITS". Throws ERR_I3_NETNS_PLAN when it is no prefix or has host bits set. */
export function parseSubnet(text: string): Subnet {
  const [address = "", bits = "", ...rest] = text.split("/");
  const family = isIPv4(address) ? 4 : isIPv6(address) ? 6 : undefined;
  const widthBits = family === 4 ? 32 : 128;
  const prefixBits = /^\d{1,3}$/.test(bits) ? Number(bits) : -1;
  if (family === undefined || rest.length > 0 || prefixBits < 0 || prefixBits > widthBits) {
    throw new NetnsError("ERR_I3_NETNS_PLAN", `${JSON.stringify(text)} is not a subnet such as 192.0.2.0/24`);
  }
  const base = parseAddress(address);
  if ((base & ((1n << BigInt(widthBits - prefixBits)) - 1n)) !== 0n) {
    throw new NetnsError("ERR_I3_NETNS_PLAN", `subnet ${text} has host bits set`);
  }
  return { family, base, prefixBits, text: `${formatAddress(base, family)}/${prefixBits}` };
}

/** The `index`th address of the subnet (1 = the first host). Throws ERR_I3_NETNS_PLAN beyond its end. */
export function addressAt(subnet: Subnet, index: number): string {
  const hostBits = (subnet.family === 4 ? 32 : 128) - subnet.prefixBits;
  const lastIndex = (1n << BigInt(hostBits)) - (subnet.family === 4 && hostBits > 1 ? 2n : 1n);
  if (BigInt(index) > lastIndex) {
    throw new NetnsError("ERR_I3_NETNS_PLAN", `subnet ${subnet.text} has no room for host ${index}`);
  }
  return formatAddress(subnet.base + BigInt(index), subnet.family);
}

/** Whether `address` (text, of the subnet's family) lies inside. */
export function containsAddress(subnet: Subnet, address: string): boolean {
  if ((subnet.family === 4 ? isIPv4(address) : isIPv6(address)) === false) return false;
  const hostBits = BigInt((subnet.family === 4 ? 32 : 128) - subnet.prefixBits);
  return parseAddress(address) >> hostBits === subnet.base >> hostBits;
}

function parseAddress(text: string): bigint {
  if (isIPv4(text)) return text.split(".").reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  const [head = "", tail] = canonical6(text).split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => "0");
  return [...left, ...zeros, ...right].reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}

function formatAddress(value: bigint, family: 4 | 6): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join(".");
  const groups = Array.from({ length: 8 }, (_, i) => ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  return canonical6(groups.join(":"));
}

/** The WHATWG URL parser writes IPv6 addresses as RFC 5952 wants them. */
function canonical6(text: string): string {
  return new URL(`http://[${text}]/`).hostname.slice(1, -1);
}
