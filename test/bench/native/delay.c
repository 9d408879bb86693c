/*
 * A long path: `delay TARGET_PORT MS` prints the port it listens at, and every byte takes MS milliseconds each way, at any rate. Each hop
 * acknowledges at once, so this shows the windows and round trips of SSH and not those of TCP. Ends with its standard input.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

/* A sender may be MOST bytes ahead: more than any window of SSH. */
enum { PIECE = 1 << 18, MOST = 1 << 28 };

struct chunk {
  struct chunk *next;
  double due_ms;
  size_t size, sent;
  char bytes[];
};

/* One direction of a connection: what was read of `from` waits here until it is due at `to`. */
struct way {
  int from, to, ended;
  size_t waiting;
  struct chunk *head, **tail;
  struct way *next, *back;
};

static struct way *ways;
static int target;
static double delay_ms;

static double now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

static struct sockaddr_in local(int port) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static struct way *add_way(int from, int to) {
  struct way *way = calloc(1, sizeof *way);
  if (!way) abort();
  *way = (struct way){.from = from, .to = to, .tail = &way->head, .next = ways};
  return ways = way;
}

static void add_connection(int near) {
  struct sockaddr_in address = local(target);
  int far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
  if (connect(far, (struct sockaddr *)&address, sizeof address) < 0) {
    close(far);
    close(near);
    return;
  }
  setsockopt(near, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  setsockopt(far, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  struct way *there = add_way(near, far), *back = add_way(far, near);
  there->back = back;
  back->back = there;
}

/* Reads while there is something and room for it. An end, or an error, is passed on as an empty chunk. */
static void fill(struct way *way) {
  while (!way->ended && way->waiting < MOST) {
    struct chunk *chunk = malloc(sizeof *chunk + PIECE);
    if (!chunk) abort();
    ssize_t size = recv(way->from, chunk->bytes, PIECE, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) return free(chunk);
    way->ended = size <= 0;
    *chunk = (struct chunk){.due_ms = now_ms() + delay_ms, .size = size > 0 ? size : 0};
    chunk = realloc(chunk, sizeof *chunk + chunk->size);
    *way->tail = chunk;
    way->tail = &chunk->next;
    way->waiting += chunk->size;
  }
}

/* Sends what is due; returns the milliseconds until something else is, -1 where nothing waits for the clock. */
static double drain(struct way *way) {
  for (struct chunk *chunk; (chunk = way->head);) {
    double early = chunk->due_ms - now_ms();
    if (early > 0) return early;
    if (chunk->size == 0) shutdown(way->to, SHUT_WR);
    while (chunk->sent < chunk->size) {
      ssize_t sent = send(way->to, chunk->bytes + chunk->sent, chunk->size - chunk->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno == EAGAIN) return 1; /* the receiver is slow: look again in a moment */
      if (sent < 0) break;                       /* the receiver is gone: what is for it is dropped */
      chunk->sent += sent;
    }
    way->head = chunk->next;
    if (!way->head) way->tail = &way->head;
    way->waiting -= chunk->size;
    free(chunk);
  }
  return -1;
}

static void sweep(void) {
  for (struct way **at = &ways; *at;) {
    struct way *way = *at, *back = way->back;
    if (way->ended && !way->head && back && back->ended && !back->head) {
      close(way->from);
      close(way->to);
      way->back = back->back = NULL;
    }
    if (way->back) {
      at = &way->next;
    } else {
      *at = way->next;
      free(way);
    }
  }
}

int main(int words, char **word) {
  if (words < 3) return fputs("delay TARGET_PORT MS\n", stderr), 2;
  target = atoi(word[1]);
  delay_ms = atof(word[2]);
  struct sockaddr_in address = local(0);
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener, (struct sockaddr *)&address, length) < 0 || listen(listener, 128) < 0) return perror("listen"), 1;
  getsockname(listener, (struct sockaddr *)&address, &length);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    int poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event door = {.events = EPOLLIN, .data.fd = listener}, input = {.events = EPOLLIN, .data.fd = STDIN_FILENO};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &door);
    epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &input);
    double soonest = -1;
    for (struct way *way = ways; way; way = way->next) {
      fill(way);
      double wait = drain(way);
      if (wait >= 0 && (soonest < 0 || wait < soonest)) soonest = wait;
      struct epoll_event readable = {.events = EPOLLIN, .data.fd = way->from};
      if (!way->ended && way->waiting < MOST) epoll_ctl(poller, EPOLL_CTL_ADD, way->from, &readable);
    }
    sweep();
    struct epoll_event event;
    struct timespec timeout = {.tv_sec = soonest / 1e3, .tv_nsec = (long)(soonest * 1e6) % 1000000000};
    int ready = epoll_pwait2(poller, &event, 1, soonest < 0 ? NULL : &timeout, NULL);
    close(poller);
    if (ready == 1 && event.data.fd == STDIN_FILENO) return 0;
    if (ready == 1 && event.data.fd == listener) add_connection(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
  }
}
