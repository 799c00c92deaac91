/* SPDX-License-Identifier: MIT */
/*
 * Capture filters (pcap-filter(7)). libpcap compiles and runs them; it is opened when the first filter is given, and
 * only then. The program depends on the link type, so it is compiled once for each that occurs; what cannot be compiled
 * for one of them (an Ethernet address where there is no Ethernet) matches no packet of it.
 */
#include "observe/capture/filter_internal.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINK_TYPES_MAX 16 /* of one capture; packets of further ones do not match */
#define SNAP_BYTES 262144
#define WORDS_MAX 4096

struct compiled {
    uint16_t link_type;
    bool works;
    struct bpf_program program;
};

struct capture_filter {
    void *library;
    __typeof__(pcap_open_dead) *open_dead;
    __typeof__(pcap_compile) *compile;
    __typeof__(pcap_geterr) *error_words;
    __typeof__(pcap_close) *close;
    __typeof__(pcap_freecode) *free_code;
    __typeof__(bpf_filter) *run;
    struct compiled compiled[LINK_TYPES_MAX];
    unsigned n_compiled, last;
    uint32_t snap_bytes;
    char text[];
};

static int fails(int error, const char *call, const char *text, const char *words, struct sonde_why *ret_why)
{
    *ret_why = (struct sonde_why){.code = error, .call = call};
    snprintf(ret_why->subject, sizeof ret_why->subject, "%s", text);
    snprintf(ret_why->detail, sizeof ret_why->detail, "%s", words);
    return error;
}

/* ---- libpcap */

static void *open_library(void)
{
    static const char *const names[] = {"libpcap.so.0.8", "libpcap.so.1", "libpcap.so"};
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return library;
}

/* A function's address through an object's: POSIX wants dlsym to be used so. */
static bool find(void *library, const char *name, void *ret_function)
{
    void *found = dlsym(library, name);
    memcpy(ret_function, &found, sizeof found);
    return found;
}

static bool find_functions(struct capture_filter *filter)
{
    void *library = filter->library;
    return find(library, "pcap_open_dead", &filter->open_dead) && find(library, "pcap_compile", &filter->compile) &&
           find(library, "pcap_geterr", &filter->error_words) && find(library, "pcap_close", &filter->close) &&
           find(library, "pcap_freecode", &filter->free_code) && find(library, "bpf_filter", &filter->run);
}

/* In files, raw IP has another number than in libpcap's calls. */
static int library_link_type(uint16_t link_type)
{
    switch (link_type) {
    case LINK_RAW:
    case LINK_RAW_OPENBSD:
    case LINK_RAW_BSDOS:
        return DLT_RAW;
    default:
        return link_type;
    }
}

static int compile_for(struct capture_filter *filter, struct compiled *compiled, struct sonde_why *ret_why)
{
    pcap_t *dead = filter->open_dead(library_link_type(compiled->link_type), (int)filter->snap_bytes);
    if (!dead)
        return fails(-ENOMEM, "filter", filter->text, sonde_strerror(-ENOMEM), ret_why);
    int error = 0;
    if (filter->compile(dead, &compiled->program, filter->text, 1, PCAP_NETMASK_UNKNOWN) < 0)
        error = fails(-EINVAL, "filter", filter->text, filter->error_words(dead), ret_why);
    else
        compiled->works = true;
    filter->close(dead);
    return error;
}

/* ---- */

int capture_filter_compile(const char *text, uint16_t link_type, uint32_t snap_bytes,
                           struct capture_filter **ret_filter, struct sonde_why *ret_why)
{
    size_t n_text = strlen(text);
    if (n_text > WORDS_MAX)
        return fails(-EINVAL, "filter", "", "the filter is too long", ret_why);
    struct capture_filter *filter = calloc(1, sizeof *filter + n_text + 1);
    if (!filter)
        return fails(-ENOMEM, "filter", text, sonde_strerror(-ENOMEM), ret_why);
    memcpy(filter->text, text, n_text);
    filter->snap_bytes = snap_bytes > 0 && snap_bytes < INT32_MAX ? snap_bytes : SNAP_BYTES;
    filter->library = open_library();
    int error;
    if (!filter->library || !find_functions(filter)) {
        error =
            fails(-ENOENT, "dlopen", "libpcap.so", "filters are compiled by libpcap, which is not installed", ret_why);
    } else {
        filter->compiled[0].link_type = link_type;
        filter->n_compiled = 1;
        error = compile_for(filter, &filter->compiled[0], ret_why);
    }
    if (error < 0) {
        capture_filter_free(filter);
        return error;
    }
    *ret_filter = filter;
    return 0;
}

static const struct compiled *compiled_for(struct capture_filter *filter, uint16_t link_type)
{
    if (filter->compiled[filter->last].link_type == link_type)
        return &filter->compiled[filter->last];
    for (unsigned i = 0; i < filter->n_compiled; i++) {
        if (filter->compiled[i].link_type == link_type) {
            filter->last = i;
            return &filter->compiled[i];
        }
    }
    if (filter->n_compiled == LINK_TYPES_MAX)
        return NULL;
    struct sonde_why why;
    struct compiled *compiled = &filter->compiled[filter->n_compiled];
    compiled->link_type = link_type;
    compile_for(filter, compiled, &why);
    filter->last = filter->n_compiled++;
    return compiled;
}

bool capture_filter_matches(struct capture_filter *filter, const struct packet *packet)
{
    const struct compiled *compiled = compiled_for(filter, packet->link_type);
    return compiled && compiled->works &&
           filter->run(compiled->program.bf_insns, packet->data, packet->n_wire, packet->n_captured) != 0;
}

void capture_filter_free(struct capture_filter *filter)
{
    if (!filter)
        return;
    for (unsigned i = 0; i < filter->n_compiled; i++) {
        if (filter->compiled[i].works)
            filter->free_code(&filter->compiled[i].program);
    }
    if (filter->library)
        dlclose(filter->library);
    free(filter);
}

/* ---- for the socket */

const struct sock_filter *capture_filter_program(const struct capture_filter *filter, unsigned *ret_n_instructions)
{
    /* struct bpf_insn is laid out as the kernel's struct sock_filter is. */
    _Static_assert(sizeof(struct bpf_insn) == 8, "an instruction has eight bytes");
    *ret_n_instructions = filter->compiled[0].program.bf_len;
    return (const struct sock_filter *)(const void *)filter->compiled[0].program.bf_insns;
}

bool capture_filter_wants_vlan(const struct capture_filter *filter)
{
    static const char word[] = "vlan";
    for (const char *at = filter->text; (at = strstr(at, word)) != NULL; at++) {
        bool begins = at == filter->text || !isalnum((unsigned char)at[-1]);
        if (begins && !isalnum((unsigned char)at[sizeof word - 1]))
            return true;
    }
    return false;
}
