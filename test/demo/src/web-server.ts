/** The demo's web server: says who it thinks is calling. `node web-server.js PORT` */
import { createServer } from "node:http";

const port = Number(process.argv[2] ?? "80");
createServer((request, response) => {
  response.setHeader("content-type", "text/plain");
  response.end(`hello ${(request.socket.remoteAddress ?? "").replace("::ffff:", "")}, this is ${request.headers.host ?? "nobody"}\n`);
}).listen(port, "::", () => process.stdout.write("serving\n"));
