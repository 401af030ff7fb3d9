/** IP packets of every kind, right and wrong, as recipes: records of small numbers, which fast-check shrinks well. */
import fc from "fast-check";
import { be16, be32, bytes, concat, data, icmp, ip4Packet, ip6Packet, packet, sealTransport } from "../reference/packets.js";
import { addressOf, BEHIND, type Family } from "./pools.js";

/** Changes of bytes that a packet had when it was right. */
export interface Damage {
  /** Places count from the front, modulo the length. */
  readonly edits: readonly (readonly [at: number, value: number])[];
  /** Bytes that stay, of 1,000 shares; null: all. */
  readonly keep: number | null;
  readonly append: number;
}

const NO_DAMAGE: Damage = { edits: [], keep: null, append: 0 };
const byte = fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat(255));

export const damages: fc.Arbitrary<Damage> = fc.oneof(
  { arbitrary: fc.constant(NO_DAMAGE), weight: 8 },
  {
    arbitrary: fc.record({
      edits: fc.array(fc.tuple(fc.oneof(fc.nat(80), fc.nat(1_500)), byte), { maxLength: 3 }),
      keep: fc.option(fc.nat(1_000), { freq: 3 }),
      append: fc.constantFrom(0, 0, 0, 1, 2, 8, 40),
    }),
    weight: 2,
  },
);

export function damaged(whole: Uint8Array, { edits, keep, append }: Damage): Uint8Array {
  const out = concat(whole.subarray(0, keep === null ? whole.length : Math.floor((whole.length * keep) / 1_000)), data(append, 3));
  if (out.length > 0) for (const [at, value] of edits) out[at % out.length] = value;
  return out;
}

const OPTIONS = {
  none: bytes(), nops: bytes(1, 1, 1, 1), alert: bytes(148, 4, 0, 0), record: bytes(7, 7, 4, 0, 0, 0, 0, 0), loose: bytes(0x83, 7, 4, 10, 0, 0, 2, 0), strict: bytes(1, 0x89, 7, 4, 10, 0, 0, 3),
  hidden: bytes(0, 0x83, 7, 4), broken: bytes(7, 0, 0, 0), beyond: bytes(1, 1, 7, 9), lone: bytes(1, 1, 1, 7),
} as const;

const EXTENSIONS = {
  hopByHop: [0, bytes(5, 2, 0, 0, 1, 0)], destination: [60, bytes(1, 4, 0, 0, 0, 0)], routing: [43, bytes(0, 0, 0, 0, 0, 0)], routingOn: [43, bytes(0, 1, 0, 0, 0, 0)], atom: [44, bytes(0, 0, 0, 0, 0, 9)],
  first: [44, bytes(0, 1, 0, 0, 0, 9)], later: [44, bytes(0, 8, 0, 0, 0, 9)], long: [60, bytes(1, 4, 0, 0, 0, 0, ...new Array<number>(8).fill(0))], beyond: [60, bytes(1, 0, 0, 0, 0, 0)], shim: [140, bytes(0, 0, 0, 0, 0, 0)],
} as const;

/** TCP options, most with an MSS of 1,460 (0x05b4) somewhere. */
const TCP_OPTIONS = {
  none: bytes(), mss: bytes(2, 4, 5, 0xb4), odd: bytes(1, 2, 4, 5, 0xb4, 1, 1, 0), late: bytes(1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 2, 4, 0xff, 0xff), odder: bytes(3, 3, 7, 2, 4, 5, 0xb4, 0), twice: bytes(2, 4, 5, 0xb4, 2, 4, 5, 0xb4),
  times: bytes(1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8), small: bytes(2, 4, 2, 0), ended: bytes(0, 2, 4, 5), broken: bytes(9, 0, 2, 4), short: bytes(2, 3, 5, 0), beyond: bytes(2, 4, 5, 0xb4, 1, 1, 2, 4), hurt: bytes(5, 40, 2, 4),
} as const;

const keysOf = <K extends string>(record: Readonly<Record<K, unknown>>): readonly K[] => Object.keys(record) as K[];

const BALANCED = -1;

export interface PacketRecipe {
  readonly family: Family;
  /** Indices into the pool of the family. */
  readonly source: number;
  readonly destination: number;
  readonly message: "udp" | "tcp" | "echo" | "error" | "other";
  readonly payloadBytes: number;
  readonly trafficClass: number;
  readonly ttl: number;
  /** IPv4: the flags and fragment offset word. */
  readonly fragment: number;
  /** {@link BALANCED}: what makes the header's checksum 0. */
  readonly identification: number;
  readonly options: keyof typeof OPTIONS;
  readonly extensions: readonly (keyof typeof EXTENSIONS)[];
  /** Of TCP and UDP, and of what is quoted of them. */
  readonly ports: readonly [source: number, destination: number];
  readonly tcpFlags: number;
  readonly tcpOptions: keyof typeof TCP_OPTIONS;
  readonly sequence: number;
  readonly protocol: number;
  /** `nothing`: the payload makes it 0 (UDP: 0xffff). */
  readonly checksum: "right" | "wrong" | "zero" | "nothing";
  /** ICMP errors: the message quoted, how much of it, and whether its addresses are those of an answered packet. */
  readonly quoted: "udp" | "tcp" | "echo" | "other";
  readonly quotedBytes: number;
  readonly quotesBack: boolean;
  /** What is quoted went to a host behind the one that sends the error. */
  readonly quotesBehind: boolean;
  readonly icmpType: number;
  readonly damage: Damage;
}

const common = <T>(usual: T, others: fc.Arbitrary<T>, weight = 7): fc.Arbitrary<T> => fc.oneof({ arbitrary: fc.constant(usual), weight }, { arbitrary: others, weight: 10 - weight });

export const ports = { source: 5_000, destination: 7_000 } as const;
/** On, beside and between the bounds of what services are made of (table-recipes.ts). */
export const PORT_PAIRS: readonly (readonly [source: number, destination: number])[] = [[5_000, 7_000], [5_000, 7_000], [7_000, 5_000], [22, 5_000], [5_001, 21], [53, 80], [80, 22], [0, 65_535], [4_999, 23]];
const sizes = fc.oneof({ arbitrary: fc.nat(40), weight: 5 }, { arbitrary: fc.constantFrom(64, 500, 548, 576, 1_000, 1_232, 1_240, 1_280, 1_360, 1_400, 1_460), weight: 6 }, { arbitrary: fc.nat(3_000), weight: 2 });
const rareSizes = fc.oneof({ arbitrary: sizes, weight: 60 }, { arbitrary: fc.constantFrom(9_000, 65_400, 65_449, 65_450, 65_480, 65_495, 65_507, 65_515, 65_535), weight: 1 });

export const packetRecipes: fc.Arbitrary<PacketRecipe> = fc.record({
  family: fc.constantFrom<Family>(4, 6),
  source: common(0, fc.oneof(fc.nat(8), fc.constant(BEHIND)), 6),
  destination: fc.oneof({ arbitrary: fc.integer({ min: 0, max: 3 }), weight: 8 }, { arbitrary: fc.constant(BEHIND), weight: 1 }, { arbitrary: fc.nat(8), weight: 1 }),
  message: fc.constantFrom("udp", "tcp", "tcp", "echo", "error", "error", "other"),
  payloadBytes: rareSizes,
  trafficClass: common(0, fc.oneof(fc.constantFrom(1, 2, 3, 0xb8), fc.nat(255)), 3),
  ttl: common(64, fc.constantFrom(0, 1, 63, 65, 255), 8),
  fragment: fc.oneof({ arbitrary: fc.constant(0x4000), weight: 5 }, { arbitrary: fc.constant(0), weight: 3 }, { arbitrary: fc.constantFrom(0x2000, 0x6000, 0x8000, 1, 2, 0x2001, 0x1fff, 0x3fff, 0x4001, 0x1c00), weight: 2 }),
  identification: fc.constantFrom(0, 0, 1, 0x1234, 0xffff, BALANCED),
  options: common<keyof typeof OPTIONS>("none", fc.constantFrom(...keysOf(OPTIONS)), 8),
  extensions: common<readonly (keyof typeof EXTENSIONS)[]>([], fc.array(fc.constantFrom(...keysOf(EXTENSIONS)), { maxLength: 9 }), 8),
  ports: fc.constantFrom(...PORT_PAIRS),
  tcpFlags: fc.oneof(fc.constantFrom(0x10, 0x18, 0x02, 0x12, 0x11, 0x90, 0xc2), fc.nat(255)),
  tcpOptions: fc.constantFrom(...keysOf(TCP_OPTIONS)),
  sequence: fc.constantFrom(1, 0xffff_ff00, 1_461),
  protocol: fc.oneof(fc.constantFrom(47, 50, 51, 132, 4, 41, 59, 0, 43, 44, 60, 1, 58, 2, 6, 17), fc.nat(255)),
  checksum: common<PacketRecipe["checksum"]>("right", fc.constantFrom("wrong", "zero", "nothing"), 7),
  quoted: fc.constantFrom("udp", "tcp", "echo", "other"),
  // Most end before, in or behind the quoted checksum.
  quotedBytes: fc.oneof(fc.nat(120), fc.constantFrom(28, 29, 36, 38, 40, 44, 46, 47, 48, 56, 57, 58, 60, 100, 548, 1_232)),
  quotesBack: common(true, fc.boolean(), 8),
  quotesBehind: common(false, fc.boolean(), 7),
  icmpType: fc.oneof(fc.constantFrom(3, 4, 5, 11, 12, 1, 2, 137), fc.nat(255)),
  damage: damages,
});

/** What a recipe says when nothing else is asked for. */
export const PLAIN: PacketRecipe = {
  family: 4, source: 0, destination: 1, message: "udp", payloadBytes: 20, trafficClass: 0, ttl: 64, fragment: 0x4000, identification: 0, options: "none", extensions: [], ports: [5_000, 7_000], tcpFlags: 0x10, tcpOptions: "none", sequence: 1,
  protocol: 47, checksum: "right", quoted: "udp", quotedBytes: 60, quotesBack: true, quotesBehind: false, icmpType: 3, damage: NO_DAMAGE,
};

export function tcpMessage(flags: number, options: Uint8Array, sequence: number, payload: Uint8Array, portPair: readonly [number, number] = [ports.source, ports.destination]): Uint8Array {
  return concat(be16(portPair[0]), be16(portPair[1]), be32(sequence), be32(0x0102_0304), bytes(((20 + options.length) / 4) << 4, flags), be16(2_000), be16(0), be16(0), options, payload);
}

export const udpMessage = (payload: Uint8Array, portPair: readonly [number, number] = [ports.source, ports.destination]): Uint8Array =>
  concat(be16(portPair[0]), be16(portPair[1]), be16((8 + payload.length) & 0xffff), be16(0), payload);

function quotedPacket({ family, source, destination, quoted, quotedBytes, quotesBack, quotesBehind, protocol, payloadBytes, ports: portPair }: PacketRecipe): Uint8Array {
  const [from, to] = !quotesBack ? [source, destination] : [destination, quotesBehind ? BEHIND : source];
  const message = quoted === "udp" ? udpMessage(data(payloadBytes % 100), portPair) : quoted === "tcp" ? tcpMessage(0x10, bytes(), 1, data(payloadBytes % 100), portPair) : icmp(family === 4 ? 8 : 128, 0, data(payloadBytes % 100));
  const number = quoted === "udp" ? 17 : quoted === "tcp" ? 6 : quoted === "echo" ? (family === 4 ? 1 : 58) : protocol;
  return packet(addressOf(family, from), addressOf(family, to), number, message).subarray(0, quotedBytes);
}

function messageOf(recipe: PacketRecipe): readonly [protocol: number, message: Uint8Array] {
  const { family, message, tcpFlags, tcpOptions, sequence, payloadBytes, protocol, icmpType, ports: portPair } = recipe;
  const payload = data(payloadBytes);
  switch (message) {
    case "udp":
      return [17, udpMessage(payload, portPair)];
    case "tcp":
      return [6, tcpMessage(tcpFlags, TCP_OPTIONS[tcpOptions], sequence, payload, portPair)];
    case "echo":
      return [family === 4 ? 1 : 58, icmp(family === 4 ? 8 : 128, 0, payload)];
    case "error":
      return [family === 4 ? 1 : 58, icmp(icmpType, payloadBytes % 5, concat(bytes(0, 0, 0, 0), quotedPacket(recipe)))];
    case "other":
      return [protocol, payload];
  }
}

const CHECKSUM_AT: Readonly<Record<number, number>> = { 1: 2, 6: 16, 17: 6, 58: 2 };

export function buildPacket(recipe: PacketRecipe): Uint8Array {
  const { family, trafficClass, ttl, fragment, identification, options, extensions, checksum, damage } = recipe;
  const [source, destination] = [addressOf(family, recipe.source), addressOf(family, recipe.destination)];
  const [protocol, raw] = messageOf(recipe);
  const at = CHECKSUM_AT[protocol];
  if (checksum === "nothing") balance(raw, at, sealTransport(source, destination, protocol, raw));
  const message = sealTransport(source, destination, protocol, raw);
  if ((checksum === "wrong" || checksum === "zero") && at !== undefined && at + 2 <= message.length) message.set(checksum === "zero" ? [0, 0] : [(message[at] ?? 0) ^ 0x5a, message[at + 1] ?? 0], at);
  if (family === 4) {
    const length = 20 + OPTIONS[options].length + message.length;
    const totalLength = Math.min(length, 65_535);
    const fields = { source, destination, protocol, options: OPTIONS[options], fragment, totalLength, ttl, trafficClass, identification: Math.max(identification, 0) };
    const whole = ip4Packet(fields, message);
    const balanced = identification === BALANCED ? ip4Packet({ ...fields, identification: ((whole[10] ?? 0) << 8) | (whole[11] ?? 0) }, message) : whole;
    return damaged(balanced, damage);
  }
  const kinds = extensions.map((name) => EXTENSIONS[name]);
  const headers = kinds.map(([, body], i) => concat(bytes(kinds[i + 1]?.[0] ?? protocol), lengthByte(extensions[i], body)));
  const payload = concat(...headers, message);
  return damaged(ip6Packet({ source, destination, nextHeader: kinds[0]?.[0] ?? protocol, hopLimit: ttl, trafficClass, payloadLength: Math.min(payload.length, 65_535) }, payload), damage);
}

/** Changes the last whole word so that the checksum, which `sealed` has, becomes 0. */
function balance(raw: Uint8Array, at: number | undefined, sealed: Uint8Array): void {
  const word = (raw.length - (raw.length % 2)) - 2;
  if (at === undefined || word < 20) return;
  const sum = ((raw[word] ?? 0) << 8) + (raw[word + 1] ?? 0) + ((sealed[at] ?? 0) << 8) + (sealed[at + 1] ?? 0);
  raw.set(be16((sum & 0xffff) + (sum >> 16)), word);
}

/** The second byte of an extension header and what is behind it. */
function lengthByte(name: keyof typeof EXTENSIONS | undefined, body: Uint8Array): Uint8Array {
  if (name === "atom" || name === "first" || name === "later") return concat(bytes(0), body);
  return concat(bytes(name === "beyond" ? 250 : body.length > 6 ? 1 : 0), body);
}
