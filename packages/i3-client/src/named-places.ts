/**
 * Which places others may have us go to (docs/wire.md §5, "Bounds of a client"). Servers name servers, and in SHORTCUT hosts; none leads into this machine, or to
 * nobody's address.
 */
import type { ControlMessage, Locator } from "@i3/common";

/** From how far away an address is reached. Private networks count as the others: a ring may be in one, and be named from outside. */
const SCOPE = { nobodys: -1, machine: 0, link: 1, all: 2 } as const;

function scopeOf({ address }: Locator): number {
  const [first = 0, second = 0] = address;
  if (address.length === 4) {
    // Unspecified, multicast, broadcast, reserved.
    if (first === 0 || first >= 224) return SCOPE.nobodys;
    if (first === 127) return SCOPE.machine;
    return first === 169 && second === 254 ? SCOPE.link : SCOPE.all;
  }
  if (first === 0xff || address.every((byte) => byte === 0)) return SCOPE.nobodys;
  if (address.every((byte, i) => byte === (i === 15 ? 1 : 0))) return SCOPE.machine;
  return first === 0xfe && (second & 0xc0) === 0x80 ? SCOPE.link : SCOPE.all;
}

/** Only this machine is there: who names it floods nobody. */
export const isOnThisMachine = (place: Locator): boolean => scopeOf(place) === SCOPE.machine;

/** Whether it can be one host's, as `from` has seen it: on this machine, or on its link, only when `from` is no farther away. */
export const isPlausible = (place: Locator, from: Locator): boolean => {
  const scope = scopeOf(place);
  return scope !== SCOPE.nobodys && (scope === SCOPE.all || scope >= scopeOf(from));
};

/** What `from` says, without servers that cannot be; null: then nothing is left of it. (SHORTCUT is judged where it is counted.) */
export function plausibly(message: ControlMessage, from: Locator): ControlMessage | null {
  switch (message.type) {
    case "LOCATED": case "CACHE": return isPlausible(message.node.locator, from) ? message : null;
    case "TRIGGER_OK": return message.replica === null || isPlausible(message.replica, from) ? message : { ...message, replica: null };
    case "RECORD_OK": case "RECORD_IS": return message.successor === null || isPlausible(message.successor, from) ? message : { ...message, successor: null };
    default: return message;
  }
}
