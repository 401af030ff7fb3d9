/** XML configuration and address book: text in, frozen typed objects or a ConfigError out. */
export type { AccessConfig, AccessEntry } from "./access.js";
export * from "./address-book.js";
export { exitOf, prefixText, type AddressRule } from "./address-rules.js";
export { I3_PORT, MAX_CONFIG_BYTES, OFFLOAD_NAMES } from "./common-elements.js";
export type { Endpoint, EngineConfig, IdentityConfig, IpEndpoint, LogConfig, OffloadName } from "./common-elements.js";
export * from "./config-error.js";
export * from "./ip-text.js";
export { HELPERS, type GatewayConfig, type GatewayEntry, type GatewayHelper, type GatewayLimits, type Networks } from "./gateway.js";
export { isInNetwork, type Network } from "./networks.js";
export { nearestName } from "./nearest-name.js";
export * from "./proxy-config.js";
export { bareName, findRule, MAX_SERVICES, type GatewayRule, type OverlayRule, type ProxyRule, type Security, type Trust } from "./rules.js";
export type { SiteConfig } from "./site.js";
export type { FixedPort, ProxyProtocol, PublishConfig, PublishedName, SharedPort } from "./publish.js";
export * from "./server-config.js";
export { hasPorts, protocolName, type PortRange, type ServiceSelector } from "./services.js";
export { MAX_ZONE_RECORDS, type ZoneConfig } from "./zones.js";
export type { ConfigHost, IpHost, NamePattern } from "./value-types.js";
