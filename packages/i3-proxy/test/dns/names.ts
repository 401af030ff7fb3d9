/** A book of three names for the tests: home.i3 with both families, six.i3 with IPv6 only, i3 itself, down.i3 that cannot be looked up now. */
import { sameBytes } from "@i3/common";
import type { NameSource } from "../../src/dns/dns-core.js";

export const HOME_V4 = Uint8Array.of(10, 1, 2, 3);
export const HOME_V6 = Uint8Array.of(0x20, 0x01, 0x00, 0x25, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);

export const testNames: NameSource = {
  resolve(name) {
    if (name === "home.i3") return { v4: HOME_V4, v6: HOME_V6 };
    if (name === "six.i3") return { v4: null, v6: HOME_V6 };
    if (name === "i3") return { v4: null, v6: null };
    if (name === "down.i3") return "unavailable";
    return name.endsWith(".i3") ? "unknown" : "elsewhere";
  },
  reverse: (address) => (sameBytes(address, HOME_V4) || sameBytes(address, HOME_V6) ? "home.i3" : null),
};
