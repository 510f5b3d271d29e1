// SPDX-License-Identifier: MIT
//
// The network of minivmm run --net. What DHCP would say is known, as the other side is minivmm -nic
// user with its defaults (docs/network.md).
#include <errno.h>
#include <linux/fcntl.h>
#include <linux/if.h>
#include <linux/route.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "init.h"

#define NET_WAIT_MS 10000

static struct sockaddr ipv4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET};
    struct sockaddr address;
    const uint8_t bytes[] = {a, b, c, d};
    memcpy(&in4.sin_addr, bytes, sizeof bytes);
    memcpy(&address, &in4, sizeof address);
    return address;
}

static long raise_interface(int fd, const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_UP | IFF_RUNNING};
    memcpy(request.ifr_name, name, strlen(name));
    return SYS3(ioctl, fd, SIOCSIFFLAGS, &request);
}

/* Its driver may still be at work when the module is in. */
static long set_address(int fd)
{
    struct ifreq request = {.ifr_name = "eth0", .ifr_addr = ipv4(10, 0, 2, 15)};
    long rc = -ENODEV;
    for (int ms = 0; ms < NET_WAIT_MS && rc == -ENODEV; ms++) {
        rc = SYS3(ioctl, fd, SIOCSIFADDR, &request);
        if (rc == -ENODEV)
            sleep_ms(1);
    }
    request.ifr_netmask = ipv4(255, 255, 255, 0);
    return rc < 0 ? rc : SYS3(ioctl, fd, SIOCSIFNETMASK, &request);
}

static int open_socket(void)
{
    return (int)SYS3(socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

void net_start_loopback(void)
{
    int fd = open_socket();
    if (fd < 0)
        return;
    raise_interface(fd, "lo");
    sys_close(fd);
}

long net_start(void)
{
    struct rtentry route = {.rt_dst = ipv4(0, 0, 0, 0), .rt_genmask = ipv4(0, 0, 0, 0),
                            .rt_gateway = ipv4(10, 0, 2, 2), .rt_flags = RTF_UP | RTF_GATEWAY};
    int fd = open_socket();
    if (fd < 0)
        return fd;
    long rc = set_address(fd);
    if (rc >= 0)
        rc = raise_interface(fd, "eth0");
    if (rc >= 0)
        rc = SYS3(ioctl, fd, SIOCADDRT, &route);
    sys_close(fd);
    return rc;
}

/* The host's own name server may be one that only the host can reach. */
void net_name_server(const char *path)
{
    static const char text[] = "nameserver 10.0.2.3\n";
    SYS1(unlink, path);
    int fd = sys_open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC);
    if (fd < 0)
        return;
    SYS2(fchmod, fd, 0644);
    sys_write(fd, text, sizeof text - 1);
    sys_close(fd);
}
