/*
 * The clients of a measurement; see generator.c for what they ask for.
 *   client down PORT BYTES STREAMS     client up PORT BYTES STREAMS      MB/s (10^6 bytes) over so many connections at once
 *   client first PORT COUNT [SECONDS]  microseconds from connect to the first byte echoed, one connection after the other; ends early after so long
 *   client ping PORT COUNT [SECONDS]   microseconds from one byte sent to its echo, on one open connection; ends early after so long
 *   client rate PORT COUNT WORKERS     connections a second, each with 1 KiB echoed, so many at once
 *   client idle PORT COUNT             opens them with one echo each, prints the seconds it took and how many had none, holds them until its input ends
 *   client busy PORT STREAMS           sends 1 KiB on each and waits for it to come back, over and over, until its input ends; prints a line once
 *                                      all are open, and at the end how many came back
 *   client slow PORT STREAMS           pushes at full speed into slow sinks until its input ends; prints a line once all are open
 *   client push PORT STREAMS           the same into quick sinks
 *   client pull PORT STREAMS           the same the other way
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 1 << 20, MOST = 20000, ECHOED = 1024 };

static int port, memory, poller, sockets[MOST];
static long left_of[MOST];

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static double now_us(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

/* -1 where nobody takes the connection. */
static int try_one(const char *wish) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
  if (fd < 0) fail("socket");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 && send(fd, wish, strlen(wish), MSG_NOSIGNAL) > 0) return fd;
  close(fd);
  return -1;
}

static int open_one(const char *wish) {
  int fd = try_one(wish);
  if (fd < 0) fail("connect");
  return fd;
}

static void await_bytes(int fd, size_t size) {
  char bytes[ECHOED];
  while (size > 0) {
    ssize_t got = recv(fd, bytes, size, 0);
    if (got <= 0) fail("the echo did not come");
    size -= got;
  }
}

static void watch(int index, int operation, unsigned events) {
  struct epoll_event event = {.events = events, .data.u32 = index};
  if (epoll_ctl(poller, operation, sockets[index], &event) < 0) fail("epoll");
}

/* Moves what this connection can move now; 1 once it has ended. */
static int move(int index, int up) {
  int fd = sockets[index];
  while (up && left_of[index] > 0) {
    off_t from = 0;
    ssize_t sent = sendfile(fd, memory, &from, left_of[index] < PIECE ? left_of[index] : PIECE);
    if (sent < 0 && errno == EAGAIN) return 0;
    if (sent < 0) fail("send");
    left_of[index] -= sent;
    if (left_of[index] == 0) watch(index, EPOLL_CTL_MOD, EPOLLIN);
  }
  ssize_t got = recv(fd, NULL, PIECE, MSG_TRUNC);
  if (got < 0 && errno == EAGAIN) return 0;
  if (got <= 0) fail("cut off");
  if (up) return 1;
  return (left_of[index] -= got) <= 0;
}

static void transfer(int up, long bytes, int streams) {
  char wish[64];
  long share = bytes / streams;
  snprintf(wish, sizeof wish, "%s %ld\n", up ? "up" : "down", share);
  double started = now_us();
  for (int index = 0; index < streams; index += 1) {
    sockets[index] = open_one(wish);
    left_of[index] = share;
    fcntl(sockets[index], F_SETFL, O_NONBLOCK);
    watch(index, EPOLL_CTL_ADD, up ? EPOLLOUT : EPOLLIN);
  }
  for (int open = streams; open > 0;) {
    struct epoll_event events[64];
    int count = epoll_wait(poller, events, 64, -1);
    for (int each = 0; each < count; each += 1) {
      int index = events[each].data.u32;
      if (!move(index, up)) continue;
      close(sockets[index]);
      open -= 1;
    }
  }
  printf("%.3f\n", share * (double)streams / (now_us() - started));
}

static void first(int count, double ends) {
  while (count-- > 0 && now_us() < ends) {
    double started = now_us();
    int fd = open_one("echo\nx");
    await_bytes(fd, 1);
    printf("%.1f\n", now_us() - started);
    close(fd);
  }
}

static void ping(int count, double ends) {
  int fd = open_one("echo\nx");
  await_bytes(fd, 1);
  while (count-- > 0 && now_us() < ends) {
    double started = now_us();
    if (send(fd, "y", 1, MSG_NOSIGNAL) != 1) fail("send");
    await_bytes(fd, 1);
    printf("%.1f\n", now_us() - started);
  }
}

static void rate(int count, int workers) {
  char wish[5 + ECHOED + 1] = "echo\n";
  memset(wish + 5, 'a', ECHOED);
  double started = now_us();
  int begun = 0, done = 0;
  for (; begun < workers && begun < count; begun += 1) {
    sockets[begun] = open_one(wish);
    left_of[begun] = ECHOED;
    watch(begun, EPOLL_CTL_ADD, EPOLLIN);
  }
  while (done < count) {
    struct epoll_event events[64];
    int ready = epoll_wait(poller, events, 64, -1);
    for (int each = 0; each < ready; each += 1) {
      int index = events[each].data.u32;
      ssize_t got = recv(sockets[index], NULL, ECHOED, MSG_TRUNC);
      if (got <= 0) fail("the echo did not come");
      if ((left_of[index] -= got) > 0) continue;
      close(sockets[index]);
      done += 1;
      if (begun >= count) continue;
      begun += 1;
      sockets[index] = open_one(wish);
      left_of[index] = ECHOED;
      watch(index, EPOLL_CTL_ADD, EPOLLIN);
    }
  }
  printf("%.1f\n", count / ((now_us() - started) / 1e6));
}

static void idle(int count) {
  double started = now_us();
  int refused = 0;
  char byte;
  for (int index = 0; index < count; index += 1) {
    int fd = try_one("echo\nx");
    if (fd < 0 || recv(fd, &byte, 1, 0) != 1) refused += 1;
  }
  printf("%.3f %d\n", (now_us() - started) / 1e6, refused);
  fflush(stdout);
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
}

/* Without an end. */
static void pour(const char *wish, int up, int streams) {
  for (int index = 0; index < streams; index += 1) {
    sockets[index] = open_one(wish);
    left_of[index] = 1L << 40;
    fcntl(sockets[index], F_SETFL, O_NONBLOCK);
    watch(index, EPOLL_CTL_ADD, up ? EPOLLOUT : EPOLLIN);
  }
  printf("%d\n", streams);
  fflush(stdout);
  struct epoll_event input = {.events = EPOLLIN, .data.u32 = MOST};
  epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &input);
  for (;;) {
    struct epoll_event events[64];
    int count = epoll_wait(poller, events, 64, -1);
    for (int each = 0; each < count; each += 1) {
      if (events[each].data.u32 == MOST) return;
      move(events[each].data.u32, up);
    }
  }
}

static void send_kib(int index) {
  static char piece[ECHOED];
  left_of[index] = ECHOED;
  if (send(sockets[index], piece, ECHOED, MSG_NOSIGNAL) != ECHOED) fail("send");
}

static void busy(int streams) {
  long back = 0;
  for (int index = 0; index < streams; index += 1) {
    sockets[index] = open_one("echo\nx");
    await_bytes(sockets[index], 1);
    watch(index, EPOLL_CTL_ADD, EPOLLIN);
  }
  printf("%d\n", streams);
  fflush(stdout);
  for (int index = 0; index < streams; index += 1) send_kib(index);
  struct epoll_event input = {.events = EPOLLIN, .data.u32 = MOST};
  epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &input);
  for (;;) {
    struct epoll_event events[64];
    int count = epoll_wait(poller, events, 64, -1);
    for (int each = 0; each < count; each += 1) {
      int index = events[each].data.u32;
      if (index == MOST) {
        printf("%ld\n", back);
        return;
      }
      ssize_t got = recv(sockets[index], NULL, ECHOED, MSG_TRUNC);
      if (got <= 0) fail("cut off");
      if ((left_of[index] -= got) > 0) continue;
      back += 1;
      send_kib(index);
    }
  }
}

int main(int words, char **word) {
  if (words < 4) return fputs("client WHAT PORT NUMBER [NUMBER]\n", stderr), 2;
  long number = atol(word[3]), second = words > 4 ? atol(word[4]) : 1;
  double ends = now_us() + 1e6 * (words > 4 ? atof(word[4]) : 3600);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  port = atoi(word[2]);
  poller = epoll_create1(EPOLL_CLOEXEC);
  memory = memfd_create("source", MFD_CLOEXEC);
  if (memory < 0 || ftruncate(memory, PIECE) < 0) fail("memfd");
  if (!strcmp(word[1], "down")) transfer(0, number, second);
  else if (!strcmp(word[1], "up")) transfer(1, number, second);
  else if (!strcmp(word[1], "first")) first(number, ends);
  else if (!strcmp(word[1], "ping")) ping(number, ends);
  else if (!strcmp(word[1], "rate")) rate(number, second);
  else if (!strcmp(word[1], "idle")) idle(number);
  else if (!strcmp(word[1], "busy")) busy(number);
  else if (!strcmp(word[1], "slow")) pour("slow\n", 1, number);
  else if (!strcmp(word[1], "push")) pour("up 1099511627776\n", 1, number);
  else if (!strcmp(word[1], "pull")) pour("down 1099511627776\n", 0, number);
  else return fprintf(stderr, "client cannot %s\n", word[1]), 2;
  return 0;
}
