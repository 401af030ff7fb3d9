/**
 * smbd with a share for guests, all of its state in the host's directory. In an ordinary user's namespace smbd would end at
 * setgroups(), as sshd does; in a nested one, where it is not root, it asks for no groups (Samba's "non-root mode").
 */
import { chmod, mkdir } from "node:fs/promises";

import type { Host } from "@i3/netns";

import { isSingleUserNamespace, nestedUserCommand } from "../demo/src/sshd.js";
import { waitForPort } from "./programs-bed.js";

export interface Samba {
  /** What the share holds. */
  readonly directory: string;
  /** For smbclient, which needs no settings of the machine's. */
  readonly clientConfig: string;
}

export async function startSamba(server: Host): Promise<Samba> {
  const base = `${server.directory}/samba`;
  const share = `${base}/share`;
  const nested = await isSingleUserNamespace();
  const user = nested ? "tester" : "root";
  const directories = { "private dir": "private", "lock directory": "lock", "state directory": "state", "cache directory": "cache", "pid directory": "pid", "ncalrpc dir": "ncalrpc" };
  for (const name of [...Object.values(directories), "share"]) await mkdir(`${base}/${name}`, { recursive: true });
  // Guests are "everyone" to smbd, whatever user the system gives them.
  await chmod(share, 0o777);
  const config = await server.writeFile("smb.conf", [
    "[global]", "server role = standalone server", "map to guest = Bad User", `guest account = ${user}`, "disable netbios = yes", "smb ports = 445", "load printers = no",
    "printcap name = /dev/null", "disable spoolss = yes", `log file = ${base}/log`, ...Object.entries(directories).map(([key, name]) => `${key} = ${base}/${name}`),
    "[share]", `path = ${share}`, "guest ok = yes", "guest only = yes", "read only = no", `force user = ${user}`, "",
  ].join("\n"));
  // Without --daemon it would take its input, a socket, for a client, as under inetd.
  const smbd = ["/usr/sbin/smbd", "--daemon", "--foreground", "--debug-stdout", "-s", config];
  const [program = "", ...args] = nested ? await nestedUserCommand(server, smbd) : smbd;
  await waitForPort(server, 445, server.spawn(program, args));
  return { directory: share, clientConfig: config };
}
