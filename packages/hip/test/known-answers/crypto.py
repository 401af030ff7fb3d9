#!/usr/bin/env python3
"""
Known answers for packages/hip/src/crypto, from a second implementation: run `python3 crypto.py > crypto.json` here.

Nothing but Python's standard library, whose hashlib and hmac are the only things shared with node (both may be OpenSSL). Curves and
AES are written out below from their standards, and the MODP primes come from the formula of RFC 3526 and the digits of pi.
Published vectors are asserted, so that the program checks itself:
RFC 5869 appendix A (HKDF), RFC 5903 section 8 (ECDH), FIPS 197 appendix C (AES), NIST SP 800-38A F.2 (CBC).
"""
import hashlib
import hmac
import json


def seeded(label, length):
    """Bytes that look random and are the same on every run."""
    return hashlib.shake_256(b"i3 hip known answers " + label.encode()).digest(length)


# HKDF, RFC 5869

def hkdf(rhash, secret, salt, info, length):
    prk = hmac.new(salt, secret, rhash).digest()
    block, out, counter = b"", b"", 0
    while len(out) < length:
        counter += 1
        block = hmac.new(prk, block + info + bytes([counter]), rhash).digest()
        out += block
    return out[:length]


RFC5869 = [
    {
        "name": "RFC 5869 A.1", "secret": "0b" * 22, "salt": "000102030405060708090a0b0c", "info": "f0f1f2f3f4f5f6f7f8f9",
        "output": "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    },
    {
        "name": "RFC 5869 A.2", "secret": bytes(range(0x50)).hex(), "salt": bytes(range(0x60, 0xB0)).hex(), "info": bytes(range(0xB0, 0x100)).hex(),
        "output": "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
                  "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
    },
    {
        "name": "RFC 5869 A.3", "secret": "0b" * 22, "salt": "", "info": "",
        "output": "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    },
]
for row in RFC5869:
    parts = [bytes.fromhex(row[part]) for part in ("secret", "salt", "info")]
    assert hkdf("sha256", *parts, len(row["output"]) // 2).hex() == row["output"], row["name"]


# KEYMAT, RFC 7401 section 6.5, and the ESP keys of RFC 7402 section 7

HIP_CIPHER_KEY_BYTES = {1: 0, 2: 16, 4: 32}
# Per suite: encryption key, salt, authentication key.
ESP_KEY_BYTES = {7: (0, 0, 32), 8: (16, 0, 32), 9: (32, 0, 32), 13: (16, 4, 0)}


def keymat_row(name, rhash, cipher, suite, own, peer, kij_bytes):
    length = hashlib.new(rhash).digest_size
    kij, i, j = seeded(name + " kij", kij_bytes), seeded(name + " i", length), seeded(name + " j", length)
    smaller, greater = sorted([own, peer])
    stream = hkdf(rhash, kij, i + j, smaller + greater, 255 * length)
    at = 0

    def take(count):
        nonlocal at
        at += count
        return stream[at - count:at].hex()

    def hip():
        return {"encryption": take(HIP_CIPHER_KEY_BYTES[cipher]), "integrity": take(length)}

    def esp():
        encryption, salt, authentication = ESP_KEY_BYTES[suite]
        return {"key": take(encryption), "salt": take(salt), "integrityKey": take(authentication)}

    hip_keys = [hip(), hip()]
    esp_index = at
    esp_keys = [esp(), esp()]
    mine = 0 if own == greater else 1
    return {
        "name": name, "rhash": rhash, "cipher": cipher, "suite": suite, "ownHit": own.hex(), "peerHit": peer.hex(),
        "kij": kij.hex(), "i": i.hex(), "j": j.hex(), "begin": stream[:200].hex(), "end": stream[-200:].hex(), "size": len(stream),
        "hip": {"out": hip_keys[mine], "in": hip_keys[1 - mine]},
        "espIndex": esp_index, "esp": {"out": esp_keys[mine], "in": esp_keys[1 - mine]}, "endIndex": at,
    }


HIT_LOW = bytes.fromhex("20010022") + seeded("hit low", 12)
HIT_HIGH = bytes.fromhex("20010022") + bytes([0xFE]) + seeded("hit high", 11)
# Smaller as numbers, greater where bytes are taken as signed.
HIT_SIGNED = bytes.fromhex("20010022") + bytes([0x7F]) + seeded("hit signed", 11)
KEYMAT = [
    keymat_row("SHA-256, AES-128-CBC, GCM, own HIT smaller", "sha256", 2, 13, HIT_LOW, HIT_HIGH, 32),
    keymat_row("SHA-256, AES-256-CBC, suite 8, own HIT greater", "sha256", 4, 8, HIT_HIGH, HIT_LOW, 32),
    keymat_row("SHA-384, AES-256-CBC, suite 9, own HIT greater", "sha384", 4, 9, HIT_HIGH, HIT_SIGNED, 48),
    keymat_row("SHA-384, NULL, suite 7, own HIT smaller", "sha384", 1, 7, HIT_SIGNED, HIT_HIGH, 66),
    keymat_row("SHA-384, AES-128-CBC, GCM, Kij of a MODP group", "sha384", 2, 13, HIT_LOW, HIT_SIGNED, 384),
]


# Puzzle, RFC 7401 section 4.1.2

def puzzle_row(rhash, difficulty, label):
    length = hashlib.new(rhash).digest_size
    i, start = seeded(label + " I", length), seeded(label + " start", length)
    hit_i, hit_r = seeded(label + " HIT-I", 16), seeded(label + " HIT-R", 16)
    tries, number = 0, int.from_bytes(start, "big")
    while True:
        j = ((number + tries) % (1 << (8 * length))).to_bytes(length, "big")
        tries += 1
        value = int.from_bytes(hashlib.new(rhash, i + hit_i + hit_r + j).digest(), "big")
        if value % (1 << difficulty) == 0:
            break
    exact = (value & -value).bit_length() - 1
    return {"rhash": rhash, "difficulty": difficulty, "i": i.hex(), "hitI": hit_i.hex(), "hitR": hit_r.hex(), "start": start.hex(),
            "j": j.hex(), "tries": tries, "zeroBits": exact}


PUZZLE = [puzzle_row(rhash, k, f"puzzle {rhash} {k}") for rhash in ("sha256", "sha384") for k in (0, 1, 7, 8, 9, 12, 16)]


# Curves, SEC 2, and the exchange of RFC 5903

class Curve:
    def __init__(self, p, b, gx, gy, order):
        self.p, self.b, self.g, self.order = p, b, (gx, gy), order
        self.size = (p.bit_length() + 7) // 8
        assert self.holds(self.g) and self.times(order, self.g) is None

    def holds(self, point):
        x, y = point
        return (y * y - x * x * x + 3 * x - self.b) % self.p == 0

    def add(self, a, b):
        if a is None or b is None:
            return a or b
        if a[0] == b[0]:
            if (a[1] + b[1]) % self.p == 0:
                return None
            slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, self.p)
        else:
            slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, self.p)
        x = (slope * slope - a[0] - b[0]) % self.p
        return x, (slope * (a[0] - x) - a[1]) % self.p

    def times(self, scalar, point):
        out = None
        for bit in bin(scalar)[2:]:
            out = self.add(out, out)
            if bit == "1":
                out = self.add(out, point)
        return out

    def encode(self, point):
        return b"".join(part.to_bytes(self.size, "big") for part in point)


P256 = Curve(
    2**256 - 2**224 + 2**192 + 2**96 - 1, 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296, 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551)
P384 = Curve(
    2**384 - 2**128 - 2**96 + 2**32 - 1, 0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
    0xAA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B9859F741E082542A385502F25DBF55296C3A545E3872760AB7,
    0x3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147CE9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F,
    0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973)
P521 = Curve(
    2**521 - 1,
    0x0051953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652C0BD3BB1BF073573DF883D2C34F1EF451FD46B503F00,
    0x00C6858E06B70404E9CD9E3ECB662395B4429C648139053FB521F828AF606B4D3DBAA14B5E77EFE75928FE1DC127A2FFA8DE3348B3C1856A429BF97E7E31C2E5BD66,
    0x011839296A789A3BC0045C8A5FB42C7D1BD998F54449579B446817AFBD17273E662C97EE72995EF42640C550B9013FAD0761353C7086A272C24088BE94769FD16650,
    int("01" + "F" * 65 + "A51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409", 16))

# RFC 5903 section 8: the private keys of both sides and the shared x.
RFC5903 = [
    (7, P256, "C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433", "C6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53",
     "D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE"),
    (8, P384, "099F3C7034D4A2C699884D73A375A67F7624EF7C6B3C0F160647B67414DCE655E35B538041E649EE3FAEF896783AB194",
     "41CB0779B4BDB85D47846725FBEC3C9430FAB46CC8DC5060855CC9BDA0AA2942E0308312916B8ED2960E4BD55A7448FC",
     "11187331C279962D93D604243FD592CB9D0A926F422E47187521287E7156C5C4D603135569B9E9D09CF5D4A270F59746"),
    (9, P521,
     "0037ADE9319A89F4DABDB3EF411AACCCA5123C61ACAB57B5393DCE47608172A095AA85A30FE1C2952C6771D937BA9777F5957B2639BAB072462F68C27A57382D4A52",
     "0145BA99A847AF43793FDD0E872E7CDFA16BE30FDC780F97BCCC3F078380201E9C677D600B343757A3BDBF2A3163E4C2F869CCA7458AA4A4EFFC311F5CB151685EB9",
     "01144C7D79AE6956BC8EDB8E7C787C4521CB086FA64407F97894E5E6B2D79B04D1427E73CA4BAA240A34786859810C06B3C715A3A8CC3151F2BEE417996D19F3DDEA"),
]


def ec_row(name, group, curve, private, peer_private):
    own, peer = (curve.times(int.from_bytes(key, "big"), curve.g) for key in (private, peer_private))
    shared = curve.times(int.from_bytes(private, "big"), peer)
    assert shared == curve.times(int.from_bytes(peer_private, "big"), own)
    return {"name": name, "group": group, "random": private.hex(), "public": curve.encode(own).hex(), "peer": curve.encode(peer).hex(),
            "secret": shared[0].to_bytes(curve.size, "big").hex()}


DH = []
for number, (group, curve, private, peer, shared) in enumerate(RFC5903, 1):
    row = ec_row(f"RFC 5903 8.{number}", group, curve, bytes.fromhex(private), bytes.fromhex(peer))
    assert row["secret"] == shared.lower(), row["name"]
    DH.append(row)


def with_leading_zero(make):
    """The first row of a numbered series whose secret begins with a zero byte: one in 256."""
    number = 0
    while True:
        row = make(number)
        if row["secret"].startswith("00"):
            return row
        number += 1


DH.append(with_leading_zero(lambda n: ec_row("P-256, secret with a leading zero", 7, P256, seeded(f"zero {n}", 32), seeded("zero peer", 32))))


# MODP groups, RFC 3526

def pi_times_power_of_two(bits):
    """floor(2^bits * pi), by Machin's formula."""
    guard = 64
    one = 1 << (bits + guard)

    def arctan_of_inverse(x):
        term = total = one // x
        n = 1
        while term:
            term = -(term // (x * x)) if term > 0 else (-term) // (x * x)
            n += 2
            total += term // n if term > 0 else -((-term) // n)
        return total

    return (16 * arctan_of_inverse(5) - 4 * arctan_of_inverse(239)) >> guard


def rfc3526_prime(bits, constant):
    prime = 2**bits - 2**(bits - 64) - 1 + 2**64 * (pi_times_power_of_two(bits - 130) + constant)
    for candidate in (prime, (prime - 1) // 2):
        assert pow(3, candidate - 1, candidate) == 1, "not a safe prime"
    return prime


MODP = {3: (rfc3526_prime(1536, 741804), 32), 11: (rfc3526_prime(2048, 124476), 40), 4: (rfc3526_prime(3072, 1690314), 56)}


def modp_row(name, group, label):
    prime, exponent_bytes = MODP[group]
    size = prime.bit_length() // 8
    random, peer_private = seeded(label + " own", exponent_bytes), int.from_bytes(seeded(label + " peer", exponent_bytes), "big")
    # The package sets the first bit of what the random source yields.
    private = int.from_bytes(random, "big") | 1 << (8 * exponent_bytes - 1)
    peer = pow(2, peer_private, prime)
    return {"name": name, "group": group, "random": random.hex(), "public": pow(2, private, prime).to_bytes(size, "big").hex(),
            "peer": peer.to_bytes(size, "big").hex(), "secret": pow(peer, private, prime).to_bytes(size, "big").hex()}


for group in MODP:
    DH.append(modp_row(f"MODP group {group}", group, f"modp {group}"))
DH.append(with_leading_zero(lambda n: modp_row("MODP group 3, secret with a leading zero", 3, f"modp zero {n}")))


def public_with_leading_zero():
    number = 0
    while True:
        row = modp_row("MODP group 3, public value with a leading zero", 3, f"modp public zero {number}")
        if row["public"].startswith("00"):
            return row
        number += 1


DH.append(public_with_leading_zero())


# AES, FIPS 197: encryption only, byte by byte

def make_sbox():
    box, p, q = [0] * 256, 1, 1
    while True:
        p = (p ^ (p << 1) ^ (0x11B if p & 0x80 else 0)) & 0xFF
        q ^= q << 1
        q ^= q << 2
        q ^= q << 4
        q &= 0xFF
        if q & 0x80:
            q ^= 0x09
        rotated = [((q << s) | (q >> (8 - s))) & 0xFF for s in range(5)]
        box[p] = rotated[0] ^ rotated[1] ^ rotated[2] ^ rotated[3] ^ rotated[4] ^ 0x63
        if p == 1:
            box[0] = 0x63
            return box


SBOX = make_sbox()


def double(byte):
    return ((byte << 1) ^ (0x1B if byte & 0x80 else 0)) & 0xFF


def aes_encrypt(key, block):
    words = [key[at:at + 4] for at in range(0, len(key), 4)]
    count, rounds, rcon = len(words), len(words) + 6, 1
    for at in range(count, 4 * (rounds + 1)):
        word = words[at - 1]
        if at % count == 0:
            word = bytes(SBOX[b] for b in word[1:] + word[:1])
            word = bytes([word[0] ^ rcon]) + word[1:]
            rcon = double(rcon)
        elif count > 6 and at % count == 4:
            word = bytes(SBOX[b] for b in word)
        words.append(bytes(a ^ b for a, b in zip(word, words[at - count])))
    round_keys = [b"".join(words[4 * at:4 * at + 4]) for at in range(rounds + 1)]
    state = bytes(a ^ b for a, b in zip(block, round_keys[0]))
    for at in range(1, rounds + 1):
        state = bytes(SBOX[state[(i + 4 * (i % 4)) % 16]] for i in range(16))
        if at < rounds:
            mixed = b""
            for column in (state[c:c + 4] for c in range(0, 16, 4)):
                total = column[0] ^ column[1] ^ column[2] ^ column[3]
                mixed += bytes(column[i] ^ total ^ double(column[i] ^ column[(i + 1) % 4]) for i in range(4))
            state = mixed
        state = bytes(a ^ b for a, b in zip(state, round_keys[at]))
    return state


PLAIN_197 = bytes.fromhex("00112233445566778899aabbccddeeff")
assert aes_encrypt(bytes(range(16)), PLAIN_197).hex() == "69c4e0d86a7b0430d8cdb78070b4c55a"
assert aes_encrypt(bytes(range(32)), PLAIN_197).hex() == "8ea2b7ca516745bfeafc49904b496089"


def cbc_encrypt(key, iv, plain):
    out, last = b"", iv
    for at in range(0, len(plain), 16):
        last = aes_encrypt(key, bytes(a ^ b for a, b in zip(plain[at:at + 16], last)))
        out += last
    return out


assert cbc_encrypt(bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"), bytes(range(16)),
                   bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")).hex() == "7649abac8119b246cee98e9b12e9197d"


# ENCRYPTED, RFC 7401 section 5.2.18

def cipher_row(cipher, length):
    label = f"cipher {cipher} {length}"
    plain, key = seeded(label + " plain", length), seeded(label + " key", HIP_CIPHER_KEY_BYTES[cipher])
    if cipher == 1:
        return {"cipher": cipher, "key": "", "iv": "", "parameters": plain.hex(), "data": plain.hex()}
    iv, missing = seeded(label + " iv", 16), 16 - length % 16
    return {"cipher": cipher, "key": key.hex(), "iv": iv.hex(), "parameters": plain.hex(),
            "data": cbc_encrypt(key, iv, plain + bytes([missing]) * missing).hex()}


def bad_cipher_row(why, cipher, plain):
    """A ciphertext with padding that `plain` already has, right or wrong."""
    key, iv = seeded(why + " key", HIP_CIPHER_KEY_BYTES[cipher]), seeded(why + " iv", 16)
    return {"why": why, "cipher": cipher, "key": key.hex(), "iv": iv.hex(), "data": cbc_encrypt(key, iv, plain).hex()}


CIPHER = [cipher_row(cipher, length) for cipher in (1, 2, 4) for length in (8, 16, 24, 32, 200, 648)]
BAD_CIPHER = [
    bad_cipher_row("padding of zero", 2, seeded("bad", 15) + b"\0"),
    bad_cipher_row("padding longer than a block", 2, seeded("bad", 15) + b"\x11"),
    bad_cipher_row("padding of unequal bytes", 4, seeded("bad", 8) + b"\x08" * 6 + b"\x07\x08"),
    bad_cipher_row("no whole parameter inside", 2, seeded("bad", 9) + b"\x07" * 7),
    bad_cipher_row("nothing inside", 4, b"\x10" * 16),
]


# HIP_MAC, RFC 7401 section 5.2.12

MAC = []
for rhash in ("sha256", "sha384"):
    size = hashlib.new(rhash).digest_size
    for length in (0, 40, 1000):
        key, covered = seeded(f"mac {rhash} key", size), seeded(f"mac {rhash} {length}", length)
        MAC.append({"rhash": rhash, "key": key.hex(), "covered": covered.hex(), "mac": hmac.new(key, covered, rhash).hexdigest()})

print(json.dumps({
    "origin": "crypto.py beside this file, with Python's standard library only",
    "hkdf": RFC5869, "keymat": KEYMAT, "puzzle": PUZZLE, "dh": DH,
    "modp": {str(group): prime.to_bytes(prime.bit_length() // 8, "big").hex() for group, (prime, _) in MODP.items()},
    "cipher": CIPHER, "badCipher": BAD_CIPHER, "mac": MAC,
}, indent=1))
