/** The proxy's parts, for benches and for daemons that will be built on them. The daemon is main.ts. */
export { Proxy } from "./proxy.js";
export type { ProxyEnvironment } from "./proxy-environment.js";
export { DnsPort, type DnsPortOptions } from "./io/dns-port.js";
export { Guard } from "./io/guard.js";
export { NftSession } from "./io/interception-nft-session.js";
export { Journal } from "./io/journal.js";
export { VirtualRoutes } from "./io/virtual-routes.js";
export { AccessList, type AccessDecision } from "./policy/access-list.js";
export { MAX_PINS, Pins, pinsFromText, pinsToText, type Pin } from "./policy/pins.js";
export { isEnough, policyFor, securitiesOf, securityOf, UNNAMED_POLICY, type PacketSelector, type PeerPolicy, type Service } from "./policy/policy.js";
export { judgeKey, type TrustEnvironment, type TrustVerdict } from "./policy/trust.js";
export { pinFileOf, readPins, writePins } from "./io/pin-file.js";
