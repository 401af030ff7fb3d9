/**
 * What passes an interface of a host, in a file. By dumpcap: tcpdump sets its groups even where it stays root (`-Z root`), which the namespaces of an ordinary
 * user forbid.
 */
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";

import type { Host } from "@i3/netns";

import { eventually } from "./pair-bed.js";

/** Where the datagram goes that ends a capture; it is in the file, and nobody answers it. */
export const CAPTURE_END = "224.0.0.1";

/** Has the kernel cut what a host sends in one call into datagrams before a capture sees it, here or at the other end of the link: it holds each as it is on a wire. */
export async function cutBeforeCapture(host: Host): Promise<void> {
  for (const { name } of host.interfaces) {
    const { status, stderr } = await host.exec("ip", ["link", "set", "dev", name, "gso_max_segs", "1"]);
    if (status !== 0) throw new Error(`no segments for ${name}: ${stderr}`);
  }
}

const SEND_END = `
const [text, from, to] = process.argv.slice(1);
const socket = require("node:dgram").createSocket("udp4");
socket.bind(0, from, () => { socket.setMulticastInterface(from); socket.send(text, 9, to, () => socket.close()); });`;

/**
 * Captures on the first interface of `host` while `work` runs, all of it: ends when a datagram that is sent afterwards is in the file too.
 *
 * @param filter of libpcap; must let UDP over IPv4 through
 * @param on another interface, or "any": all of them
 * @returns path of the file, in pcap's classic format
 */
export async function capture(host: Host, filter: string, work: () => Promise<void>, on = host.interfaces[0]?.name ?? ""): Promise<string> {
  const file = `${host.directory}/capture.pcap`;
  const dump = host.spawn("dumpcap", ["-q", "-P", "-B", "16", "-i", on, "-f", filter, "-w", file]);
  await dump.waitForLine(/^File: /);
  await work();
  const end = `end of capture ${randomUUID()}`;
  const { status, stderr } = await host.exec(process.execPath, ["-e", SEND_END, end, host.address4, CAPTURE_END]);
  if (status !== 0) throw new Error(`the datagram that ends a capture: ${stderr}`);
  await eventually("the end of the capture", 10_000, async () => ((await readFile(file)).includes(end) ? true : undefined));
  await dump.stop();
  return file;
}
