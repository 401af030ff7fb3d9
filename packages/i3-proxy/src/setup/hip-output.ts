/** Where HIP packets leave: behind a data header, in UDP behind the mark, or bare in IP. */
import { IP_PROTOCOL, PAYLOAD_KIND } from "@i3/datapath";
import type { HipPath } from "@i3/hip";

import type { HipSetupEnvironment } from "./hip-environment.js";

const MARK = new Uint8Array(4);

/** Over i3 nothing goes while there is no server. */
export function sendHip({ client, datapath }: Pick<HipSetupEnvironment, "client" | "datapath">, path: HipPath, packet: Uint8Array): void {
  if (path.kind === "ip") {
    const { address, local } = path;
    return datapath.send([{ locator: { address, port: IP_PROTOCOL.hip, via: "ip", ...(local !== undefined && { local }) }, bytes: packet }]);
  }
  if (path.kind === "udp") {
    const bytes = new Uint8Array(MARK.length + packet.length);
    bytes.set(packet, MARK.length);
    return datapath.send([{ locator: path.locator, bytes }]);
  }
  const datagram = client.packetTo(path.id, PAYLOAD_KIND.hip, packet);
  if (datagram !== null) datapath.send([datagram]);
}
