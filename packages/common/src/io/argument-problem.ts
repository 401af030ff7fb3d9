/** Command lines: what node:util makes of them, in words for people. */

/** `--days -1` is a value that is too small, not an option `-1`: such a pair becomes `--days=-1`. */
export function joinNegativeValues(args: readonly string[]): string[] {
  const joined: string[] = [];
  for (const arg of args) {
    const before = joined.at(-1) ?? "";
    if (/^-[0-9]/.test(arg) && /^--[^=]+$/.test(before)) joined[joined.length - 1] = `${before}=${arg}`;
    else joined.push(arg);
  }
  return joined;
}

/** @param error what parseArgs of node:util has thrown */
export function argumentProblem(error: unknown): string {
  const { code = "", message = String(error) } = error as { readonly code?: string; readonly message?: string };
  const quoted = /'([^']*)'/.exec(message)?.[1] ?? "";
  const option = /--?[^ ,]+/.exec(quoted.split(", ").at(-1) ?? "")?.[0] ?? quoted;
  if (code === "ERR_PARSE_ARGS_UNKNOWN_OPTION") return `${option} is no option here`;
  if (code === "ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL") return `"${quoted}" is no option`;
  if (code === "ERR_PARSE_ARGS_INVALID_OPTION_VALUE") return message.includes("does not take") ? `${option} takes no value` : `${option} needs a value`;
  return message.split("\n")[0] ?? "";
}
