/* Asks a name server as fast as it answers:
 *
 *   dnsload SERVER PORT NAMES COUNT WINDOW
 *
 * keeps WINDOW questions for the A record of names out of the file NAMES in flight, from one UDP socket, until COUNT
 * are answered or lost. Prints one line: answers a second, median and 99th percentile of the time for one answer in
 * microseconds, how many came with an address, how many were lost (nothing for a second). */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define MOST_NAMES 20000
#define LONGEST 128

static char names[MOST_NAMES][LONGEST];
static double sent[65536]; /* by identifier */

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A question for the name, with that identifier; its length. */
static size_t question(unsigned char *packet, unsigned identifier, const char *name) {
    static const unsigned char header[12] = {[2] = 1, [5] = 1}; /* recursion desired, one question */
    unsigned char *end = packet + sizeof header;
    memcpy(packet, header, sizeof header);
    packet[0] = identifier >> 8;
    packet[1] = identifier;
    for (const char *label = name; *label;) {
        size_t length = strcspn(label, ".");
        *end++ = length;
        memcpy(end, label, length);
        end += length;
        label += length + (label[length] == '.');
    }
    memcpy(end, "\0\0\1\0\1", 5); /* the root, type A, class IN */
    return end + 5 - packet;
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: dnsload SERVER PORT NAMES COUNT WINDOW\n");
        return 1;
    }
    int count = atoi(argv[4]), window = atoi(argv[5]), known = 0;
    FILE *file = fopen(argv[3], "r");
    while (file && known < MOST_NAMES && fscanf(file, "%127s", names[known]) == 1)
        known++;
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    double *times = malloc(count * sizeof *times);
    int client = socket(AF_INET, SOCK_DGRAM, 0);
    if (!known || count < 1 || !times || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1 ||
        connect(client, (struct sockaddr *)&server, sizeof server)) {
        perror("dnsload");
        return 1;
    }
    int asked = 0, answered = 0, right = 0, lost = 0, waiting = 0;
    double begin = now();
    while (answered + lost < count) {
        unsigned char packet[512];
        while (waiting < window && asked < count) {
            unsigned identifier = asked & 0xffff;
            size_t length = question(packet, identifier, names[asked * 7919u % known]);
            sent[identifier] = now();
            if (send(client, packet, length, 0) < 0) {
                perror("dnsload: send");
                return 1;
            }
            asked++;
            waiting++;
        }
        struct pollfd ready = {client, POLLIN, 0};
        if (poll(&ready, 1, 1000) <= 0) {
            lost += waiting;
            waiting = 0;
            continue;
        }
        ssize_t length = recv(client, packet, sizeof packet, 0);
        if (length < 12) {
            perror("dnsload: recv");
            return 1;
        }
        times[answered++] = now() - sent[packet[0] << 8 | packet[1]];
        waiting--;
        right += packet[7] && !(packet[3] & 15);
    }
    double seconds = (now() - begin) / 1e6;
    qsort(times, answered, sizeof *times, compare);
    printf("%.0f %.1f %.1f %d %d\n", answered / seconds, answered ? times[answered / 2] : 0,
           answered ? times[answered * 99 / 100] : 0, right, lost);
    return 0;
}
