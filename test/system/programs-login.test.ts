/** ssh, scp and SMB between two machines behind two kinds of NAT. */
import { rm } from "node:fs/promises";

import { beforeAll, describe, expect, test } from "vitest";

import { succeed } from "../demo/src/checks.js";
import { startSshd, type Ssh } from "../demo/src/sshd.js";
import { NAMES, output, programsBed, randomFile, sha256OfFile } from "./programs-bed.js";
import { startSamba } from "./samba-bed.js";

const bedOf = programsBed();

describe("ssh", () => {
  let ssh: Ssh;
  beforeAll(async () => {
    const { laptop, home } = bedOf();
    ssh = await startSshd(home.host, laptop.host);
  });

  test.each(["-4", "-6"])("%s runs a command at home, which sees the laptop's own virtual address", async (family) => {
    const { laptop, home } = bedOf();
    const [from, , to, port] = (await output(laptop.host, "ssh", [...ssh.options, family, NAMES.home, "echo $SSH_CONNECTION"])).split(" ").filter((_, i) => i !== 4);
    expect([from, to, port]).toEqual(family === "-4" ? [laptop.address4, home.address4, "22"] : [laptop.hit, home.hit, "22"]);
  });

  test("by the HIT in place of a name", async () => {
    const { laptop, home } = bedOf();
    expect(await output(laptop.host, "ssh", [...ssh.options, home.hit, "echo $((6 * 7))"])).toBe("42");
  });

  test("the exit status of the command comes back, and its input goes there", async () => {
    const { laptop } = bedOf();
    expect(await laptop.host.exec("ssh", [...ssh.options, NAMES.home, "tr a-z A-Z; exit 7"], { input: "hello\n" })).toMatchObject({ status: 7, stdout: "HELLO\n" });
  });

  test("an interactive session on a terminal", async () => {
    const { laptop } = bedOf();
    const session = laptop.host.spawn("ssh", ["-tt", ...ssh.options, NAMES.home, "sh"], { env: { TERM: "dumb" } });
    const type = (text: string): boolean => session.stdin.write(text);
    // What the terminal echoes differs from what is answered.
    type('stty size -echo && tty && echo "ready $((1 + 1))"\n');
    await session.waitForLine(/^\/dev\/pts\/\d+/);
    await session.waitForLine(/^ready 2/);
    for (const n of [10, 20, 30]) {
      type(`echo "the answer is $((${n} + 1))"\n`);
      await session.waitForLine(new RegExp(`the answer is ${n + 1}`));
    }
    // Ctrl-C ends the program, not the session.
    type("echo begin; sleep 100\n");
    await session.waitForLine(/^.*begin/);
    type("\u0003");
    type('echo "interrupted $?"\n');
    await session.waitForLine(/interrupted 130/);
    type("exit 3\n");
    expect((await session.ended).status).toBe(3);
  });

  test.each(["-4", "-6"])("scp %s takes 5 MB there and back", async (family) => {
    const { laptop, home } = bedOf();
    const { path, sha256 } = await randomFile(laptop.host, "photo.bin", 5);
    const [there, back] = [`${home.host.directory}/photo-copy.bin`, `${laptop.host.directory}/photo-back.bin`];
    await succeed(laptop.host, "scp", ["-q", ...ssh.options, family, path, `${NAMES.home}:${there}`]);
    expect(await sha256OfFile(there)).toBe(sha256);
    await succeed(laptop.host, "scp", ["-q", ...ssh.options, family, `${NAMES.home}:${there}`, back]);
    expect(await sha256OfFile(back)).toBe(sha256);
    await Promise.all([path, there, back].map((file) => rm(file)));
  });
});

describe("SMB", () => {
  test("smbclient lists a share, puts 5 MB and gets them back", async () => {
    const { laptop, home } = bedOf();
    const share = await startSamba(home.host);
    const { path, sha256 } = await randomFile(laptop.host, "film.bin", 5);
    const back = `${laptop.host.directory}/film-back.bin`;
    const smbclient = async (commands: string): Promise<string> =>
      output(laptop.host, "smbclient", ["--no-pass", `--configfile=${share.clientConfig}`, `//${NAMES.home}/share`, "-c", commands]);
    await smbclient(`put ${path} film.bin`);
    expect(await sha256OfFile(`${share.directory}/film.bin`)).toBe(sha256);
    expect(await smbclient("ls")).toMatch(/film\.bin +\S+ +5000000/);
    await smbclient(`get film.bin ${back}`);
    expect(await sha256OfFile(back)).toBe(sha256);
    await Promise.all([path, back].map((file) => rm(file)));
  });
});
