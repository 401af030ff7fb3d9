// @ts-check
// What a command needs from the machine, by purpose: a program on PATH (or an absolute file) and the Debian package that holds it.

/** @type {Record<string, string>} */
const BUILD = { 'g++': 'g++', make: 'make', python3: 'python3' };

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
