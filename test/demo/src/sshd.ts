/**
 * A real sshd on a host of the test bed, with keys made for this run. As the root of an unprivileged user namespace sshd cannot
 * change groups; it then runs in a nested user namespace that maps the own uid.
 */
import { chmod, readFile } from "node:fs/promises";

import type { Child, Host } from "@i3/netns";

import { succeed } from "./checks.js";

export interface Ssh {
  /** For ssh and scp on the client: key, known hosts, user. */
  readonly options: readonly string[];
  readonly sshd: Child;
}

/** Whether this process is the root of a user namespace that maps one uid only. */
export async function isSingleUserNamespace(): Promise<boolean> {
  const [, outer, count] = (await readFile("/proc/self/uid_map", "utf8")).trim().split(/\s+/);
  return outer !== "0" || count === "1";
}

/** Starts sshd on port 22 of `server`; `client` may log in. */
export async function startSshd(server: Host, client: Host): Promise<Ssh> {
  const key = `${client.directory}/id_ed25519`;
  const hostKey = `${server.directory}/ssh_host_ed25519_key`;
  await succeed(client, "ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]);
  await succeed(server, "ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", hostKey]);
  const authorized = await server.writeFile("authorized_keys", await readFile(`${key}.pub`, "utf8"));
  await chmod(authorized, 0o600);
  const known = await client.writeFile("known_hosts", `* ${(await readFile(`${hostKey}.pub`, "utf8")).split(" ").slice(0, 2).join(" ")}\n`);
  const nested = await isSingleUserNamespace();
  const config = await server.writeFile("sshd_config", [
    "Port 22", "ListenAddress 0.0.0.0", "ListenAddress ::", `HostKey ${hostKey}`, `AuthorizedKeysFile ${authorized}`, "PasswordAuthentication no", "KbdInteractiveAuthentication no",
    "UsePAM no", "StrictModes no", "PidFile none", "PermitRootLogin yes", "UseDNS no", "LogLevel VERBOSE", "Subsystem sftp internal-sftp", "",
  ].join("\n"));
  const sshd = nested ? await spawnNested(server, config) : await spawnAsRoot(server, config);
  await sshd.waitForLine(/Server listening/, 10_000);
  return {
    sshd,
    options: ["-i", key, "-o", `UserKnownHostsFile=${known}`, "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=30", "-o", "User=" + (nested ? "tester" : "root"), "-o", "LogLevel=ERROR", "-F", "none"],
  };
}

async function spawnAsRoot(server: Host, config: string): Promise<Child> {
  await succeed(server, "mkdir", ["-p", "/run/sshd"]);
  return server.spawn("/usr/sbin/sshd", ["-D", "-e", "-f", config]);
}

/** sshd as an ordinary user of a nested namespace. */
async function spawnNested(server: Host, config: string): Promise<Child> {
  const [program = "", ...args] = await nestedUserCommand(server, ["/usr/sbin/sshd", "-D", "-e", "-f", config]);
  return server.spawn(program, args);
}

/**
 * The argument vector that runs a server as `tester`, uid 1000, of a nested user namespace, where it does not try to change users or
 * groups; ports below 1024 are open to it. passwd and group files are bound over the system's.
 */
export async function nestedUserCommand(server: Host, argv: readonly string[]): Promise<readonly string[]> {
  const passwd = await server.writeFile("passwd", `tester:x:1000:1000::${server.directory}:/bin/sh\nsshd:x:1001:1000::/run/sshd:/usr/sbin/nologin\n`);
  const group = await server.writeFile("group", "tester:x:1000:\n");
  await succeed(server, "sysctl", ["-qw", "net.ipv4.ip_unprivileged_port_start=0"]);
  const script = 'mount --bind "$1" /etc/passwd && mount --bind "$2" /etc/group && shift 2 && exec unshare -U --map-user=1000 --map-group=1000 "$@"';
  return ["unshare", "-m", "sh", "-c", script, "sh", passwd, group, ...argv];
}
