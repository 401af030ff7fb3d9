/** What a TUN device and a UDP socket are opened with, and the errors for people when that, or netfilter, fails. */
import { I3Error } from "@i3/common";

export interface TunOptions {
  /** At most 15 characters; empty or with `%d`: the kernel chooses. */
  readonly name: string;
  /** Bytes, 1,280–16,384. */
  readonly mtu: number;
}

export interface UdpPortOptions {
  /** IPv4 or IPv6. `::` is both families, and falls back to 0.0.0.0 on a machine without IPv6. */
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  /** SO_MARK, 0 for none. */
  readonly mark: number;
}

/** `code` of a system error, or "". */
const systemCode = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";

const NO_TUN_REMEDY =
  "Creating one needs CAP_NET_ADMIN and a /dev/net/tun that this user may open (mode 0666): run as root or with that capability, " +
  'or use a user and network namespace, as "npm run demo" does.';

export function tunError(name: string, cause: unknown): I3Error {
  const shown = name === "" ? "a TUN device" : `the TUN device ${name}`;
  switch (systemCode(cause)) {
    case "EBUSY":
      return new I3Error("ERR_I3_TUN_BUSY", `${shown} is used by another process`, {
        cause,
        remedy: "Stop the other proxy, or choose another TUN name in the configuration.",
      });
    case "EINVAL":
      return new I3Error("ERR_I3_TUN_BUSY", `${shown} cannot be made: the name is not valid, or an interface of another kind has it`, {
        cause,
        remedy: "Choose another TUN name in the configuration.",
      });
    case "ENOENT":
    case "ENODEV":
    case "ENXIO":
      return new I3Error("ERR_I3_NO_TUN", `${shown} cannot be made: this system has no /dev/net/tun`, {
        cause,
        remedy: 'As root: "modprobe tun"; in a container, pass the device /dev/net/tun in.',
      });
    default:
      return new I3Error("ERR_I3_NO_TUN", `${shown} cannot be made`, { cause, remedy: NO_TUN_REMEDY });
  }
}

/** The error for a UDP socket that cannot be bound: ERR_I3_PORT_IN_USE or ERR_I3_NO_UDP. */
export function udpError(address: string, port: number, cause: unknown): I3Error {
  switch (systemCode(cause)) {
    case "EADDRINUSE":
      return new I3Error("ERR_I3_PORT_IN_USE", `UDP port ${port} is in use`, {
        cause,
        remedy: `Stop the program that has it ("ss -ulpn sport = :${port}" names it), or choose another port in the configuration.`,
      });
    case "EADDRNOTAVAIL":
      return new I3Error("ERR_I3_NO_UDP", `${address} is not an address of this machine`, {
        cause,
        remedy: 'Use an address that "ip address" shows, or :: for all.',
      });
    case "EACCES":
    case "EPERM":
      return new I3Error("ERR_I3_NO_UDP", `UDP port ${port} may not be opened by this user`, {
        cause,
        remedy: "Marked sockets need CAP_NET_ADMIN, ports below 1024 CAP_NET_BIND_SERVICE: run as root or grant the capability.",
      });
    default:
      return new I3Error("ERR_I3_NO_UDP", `the UDP socket for ${address} port ${port} cannot be opened`, { cause });
  }
}

/** The error for raw sockets that cannot be opened. */
export function ipError(cause: unknown): I3Error {
  const isRight = ["EPERM", "EACCES"].includes(systemCode(cause));
  return new I3Error("ERR_I3_NO_RAW", `IP protocols 139 and 50 ${isRight ? "may not be opened by this user" : "cannot be opened"}`, {
    cause,
    remedy: 'They need CAP_NET_RAW: run as root or grant the capability, or leave ip-protocol="true" out of <hip>.',
  });
}

/** The error for a group of NFLOG that cannot be opened. */
export function nflogError(group: number, cause: unknown): I3Error {
  if (systemCode(cause) !== "EBUSY") return netfilterError(`group ${group} of NFLOG`, cause);
  return new I3Error("ERR_I3_NFLOG_BUSY", `group ${group} of NFLOG is used by another process`, {
    cause,
    remedy: "Stop the program that has it (/proc/net/netfilter/nfnetlink_log lists groups with the port id of each), or choose another group.",
  });
}

/** The error for what netfilter refuses: `what` cannot be used. */
export function netfilterError(what: string, cause: unknown): I3Error {
  const isRight = ["EPERM", "EACCES"].includes(systemCode(cause));
  return new I3Error("ERR_I3_NO_NETFILTER", `${what} ${isRight ? "may not be used by this user" : "cannot be used"}`, {
    cause,
    remedy: isRight ? "It needs CAP_NET_ADMIN: run as root or grant the capability." : 'The kernel needs nfnetlink_log and nf_conntrack_netlink: as root, "modprobe nfnetlink_log nf_conntrack_netlink".',
  });
}

/** The machine has no IPv6 at all, so that `::` has to become 0.0.0.0. */
export const lacksIpv6 = (error: unknown): boolean => ["EAFNOSUPPORT", "EPROTONOSUPPORT", "EADDRNOTAVAIL"].includes(systemCode(error));
