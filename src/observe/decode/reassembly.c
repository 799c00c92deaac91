/* SPDX-License-Identifier: MIT */
/*
 * IP fragments put together again.
 *
 * A packet's fragments are known by its addresses, its id and, for IPv4, its protocol. Each is copied to its place,
 * and two maps of a bit for each 8 bytes, the unit in which fragments count, say which places are taken and where a
 * fragment began. Once the taken bytes are as many as the last fragment says there are, the packet is whole: the header
 * of the first fragment is put before it, without what made it a fragment, and it is decoded like any other.
 *
 * Fragments that overlap are an attack or a mistake, and nobody can say which of the bytes count: the packet is given
 * up, and what still comes of it is thrown away (RFC 5722). A fragment that just comes twice is passed over (RFC 8200,
 * 4.5). For that, a packet that is whole is kept until its place is wanted.
 */
#include "observe/decode/decode_internal.h"

#include <stdlib.h>

#define DATA_MAX 65535
#define HEADERS_MAX 256 /* before the part that was cut up */
#define UNIT_BYTES 8
#define N_UNITS ((DATA_MAX + UNIT_BYTES) / UNIT_BYTES)
#define MAP_WORDS ((N_UNITS + 63) / 64)

enum slot_state {
    SLOT_FREE,
    SLOT_OPEN,   /* fragments are missing */
    SLOT_WHOLE,  /* was handed out; its buffer is as it arrived */
    SLOT_BROKEN, /* given up; swallows what still comes */
};

struct key {
    struct decode_address source, destination;
    uint32_t id;
    uint8_t version, protocol;
};

struct slot {
    uint8_t state; /* enum slot_state */
    struct key key;
    int64_t first_ns;
    uint32_t n_header;        /* 0: the first fragment has not come */
    uint32_t n_data, n_total; /* so far; and of the whole, 0: the last fragment has not come */
    uint32_t highest;         /* end of the farthest fragment */
    uint64_t taken[MAP_WORDS], begins[MAP_WORDS];
    uint8_t header[HEADERS_MAX];
    uint8_t *buffer; /* HEADERS_MAX of room for the headers, then the data */
    uint32_t size_bytes;
};

struct reassembly {
    uint64_t n_lost;
    struct slot slots[DECODE_REASSEMBLIES_MAX];
};

struct reassembly *reassembly_new(void)
{
    return calloc(1, sizeof(struct reassembly));
}

void reassembly_free(struct reassembly *reassembly)
{
    if (reassembly == NULL)
        return;
    for (size_t i = 0; i < DECODE_REASSEMBLIES_MAX; i++)
        free(reassembly->slots[i].buffer);
    free(reassembly);
}

uint64_t reassembly_n_lost(const struct reassembly *reassembly)
{
    return reassembly->n_lost;
}

/* Nothing of it is needed any more. */
static void empty(struct slot *slot)
{
    free(slot->buffer);
    memset(slot, 0, sizeof *slot);
}

static void give_up(struct reassembly *reassembly, struct slot *slot)
{
    if (slot->state == SLOT_OPEN)
        reassembly->n_lost++;
    slot->state = SLOT_BROKEN;
    free(slot->buffer);
    slot->buffer = NULL;
    slot->size_bytes = 0;
}

static void expire(struct reassembly *reassembly, int64_t t_ns)
{
    for (size_t i = 0; i < DECODE_REASSEMBLIES_MAX; i++) {
        struct slot *slot = &reassembly->slots[i];
        if (slot->state == SLOT_FREE || t_ns - slot->first_ns < DECODE_REASSEMBLY_NS)
            continue;
        if (slot->state == SLOT_OPEN)
            reassembly->n_lost++;
        empty(slot);
    }
}

static bool same_key(const struct key *a, const struct key *b)
{
    return a->id == b->id && a->version == b->version && a->protocol == b->protocol &&
           memcmp(&a->source, &b->source, sizeof a->source) == 0 &&
           memcmp(&a->destination, &b->destination, sizeof a->destination) == 0;
}

/* Which of two may go? One that nothing is lost with before one that is open, the older before the younger. */
static bool goes_before(const struct slot *a, const struct slot *b)
{
    if ((a->state == SLOT_OPEN) != (b->state == SLOT_OPEN))
        return b->state == SLOT_OPEN;
    return a->first_ns < b->first_ns;
}

static struct slot *find(struct reassembly *reassembly, const struct key *key)
{
    for (size_t i = 0; i < DECODE_REASSEMBLIES_MAX; i++) {
        struct slot *slot = &reassembly->slots[i];
        if (slot->state != SLOT_FREE && same_key(&slot->key, key))
            return slot;
    }
    return NULL;
}

static void begin(struct slot *slot, const struct key *key, int64_t t_ns)
{
    empty(slot);
    slot->state = SLOT_OPEN;
    slot->key = *key;
    slot->first_ns = t_ns;
}

static struct slot *make_room(struct reassembly *reassembly)
{
    struct slot *best = &reassembly->slots[0];

    for (size_t i = 0; i < DECODE_REASSEMBLIES_MAX; i++) {
        struct slot *slot = &reassembly->slots[i];
        if (slot->state == SLOT_FREE)
            return slot;
        if (goes_before(slot, best))
            best = slot;
    }
    if (best->state == SLOT_OPEN)
        reassembly->n_lost++;
    return best;
}

static bool bit(const uint64_t *map, uint32_t unit)
{
    return map[unit / 64] >> (unit % 64) & 1;
}

static void set_bit(uint64_t *map, uint32_t unit)
{
    map[unit / 64] |= UINT64_C(1) << (unit % 64);
}

/* What one fragment brings. */
struct piece {
    const uint8_t *data, *header;
    uint32_t n_header;
    uint32_t from, to; /* in the packet */
    bool last;
};

enum fit { FITS, IS_THERE, OVERLAPS };

static enum fit how_it_fits(const struct slot *slot, const struct piece *piece)
{
    uint32_t first = piece->from / UNIT_BYTES, end = (piece->to + UNIT_BYTES - 1) / UNIT_BYTES;
    uint32_t n_taken = 0, n_begins = 0;

    for (uint32_t unit = first; unit < end; unit++) {
        n_taken += bit(slot->taken, unit);
        n_begins += bit(slot->begins, unit);
    }
    if (n_taken == 0)
        return FITS;
    /* The same again: one fragment began here, and ended where this one does. */
    bool same_place = n_taken == end - first && n_begins == 1 && bit(slot->begins, first);
    bool same_end = end >= N_UNITS || !bit(slot->taken, end) || bit(slot->begins, end);
    bool same_last = piece->last ? slot->n_total == piece->to : slot->n_total == 0 || piece->to < slot->n_total;
    if (!same_place || !same_end || !same_last)
        return OVERLAPS;
    const uint8_t *there = slot->buffer + HEADERS_MAX + piece->from;
    return memcmp(there, piece->data, piece->to - piece->from) == 0 ? IS_THERE : OVERLAPS;
}

static bool grow(struct slot *slot, uint32_t n_data)
{
    uint32_t size_bytes = slot->size_bytes > 0 ? slot->size_bytes : 4096;

    while (size_bytes < HEADERS_MAX + n_data)
        size_bytes *= 2;
    if (size_bytes == slot->size_bytes)
        return true;
    uint8_t *buffer = realloc(slot->buffer, size_bytes);
    if (buffer == NULL)
        return false;
    slot->buffer = buffer;
    slot->size_bytes = size_bytes;
    return true;
}

/* Do its bounds agree with each other, and with what came before? */
static bool is_sound(const struct slot *slot, const struct piece *piece)
{
    uint32_t n_bytes = piece->to - piece->from;

    if (piece->to <= piece->from || piece->to > DATA_MAX || piece->n_header > HEADERS_MAX)
        return false;
    if (piece->last)
        return piece->to >= slot->highest && (slot->n_total == 0 || slot->n_total == piece->to);
    return n_bytes % UNIT_BYTES == 0 && (slot->n_total == 0 || piece->to <= slot->n_total);
}

static void put(struct slot *slot, const struct piece *piece)
{
    memcpy(slot->buffer + HEADERS_MAX + piece->from, piece->data, piece->to - piece->from);
    set_bit(slot->begins, piece->from / UNIT_BYTES);
    for (uint32_t unit = piece->from / UNIT_BYTES; unit * UNIT_BYTES < piece->to; unit++)
        set_bit(slot->taken, unit);
    slot->n_data += piece->to - piece->from;
    if (piece->to > slot->highest)
        slot->highest = piece->to;
    if (piece->last)
        slot->n_total = piece->to;
    if (piece->from == 0) {
        memcpy(slot->header, piece->header, piece->n_header);
        slot->n_header = piece->n_header;
    }
}

static void put_be16(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

/* The first fragment's header becomes that of the whole packet. */
static bool rebuild_header(struct slot *slot)
{
    uint32_t n_bytes = slot->n_header + slot->n_total;
    uint8_t *header = slot->buffer + HEADERS_MAX - slot->n_header;

    if (n_bytes - (slot->key.version == 6 ? IPV6_BYTES : 0) > DATA_MAX)
        return false;
    memcpy(header, slot->header, slot->n_header);
    if (slot->key.version == 6) {
        put_be16(header + 4, n_bytes - IPV6_BYTES);
        return true;
    }
    put_be16(header + 2, n_bytes);
    header[6] &= 0x40; /* "do not fragment" may stay */
    header[7] = 0;
    put_be16(header + 10, 0);
    put_be16(header + 10, (uint16_t)~checksum_sum(header, slot->n_header));
    return true;
}

static bool finish(struct slot *slot, const struct decoded *fragment, struct decoded *ret_decoded)
{
    struct decoded whole;
    uint16_t link_type = slot->key.version == 6 ? TYPE_IPV6 : TYPE_IPV4;
    uint32_t n_bytes = slot->n_header + slot->n_total;

    if (!rebuild_header(slot))
        return false;
    decode_packet(link_type, slot->buffer + HEADERS_MAX - slot->n_header, n_bytes, n_bytes, DECODE_CHECK_CHECKSUMS,
                  &whole);
    whole.n_vlans = fragment->n_vlans;
    memcpy(whole.vlan, fragment->vlan, sizeof whole.vlan);
    whole.ip_id = fragment->ip_id;
    whole.trouble |= fragment->trouble & DECODE_TUNNEL;
    *ret_decoded = whole;
    return true;
}

/* The header as the rebuilt packet wants it, in a buffer: for IPv6, what is before the fragment header, pointing past
 * it. */
static void piece_of(const struct ip_header *ip, const uint8_t *data, uint8_t header[HEADERS_MAX],
                     struct piece *ret_piece)
{
    uint32_t header_end = ip->version == 6 ? ip->fragment_at : ip->fragment_data;
    uint32_t n_header = header_end - ip->offset;

    *ret_piece = (struct piece){
        .data = data + ip->fragment_data,
        .header = header,
        .n_header = n_header,
        .from = ip->fragment_offset,
        .to = ip->fragment_offset + (ip->end - ip->fragment_data),
        .last = !ip->more_fragments,
    };
    if (n_header > HEADERS_MAX)
        return;
    memcpy(header, data + ip->offset, n_header);
    if (ip->version == 6)
        header[ip->fragment_next - ip->offset] = data[ip->fragment_at];
}

/* True: it has made its packet whole. */
static bool add_piece(struct reassembly *reassembly, struct slot *slot, const struct piece *piece)
{
    if (!is_sound(slot, piece)) {
        give_up(reassembly, slot);
        return false;
    }
    enum fit fit = how_it_fits(slot, piece);
    if (fit == IS_THERE)
        return false;
    if (fit == OVERLAPS || !grow(slot, piece->to)) {
        give_up(reassembly, slot);
        return false;
    }
    put(slot, piece);
    return slot->n_total > 0 && slot->n_data == slot->n_total;
}

static struct slot *slot_for(struct reassembly *reassembly, const struct key *key, const struct piece *piece,
                             int64_t t_ns)
{
    struct slot *slot = find(reassembly, key);

    if (slot == NULL) {
        slot = make_room(reassembly);
        begin(slot, key, t_ns);
    } else if (slot->state == SLOT_WHOLE) {
        /* A latecomer of the one that is whole, or the first of another packet with the same id? */
        bool late = is_sound(slot, piece) && how_it_fits(slot, piece) == IS_THERE;
        if (late)
            return NULL;
        begin(slot, key, t_ns);
    }
    return slot->state == SLOT_OPEN ? slot : NULL;
}

bool reassembly_add(struct reassembly *reassembly, int64_t t_ns, const struct decoded *fragment, const void *data,
                    size_t n_captured, struct decoded *ret_decoded)
{
    uint32_t n_bytes = (uint32_t)(n_captured < BYTES_MAX ? n_captured : BYTES_MAX);
    struct bytes bytes = {data, n_bytes, n_bytes};
    uint8_t header[HEADERS_MAX];
    struct ip_header ip;
    struct piece piece;

    expire(reassembly, t_ns);
    if (fragment->network != DECODE_IPV4 && fragment->network != DECODE_IPV6)
        return false;
    unsigned version = fragment->network == DECODE_IPV4 ? 4 : 6;
    uint32_t wire_end = fragment->network_offset + fragment->ip_bytes;
    if (!ip_parse(&bytes, fragment->network_offset, wire_end, version, &ip) || !ip.is_fragment)
        return false;
    struct key key = {
        .source = fragment->source,
        .destination = fragment->destination,
        .id = ip.id,
        .version = (uint8_t)version,
        .protocol = version == 4 ? bytes.data[ip.offset + 9] : 0,
    };
    bool all_there = ip.end <= n_bytes && (version == 6 || ip.offset + ip.header_bytes <= n_bytes);
    if (!all_there)
        piece = (struct piece){0}; /* without all of its bytes the packet cannot become whole */
    else
        piece_of(&ip, data, header, &piece);
    struct slot *slot = slot_for(reassembly, &key, &piece, t_ns);
    if (slot == NULL || !add_piece(reassembly, slot, &piece))
        return false;
    if (!finish(slot, fragment, ret_decoded)) {
        give_up(reassembly, slot);
        return false;
    }
    slot->state = SLOT_WHOLE;
    return true;
}
