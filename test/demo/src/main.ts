/**
 * npm run demo: a laptop reaches a home machine by name. Real daemons, real TUN devices, real NATs, in network namespaces that
 * nobody else sees. `-- --once` ends after the checks, with status 0 only if all held.
 */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { standardTopology, type Host } from "@i3/netns";

import { expectEqual, runChecks, succeed, type Check } from "./checks.js";
import { Laptop, startRing } from "./overlay.js";
import { overhear } from "./overheard.js";
import { startSshd } from "./sshd.js";

const WEB_SERVER = fileURLToPath(new URL("web-server.js", import.meta.url));
const isOnce = process.argv.includes("--once");
const print = (line: string): void => void process.stdout.write(`${line}\n`);

async function step<T>(title: string, work: () => Promise<T>): Promise<T> {
  const startedMs = performance.now();
  const result = await work();
  print(`- ${title} (${Math.round(performance.now() - startedMs)} ms)`);
  return result;
}

const answer = async (host: Host, type: string): Promise<string> => (await succeed(host, "dig", ["+short", "+time=3", "home.i3", type])).stdout.trim();

function checksOf(laptop: Laptop, home: Laptop, core: Pick<Host, "spawn">, killServer: () => Promise<string>): Check[] {
  const curl = (...args: string[]): Promise<string> => succeed(laptop.host, "curl", ["-sS", "-m", "10", ...args]).then((r) => r.stdout.trim());
  return [
    {
      title: "the proxy answers DNS: home.i3 is 10.H24(id), which both ends compute alike",
      run: async () => {
        const address = await answer(laptop.host, "A");
        expectEqual(address, home.address4, "A");
        return `home.i3 A ${address}`;
      },
    },
    {
      title: "its IPv6 address is the machine's host identity tag: a hash of its key",
      run: async () => {
        const address = await answer(laptop.host, "AAAA");
        expectEqual(address, home.hit, "AAAA");
        return `home.i3 AAAA ${address}`;
      },
    },
    { title: "ping goes through two NATs", run: async () => (await succeed(laptop.host, "ping", ["-c", "3", "-i", "0.2", "-W", "3", "home.i3"])).stdout.trim().split("\n").at(-1) ?? "" },
    {
      title: "curl http://home.i3/ reaches the web server, which sees the laptop's own virtual address: headers are preserved",
      run: async () => {
        const text = await curl("-4", "http://home.i3/");
        expectEqual(text, `hello ${laptop.address4}, this is home.i3`, "page");
        return text;
      },
    },
    {
      title: "the same over IPv6, by key",
      run: async () => {
        const text = await curl("-6", "http://home.i3/");
        expectEqual(text, `hello ${laptop.hit}, this is home.i3`, "page");
        return text;
      },
    },
    {
      title: "nobody on the way can read it: a word that the laptop asks for is in no datagram that passes the router between all of them",
      run: async () => {
        const word = randomUUID();
        const [between, there] = await overhear([core, home.host], word, () => curl("-4", `http://home.i3/${word}`));
        if (between === undefined || there === undefined || between.packets === 0 || there.holding === 0) throw new Error("nothing was heard");
        if (between.holding > 0) throw new Error(`${between.holding} of ${between.packets} packets hold it`);
        return `${between.packets} packets in between, none with the word; on the home machine's own i3 device ${there.holding}`;
      },
    },
    {
      title: "home answers by the laptop's name as well",
      run: async () => (await succeed(home.host, "ping", ["-c", "1", "-W", "3", "laptop.i3"])).stdout.split("\n")[1] ?? "",
    },
    {
      title: "a name that is not in the address book does not exist, and is asked of nobody else",
      run: async () => {
        const { stdout } = await succeed(laptop.host, "dig", ["+time=3", "stranger.i3", "A"]);
        if (!stdout.includes("NXDOMAIN")) throw new Error(stdout);
        return "NXDOMAIN";
      },
    },
    {
      title: "the server that holds the home machine's triggers is killed; the page comes again within 10 s",
      run: async () => {
        const which = await killServer();
        const startedMs = performance.now();
        const text = await succeed(laptop.host, "curl", ["-sS", "-4", "--retry", "8", "--retry-all-errors", "--retry-delay", "1", "-m", "3", "http://home.i3/"]);
        const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
        if (Number(seconds) > 10) throw new Error(`after ${seconds} s`);
        return `without ${which}: ${text.stdout.trim()} (after ${seconds} s)`;
      },
    },
    ...(existsSync("/usr/sbin/sshd")
      ? [{ title: "ssh home.i3 runs a command there", run: () => runSsh(laptop, home) }]
      : []),
  ];
}

async function runSsh(laptop: Laptop, home: Laptop): Promise<string> {
  const ssh = await startSshd(home.host, laptop.host);
  const { stdout } = await succeed(laptop.host, "ssh", [...ssh.options, "home.i3", "echo", "I am at $(hostname -I)"]);
  return stdout.trim();
}

function explainHands(laptop: Host): void {
  const userns = process.env["I3_NETNS_SANDBOX"] === "user" ? "-U --preserve-credentials " : "";
  // The number of a process is another one outside of the sandbox: it is found by its command line there.
  const pid = `$(pgrep -n -f 'i3-proxy/dist/main.js --config ${laptop.directory}')`;
  print("");
  print("The demo stays until Ctrl-C. In another terminal, as the same user, you can sit at the laptop:");
  print(`  nsenter ${userns}-n -m -t "${pid}" -- sh -c 'curl http://home.i3/; ping -c3 home.i3; ip addr show i3; nft list ruleset'`);
  print(`Its files, to be looked at in the same way: ${laptop.directory}`);
}

async function main(): Promise<number> {
  print("A laptop behind one NAT reaches a home machine behind another by name, through a ring of three i3 servers.\n");
  const bed = await step("Built the network: a core router, three public servers, a port-restricted NAT with the laptop, a symmetric NAT with the home machine", () => standardTopology());
  const { topology } = bed;
  try {
    const ring = await step("Started three i3 servers; they form a ring", () => startRing(bed.servers));
    const serverAddresses = bed.servers.map((server) => server.address4);
    const [laptop, home] = await step("Made a key for each machine; its hash is the machine's address for everybody who knows it", () =>
      Promise.all([Laptop.make(bed.laptop, { serverAddresses }), Laptop.make(bed.home, { serverAddresses })]));
    print(`    laptop.i3  ${laptop.hit}\n    home.i3    ${home.hit}`);
    await step("Wrote both address books: name and key", () => Promise.all([laptop, home].map((l) => l.writeBook({ "laptop.i3": laptop, "home.i3": home }))));
    await step("Started both proxies: TUN device, DNS, signed triggers in the ring, through the NATs", () => Promise.all([laptop.start(), home.start()]));
    await step("Started an ordinary web server on the home machine", async () => {
      await bed.home.spawn(process.execPath, [WEB_SERVER, "80"]).waitForLine(/serving/);
    });
    print("\nPrograms that know nothing of the overlay, on the laptop:");
    const tally = await runChecks(checksOf(laptop, home, bed.core, async () => {
      const inUse = home.child?.lines.flatMap(({ text }) => /"trigger-live".*"server":"([0-9.]+):/.exec(text)?.[1] ?? []).at(-1);
      const victim = ring.find((server) => server.host.address4 === inUse);
      victim?.child?.kill("SIGKILL");
      await victim?.child?.ended;
      return victim?.host.name ?? "nobody";
    }), print);
    if (tally.failed > 0) print(`\n${laptop.child?.tail(15) ?? ""}\n${home.child?.tail(15) ?? ""}\n${await topology.diagnose()}`);
    if (!isOnce) await stayUntilInterrupted(bed.laptop);
    print(`demo: ${tally.passed} passed, ${tally.failed} failed`);
    return tally.failed === 0 ? 0 : 1;
  } finally {
    await topology.close();
  }
}

async function stayUntilInterrupted(laptop: Host): Promise<void> {
  explainHands(laptop);
  const forever = setInterval(() => undefined, 1 << 30);
  await new Promise<void>((resolve) => {
    process.once("SIGINT", () => resolve());
    process.once("SIGTERM", () => resolve());
  });
  clearInterval(forever);
  print("");
}

process.exitCode = await main();
