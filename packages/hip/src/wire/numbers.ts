/** Numbers of HIPv2 on the wire (IANA "Host Identity Protocol (HIP) Parameters") and ours. */

/** RFC 7401 §5.3. */
export const HIP_PACKET = { i1: 1, r1: 2, i2: 3, r2: 4, update: 16, notify: 17, close: 18, closeAck: 19 } as const;

/**
 * Parameter types (RFC 7401 §5.2, 7402 §5.1, 8046 §4, 9028 §5.4). An odd type is critical: who does not know it refuses the packet. The
 * `i3…` types are ours, from the private use range 32,768 to 49,151, even, so that a foreign peer skips them (docs/wire.md §9.3).
 */
export const PARAMETER = {
  espInfo: 65, r1Counter: 129, locatorSet: 193, puzzle: 257, solution: 321, seq: 385, ack: 449, dhGroupList: 511, diffieHellman: 513,
  hipCipher: 579, natTraversalMode: 608, encrypted: 641, hostId: 705, hitSuiteList: 715, notification: 832, echoRequestSigned: 897,
  echoResponseSigned: 961, transportFormatList: 2_049, espTransform: 4_095,
  i3ReturnId: 32_770, i3OwnId: 32_772, i3PrivateId: 32_774, i3Preferences: 32_776, i3Padding: 32_778,
  hipMac: 61_505, hipMac2: 61_569, hipSignature2: 61_633, hipSignature: 61_697, echoResponseUnsigned: 63_425, echoRequestUnsigned: 63_661,
} as const;
export type ParameterType = (typeof PARAMETER)[keyof typeof PARAMETER];

const KNOWN: ReadonlySet<number> = new Set(Object.values(PARAMETER));

/** NOTIFICATION and the unsigned echoes: RFC 7401 §5.2.19, §5.2.21 and §5.2.23; ESP_INFO, one for each pair of addresses: RFC 8047 §4. */
const REPEATABLE: ReadonlySet<number> = new Set([PARAMETER.espInfo, PARAMETER.notification, PARAMETER.echoRequestUnsigned, PARAMETER.echoResponseUnsigned]);

export const isKnownParameter = (type: number): boolean => KNOWN.has(type);
export const isCriticalParameter = (type: number): boolean => (type & 1) === 1;
/** Whether a packet may hold several. Unknown ones may: nobody here looks at them. */
export const mayRepeat = (type: number): boolean => !KNOWN.has(type) || REPEATABLE.has(type);
