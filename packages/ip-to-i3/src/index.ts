/** A gateway for hosts without i3: it publishes hosts of the overlay under names and ports. The daemon is main.ts. */
export { nameOfClientHello, type HelloRefusal, type HelloVerdict } from "./sni/client-hello.js";
export { ClientHelloReader, MAX_HELLO_BYTES, MAX_READ_BYTES } from "./sni/client-hello-reader.js";
export { nameOfRequest, type Framing, type RequestHead, type RequestVerdict } from "./http-host/request-name.js";
export { passedRequest } from "./http-host/passed-headers.js";
export { localHeader, proxyHeader, type TcpEnd } from "./proxy-protocol/header.js";
export { Authority } from "./dns/authority.js";
export { PublishedZone } from "./dns/published-zone.js";
export { OverlayHosts, type OverlayNames } from "./io/overlay-hosts.js";
export { Publisher, type PublisherOptions } from "./io/publisher.js";
