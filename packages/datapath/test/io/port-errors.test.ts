import { expect, it } from "vitest";
import { lacksIpv6, netfilterError, nflogError, tunError } from "../../src/io/port-errors.js";

const systemError = (code: string): Error => Object.assign(new Error(code), { code });

it.each([
  ["EPERM", "ERR_I3_NO_TUN", "CAP_NET_ADMIN"],
  ["EACCES", "ERR_I3_NO_TUN", "0666"],
  ["ENOENT", "ERR_I3_NO_TUN", "modprobe tun"],
  ["EBUSY", "ERR_I3_TUN_BUSY", "another TUN name"],
  ["EINVAL", "ERR_I3_TUN_BUSY", "another TUN name"],
])("explains %s of the TUN", (code, ours, remedy) => {
  const cause = systemError(code);
  expect(tunError("i3x", cause)).toMatchObject({ code: ours, cause, remedy: expect.stringContaining(remedy) });
});

it.each([
  ["EBUSY", "ERR_I3_NFLOG_BUSY", "another group"],
  ["EPERM", "ERR_I3_NO_NETFILTER", "CAP_NET_ADMIN"],
  ["EINVAL", "ERR_I3_NO_NETFILTER", "modprobe"],
])("explains %s of a group of NFLOG", (code, ours, remedy) => {
  const cause = systemError(code);
  expect(nflogError(5, cause)).toMatchObject({ code: ours, cause, message: expect.stringContaining("group 5 of NFLOG"), remedy: expect.stringContaining(remedy) });
});

it("explains conntrack that may not be used", () => {
  expect(netfilterError("conntrack", systemError("EPERM"))).toMatchObject({ code: "ERR_I3_NO_NETFILTER", message: "conntrack may not be used by this user" });
});

it("knows a machine without IPv6 by its error", () => {
  expect(["EAFNOSUPPORT", "EADDRNOTAVAIL", "EACCES"].map((code) => lacksIpv6(systemError(code)))).toEqual([true, true, false]);
});
