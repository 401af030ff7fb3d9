/** The few addresses, ids, keys and numbers that tables and packets of the conformance suite are made of, so that things meet. */
import { makeLocator, type Locator, type ViaLocator } from "@i3/common";
import { MIN_RECEIVER_SPI, MIN_SPI, type EspTransform, type HipResponder } from "../../src/datapath.js";
import { CBC, CBC_128, GCM, GCM_128, NULL } from "../reference/associations.js";
import { hit, NO_HIT, OWN_HIT, responder } from "../reference/hip.js";
import { bytes, concat, data, ip4, ip6, makeId } from "../reference/packets.js";

/** The first four of each family have flows, the tenth is behind a peer ({@link BEHIND}); the others never lead anywhere. */
export const ADDRESSES = {
  4: [...["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "0.0.0.0", "224.0.0.1", "255.255.255.255", "169.254.3.3", "127.0.0.1", "10.0.9.7"].map(ip4)],
  6: [ip6(1), ip6(2), ip6(3), ip6(4), new Uint8Array(16), concat(bytes(0xff, 2), new Uint8Array(13), bytes(1)), concat(bytes(0xfe, 0x80), new Uint8Array(13), bytes(1)), ip6(5), ip6(6), ip6(0x907)],
} as const satisfies Record<4 | 6, readonly Uint8Array[]>;

export type Family = keyof typeof ADDRESSES;
export const addressOf = (family: Family, index: number): Uint8Array => ADDRESSES[family][index % ADDRESSES[family].length] ?? ADDRESSES[family][0] ?? bytes();
export const BEHIND = 9;
/** What the one behind a peer stands for, in the other family. */
export const TRANSLATED = 3;
export const FLOW_ADDRESSES = ([4, 6] as const).flatMap((family) => ADDRESSES[family].slice(0, 4));

export const LOCATORS: readonly Locator[] = [
  makeLocator(ip4("192.0.2.1"), 4_000), makeLocator(ip4("192.0.2.2"), 4_000), makeLocator(ip4("192.0.2.1"), 4_001), makeLocator(ip6(0x99), 65_535), makeLocator(ip4("192.0.2.3"), 1),
];

/** The same, and others by HIP's own port and by IP itself. */
export const ROUTES: readonly ViaLocator[] = [
  ...LOCATORS, { ...LOCATORS[0]!, via: "hip" }, { ...LOCATORS[1]!, via: "hip", local: ip4("192.0.2.200") }, { address: ip4("192.0.2.2"), port: 50, via: "ip" },
  { ...LOCATORS[1]!, local: ip4("192.0.2.200"), interfaceIndex: 3 }, { ...LOCATORS[3]!, interfaceIndex: 0x7fff_ffff },
  { ...LOCATORS[0]!, isWhole: true }, { ...LOCATORS[3]!, isWhole: true }, { ...LOCATORS[1]!, via: "hip", isWhole: true },
  { address: ip6(0x99), port: 50, via: "ip", local: ip6(0x77), interfaceIndex: 2 }, { address: ip4("192.0.2.3"), port: 139, via: "ip", local: ip4("192.0.2.201") },
];

export const RING_BYTES = [0x10, 0x50, 0x90, 0xd0] as const;
export const ringKeyOf = (index: number): Uint8Array => new Uint8Array(16).fill(RING_BYTES[index % RING_BYTES.length] ?? 0);
/** Ids that share 128, 136, 143, 144 and more bits with each other. */
const SUFFIXES = [[], [1], [0x80], [0, 1], [0, 0x80], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]];
export const ID_COUNT = RING_BYTES.length * SUFFIXES.length;
export const idOf = (index: number): Uint8Array => makeId(RING_BYTES[index % RING_BYTES.length] ?? 0, ...(SUFFIXES[Math.floor(index / RING_BYTES.length) % SUFFIXES.length] ?? []));

export const SPIS = [MIN_SPI, 0x4455_6677, 0xfeff_ffff] as const;
/** Those that others may choose, too. */
export const RECEIVER_SPIS = [...SPIS, MIN_RECEIVER_SPI, MIN_SPI - 1, 0xffff_ffff] as const;
export const NAMES = [0, 1, 0xffff_ffff] as const;

const OTHER_GCM: EspTransform = { ...GCM, salt: bytes(1, 2, 3, 4) };
const OTHER_NULL: EspTransform = { ...NULL, integrityKey: NULL.integrityKey.map((byte) => byte ^ 0x55) };
export const TRANSFORMS: readonly EspTransform[] = [GCM, NULL, CBC, GCM_128, CBC_128, OTHER_GCM, OTHER_NULL];

/** Of two responders, of nobody that answers, and none. */
export const HITS = [OWN_HIT, hit(0xdd), hit(0x33), NO_HIT] as const;
export const RESPONDERS: readonly HipResponder[] = [
  responder({ openIds: [0, 4, 9].map(idOf), older: [{ epoch: 0x0101, secret: data(32, 3), difficulty: 0 }] }), responder({ openIds: [], rhash: "sha256", r1Bytes: 400, epoch: 0xffff, secret: new Uint8Array(32).fill(9) }), responder({ hit: HITS[1], r1Bytes: 1_232, rhash: "sha256" }), responder({ epoch: 0, difficulty: 0 }),
];

export const nonceOf = (index: number): Uint8Array => new Uint8Array(8).fill(index);
