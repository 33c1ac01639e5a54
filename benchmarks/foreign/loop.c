/* Clients in a closed loop, over connections that `clients.py` has opened.
 *
 *     loop SECONDS THINK ENDING FAILURE LOG DESCRIPTOR:REQUEST...
 *
 * Each client thinks, sends its request, waits until what has come ends with ENDING, and thinks
 * again. Bytes are written in hexadecimal; an answer with FAILURE, if any, ends the run. THINK is constant (0.1) or exponential
 * (exp:0.1), drawn from a fixed seed for each client. Clients start at random times within one
 * think time. A load generator that is slow measures itself: this one takes a few microseconds
 * for a request, whatever the number of clients.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_REQUESTS = 2000000, LONGEST_ANSWER = 1 << 16, EVENTS = 64 };

struct bytes { size_t size; char *at; };
struct row { int client; double start, end; };
struct client {
    int fd, waits;
    struct bytes request;
    double due; /* when it stops thinking */
    double start;
    unsigned short draws[3];
    size_t filled;
    char *answer;
};

static struct client *clients;
static int *heap; /* of those that think, by when they stop */
static int heaped;
static double pause_of, end_of_run;
static int exponential;
static struct bytes ending, failure;
static struct row *rows;
static size_t counted;

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "the server answers so");
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static struct bytes unhex(const char *text) {
    struct bytes found = {strlen(text) / 2, malloc(strlen(text) / 2 + 1)};
    for (size_t i = 0; i < found.size; i++) {
        unsigned value;
        if (sscanf(text + 2 * i, "%2x", &value) != 1) fail("hexadecimal");
        found.at[i] = (char)value;
    }
    return found;
}

static void think(int who, double from, double for_seconds) {
    clients[who].due = from + for_seconds;
    int i = heaped++;
    for (; i && clients[heap[(i - 1) / 2]].due > clients[who].due; i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = who;
}

static int soonest(void) {
    int top = heap[0], last = heap[--heaped], i = 0;
    for (int child; (child = 2 * i + 1) < heaped; i = child) {
        if (child + 1 < heaped && clients[heap[child + 1]].due < clients[heap[child]].due) child++;
        if (clients[last].due <= clients[heap[child]].due) break;
        heap[i] = heap[child];
    }
    heap[i] = last;
    return top;
}

static void ask(int who) {
    struct client *one = &clients[who];
    one->filled = 0;
    one->waits = 1;
    one->start = now();
    if (send(one->fd, one->request.at, one->request.size, MSG_NOSIGNAL) != (ssize_t)one->request.size)
        fail("send");
}

/* Take what has come; what comes unasked (a ping) is dropped. */
static void listen_to(int who) {
    struct client *one = &clients[who];
    ssize_t came = recv(one->fd, one->answer + one->filled, LONGEST_ANSWER - one->filled, 0);
    if (came <= 0) fail("the connection was closed");
    if (!one->waits) return;
    one->filled += (size_t)came;
    errno = 0;
    if (failure.size && memmem(one->answer, one->filled, failure.at, failure.size)) fail("an error");
    if (one->filled < ending.size ||
        memcmp(one->answer + one->filled - ending.size, ending.at, ending.size)) {
        if (one->filled == LONGEST_ANSWER) fail("an answer too long");
        return;
    }
    double end = now();
    one->waits = 0;
    rows[counted++] = (struct row){who, one->start, end};
    think(who, end, exponential ? -pause_of * log1p(-erand48(one->draws)) : pause_of);
}

static void run(int epoll, int all) {
    struct epoll_event events[EVENTS];
    int waiting = 0;
    while (waiting || heaped) {
        double time = now();
        while (heaped && clients[heap[0]].due <= time) {
            int who = soonest();
            if (time < end_of_run && counted + (size_t)all < MOST_REQUESTS) {
                ask(who);
                waiting++;
                time = now();
            }
        }
        if (!waiting && !heaped) return;
        double left = heaped ? clients[heap[0]].due - now() : 1.0;
        if (left < 0) left = 0;
        struct timespec most = {(time_t)left, (long)((left - (time_t)left) * 1e9)};
        struct pollfd any = {epoll, POLLIN, 0};
        if (ppoll(&any, 1, &most, NULL) < 0) fail("poll");
        int ready = epoll_wait(epoll, events, EVENTS, 0);
        for (int i = 0; i < ready; i++) {
            int who = (int)events[i].data.u32, waited = clients[who].waits;
            listen_to(who);
            waiting -= waited && !clients[who].waits;
        }
    }
}

static void write_log(const char *path) {
    FILE *log = fopen(path, "w");
    if (!log) fail(path);
    double first = INFINITY;
    for (size_t i = 0; i < counted; i++) first = fmin(first, rows[i].start);
    fputs("client,start_s,end_s\n", log);
    for (size_t i = 0; i < counted; i++)
        fprintf(log, "%d,%.6f,%.6f\n", rows[i].client, rows[i].start - first, rows[i].end - first);
    if (fclose(log)) fail(path);
}

int main(int count, char **words) {
    if (count < 7) fail("arguments");
    double seconds = atof(words[1]);
    exponential = !strncmp(words[2], "exp:", 4);
    pause_of = atof(words[2] + 4 * exponential);
    ending = unhex(words[3]), failure = unhex(words[4]);
    int all = count - 6, epoll = epoll_create1(0);
    clients = calloc((size_t)all, sizeof *clients);
    heap = calloc((size_t)all, sizeof *heap);
    rows = malloc(MOST_REQUESTS * sizeof *rows);
    double start = now();
    end_of_run = start + seconds;
    for (int i = 0; i < all; i++) {
        struct client *one = &clients[i];
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (unsigned)i};
        char *colon = strchr(words[6 + i], ':');
        if (!colon) fail("DESCRIPTOR:REQUEST");
        *one = (struct client){.fd = atoi(words[6 + i]), .request = unhex(colon + 1),
                               .answer = malloc(LONGEST_ANSWER)};
        memcpy(one->draws, (unsigned short[3]){0x330e, (unsigned short)i, 1}, sizeof one->draws);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, one->fd, &event)) fail("epoll");
        think(i, start, pause_of * erand48(one->draws));
    }
    puts("ready"), fflush(stdout);
    run(epoll, all);
    puts("done"), fflush(stdout);
    getchar(); /* connections stay open until somebody has looked at the server */
    write_log(words[5]);
    return 0;
}
