// @ts-check
// Changes to the machine that a run as root may make: Debian packages and the TUN device.
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { runKept } from './processes.mjs';

const POLICY = '/usr/sbin/policy-rc.d';
const DENY = '#!/bin/sh\n# Put here by i3-overlay while it installs packages.\nexit 101\n';
const POLICY_ASIDE = '/usr/sbin/policy-rc.d.i3-aside';

/**
 * Installs Debian packages as root without letting any of them start a service.
 * @param {string[]} packages
 * @returns {Promise<string | undefined>} what went wrong, in one line
 */
export async function installPackages(packages) {
  // A run that was killed may have left ours behind; only the machine's own is put aside.
  if (existsSync(POLICY) && readFileSync(POLICY, 'utf8') !== DENY) renameSync(POLICY, POLICY_ASIDE);
  writeFileSync(POLICY, DENY, { mode: 0o755 });
  try {
    const lock = ['-o', 'DPkg::Lock::Timeout=120'];
    const install = ['install', '-y', '--no-install-recommends', ...lock, ...packages];
    return (await aptGet(['update', ...lock])) ?? (await aptGet(install));
  } finally {
    rmSync(POLICY);
    if (existsSync(POLICY_ASIDE)) renameSync(POLICY_ASIDE, POLICY);
  }
}

/** @param {string[]} args */
async function aptGet(args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const { status, output } = await runKept('apt-get', args, { env });
  if (status === 0) return undefined;
  console.log(output);
  return `apt-get ${args[0]} failed with status ${status}: see its messages above`;
}

const TUN = '/dev/net/tun';

/**
 * Makes sure that /dev/net/tun can be opened; root makes the device and opens it to everyone.
 * @param {(text: string) => void} say
 * @returns {Promise<string | undefined>} the problem and its remedy, in one line
 */
export async function openTun(say) {
  if (process.getuid?.() === 0) {
    if (!existsSync(TUN)) {
      say(`making ${TUN}`);
      mkdirSync('/dev/net', { recursive: true });
      await runKept('mknod', [TUN, 'c', '10', '200']);
    }
    if (existsSync(TUN) && (statSync(TUN).mode & 0o666) !== 0o666) {
      say(`letting every user open ${TUN} (chmod 0666)`);
      chmodSync(TUN, 0o666);
    }
  }
  try {
    closeSync(openSync(TUN, 'r+'));
    return undefined;
  } catch (error) {
    const code = /** @type {NodeJS.ErrnoException} */ (error).code;
    const remedy = code === 'EACCES' ? `chmod 0666 ${TUN}` : `modprobe tun; mkdir -p /dev/net; mknod -m 0666 ${TUN} c 10 200`;
    return `${TUN} cannot be opened (${code}): as root, ${remedy}`;
  }
}
