/** IP addresses as text: RFC 4291 §2.2 in, RFC 5952 out. Without zones: a locator has none. */

const OCTET = /^(?:0|[1-9][0-9]{0,2})$/;
const GROUP = /^[0-9a-f]{1,4}$/i;
const LONGEST_IP_CHARACTERS = 45; // six groups and a dotted quad

/** The 4 bytes of a dotted quad without leading zeros (which some programs read as octal), or undefined. */
export function parseIpv4Text(text: string): Uint8Array | undefined {
  if (text.length > LONGEST_IP_CHARACTERS) return undefined;
  const octets = text.split(".");
  if (octets.length !== 4 || !octets.every((octet) => OCTET.test(octet) && Number(octet) <= 255)) return undefined;
  return Uint8Array.from(octets, Number);
}

/** The 16-bit groups of one side of `::`; the last may be a dotted quad. */
function parseGroups(text: string, mayEndInQuad: boolean): number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const groups: number[] = [];
  for (const part of parts) {
    if (GROUP.test(part)) {
      groups.push(parseInt(part, 16));
      continue;
    }
    const quad = mayEndInQuad && groups.length === parts.length - 1 ? parseIpv4Text(part) : undefined;
    if (quad === undefined) return undefined;
    const [a = 0, b = 0, c = 0, d = 0] = quad;
    groups.push((a << 8) | b, (c << 8) | d);
  }
  return groups;
}

/** The 16 bytes of an IPv6 address, or undefined. */
export function parseIpv6Text(text: string): Uint8Array | undefined {
  if (text.length > LONGEST_IP_CHARACTERS) return undefined;
  const [left = "", right, third] = text.split("::");
  if (third !== undefined) return undefined;
  const head = parseGroups(left, right === undefined);
  const tail = right === undefined ? [] : parseGroups(right, true);
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (right === undefined ? missing !== 0 : missing < 1) return undefined;
  const bytes = new Uint8Array(16);
  const put = (group: number, at: number): void => {
    bytes[2 * at] = group >> 8;
    bytes[2 * at + 1] = group & 0xff;
  };
  head.forEach((group, i) => put(group, i));
  tail.forEach((group, i) => put(group, head.length + missing + i));
  return bytes;
}

/** 4 or 16 bytes of an address literal, or undefined. */
export const parseIpText = (text: string): Uint8Array | undefined => parseIpv4Text(text) ?? parseIpv6Text(text);

/** Start and length of the longest run of at least two zero groups (RFC 5952 §4.2.2 and §4.2.3). */
function longestZeroRun(groups: readonly number[]): readonly [start: number, length: number] {
  let best: readonly [number, number] = [groups.length, 0];
  let start = 0;
  for (let i = 0; i <= groups.length; i++) {
    if (groups[i] === 0) continue;
    if (i - start > Math.max(best[1], 1)) best = [start, i - start];
    start = i + 1;
  }
  return best;
}

/** The canonical text of 4 or 16 address bytes. */
export function formatIpText(address: Uint8Array): string {
  if (address.length === 4) return address.join(".");
  const groups = Array.from({ length: 8 }, (_, i) => ((address[2 * i] ?? 0) << 8) | (address[2 * i + 1] ?? 0));
  const [start, length] = longestZeroRun(groups);
  const hex = groups.map((group) => group.toString(16));
  if (length === 0) return hex.join(":");
  return `${hex.slice(0, start).join(":")}::${hex.slice(start + length).join(":")}`;
}
