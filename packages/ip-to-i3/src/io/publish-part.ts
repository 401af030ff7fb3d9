/** `<publish>` beside a proxy: its hosts are those of the proxy's names and mappings. */
import { sameBytes, type PublishingProxyConfig } from "@i3/common";
import type { DaemonPart } from "@i3/i3-proxy";

import { OverlayHosts } from "./overlay-hosts.js";
import { Publisher } from "./publisher.js";

/** A host behind a slow link is called, makes keys and answers in a few seconds. */
const CONNECT_MS = 10_000;

export const publishPart: DaemonPart<PublishingProxyConfig> = {
  elements: ["publish"],
  open: async ({ config, log, names, proxy }) => {
    const own = [proxy.own4, proxy.own6];
    const isMapped = (address: Uint8Array): boolean => !own.some((each) => sameBytes(each, address)) && proxy.mappings.byAddress(address) !== undefined;
    const publisher = await Publisher.open({ config: config.publish, hosts: new OverlayHosts({ names, isMapped, connectMs: CONNECT_MS }), log });
    const { ports, names: published } = config.publish;
    return {
      ready: `published=${ports.length + published.length}`,
      counters: () => ({ publish: publisher.counters() }),
      setConfig: ({ publish }) => publisher.setConfig(publish),
      setBook: () => undefined,
      allocated: () => undefined,
      released: () => undefined,
      drain: () => publisher.drain(),
      close: () => publisher.close(),
    };
  },
};
