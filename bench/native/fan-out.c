/*
 * One publisher and many members, who all get what it sends; it is ahead of them by so many messages at most.
 *
 *     fan-out i3 ADDRESS PORT PAYLOAD_BYTES SECONDS AHEAD FILE
 *     fan-out mqtt ADDRESS PORT PAYLOAD_BYTES SECONDS AHEAD MEMBERS
 *
 * i3: FILE has members (4), publishers (4), both little-endian, then of each member its IPv4 address (4) and port (2), then of each publisher, in network order, and
 * the id (32) at which the members are. Publishers take turns, since a server bounds the copies of one source.
 * mqtt: version 3.1.1, QoS 0, each member a connection of its own that has subscribed to one topic.
 * Prints "DELIVERED SECONDS LOST": messages that members got; lost is what had not come when nothing had for 200 ms.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
  MEMBERS_MAX = 1024, PUBLISHERS_MAX = 256, EVENTS = 256, QUIET_MS = 200, BATCH = 32, DATAGRAM_BYTES_MAX = 2048, STREAM_BYTES = 65536, SOCKET_BYTES = 4 * 1024 * 1024,
  HEADER_BYTES = 48, ID_BYTES = 32, ID_AT = 16, CONNACK_BYTES = 4, SUBACK_BYTES = 5, TOPIC_BYTES = 2
};

static int members[MEMBERS_MAX], publishers[PUBLISHERS_MAX];
static uint32_t member_count, publisher_count;
static unsigned char message[DATAGRAM_BYTES_MAX];
static size_t message_bytes;
/* Of a stream: bytes of the message that is half here. */
static size_t partial[MEMBERS_MAX];

static void fail(const char *what) {
  fprintf(stderr, "fan-out: %s: %s\n", what, errno == 0 ? "wrong" : strerror(errno));
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void read_all(FILE *file, void *into, size_t bytes) {
  if (fread(into, 1, bytes, file) != bytes) fail("FILE is too short");
}

static int udp_socket(FILE *file, const struct sockaddr_in *server) {
  struct sockaddr_in own = {.sin_family = AF_INET};
  read_all(file, &own.sin_addr, 4);
  read_all(file, &own.sin_port, 2);
  const int fd = socket(AF_INET, SOCK_DGRAM, 0), bytes = SOCKET_BYTES;
  if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) != 0 || connect(fd, (const struct sockaddr *)server, sizeof *server) != 0) fail("bind");
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) != 0) fail("SO_RCVBUF");
  return fd;
}

/* docs/wire.md §3. */
static void open_i3(const char *path, const struct sockaddr_in *server, size_t payload_bytes) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) fail(path);
  uint32_t head[2];
  read_all(file, head, sizeof head);
  if (head[0] == 0 || head[0] > MEMBERS_MAX || head[1] == 0 || head[1] > PUBLISHERS_MAX) fail("FILE");
  member_count = head[0];
  publisher_count = head[1];
  for (uint32_t i = 0; i < member_count; i++) members[i] = udp_socket(file, server);
  for (uint32_t i = 0; i < publisher_count; i++) publishers[i] = udp_socket(file, server);
  const unsigned char beginning[8] = {0x11, 0, 16, 255, 1, 5, 0, 0};
  memcpy(message, beginning, sizeof beginning);
  read_all(file, message + ID_AT, ID_BYTES);
  fclose(file);
  message_bytes = HEADER_BYTES + payload_bytes;
}

static int mqtt_connection(const struct sockaddr_in *broker, uint32_t number) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
  if (fd < 0 || connect(fd, (const struct sockaddr *)broker, sizeof *broker) != 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) != 0) fail("connect");
  unsigned char hello[] = {0x10, 18, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 6, 'c', '0', '0', '0', '0', '0'}, answer[CONNACK_BYTES];
  for (int i = 0; i < 5; i++, number /= 10) hello[19 - i] = (unsigned char)('0' + number % 10);
  if (send(fd, hello, sizeof hello, 0) != (ssize_t)sizeof hello || recv(fd, answer, sizeof answer, MSG_WAITALL) != CONNACK_BYTES || answer[3] != 0) fail("CONNECT");
  return fd;
}

static void open_mqtt(uint32_t count, const struct sockaddr_in *broker, size_t payload_bytes) {
  if (count == 0 || count > MEMBERS_MAX) fail("MEMBERS");
  member_count = count;
  publisher_count = 1;
  for (uint32_t i = 0; i < count; i++) {
    members[i] = mqtt_connection(broker, i + 1);
    const unsigned char subscribe[] = {0x82, 7, 0, 1, 0, TOPIC_BYTES, 'm', 't', 0};
    unsigned char answer[SUBACK_BYTES];
    if (send(members[i], subscribe, sizeof subscribe, 0) != (ssize_t)sizeof subscribe || recv(members[i], answer, sizeof answer, MSG_WAITALL) != SUBACK_BYTES || answer[4] != 0) fail("SUBSCRIBE");
  }
  publishers[0] = mqtt_connection(broker, 0);
  const size_t rest = 2 + TOPIC_BYTES + payload_bytes;
  size_t at = 0;
  message[at++] = 0x30;
  for (size_t left = rest; at == 1 || left > 0;) {
    message[at++] = (unsigned char)((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
    left >>= 7;
  }
  const unsigned char topic[] = {0, TOPIC_BYTES, 'm', 't'};
  memcpy(message + at, topic, sizeof topic);
  message_bytes = at + rest;
}

static uint64_t hear_datagrams(uint32_t member) {
  static unsigned char buffers[BATCH][DATAGRAM_BYTES_MAX];
  struct iovec parts[BATCH];
  struct mmsghdr heads[BATCH];
  memset(heads, 0, sizeof heads);
  for (int i = 0; i < BATCH; i++) {
    parts[i] = (struct iovec){buffers[i], sizeof buffers[i]};
    heads[i].msg_hdr.msg_iov = &parts[i];
    heads[i].msg_hdr.msg_iovlen = 1;
  }
  const int count = recvmmsg(members[member], heads, BATCH, MSG_DONTWAIT, NULL);
  if (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK) fail("recvmmsg");
  for (int i = 0; i < count; i++) if (heads[i].msg_len != message_bytes) fail("another length");
  return count < 0 ? 0 : (uint64_t)count;
}

/* All messages have one length, and members get nothing else. */
static uint64_t hear_stream(uint32_t member) {
  static unsigned char buffer[STREAM_BYTES];
  const ssize_t bytes = recv(members[member], buffer, sizeof buffer, MSG_DONTWAIT);
  if (bytes == 0 || (bytes < 0 && errno != EAGAIN && errno != EWOULDBLOCK)) fail("recv");
  if (bytes < 0) return 0;
  const size_t have = partial[member] + (size_t)bytes;
  partial[member] = have % message_bytes;
  return have / message_bytes;
}

int main(int argc, char **argv) {
  if (argc != 8) {
    fprintf(stderr, "usage: fan-out i3|mqtt ADDRESS PORT PAYLOAD_BYTES SECONDS AHEAD FILE|MEMBERS\n");
    return 2;
  }
  struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3]))};
  if (inet_pton(AF_INET, argv[2], &server.sin_addr) != 1) fail(argv[2]);
  const int is_i3 = strcmp(argv[1], "i3") == 0;
  const size_t payload_bytes = (size_t)atoi(argv[4]);
  if (payload_bytes > DATAGRAM_BYTES_MAX - HEADER_BYTES) fail("PAYLOAD_BYTES");
  if (is_i3) open_i3(argv[7], &server, payload_bytes);
  else open_mqtt((uint32_t)atoi(argv[7]), &server, payload_bytes);
  const int poll = epoll_create1(0);
  if (poll < 0) fail("epoll");
  for (uint32_t i = 0; i < member_count; i++) {
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, members[i], &event) != 0) fail("epoll");
  }
  const uint64_t ahead = (uint64_t)atoi(argv[6]) * member_count;
  const double start = now(), end = start + atof(argv[5]);
  uint64_t sent = 0, delivered = 0, lost = 0;
  for (double time = start; time < end; time = now()) {
    while (sent * member_count - delivered - lost + member_count <= ahead) {
      if (send(publishers[sent % publisher_count], message, message_bytes, 0) != (ssize_t)message_bytes) fail("send");
      sent++;
    }
    struct epoll_event events[EVENTS];
    const int ready = epoll_wait(poll, events, EVENTS, QUIET_MS);
    if (ready < 0) fail("epoll");
    if (ready == 0) lost = sent * member_count - delivered;
    for (int i = 0; i < ready; i++) delivered += is_i3 ? hear_datagrams(events[i].data.u32) : hear_stream(events[i].data.u32);
  }
  printf("%llu %.6f %llu\n", (unsigned long long)delivered, now() - start, (unsigned long long)lost);
  return 0;
}
