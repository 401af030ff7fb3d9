/** What of each host is reached by its waypoint: all that its names publish, for an address does not say by which of them somebody came. */
import type { PortRange, PublishedName, WaypointService } from "@i3/common";

export function servicesByHost(names: readonly PublishedName[]): ReadonlyMap<string, readonly WaypointService[]> {
  const byHost = new Map<string, WaypointService[]>();
  for (const { to, waypoint } of names) if (waypoint !== undefined) byHost.set(to, [...(byHost.get(to) ?? []), ...waypoint]);
  return new Map([...byHost].map(([host, all]) => [host, (["tcp", "udp", "ping"] as const).flatMap((protocol) => {
    const same = all.filter((one) => one.protocol === protocol);
    return same.length === 0 ? [] : [{ protocol, ports: merged(same.flatMap(({ ports }) => ports)) }];
  })]));
}

/** Ascending, without overlaps, which the kernel's set would refuse. */
function merged(ranges: readonly PortRange[]): readonly PortRange[] {
  const out: PortRange[] = [];
  for (const range of [...ranges].sort((a, b) => a.first - b.first)) {
    const last = out.at(-1);
    if (last !== undefined && range.first <= last.last + 1) out.splice(-1, 1, { first: last.first, last: Math.max(last.last, range.last) });
    else out.push(range);
  }
  return out;
}
