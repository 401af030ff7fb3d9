/** Programs reach servers of an office through a gateway, by name: none of them knows of it (issue 7, line 1). */
import { rm } from "node:fs/promises";

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { succeed } from "../demo/src/checks.js";
import { startSshd } from "../demo/src/sshd.js";
import { digShort, fetchText, gatewayBed, startWeb, writeStaff, type GatewayBed } from "./gateway-bed.js";
import { eventually } from "./pair-bed.js";
import { randomFile, sha256OfFile, startFtpServer } from "./programs-bed.js";

const LIST = `<gateway out="eth1 eth0">
  <allow group="staff" names="narrow\\.corp\\.example" networks="192.168.5.0/24" protocol="tcp" ports="80"/><refuse names="narrow\\..*"/>
  <allow group="staff" names=".*\\.corp\\.example" networks="192.168.5.0/24 fd00:5::/64 internet"/><helper protocol="ftp"/><helper protocol="tftp"/><helper protocol="sip"/></gateway>`;
const [CALLER_VOICE, CALLEE_VOICE] = [6_000, 7_000] as const;
/** To where the caller wants to be spoken to, as the callee was told. */
const SPEAK = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.3)
for _ in range(8):
    s.sendto(b"hello" * 30, ("192.168.5.1", int(sys.argv[1])))
    try:
        if s.recv(2000) == b"hello" * 30:
            print("heard")
            break
    except OSError:
        pass
`;
let bed: GatewayBed;
beforeAll(async () => {
  bed = await gatewayBed({ gateway: LIST });
});
afterEach(async ({ task }) => {
  if (task.result?.state === "fail") console.log(`${bed.laptop.child?.tail(20) ?? ""}\n${bed.gate.child?.tail(20) ?? ""}\n${await bed.topology.diagnose()}`);
});
afterAll(() => bed?.topology.close());

describe("a server of the office", () => {
  it("answers over IPv4 and IPv6, and sees the gateway", async () => {
    expect(await fetchText(bed.laptop.host, "http://wiki.corp.example/", "-4")).toBe("hello 192.168.5.1, this is wiki.corp.example");
    expect(await fetchText(bed.laptop.host, "http://six.corp.example/", "-6")).toBe("hello fd00:5::1, this is six.corp.example");
    expect(await fetchText(bed.laptop.host, "http://web.corp.example/")).toBe("hello 198.51.100.14, this is web.corp.example");
  });

  it("answers pings, and its errors come to the program", async () => {
    expect((await bed.laptop.host.exec("ping", ["-c", "2", "-i", "0.2", "-W", "2", "wiki.corp.example"])).stdout).toContain(" 0% packet loss");
    expect((await bed.laptop.host.exec("ping", ["-6", "-c", "1", "-W", "2", "six.corp.example"])).stdout).toContain(" 0% packet loss");
    const refused = await bed.laptop.host.exec("curl", ["-sS", "--max-time", "5", "http://four.corp.example:81/"]);
    expect(refused.stderr).toMatch(/refused|Failed to connect/);
    const gone = await bed.laptop.host.exec("dig", ["+tries=1", "+timeout=5", "-p", "54", `@${await digShort(bed.laptop.host, "four.corp.example")}`, "x"]);
    expect(gone.stdout + gone.stderr).toMatch(/connection refused/);
  });

  it("sends much at once: its trains come into the TUN whole", async () => {
    const server = bed.wiki.spawn("iperf3", ["-s", "-1", "--forceflush"]);
    await server.waitForLine(/Server listening/);
    const sent = async (what: "bytes" | "packets"): Promise<number> => Number((await succeed(bed.gate.host, "cat", [`/sys/class/net/i3/statistics/tx_${what}`])).stdout);
    const before = [await sent("bytes"), await sent("packets")] as const;
    await succeed(bed.laptop.host, "iperf3", ["-c", "four.corp.example", "-R", "-n", "50M"]);
    // Cut, no packet is longer than the TUN's 1,360 bytes.
    expect(((await sent("bytes")) - before[0]) / ((await sent("packets")) - before[1])).toBeGreaterThan(8_000);
    await server.ended;
  });

  it("has a name: reverse DNS answers it", async () => {
    expect(await digShort(bed.laptop.host, "-x", await digShort(bed.laptop.host, "four.corp.example"))).toBe("four.corp.example.");
  });

  it.each([["passive", ["--disable-epsv"]], ["passive, extended", []], ["active", ["--ftp-port", "-", "--disable-eprt"]], ["active, extended", ["--ftp-port", "-"]]])("takes files by ftp, %s", async (_, mode) => {
    ftpRoot = ftpRoot === "" ? await startFtpServer(bed.wiki) : ftpRoot;
    const host = bed.laptop.host;
    const { path, sha256 } = await randomFile(host, "out.bin", 4);
    const back = `${host.directory}/back.bin`;
    await succeed(host, "curl", ["-sS", "--max-time", "30", ...mode, "-T", path, "ftp://four.corp.example/in.bin"]);
    expect(await sha256OfFile(`${ftpRoot}/in.bin`)).toBe(sha256);
    await succeed(host, "curl", ["-sS", "--max-time", "30", ...mode, "-o", back, "ftp://four.corp.example/in.bin"]);
    expect(await sha256OfFile(back)).toBe(sha256);
    await Promise.all([path, back, `${ftpRoot}/in.bin`].map((file) => rm(file)));
  });

  it("takes and gives a hundred megabytes whole", async () => {
    ftpRoot = ftpRoot === "" ? await startFtpServer(bed.wiki) : ftpRoot;
    const host = bed.laptop.host;
    const { path, sha256 } = await randomFile(host, "large.bin", 100);
    const back = `${host.directory}/large-back.bin`;
    await succeed(host, "curl", ["-sS", "--max-time", "90", "-T", path, "ftp://four.corp.example/large.bin"], 100_000);
    expect(await sha256OfFile(`${ftpRoot}/large.bin`)).toBe(sha256);
    await succeed(host, "curl", ["-sS", "--max-time", "90", "-o", back, "ftp://four.corp.example/large.bin"], 100_000);
    expect(await sha256OfFile(back)).toBe(sha256);
    await Promise.all([path, back, `${ftpRoot}/large.bin`].map((file) => rm(file)));
  }, 240_000);

  it("is reached at the ports that the list names, and at no other, and the log says so of whom", async () => {
    const name = "narrow.corp.example";
    await startWeb(bed.dns);
    expect(await fetchText(bed.laptop.host, `http://${name}/`)).toContain("192.168.5.1");
    // unbound listens there.
    expect((await bed.dns.exec("nc", ["-z", "-w", "2", "127.0.0.1", "53"])).status).toBe(0);
    expect((await bed.laptop.host.exec("nc", ["-z", "-v", "-w", "5", name, "53"])).stderr).toContain("refused");
    expect((await bed.laptop.host.exec("ping", ["-c", "1", "-W", "2", name])).status).not.toBe(0);
    const line = (event: string, port: number): RegExp => new RegExp(`"event":"${event}","client":"laptop\\.i3","hit":"${bed.laptop.hit}","server":"192\\.168\\.5\\.11","protocol":"tcp","port":${port}`);
    for (const one of [line("flow-allowed", 80), line("flow-refused", 53)]) expect(await bed.gate.child?.waitForLine(one, 10_000)).toBeDefined();
  });

  it("is found while another name's server is silent", async () => {
    const silent = bed.laptop.host.exec("dig", ["+tries=1", "+timeout=10", "silent.corp.example"]);
    let isOver = false;
    void silent.finally(() => (isOver = true));
    // A name that nobody has asked for.
    expect(await digShort(bed.laptop.host, "text.corp.example", "TXT")).toBe('"plain words"');
    expect(await digShort(bed.laptop.host, "web.corp.example")).toMatch(/^10\./);
    expect(isOver, "the other one still waits").toBe(false);
    expect((await silent).stdout).toMatch(/SERVFAIL|timed out/);
  });

  it("takes files by tftp, whose server answers from another port", async () => {
    const { path, sha256 } = await randomFile(bed.wiki, "tftp.bin", 1);
    const options = ["--no-daemon", "--port=0", "--conf-file=/dev/null", "--user=root", "--log-facility=-", "--enable-tftp", `--tftp-root=${bed.wiki.directory}`];
    const server = bed.wiki.spawn("dnsmasq", options);
    await server.waitForLine(/TFTP root is/);
    const back = `${bed.laptop.host.directory}/tftp-back.bin`;
    await succeed(bed.laptop.host, "curl", ["-sS", "--max-time", "30", "-o", back, "tftp://four.corp.example/tftp.bin"]);
    expect(await sha256OfFile(back)).toBe(sha256);
    await server.stop();
    await Promise.all([path, back].map((file) => rm(file)));
  });

  it("is called by SIP, and its voice comes back to the caller", async () => {
    const [caller, callee] = [bed.laptop.host, bed.wiki];
    const address = await digShort(caller, "four.corp.example");
    const answering = callee.spawn("sipp", ["-sn", "uas", "-i", callee.address4, "-mi", callee.address4, "-mp", String(CALLEE_VOICE), "-nostdin", "-m", "1", "-trace_msg", "-message_file", `${callee.directory}/sip.log`]);
    await eventually("the callee listens", 10_000, async () => ((await callee.exec("ss", ["-Huln", "sport", "=", ":5060"])).stdout === "" ? undefined : true));
    // For four seconds; what it hears it says again.
    const calling = succeed(caller, "sipp", ["-sn", "uac", `${address}:5060`, "-i", bed.laptop.address4, "-mi", bed.laptop.address4, "-mp", String(CALLER_VOICE), "-rtp_echo", "-nostdin", "-m", "1", "-d", "4000"]);
    const invite = await eventually("the callee is invited", 10_000, async () => /INVITE [^]*?\nm=audio (\d+) /.exec((await callee.exec("cat", [`${callee.directory}/sip.log`])).stdout) ?? undefined);
    // A call's id is only that.
    expect(invite[0].replace(/^Call-ID: .*$/m, ""), "of the caller's virtual address nothing").not.toContain(bed.laptop.address4);
    expect(invite[0]).toMatch(/\nc=IN IP4 192\.168\.5\.1\r?\n/);
    expect((await succeed(callee, "python3", ["-c", SPEAK, invite[1] ?? ""])).stdout.trim()).toBe("heard");
    await Promise.all([calling, answering.ended]);
    expect(await answering.ended).toMatchObject({ status: 0 });
  });

  it("is reached only as the list says", async () => {
    await fetchText(bed.guest.host, "http://wiki.corp.example/").then(() => expect.unreachable(), (error: Error) => expect(error.message).toMatch(/Could not resolve|resolve host/));
  });
});
let ftpRoot = "";

describe("when somebody clears all tables of the gateway's nftables", () => {
  it("nothing passes until its own is back, and connections live through it", async () => {
    const host = bed.gate.host;
    // It answers, and says something by itself all the time, to which the gateway's own system would say that it knows of no connection.
    const server = bed.wiki.spawn(process.execPath, ["-e", 'require("node:net").createServer((s) => setInterval(() => s.write("tick\\n"), 100) && s.on("data", (d) => s.write(`heard ${d}`)).on("error", () => console.log("ended"))).listen(4000, () => console.log("listening"))']);
    await server.waitForLine(/^listening$/);
    const client = bed.laptop.host.spawn("nc", ["four.corp.example", "4000"]);
    client.stdin.write("one\n");
    await client.waitForLine(/^heard one$/, 20_000);
    const programs = (await succeed(host, "pgrep", ["-P", String(bed.gate.child?.pid), "nft"])).stdout.trim().split("\n");
    const dropped = async (): Promise<number> => Number(/counter packets (\d+)/.exec((await succeed(host, "nft", ["list", "chain", "inet", "i3_closed_i3", "judged"])).stdout)?.[1]);
    // Whoever would make it anew waits.
    await succeed(host, "kill", ["-STOP", ...programs]);
    await succeed(host, "nft", ["flush", "ruleset"]);
    client.stdin.write("two\n");
    await eventually("what the client sends is dropped", 20_000, async () => ((await dropped()) > 0 ? true : undefined));
    expect((await bed.laptop.host.exec("curl", ["-sS", "--max-time", "2", "http://wiki.corp.example/"])).status).not.toBe(0);
    await succeed(host, "kill", ["-CONT", ...programs]);
    await client.waitForLine(/^heard two$/, 30_000);
    await eventually("the table is there", 20_000, async () => ((await host.exec("nft", ["list", "chain", "inet", "i3_gateway_i3", "lead"])).status === 0 ? true : undefined));
    expect(await fetchText(bed.laptop.host, "http://wiki.corp.example/", "-4")).toContain("hello 192.168.5.1");
    expect([client.running, server.tail(5)]).toEqual([true, expect.not.stringContaining("ended")]);
    for (const child of [client, server]) child.kill("SIGKILL");
  }, 120_000);
});

describe("an ssh session to a server", () => {
  it("goes on over a restart of the gateway and of the laptop's proxy, a kill of each, and ends within a second when it is not allowed any more", async () => {
    const ssh = await startSshd(bed.wiki, bed.laptop.host);
    const session = bed.laptop.host.spawn("ssh", ["-tt", ...ssh.options, "-4", "four.corp.example", "sh"]);
    let count = 0;
    const typed = async (limitMs: number): Promise<void> => {
      count += 1;
      session.stdin.write(`echo answer-$((1000 + ${count}))\n`);
      await session.waitForLine(new RegExp(`answer-${1000 + count}`), limitMs);
    };
    await typed(20_000);
    await bed.gate.stop();
    await bed.gate.start();
    await typed(20_000);
    await bed.gate.kill();
    await bed.gate.start();
    await typed(20_000);
    await bed.laptop.stop();
    await bed.laptop.start();
    await typed(20_000);
    await bed.laptop.kill();
    await bed.laptop.start();
    await typed(20_000);
    await writeStaff(bed.gate, { "guest.i3": bed.guest });
    const startMs = performance.now();
    await eventually("the session ends", 5_000, async () => {
      session.stdin.write("echo more\n");
      return session.running ? undefined : true;
    });
    const tookMs = performance.now() - startMs;
    console.log(`ended ${Math.round(tookMs)} ms after the list was saved`);
    expect(tookMs).toBeLessThan(1_000);
    await eventually("the guest may", 5_000, async () => (await bed.guest.host.exec("curl", ["-sS", "--max-time", "2", "http://wiki.corp.example/"])).status === 0 ? true : undefined);
  }, 180_000);
});
