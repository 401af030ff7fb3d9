/** SO_MARK of everything we send, so that it never enters our own TUN or DNS redirect, nor the way to a gateway: "i3". */
export const OWN_MARK = 0x6933;
