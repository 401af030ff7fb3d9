/**
 * A host that moves, one at the other end, and the ring:
 *
 *               s1   s2   s3
 *                 \  |  /
 *                  core ──────────── dsl ── desk
 *                 /    \
 *              wifi    lte                               core to wifi, lte and dsl: a quarter of the round trip each way, so that by a server it is
 *                 \    /                                 as far from one end to the other as past it
 *     eth0 metric 100   eth1 metric 200
 *                  mover
 */
import { Topology, type Host, type Link, type Nat, type NatOptions, type Router, type WanOptions } from "@i3/netns";

export interface BedOptions {
  readonly roundTripMs: number;
  /** eth1 and what is behind it. @default false */
  readonly hasSecondUplink?: boolean;
  /** In place of the router wifi. */
  readonly nat?: NatOptions;
  /** Of core to wifi, both ways. @default no limit */
  readonly rateKbit?: number;
}

export interface Bed {
  readonly topology: Topology;
  readonly mover: Host;
  readonly desk: Host;
  readonly servers: readonly Host[];
  readonly core: Router;
  readonly dsl: Router;
  /** Null without `nat`. */
  readonly nat: Nat | null;
  readonly wifiLink: Link;
  readonly roundTripMs: number;
}

const SERVERS = 3;
const LTE_GATEWAY = "198.51.101.1";

export async function openBed({ roundTripMs, hasSecondUplink = false, nat, rateKbit }: BedOptions): Promise<Bed> {
  const topology = await Topology.create({ isRealTime: true });
  const core = topology.router("core");
  const servers = Array.from({ length: SERVERS }, (_, i) => {
    const server = topology.host(`s${i + 1}`);
    topology.link(core, server, { subnet: `192.0.2.${4 * (i + 1)}/30` });
    return server;
  });
  const wan: WanOptions = { delayMs: roundTripMs / 4 };
  const natBox = nat === undefined ? null : topology.nat("wifi", nat);
  const wifi = natBox ?? topology.router("wifi");
  const wifiLink = topology.link(core, wifi, { subnet: "203.0.113.0/30", wan: { ...wan, ...(rateKbit === undefined ? {} : { rateKbit }) } });
  const [mover, desk] = [topology.host("mover"), topology.host("desk")];
  topology.lan("air", { subnet: "198.51.100.0/24", gateway: wifi, members: [mover] });
  if (hasSecondUplink) {
    const lte = topology.router("lte");
    topology.link(core, lte, { subnet: "203.0.113.4/30", wan });
    topology.lan("mobile", { subnet: "198.51.101.0/24", gateway: lte, members: [mover] });
  }
  const dsl = topology.router("dsl");
  topology.link(core, dsl, { subnet: "203.0.113.8/30", wan });
  topology.lan("office", { subnet: "198.51.102.0/24", gateway: dsl, members: [desk] });
  await topology.up();
  return { topology, mover, desk, servers, core, dsl, nat: natBox, wifiLink, roundTripMs };
}

/** Makes `eth1` the interface of choice. */
export async function preferSecond(mover: Host): Promise<void> {
  const { status, stderr } = await mover.exec("ip", ["route", "add", "default", "via", LTE_GATEWAY, "dev", "eth1", "metric", "50"]);
  if (status !== 0) throw new Error(`ip route: ${stderr}`);
}
