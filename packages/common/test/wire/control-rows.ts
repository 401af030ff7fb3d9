/** Every control message as it stands on the wire, written by hand from docs/wire.md §4 and the MessagePack specification. */
import { makeLocator, type ControlMessage, type RingNode } from "../../src/index.js";

export const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(/[\s|]/g, ""), "hex"));
export const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);

export const NONCE = hex("0102030405060708");
const four = makeLocator(hex("c0000207"), 5610);
const six = makeLocator(hex("20010db8000000000000000000000001"), 65_535);
const node4: RingNode = { key: filled(16, 0x44), locator: four };
const node6: RingNode = { key: filled(16, 0x66), locator: six };

// MessagePack: 9n array of n, c4 binary with a length of one byte, cd 16 bits, d3 64 bits, c0 nil, c2 false, c3 true.
const bin = (length: number, byte: string): string => `c4 ${length.toString(16).padStart(2, "0")} ${byte.repeat(length)}`;
const FOUR = "c4 06 c0000207 15ea";
const SIX = "c4 12 20010db8000000000000000000000001 ffff";
// XOR 08 07 06 05 04 03 02 01, the nonce from its end.
const FOUR_MASKED = "c4 06 c8070402 11e9";
const SIX_MASKED = "c4 12 28060bbd0403020108070605040302 00 f7f8";
const NODE4 = `92 ${bin(16, "44")} ${FOUR}`;
const NODE6 = `92 ${bin(16, "66")} ${SIX}`;
const header = (type: string, bodyLength: string): string => `19 ${type} 00 00 | ${bodyLength} 0000 | 0102030405060708 |`;
const zeros = (length: number): string => "00".repeat(length);

export interface ControlRow {
  readonly name: string;
  readonly message: ControlMessage;
  readonly hex: string;
}

const id = filled(32, 0xaa);
const ringKey = filled(16, 0xbb);
const TIME_MS = 1_800_000_000_000; // 0x1a3185c5000
const trigger = { type: "TRIGGER", id, flags: 0, counter: TIME_MS, commitment: filled(16, 0xcc), cookie: filled(24, 0xdd), signature: filled(64, 0xee) } as const;

export const CONTROL_ROWS: readonly ControlRow[] = [
  { name: "PING", message: { type: "PING" }, hex: `${header("01", "0001")} 90 | ${zeros(79)}` },
  {
    name: "PONG over IPv4",
    message: { type: "PONG", timeMs: TIME_MS, observed: four, nodeKey: filled(16, 0x99) },
    hex: `${header("02", "0024")} 93 d3 000001a3185c5000 ${FOUR_MASKED} ${bin(16, "99")}`,
  },
  {
    name: "PONG over IPv6, an early clock",
    message: { type: "PONG", timeMs: 0, observed: six, nodeKey: filled(16, 0x99) },
    hex: `${header("02", "0028")} 93 00 ${SIX_MASKED} ${bin(16, "99")}`,
  },
  { name: "LOCATE", message: { type: "LOCATE", ringKey }, hex: `${header("03", "0013")} 91 ${bin(16, "bb")} | ${zeros(61)}` },
  {
    name: "LOCATED",
    message: { type: "LOCATED", ringKey, node: node4 },
    hex: `${header("04", "002d")} 93 ${bin(16, "bb")} ${FOUR} ${bin(16, "44")}`,
  },
  {
    name: "CHALLENGE_REQUEST",
    message: { type: "CHALLENGE_REQUEST", ringKey, flags: 2 },
    hex: `${header("05", "0014")} 92 ${bin(16, "bb")} 02 | ${zeros(124)}`,
  },
  {
    name: "CHALLENGE",
    message: { type: "CHALLENGE", ringKey, cookie: filled(24, 0xdd), observed: four, timeMs: TIME_MS, nodeKey: filled(16, 0x99) },
    hex: `${header("06", "0050")} 95 ${bin(16, "bb")} ${bin(24, "dd")} ${FOUR_MASKED} d3 000001a3185c5000 ${bin(16, "99")}`,
  },
  {
    name: "TRIGGER, insert with a host key",
    message: { ...trigger, action: 1, target: four, keyKind: 1, publicKey: filled(64, 0xff) },
    hex: `${header("07", "00e9")} 9a 01 ${bin(32, "aa")} 92 01 ${FOUR} 00 d3 000001a3185c5000 01 ${bin(64, "ff")} ${bin(16, "cc")} ${bin(24, "dd")} ${bin(64, "ee")}`,
  },
  {
    name: "TRIGGER, remove with an Ed25519 key",
    message: { ...trigger, action: 2, target: six, flags: 0xffff, counter: 0xffff_ffff, keyKind: 2, publicKey: filled(32, 0xff) },
    hex: `${header("07", "00d3")} 9a 02 ${bin(32, "aa")} 92 01 ${SIX} cd ffff ce ffffffff 02 ${bin(32, "ff")} ${bin(16, "cc")} ${bin(24, "dd")} ${bin(64, "ee")}`,
  },
  {
    name: "TRIGGER, insert with a P-384 key",
    message: { ...trigger, action: 1, target: four, keyKind: 3, publicKey: filled(96, 0xff), signature: filled(96, 0xee) },
    hex: `${header("07", "0129")} 9a 01 ${bin(32, "aa")} 92 01 ${FOUR} 00 d3 000001a3185c5000 03 ${bin(96, "ff")} ${bin(16, "cc")} ${bin(24, "dd")} ${bin(96, "ee")}`,
  },
  {
    name: "TRIGGER, insert with the smallest RSA key",
    message: { ...trigger, action: 1, target: four, keyKind: 4, publicKey: filled(258, 0xff), signature: filled(256, 0xee) },
    hex: `${header("07", "026d")} 9a 01 ${bin(32, "aa")} 92 01 ${FOUR} 00 d3 000001a3185c5000 04 c5 0102 ${"ff".repeat(258)} ${bin(16, "cc")} ${bin(24, "dd")} c5 0100 ${"ee".repeat(256)}`,
  },
  {
    name: "TRIGGER, insert with the largest RSA key",
    message: { ...trigger, action: 1, target: six, keyKind: 4, publicKey: filled(517, 0xff), signature: filled(512, 0xee) },
    hex: `${header("07", "047c")} 9a 01 ${bin(32, "aa")} 92 01 ${SIX} 00 d3 000001a3185c5000 04 c5 0205 ${"ff".repeat(517)} ${bin(16, "cc")} ${bin(24, "dd")} c5 0200 ${"ee".repeat(512)}`,
  },
  {
    name: "TRIGGER, a claim of a name",
    message: { ...trigger, action: 1, target: four, keyKind: 5, publicKey: filled(64, 0xff) },
    hex: `${header("07", "00e9")} 9a 01 ${bin(32, "aa")} 92 01 ${FOUR} 00 d3 000001a3185c5000 05 ${bin(64, "ff")} ${bin(16, "cc")} ${bin(24, "dd")} ${bin(64, "ee")}`,
  },
  {
    name: "TRIGGER, of a group's member",
    message: { ...trigger, action: 1, target: four, keyKind: 6, publicKey: filled(136, 0xff) },
    hex: `${header("07", "0131")} 9a 01 ${bin(32, "aa")} 92 01 ${FOUR} 00 d3 000001a3185c5000 06 ${bin(136, "ff")} ${bin(16, "cc")} ${bin(24, "dd")} ${bin(64, "ee")}`,
  },
  {
    name: "TRIGGER along a stack of a private id and a group's",
    message: {
      ...trigger, action: 1, keyKind: 2, publicKey: filled(32, 0xff),
      target: { steps: [{ id: filled(32, 0x11), notAfterS: 1_900_000_000, keyKind: 2, publicKey: filled(32, 0x12), signature: filled(64, 0x13) }, { id: filled(32, 0x21), notAfterS: 1, keyKind: 7, publicKey: filled(32, 0x22), signature: filled(64, 0x23) }] },
    },
    hex: `${header("07", "01d7")} 9a 01 ${bin(32, "aa")} 93 02 95 ${bin(32, "11")} ce 713fb300 02 ${bin(32, "12")} ${bin(64, "13")} 95 ${bin(32, "21")} 01 07 ${bin(32, "22")} ${bin(64, "23")} 00 d3 000001a3185c5000 02 ${bin(32, "ff")} ${bin(16, "cc")} ${bin(24, "dd")} ${bin(64, "ee")}`,
  },
  {
    name: "TRIGGER_OK without a replica",
    message: { type: "TRIGGER_OK", action: 1, id, lifeMs: 30_000, replica: null },
    hex: `${header("08", "0028")} 94 01 ${bin(32, "aa")} cd 7530 c0`,
  },
  {
    name: "TRIGGER_OK with a replica",
    message: { type: "TRIGGER_OK", action: 2, id, lifeMs: 0, replica: six },
    hex: `${header("08", "0039")} 94 02 ${bin(32, "aa")} 00 ${SIX}`,
  },
  {
    name: "REFRESH, the first",
    message: { type: "REFRESH", id, index: 1, token: filled(16, 0x77), member: null },
    hex: `${header("09", "0037")} 94 ${bin(32, "aa")} 01 ${bin(16, "77")} c0 | ${zeros(89)}`,
  },
  {
    name: "REFRESH, the last, of a group's member",
    message: { type: "REFRESH", id, index: 1_024, token: filled(16, 0x77), member: filled(32, 0x88) },
    hex: `${header("09", "005a")} 94 ${bin(32, "aa")} cd 0400 ${bin(16, "77")} ${bin(32, "88")} | ${zeros(54)}`,
  },
  { name: "REFUSED about an id", message: { type: "REFUSED", code: 2, subject: id }, hex: `${header("0a", "0024")} 92 02 ${bin(32, "aa")}` },
  { name: "REFUSED about a ring key", message: { type: "REFUSED", code: 255, subject: ringKey }, hex: `${header("0a", "0015")} 92 cc ff ${bin(16, "bb")}` },
  { name: "NOT_PRESENT", message: { type: "NOT_PRESENT", id }, hex: `${header("0b", "0023")} 91 ${bin(32, "aa")}` },
  {
    name: "CACHE",
    message: { type: "CACHE", ringKey, node: node6, lifeMs: 30_000 },
    hex: `${header("0c", "003c")} 94 ${bin(16, "bb")} ${SIX} ${bin(16, "66")} cd 7530`,
  },
  { name: "SHORTCUT", message: { type: "SHORTCUT", id, target: four }, hex: `${header("0d", "002b")} 92 ${bin(32, "aa")} ${FOUR}` },
  { name: "PROVE", message: { type: "PROVE", id }, hex: `${header("0e", "0023")} 91 ${bin(32, "aa")} | ${zeros(237)}` },
  {
    name: "PROOF of a private id",
    message: { type: "PROOF", id, token: filled(16, 0x11), keyKind: 2, publicKey: filled(32, 0x22), signature: filled(64, 0xee) },
    hex: `${header("0f", "009a")} 95 ${bin(32, "aa")} ${bin(16, "11")} 02 ${bin(32, "22")} ${bin(64, "ee")}`,
  },
  { name: "PROBE", message: { type: "PROBE", id }, hex: `${header("10", "0023")} 91 ${bin(32, "aa")} | ${zeros(45)}` },
  { name: "PROBED", message: { type: "PROBED", id, token: filled(16, 0x11) }, hex: `${header("11", "0035")} 92 ${bin(32, "aa")} ${bin(16, "11")}` },
  {
    name: "CHECK of a path in use",
    message: { type: "CHECK", spi: 0x2000_0001, flags: 1 },
    hex: `${header("12", "0007")} 92 ce 20000001 01 | ${zeros(73)}`,
  },
  {
    name: "CHECK with the greatest numbers",
    message: { type: "CHECK", spi: 0xffff_ffff, flags: 0xffff },
    hex: `${header("12", "0009")} 92 ce ffffffff cd ffff | ${zeros(71)}`,
  },
  {
    name: "CHECKED over IPv4",
    message: { type: "CHECKED", spi: 0x2000_0001, observed: four },
    hex: `${header("13", "000e")} 92 ce 20000001 ${FOUR_MASKED}`,
  },
  {
    name: "CHECKED over IPv6, the longest",
    message: { type: "CHECKED", spi: 0xffff_ffff, observed: six },
    hex: `${header("13", "001a")} 92 ce ffffffff ${SIX_MASKED}`,
  },
  { name: "FIND", message: { type: "FIND", from: node4, ringKey }, hex: `${header("20", "002e")} 92 ${NODE4} ${bin(16, "bb")}` },
  {
    name: "FOUND",
    message: { type: "FOUND", from: node4, final: true, node: node6 },
    hex: `${header("21", "0044")} 93 ${NODE4} c3 ${NODE6}`,
  },
  {
    name: "ROUTE",
    message: { type: "ROUTE", from: node4, ringKey, asker: node6, last: true, hops: 255, credential: filled(153, 0xcc) },
    hex: `${header("32", "00f3")} 96 ${NODE4} ${bin(16, "bb")} ${NODE6} c3 cc ff ${bin(153, "cc")}`,
  },
  { name: "ROUTE of who shows no credential", message: { type: "ROUTE", from: node4, ringKey, asker: node6, last: true, hops: 255, credential: null }, hex: `${header("32", "0059")} 96 ${NODE4} ${bin(16, "bb")} ${NODE6} c3 cc ff c0` },
  { name: "ROUTED", message: { type: "ROUTED", from: node4, hops: 1, credential: null }, hex: `${header("33", "001e")} 93 ${NODE4} 01 c0` },
  { name: "ROUTED to who was never met", message: { type: "ROUTED", from: node4, hops: 1, credential: filled(153, 0xcc) }, hex: `${header("33", "00b8")} 93 ${NODE4} 01 ${bin(153, "cc")}` },
  { name: "STATE of a server with both families", message: { type: "STATE", from: { ...node4, other: node6.locator } }, hex: `${header("22", "0030")} 91 93 ${bin(16, "44")} ${FOUR} ${SIX}` },
  { name: "STATE", message: { type: "STATE", from: node4 }, hex: `${header("22", "001c")} 91 ${NODE4}` },
  {
    name: "STATE_IS of a lonely server",
    message: { type: "STATE_IS", from: node4, pending: false, predecessor: null, successors: [] },
    hex: `${header("23", "001f")} 94 ${NODE4} c2 c0 90`,
  },
  {
    name: "STATE_IS",
    message: { type: "STATE_IS", from: node4, pending: true, predecessor: node6, successors: [node4, node6] },
    hex: `${header("23", "0087")} 94 ${NODE4} c3 ${NODE6} 92 ${NODE4} ${NODE6}`,
  },
  { name: "NOTIFY", message: { type: "NOTIFY", from: node6 }, hex: `${header("24", "0028")} 91 ${NODE6}` },
  { name: "ALIVE", message: { type: "ALIVE", from: node4 }, hex: `${header("25", "001c")} 91 ${NODE4}` },
  { name: "ALIVE_YES", message: { type: "ALIVE_YES", from: node4 }, hex: `${header("26", "001c")} 91 ${NODE4}` },
  {
    name: "LEAVING",
    message: { type: "LEAVING", from: node4, predecessor: node6, successors: [node4] },
    hex: `${header("27", "005f")} 93 ${NODE4} ${NODE6} 91 ${NODE4}`,
  },
  {
    name: "LEAVING of the last",
    message: { type: "LEAVING", from: node6, predecessor: null, successors: [] },
    hex: `${header("27", "002a")} 93 ${NODE6} c0 90`,
  },
  { name: "HELLO", message: { type: "HELLO", credential: filled(153, 0xcc) }, hex: `${header("28", "009c")} 91 ${bin(153, "cc")} | ${zeros(52)}` },
  { name: "HELLO_YES", message: { type: "HELLO_YES", credential: filled(153, 0xcc) }, hex: `${header("29", "009c")} 91 ${bin(153, "cc")}` },
  { name: "HELLO_AGAIN", message: { type: "HELLO_AGAIN", counter: 1_024 }, hex: `${header("2a", "0004")} 91 cd 0400` },
  {
    name: "RECORD_PUT of the smallest record",
    message: { type: "RECORD_PUT", flags: 1, cookie: filled(24, 0xdd), record: filled(133, 0xab) },
    hex: `${header("3c", "00a3")} 93 01 ${bin(24, "dd")} ${bin(133, "ab")}`,
  },
  { name: "RECORD_GET", message: { type: "RECORD_GET", flags: 1, ringKey }, hex: `${header("3d", "0014")} 92 01 ${bin(16, "bb")} | ${zeros(1_052)}` },
  {
    name: "RECORD_OK",
    message: { type: "RECORD_OK", ringKey, sequence: 5, lifeMs: 3_600_000, successor: four },
    hex: `${header("3e", "0021")} 94 ${bin(16, "bb")} 05 ce 0036ee80 ${FOUR}`,
  },
  {
    name: "RECORD_OK of a ring of one",
    message: { type: "RECORD_OK", ringKey, sequence: TIME_MS, lifeMs: 0, successor: null },
    hex: `${header("3e", "001e")} 94 ${bin(16, "bb")} d3 000001a3185c5000 00 c0`,
  },
  {
    name: "RECORD_IS of the largest record",
    message: { type: "RECORD_IS", ringKey, record: filled(1_000, 0xab), successor: six },
    hex: `${header("3f", "0412")} 93 ${bin(16, "bb")} c5 03e8 ${"ab".repeat(1_000)} ${SIX}`,
  },
  { name: "RECORD_IS without one", message: { type: "RECORD_IS", ringKey, record: null, successor: null }, hex: `${header("3f", "0015")} 93 ${bin(16, "bb")} c0 c0` },
];
