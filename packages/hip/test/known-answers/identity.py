#!/usr/bin/env python3
"""Known answers for packages/hip/src/identity, from Python alone (hashlib) and the openssl command: writes identity.json.

HOST_ID "Host Identity" and HIT by RFC 7401 s. 3.2, 5.2.9, 5.2.10, RFC 3110 s. 2 and RFC 7343 s. 2. ECDSA is computed here from
RFC 6090, with the nonce of RFC 6979; the RSA signatures (RSASSA-PSS, RFC 3447 s. 8.1) with a salt of our own choice.
The EC keys are those of RFC 6979 A.2.5 and A.2.6; the RSA keys are made by `openssl genpkey` once and then kept in the JSON
(run with --new-rsa for others).
"""
import hashlib, hmac, json, os, re, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "identity.json")
CONTEXT = bytes.fromhex("F0EFF02FBFF43D0FE7930C3C6E6174EA")
MESSAGE = b"HIP packet up to its signature"

CURVES = {
    "ecdsa-p256": dict(
        number=1, size=32, hash="sha256",
        p=2**256 - 2**224 + 2**192 + 2**96 - 1,
        n=0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
        gx=0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
        gy=0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
        d=0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721),
    "ecdsa-p384": dict(
        number=2, size=48, hash="sha384",
        p=2**384 - 2**128 - 2**96 + 2**32 - 1,
        n=0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
        gx=0xAA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B9859F741E082542A385502F25DBF55296C3A545E3872760AB7,
        gy=0x3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147CE9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F,
        d=0x6B9D3DAD2E1B8C1C05B19875B6659F4DE23C3B667BF297BA9AA47740787137D896D5724E4C70A825F872C9EA60D2EDF5),
}


def add(c, a, b):
    if a is None: return b
    if b is None: return a
    p = c["p"]
    if a[0] == b[0]:
        if (a[1] + b[1]) % p == 0: return None
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, p)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, p)
    x = (slope * slope - a[0] - b[0]) % p
    return x, (slope * (a[0] - x) - a[1]) % p


def times(c, k, point):
    total = None
    while k:
        if k & 1: total = add(c, total, point)
        point = add(c, point, point)
        k >>= 1
    return total


def nonce(c, hash_name, digest):
    """RFC 6979 s. 3.2."""
    size, n = c["size"], c["n"]
    z = int.from_bytes(digest, "big") >> max(0, 8 * len(digest) - n.bit_length())
    seed = c["d"].to_bytes(size, "big") + (z % n).to_bytes(size, "big")
    mac = lambda key, data: hmac.new(key, data, hash_name).digest()
    v, k = b"\1" * len(digest), b"\0" * len(digest)
    for mark in (b"\0", b"\1"):
        k = mac(k, v + mark + seed)
        v = mac(k, v)
    while True:
        t = b""
        while len(t) < size:
            v = mac(k, v)
            t += v
        value = int.from_bytes(t[:size], "big")
        if 1 <= value < n: return value
        k = mac(k, v + b"\0")
        v = mac(k, v)


def ecdsa(c, hash_name, message):
    n = c["n"]
    digest = hashlib.new(hash_name, message).digest()
    z = int.from_bytes(digest, "big") >> max(0, 8 * len(digest) - n.bit_length())
    k = nonce(c, hash_name, digest)
    r = times(c, k, (c["gx"], c["gy"]))[0] % n
    s = pow(k, -1, n) * (z + r * c["d"]) % n
    return r.to_bytes(c["size"], "big") + s.to_bytes(c["size"], "big")


def mgf1(seed, length):
    return b"".join(hashlib.sha256(seed + i.to_bytes(4, "big")).digest() for i in range(length // 32 + 1))[:length]


def pss(n, d, message, salt):
    """RFC 3447 s. 9.1.1 and 8.1.1, SHA-256."""
    bits = n.bit_length() - 1
    length = (bits + 7) // 8
    h = hashlib.sha256(b"\0" * 8 + hashlib.sha256(message).digest() + salt).digest()
    db = b"\0" * (length - len(salt) - 34) + b"\1" + salt
    masked = bytearray(x ^ y for x, y in zip(db, mgf1(h, len(db))))
    masked[0] &= 0xFF >> (8 * length - bits)
    em = bytes(masked) + h + b"\xbc"
    return pow(int.from_bytes(em, "big"), d, n).to_bytes((n.bit_length() + 7) // 8, "big")


def hit(suite, hi):
    digest = hashlib.new({1: "sha256", 2: "sha384"}[suite], CONTEXT + hi).digest()
    middle = (int.from_bytes(digest, "big") >> ((8 * len(digest) - 96) // 2)) & (2**96 - 1)
    return ((0x2001002 << 100) | (suite << 96) | middle).to_bytes(16, "big")


def public_id(own_hit):
    """docs/wire.md s. 2."""
    return hashlib.sha256(b"i3/1 public\0" + len(own_hit).to_bytes(2, "big") + own_hit).digest()


def rsa_parts(pem):
    text = subprocess.run(["openssl", "pkey", "-text", "-noout"], input=pem, capture_output=True, text=True, check=True).stdout
    field = lambda name: int(re.sub(r"[\s:]", "", re.search(name + r":\n((?:\s+[0-9a-f:]+\n)+)", text)[1]), 16)
    return field("modulus"), int(re.search(r"publicExponent: (\d+)", text)[1]), field("privateExponent")


def row(algorithm, number, suite, hi, public_key, pem, hip, i3):
    own_hit = hit(suite, hi)
    return dict(algorithm=algorithm, number=number, suite=suite, hi=hi.hex(), publicKey=public_key.hex(), hit=own_hit.hex(),
                publicId=public_id(own_hit).hex(), message=MESSAGE.hex(), hipSignature=hip.hex(), i3Signature=i3.hex(), pem=pem)


def ec_pem(c, oid, point):
    """RFC 5915 in PKCS #8, through openssl's own writer."""
    size = c["size"]
    inner = b"\x02\x01\x01" + bytes([4, size]) + c["d"].to_bytes(size, "big") + b"\xa0" + bytes([len(oid)]) + oid
    bits = b"\x03" + bytes([2 + 2 * size]) + b"\0\4" + point
    inner += b"\xa1" + (bytes([len(bits)]) if len(bits) < 128 else b"\x81" + bytes([len(bits)])) + bits
    der = b"\x30" + (bytes([len(inner)]) if len(inner) < 128 else b"\x81" + bytes([len(inner)])) + inner
    run = subprocess.run(["openssl", "pkcs8", "-topk8", "-nocrypt", "-inform", "DER"], input=der, capture_output=True, check=True)
    return run.stdout.decode()


rows = []
OIDS = {"ecdsa-p256": bytes.fromhex("06082a8648ce3d030107"), "ecdsa-p384": bytes.fromhex("06052b81040022")}
for name, c in CURVES.items():
    x, y = times(c, c["d"], (c["gx"], c["gy"]))
    point = x.to_bytes(c["size"], "big") + y.to_bytes(c["size"], "big")
    rows.append(row(name, 7, 2, c["number"].to_bytes(2, "big") + point, point, ec_pem(c, OIDS[name], point),
                    ecdsa(c, "sha384", MESSAGE), ecdsa(c, c["hash"], MESSAGE)))
old = json.load(open(OUT))["rows"] if os.path.exists(OUT) and "--new-rsa" not in sys.argv else []
pems = [r["pem"] for r in old if r["algorithm"] == "rsa"] or [
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}", "-pkeyopt", f"rsa_keygen_pubexp:{e}"],
                   capture_output=True, text=True, check=True).stdout for bits, e in ((2048, 65537), (2052, 3), (4096, 65537))]
for pem in pems:
    n, e, d = rsa_parts(pem)
    e_bytes = e.to_bytes((e.bit_length() + 7) // 8, "big")
    hi = bytes([len(e_bytes)]) + e_bytes + n.to_bytes((n.bit_length() + 7) // 8, "big")
    signature = pss(n, d, MESSAGE, bytes(range(32)))
    rows.append(row("rsa", 5, 1, hi, hi, pem, signature, signature))
json.dump({"rows": rows}, open(OUT, "w"), indent=1)
open(OUT, "a").write("\n")
