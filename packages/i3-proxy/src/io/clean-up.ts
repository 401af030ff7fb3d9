/** Removes what stays on a machine when a proxy ends: the guard, rules, routes and a setting. */
import { I3Error, type ProxyConfig } from "@i3/common";
import { loadNativeIo, type NativeIo } from "@i3/datapath/native-io";

import { anonymousTuns, removeAnonymousGuard } from "./anonymous-guard.js";
import { openNamesRules } from "./closed-names.js";
import { removeGuard } from "./guard.js";
import { NftChild } from "./interception-nft.js";
import { allLengths, keepLengths } from "./network-lengths.js";
import { NetworkRoutes } from "./network-routes.js";
import { removeNetworkRules } from "./network-table.js";
import { OWN_MARK } from "./own-mark.js";
import { restoreSourceMark } from "./source-mark.js";
import { removeSite } from "./site-table.js";
import { VirtualRoutes } from "./virtual-routes.js";

/** Returns what to tell. Rejects with I3Error, also when the proxy runs. */
export async function cleanUp({ tun, virtualAddresses: { range }, state }: ProxyConfig): Promise<string> {
  const io = loadNativeIo();
  if (exists(io, tun.name)) throw new I3Error("ERR_I3_RUNNING", `i3-proxy is running: the TUN device ${tun.name} is there`, { remedy: "Stop it first." });
  try {
    new VirtualRoutes({ io, tunIndex: 0, own: [], range }).close();
    // Whatever the state directory says of them: it may be gone.
    new NetworkRoutes({ io, tunIndex: 0, own4: new Uint8Array(4), own6: new Uint8Array(16), range, mark: OWN_MARK, keepLengths: () => keepLengths(state.directory, []) }).start([], allLengths());
  } catch (cause) {
    throw new I3Error("ERR_I3_CLEAN", "rules and routes cannot be removed", { cause, remedy: "Run as root or with CAP_NET_ADMIN." });
  }
  const nft = new NftChild({ onExit: () => undefined });
  await removeGuard(nft, tun.name);
  await nft.run(removeSite(tun.name));
  await removeAnonymousGuard(nft, anonymousTuns(tun.name));
  await nft.run(openNamesRules(tun.name));
  await nft.run(removeNetworkRules(tun.name));
  restoreSourceMark(state.directory);
  await nft.close();
  return "nothing of i3-proxy is left on this machine's network\n";
}

function exists(io: NativeIo, interfaceName: string): boolean {
  try {
    return io.interfaceIndex(interfaceName) > 0;
  } catch {
    return false;
  }
}
