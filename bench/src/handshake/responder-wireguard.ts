/** Handshakes of wireguard-go from Debian, with peers made here. */
import { fileURLToPath } from "node:url";

import { Topology, type Child } from "@i3/netns";

import { succeed } from "../tunnel/bed.js";
import { say, type Plan } from "./plan.js";
import { processorSeconds } from "./processor-seconds.js";
import type { WireguardCallersOptions } from "./wireguard-callers.js";

const CALLERS = fileURLToPath(new URL("wireguard-callers.js", import.meta.url));
const PORT = 5_555;
const DEVICE = "wg_bench";
const START_MS = 60_000;
const ROUND_MS = 60_000;

/** Handshakes for one second of wireguard-go's processors: first message to answer. */
export async function measureWireguard({ runs, initiators }: Plan): Promise<readonly number[]> {
  const topology = await Topology.create();
  try {
    const [callers, responder] = [topology.host("callers"), topology.host("responder")];
    topology.link(callers, responder, { subnet: "192.0.2.0/30" });
    await topology.up();
    const program = responder.spawn("wireguard-go", ["-f", DEVICE], { env: { LOG_LEVEL: "error" } });
    const { pid } = program;
    if (pid === undefined) throw new Error("wireguard-go does not start");
    const privateKey = (await succeed(responder, "wg", ["genkey"])).trim();
    const keyFile = await responder.writeFile("wg.key", `${privateKey}\n`);
    const key = (await succeed(responder, "sh", ["-c", `wg pubkey < ${keyFile}`])).trim();
    const options: WireguardCallersOptions = { address: responder.address4, port: PORT, key, count: initiators };
    const calling = callers.spawn(process.execPath, [CALLERS, JSON.stringify(options)]);
    const keys = JSON.parse((await lineOf(calling, /^\["/, START_MS))) as readonly string[];
    const peers = keys.map((peer, i) => `[Peer]\nPublicKey = ${peer}\nAllowedIPs = 10.66.${(i >> 8) & 0xff}.${i & 0xff}/32\n`).join("");
    const file = await responder.writeFile("wg.conf", `[Interface]\nPrivateKey = ${privateKey}\nListenPort = ${PORT}\n${peers}`);
    await succeed(responder, "wg", ["setconf", DEVICE, file]);
    await succeed(responder, "ip", ["link", "set", DEVICE, "up"]);
    const rates: number[] = [];
    for (let run = 0; run < runs; run += 1) {
      const before = processorSeconds(pid);
      const answer = lineOf(calling, /^\{"done"/, ROUND_MS);
      calling.stdin.write("round\n");
      const { done } = JSON.parse(await answer) as { readonly done: number };
      if (done < initiators * 0.99) throw new Error(`wireguard-go answered ${done} of ${initiators}\n${program.tail()}`);
      rates.push(done / (processorSeconds(pid) - before));
    }
    say(`responder: wireguard-go ${rates.map((rate) => rate.toFixed(0)).join(", ")} handshakes for a processor second`);
    return rates;
  } finally {
    await topology.close();
  }
}

/** The next line that matches. */
async function lineOf(child: Child, pattern: RegExp, limitMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no line matched ${String(pattern)}\n${child.tail()}`)), limitMs);
    child.on("line", function onLine({ text }) {
      if (!pattern.test(text)) return;
      clearTimeout(timer);
      child.off("line", onLine);
      resolve(text);
    });
  });
}
