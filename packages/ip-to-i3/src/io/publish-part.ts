/** `<publish>` beside a proxy: its hosts are those of the proxy's names and mappings, and servers that its gateways name. */
import { sameBytes, type PublishConfig, type PublishingProxyConfig } from "@i3/common";
import type { DaemonPart } from "@i3/i3-proxy";

import { DomainServer } from "./domain-server.js";
import { gatewayServers } from "./gateway-servers.js";
import { OverlayHosts } from "./overlay-hosts.js";
import { PublishLog } from "./publish-log.js";
import { Publisher } from "./publisher.js";
import { Waypoints } from "./waypoints.js";

/** A host behind a slow link is called, makes keys and answers in a few seconds. */
const CONNECT_MS = 10_000;

export const publishPart: DaemonPart<PublishingProxyConfig> = {
  elements: ["publish"],
  open: async (host) => {
    const { config, log, names, proxy } = host;
    const own = [proxy.own4, proxy.own6];
    const isMapped = (address: Uint8Array): boolean => !own.some((each) => sameBytes(each, address)) && proxy.mappings.byAddress(address) !== undefined;
    const gateways = gatewayServers({ port: config.dns.port, leads: (name) => (names.gatewayOf?.(name) ?? null) !== null, has: (address) => proxy.gateways.servers.has(address) });
    const hosts = new OverlayHosts({ names, gateways, isMapped, connectMs: CONNECT_MS });
    const publishLog = new PublishLog(log);
    const { domain, waypoints: waypointsConfig } = config.publish;
    const closers: (() => Promise<void>)[] = [];
    try {
      const publisher = await Publisher.open({ config: config.publish, hosts, log: publishLog });
      closers.unshift(() => publisher.close());
      const waypoints = waypointsConfig === undefined ? null : await Waypoints.open({ host, config: waypointsConfig, hosts, log: publishLog }, config.publish);
      if (waypoints !== null) closers.unshift(() => waypoints.close());
      const server = domain === undefined ? null : await DomainServer.open({ domain, waypoints, log }, config.publish);
      if (server !== null) closers.unshift(() => server.close());
      const { ports, names: published } = config.publish;
      return {
        ready: `published=${ports.length + published.length}`,
        counters: () => ({ publish: publisher.counters(), ...(server === null ? {} : { domain: server.counters() }), ...(waypoints === null ? {} : { waypoints: waypoints.counters() }) }),
        setConfig: ({ publish }) => {
          waypoints?.setNames(publish);
          server?.setNames(publish);
          return publisher.setConfig(publish) && isSameServer(publish, config.publish);
        },
        setBook: () => undefined,
        allocated: () => undefined,
        released: (addresses) => waypoints?.released(addresses),
        drain: () => publisher.drain(),
        close: () => closeAll(closers),
      };
    } catch (error) {
      await closeAll(closers);
      throw error;
    }
  },
};

async function closeAll(closers: readonly (() => Promise<void>)[]): Promise<void> {
  for (const close of closers) await close();
}

/** Whether what is read at a start only is as it was. */
const isSameServer = (one: PublishConfig, other: PublishConfig): boolean => serverText(one) === serverText(other);
const serverText = ({ domain, waypoints }: PublishConfig): string => JSON.stringify([domain === undefined ? null : { ...domain, line: 0 }, waypoints === undefined ? null : { ...waypoints, line: 0 }]);
