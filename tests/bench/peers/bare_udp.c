/*
 * A UDP echo server with nothing around it: recvmmsg, sendmmsg, and again. argv[1] is the port; 0: any.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BATCH = 64, ROOM = 2048 };

int main(int argc, char **argv)
{
    static unsigned char bytes[BATCH][ROOM];
    static struct sockaddr_in from[BATCH];
    static struct iovec pieces[BATCH];
    static struct mmsghdr messages[BATCH];
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;

    at.sin_port = htons((unsigned short)(argc > 1 ? atoi(argv[1]) : 0));
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) || getsockname(fd, (struct sockaddr *)&at, &n)) {
        perror("bare_udp");
        return 1;
    }
    printf("udp://127.0.0.1:%u\n", (unsigned)ntohs(at.sin_port));
    fflush(stdout);
    for (;;) {
        for (unsigned i = 0; i < BATCH; i++) {
            pieces[i] = (struct iovec){bytes[i], ROOM};
            messages[i].msg_hdr = (struct msghdr){
                .msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &pieces[i], .msg_iovlen = 1};
        }
        int received = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < received; i++)
            pieces[i].iov_len = messages[i].msg_len;
        for (int sent = 0, more; sent < received; sent += more)
            if ((more = sendmmsg(fd, messages + sent, (unsigned)(received - sent), 0)) < 0)
                more = 1; /* the one that can't be sent */
    }
}
