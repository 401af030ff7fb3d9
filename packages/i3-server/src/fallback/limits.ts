/** Bounds of what hosts may do by WebSocket (ours). A server's JavaScript carries all of it, beside what keeps the ring. */

/** In all: each costs a TLS connection and a UDP socket. */
export const MAX_CONNECTIONS = 1_024;
/** Of one source: an IPv4 address, or an IPv6 /64. Hosts behind one NAT share it. */
export const MAX_CONNECTIONS_PER_SOURCE = 32;
/** Of one network: an IPv6 /48, of which one subscriber may have all /64s (of IPv4 the source). */
export const MAX_CONNECTIONS_PER_NETWORK = 64;
/** Each is signatures and key agreement in the thread that keeps the ring. */
export const HANDSHAKES_PER_SECOND = 50;
export const HANDSHAKES_BURST = 100;
export const HANDSHAKES_PER_SOURCE_PER_SECOND = 2;
export const HANDSHAKES_PER_SOURCE_BURST = 16;
export const HANDSHAKES_PER_NETWORK_PER_SECOND = 4;
export const HANDSHAKES_PER_NETWORK_BURST = 32;
/** Sources, and networks, whose rate is remembered. */
export const MAX_RATED_SOURCES = 4_096;
/** From the TCP connection to the WebSocket. */
export const HANDSHAKE_MS = 10_000;
/** Without a frame from the host that went on; it asks its servers every second, and every half minute when it has nothing to say. */
export const IDLE_MS = 90_000;
/** Longer messages count as several: what a packet of an Ethernet fills, with its frame. */
export const FULL_BYTES = 1_500;
/** Messages of one host, whatever they hold: 60 Mbit/s of full ones. */
export const DATAGRAMS_PER_SECOND = 5_000;
export const DATAGRAMS_BURST = 5_000;
/** Of all hosts. */
export const ALL_DATAGRAMS_PER_SECOND = 20_000;
/**
 * Control datagrams of one host and of all: to other servers they come from this server's address, which may make 2,000 upcalls a second
 * there (LIMITS.upcallsPerSourcePerSecond of @i3/datapath), and needs some itself.
 */
export const CONTROL_PER_SECOND = 50;
export const CONTROL_BURST = 200;
export const ALL_CONTROL_PER_SECOND = 1_000;
/** From one host, over the life of its connection. */
export const MAX_MALFORMED = 1_000;
/** On their way to one host. More would only make them late. */
export const MAX_WAITING_BYTES = 256 * 1024;
/** Servers that were named to one host. */
export const MAX_NAMED_SERVERS = 64;
