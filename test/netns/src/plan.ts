/**
 * Pure part of the topology: who is on which segment with which address, and the routes that follow from it. No I/O.
 *
 * One rule gives direction to everything: each segment has a *gateway*. The others on it take their default route from it; a NAT
 * translates from the segments of which it is the gateway (inside) to the one of which it is not (outside).
 */
import { NetnsError } from "./errors.js";
import type { Subnet } from "./subnet.js";

/** A firewall forwards both families without translation; a NAT translates IPv4. */
export type NodeKind = "host" | "router" | "nat" | "firewall";

/** One node's place on one segment. */
export interface Attachment {
  readonly node: string;
  readonly interfaceName: string;
  readonly address4: string | undefined;
  readonly address6: string | undefined;
}

export interface SegmentPlan {
  readonly name: string;
  readonly kind: "link" | "lan";
  readonly subnet4: Subnet | undefined;
  readonly subnet6: Subnet | undefined;
  /** Name of a node that is attached, or undefined for a segment that leads nowhere else. */
  readonly gateway: string | undefined;
  readonly attachments: readonly Attachment[];
}

export interface RoutePlan {
  readonly family: 4 | 6;
  /** A prefix or "default". */
  readonly destination: string;
  readonly via: string;
  /** Of the node, on the segment that it shares with `via`. */
  readonly interfaceName: string;
  /** Of the default routes of a host with several, the first interface's is the least. */
  readonly metric?: number;
}

export type Kinds = ReadonlyMap<string, NodeKind>;

/** As NetworkManager's metrics of Ethernet: those of a second interface are that much greater. */
const METRIC_STEP = 100;

/** A name becomes part of interface names ("to-NAME"), which the kernel limits to 15 bytes. */
const NAME = /^[a-z][a-z0-9-]{0,11}$/;

/** Throws ERR_I3_NETNS_PLAN unless `name` may name a node or a LAN. */
export function checkName(name: string): void {
  if (NAME.test(name)) return;
  throw new NetnsError("ERR_I3_NETNS_PLAN", `${JSON.stringify(name)} is no name: 1 to 12 of a-z, 0-9 and "-", a letter first`);
}

/** The routes of `node` beyond its own subnets: one default per family (of a host: per gateway), and what lies behind neighbouring routers. */
export function routesOf(node: string, kinds: Kinds, segments: readonly SegmentPlan[]): RoutePlan[] {
  return ([4, 6] as const).flatMap((family) => routesOfFamily(node, family, kinds, segments));
}

/** Names of interfaces. */
export interface NatSides {
  readonly inside: readonly string[];
  readonly outside: string;
}

/** Segments of a NAT, split as the rule above says. Throws ERR_I3_NETNS_PLAN unless one is outside and at least one inside. */
export function natSides(node: string, segments: readonly SegmentPlan[]): NatSides {
  const own = segmentsOf(node, segments);
  const names = (list: readonly SegmentPlan[]): string[] => list.map((segment) => attachmentOf(node, segment).interfaceName);
  const inside = names(own.filter((segment) => segment.gateway === node));
  const [outside, ...more] = names(own.filter((segment) => segment.gateway !== node));
  if (outside === undefined || more.length > 0 || inside.length === 0) {
    throw new NetnsError("ERR_I3_NETNS_PLAN", `NAT ${node} needs one segment outside (it has ${outside === undefined ? 0 : more.length + 1}) and one or more inside (${inside.length})`);
  }
  return { inside, outside };
}

export function attachmentOf(node: string, segment: SegmentPlan): Attachment {
  const found = segment.attachments.find((attachment) => attachment.node === node);
  if (found === undefined) throw new NetnsError("ERR_I3_NETNS_PLAN", `${node} is not on ${segment.name}`);
  return found;
}

function segmentsOf(node: string, segments: readonly SegmentPlan[]): SegmentPlan[] {
  return segments.filter((segment) => segment.attachments.some((attachment) => attachment.node === node));
}

function addressOf(attachment: Attachment, family: 4 | 6): string | undefined {
  return family === 4 ? attachment.address4 : attachment.address6;
}

function routesOfFamily(node: string, family: 4 | 6, kinds: Kinds, segments: readonly SegmentPlan[]): RoutePlan[] {
  const defaults = defaultRoutes(node, family, kinds, segments);
  if (kinds.get(node) === "host") return defaults.length < 2 ? defaults : defaults.map((route, i) => ({ ...route, metric: METRIC_STEP * (i + 1) }));
  const [first] = defaults;
  const routes = routesBehind(node, family, kinds, segments, first?.via);
  return first === undefined ? routes : [first, ...routes];
}

function defaultRoutes(node: string, family: 4 | 6, kinds: Kinds, segments: readonly SegmentPlan[]): RoutePlan[] {
  return segmentsOf(node, segments).flatMap((segment) => {
    const { gateway } = segment;
    if (gateway === undefined || gateway === node || kinds.get(gateway) === "host") return [];
    const via = addressOf(attachmentOf(gateway, segment), family);
    const own = attachmentOf(node, segment);
    return via === undefined || addressOf(own, family) === undefined ? [] : [{ family, destination: "default", via, interfaceName: own.interfaceName }];
  });
}

/** Breadth first, so the shortest way wins. IPv4 stops at a NAT, whose inside nobody outside can address; IPv6 passes it. */
function routesBehind(start: string, family: 4 | 6, kinds: Kinds, segments: readonly SegmentPlan[], gateway: string | undefined): RoutePlan[] {
  const routes: RoutePlan[] = [];
  const seen = new Set(segmentsOf(start, segments));
  const forwards = (node: string): boolean => {
    const kind = kinds.get(node);
    return kind === "router" || kind === "firewall" || (kind === "nat" && family === 6);
  };
  const queue: { node: string; via: string; interfaceName: string }[] = [];
  for (const segment of seen) {
    const { interfaceName } = attachmentOf(start, segment);
    for (const attachment of segment.attachments) {
      const via = addressOf(attachment, family);
      if (attachment.node === start || via === undefined || via === gateway || !forwards(attachment.node)) continue;
      queue.push({ node: attachment.node, via, interfaceName });
    }
  }
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    for (const segment of segmentsOf(next.node, segments)) {
      if (seen.has(segment)) continue;
      seen.add(segment);
      const subnet = family === 4 ? segment.subnet4 : segment.subnet6;
      if (subnet !== undefined) routes.push({ family, destination: subnet.text, via: next.via, interfaceName: next.interfaceName });
      for (const { node } of segment.attachments) if (node !== next.node && forwards(node)) queue.push({ ...next, node });
    }
  }
  return routes;
}
