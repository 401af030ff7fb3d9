"""
ESP by scapy (Debian 12: python3-scapy 2.5), for scapy.ts: a request as JSON on standard input, the answers in the order of its packets on
standard output. Byte strings are hex, sequence numbers decimal text; packets are whole IP packets.

    {"task": "seal", "spi", "transform", "packets": [{"packet", "sequence", "tunnel": [source, destination] or null, "iv": hex or null}]}   -> ["ESP", ...]
    {"task": "open", "spi", "transform", "packets": [{"packet", "sequence", "tunnel": true or false}]}   -> ["what was inside", or null when the ICV is wrong, ...]

Without a tunnel the IP header stays (transport mode): that is BEET when its addresses are those of the packet inside.
"""
import json
import struct
import sys

from scapy.compat import raw
from scapy.config import conf
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AUTH_ALGOS, ESP, AuthAlgo, IPSecIntegrityError, SecurityAssociation


class HighHalf:
    """A MAC that ends with the half of the sequence number that is not sent (RFC 4303 section 2.2.1). scapy leaves it out when integrity is an algorithm of its own."""

    def __init__(self, mac, high):
        self.mac = mac
        self.high = high
        self.update = mac.update

    def finalize(self):
        self.mac.update(self.high)
        return self.mac.finalize()


class WithHighHalf(AuthAlgo):
    def __init__(self, algorithm, high):
        super().__init__(algorithm.name, algorithm.mac, algorithm.digestmod, algorithm.icv_size, algorithm.key_size)
        self.high = high

    def new_mac(self, key):
        return HighHalf(super().new_mac(key), self.high)


def ip_packet(data):
    return (IP if data[0] >> 4 == 4 else IPv6)(data)


def association(request, sequence, tunnel_header):
    transform = {name: bytes.fromhex(value) if name != "kind" else value for name, value in request["transform"].items()}
    high, low = sequence >> 32, sequence & 0xFFFFFFFF
    common = {"spi": request["spi"], "seq_num": low, "tunnel_header": tunnel_header}
    if transform["kind"] == "aes-gcm-16":
        return SecurityAssociation(ESP, crypt_algo="AES-GCM", crypt_key=transform["key"] + transform["salt"], esn_en=True, esn=high, **common)
    cipher = {"crypt_algo": "AES-CBC", "crypt_key": transform["key"]} if transform["kind"] == "aes-cbc-hmac-sha-256" else {"crypt_algo": "NULL"}
    made = SecurityAssociation(ESP, auth_algo="SHA2-256-128", auth_key=transform["integrityKey"], **cipher, **common)
    made.auth_algo = WithHighHalf(AUTH_ALGOS["SHA2-256-128"], struct.pack("!L", high))
    return made


def seal(request, entry):
    tunnel = entry["tunnel"]
    header = None if tunnel is None else (IP if "." in tunnel[0] else IPv6)(src=tunnel[0], dst=tunnel[1])
    iv = None if entry["iv"] is None else bytes.fromhex(entry["iv"])
    sealed = association(request, int(entry["sequence"]), header).encrypt(ip_packet(bytes.fromhex(entry["packet"])), iv=iv)
    return raw(sealed[ESP]).hex()


def open_(request, entry):
    # Which header it is does not matter to scapy here: only whether there is one.
    header = IP() if entry["tunnel"] else None
    try:
        return raw(association(request, int(entry["sequence"]), header).decrypt(ip_packet(bytes.fromhex(entry["packet"])))).hex()
    except IPSecIntegrityError:
        return None


def main():
    if not conf.crypto_valid:
        sys.exit("scapy has no cryptography: python3-cryptography is missing")
    request = json.load(sys.stdin)
    task = {"seal": seal, "open": open_}[request["task"]]
    json.dump([task(request, entry) for entry in request["packets"]], sys.stdout)


main()
