/** What a client hears when its request is not passed on (RFC 9110 §15): a short text, and the end of the connection. */
export type RefusalStatus = 400 | 404 | 421 | 431 | 502 | 504;

const TEXTS: Readonly<Record<RefusalStatus, readonly [reason: string, text: string]>> = {
  400: ["Bad Request", "This request cannot be passed on."],
  404: ["Not Found", "Nothing is published under this name."],
  421: ["Misdirected Request", "This connection is for another name."],
  431: ["Request Header Fields Too Large", "The head of this request is too long."],
  502: ["Bad Gateway", "The host of this name cannot be reached."],
  504: ["Gateway Timeout", "The host of this name does not answer."],
};

export interface Answer {
  readonly reason: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

export function answerOf(status: RefusalStatus): Answer {
  const [reason, text] = TEXTS[status];
  const body = `${text}\n`;
  return { reason, body, headers: { "Content-Type": "text/plain; charset=utf-8", "Content-Length": String(body.length), "Cache-Control": "no-store", Connection: "close" } };
}

/** The whole answer, for a connection of which no request could be read. */
export function rawAnswer(status: RefusalStatus): string {
  const { reason, body, headers } = answerOf(status);
  return [`HTTP/1.1 ${status} ${reason}`, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`), "", body].join("\r\n");
}
