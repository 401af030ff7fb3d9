/**
 * The machines of the tests: a laptop in an office, two resolvers on the Internet, a neighbour on the same LAN.
 *
 *     r1 203.0.113.6, 2001:db8:53::2 (dnsmasq)      r2 203.0.113.10 (unbound)
 *                          \                          /
 *                           +--------- core ---------+
 *                                       | 192.168.1.1
 *                           ====+=======+========+====
 *                               |                |
 *                        laptop .10       neighbour .11
 */
import { type Child, type Host, type Router, type RunResult, Topology } from "@i3/netns";

export const INTERCEPTOR = `${import.meta.dirname}/interceptor.mjs`;
/** 12 strings of 250 bytes: too long for plain UDP. */
const BIG = Array.from({ length: 12 }, (_, i) => String.fromCharCode(97 + i).repeat(250));

export interface Machines {
  readonly topology: Topology;
  readonly laptop: Host;
  readonly neighbour: Host;
  readonly core: Router;
  readonly r1: Host;
  readonly r2: Host;
}

export async function office(): Promise<Machines> {
  const topology = await Topology.create();
  const core = topology.router("core");
  const [laptop, neighbour, r1, r2] = ["laptop", "neighbour", "r1", "r2"].map((name) => topology.host(name)) as [Host, Host, Host, Host];
  topology.link(core, r1, { subnet: "203.0.113.4/30", subnet6: "2001:db8:53::/64" });
  topology.link(core, r2, { subnet: "203.0.113.8/30" });
  topology.lan("office", { subnet: "192.168.1.0/24", subnet6: "2001:db8:1::/64", gateway: core, members: [laptop, neighbour] });
  await topology.up();
  await laptop.setResolvers([r1.address4, r2.address4]);
  await startDnsmasq(r1);
  await startUnbound(r2);
  return { topology, laptop, neighbour, core, r1, r2 };
}

async function startDnsmasq(host: Host): Promise<void> {
  const records = ["--address=/which.example/192.0.2.1", "--address=/www.example/192.0.2.80", `--txt-record=big.example,${BIG.join(",")}`];
  const limits = ["--edns-packet-max=4096", "--cache-size=0", "--local-ttl=60"];
  await ready(host, host.spawn("dnsmasq", ["--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file=", "--log-queries", ...limits, ...records]), /started/);
}

async function startUnbound(host: Host): Promise<void> {
  const big = BIG.map((text) => `"${text}"`).join(" ");
  const config = await host.writeFile("unbound.conf", [
    "server:", "  interface: 0.0.0.0", "  access-control: 0.0.0.0/0 allow", '  username: ""', '  chroot: ""', '  directory: ""', '  pidfile: ""', "  use-syslog: no",
    "  do-daemonize: no", "  num-threads: 1", "  max-udp-size: 4096", "  edns-buffer-size: 4096", '  local-zone: "example." static',
    '  local-data: "which.example. 60 IN A 192.0.2.2"', `  local-data: 'big.example. 60 IN TXT ${big}'`, "remote-control:", "  control-enable: no", "",
  ].join("\n"));
  await ready(host, host.spawn("unbound", ["-d", "-c", config]), /start of service/);
}

async function ready(host: Host, child: Child, line: RegExp): Promise<void> {
  await child.waitForLine(line).catch((error: unknown) => {
    throw new Error(`no resolver on ${host.name}: install dnsmasq-base and unbound`, { cause: error });
  });
}

/** Starts what the proxy does to a machine, see interceptor.mjs. */
export async function intercept(host: Host, settings: Readonly<Record<string, unknown>> = {}): Promise<Child> {
  const child = host.spawn(process.execPath, [INTERCEPTOR, JSON.stringify(settings)]);
  await child.waitForLine(/^ready$/, 20_000);
  return child;
}

/** `dig +short`, quickly: one try of two seconds. */
export async function dig(host: Host, ...args: readonly string[]): Promise<string> {
  const { stdout } = await host.exec("dig", ["+short", "+tries=1", "+timeout=2", ...args]);
  return stdout.trim();
}

export const nft = async (host: Host, ...args: readonly string[]): Promise<string> => (await host.exec("nft", args)).stdout;

/** Runs a program and tells how long it took. */
export async function timed(host: Host, program: string, args: readonly string[]): Promise<RunResult & { readonly ms: number }> {
  const startMs = performance.now();
  const result = await host.exec(program, args);
  return { ...result, ms: performance.now() - startMs };
}

/** Until `probe` gives what is wanted; gives what it last gave. */
export async function eventually<T>(probe: () => Promise<T>, isWanted: (value: T) => boolean, limitMs = 5_000): Promise<T> {
  const endMs = performance.now() + limitMs;
  for (;;) {
    const value = await probe();
    if (isWanted(value) || performance.now() > endMs) return value;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
