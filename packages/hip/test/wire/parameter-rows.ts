/**
 * Contents of every parameter as they stand on the wire, written by hand from RFC 7401 §5.2, 7402 §5.1, 8046 §4, 9028 §5.4 and docs/wire.md §9.3.
 * `allLengths`: a shorter one of these bytes is another value, not a fault; every other truncation must be refused.
 */
import {
  decodeAck, decodeDhGroupList, decodeDiffieHellman, decodeEcho, decodeEncrypted, decodeEspInfo, decodeEspTransform, decodeHipCipher, decodeHipMac, decodeHipSignature,
  decodeHitSuiteList, decodeHostId, decodeI3OwnId, decodeI3Padding, decodeI3Preferences, decodeI3PrivateId, decodeI3ReturnId, decodeLocatorSet,
  decodeNatTraversalMode, decodeNotification, decodePuzzle, decodeR1Counter, decodeSeq, decodeSolution, decodeTransportFormatList, encodeAck, encodeDhGroupList,
  encodeDiffieHellman, encodeEcho, encodeEncrypted, encodeEspInfo, encodeEspTransform, encodeHipCipher, encodeHipMac, encodeHipSignature, encodeHitSuiteList,
  encodeHostId, encodeI3OwnId, encodeI3Padding, encodeI3Preferences, encodeI3PrivateId, encodeI3ReturnId, encodeLocatorSet, encodeNatTraversalMode,
  encodeNotification, encodePuzzle, encodeR1Counter, encodeSeq, encodeSolution, encodeTransportFormatList, I3_PREFERENCE_FLAG, LOCATOR_KIND, NOTIFY_CODE, PARAMETER, PROTOCOL_UDP,
  TRAFFIC_TYPE,
} from "../../src/index.js";
import { filled, hex } from "./packet-rows.js";

export interface ParameterRow {
  readonly name: string;
  readonly type: number;
  readonly hex: string;
  /** The value's contents. */
  readonly encode: () => Uint8Array;
  readonly decode: (contents: Uint8Array) => unknown;
  /** What {@link decode} must return. */
  readonly value: unknown;
  /** Contents of a value that {@link decode} returned. */
  readonly again: (contents: Uint8Array) => Uint8Array;
  /** Lengths short of the whole at which the contents are good. */
  readonly allLengths: readonly number[];
  /** Whether a byte more is ignored or belongs to the last field. */
  readonly grows: boolean;
}

interface Codec<T> {
  readonly name: string;
  readonly type: number;
  readonly hex: string;
  readonly value: T;
  readonly encode: (value: T) => Uint8Array;
  readonly decode: (contents: Uint8Array) => T;
  readonly allLengths?: readonly number[];
  readonly grows?: boolean;
}

const row = <T>({ name, type, hex: text, value, encode, decode, allLengths = [], grows = false }: Codec<T>): ParameterRow =>
  ({ name, type, hex: text, value, encode: () => encode(value), decode, again: (contents) => encode(decode(contents)), allLengths, grows });

const upTo = (length: number, start = 0): readonly number[] => Array.from({ length: length - start }, (_, i) => start + i);

const espInfo = { encode: encodeEspInfo, decode: decodeEspInfo, type: PARAMETER.espInfo };
const hostId = { encode: encodeHostId, decode: decodeHostId, type: PARAMETER.hostId };
const locatorSet = { encode: ({ locators }: ReturnType<typeof decodeLocatorSet>) => encodeLocatorSet(locators), decode: decodeLocatorSet, type: PARAMETER.locatorSet };
const id = filled(32, 0xaa);
const six = hex("20010db8000000000000000000000001");

export const PARAMETER_ROWS: readonly ParameterRow[] = [
  row({ ...espInfo, name: "ESP_INFO of a new association", hex: "0000 00c0 00000000 20000001", value: { keymatIndex: 192, oldSpi: 0, newSpi: 0x2000_0001 } }),
  row({ ...espInfo, name: "ESP_INFO at its limits", hex: "0000 ffff ffffffff fffffffe", value: { keymatIndex: 0xffff, oldSpi: 0xffff_ffff, newSpi: 0xffff_fffe } }),
  row({ name: "R1_COUNTER", type: PARAMETER.r1Counter, hex: "00000000 0000000100000002", value: 0x1_0000_0002n, encode: encodeR1Counter, decode: decodeR1Counter }),
  row({ name: "R1_COUNTER, the last", type: PARAMETER.r1Counter, hex: "00000000 ffffffffffffffff", value: 2n ** 64n - 1n, encode: encodeR1Counter, decode: decodeR1Counter }),
  row({
    ...locatorSet, name: "LOCATOR_SET of both families and types", allLengths: [0, 24],
    hex: `00 00 04 01 00000078 00000000000000000000ffffc0000207 | 02 01 05 00 ffffffff fedcba98 20010db8000000000000000000000001`,
    value: {
      locators: [
        { trafficType: TRAFFIC_TYPE.both, preferred: true, lifetimeSeconds: 120, spi: null, address: hex("c0000207") },
        { trafficType: TRAFFIC_TYPE.data, preferred: false, lifetimeSeconds: 0xffff_ffff, spi: 0xfedc_ba98, address: six },
      ],
      skipped: 0,
    },
  }),
  row({
    ...locatorSet, name: "LOCATOR_SET of candidates", allLengths: [0, 36],
    hex: `00 02 07 00 00000078 15ea 11 00 7effffff 20000001 00000000000000000000ffffc0000207 | 01 02 07 01 00000000 ffff 06 03 ffffffff ffffffff 20010db8000000000000000000000001`,
    value: {
      locators: [
        {
          trafficType: TRAFFIC_TYPE.both, preferred: false, lifetimeSeconds: 120, spi: 0x2000_0001, address: hex("c0000207"),
          transport: { port: 5_610, protocol: PROTOCOL_UDP, kind: LOCATOR_KIND.host, priority: 0x7eff_ffff },
        },
        {
          trafficType: TRAFFIC_TYPE.signaling, preferred: true, lifetimeSeconds: 0, spi: 0xffff_ffff, address: six,
          transport: { port: 65_535, protocol: 6, kind: LOCATOR_KIND.relayed, priority: 0xffff_ffff },
        },
      ],
      skipped: 0,
    },
  }),
  row({ ...locatorSet, name: "LOCATOR_SET without locators", hex: "", value: { locators: [], skipped: 0 } }),
  row({
    name: "PUZZLE of SHA-256", type: PARAMETER.puzzle, hex: `0a 25 beef ${"11".repeat(32)}`,
    value: { difficulty: 10, lifetime: 37, opaque: hex("beef"), random: filled(32, 0x11) }, encode: encodePuzzle, decode: (contents) => decodePuzzle(contents, 32),
  }),
  row({
    name: "PUZZLE of SHA-384", type: PARAMETER.puzzle, hex: `ff 00 0001 ${"12".repeat(48)}`,
    value: { difficulty: 255, lifetime: 0, opaque: hex("0001"), random: filled(48, 0x12) }, encode: encodePuzzle, decode: (contents) => decodePuzzle(contents, 48),
  }),
  row({
    name: "SOLUTION of SHA-256", type: PARAMETER.solution, hex: `0a 00 beef ${"11".repeat(32)} ${"22".repeat(32)}`,
    value: { difficulty: 10, opaque: hex("beef"), random: filled(32, 0x11), solution: filled(32, 0x22) },
    encode: encodeSolution, decode: (contents) => decodeSolution(contents, 32),
  }),
  row({
    name: "SOLUTION of SHA-384", type: PARAMETER.solution, hex: `01 00 ffff ${"11".repeat(48)} ${"22".repeat(48)}`,
    value: { difficulty: 1, opaque: hex("ffff"), random: filled(48, 0x11), solution: filled(48, 0x22) },
    encode: encodeSolution, decode: (contents) => decodeSolution(contents, 48),
  }),
  row({ name: "SEQ", type: PARAMETER.seq, hex: "fffffffe", value: 0xffff_fffe, encode: encodeSeq, decode: decodeSeq }),
  row({ name: "ACK", type: PARAMETER.ack, hex: "00000001 ffffffff", value: [1, 0xffff_ffff], encode: encodeAck, decode: decodeAck, allLengths: [4] }),
  row({ name: "DH_GROUP_LIST", grows: true, type: PARAMETER.dhGroupList, hex: "08 07 03", value: [8, 7, 3], encode: encodeDhGroupList, decode: decodeDhGroupList, allLengths: [1, 2] }),
  row({
    name: "DIFFIE_HELLMAN", type: PARAMETER.diffieHellman, hex: `07 0040 ${"33".repeat(64)}`, value: { group: 7, publicValue: filled(64, 0x33) },
    encode: encodeDiffieHellman, decode: decodeDiffieHellman,
  }),
  row({
    name: "DIFFIE_HELLMAN of 384 bytes", type: PARAMETER.diffieHellman, hex: `04 0180 ${"44".repeat(384)}`, value: { group: 4, publicValue: filled(384, 0x44) },
    encode: encodeDiffieHellman, decode: decodeDiffieHellman,
  }),
  row({ name: "HIP_CIPHER", type: PARAMETER.hipCipher, hex: "0004 0002 0001", value: [4, 2, 1], encode: encodeHipCipher, decode: decodeHipCipher, allLengths: [2, 4] }),
  row({
    name: "NAT_TRAVERSAL_MODE", type: PARAMETER.natTraversalMode, hex: "0000 0003 0001", value: [3, 1], encode: encodeNatTraversalMode, decode: decodeNatTraversalMode, allLengths: [4],
  }),
  row({
    name: "ENCRYPTED with AES-CBC", type: PARAMETER.encrypted, hex: `00000000 ${"55".repeat(16)} ${"66".repeat(32)}`, allLengths: upTo(52, 21),
    value: { iv: filled(16, 0x55), ciphertext: filled(32, 0x66) }, encode: encodeEncrypted, grows: true, decode: (contents) => decodeEncrypted(contents, 16),
  }),
  row({
    name: "ENCRYPTED with NULL", type: PARAMETER.encrypted, hex: `00000000 ${"66".repeat(8)}`, allLengths: upTo(12, 5),
    value: { iv: new Uint8Array(0), ciphertext: filled(8, 0x66) }, encode: encodeEncrypted, grows: true, decode: (contents) => decodeEncrypted(contents, 0),
  }),
  row({ ...hostId, name: "HOST_ID, ECDSA", hex: `0042 0000 0007 0001 ${"77".repeat(64)}`, value: { algorithm: 7, hi: hex(`0001 ${"77".repeat(64)}`), domainId: null } }),
  row({
    ...hostId, name: "HOST_ID, RSA with a domain name", hex: `0104 1009 0005 03010001 ${"88".repeat(256)} 0161 0562 63646566 00`,
    value: { algorithm: 5, hi: hex(`03010001 ${"88".repeat(256)}`), domainId: { type: 1, bytes: hex("0161 0562 63646566 00") } },
  }),
  row({ ...hostId, name: "HOST_ID with a NAI", hex: "0001 2003 0007 99 614062", value: { algorithm: 7, hi: hex("99"), domainId: { type: 2, bytes: hex("614062") } } }),
  row({ name: "HIT_SUITE_LIST", grows: true, type: PARAMETER.hitSuiteList, hex: "20 10 50", value: [2, 1, 5], encode: encodeHitSuiteList, decode: decodeHitSuiteList, allLengths: [1, 2] }),
  row({
    name: "NOTIFICATION", type: PARAMETER.notification, hex: "0000 0001 0203", value: { code: NOTIFY_CODE.UNSUPPORTED_CRITICAL_PARAMETER_TYPE, data: hex("0203") },
    encode: encodeNotification, decode: decodeNotification, grows: true, allLengths: [4, 5],
  }),
  row({
    name: "NOTIFICATION without data", type: PARAMETER.notification, hex: "0000 4000", value: { code: NOTIFY_CODE.I2_ACKNOWLEDGEMENT, data: new Uint8Array(0) },
    encode: encodeNotification, decode: decodeNotification, grows: true,
  }),
  ...[PARAMETER.echoRequestSigned, PARAMETER.echoResponseSigned, PARAMETER.echoRequestUnsigned, PARAMETER.echoResponseUnsigned].map((type) =>
    row({ name: `echo ${type}`, type, hex: "0102030405", value: hex("0102030405"), encode: encodeEcho, decode: decodeEcho, allLengths: upTo(5), grows: true })),
  row({
    name: "TRANSPORT_FORMAT_LIST", type: PARAMETER.transportFormatList, hex: "0fff 0801", value: [4_095, 2_049],
    encode: encodeTransportFormatList, decode: decodeTransportFormatList, allLengths: [2],
  }),
  row({
    name: "ESP_TRANSFORM", type: PARAMETER.espTransform, hex: "0000 000d 0009 0008 0007", value: [13, 9, 8, 7], encode: encodeEspTransform, decode: decodeEspTransform, allLengths: [4, 6, 8],
  }),
  row({ name: "I3_RETURN_ID", type: PARAMETER.i3ReturnId, hex: "aa".repeat(32), value: id, encode: encodeI3ReturnId, decode: decodeI3ReturnId }),
  row({ name: "I3_OWN_ID", type: PARAMETER.i3OwnId, hex: "aa".repeat(32), value: id, encode: encodeI3OwnId, decode: decodeI3OwnId }),
  row({ name: "I3_PRIVATE_ID", type: PARAMETER.i3PrivateId, hex: "aa".repeat(32), value: id, encode: encodeI3PrivateId, decode: decodeI3PrivateId }),
  row({
    name: "I3_PREFERENCES", type: PARAMETER.i3Preferences, grows: true,
    hex: `01 0007 0a010203 20010db8000000000000000000000001 0a040506 ${"fd".repeat(16)}`,
    value: {
      flags: I3_PREFERENCE_FLAG.shortcuts | I3_PREFERENCE_FLAG.checksumState | I3_PREFERENCE_FLAG.beetIpv4,
      own4: hex("0a010203"), own6: six, peer4: hex("0a040506"), peer6: filled(16, 0xfd),
    },
    encode: encodeI3Preferences, decode: decodeI3Preferences,
  }),
  row({
    name: "I3_PADDING", type: PARAMETER.i3Padding, hex: "00".repeat(12), value: 12, grows: true, allLengths: upTo(12),
    encode: (bytes) => encodeI3Padding(40, 44 + bytes) ?? new Uint8Array(0), decode: decodeI3Padding,
  }),
  ...[PARAMETER.hipMac, PARAMETER.hipMac2].flatMap((type) => [
    row({ name: `MAC ${type} of SHA-256`, type, hex: "bb".repeat(32), value: filled(32, 0xbb), encode: encodeHipMac, decode: (contents) => decodeHipMac(contents, 32) }),
    row({ name: `MAC ${type} of SHA-384`, type, hex: "bb".repeat(48), value: filled(48, 0xbb), encode: encodeHipMac, decode: (contents) => decodeHipMac(contents, 48) }),
  ]),
  ...[PARAMETER.hipSignature, PARAMETER.hipSignature2].map((type) => row({
    name: `signature ${type}`, type, hex: `0007 ${"cc".repeat(64)}`, value: { algorithm: 7, signature: filled(64, 0xcc) },
    encode: encodeHipSignature, decode: decodeHipSignature, allLengths: upTo(66, 3), grows: true,
  })),
];
