#!/usr/bin/env node
/**
 * Runs a command inside a sandbox of namespaces in which network namespaces can be made and named freely:
 *
 *     node test/netns/enter.mjs -- COMMAND [ARGUMENTS…]
 *
 *   this process                       the machine's namespaces; passes signals on, keeps the exit status
 *     └─ setpriv → unshare             dies with this process (PR_SET_PDEATHSIG), however this process dies
 *          └─ sh, pid 1                dies with unshare (--kill-child), and everything below dies with pid 1; reaps orphans
 *               └─ enter.mjs --inside  starts COMMAND, delivers the signals that arrive over the IPC channel
 *                    └─ COMMAND
 *
 * As root: new network, mount and pid namespaces. As an ordinary user also a user namespace, in which the user is root.
 * A tmpfs covers /run: names of network namespaces never clash with the machine's or with a parallel run's, no daemon of the
 * machine (nscd, resolved, D-Bus) answers through its socket, and what is written there is gone afterwards, even after kill -9.
 *
 * Exit status: COMMAND's; 128+n when signal n killed it; 127 when it cannot be started; 125 when the sandbox cannot be made.
 */
import { spawn, spawnSync } from "node:child_process";
import { accessSync, chmodSync, closeSync, constants as fsConstants, openSync, readFileSync, statSync } from "node:fs";
import { constants as osConstants } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const EXIT_NO_SANDBOX = 125;
const EXIT_NOT_STARTED = 127;
const SELF = fileURLToPath(import.meta.url);
const TUN_DEVICE = "/dev/net/tun";
/** The usual mode of /dev/net/tun under udev: opening it gives nothing without CAP_NET_ADMIN over a network namespace. */
const TUN_MODE = 0o666;

/** Tool → the Debian package that holds it. */
const TOOLS = {
  unshare: "util-linux",
  setpriv: "util-linux",
  mount: "mount",
  ip: "iproute2",
  nft: "nftables",
  conntrack: "conntrack",
};

/** Runs as pid 1. dash and bash reap every orphan while they wait for a foreground command. */
const INIT_SCRIPT = `
mount -t tmpfs -o mode=755 tmpfs /run || exit ${EXIT_NO_SANDBOX}
ip link set lo up || exit ${EXIT_NO_SANDBOX}
status=0
"$@" || status=$?
exit $status
`;

/** @type {readonly NodeJS.Signals[]} */
const FORWARDED = ["SIGTERM", "SIGHUP", "SIGUSR2", "SIGWINCH", "SIGCONT"];
/** A terminal sends these to the whole foreground process group by itself. @type {readonly NodeJS.Signals[]} */
const KEYBOARD = ["SIGINT", "SIGQUIT"];

/** @returns {never} */
function fail(/** @type {string} */ message) {
  process.stderr.write(`netns: ${message}\n`);
  process.exit(EXIT_NO_SANDBOX);
}

/** An ordinary user's PATH on Debian lacks the directories of ip and nft. */
function searchPath() {
  const directories = (process.env.PATH ?? "/usr/bin:/bin").split(delimiter);
  return [...new Set([...directories, "/usr/sbin", "/sbin", "/usr/bin", "/bin"])].join(delimiter);
}

function canExecute(/** @type {string} */ file) {
  try {
    accessSync(file, fsConstants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function requireTools(/** @type {string} */ path) {
  const directories = path.split(delimiter);
  const missing = Object.keys(TOOLS).filter((tool) => !directories.some((directory) => canExecute(join(directory, tool))));
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((tool) => TOOLS[/** @type {keyof typeof TOOLS} */ (tool)]))];
  fail(`${missing.join(", ")} not found. Install with: apt-get install ${packages.join(" ")}`);
}

/** Root gives the TUN device the mode that it has under udev, so that ordinary users may run the same tests. */
function widenTunMode() {
  try {
    const stat = statSync(TUN_DEVICE);
    const mode = stat.mode & 0o777;
    if (!stat.isCharacterDevice() || (mode & TUN_MODE) === TUN_MODE) return;
    chmodSync(TUN_DEVICE, TUN_MODE);
    process.stderr.write(`netns: ${TUN_DEVICE} had mode 0${mode.toString(8)}; set to 0666, its normal mode under udev\n`);
  } catch {
    // Root of a user namespace only, or no device: requireTun decides whether that matters.
  }
}

function requireTun() {
  try {
    closeSync(openSync(TUN_DEVICE, fsConstants.O_RDWR));
  } catch (error) {
    const code = /** @type {NodeJS.ErrnoException} */ (error).code;
    const remedy = code === "EACCES" || code === "EPERM" ? `chmod 0666 ${TUN_DEVICE}` : "modprobe tun";
    fail(`cannot open ${TUN_DEVICE} (${code}). As root, run: ${remedy}`);
  }
}

function unshareFlags(/** @type {boolean} */ isRoot) {
  const flags = ["--net", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"];
  return isRoot ? flags : ["--user", "--map-root-user", ...flags];
}

function requireNamespaces(/** @type {string[]} */ flags, /** @type {NodeJS.ProcessEnv} */ env) {
  const probe = spawnSync("unshare", [...flags, "true"], { env, encoding: "utf8" });
  if (probe.status === 0) return;
  const why = (probe.stderr || String(probe.error ?? "")).trim().replaceAll("\n", " ");
  fail(
    `cannot make namespaces (${why}). As root, run: sysctl -w kernel.unprivileged_userns_clone=1 ` +
      "kernel.apparmor_restrict_unprivileged_userns=0 user.max_user_namespaces=10000 (those that exist), or run this as root",
  );
}

/** Whether Ctrl-C reaches our children without us: /proc/self/stat has our process group (5th) and the terminal's (8th). */
function isForeground() {
  const fields = readFileSync("/proc/self/stat", "utf8").replace(/^.*\) /s, "").split(" ");
  return fields[2] === fields[5];
}

function exitStatus(/** @type {number | null} */ status, /** @type {NodeJS.Signals | null} */ signal) {
  return status ?? 128 + (signal === null ? 0 : osConstants.signals[signal]);
}

function outside(/** @type {string[]} */ command) {
  const env = { ...process.env, PATH: searchPath() };
  requireTools(env.PATH);
  const isRoot = process.getuid?.() === 0;
  if (isRoot) widenTunMode();
  requireTun();
  const flags = unshareFlags(isRoot);
  requireNamespaces(flags, env);

  const inner = ["sh", "-c", INIT_SCRIPT, "sh", process.execPath, SELF, "--inside", "--", ...command];
  const child = spawn("setpriv", ["--pdeathsig", "KILL", "unshare", ...flags, ...inner], {
    env: { ...env, I3_NETNS_SANDBOX: process.env.I3_NETNS_SANDBOX ?? (isRoot ? "root" : "user") },
    stdio: ["inherit", "inherit", "inherit", "ipc"],
  });
  const forward = (/** @type {NodeJS.Signals} */ signal) => void (child.connected && child.send({ signal }));
  for (const signal of FORWARDED) process.on(signal, forward);
  for (const signal of KEYBOARD) process.on(signal, () => void (isForeground() || forward(signal)));
  child.on("error", (error) => fail(error.message));
  child.on("exit", (status, signal) => process.exit(exitStatus(status, signal)));
}

function inside(/** @type {string[]} */ command) {
  const [program = "", ...args] = command;
  const child = spawn(program, args, { stdio: "inherit" });
  for (const signal of KEYBOARD) process.on(signal, () => {});
  process.on("message", (/** @type {{signal: NodeJS.Signals}} */ message) => void child.kill(message.signal));
  child.on("error", (error) => {
    process.stderr.write(`netns: cannot start ${program}: ${error.message}\n`);
    process.exit(EXIT_NOT_STARTED);
  });
  child.on("exit", (status, signal) => process.exit(exitStatus(status, signal)));
}

function main() {
  const args = process.argv.slice(2);
  const separator = args.indexOf("--");
  const command = args.slice(separator + 1);
  const options = args.slice(0, Math.max(separator, 0)).join(" ");
  if (process.platform !== "linux") fail("needs Linux");
  if (separator === -1 || command.length === 0 || (options !== "" && options !== "--inside")) {
    process.stderr.write("usage: node test/netns/enter.mjs -- COMMAND [ARGUMENTS…]\n");
    process.exit(EXIT_NO_SANDBOX);
  }
  if (options === "--inside") inside(command);
  else outside(command);
}

main();
