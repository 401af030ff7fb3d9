/**
 * What a host tries to get past i3, as its packets show it: nftables counts the CHECKs (docs/wire.md §4, type 18) that leave, by where they go.
 * Where the peer was not seen by a server is its own address; all else of it is the outside of its outermost NAT.
 */
import { I3_PORT } from "@i3/demo";
import type { Host } from "@i3/netns";

const MAGIC_AND_TYPE = "0x1912";
const MAX_PLACES = 256;

/** Begins at zero, also when it has counted before. */
export const countChecks = (host: Host): Promise<void> => host.namespace.nft(`add table ip tried
delete table ip tried
table ip tried {
  set checks {
    type ipv4_addr . inet_service
    flags dynamic
    size ${MAX_PLACES}
  }
  chain sent {
    type filter hook output priority filter
    udp sport ${I3_PORT} @th,64,16 ${MAGIC_AND_TYPE} add @checks { ip daddr . udp dport counter }
  }
}
`);

export interface Place {
  readonly address: string;
  readonly port: number;
  readonly checks: number;
}

/** Where its CHECKs have gone. */
export async function checkedPlaces(host: Host): Promise<readonly Place[]> {
  const { status, stdout, stderr } = await host.exec("nft", ["-j", "list", "set", "ip", "tried", "checks"]);
  if (status !== 0) throw new Error(`nft list set: ${stderr}`);
  return placesIn(stdout);
}

/** As `nft -j list set` says it. */
export function placesIn(json: string): readonly Place[] {
  const { nftables } = JSON.parse(json) as { readonly nftables: readonly { readonly set?: { readonly elem?: readonly Counted[] } }[] };
  return nftables.flatMap(({ set }) => set?.elem ?? []).map(({ elem }) => ({ address: elem.val.concat[0], port: elem.val.concat[1], checks: elem.counter.packets }));
}

interface Counted {
  readonly elem: { readonly val: { readonly concat: readonly [string, number] }; readonly counter: { readonly packets: number } };
}

/** By kind of candidate: how many places, and how many CHECKs went there in all. */
export type Tried = Readonly<Record<string, { readonly places: number; readonly checks: number }>>;

/** @param own the peer's own address @param outside that of its outermost NAT; the same where there is none */
export function triedOf(places: readonly Place[], { own, outside }: { readonly own: string; readonly outside: string }): Tried {
  const of = (isWanted: (address: string) => boolean): Tried[string] => {
    const these = places.filter(({ address }) => isWanted(address));
    return { places: these.length, checks: these.reduce((sum, { checks }) => sum + checks, 0) };
  };
  return {
    "own address": of((address) => address === own),
    ...(outside === own ? {} : { "as seen from outside": of((address) => address === outside) }),
    ...(places.every(({ address }) => [own, outside].includes(address)) ? {} : { elsewhere: of((address) => ![own, outside].includes(address)) }),
  };
}

/** "own address 1 (6 checks), as seen from outside 2 (9 checks)" */
export const triedText = (tried: Tried): string => Object.entries(tried).map(([kind, { places, checks }]) => `${kind} ${places} (${checks} checks)`).join(", ");
