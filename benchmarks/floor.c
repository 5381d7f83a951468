/* The floor: what the kernel alone needs for the work of `netapply up` and `down`, through raw netlink.
 *
 *   floor up   FIRST COUNT BRIDGES    make containers FIRST..FIRST+COUNT-1 (and the bridges if FIRST is 0)
 *   floor down COUNT BRIDGES          remove containers 0..COUNT-1 and the bridges, and wait until they are gone
 *
 * Run as root inside a throwaway network namespace. For each container the same as netapply makes:
 * a namespace pinned in /run/netns, IPv6 off there by one write, loopback up and labelled, a veth pair
 * whose peer is born inside with its MAC, the host's end labelled, up and in its bridge, an address, a
 * default route; for all of them one table of published ports, given to `nft -f`. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MESSAGES_PER_SEND = 16, PORT_BASE = 20000, PATH = 64 };

static char buffer[1 << 18];
static size_t used;
static int queued;
static unsigned sequence;
static struct nlmsghdr *current;

static void fail(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void begin(int type, int flags, const void *header, size_t length)
{
    current = (void *)(buffer + used);
    memset(current, 0, NLMSG_SPACE(length));
    current->nlmsg_type = type;
    current->nlmsg_flags = NLM_F_REQUEST | flags;
    current->nlmsg_seq = ++sequence;
    current->nlmsg_len = NLMSG_LENGTH(length);
    memcpy(NLMSG_DATA(current), header, length);
}

static struct rtattr *attribute(int type, const void *data, size_t length)
{
    struct rtattr *made = (void *)((char *)current + NLMSG_ALIGN(current->nlmsg_len));
    made->rta_type = type;
    made->rta_len = RTA_LENGTH(length);
    if (length)
        memcpy(RTA_DATA(made), data, length);
    current->nlmsg_len = NLMSG_ALIGN(current->nlmsg_len) + RTA_ALIGN(made->rta_len);
    return made;
}

static void text(int type, const char *value) { attribute(type, value, strlen(value) + 1); }

static void close_nest(struct rtattr *nest)
{
    nest->rta_len = (char *)current + NLMSG_ALIGN(current->nlmsg_len) - (char *)nest;
}

/* Send what is queued and wait for the last message's ACK; the kernel answers errors in any case. */
static void flush(int socket_fd, const char *what)
{
    static char answer[1 << 16];
    if (!used)
        return;
    current->nlmsg_flags |= NLM_F_ACK;
    unsigned last = current->nlmsg_seq;
    if (send(socket_fd, buffer, used, 0) < 0)
        fail("send");
    used = queued = 0;
    for (;;) {
        int length = recv(socket_fd, answer, sizeof answer, 0);
        if (length < 0)
            fail("recv");
        for (struct nlmsghdr *h = (void *)answer; NLMSG_OK(h, length); h = NLMSG_NEXT(h, length)) {
            struct nlmsgerr *error = NLMSG_DATA(h);
            if (h->nlmsg_type != NLMSG_ERROR)
                continue;
            if (error->error) {
                errno = -error->error;
                fail(what);
            }
            if (h->nlmsg_seq == last)
                return;
        }
    }
}

static void end(int socket_fd, const char *what)
{
    used += NLMSG_ALIGN(current->nlmsg_len);
    if (++queued >= MESSAGES_PER_SEND)
        flush(socket_fd, what);
}

static int open_netlink(void)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK};
    int size = 8 << 20, made = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (made < 0 || bind(made, (void *)&address, sizeof address))
        fail("netlink socket");
    setsockopt(made, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    setsockopt(made, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    return made;
}

static void write_file(const char *path, const char *value)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, value, strlen(value)) < 0)
        fail(path);
    close(fd);
}

static const char *pin_path(int i)
{
    static char path[PATH];
    snprintf(path, sizeof path, "/run/netns/floor.%d", i);
    return path;
}

static const char *link_name(const char *prefix, int i)
{
    static char name[IFNAMSIZ];
    snprintf(name, sizeof name, "%s%d", prefix, i);
    return name;
}

static unsigned address_of(int bridge, int host) { return htonl(10u << 24 | (92u + bridge) << 16 | host); }

static void set_up(int socket_fd, int index, const char *label)
{
    struct ifinfomsg link = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    begin(RTM_NEWLINK, 0, &link, sizeof link);
    if (label)
        text(IFLA_IFALIAS, label);
    end(socket_fd, "link up");
}

static void add_address(int socket_fd, int index, unsigned address)
{
    struct ifaddrmsg header = {.ifa_family = AF_INET, .ifa_prefixlen = 16, .ifa_index = index};
    begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof header);
    attribute(IFA_LOCAL, &address, 4);
    attribute(IFA_ADDRESS, &address, 4);
    end(socket_fd, "address");
}

static void add_default_route(int socket_fd, int index, unsigned gateway)
{
    struct rtmsg header = {.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = 110,
                           .rtm_scope = RT_SCOPE_UNIVERSE, .rtm_type = RTN_UNICAST};
    begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof header);
    attribute(RTA_GATEWAY, &gateway, 4);
    attribute(RTA_OIF, &index, 4);
    end(socket_fd, "route");
}

/* A new pinned namespace with what can be done while we are in it; returns a descriptor of it. */
static int make_namespace(int i)
{
    const char *path = pin_path(i);
    if (unshare(CLONE_NEWNET))
        fail("unshare");
    int pin = open(path, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0);
    if (pin < 0 || mount("/proc/thread-self/ns/net", path, "", MS_BIND, NULL))
        fail(path);
    close(pin);
    write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
    int socket_fd = open_netlink();
    set_up(socket_fd, 1, "netapply:bench:container");
    flush(socket_fd, "loopback");
    close(socket_fd);
    int made = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (made < 0)
        fail("open namespace");
    return made;
}

static void make_bridge(int socket_fd, int bridge)
{
    struct ifinfomsg header = {0};
    begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof header);
    text(IFLA_IFNAME, link_name("fb", bridge));
    struct rtattr *info = attribute(IFLA_LINKINFO, NULL, 0);
    text(IFLA_INFO_KIND, "bridge");
    close_nest(info);
    end(socket_fd, "bridge");
    flush(socket_fd, "bridge");
    int index = if_nametoindex(link_name("fb", bridge));
    add_address(socket_fd, index, address_of(bridge, 1));
    set_up(socket_fd, index, "netapply:bench:network");
    flush(socket_fd, "bridge");
}

static void mac_of(unsigned char mac[6], int side, int i)
{
    unsigned char made[6] = {2, 66, side, i >> 16, i >> 8, i};
    memcpy(mac, made, 6);
}

/* One request makes the pair, puts the peer into its namespace and the host's end, up, into its bridge.
 * The label must follow: it is ignored at creation. */
static void make_veth(int socket_fd, int i, int bridge_index, int namespace_fd)
{
    unsigned char mac[6];
    struct ifinfomsg header = {.ifi_flags = IFF_UP, .ifi_change = IFF_UP}, peer = {0}, none = {0};
    begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof header);
    text(IFLA_IFNAME, link_name("fv", i));
    attribute(IFLA_MASTER, &bridge_index, 4);
    mac_of(mac, 1, i);
    attribute(IFLA_ADDRESS, mac, 6);
    struct rtattr *info = attribute(IFLA_LINKINFO, NULL, 0);
    text(IFLA_INFO_KIND, "veth");
    struct rtattr *data = attribute(IFLA_INFO_DATA, NULL, 0);
    struct rtattr *other = attribute(VETH_INFO_PEER, &peer, sizeof peer);
    text(IFLA_IFNAME, "eth0");
    mac_of(mac, 0, i);
    attribute(IFLA_ADDRESS, mac, 6);
    attribute(IFLA_NET_NS_FD, &namespace_fd, 4);
    close_nest(other);
    close_nest(data);
    close_nest(info);
    end(socket_fd, "veth");
    begin(RTM_NEWLINK, 0, &none, sizeof none);
    text(IFLA_IFNAME, link_name("fv", i));
    text(IFLA_IFALIAS, "netapply:bench:endpoint");
    end(socket_fd, "label");
}

static void publish(int first, int count, int bridges)
{
    FILE *nft = popen("nft -f -", "w");
    if (!nft)
        fail("nft");
    if (!first)
        fputs("table inet floor {\n map ports { type inet_proto . inet_service : ipv4_addr . inet_service; }\n"
              " chain pre { type nat hook prerouting priority -101;"
              " fib daddr type local dnat ip to meta l4proto . th dport map @ports; }\n"
              " chain out { type nat hook output priority -101;"
              " fib daddr type local dnat ip to meta l4proto . th dport map @ports; }\n"
              " chain post { type nat hook postrouting priority 99;"
              " ip saddr 10.92.0.0/15 ip daddr != 10.92.0.0/15 masquerade; }\n}\n", nft);
    fputs("add element inet floor ports {", nft);
    for (int i = first; i < first + count; i++)
        fprintf(nft, " tcp . %d comment \"netapply:bench/c%d\" : 10.%d.%d.%d . 80,", PORT_BASE + i, i, 92 + i % bridges,
                (i / bridges + 2) >> 8, (i / bridges + 2) & 255);
    fputs(" }\n", nft);
    if (pclose(nft))
        fail("nft -f");
}

static void up(int first, int count, int bridges)
{
    int *namespaces = malloc(count * sizeof *namespaces);
    int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), index[bridges];
    write_file("/proc/sys/net/ipv4/ip_forward", "1");
    int socket_fd = open_netlink();
    for (int b = 0; b < bridges; b++) {
        if (!first)
            make_bridge(socket_fd, b);
        index[b] = if_nametoindex(link_name("fb", b));
    }
    for (int i = 0; i < count; i++)
        namespaces[i] = make_namespace(first + i);
    if (setns(home, CLONE_NEWNET))
        fail("setns");
    for (int i = 0; i < count; i++)
        make_veth(socket_fd, first + i, index[(first + i) % bridges], namespaces[i]);
    flush(socket_fd, "veth");
    for (int i = 0; i < count; i++) {
        int bridge = (first + i) % bridges, host = (first + i) / bridges + 2;
        if (setns(namespaces[i], CLONE_NEWNET))
            fail("setns");
        int there = open_netlink(), eth0 = if_nametoindex("eth0");
        add_address(there, eth0, address_of(bridge, host));
        set_up(there, eth0, NULL);
        add_default_route(there, eth0, address_of(bridge, 1));
        flush(there, "inside");
        close(there);
    }
    if (setns(home, CLONE_NEWNET))
        fail("setns");
    publish(first, count, bridges);
}

static void down(int count, int bridges)
{
    struct ifinfomsg link = {0};
    if (system("nft delete table inet floor"))
        fail("nft delete");
    for (int i = 0; i < count; i++)
        if (umount2(pin_path(i), MNT_DETACH) || unlink(pin_path(i)))
            fail(pin_path(i));
    /* The kernel removes links later, in no promised order. */
    for (int i = count - 1; i >= 0; i--)
        while (if_nametoindex(link_name("fv", i)))
            usleep(500);
    int socket_fd = open_netlink();
    for (int b = 0; b < bridges; b++) {
        link.ifi_index = if_nametoindex(link_name("fb", b));
        begin(RTM_DELLINK, 0, &link, sizeof link);
        end(socket_fd, "delete bridge");
    }
    flush(socket_fd, "delete bridges");
    write_file("/proc/sys/net/ipv4/ip_forward", "0");
}

int main(int count, char **arguments)
{
    if (count == 5 && !strcmp(arguments[1], "up"))
        up(atoi(arguments[2]), atoi(arguments[3]), atoi(arguments[4]));
    else if (count == 4 && !strcmp(arguments[1], "down"))
        down(atoi(arguments[2]), atoi(arguments[3]));
    else {
        fputs("usage: floor up FIRST COUNT BRIDGES | floor down COUNT BRIDGES\n", stderr);
        return 2;
    }
    return 0;
}
