/* SPDX-License-Identifier: MIT */
/* Byte order, texts and types: what this compiler, this libc and this machine make of them. */
#include "lab/sockets/addresses_internal.h"

#include "lab/sockets/given.h"
#include "term/escape.h"
#include "term/translate.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* ---- byte order */

static void show_number(struct lab *lab, const char *type, const char *value, const void *host, const void *network,
                        size_t n_bytes)
{
    char text[64];

    lab_cell(lab, "%s", type);
    lab_cell(lab, "%s", value);
    bytes_as_hex(host, n_bytes, text, sizeof(text));
    lab_cell(lab, "%s", text);
    bytes_as_hex(network, n_bytes, text, sizeof(text));
    lab_cell(lab, "%s", text);
}

void addresses_order(struct lab *lab)
{
    static const char *const heads[] = {N_("type"), N_("number"), N_("in memory"), N_("after htons, htonl")};
    const uint16_t port = 7007, port_network = htons(port);
    const uint16_t small = 0x0102, small_network = htons(small);
    const uint32_t large = 0x01020304, large_network = htonl(large);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(7007)};
    const uint8_t *in_address = (const uint8_t *)&address.sin_port;

    lab_say(lab, _("Numbers, byte by byte:"));
    lab_table(lab, 4, heads);
    show_number(lab, "uint16_t", "0x0102", &small, &small_network, sizeof(small));
    show_number(lab, "uint16_t", "7007 = 0x1b5f", &port, &port_network, sizeof(port));
    show_number(lab, "uint32_t", "0x01020304", &large, &large_network, sizeof(large));
    lab_table_end(lab);
    if (in_address[0] == 0x1b && in_address[1] == 0x5f)
        lab_answer(lab, "a");
    else if (in_address[0] == 0x5f && in_address[1] == 0x1b)
        lab_answer(lab, "b");
    else
        lab_answer(lab, "%02x %02x", in_address[0], in_address[1]);
}

/* ---- text and binary */

static void show_text(struct lab *lab, const char *text)
{
    struct in_addr address;
    char shown[INET_ADDRSTRLEN];

    lab_cell(lab, "\"%s\"", text);
    if (inet_pton(AF_INET, text, &address) == 1)
        lab_cell(lab, "%s", inet_ntop(AF_INET, &address, shown, sizeof(shown)));
    else
        lab_cell(lab, "%s", _("refused"));
    if (inet_aton(text, &address))
        lab_cell(lab, "%s", inet_ntop(AF_INET, &address, shown, sizeof(shown)));
    else
        lab_cell(lab, "%s", _("refused"));
    lab_cell(lab, "0x%x", inet_addr(text));
}

void addresses_text(struct lab *lab)
{
    static const char *const heads[] = {N_("text"), "inet_pton", "inet_aton", "inet_addr"};
    static const char *const texts[] = {"127.0.0.1", "127.1",           "010.0.0.1", "0x7f.1",
                                        "1.2.3.4 x", "255.255.255.255", "256.0.0.1"};

    lab_say(lab, _("Texts, as three functions read them (inet_ntop writes what they made of it):"));
    lab_table(lab, 4, heads);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        show_text(lab, texts[i]);
    lab_table_end(lab);
    if (inet_addr("255.255.255.255") == inet_addr("256.0.0.1"))
        lab_say(lab, _("inet_addr gives 0x%x for 255.255.255.255 and for what is no address at all."),
                inet_addr("256.0.0.1"));
}

static void given_row(struct lab *lab, const char *what, const char *value)
{
    lab_cell(lab, "%s", what);
    lab_cell(lab, "%s", value);
}

static void show_given(struct lab *lab, const struct given *given, const char *typed)
{
    const char *const heads[] = {N_("your address"), typed};
    const struct sockaddr_in *in = (const struct sockaddr_in *)&given->address;
    const char *family = "AF_UNIX";
    char text[400], line[64], port[8];

    lab_table(lab, 2, heads);
    if (given->binary)
        family = given->n_binary == sizeof(struct in_addr) ? "AF_INET" : "AF_INET6";
    given_row(lab, _("family"), family);
    if (given->binary) {
        bytes_as_hex(given->binary, given->n_binary, text, sizeof(text));
        given_row(lab, _("binary"), text);
        lab_figure_text(lab, "C15", "given_binary", text);
    }
    if (given->has_port) {
        bytes_as_hex(&in->sin_port, sizeof(in->sin_port), port, sizeof(port)); /* sin6_port stands at the same place */
        snprintf(line, sizeof(line), "%u: %s", ntohs(in->sin_port), port);
        given_row(lab, _("port"), line);
    }
    escape_short(given->text, strlen(given->text), text, sizeof(text));
    given_row(lab, _("back to text"), text);
    lab_figure_text(lab, "C15", "given_text", text);
    given_row(lab, _("it is"), _(given->kind));
    snprintf(line, sizeof(line), "%u", given->n_bytes);
    given_row(lab, _("sockaddr bytes"), line);
    bytes_as_hex(&given->address, given->n_bytes, text, sizeof(text));
    size_t n_shown = given->binary ? strlen(text) : 0;
    if (n_shown > 0 && n_shown <= 48)
        given_row(lab, _("all of it"), text);
    lab_table_end(lab);
    if (given->only_aton)
        lab_footnote(lab, _("Only inet_aton and inet_addr read this; inet_pton refuses it."));
}

void addresses_given(struct lab *lab, const char *given)
{
    struct given parsed;
    const char *why;
    char typed[4 * GIVEN_TEXT_MAX];

    escape_short(given, strlen(given), typed, sizeof(typed));
    lab_figure_text(lab, "C15", "given", typed);
    if (given_parse(given, &parsed, &why)) {
        show_given(lab, &parsed, typed);
        return;
    }
    lab_say(lab, _("\"%s\" is no address: %s."), typed, _(why));
    lab_figure_text(lab, "C15", "given_wrong", why);
}

/* ---- types */

#define TYPE_NAME(type)                                                                                                \
    _Generic((type)0, unsigned char                                                                                    \
             : "unsigned char", unsigned short                                                                         \
             : "unsigned short", int                                                                                   \
             : "int", unsigned int                                                                                     \
             : "unsigned int", long                                                                                    \
             : "long", unsigned long                                                                                   \
             : "unsigned long", default                                                                                \
             : "?")

#define TYPE_ROW(type)                                                                                                 \
    {                                                                                                                  \
#type, TYPE_NAME(type), sizeof(type), (type)-1 < (type)1                                                       \
    }

struct type_row {
    const char *name, *is;
    size_t n_bytes;
    bool is_signed;
};

/* In the order of C66's three, size_t before them. */
static const struct type_row types[] = {
    TYPE_ROW(size_t),    TYPE_ROW(ssize_t),   TYPE_ROW(in_addr_t),
    TYPE_ROW(socklen_t), TYPE_ROW(in_port_t), TYPE_ROW(sa_family_t),
};

static void judge_types(struct lab *lab)
{
    static const char *const stated[] = {"unsigned int", "int", "unsigned long", "unsigned int"};
    unsigned n_right = 0;

    for (int i = 1; i < 4; i++) {
        n_right += strcmp(types[i].is, stated[i]) == 0;
        lab_figure_text(lab, "C66", types[i].name, types[i].is);
    }
    lab_figure_text(lab, "C31", "size_t", types[0].is);
    lab_figure(lab, "C31", "size_t_bytes", (double)types[0].n_bytes);
    lab_figure(lab, "C66", "n_right", n_right);
    if (strcmp(types[0].is, stated[0]) == 0)
        lab_verdict(lab, "C31", LAB_TRUE, _("It is %s here, with %zu bytes; on 64-bit Linux it is unsigned long."),
                    types[0].is, types[0].n_bytes);
    else
        lab_verdict(
            lab, "C31", LAB_FALSE,
            _("It is %s here, %zu bytes (unsigned int has %zu). Print it with %%zu, which is right on every machine."),
            types[0].is, types[0].n_bytes, sizeof(unsigned int));
    lab_verdict(lab, "C66", n_right == 3 ? LAB_TRUE : LAB_FALSE,
                _("ssize_t is %s (%zu bytes), in_addr_t is %s (%zu), socklen_t is %s (%zu): %u of 3 as stated."),
                types[1].is, types[1].n_bytes, types[2].is, types[2].n_bytes, types[3].is, types[3].n_bytes, n_right);
}

void addresses_types(struct lab *lab)
{
    static const char *const heads[] = {N_("type"), N_("is"), N_("bytes"), N_("signed")};

    lab_say(lab, _("Types, as the compiler of this program has them:"));
    lab_table(lab, 4, heads);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        lab_cell(lab, "%s", types[i].name);
        lab_cell(lab, "%s", types[i].is);
        lab_cell(lab, "%zu", types[i].n_bytes);
        lab_cell(lab, "%s", types[i].is_signed ? _("yes") : _("no"));
    }
    lab_table_end(lab);
    judge_types(lab);
}
