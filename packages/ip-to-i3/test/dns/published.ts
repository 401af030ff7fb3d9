import type { PublishedDomain, PublishedName } from "@i3/common";
import { parseIpText } from "@i3/common";

const host = (text: string): PublishedDomain["listen"][number] => ({ kind: text.includes(":") ? "ipv6" : "ipv4", text, bytes: parseIpText(text) as Uint8Array });

export const DOMAIN: PublishedDomain = {
  name: "i3.example.org", listen: [host("192.0.2.53")], ns: "ns1.i3.example.org", nsAddresses: [host("192.0.2.53"), host("2001:db8::53")], addresses: [host("192.0.2.5"), host("2001:db8::5")], line: 1,
};

export const published = (name: string, more: Partial<PublishedName> = {}): PublishedName =>
  ({ name, to: "home.i3", go: "i3", waypoint: undefined, https: 443, http: 80, proxyProtocol: "none", line: 1, ...more });

export const WAYPOINT = { waypoint: [{ protocol: "tcp", ports: [{ first: 22, last: 22 }] }] } as const;

export const NAMES: readonly PublishedName[] = [
  published("www.i3.example.org"), published("*.shop.i3.example.org"), published("home.i3.example.org", WAYPOINT), published("*.deep.way.i3.example.org", { ...WAYPOINT, to: "deep.i3" }), published("else.example.net"),
];
