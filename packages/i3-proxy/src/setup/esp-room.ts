/** How long packets may be for ESP around them to fit a path (docs/wire.md §7): the longest that each form could need. */
import { ESP_SUITE, isReadableSuite, type EspSuite } from "@i3/hip";

/** Of IP and UDP. */
const HEADER_BYTES = { 4: 28, 6: 48 } as const;
/** SPI and number, in front; ICV, behind. */
const FRAME_BYTES = 8 + 16;
/** Pad length and next header. */
const TRAILER_BYTES = 2;
/** So many blocks more say the state of a checksum. */
const STATE_BLOCKS = 2;
const GCM = { iv: 8, block: 4 } as const;
const NULL = { iv: 0, block: 4 } as const;
const CBC = { iv: 16, block: 16 } as const;

const shapeOf = (suite: EspSuite): { readonly iv: number; readonly block: number } => (isReadableSuite(suite) ? NULL : suite === ESP_SUITE.aesGcm16 ? GCM : CBC);

/**
 * The longest inner packet, in bytes. BEET leaves out a header of some packets only, so that is not counted on.
 * @param outerBytes of the outer packet, with IP's header
 */
export function largestInner(outerBytes: number, family: 4 | 6, suite: EspSuite): number {
  const { iv, block } = shapeOf(suite);
  const room = outerBytes - HEADER_BYTES[family] - FRAME_BYTES - iv;
  return Math.floor(room / block) * block - TRAILER_BYTES - STATE_BLOCKS * block;
}

/** What every path takes, with the IP header: over i3 by IPv6, where no length is looked for and nobody on the way cuts (RFC 8200 §5). */
const LEAST6 = 1_280;

/** The longest inner packet behind a data header of that length that no path of IPv6 is too short for; in clear without a suite. */
export const largestRelayed = (headerBytes: number, suite: EspSuite | null): number =>
  Math.max(LEAST_MTU, suite === null ? LEAST6 - HEADER_BYTES[6] - headerBytes : largestInner(LEAST6 - headerBytes, 6, suite));
/** That an inner packet is ever limited to (RFC 791 §3.1). */
export const LEAST_MTU = 576;

/** The longest outer packet that one of `innerBytes` can become, by whatever suite. */
export function mostOuter(innerBytes: number, family: 4 | 6): number {
  const { iv, block } = CBC;
  return HEADER_BYTES[family] + FRAME_BYTES + iv + (Math.ceil((innerBytes + TRAILER_BYTES) / block) + STATE_BLOCKS) * block;
}
