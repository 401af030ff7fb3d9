/** Suite `micro`: what our processing costs, beside the paper's figures and dnsmasq in the same run. */
import { dnsRows } from "./dns-rows.js";
import { firstPacket } from "./first-packet.js";
import type { Row } from "./report.js";

export const micro = async (): Promise<readonly Row[]> => [...(await dnsRows()), ...(await firstPacket())];
