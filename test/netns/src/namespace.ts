/**
 * One network namespace and the private `/etc` that programs in it see.
 *
 * `/etc` is an overlay over the machine's, mounted once per node and bind-mounted over `/etc` in the mount namespace that
 * `ip netns exec` makes for each program. So programs may rewrite or replace files there (a proxy that takes over resolv.conf),
 * later programs of the same node see it, and the machine never does. That works as root and in a user namespace alike, unlike
 * /etc/netns/NAME, which would need a writable /etc.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run, runOk, type RunOptions, type RunResult } from "./run.js";

/** $1 = the node's /etc, the rest is the program. The shell becomes the program, so signals and the pid are its own. */
const ENTER_SCRIPT = 'mount --bind "$1" /etc && shift && exec "$@"';

/**
 * $1 = the node's directory. `sysctl` has lines "path value" (links exist already, so per-interface paths do too), `ready` has lines
 * "file value…": after a veth's other end came up, the kernel takes a while, at times a second, before packets pass.
 */
const SETUP_SCRIPT = `
while read -r path value; do echo "$value" > "/proc/sys/$path" || exit 1; done < "$1/sysctl"
ip -batch "$1/ip-batch" && nft -f "$1/nft" || exit 1
while read -r file values; do
  until case " $values " in *" $(cat "$file") "*) ;; *) false ;; esac do sleep 0.01; done
done < "$1/ready"
`;

/** Arguments: triples of upper, work and merged directory. */
const OVERLAY_SCRIPT = `
while [ $# -gt 0 ]; do
  mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1,workdir=$2" "$3" || exit 1
  shift 3
done
`;

const DIAGNOSE_SCRIPT = `
ip -br addr; ip -4 route; ip -6 route | grep -v '^fe80'; ip rule | grep -v -e 'lookup local' -e 'lookup main' -e 'lookup default'
nft list ruleset; echo "conntrack entries: $(conntrack -C 2>&1)"
`;

export interface NamespaceSetup {
  /** Lines "net/ipv4/ip_forward 1", relative to /proc/sys. */
  readonly sysctls: readonly string[];
  /** Lines for `ip -batch`. */
  readonly ipCommands: readonly string[];
  /** Text for `nft -f`. */
  readonly nftRules: string;
  /** Lines "FILE VALUE…": to be waited for until the file holds one of the values. The other ends are set up meanwhile. */
  readonly ready: readonly string[];
}

export class Namespace {
  /** As `ip netns` knows it. */
  readonly name: string;
  /** Holds what belongs to the node; on the sandbox's tmpfs, so it never outlives it. */
  readonly directory: string;

  constructor(name: string, directory: string) {
    this.name = name;
    this.directory = directory;
  }

  get etcDirectory(): string {
    return join(this.directory, "etc");
  }

  /** The directories under the overlay, and the resolv.conf in it (a plain file even where the machine has a symbolic link). */
  async prepare(resolvers: readonly string[]): Promise<void> {
    for (const name of ["etc", "etc-upper", "etc-work", "state"]) await mkdir(join(this.directory, name), { recursive: true });
    await writeFile(join(this.directory, "etc-upper", "resolv.conf"), resolvConf(resolvers));
  }

  async configure(setup: NamespaceSetup): Promise<void> {
    await mkdir(this.directory, { recursive: true });
    await writeFile(join(this.directory, "sysctl"), lines(setup.sysctls));
    await writeFile(join(this.directory, "ip-batch"), lines(setup.ipCommands));
    await writeFile(join(this.directory, "nft"), setup.nftRules);
    await writeFile(join(this.directory, "ready"), lines(setup.ready));
    await runOk(["ip", "netns", "exec", this.name, "sh", "-c", SETUP_SCRIPT, "sh", this.directory]);
  }

  async setResolvers(resolvers: readonly string[]): Promise<void> {
    await writeFile(join(this.etcDirectory, "resolv.conf"), resolvConf(resolvers));
  }

  /** The argument vector that runs `argv` in here. */
  argvInside(argv: readonly string[]): string[] {
    return ["ip", "netns", "exec", this.name, "sh", "-c", ENTER_SCRIPT, "sh", this.etcDirectory, ...argv];
  }

  run(argv: readonly string[], options?: RunOptions): Promise<RunResult> {
    return run(this.argvInside(argv), options);
  }

  /** Applies nft commands given as text. Rejects with ERR_I3_NETNS_COMMAND. */
  async nft(text: string): Promise<void> {
    await runOk(["ip", "netns", "exec", this.name, "nft", "-f", "-"], { input: text });
  }

  /** Addresses, routes, rules, nftables and the number of conntrack entries, as text for people. Never rejects. */
  async diagnose(): Promise<string> {
    const result = await run(["ip", "netns", "exec", this.name, "sh", "-c", DIAGNOSE_SCRIPT], { timeoutMs: 5_000 }).catch(String);
    return typeof result === "string" ? result : `${result.stdout}${result.stderr}`;
  }

  /** Kills every process in here, including those that left their parents. */
  async killAll(): Promise<void> {
    const pids = await runOk(["ip", "netns", "pids", this.name]);
    for (const pid of pids.split("\n").filter((text) => text !== "")) {
      try {
        process.kill(Number(pid), "SIGKILL");
      } catch {
        // Ended by itself meanwhile.
      }
    }
  }

}

/** Mounts the overlays of all `namespaces` with one process. */
export async function mountEtc(namespaces: readonly Namespace[]): Promise<void> {
  const directories = namespaces.flatMap(({ directory }) => ["etc-upper", "etc-work", "etc"].map((name) => join(directory, name)));
  await runOk(["sh", "-c", OVERLAY_SCRIPT, "sh", ...directories]);
}

export async function unmountEtc(namespaces: readonly Namespace[]): Promise<void> {
  if (namespaces.length > 0) await runOk(["umount", "--lazy", ...namespaces.map(({ etcDirectory }) => etcDirectory)]);
}

/** Runs `ip` commands, one a line, in the sandbox's own network namespace. */
export async function ipBatch(commands: readonly string[]): Promise<void> {
  await runOk(["ip", "-batch", "-"], { input: lines(commands) });
}

function lines(list: readonly string[]): string {
  return list.map((line) => `${line}\n`).join("");
}

function resolvConf(resolvers: readonly string[]): string {
  return lines(resolvers.map((address) => `nameserver ${address}`));
}
