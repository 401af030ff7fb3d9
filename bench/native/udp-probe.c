/*
 * Sends numbers at even intervals and notes which come from the other end, and when the kernel had them.
 *
 *     udp-probe PORT PEER INTERVAL_US FILE
 *
 * PEER: an IPv6 address, or an IPv4 one as ::ffff:a.b.c.d; both ends have the same PORT. Prints READY when it listens and SENDING with its first number;
 * both begin with the first line on standard input. SIGUSR1 ends the numbers; on SIGTERM it writes FILE and ends: for each packet that came, little-endian, its number (8) and, in
 * microseconds since 1970, when it was sent (8) and when it came (8). A number that the system refuses to send counts as sent.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PAYLOAD_BYTES = 200, RECORDS_MAX = 1 << 20, BURST_MAX = 20, BUFFER_BYTES = 1 << 20 };

struct record {
  uint64_t number, sent_us, came_us;
};

static struct record records[RECORDS_MAX];
static volatile sig_atomic_t is_silent, is_over;

static void on_signal(int signal) {
  is_silent = 1;
  if (signal == SIGTERM) is_over = 1;
}

static void fail(const char *what) {
  fprintf(stderr, "udp-probe: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t us_of(struct timespec t) { return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000; }

static uint64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return us_of(t);
}

static int open_socket(uint16_t port) {
  int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0), on = 1, off = 0, bytes = BUFFER_BYTES;
  if (fd < 0) fail("socket");
  setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_ANY_INIT};
  if (bind(fd, (struct sockaddr *)&any, sizeof any) != 0) fail("bind");
  return fd;
}

/* False when there is nothing more. */
static int take(int fd, uint32_t *count) {
  unsigned char bytes[PAYLOAD_BYTES], control[CMSG_SPACE(sizeof(struct timespec))];
  struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t length = recvmsg(fd, &message, 0);
  if (length < 0) return errno == EINTR || errno == ECONNREFUSED || errno == EHOSTUNREACH || errno == ENETUNREACH;
  if (length != PAYLOAD_BYTES || *count == RECORDS_MAX) return 1;
  struct record *record = &records[(*count)++];
  memcpy(&record->number, bytes, 8);
  memcpy(&record->sent_us, bytes + 8, 8);
  record->came_us = now_us();
  for (struct cmsghdr *each = CMSG_FIRSTHDR(&message); each != NULL; each = CMSG_NXTHDR(&message, each)) {
    struct timespec stamp;
    if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_TIMESTAMPNS) continue;
    memcpy(&stamp, CMSG_DATA(each), sizeof stamp);
    record->came_us = us_of(stamp);
  }
  return 1;
}

int main(int argc, char **argv) {
  if (argc != 5) return fprintf(stderr, "usage: udp-probe PORT PEER INTERVAL_US FILE\n"), 2;
  uint16_t port = (uint16_t)atoi(argv[1]);
  uint64_t interval_us = strtoull(argv[3], NULL, 10), number = 0;
  uint32_t count = 0;
  struct sockaddr_in6 peer = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  if (inet_pton(AF_INET6, argv[2], &peer.sin6_addr) != 1 || interval_us == 0) return fprintf(stderr, "udp-probe: PEER, INTERVAL_US\n"), 2;
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGUSR1, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  int fd = open_socket(port);
  printf("READY\n");
  fflush(stdout);
  char line[16];
  if (fgets(line, sizeof line, stdin) == NULL) return 1;
  printf("SENDING\n");
  fflush(stdout);
  for (uint64_t start_us = now_us(); !is_over;) {
    uint64_t now = now_us();
    /* Those that are due, for we come late on a busy machine, but no more at once than queues take. */
    for (int burst = 0; !is_silent && burst < BURST_MAX && start_us + number * interval_us <= now; burst++, number++) {
      unsigned char bytes[PAYLOAD_BYTES] = {0};
      uint64_t sent_us = now_us();
      memcpy(bytes, &number, 8);
      memcpy(bytes + 8, &sent_us, 8);
      if (sendto(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&peer, sizeof peer) < 0 && errno == EINTR) break;
    }
    now = now_us();
    uint64_t next_us = start_us + number * interval_us, wait_us = is_silent ? interval_us : next_us > now ? next_us - now : 0;
    struct timespec wait = {.tv_sec = (time_t)(wait_us / 1000000), .tv_nsec = (long)(wait_us % 1000000) * 1000};
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    if (ppoll(&readable, 1, &wait, NULL) > 0)
      while (take(fd, &count)) continue;
  }
  FILE *file = fopen(argv[4], "wb");
  if (file == NULL || fwrite(records, sizeof *records, count, file) != count || fclose(file) != 0) fail(argv[4]);
  printf("SENT %llu\n", (unsigned long long)number);
  return 0;
}
