/** Bounds of what hosts may do by WebSocket (ours). A server's JavaScript carries all of it, beside what keeps the ring. */

/** In all: each costs a TLS connection and a UDP socket. */
export const MAX_CONNECTIONS = 1_024;
/** Of one source: an IPv4 address, or an IPv6 /64. Hosts behind one NAT share it. */
export const MAX_CONNECTIONS_PER_SOURCE = 32;
/** Of one network: an IPv6 /48, of which one subscriber may have all /64s (of IPv4 the source). */
export const MAX_CONNECTIONS_PER_NETWORK = 64;
/** A host whose triggers nobody has taken for so long (they live 30 s) makes room for another where there is none. */
export const UNUSED_MS = 30_000;
/** Each is signatures and key agreement in the thread that keeps the ring. Networks share them by what they had lately: so who had none gets in while fewer than a thousand others take all. */
export const HANDSHAKES_PER_SECOND = 50;
export const HANDSHAKES_BURST = 100;
export const HANDSHAKES_LATELY_MS = 20_000;
export const HANDSHAKES_PER_SOURCE_PER_SECOND = 2;
export const HANDSHAKES_PER_SOURCE_BURST = 16;
export const HANDSHAKES_PER_NETWORK_PER_SECOND = 4;
export const HANDSHAKES_PER_NETWORK_BURST = 32;
/** Sources, and networks, whose rate is remembered. Beyond them, networks that have connections. */
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
/** Bytes of one host's TCP connection, so TLS and frames too: what so many full messages take, each in a TLS record of its own. */
export const BYTES_PER_SECOND = 8_000_000;
export const BYTES_BURST = 8_000_000;
/** Nothing is read of a host that has used up either: TCP pushes back. */
export const LEAST_REST_MS = 20;
/**
 * The same of one network, which is what two hosts may say, and of all: an address may have 32 hosts, and each costs the ring's thread whatever it says.
 * Half is divided evenly, among networks and in each among its hosts, so that none takes another's part.
 */
export const NETWORK_MESSAGES_PER_SECOND = 2 * DATAGRAMS_PER_SECOND;
export const ALL_MESSAGES_PER_SECOND = 40_000;
export const NETWORK_BYTES_PER_SECOND = 2 * BYTES_PER_SECOND;
export const ALL_BYTES_PER_SECOND = 64_000_000;
/** What a host owes beyond this is forgiven. A piece of TLS is read whole and may hold a thousand messages: the smallest part must have paid for these by then. */
export const MAX_OWED_MS = 60_000;
/** Of TLS and HTTP, before the WebSocket. */
export const MAX_HANDSHAKE_BYTES = 64 * 1024;
/** Of all hosts. */
export const ALL_DATAGRAMS_PER_SECOND = 20_000;
/**
 * Control datagrams of one host and of all: to other servers they come from this server's address, which may make 2,000 upcalls a second
 * there (LIMITS.upcallsPerSourcePerSecond of @i3/datapath), and needs some itself.
 */
export const CONTROL_PER_SECOND = 50;
export const CONTROL_BURST = 200;
export const ALL_CONTROL_PER_SECOND = 1_000;
/** Of what all may have, one network has at most this part: 32 connections of one address want more than there is. Half of all, and of a network's part, is divided evenly. */
export const NETWORK_SHARE = 0.25;
/**
 * To other servers all hosts here are one source, which has 4,096 triggers and 256 records there (docs/wire.md §4.1, §4.3). These are what all have at one
 * server, those of one network at one server, and those of all at all servers, which bounds the memory.
 */
export const TRIGGER_PLACES = { perServer: 4_096, perNetwork: 512, inAll: 65_536 } as const;
export const RECORD_PLACES = { perServer: 256, perNetwork: 32, inAll: 8_192 } as const;
/** A trigger's 30 s, and 60 s in which its counter is remembered. */
export const TRIGGER_PLACE_MS = 90_000;
/** As long as a server keeps a record. */
export const RECORD_PLACE_MS = 3_600_000;
/** What makes a server look up a ring key, or answer for it: one source has 2,000 upcalls a second, and some 40 places for lookups, at a server. */
export const LOOKUPS_PER_SECOND = 400;
export const LOOKUPS_BURST = 800;
export const NETWORK_LOOKUPS_PER_SECOND = 100;
export const NETWORK_LOOKUPS_BURST = 200;
/** Ring keys that one host has sent to lately. A server keeps the way to one for 30 s. */
export const MAX_SEEN_KEYS = 256;
export const SEEN_KEY_MS = 20_000;
/** A server tells a source of one ring key once in this time, however often it is asked (docs/datapath.md, "notice"). */
export const ASKED_MS = 100;
/** From one host, over the life of its connection. */
export const MAX_MALFORMED = 1_000;
/** PINGs and PONGs of WebSockets, likewise: a proxy sends none, and thousands of them fill one piece of TLS. */
export const MAX_PINGS = 100;
/**
 * Of what comes to one host's UDP port, from others than servers or malformed; then it has another port, and this one is closed: only the kernel drops
 * for nothing. A server that the host does not know of may send data for a second, when the ring has just changed.
 */
export const STRANGERS_PER_SECOND = 200;
export const STRANGERS_BURST = 5_000;
/**
 * Of what servers send to hosts: to one, to those of one network, and to all; each costs an event, a copy and TLS, and one of more than 16 KiB as several.
 * Beyond it nothing goes on; and who has that much again beyond is flooded, too: not even the dropping is for nothing.
 */
export const TO_HOST_PER_SECOND = 5_000;
export const TO_HOST_BURST = 10_000;
export const TO_NETWORK_PER_SECOND = 2 * TO_HOST_PER_SECOND;
export const TO_ALL_PER_SECOND = 40_000;
export const TO_HOST_UNIT_BYTES = 16 * 1024;
/** Other ports for one host. When these are used up its WebSocket is closed. */
export const PORTS_PER_SECOND = 1 / 60;
export const PORTS_BURST = 4;
/** On their way to one host. More would only make them late. */
export const MAX_WAITING_BYTES = 256 * 1024;
/** Servers that were named to one host. */
export const MAX_NAMED_SERVERS = 64;
/** Nonces of one host's requests, and as many of its packets that asked for CACHE: more than all control that may go at once. */
export const MAX_NONCES = 256;
