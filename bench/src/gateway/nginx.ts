/** Debian's nginx as a server of small answers: one process without a master, so that its processor time is one number. */
import type { Child, Host } from "@i3/netns";

const BODY = "hello, this is a plain server\n";
const READY_TRIES = "10";

export interface NginxOptions {
  readonly port: number;
  /** Certificate and key; without them it is HTTP in clear. */
  readonly tls?: { readonly certificate: string; readonly key: string };
}

export async function startNginx(host: Host, { port, tls }: NginxOptions): Promise<Child> {
  const secure = tls === undefined ? "" : `ssl_certificate ${tls.certificate}; ssl_certificate_key ${tls.key}; ssl_protocols TLSv1.2 TLSv1.3;`;
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${host.directory}/${name};`).join(" ");
  const config = await host.writeFile("nginx.conf", `daemon off; master_process off; pid ${host.directory}/nginx.pid; error_log stderr warn;
events { worker_connections 4096; multi_accept on; }
http {
  access_log off; keepalive_requests 100000000; ${temporary}
  server {
    listen [::]:${port}${tls === undefined ? "" : " ssl"} ipv6only=off backlog=4096; ${secure}
    location / { default_type text/plain; return 200 "${BODY.trimEnd()}\\n"; }
  }
}
`);
  const child = host.spawn("nginx", ["-e", "stderr", "-c", config]);
  const url = `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}/`;
  const { stdout } = await host.exec("curl", ["-sk", "--retry", READY_TRIES, "--retry-delay", "1", "--retry-connrefused", url]);
  if (stdout === BODY) return child;
  throw new Error(`nginx does not answer:\n${child.tail()}`);
}
