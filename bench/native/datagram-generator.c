/*
 * Sends i3 datagrams of 64 bytes as fast as one core can, each for a trigger drawn at random.
 *
 *     datagram-generator ADDRESS PORT TRIGGERS SECONDS trains|single
 *
 * A datagram is a data header of one id (docs/wire.md §3: 16 + 32 bytes) and 16 bytes of payload. Word w of trigger i's id is
 * mix(8 i + w), as in src/tunnel/trigger-ids.ts. `trains`: 64 datagrams in one send with UDP_SEGMENT, as a host's engine sends
 * them; `single`: each by itself. Both with sendmmsg. Prints the number of datagrams sent.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { DATAGRAM_BYTES = 64, ID_OFFSET = 16, ID_WORDS = 8, BATCH = 64, TRAIN = 64, TRAINS = 8 };

static const unsigned char HEADER[ID_OFFSET] = {0x11, 0, 16, 64, 1, 5, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};

static _Alignas(64) unsigned char datagrams[TRAINS * TRAIN][DATAGRAM_BYTES];
static uint64_t state = 0x9e3779b97f4a7c15;

static void fail(const char *what) {
  fprintf(stderr, "datagram-generator: %s: %s\n", what, strerror(errno));
  exit(1);
}

/* xorshift64*: the numbers need not be good, only spread over all triggers. */
static uint32_t below(uint32_t limit) {
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return (uint32_t)(((state * 0x2545f4914f6cdd1d) >> 32) * limit >> 32);
}

/* The finalizer of MurmurHash3: one to one, so that no two ids are the same. */
static uint32_t mix(uint32_t h) {
  h = (h ^ h >> 16) * 0x85ebca6b;
  h = (h ^ h >> 13) * 0xc2b2ae35;
  return h ^ h >> 16;
}

static void aim(unsigned char *datagram, uint32_t trigger) {
  uint32_t words[ID_WORDS];
  for (uint32_t w = 0; w < ID_WORDS; w++) words[w] = mix(ID_WORDS * trigger + w);
  memcpy(datagram + ID_OFFSET, words, sizeof words);
}

static double now_s(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc != 6) {
    fprintf(stderr, "usage: datagram-generator ADDRESS PORT TRIGGERS SECONDS trains|single\n");
    return 2;
  }
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
  const uint32_t triggers = (uint32_t)strtoul(argv[3], NULL, 10);
  const double seconds = atof(argv[4]);
  const int trains = strcmp(argv[5], "trains") == 0;
  if (inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) fail(argv[1]);
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) fail("socket");
  if (trains) {
    const int segment = DATAGRAM_BYTES;
    if (setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment) != 0) fail("UDP_SEGMENT");
  }

  const int per_message = trains ? TRAIN : 1;
  const int messages = trains ? TRAINS : BATCH;
  static struct iovec parts[BATCH];
  static struct mmsghdr batch[BATCH];
  for (int i = 0; i < TRAINS * TRAIN; i++) memcpy(datagrams[i], HEADER, sizeof HEADER);
  for (int m = 0; m < messages; m++) {
    parts[m] = (struct iovec){.iov_base = datagrams[m * per_message], .iov_len = (size_t)(per_message * DATAGRAM_BYTES)};
    batch[m].msg_hdr = (struct msghdr){.msg_iov = &parts[m], .msg_iovlen = 1};
  }

  unsigned long long sent = 0;
  const double end_s = now_s() + seconds;
  while (now_s() < end_s) {
    for (int i = 0; i < messages * per_message; i++) aim(datagrams[i], below(triggers));
    const int count = sendmmsg(fd, batch, (unsigned)messages, 0);
    /* The server is not there yet or any more (an ICMP error), or there is no room: neither is ours to judge. */
    if (count < 0 && errno != ECONNREFUSED && errno != ENOBUFS && errno != EAGAIN) fail("sendmmsg");
    if (count > 0) sent += (unsigned long long)count * (unsigned long long)per_message;
  }
  printf("%llu\n", sent);
  return 0;
}
