/** Names of the reverse trees: `4.3.2.10.in-addr.arpa` (RFC 1035 §3.5) and `….ip6.arpa` (RFC 3596 §2.5). */

const V4_SUFFIX = ".in-addr.arpa";
const V6_SUFFIX = ".ip6.arpa";
const NIBBLES = 32;

/** Host identity tags, 2001:20::/28 (RFC 7343 §6), as the end of their reverse names. */
const HIT_TREE = "2.0.0.1.0.0.2.ip6.arpa";

/** The whole address (4 or 16 bytes) that a lower-case name stands for; null for every other name, also for part of an address. */
export function addressOfReverseName(name: string): Uint8Array | null {
  if (!name.endsWith(".arpa")) return null;
  if (name.endsWith(V4_SUFFIX)) return parseV4(name.slice(0, -V4_SUFFIX.length));
  if (name.endsWith(V6_SUFFIX)) return parseV6(name.slice(0, -V6_SUFFIX.length));
  return null;
}

function parseV4(reversed: string): Uint8Array | null {
  const labels = reversed.split(".");
  if (labels.length !== 4) return null;
  const address = new Uint8Array(4);
  for (const [i, label] of labels.entries()) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(label) || Number(label) > 255) return null;
    address[3 - i] = Number(label);
  }
  return address;
}

function parseV6(reversed: string): Uint8Array | null {
  if (!/^[0-9a-f](\.[0-9a-f]){31}$/.test(reversed)) return null;
  const address = new Uint8Array(16);
  for (let i = 0; i < NIBBLES; i += 1) {
    const nibble = Number.parseInt(reversed.charAt(2 * i), 16);
    const at = (NIBBLES - 1 - i) >> 1;
    address[at] = (address[at] ?? 0) | (nibble << (i % 2 === 0 ? 0 : 4));
  }
  return address;
}

/** Whether a name is the reverse tree of host identity tags or lies in it: nobody on the Internet could answer for it. */
export const inHitTree = (name: string): boolean => name === HIT_TREE || name.endsWith(`.${HIT_TREE}`);
