// @ts-check
// What a command needs from the machine, by purpose: a program on PATH (or an absolute file) and the Debian package that holds it.
import { accessSync, constants, existsSync } from 'node:fs';
import path from 'node:path';

/** What the native engine is built with. @type {Record<string, string>} */
export const BUILD = { 'g++': 'g++', make: 'make', python3: 'python3' };

/** @type {Record<string, string>} */
const NETWORK = {
  ip: 'iproute2',
  nft: 'nftables',
  conntrack: 'conntrack',
  unshare: 'util-linux',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
  mount: 'mount',
  ping: 'iputils-ping',
  curl: 'curl',
};

/** What whole-system tests run between machines of the overlay. @type {Record<string, string>} */
const REAL_PROGRAMS = {
  ssh: 'openssh-client',
  sshd: 'openssh-server',
  vsftpd: 'vsftpd',
  smbd: 'samba',
  smbclient: 'smbclient',
  dnsmasq: 'dnsmasq-base',
  dig: 'bind9-dnsutils',
  iperf3: 'iperf3',
};

/** @typedef {'lint' | 'fuzz' | 'demo' | 'test' | 'bench'} Purpose */

/** @type {Record<Purpose, Record<string, string>>} */
export const NEEDS = {
  lint: { ...BUILD },
  fuzz: { ...BUILD },
  demo: { ...BUILD, ...NETWORK, dig: 'bind9-dnsutils', sysctl: 'procps' },
  test: { ...BUILD, ...NETWORK, ...REAL_PROGRAMS, unbound: 'unbound', pgrep: 'procps', nc: 'netcat-openbsd', xmllint: 'libxml2-utils', ss: 'iproute2', tcpdump: 'tcpdump' },
  bench: { ...BUILD, ...NETWORK, iperf3: 'iperf3' },
};

/** Purposes that open a TUN device. @type {Set<Purpose>} */
export const NEEDS_TUN = new Set(/** @type {const} */ (['demo', 'test', 'bench']));

/** @param {Record<string, string>} needs @returns {string[]} */
export function missingPackages(needs) {
  const absent = Object.entries(needs).filter(([thing]) => !(thing.startsWith('/') ? existsSync(thing) : isProgram(thing)));
  return [...new Set(absent.map(([, name]) => name))].sort();
}

/** @param {string} name */
export function isProgram(name) {
  return (process.env['PATH'] ?? '').split(':').some((directory) => {
    try {
      accessSync(path.join(directory, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
