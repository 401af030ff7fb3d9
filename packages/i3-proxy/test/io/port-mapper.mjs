// @ts-check
/**
 * A host that has a router open a port, without a proxy. Arguments: the gateway, our address, the port, how often it renews it, ms.
 * A line `mapped LOCATOR` each time that it was opened, `closed` when it is not; SIGTERM takes it back.
 */
import { locatorText, parseIpText } from "@i3/common";
import { PortMapping } from "../../dist/io/port-mapping.js";

const [gateway = "", address = "", port = "", renewMs = ""] = process.argv.slice(2);
const mapping = new PortMapping({
  port: Number(port), renewMs: Number(renewMs), log: () => undefined, onMapped: (_key, locator) => console.log(locator === null ? "closed" : `mapped ${locatorText(locator)}`),
});
mapping.setPlaces([{ key: "home", address: /** @type {Uint8Array} */ (parseIpText(address)), gateway: /** @type {Uint8Array} */ (parseIpText(gateway)) }]);
// Renewals alone keep no process alive.
const alive = setInterval(() => undefined, 60_000);
process.on("SIGTERM", () => {
  clearInterval(alive);
  void mapping.close().then(() => process.exit(0));
});
