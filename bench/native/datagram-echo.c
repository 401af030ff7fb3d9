/*
 * The baseline of forwarding: a plain recvfrom and sendto for each datagram, back to where it came from.
 *
 *     datagram-echo ADDRESS PORT
 *
 * Prints READY once it listens; runs until it is killed. Its receive buffer is as large as our engine's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BUFFER_BYTES = 4 * 1024 * 1024, DATAGRAM_BYTES_MAX = 2048 };

static void fail(const char *what) {
  fprintf(stderr, "datagram-echo: %s: %s\n", what, strerror(errno));
  exit(1);
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: datagram-echo ADDRESS PORT\n");
    return 2;
  }
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
  if (inet_pton(AF_INET, argv[1], &own.sin_addr) != 1) fail(argv[1]);
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  const int bytes = BUFFER_BYTES;
  if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) != 0) fail("bind");
  /* FORCE needs CAP_NET_ADMIN over the machine, which only root has: then the other, up to the system's limit. */
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) != 0) fail("SO_RCVBUF");
  printf("READY\n");
  fflush(stdout);

  static unsigned char datagram[DATAGRAM_BYTES_MAX];
  for (;;) {
    struct sockaddr_storage from;
    socklen_t from_bytes = sizeof from;
    const ssize_t received = recvfrom(fd, datagram, sizeof datagram, 0, (struct sockaddr *)&from, &from_bytes);
    if (received < 0) {
      if (errno == EINTR || errno == ECONNREFUSED) continue;
      fail("recvfrom");
    }
    (void)sendto(fd, datagram, (size_t)received, 0, (struct sockaddr *)&from, from_bytes);
  }
}
