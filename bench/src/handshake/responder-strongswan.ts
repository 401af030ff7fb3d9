/**
 * IKE associations of charon, strongSwan's daemon from Debian, called by another charon: IKEv2 (RFC 7296) with ECP-256. Each caller has a name of its own, which it proves by one pre-shared key, so
 * that nobody signs, or as the responder does: by an ECDSA key (P-256), for which it shows a certificate of a common authority (RFC 7427), so that the responder signs once and verifies twice.
 * Each has no child (RFC 6023), so that no ESP is set up, and they stay: none is ended while another is counted.
 */
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { Topology, type Child, type Host } from "@i3/netns";

import { succeed } from "../tunnel/bed.js";
import { say, type Plan } from "./plan.js";
import { processorSeconds } from "./processor-seconds.js";

const CHARON = "/usr/lib/ipsec/charon";
const PROPOSALS = "aes128gcm16-prfsha256-ecp256";
/** swanctl waits for each, so many at once keep the responder busy. */
const UNDER_WAY = 8;
/** What makes keys and certificates at once. */
const MAKERS = 2;
const MAKE_MS = 300_000;
const LOAD_MS = 120_000;
const RESPONDER = "responder";
const RESPONDER_ID = `${RESPONDER}.example`;
const START_MS = 10_000;
const STEP_MS = 20;

/** How both sides prove who they are. */
export type Proof = "pre-shared key" | "certificates";

interface Side {
  readonly host: Host;
  readonly charon: Child;
  /** Its configuration, socket and pid file; not in /run, over which each charon has another. */
  readonly directory: string;
}

/** Associations for one second of the responder's processors: IKE_SA_INIT and IKE_AUTH. */
export async function measureStrongswan({ runs, initiators }: Plan, proof: Proof): Promise<readonly number[]> {
  const topology = await Topology.create();
  try {
    const [callers, responder] = [topology.host("callers"), topology.host("responder")];
    topology.link(callers, responder, { subnet: "192.0.2.0/30" });
    await topology.up();
    if (proof === "certificates") await makeCertificates(responder, callers, initiators);
    const rates: number[] = [];
    // Fresh ones for each run: what charon looks for it looks for in all that it has.
    for (let run = 0; run < runs; run += 1) rates.push(await oneRun(callers, responder, initiators, proof));
    say(`responder: strongSwan with ${proof === "certificates" ? proof : `a ${proof}`} ${rates.map((rate) => rate.toFixed(0)).join(", ")} handshakes for a processor second`);
    return rates;
  } finally {
    await topology.close();
  }
}

async function oneRun(callers: Host, responder: Host, count: number, proof: Proof): Promise<number> {
  const secret = proof === "pre-shared key" ? randomBytes(32).toString("hex") : null;
  const directories: string[] = [];
  const newDirectory = async (): Promise<string> => {
    const directory = await mkdtemp(join(tmpdir(), "i3-charon-"));
    directories.push(directory);
    return directory;
  };
  try {
    const called = await startCharon(responder, await newDirectory(), { secret, to: null, connections: 1 });
    const calling = await startCharon(callers, await newDirectory(), { secret, to: responder.address4, connections: count });
    await checkProof(called, proof);
    const { pid } = called.charon;
    if (pid === undefined) throw new Error("charon does not start");
    const before = processorSeconds(pid);
    await Promise.all(Array.from({ length: UNDER_WAY }, async (_, lane) => {
      for (let i = lane; i < count; i += UNDER_WAY) await swanctl(calling, ["--initiate", "--ike", `c${i}`, "--timeout", "10"]);
    }));
    const seconds = processorSeconds(pid) - before;
    const established = (await swanctl(called, ["--list-sas"])).match(/ESTABLISHED/g)?.length ?? 0;
    if (established < count * 0.99) throw new Error(`charon has ${established} associations of ${count}\n${called.charon.tail()}`);
    for (const { charon } of [calling, called]) await charon.stop();
    return established / seconds;
  } finally {
    for (const directory of directories) await rm(directory, { recursive: true, force: true });
  }
}

/** Without the extensions that openssl adds by itself: everybody would be an authority, and charon asks for certificates of each that it knows. */
const OPENSSL_CONF = "[req]\ndistinguished_name = name\nprompt = no\n[name]\nCN = nobody\n";

/** `name` and what is signed by which, in words of a shell. */
const newCertificate = (name: string, isAuthority: boolean, signed: string): string =>
  `openssl req -config openssl.cnf -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -days 2 -keyout private/${name}.pem -out x509/${name}.pem -subj /CN=${name}.example ` +
  `-addext subjectAltName=DNS:${name}.example -addext basicConstraints=critical,CA:${isAuthority ? "TRUE" : "FALSE"} ${signed}`;

/** A common authority; a key and a certificate of it for the responder and for each caller, where swanctl looks for them: beside its configuration. */
async function makeCertificates(responder: Host, callers: Host, count: number): Promise<void> {
  const run = async (host: Host, script: string): Promise<void> => void (await succeed(host, "sh", ["-e", "-c", `umask 077; cd ${host.directory}; mkdir -p x509 x509ca private; ${script}`], MAKE_MS));
  for (const host of [responder, callers]) await host.writeFile("openssl.cnf", OPENSSL_CONF);
  const authority = (part: string): string => `${responder.directory}/authority.${part}`;
  const signed = `-CA ${authority("pem")} -CAkey ${authority("key")}`;
  await run(responder, `${newCertificate("authority", true, "")}; mv private/authority.pem ${authority("key")}; mv x509/authority.pem ${authority("pem")}; cp ${authority("pem")} x509ca; ${newCertificate(RESPONDER, false, signed)}`);
  await run(callers, `cp ${authority("pem")} x509ca`);
  await Promise.all(Array.from({ length: MAKERS }, (_, lane) => run(callers, `for i in $(seq ${lane} ${MAKERS} ${count - 1}); do ${newCertificate("c$i", false, signed)}; done`)));
}

/** Throws unless the responder asks for, and shows, what it should. */
async function checkProof(called: Side, proof: Proof): Promise<void> {
  const shown = await swanctl(called, ["--list-conns"]);
  const asked = proof === "certificates" ? "public key authentication" : "pre-shared key authentication";
  for (const side of ["local", "remote"]) if (!new RegExp(`${side} *${asked}`).test(shown)) throw new Error(`charon's ${side} side has no ${asked}:\n${shown}`);
}

interface SideOptions {
  /** 32 bytes as hexadecimal digits; null: certificates. */
  readonly secret: string | null;
  /** null: is called by anybody. */
  readonly to: string | null;
  readonly connections: number;
}

async function startCharon(host: Host, directory: string, { secret, to, connections }: SideOptions): Promise<Side> {
  const socket = `${directory}/vici`;
  const conf = [
    // Nothing is read from /etc. All calls come from one address, of which it would refuse the sixth half-open one.
    "charon {", "  load_modular = no", "  load = random nonce openssl pem kdf kernel-netlink socket-default vici",
    `  plugins { vici { socket = "unix://${socket}" } }`, "  filelog { stderr { default = 0 } }", "  dos_protection = no", "}", `swanctl { socket = "unix://${socket}" }`, "",
  ];
  await writeFile(`${directory}/strongswan.conf`, conf.join("\n"));
  const auth = secret === null ? "pubkey" : "psk";
  const connection = (i: number): string => `  c${i} {
    version = 2
    unique = never
    childless = force
    proposals = ${PROPOSALS}
${to === null ? "" : `    remote_addrs = ${to}\n`}    local { auth = ${auth}
${secret === null ? `      certs = ${to === null ? RESPONDER : `c${i}`}.pem\n` : ""}      id = ${to === null ? RESPONDER_ID : `c${i}.example`} }
    remote { auth = ${auth}${to === null ? "" : `\n      id = ${RESPONDER_ID}`} }
  }`;
  const ike = secret === null ? "" : `secrets {\n  ike-peer { id-1 = ${RESPONDER_ID}\n    secret = 0x${secret} }\n}\n`;
  const list = await host.writeFile("swanctl.conf", `connections {\n${Array.from({ length: connections }, (_, i) => connection(i)).join("\n")}\n}\n${ike}`);
  await mkdir(`${directory}/run`);
  // charon's pid file is always /run/charon.pid, so each has a /run of its own.
  const charon = host.spawn("unshare", ["-m", "--propagation", "private", "sh", "-c", `mount --bind ${directory}/run /run && exec ${CHARON}`], { env: { STRONGSWAN_CONF: `${directory}/strongswan.conf` } });
  const side: Side = { host, charon, directory };
  for (let waited = 0; waited < START_MS; waited += STEP_MS) {
    if ((await host.exec("test", ["-S", socket])).status === 0) {
      await swanctl(side, ["--load-all", "--noprompt", "--file", list]);
      return side;
    }
    await sleep(STEP_MS);
  }
  throw new Error(`charon does not start\n${charon.tail()}`);
}

async function swanctl({ host, directory }: Side, args: readonly string[]): Promise<string> {
  return succeed(host, "env", [`STRONGSWAN_CONF=${directory}/strongswan.conf`, "swanctl", ...args], LOAD_MS);
}
