/** A run of requests counts only when all of them were answered. */
import { describe, expect, it } from "vitest";

import { readWrk } from "../src/gateway/load.js";

const SAID = (more = ""): string => `Running 5s test @ http://10.1.2.3/
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    15.74ms   20.66ms 148.19ms   86.73%
    Req/Sec   664.09    692.89     2.93k    87.23%
  3289 requests in 5.13s, 555.66KB read
${more}Requests/sec:    641.07
Transfer/sec:    108.31KB
`;

describe("what wrk says", () => {
  it("is answers, and answers a second", () => {
    expect(readWrk(SAID())).toEqual({ answers: 3_289, perSecond: 641.07 });
  });

  it.each(["  Socket errors: connect 0, read 3, write 0, timeout 0\n", "  Non-2xx or 3xx responses: 17\n"])("is no result with %s", (line) => {
    expect(() => readWrk(SAID(line))).toThrow(line.trim());
  });

  it("is no result when nothing was answered", () => {
    expect(() => readWrk("  0 requests in 5.00s, 0.00B read\nRequests/sec:      0.00\n")).toThrow(/no answer/);
    expect(() => readWrk("unable to connect")).toThrow(/no answer/);
  });
});
