/** DNS names as this system compares them. */

/** RFC 1035 §2.3.4, as text without the trailing dot. */
export const MAX_NAME_CHARACTERS = 253;

const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;

/** Lower case, without trailing dot, or undefined when it is no DNS name (host names and `_service` labels; Unicode names as `xn--…`). */
export function normalName(text: string): string | undefined {
  const name = text.toLowerCase().replace(/\.$/, "");
  if (name.length > MAX_NAME_CHARACTERS) return undefined;
  return name.split(".").every((label) => LABEL.test(label)) ? name : undefined;
}
