/** What only our hosts tell each other, inside ENCRYPTED of I2 and R2 (docs/wire.md §9.3). */
import { PARAMETER } from "../wire/numbers.js";
import { parameter } from "../wire/packet.js";
import { decodeI3Preferences, decodeI3PrivateId, encodeI3Preferences, encodeI3PrivateId, I3_PREFERENCE_FLAG, type I3Preferences } from "../wire/parameters/i3.js";
import type { ParameterContents, RawParameter } from "../wire/tlv.js";

export interface I3Extras {
  readonly privateId: Uint8Array | null;
  readonly preferences: I3Preferences | null;
}

export const encodeExtras = ({ privateId, preferences }: I3Extras): readonly ParameterContents[] => [
  ...(privateId === null ? [] : [{ type: PARAMETER.i3PrivateId, contents: encodeI3PrivateId(privateId) }]),
  ...(preferences === null ? [] : [{ type: PARAMETER.i3Preferences, contents: encodeI3Preferences(preferences) }]),
];

export function decodeExtras(parameters: readonly RawParameter[]): I3Extras {
  const privateId = parameter({ parameters }, PARAMETER.i3PrivateId);
  const preferences = parameter({ parameters }, PARAMETER.i3Preferences);
  return {
    privateId: privateId === undefined ? null : decodeI3PrivateId(privateId.contents),
    preferences: preferences === undefined ? null : decodeI3Preferences(preferences.contents),
  };
}

/** What both want. An association leaves out the headers of one family: of both IPv4's. */
export function agreed(own: I3Preferences | null, peer: I3Preferences | null): { readonly beet: 4 | 6 | null; readonly checksumState: boolean; readonly shortcuts: boolean } {
  const flags = (own?.flags ?? 0) & (peer?.flags ?? 0);
  const { beetIpv4, beetIpv6, checksumState, shortcuts } = I3_PREFERENCE_FLAG;
  const beet = (flags & beetIpv4) !== 0 ? 4 : (flags & beetIpv6) !== 0 ? 6 : null;
  return { beet, checksumState: (flags & checksumState) !== 0, shortcuts: (flags & shortcuts) !== 0 };
}
