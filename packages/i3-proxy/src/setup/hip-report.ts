/** What people see of a mapping's association: no key, no SPI, no id. */
import { formatIpText, locatorText, type ViaLocator } from "@i3/common";
import { isReadableSuite, type EspSuite, type HipRole } from "@i3/hip";

import type { Link } from "./hip-link.js";
import type { StraightWays } from "./straight-ways.js";

const SUITE_NAMES: Readonly<Record<EspSuite, string>> = { 7: "null+hmac-sha-256", 8: "aes-128-cbc+hmac-sha-256", 9: "aes-256-cbc+hmac-sha-256", 13: "aes-128-gcm-16" };

export interface HipReport {
  /** Of that pair: what goes by it is encrypted, or authenticated and readable. */
  readonly security: "esp" | "auth";
  /** Of the pair of the exchange. */
  readonly suite: string;
  /** Pairs of keys: 2 with a service of the other kind. */
  readonly pairs: 1 | 2;
  /** Since the exchange or the last rekey, whole seconds. */
  readonly keysAgeS: number;
  readonly role: HipRole;
  /** "i3", or the address that packets go to. */
  readonly path: string;
}

/** Null: no association. */
export function hipReport(nowMs: number, link: Link | undefined, straight: StraightWays): HipReport | null {
  if (link === undefined || link.association === null || link.keys === null) return null;
  const { suite, role, sinceMs } = link.keys;
  const choice = straight.choice(link.association);
  const path = choice.kind === "straight" ? choice.locator : link.locator;
  return { security: isReadableSuite(suite) ? "auth" : "esp", suite: SUITE_NAMES[suite], pairs: link.second === "up" ? 2 : 1, keysAgeS: Math.floor((nowMs - sinceMs) / 1_000), role, path: placeText(path) };
}

const placeText = (locator: ViaLocator | null): string => (locator === null ? "i3" : locator.via === "ip" ? `ip ${formatIpText(locator.address)}` : `udp ${locatorText(locator)}`);
