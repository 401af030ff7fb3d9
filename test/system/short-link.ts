/**
 * A bed with a link of small MTU between two real proxies, where ICMP tells of it or does not:
 *
 *     laptop ── nat1 ── core ── 1400 or 1280 bytes ── nat2 ── home
 */
import { expect } from "vitest";

import { eventually, pairBed, pings, type PairBed } from "./pair-bed.js";

export const STRAIGHT = '<rules><rule name=".*\\.i3" go="i3"/></rules>';
export const RELAYED = '<rules><rule name=".*\\.i3" go="i3" shortcut="no"/></rules>';

export async function setLink({ core, nat2 }: PairBed, mtu: number): Promise<void> {
  for (const [node, device] of [[core, "to-nat2"], [nat2, "to-core"]] as const) expect((await node.exec("ip", ["link", "set", "dev", device, "mtu", String(mtu)])).status).toBe(0);
}

/** Both proxies speak. */
export async function openShort(mtu: number, icmp: boolean, rules: string): Promise<PairBed> {
  const opened = await pairBed({ nat1: "port-restricted", nat2: "port-restricted", laptopOptions: { rules }, homeOptions: { rules } });
  const { core, nat1, nat2 } = opened;
  await setLink(opened, mtu);
  if (!icmp) for (const node of [core, nat1, nat2]) await node.setIcmpErrors({ dropped: true });
  await eventually("an answer", 10_000, async () => ((await pings(opened.laptop, "home.i3")) ? true : undefined));
  return opened;
}

/** The last length that the proxy says its path takes. */
export const lengthOf = ({ child }: PairBed["laptopProxy"]): number | undefined => {
  const line = child?.lines.map(({ text }) => text).filter((text) => text.includes('"event":"path-mtu"')).at(-1);
  return line === undefined ? undefined : (JSON.parse(line) as { bytes: number }).bytes;
};

/** For python3: what one connection to port 8000 brings, into a file. */
export const RECEIVE = `
import socket, sys
s = socket.create_server(("::", 8000), family=socket.AF_INET6, dualstack_ipv6=True); print("ready", flush=True)
c, _ = s.accept(); c.settimeout(15)
with open(sys.argv[1], "wb") as f:
    while (part := c.recv(65536)): f.write(part)
`;
