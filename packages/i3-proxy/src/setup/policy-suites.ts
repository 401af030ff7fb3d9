/** Which ESP suites a policy takes. */
import { ESP_SUITE, type EspSuite } from "@i3/hip";

import { STRENGTH, strengthsOf, strongestOf, type PeerPolicy } from "../policy/policy.js";

const ENCRYPTED = [ESP_SUITE.aesGcm16, ESP_SUITE.aes256CbcSha256, ESP_SUITE.aes128CbcSha256] as const;

/** By preference: that of the pair of an exchange which this host begins is the strongest kind that the policy has. "none" alone takes all: a peer that wants more than we ask for gets it. */
export function suitesOf(policy: PeerPolicy): readonly EspSuite[] {
  const strengths = strengthsOf(policy);
  const strongest = strongestOf(policy);
  if (strongest === "none") return [...ENCRYPTED, ESP_SUITE.nullSha256];
  return [...(strongest === "esp" ? ENCRYPTED : []), ...(strengths.includes(STRENGTH.auth) ? [ESP_SUITE.nullSha256] : [])];
}
