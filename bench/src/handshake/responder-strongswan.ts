/**
 * IKE associations of charon, strongSwan's daemon from Debian, called by another charon: IKEv2 (RFC 7296) with ECP-256, and one pre-shared key, so nobody signs; each caller has a name of its own.
 * Each has no child (RFC 6023), so that no ESP is set up, and they stay: none is ended while another is counted.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import { Topology, type Child, type Host } from "@i3/netns";

import { succeed } from "../tunnel/bed.js";
import { say, type Plan } from "./plan.js";
import { processorSeconds } from "./processor-seconds.js";

const CHARON = "/usr/lib/ipsec/charon";
const PROPOSALS = "aes128gcm16-prfsha256-ecp256";
/** swanctl waits for each, so many at once keep the responder busy. */
const UNDER_WAY = 8;
const RESPONDER_ID = "responder.example";
const START_MS = 10_000;
const STEP_MS = 20;

interface Side {
  readonly host: Host;
  readonly charon: Child;
  /** Its configuration, socket and pid file; not in /run, over which each charon has another. */
  readonly directory: string;
}

/** Associations for one second of the responder's processors: IKE_SA_INIT and IKE_AUTH. */
export async function measureStrongswan({ runs, initiators }: Plan): Promise<readonly number[]> {
  const topology = await Topology.create();
  try {
    const [callers, responder] = [topology.host("callers"), topology.host("responder")];
    topology.link(callers, responder, { subnet: "192.0.2.0/30" });
    await topology.up();
    const secret = randomBytes(32).toString("hex");
    const called = await startCharon(responder, { secret, to: null, connections: 1 });
    const calling = await startCharon(callers, { secret, to: responder.address4, connections: runs * initiators });
    const { pid } = called.charon;
    if (pid === undefined) throw new Error("charon does not start");
    const rates: number[] = [];
    for (let run = 0; run < runs; run += 1) {
      const before = processorSeconds(pid);
      const first = run * initiators;
      await Promise.all(Array.from({ length: UNDER_WAY }, async (_, lane) => {
        for (let i = first + lane; i < first + initiators; i += UNDER_WAY) await swanctl(calling, ["--initiate", "--ike", `c${i}`, "--timeout", "10"]);
      }));
      rates.push(initiators / (processorSeconds(pid) - before));
    }
    const established = (await swanctl(called, ["--list-sas"])).match(/ESTABLISHED/g)?.length ?? 0;
    if (established < runs * initiators * 0.99) throw new Error(`charon has ${established} associations of ${runs * initiators}\n${called.charon.tail()}`);
    for (const { host, directory } of [called, calling]) await succeed(host, "rm", ["-r", directory]);
    say(`responder: strongSwan ${rates.map((rate) => rate.toFixed(0)).join(", ")} handshakes for a processor second`);
    return rates;
  } finally {
    await topology.close();
  }
}

interface SideOptions {
  /** 32 bytes as hexadecimal digits. */
  readonly secret: string;
  /** null: is called by anybody. */
  readonly to: string | null;
  readonly connections: number;
}

async function startCharon(host: Host, { secret, to, connections }: SideOptions): Promise<Side> {
  const directory = (await succeed(host, "mktemp", ["-d"])).trim();
  const socket = `${directory}/vici`;
  const conf = await host.writeFile("strongswan.conf", [
    // Nothing is read from /etc. All calls come from one address, of which it would refuse the sixth half-open one.
    "charon {", "  load_modular = no", "  load = random nonce openssl kdf kernel-netlink socket-default vici",
    `  plugins { vici { socket = "unix://${socket}" } }`, "  filelog { stderr { default = 0 } }", "  dos_protection = no", "}", `swanctl { socket = "unix://${socket}" }`, "",
  ].join("\n"));
  const connection = (i: number): string => `  c${i} {
    version = 2
    unique = never
    childless = force
    proposals = ${PROPOSALS}
${to === null ? "" : `    remote_addrs = ${to}\n`}    local { auth = psk
      id = ${to === null ? RESPONDER_ID : `c${i}.example`} }
    remote { auth = psk${to === null ? "" : `\n      id = ${RESPONDER_ID}`} }
  }`;
  const ike = `secrets {\n  ike-peer { id-1 = ${RESPONDER_ID}\n    secret = 0x${secret} }\n}\n`;
  const list = await host.writeFile("swanctl.conf", `connections {\n${Array.from({ length: connections }, (_, i) => connection(i)).join("\n")}\n}\n${ike}`);
  await succeed(host, "sh", ["-c", `mkdir ${directory}/run && cp ${conf} ${directory}/strongswan.conf`]);
  // charon's pid file is always /run/charon.pid, so each has a /run of its own.
  const charon = host.spawn("unshare", ["-m", "--propagation", "private", "sh", "-c", `mount --bind ${directory}/run /run && exec ${CHARON}`], { env: { STRONGSWAN_CONF: `${directory}/strongswan.conf` } });
  const side: Side = { host, charon, directory };
  for (let waited = 0; waited < START_MS; waited += STEP_MS) {
    if ((await host.exec("test", ["-S", socket])).status === 0) {
      await swanctl(side, ["--load-all", "--file", list]);
      return side;
    }
    await sleep(STEP_MS);
  }
  throw new Error(`charon does not start\n${charon.tail()}`);
}

async function swanctl({ host, directory }: Side, args: readonly string[]): Promise<string> {
  return succeed(host, "env", [`STRONGSWAN_CONF=${directory}/strongswan.conf`, "swanctl", ...args], 60_000);
}
