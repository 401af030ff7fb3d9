/** Records to put: of one key, of another, and what is wrong with them. */
import { RECORD_KIND, type RecordFields, type SignedRecord } from "@i3/common";
import { signRecord, type TriggerKey } from "@i3/hip";

import { KEY, WALL_MS } from "../server-bench.js";

export const hitOf = (n: number): Uint8Array => Uint8Array.from([0x20, 0x01, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n >> 8, n & 0xff]);

/** A name of {@link KEY}'s zone, good for a day. */
export const nameRecord = (fields: Partial<RecordFields> = {}, key: TriggerKey = KEY): SignedRecord =>
  signRecord(key, { kind: RECORD_KIND.name, label: "box", sequence: 1, notAfterS: WALL_MS / 1_000 + 86_400, value: hitOf(1), ...fields });

/** The same, with one bit of its signature another. */
export const forged = ({ bytes }: SignedRecord): Uint8Array => bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte));
