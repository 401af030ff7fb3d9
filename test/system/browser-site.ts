/** A site of 200 files on two hosts, which looks by itself whether a browser has got all of them, and Debian's nginx that serves it. */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { crc32, deflateSync } from "node:zlib";

import type { Host } from "@i3/netns";

import { succeed } from "../demo/src/checks.js";

export const FILES = { styles: 16, scripts: 40, images: 135, fonts: 8 } as const;
const FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf";
const PIXELS = 48;

/** What the page says of itself: how many of each kind are there and in use, and of how many the browser says that they came whole. */
export interface Loaded {
  readonly styles: number;
  readonly scripts: number;
  readonly images: number;
  readonly fonts: number;
  readonly answered: number;
  /** Of their protocols, as the browser calls them. */
  readonly protocols: readonly string[];
}

export interface SiteOptions {
  /** "https://www.example.org": the first host has the page and every other file, the second what is left. */
  readonly origins: readonly [string, string];
  readonly which: 0 | 1;
  readonly tls: { readonly certificate: string; readonly key: string } | null;
  readonly port: number;
}

/** One of both hosts. */
export async function serveSite(host: Host, { origins, which, tls, port }: SiteOptions): Promise<void> {
  const root = `${host.directory}/site-${port}`;
  await mkdir(root, { recursive: true });
  const write = async (kind: keyof typeof FILES, make: (i: number) => string | Buffer): Promise<void> => {
    for (const [i, path] of paths(kind).entries()) if (i % 2 === which) await writeFile(`${root}/${path}`, make(i));
  };
  const font = await readFile(FONT);
  await writeFile(`${root}/index.html`, which === 0 ? page(origins) : "");
  await write("styles", (i) => `.style-${i} { width: ${i + 1}px } /* ${randomBytes(4_000).toString("hex")} */`);
  await write("scripts", (i) => `ran.add(${i}); // ${randomBytes(8_000).toString("hex")}`);
  await write("images", noise);
  await write("fonts", () => font);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${host.directory}/${name};`).join(" ");
  const secure = tls === null ? "" : `ssl_certificate ${tls.certificate}; ssl_certificate_key ${tls.key};`;
  const config = await host.writeFile(`nginx-${port}.conf`, `daemon off; master_process off; pid ${host.directory}/nginx-${port}.pid; error_log stderr warn;
events {}
http {
  access_log off; ${temporary}
  types { text/html html; text/css css; text/javascript js; image/png png; font/ttf ttf; }
  server {
    listen [::]:${port}${tls === null ? "" : " ssl http2"} ipv6only=off; ${secure} root ${root};
    # Without both a page is not told how its requests to the other host went.
    add_header Access-Control-Allow-Origin *; add_header Timing-Allow-Origin *;
  }
}
`);
  host.spawn("nginx", ["-e", "stderr", "-c", config]);
  await succeed(host, "curl", ["-sSkf", "--retry", "10", "--retry-delay", "1", "--retry-connrefused", "-o", "/dev/null", `${tls === null ? "http" : "https"}://127.0.0.1:${port}/`]);
}

/** A certificate of an authority of this run. @returns files of the authority's and of the server's, which has `names` */
export async function makeSiteCertificate(host: Host, names: readonly string[]): Promise<{ readonly authority: string; readonly certificate: string; readonly key: string }> {
  const file = (name: string): string => `${host.directory}/${name}`;
  const [authority, authorityKey, key, request, certificate] = [file("ca.crt"), file("ca.key"), file("site.key"), file("site.csr"), file("site.crt")];
  const fresh = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  await succeed(host, "openssl", ["req", "-x509", ...fresh, "-days", "2", "-subj", `/CN=test authority of ${host.name}`, "-addext", "keyUsage=critical,keyCertSign", "-keyout", authorityKey, "-out", authority]);
  await succeed(host, "openssl", ["req", ...fresh, "-subj", `/CN=${names[0] ?? ""}`, "-addext", `subjectAltName=${names.map((name) => `DNS:${name}`).join(",")}`, "-keyout", key, "-out", request]);
  await succeed(host, "openssl", ["x509", "-req", "-in", request, "-CA", authority, "-CAkey", authorityKey, "-CAcreateserial", "-days", "2", "-copy_extensions", "copy", "-out", certificate]);
  return { authority, certificate, key };
}

const ENDINGS = { styles: "css", scripts: "js", images: "png", fonts: "ttf" } as const;
const paths = (kind: keyof typeof FILES): readonly string[] => Array.from({ length: FILES[kind] }, (_, i) => `${kind}-${i}.${ENDINGS[kind]}`);

/** A picture that cannot be decoded unless every byte is right. */
function noise(): Buffer {
  const chunk = (type: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const header = Buffer.from([0, 0, 0, PIXELS, 0, 0, 0, PIXELS, 8, 2, 0, 0, 0]);
  const rows = Array.from({ length: PIXELS }, () => Buffer.concat([Buffer.of(0), randomBytes(3 * PIXELS)]));
  return Buffer.concat([Buffer.from("89504e470d0a1a0a", "hex"), chunk("IHDR", header), chunk("IDAT", deflateSync(Buffer.concat(rows))), chunk("IEND", Buffer.alloc(0))]);
}

function page(origins: readonly [string, string]): string {
  const urls = (kind: keyof typeof FILES): readonly string[] => paths(kind).map((path, i) => `${origins[i % 2] ?? ""}/${path}`);
  return `<!DOCTYPE html><html><head><meta charset="utf-8"><title>site</title>
<script>const ran = new Set();</script>
<style>${urls("fonts").map((url, i) => `@font-face { font-family: "face-${i}"; src: url("${url}"); } .face-${i} { font-family: "face-${i}"; }`).join("\n")}</style>
${urls("styles").map((url) => `<link rel="stylesheet" crossorigin href="${url}">`).join("\n")}
</head><body>
${paths("styles").map((_, i) => `<div class="style-${i}"></div>`).join("")}${paths("fonts").map((_, i) => `<p class="face-${i}">text</p>`).join("")}
${urls("images").map((url) => `<img crossorigin src="${url}">`).join("\n")}
${urls("scripts").map((url) => `<script crossorigin src="${url}"></script>`).join("\n")}
<script>addEventListener("load", async () => {
  await document.fonts.ready;
  const entries = performance.getEntriesByType("resource").filter(({ name, responseStatus, decodedBodySize }) => !name.endsWith(".ico") && responseStatus === 200 && decodedBodySize > 0);
  console.log("LOADED " + JSON.stringify({
    styles: [...document.querySelectorAll("div")].filter((div, i) => getComputedStyle(div).width === (i + 1) + "px").length, scripts: ran.size,
    images: [...document.images].filter(({ naturalWidth }) => naturalWidth === ${PIXELS}).length, fonts: [...document.fonts].filter(({ status }) => status === "loaded").length,
    answered: entries.length, protocols: [...new Set(entries.map(({ nextHopProtocol }) => nextHopProtocol))],
  }));
});</script></body></html>
`;
}
