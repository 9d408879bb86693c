/*
 * Source, sink and echo that copy nothing in user space, so that they are never the bottleneck of what is measured: the source
 * is sendfile(2) out of a memfd, the sink recv(2) with MSG_TRUNC. The client's first line says what it wants: `down N` gets N
 * bytes, `up N` has N bytes taken and gets one, `slow` has its bytes taken at 200 kB/s, `echo` gets back what it sends.
 * Prints its port as the first line; ends with its standard input.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <unistd.h>

enum { PIECE = 1 << 20, LINE = 64, SLOW_TICK_MS = 20, SLOW_BYTES = 4096, MOST_EVENTS = 256 };

enum mode { ASKING, SOURCE, SINK, SLOW, ECHO, ENDING };

struct connection {
  int fd;
  enum mode mode;
  long left;
  struct connection *previous, *next;
};

static int poller, memory;
static struct connection slow_ones = {.previous = &slow_ones, .next = &slow_ones};
static char scratch[1 << 16];

static void watch(struct connection *one, int operation, unsigned events) {
  struct epoll_event event = {.events = events, .data.ptr = one};
  epoll_ctl(poller, operation, one->fd, &event);
}

static void drop(struct connection *one) {
  if (one->next) {
    one->next->previous = one->previous;
    one->previous->next = one->next;
  }
  close(one->fd);
  free(one);
}

/* Reads the line and nothing behind it, and chooses what the connection is. Returns 0 once the connection is of no use. */
static int ask(struct connection *one) {
  char line[LINE];
  ssize_t size = recv(one->fd, line, sizeof line - 1, MSG_PEEK);
  if (size <= 0) return size < 0 && errno == EAGAIN;
  char *end = memchr(line, '\n', size);
  if (!end) return size < (ssize_t)sizeof line - 1;
  if (recv(one->fd, line, end - line + 1, 0) <= 0) return 0;
  *end = 0;
  if (sscanf(line, "down %ld", &one->left) == 1) {
    one->mode = SOURCE;
    watch(one, EPOLL_CTL_MOD, EPOLLOUT);
  } else if (sscanf(line, "up %ld", &one->left) == 1) {
    one->mode = SINK;
  } else if (!strcmp(line, "slow")) {
    one->mode = SLOW;
    watch(one, EPOLL_CTL_MOD, 0);
    one->next = slow_ones.next;
    one->previous = &slow_ones;
    slow_ones.next->previous = one;
    slow_ones.next = one;
  } else {
    one->mode = ECHO;
  }
  return 1;
}

static int end(struct connection *one) {
  one->mode = ENDING;
  shutdown(one->fd, SHUT_WR);
  watch(one, EPOLL_CTL_MOD, EPOLLIN);
  return 1;
}

static int give(struct connection *one) {
  while (one->left > 0) {
    off_t from = 0;
    ssize_t sent = sendfile(one->fd, memory, &from, one->left < PIECE ? one->left : PIECE);
    if (sent < 0) return errno == EAGAIN;
    one->left -= sent;
  }
  return end(one);
}

static int take(struct connection *one, size_t most) {
  ssize_t size = recv(one->fd, NULL, most, MSG_TRUNC);
  if (size <= 0) return size < 0 && errno == EAGAIN;
  one->left -= size;
  if (one->mode != SINK || one->left > 0) return 1;
  if (send(one->fd, "k", 1, MSG_NOSIGNAL) != 1) return 0;
  return end(one);
}

static int echo(struct connection *one) {
  ssize_t size = recv(one->fd, scratch, sizeof scratch, 0);
  if (size <= 0) return size < 0 && errno == EAGAIN;
  return send(one->fd, scratch, size, MSG_NOSIGNAL) == size;
}

static int serve(struct connection *one) {
  switch (one->mode) {
    case ASKING: return ask(one);
    case SOURCE: return give(one);
    case SINK: case ENDING: return take(one, PIECE);
    case SLOW: return 0; /* hung up: nothing else is watched */
    default: return echo(one);
  }
}

static void accept_all(int listener) {
  int fd, yes = 1;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    struct connection *one = calloc(1, sizeof *one);
    if (!one) abort();
    one->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    watch(one, EPOLL_CTL_ADD, EPOLLIN);
  }
}

static void tick(void) {
  for (struct connection *one = slow_ones.next, *next; one != &slow_ones; one = next) {
    next = one->next;
    if (!take(one, SLOW_BYTES)) drop(one);
  }
}

int main(void) {
  struct rlimit files;
  signal(SIGPIPE, SIG_IGN); /* sendfile into what a client has closed */
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  memory = memfd_create("source", MFD_CLOEXEC);
  if (memory < 0 || ftruncate(memory, PIECE) < 0) return perror("memfd"), 1;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, length) < 0 || listen(listener, 4096) < 0) return perror("listen"), 1;
  getsockname(listener, (struct sockaddr *)&address, &length);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  poller = epoll_create1(EPOLL_CLOEXEC);
  struct connection door = {.fd = listener}, input = {.fd = STDIN_FILENO};
  watch(&door, EPOLL_CTL_ADD, EPOLLIN);
  watch(&input, EPOLL_CTL_ADD, EPOLLIN);
  for (;;) {
    struct epoll_event events[MOST_EVENTS];
    int count = epoll_wait(poller, events, MOST_EVENTS, slow_ones.next == &slow_ones ? -1 : SLOW_TICK_MS);
    if (slow_ones.next != &slow_ones) tick();
    for (int index = 0; index < count; index += 1) {
      struct connection *one = events[index].data.ptr;
      if (one == &input) return 0;
      if (one == &door) accept_all(listener);
      else if (one->mode != SLOW && !serve(one)) drop(one);
    }
  }
}
