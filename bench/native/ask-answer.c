/*
 * Clients that ask a server and wait for its answer before they ask again; what they ask has been made before.
 *
 *     ask-answer ADDRESS PORT FILE SECONDS one|all
 *
 * FILE: clients (4), requests of each (4), bytes of a request (4), all little-endian; for each client its IPv4 address (4) and port (2), both in
 * network order, and its requests one behind the other. "one": a single request is under way at any time, the clients in turns;
 * "all": one of each client. A good answer is an i3 control datagram of type TRIGGER_OK with the nonce of what was asked. Ends after SECONDS
 * or when the requests are used up, and prints "ANSWERED SECONDS LOST"; any other answer ends it with status 1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_BYTES_MAX = 2048, TRIGGER_OK = 8, NONCE_AT = 8, NONCE_BYTES = 8, CLIENTS_MAX = 4096, WAIT_MS = 500, EVENTS = 256 };

struct client {
  int fd;
  const unsigned char *requests;
  uint32_t next;
};

static uint32_t requests_of_each, request_bytes;
static struct client clients[CLIENTS_MAX];

static void fail(const char *what) {
  fprintf(stderr, "ask-answer: %s: %s\n", what, errno == 0 ? "wrong" : strerror(errno));
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

static uint32_t open_clients(const char *path, const struct sockaddr_in *server) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) fail(path);
  uint32_t head[3];
  read_all(file, head, sizeof head);
  requests_of_each = head[1];
  request_bytes = head[2];
  if (head[0] == 0 || head[0] > CLIENTS_MAX || request_bytes < NONCE_AT + NONCE_BYTES) fail("FILE");
  for (uint32_t i = 0; i < head[0]; i++) {
    struct sockaddr_in own = {.sin_family = AF_INET};
    read_all(file, &own.sin_addr, 4);
    read_all(file, &own.sin_port, 2);
    unsigned char *requests = malloc((size_t)requests_of_each * request_bytes);
    if (requests == NULL) fail("memory");
    read_all(file, requests, (size_t)requests_of_each * request_bytes);
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    const struct timeval wait = {.tv_usec = WAIT_MS * 1000};
    if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) != 0) fail("bind");
    if (connect(fd, (const struct sockaddr *)server, sizeof *server) != 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) != 0) fail("connect");
    clients[i] = (struct client){fd, requests, 0};
  }
  fclose(file);
  return head[0];
}

static int ask(struct client *client) {
  if (client->next == requests_of_each) return 0;
  if (send(client->fd, client->requests + (size_t)client->next * request_bytes, request_bytes, 0) < 0) fail("send");
  client->next++;
  return 1;
}

/* 1: the answer to what was asked last; 0: nothing came, or an answer to what was given up. */
static int hear(const struct client *client, int flags) {
  unsigned char answer[ANSWER_BYTES_MAX];
  const ssize_t bytes = recv(client->fd, answer, sizeof answer, flags);
  if (bytes < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
  if (bytes < 0) fail("recv");
  if (bytes < NONCE_AT + NONCE_BYTES || answer[1] != TRIGGER_OK) {
    fprintf(stderr, "ask-answer: answer of type %d\n", bytes > 1 ? answer[1] : -1);
    exit(1);
  }
  return memcmp(answer + NONCE_AT, client->requests + (size_t)(client->next - 1) * request_bytes + NONCE_AT, NONCE_BYTES) == 0;
}

int main(int argc, char **argv) {
  if (argc != 6) {
    fprintf(stderr, "usage: ask-answer ADDRESS PORT FILE SECONDS one|all\n");
    return 2;
  }
  struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
  if (inet_pton(AF_INET, argv[1], &server.sin_addr) != 1) fail(argv[1]);
  const uint32_t count = open_clients(argv[3], &server);
  const double start = now(), end = start + atof(argv[4]);
  uint64_t answered = 0, lost = 0;
  double last = start;
  if (strcmp(argv[5], "one") == 0) {
    for (uint32_t i = 0; last < end && ask(&clients[i]); i = (i + 1) % count) {
      if (hear(&clients[i], 0)) answered++;
      else lost++;
      last = now();
    }
  } else {
    const int poll = epoll_create1(0);
    if (poll < 0) fail("epoll");
    for (uint32_t i = 0; i < count; i++) {
      struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
      if (epoll_ctl(poll, EPOLL_CTL_ADD, clients[i].fd, &event) != 0) fail("epoll");
      ask(&clients[i]);
    }
    for (int more = 1; more && last < end; last = now()) {
      struct epoll_event events[EVENTS];
      const int ready = epoll_wait(poll, events, EVENTS, WAIT_MS);
      if (ready < 0) fail("epoll");
      /* All wait, and nothing comes: they ask for what is next. */
      if (ready == 0) {
        lost += count;
        for (uint32_t i = 0; i < count && more; i++) more = ask(&clients[i]);
      }
      for (int i = 0; i < ready && more; i++) {
        struct client *client = &clients[events[i].data.u32];
        if (!hear(client, MSG_DONTWAIT)) continue;
        answered++;
        more = ask(client);
      }
    }
  }
  printf("%llu %.6f %llu\n", (unsigned long long)answered, last - start, (unsigned long long)lost);
  return 0;
}
