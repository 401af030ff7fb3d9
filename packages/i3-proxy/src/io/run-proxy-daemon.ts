/** What the commands of all daemons that are a proxy do alike. */
import { formatIpText, publicId, runDaemon, toHex, versionOf, type AddressBook, type ProxyConfig } from "@i3/common";

import { checkFiles, readBookOf } from "./check-files.js";
import { cleanUp } from "./clean-up.js";
import { startProxy, type ProxyStart } from "./daemon.js";
import { openIdentity } from "./own-identity.js";

export interface ProxyDaemon<Config extends ProxyConfig> extends Pick<ProxyStart<Config>, "parse" | "part"> {
  readonly name: string;
  readonly help: string;
  /** URL of the package's package.json. */
  readonly manifest: URL;
  /** More of what a configuration names, as of i3-proxy: warnings, a line each. Rejects with I3Error. */
  readonly check?: (config: Config, book: AddressBook) => readonly string[];
  /** Removes what the part leaves on a machine. Rejects with I3Error. */
  readonly clean?: (config: Config) => Promise<void>;
}

function identityText(config: ProxyConfig): string {
  const { identity } = openIdentity(config);
  const hit = formatIpText(identity.hit);
  return `hit ${hit}\nid ${toHex(publicId(identity.hit))}\nbook <host name="NAME.i3" hit="${hit}"/>\n`;
}

/** Runs the daemon; ends the process. */
export const runProxyDaemon = async <Config extends ProxyConfig>({ name, help, manifest, parse, part, check, clean }: ProxyDaemon<Config>): Promise<void> =>
  await runDaemon<Config>({
    name, help, manifest, parse,
    check: async (config) => [...(await checkFiles(config)), ...(check?.(config, await readBookOf(config)) ?? [])],
    start: async (config, onFailure, file, signal) => await startProxy({ name, release: versionOf(manifest), config, onFailure, file, signal, parse, part }),
    actions: {
      identity: identityText,
      clean: async (config) => {
        const text = await cleanUp(config);
        await clean?.(config);
        return text;
      },
    },
  });
