/*
 * Writes a capture of TCP conversations, always the same for the same numbers: pcap, Ethernet, IPv4, nanoseconds.
 *
 *     packets PACKETS CONVERSATIONS FILE
 *
 * Each conversation is complete, from SYN to FIN or RST, and has PACKETS/CONVERSATIONS packets; so many are under way
 * at a time, mixed, as from a busy server. Clients ask in one segment, servers answer in one or several. In every
 * eighth conversation segments are lost now and then: acknowledgements repeat, with SACK blocks, and the segment comes
 * again. Options are those of Linux, checksums are right.
 *
 * A conversation queues an exchange at a time (its packets, in order) and gives one packet whenever it is its turn.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ACTIVE = 128, /* conversations under way at a time */
    QUEUE = 64,
    MSS = 1448, /* with timestamps in each segment */
    ETHERNET = 14,
    IP_BYTES = 20,
    TCP_BYTES = 20,
    OPTIONS_MAX = 40,
    SERVER_PORT = 7007, /* one that belongs to no protocol above, which others would dissect */
    FIN = 1,
    SYN = 2,
    RST = 4,
    PSH = 8,
    ACK = 16,
};

enum side { CLIENT, SERVER };

struct segment {
    enum side from;
    uint8_t flags;
    uint16_t length;
    uint32_t seq, ack;
    uint32_t sack_left, sack_right; /* equal: no block */
};

struct conversation {
    unsigned number;
    unsigned left;      /* packets still to come, those in the queue included */
    uint32_t next[2];   /* the sequence number each side sends next */
    uint32_t echoed[2]; /* the timestamp each side saw last */
    uint16_t id[2];
    struct segment queue[QUEUE];
    unsigned first, last;
    bool lossy;
};

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 32) * limit >> 32);
}

/* --- a conversation ------------------------------------------------------------------------------------------- */

static struct segment *push(struct conversation *c, enum side from, uint8_t flags, unsigned length)
{
    struct segment *s = &c->queue[c->last++];
    *s = (struct segment){.from = from, .flags = flags, .length = (uint16_t)length, .seq = c->next[from]};
    s->ack = flags & ACK ? c->next[!from] : 0;
    c->next[from] += length + (flags & (SYN | FIN) ? 1 : 0);
    return s;
}

static void begin(struct conversation *c, unsigned number, unsigned packets)
{
    *c = (struct conversation){.number = number, .left = packets, .lossy = number % 8 == 3};
    c->next[CLIENT] = 1000003u * (number + 1);
    c->next[SERVER] = 2750159u * (number + 7);
    push(c, CLIENT, SYN, 0);
    push(c, SERVER, SYN | ACK, 0);
    push(c, CLIENT, ACK, 0);
}

static void end(struct conversation *c)
{
    if (c->number % 16 == 5) {
        push(c, CLIENT, ACK, 0);
        push(c, SERVER, FIN | ACK, 0);
        push(c, CLIENT, RST | ACK, 0);
        return;
    }
    push(c, CLIENT, FIN | ACK, 0);
    push(c, SERVER, FIN | ACK, 0);
    push(c, CLIENT, ACK, 0);
}

/* Eight segments whose second is lost behind the place of capture: three repeated acknowledgements bring it again. */
static void answer_with_loss(struct conversation *c)
{
    uint32_t lost = c->next[SERVER] + MSS;
    push(c, SERVER, ACK, MSS);
    push(c, SERVER, ACK, MSS);
    push(c, CLIENT, ACK, 0)->ack = lost;
    for (int i = 0; i < 3; i++) {
        push(c, SERVER, ACK, MSS);
        struct segment *repeated = push(c, CLIENT, ACK, 0);
        repeated->ack = lost;
        repeated->sack_left = lost + MSS;
        repeated->sack_right = c->next[SERVER];
    }
    struct segment *again = push(c, SERVER, ACK | PSH, 0);
    again->seq = lost;
    again->length = MSS;
    push(c, CLIENT, ACK, 0);
}

static void answer(struct conversation *c, unsigned room)
{
    /* Two of three answers are one short segment; the others are up to ten full ones, every second acknowledged. */
    unsigned segments = random_below(3) ? 1 : 2 + random_below(9);
    if (segments + segments / 2 + 1 > room)
        segments = 1;
    for (unsigned i = 1; i < segments; i++) {
        push(c, SERVER, ACK, MSS);
        if (i % 2 == 0)
            push(c, CLIENT, ACK, 0);
    }
    push(c, SERVER, ACK | PSH, 20 + random_below(400));
}

static void refill(struct conversation *c)
{
    enum { END = 3, LOSSY = 11 };
    c->first = c->last = 0;
    if (c->left <= END) {
        end(c);
    } else if (c->left < END + 2) {
        push(c, CLIENT, ACK, 0);
    } else {
        push(c, CLIENT, ACK | PSH, 16 + random_below(300));
        if (c->lossy && c->left > END + 1 + LOSSY && random_below(32) == 0)
            answer_with_loss(c);
        else
            answer(c, c->left - END - 1);
    }
}

/* --- bytes ---------------------------------------------------------------------------------------------------- */

static void put16(unsigned char *at, unsigned value)
{
    at[0] = (unsigned char)(value >> 8);
    at[1] = (unsigned char)value;
}

static void put32(unsigned char *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value & 0xffff);
}

static uint64_t sum16(const unsigned char *bytes, size_t n)
{
    uint64_t sum = 0;
    for (; n > 1; n -= 2, bytes += 2)
        sum += (unsigned)bytes[0] << 8 | bytes[1];
    return n ? sum + ((unsigned)bytes[0] << 8) : sum;
}

static unsigned folded(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (unsigned)~sum & 0xffff;
}

static unsigned put_options(unsigned char *at, const struct segment *s, uint32_t stamp, uint32_t echoed)
{
    unsigned n = 0;
    if (s->flags & SYN) {
        static const unsigned char mss_sack[] = {2, 4, 5, 180, 4, 2};
        memcpy(at, mss_sack, sizeof mss_sack);
        n = sizeof mss_sack;
    } else {
        at[n++] = 1;
        at[n++] = 1;
    }
    at[n++] = 8;
    at[n++] = 10;
    put32(at + n, stamp);
    put32(at + n + 4, echoed);
    n += 8;
    if (s->flags & SYN) {
        static const unsigned char scale[] = {1, 3, 3, 7};
        memcpy(at + n, scale, sizeof scale);
        n += sizeof scale;
    }
    if (s->sack_left != s->sack_right) {
        static const unsigned char sack[] = {1, 1, 5, 10};
        memcpy(at + n, sack, sizeof sack);
        put32(at + n + 4, s->sack_left);
        put32(at + n + 8, s->sack_right);
        n += 12;
    }
    return n;
}

static unsigned put_tcp(unsigned char *tcp, struct conversation *c, const struct segment *s, uint32_t stamp)
{
    unsigned port = 20000 + c->number % 40000;
    put16(tcp, s->from == CLIENT ? port : SERVER_PORT);
    put16(tcp + 2, s->from == CLIENT ? SERVER_PORT : port);
    put32(tcp + 4, s->seq);
    put32(tcp + 8, s->ack);
    unsigned header = TCP_BYTES + put_options(tcp + TCP_BYTES, s, stamp, c->echoed[s->from]);
    tcp[12] = (unsigned char)(header / 4 << 4);
    tcp[13] = s->flags;
    put16(tcp + 14, s->flags & SYN ? 64240 : 501);
    put32(tcp + 16, 0);
    for (unsigned i = 0; i < s->length; i++)
        tcp[header + i] = (unsigned char)('a' + (s->seq + i) % 26);
    return header + s->length;
}

static unsigned put_frame(unsigned char *frame, struct conversation *c, const struct segment *s, uint32_t stamp)
{
    static const unsigned char ethernet[ETHERNET] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0};
    unsigned char *ip = frame + ETHERNET, *tcp = ip + IP_BYTES;
    uint32_t client = 0x0a000000 + 256 + c->number % 60000, server = 0xc0000201; /* 10.0.x.x, 192.0.2.1 */
    unsigned length = put_tcp(tcp, c, s, stamp);
    memcpy(frame, ethernet, sizeof ethernet);
    memset(ip, 0, IP_BYTES);
    ip[0] = 0x45;
    put16(ip + 2, IP_BYTES + length);
    put16(ip + 4, c->id[s->from]++);
    ip[6] = 0x40;
    ip[8] = 64;
    ip[9] = 6;
    put32(ip + 12, s->from == CLIENT ? client : server);
    put32(ip + 16, s->from == CLIENT ? server : client);
    put16(ip + 10, folded(sum16(ip, IP_BYTES)));
    put16(tcp + 16, folded(sum16(ip + 12, 8) + 6 + length + sum16(tcp, length)));
    return ETHERNET + IP_BYTES + length;
}

static bool write_packet(FILE *file, struct conversation *c, uint64_t time_ns)
{
    unsigned char frame[ETHERNET + IP_BYTES + TCP_BYTES + OPTIONS_MAX + MSS];
    const struct segment *s = &c->queue[c->first++];
    uint32_t stamp = (uint32_t)(time_ns / 1000000);
    unsigned length = put_frame(frame, c, s, stamp);
    c->echoed[!s->from] = stamp;
    c->left--;
    uint32_t head[4] = {(uint32_t)(time_ns / 1000000000), (uint32_t)(time_ns % 1000000000), length, length};
    return fwrite(head, sizeof head, 1, file) == 1 && fwrite(frame, length, 1, file) == 1;
}

static bool write_all(FILE *file, unsigned long packets, unsigned conversations)
{
    static struct conversation active[ACTIVE];
    unsigned begun = 0, share = (unsigned)(packets / conversations);
    const uint32_t magic[6] = {0xa1b23c4d, 4u << 16 | 2, 0, 0, 65535, 1};
    uint64_t time_ns = 1700000000ull * 1000000000;
    bool well = fwrite(magic, sizeof magic, 1, file) == 1;
    for (unsigned long left = (unsigned long)share * conversations; left && well; left--) {
        struct conversation *c = &active[random_below(ACTIVE)];
        while (c->left == 0 && begun == conversations)
            c = c + 1 == active + ACTIVE ? active : c + 1;
        if (c->left == 0)
            begin(c, begun++, share);
        else if (c->first == c->last)
            refill(c);
        time_ns += 500 + random_below(9000);
        well = write_packet(file, c, time_ns);
    }
    return well;
}

int main(int argc, char **argv)
{
    unsigned long packets = argc == 4 ? strtoul(argv[1], NULL, 10) : 0;
    unsigned long conversations = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
    if (conversations == 0 || conversations > 40000 || packets / conversations < 8 || packets > 100000000) {
        fprintf(stderr, "usage: packets PACKETS CONVERSATIONS FILE\n");
        return 2;
    }
    FILE *file = fopen(argv[3], "we");
    bool well = file && write_all(file, packets, (unsigned)conversations);
    if (file && fclose(file))
        well = false;
    if (!well)
        fprintf(stderr, "packets: %s: %s\n", argv[3], strerror(errno));
    return well ? 0 : 1;
}
