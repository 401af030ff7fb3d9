/**
 * The key of a zone of names (docs/policy.md, "Zones") as text:
 *
 *     i3 zone key 1
 *     public-key 64 hex digits
 *     private-key 64 hex digits
 */
import { HexFieldsProblem, readHexFields, sameBytes, toHex } from "@i3/common";
import { triggerKeyFromSeed, triggerKeySeed, type TriggerKey } from "@i3/hip";

const FIRST_LINE = "i3 zone key 1";
const KEY_BYTES = 32;

export const zoneKeyToText = (key: TriggerKey): string => `${FIRST_LINE}
# Whoever has this file says which hosts the zone's names stand for. Keep it where no proxy is, and keep a backup.
public-key ${toHex(key.publicKey)}
private-key ${toHex(triggerKeySeed(key))}
`;

/** Throws HexFieldsProblem, whose message continues the file's name. */
export function zoneKeyFromText(text: string): TriggerKey {
  const fields = readHexFields(text, FIRST_LINE, { "public-key": KEY_BYTES, "private-key": KEY_BYTES });
  const key = triggerKeyFromSeed(fields["private-key"]);
  if (!sameBytes(key.publicKey, fields["public-key"])) throw new HexFieldsProblem("is damaged: its keys do not belong together");
  return key;
}
