/** Suite `micro`: what our processing costs, beside the paper's figures and dnsmasq in the same run. */
import { dnsRows } from "./dns-rows.js";
import { firstPacket } from "./first-packet.js";
import type { Row } from "./report.js";

/** All of it, always. Rejects with RangeError when it is to be something else. */
export async function micro({ quick, only }: { readonly quick: boolean; readonly only: string | undefined }): Promise<readonly Row[]> {
  if (quick || only !== undefined) throw new RangeError("micro has neither --quick nor --only");
  return [...(await dnsRows()), ...(await firstPacket())];
}
