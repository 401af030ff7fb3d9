/** One packet of each HIP type with the parameters that RFC 7401 §5.3 and RFC 7402 §5.2 give it, written by packages/hip. */
import {
  encodeAck, encodeDhGroupList, encodeDiffieHellman, encodeEcho, encodeEncrypted, encodeEspInfo, encodeEspTransform, encodeHipCipher, encodeHipMac, encodeHipPacket,
  encodeHipSignature, encodeHitSuiteList, encodeHostId, encodeI3OwnId, encodeI3Padding, encodeI3ReturnId, encodeLocatorSet, encodeNatTraversalMode, encodeNotification,
  encodePuzzle, encodeR1Counter, encodeSeq, encodeSolution, encodeTransportFormatList, hipPacketBytes, HIP_PACKET, I3_I1_BYTES, NOTIFY_CODE, PARAMETER, TRAFFIC_TYPE, type EspInfo,
  type ParameterContents, type PuzzleContents, type SolutionContents,
} from "@i3/hip";
import { concat, data } from "../../packages/datapath/test/reference/packets.js";

export interface HipRow {
  readonly name: string;
  readonly type: number;
  readonly controls: number;
  readonly senderHit: Uint8Array;
  readonly receiverHit: Uint8Array;
  readonly parameters: readonly ParameterContents[];
  readonly puzzle?: PuzzleContents;
  readonly solution?: SolutionContents;
  readonly espInfo?: EspInfo;
  readonly ciphers?: readonly number[];
  /** What tshark must show of the other parameters, by its names. */
  readonly others?: Readonly<Record<string, readonly string[]>>;
}

export const encodeRow = ({ type, controls, senderHit, receiverHit, parameters }: HipRow): Uint8Array =>
  encodeHipPacket({ type, version: 2, controls, senderHit, receiverHit }, parameters);

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const hitOf = (suite: number, seed: number): Uint8Array => Uint8Array.of(0x20, 0x01, 0x00, 0x20 | suite, ...data(12, seed));
const [INITIATOR, RESPONDER] = [hitOf(2, 1), hitOf(1, 2)];
const ECDSA = 7;

const puzzle = { difficulty: 10, lifetime: 37, opaque: data(2, 3), random: data(32, 4) };
const solution = { difficulty: 10, opaque: data(2, 3), random: data(32, 4), solution: data(32, 5) };
const longPuzzle = { difficulty: 0, lifetime: 255, opaque: data(2, 6), random: data(48, 7) };
const longSolution = { difficulty: 255, opaque: data(2, 6), random: data(48, 7), solution: data(48, 8) };
const espInfo = { keymatIndex: 192, oldSpi: 0, newSpi: 0x2000_0001 };
const rekeyed = { keymatIndex: 0xfffe, oldSpi: 0x2000_0001, newSpi: 0xfeff_ffff };
const ciphers = [4, 2, 1];

const publicValue = data(64, 10);
const mac32 = data(32, 12);
const mac48 = data(48, 19);
const otherOf = {
  diffieHellman: { "hip.tlv.dh_group_id": ["7"], "hip.tlv.dh_pv_length": ["64"], "hip.tlv.dh_public_value": [hex(publicValue)] },
  mac32: { "hip.tlv.hmac": [hex(mac32)] },
  mac48: { "hip.tlv.hmac": [hex(mac48)] },
  encrypted: { "hip.tlv.enc_reserved": ["0x00000000"], "hip.encrypted_parameter_data": [hex(concat(data(16, 14), data(96, 15)))] },
};

const hostId = { type: PARAMETER.hostId, contents: encodeHostId({ algorithm: ECDSA, hi: Uint8Array.of(0, 1, ...data(64, 9)), domainId: null }) };
const diffieHellman = { type: PARAMETER.diffieHellman, contents: encodeDiffieHellman({ group: 7, publicValue }) };
const dhGroups = { type: PARAMETER.dhGroupList, contents: encodeDhGroupList([7, 8, 4]) };
const cipherList = { type: PARAMETER.hipCipher, contents: encodeHipCipher(ciphers) };
const transports = { type: PARAMETER.transportFormatList, contents: encodeTransportFormatList([PARAMETER.espTransform]) };
const espTransform = { type: PARAMETER.espTransform, contents: encodeEspTransform([13, 9, 8]) };
const returnId = { type: PARAMETER.i3ReturnId, contents: encodeI3ReturnId(data(32, 11)) };
const mac = (type: number, value: Uint8Array): ParameterContents => ({ type, contents: encodeHipMac(value) });
const signature = (type: number): ParameterContents => ({ type, contents: encodeHipSignature({ algorithm: ECDSA, signature: data(64, 13) }) });
const encrypted = { type: PARAMETER.encrypted, contents: encodeEncrypted({ iv: data(16, 14), ciphertext: data(96, 15) }) };
const echo = (type: number, bytes: number): ParameterContents => ({ type, contents: encodeEcho(data(bytes, 16)) });

const toResponder = { controls: 0, senderHit: INITIATOR, receiverHit: RESPONDER };
const toInitiator = { controls: 0, senderHit: RESPONDER, receiverHit: INITIATOR };

/** As long as an I1 over i3 is. */
function paddedI1(): readonly ParameterContents[] {
  const before = [dhGroups, returnId];
  return [...before, { type: PARAMETER.i3Padding, contents: encodeI3Padding(hipPacketBytes(before), I3_I1_BYTES) ?? new Uint8Array(0) }];
}

export const HIP_ROWS: readonly HipRow[] = [
  { name: "I1", type: HIP_PACKET.i1, ...toResponder, parameters: [dhGroups] },
  { name: "I1 of an anonymous host to any host, padded for i3", type: HIP_PACKET.i1, ...toResponder, controls: 1, receiverHit: new Uint8Array(16), parameters: paddedI1() },
  {
    name: "R1", type: HIP_PACKET.r1, ...toInitiator, puzzle, ciphers,
    others: {
      ...otherOf.diffieHellman, "hip.tlv.nat_traversal_mode_id": ["0x0001"], "hip.tlv.host_id_length": ["66"], "hip.tlv.hit_suite_id": ["2", "1"],
      // The reserved field of NAT_TRAVERSAL_MODE has the name of that of ESP_TRANSFORM.
      "hip.tlv.opaque_data": [hex(data(5, 16)), hex(data(9, 16))], "hip.tlv.esp_trans_res": ["0x0000", "0x0000"], "hip.tlv.trans_id": ["13", "9", "8"],
    },
    parameters: [
      { type: PARAMETER.r1Counter, contents: encodeR1Counter(0x1_0000_0002n) }, { type: PARAMETER.puzzle, contents: encodePuzzle(puzzle) }, dhGroups, diffieHellman, cipherList,
      { type: PARAMETER.natTraversalMode, contents: encodeNatTraversalMode([1]) }, hostId, { type: PARAMETER.hitSuiteList, contents: encodeHitSuiteList([2, 1]) },
      echo(PARAMETER.echoRequestSigned, 5), transports, espTransform, { type: PARAMETER.i3OwnId, contents: encodeI3OwnId(data(32, 17)) }, signature(PARAMETER.hipSignature2),
      echo(PARAMETER.echoRequestUnsigned, 9),
    ],
  },
  {
    name: "R1 with a puzzle of SHA-384", type: HIP_PACKET.r1, ...toInitiator, puzzle: longPuzzle, ciphers: [2],
    parameters: [{ type: PARAMETER.puzzle, contents: encodePuzzle(longPuzzle) }, { type: PARAMETER.hipCipher, contents: encodeHipCipher([2]) }, signature(PARAMETER.hipSignature2)],
  },
  {
    name: "I2", type: HIP_PACKET.i2, ...toResponder, solution, espInfo, ciphers: [4],
    others: {
      ...otherOf.diffieHellman, ...otherOf.encrypted, ...otherOf.mac32, "hip.tlv.host_id_length": ["66"], "hip.tlv.opaque_data": [hex(data(5, 16)), hex(data(9, 16))],
      "hip.tlv.esp_trans_res": ["0x0000"], "hip.tlv.trans_id": ["13", "9", "8"],
    },
    parameters: [
      { type: PARAMETER.espInfo, contents: encodeEspInfo(espInfo) }, { type: PARAMETER.r1Counter, contents: encodeR1Counter(0x1_0000_0002n) },
      { type: PARAMETER.solution, contents: encodeSolution(solution) }, diffieHellman, { type: PARAMETER.hipCipher, contents: encodeHipCipher([4]) }, encrypted, hostId,
      echo(PARAMETER.echoResponseSigned, 5), transports, espTransform, returnId, mac(PARAMETER.hipMac, mac32), signature(PARAMETER.hipSignature), echo(PARAMETER.echoResponseUnsigned, 9),
    ],
  },
  {
    name: "I2 with a solution of SHA-384", type: HIP_PACKET.i2, ...toResponder, solution: longSolution, others: otherOf.mac48,
    parameters: [{ type: PARAMETER.solution, contents: encodeSolution(longSolution) }, mac(PARAMETER.hipMac, mac48), signature(PARAMETER.hipSignature)],
  },
  {
    name: "R2", type: HIP_PACKET.r2, ...toInitiator, espInfo, others: { ...otherOf.encrypted, ...otherOf.mac32 },
    parameters: [{ type: PARAMETER.espInfo, contents: encodeEspInfo(espInfo) }, encrypted, mac(PARAMETER.hipMac2, mac32), signature(PARAMETER.hipSignature)],
  },
  {
    name: "UPDATE", type: HIP_PACKET.update, ...toResponder, espInfo: rekeyed,
    others: {
      ...otherOf.diffieHellman, ...otherOf.mac48, "hip.tlv_seq_update_id": ["0xfffffffe"], "hip.tlv_ack_updid": ["0x00000001", "0x00000002"],
      "hip.tlv.locator_traffic_type": ["0"], "hip.tlv.locator_type": ["1"], "hip.tlv.locator_len": ["5"], "hip.tlv.locator_reserved": ["0x01"], "hip.tlv.locator_lifetime": ["120"],
      // Once as a heading.
      "hip.tlv.locator_spi": ["0x20000001"], "hip.tlv.locator_address": ["2001:db8::7", "2001:db8::7"],
    },
    parameters: [
      { type: PARAMETER.espInfo, contents: encodeEspInfo(rekeyed) },
      {
        type: PARAMETER.locatorSet,
        contents: encodeLocatorSet([{ trafficType: TRAFFIC_TYPE.both, preferred: true, lifetimeSeconds: 120, spi: 0x2000_0001, address: Uint8Array.of(0x20, 1, 0xd, 0xb8, ...new Uint8Array(11), 7) }]),
      },
      { type: PARAMETER.seq, contents: encodeSeq(0xffff_fffe) }, { type: PARAMETER.ack, contents: encodeAck([1, 2]) }, diffieHellman, mac(PARAMETER.hipMac, mac48), signature(PARAMETER.hipSignature),
    ],
  },
  {
    name: "NOTIFY", type: HIP_PACKET.notify, ...toInitiator,
    others: { "hip.tlv.host_id_length": ["66"], "hip.tlv.notification_res": ["0x0000"], "hip.tlv.notification_type": ["1"], "hip.tlv.notification_data": ["03e9"] },
    parameters: [
      hostId, { type: PARAMETER.notification, contents: encodeNotification({ code: NOTIFY_CODE.UNSUPPORTED_CRITICAL_PARAMETER_TYPE, data: Uint8Array.of(3, 0xe9) }) },
      signature(PARAMETER.hipSignature),
    ],
  },
  {
    name: "CLOSE", type: HIP_PACKET.close, ...toInitiator, others: { ...otherOf.mac32, "hip.tlv.opaque_data": [hex(data(16, 16))] },
    parameters: [echo(PARAMETER.echoRequestSigned, 16), mac(PARAMETER.hipMac, mac32), signature(PARAMETER.hipSignature)],
  },
  {
    name: "CLOSE_ACK", type: HIP_PACKET.closeAck, ...toResponder, others: { ...otherOf.mac32, "hip.tlv.opaque_data": [hex(data(16, 16))] },
    parameters: [echo(PARAMETER.echoResponseSigned, 16), mac(PARAMETER.hipMac, mac32), signature(PARAMETER.hipSignature)],
  },
];
