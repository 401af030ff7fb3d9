/** The I1s of a flood: what `native/forged-flood.c` sends, and which of its bytes it draws for each. */
import { concatBytes, publicId } from "@i3/common";
import { COPY_BUDGET, encodeDataHeader, HOP_LIMIT, NONCE_BYTES, PAYLOAD_KIND } from "@i3/datapath";
import { encodeDhGroupList, encodeHipPacket, encodeI3Padding, encodeI3ReturnId, HIP_PACKET, HIP_VERSION, hipPacketBytes, I3_I1_BYTES, PARAMETER, type ParameterContents } from "@i3/hip";

export interface ForgedDatagram {
  readonly bytes: Uint8Array;
  /** Offset and length of what is random in each. */
  readonly random: readonly (readonly [number, number])[];
}

const MARK_BYTES = 4;
const SENDER_HIT = 8;
/** What all HITs of ECDSA hosts begin with. */
const HIT_PREFIX = Uint8Array.of(0x20, 0x01, 0x00, 0x22);
const HIT_RANDOM_BYTES = 12;
const GROUP_P256 = 7;
const RETURN_ID_BYTES = 32;
/** Stands where the return id will. */
const PLACE = new Uint8Array(RETURN_ID_BYTES).fill(0xa5);

function encodeI1(receiverHit: Uint8Array, parameters: readonly ParameterContents[]): Uint8Array {
  const senderHit = concatBytes(HIT_PREFIX, new Uint8Array(HIT_RANDOM_BYTES));
  return encodeHipPacket({ type: HIP_PACKET.i1, version: HIP_VERSION, controls: 0, senderHit, receiverHit }, parameters);
}

const groups: ParameterContents = { type: PARAMETER.dhGroupList, contents: encodeDhGroupList([GROUP_P256]) };
const hitRange = (packetAt: number): readonly [number, number] => [packetAt + SENDER_HIT + HIT_PREFIX.length, HIT_RANDOM_BYTES];

/** Straight over UDP: the least I1 that a host of ours answers, each from another HIT. */
export function straightI1(hit: Uint8Array): ForgedDatagram {
  return { bytes: concatBytes(new Uint8Array(MARK_BYTES), encodeI1(hit, [groups])), random: [hitRange(MARK_BYTES)] };
}

/** Over i3 to the host's public id, as long as our hosts make it; each from another HIT and with another return id. */
export function relayedI1(hit: Uint8Array): ForgedDatagram {
  const head = encodeDataHeader({ flags: 0, hopLimit: HOP_LIMIT, copyBudget: COPY_BUDGET, payloadKind: PAYLOAD_KIND.hip, nonce: new Uint8Array(NONCE_BYTES), ids: [publicId(hit)] });
  const parameters: ParameterContents[] = [groups, { type: PARAMETER.i3ReturnId, contents: encodeI3ReturnId(PLACE) }];
  const padding = encodeI3Padding(hipPacketBytes(parameters), I3_I1_BYTES);
  if (padding !== null) parameters.push({ type: PARAMETER.i3Padding, contents: padding });
  const bytes = concatBytes(head, encodeI1(hit, parameters));
  return { bytes, random: [hitRange(head.length), [Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(PLACE), RETURN_ID_BYTES]] };
}

/** As the generator takes it. */
export const rangesText = ({ random }: ForgedDatagram): string => random.map((range) => range.join(":")).join(",");
