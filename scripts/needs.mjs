// @ts-check
// What a command needs from the machine, by purpose: a program on PATH (or an absolute file) and the Debian package that holds it.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import path from 'node:path';

const NODE_MINIMUM = [20, 19];

/** What is wrong with the node that runs this, in one line. @returns {string | undefined} */
export function nodeProblem() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [needMajor = 0, needMinor = 0] = NODE_MINIMUM;
  if (major > needMajor || (major === needMajor && minor >= needMinor)) return undefined;
  return `node ${process.versions.node} is too old: install node ${NODE_MINIMUM.join('.')} or newer, from nodejs.org or NodeSource (Debian 12's own is 18)`;
}

/** What the native engine is built with. @type {Record<string, string>} */
export const BUILD = { 'g++': 'g++', make: 'make', python3: 'python3' };

/** clang's libFuzzer and sanitizers are a package of its version's name: of the one that is here, or of Debian 12's. @returns {Record<string, string>} */
function clang() {
  const found = spawnSync('clang++', ['--print-resource-dir'], { encoding: 'utf8' });
  const directory = found.status === 0 ? found.stdout.trim() : '/usr/lib/llvm-14/lib/clang/14.0.6';
  const version = /llvm-(\d+)/.exec(directory)?.[1] ?? '14';
  const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  return { 'clang++': 'clang', [`${directory}/lib/linux/libclang_rt.fuzzer-${machine}.a`]: `libclang-rt-${version}-dev` };
}

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
  sipp: 'sip-tester',
};

/** A browser, a site for it, and what its list of authorities is written with. @type {Record<string, string>} */
const BROWSER = { chromium: 'chromium', nginx: 'nginx-light', certutil: 'libnss3-tools', '/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf': 'fonts-dejavu-core' };

/** The test bed's home routers that map ports, and who asks them to. @type {Record<string, string>} */
const PORT_MAPPING = { miniupnpd: 'miniupnpd-nftables', natpmpc: 'natpmpc', upnpc: 'miniupnpc' };

/** Whose reading of ESP and HIP ours is compared with: scapy is for Debian's own python. @type {Record<string, string>} */
const OTHERS_READING = {
  tshark: 'tshark',
  '/usr/bin/python3': 'python3',
  '/usr/lib/python3/dist-packages/scapy/layers/ipsec.py': 'python3-scapy',
  '/usr/lib/python3/dist-packages/cryptography/__init__.py': 'python3-cryptography',
};

/** @typedef {'lint' | 'fuzz' | 'sim' | 'demo' | 'test' | 'bench'} Purpose */

/** @type {Record<Purpose, Record<string, string>>} */
export const NEEDS = {
  lint: { ...BUILD },
  fuzz: { ...BUILD, ...clang() },
  sim: { ...BUILD },
  demo: { ...BUILD, ...NETWORK, dig: 'bind9-dnsutils', sysctl: 'procps' },
  test: { ...BUILD, ...clang(), ...NETWORK, ...REAL_PROGRAMS, ...OTHERS_READING, ...PORT_MAPPING, ...BROWSER, unbound: 'unbound', pgrep: 'procps', nc: 'netcat-openbsd', xmllint: 'libxml2-utils', ss: 'iproute2', dumpcap: 'wireshark-common' },
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
