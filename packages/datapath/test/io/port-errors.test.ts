import { expect, it } from "vitest";
import { lacksIpv6, tunError } from "../../src/io/port-errors.js";

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

it("knows a machine without IPv6 by its error", () => {
  expect(["EAFNOSUPPORT", "EADDRNOTAVAIL", "EACCES"].map((code) => lacksIpv6(systemError(code)))).toEqual([true, true, false]);
});
