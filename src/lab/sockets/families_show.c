/* SPDX-License-Identifier: MIT */
/* The tables of families and protocols. A cell is a mark; the table behind them says what each mark is. */
#include "lab/sockets/families_internal.h"

#include "term/translate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define OTHER_ERRORS_MAX 8

/* What an error of socket(2) means; others are as sonde_strerror says. */
static const struct {
    int error;
    const char *mark;
    const char *meaning;
} meanings[] = {
    {EAFNOSUPPORT, "family", N_("this kernel has no such family")},
    {ESOCKTNOSUPPORT, "type", N_("the family has no such type")},
    {EPROTONOSUPPORT, "proto", N_("not with this protocol")},
    {EPERM, "perm", N_("not permitted: lacks a capability")},
    {EACCES, "EACCES", N_("not allowed to this user or group")},
    {ENODEV, "ENODEV", N_("there is no device to carry it")},
    {EINVAL, "EINVAL", N_("there is no such number")},
    {EOPNOTSUPP, "EOPNOTSUPP", N_("this type can't do that here")},
};

#define N_MEANINGS (sizeof(meanings) / sizeof(meanings[0]))

/* How often each mark was used. */
struct legend {
    unsigned yes, capable, n_meaning[N_MEANINGS];
    unsigned n_other;
    struct {
        int error;
        unsigned n;
    } other[OTHER_ERRORS_MAX];
    bool domain_differs, type_differs;
    bool otherwise; /* EPERM, and with the capability another error */
};

static const char *mark_of_error(struct legend *legend, int error)
{
    for (size_t i = 0; i < N_MEANINGS; i++) {
        if (meanings[i].error != error)
            continue;
        legend->n_meaning[i]++;
        return meanings[i].mark;
    }
    for (unsigned i = 0; i < OTHER_ERRORS_MAX; i++) {
        if (i < legend->n_other && legend->other[i].error != error)
            continue;
        if (i == legend->n_other)
            legend->n_other++;
        legend->other[i].error = error;
        legend->other[i].n++;
        break;
    }
    return sonde_error_name(-error);
}

static void cell(struct families *families, struct legend *legend, const struct made *ordinary,
                 const struct made *privileged, int family, int type)
{
    const struct made *made = ordinary;
    const char *mark = "yes";

    if (ordinary->error && families->has_privileged && !privileged->error) {
        made = privileged;
        mark = "cap";
        legend->capable++;
    } else if (ordinary->error) {
        bool otherwise = families->has_privileged && ordinary->error == EPERM && privileged->error != EPERM;
        legend->otherwise |= otherwise;
        lab_cell(families->lab, "%s%s", mark_of_error(legend, ordinary->error), otherwise ? "(c)" : "");
        return;
    } else {
        legend->yes++;
    }
    bool other_family = made->family >= 0 && made->family != family;
    bool other_type = made->type >= 0 && made->type != type;
    legend->domain_differs |= other_family;
    legend->type_differs |= other_type && !other_family;
    lab_cell(families->lab, "%s%s", mark, other_family ? "(b)" : other_type ? "(a)" : "");
}

static void show_families(struct families *families, struct legend *legend)
{
    static const char *const heads[] = {N_("family"), "STREAM", "DGRAM", "SEQPACKET", "RAW", "RDM", "PACKET"};

    lab_say(families->lab, _("Each family and type with protocol 0, for an ordinary user:"));
    lab_table(families->lab, N_TYPES + 1, heads);
    for (int f = 0; f < N_FAMILIES; f++) {
        lab_cell(families->lab, "%s", families_families[f].name);
        for (int t = 0; t < N_TYPES; t++)
            cell(families, legend, &families->ordinary->family[f][t], &families->privileged.family[f][t],
                 families_families[f].number, families_types[t].number);
    }
    lab_table_end(families->lab);
}

static bool same_outcome(const struct made *one, const struct made *other)
{
    return one->error == other->error && one->type == other->type && one->protocol == other->protocol;
}

static void show_protocols(struct families *families, struct legend *legend)
{
    static const char *const heads[] = {N_("protocol"), N_("number"), "STREAM", "DGRAM", "SEQPACKET", "RAW"};
    unsigned n_same = 0;

    lab_say(families->lab, _("AF_INET with each protocol:"));
    lab_table(families->lab, N_INET_TYPES + 2, heads);
    for (int p = 0; p < N_PROTOCOLS; p++) {
        lab_cell(families->lab, "%s", families_protocols[p].name);
        lab_cell(families->lab, "%d", families_protocols[p].number);
        for (int t = 0; t < N_INET_TYPES; t++) {
            const struct made *ordinary = &families->ordinary->protocol[0][p][t];
            cell(families, legend, ordinary, &families->privileged.protocol[0][p][t], AF_INET,
                 families_types[t].number);
            n_same += same_outcome(ordinary, &families->ordinary->protocol[1][p][t]);
        }
    }
    lab_table_end(families->lab);
    lab_say(families->lab, _("AF_INET6 gives the ordinary user the same in %u of these %d cells."), n_same,
            N_PROTOCOLS * N_INET_TYPES);
}

static void legend_row(struct lab *lab, const char *mark, unsigned n, int error, const char *meaning)
{
    if (n == 0)
        return;
    lab_cell(lab, "%s", mark);
    lab_cell(lab, "%u", n);
    if (error)
        lab_cell(lab, "%s %d", sonde_error_name(-error), error);
    else
        lab_cell(lab, "-");
    lab_cell(lab, "%s", meaning);
}

static void show_legend(struct families *families, const struct legend *legend)
{
    static const char *const heads[] = {N_("mark"), N_("cells"), "errno", N_("what it means")};
    struct lab *lab = families->lab;

    lab_table(lab, 4, heads);
    legend_row(lab, "yes", legend->yes, 0, _("made, without any capability"));
    legend_row(lab, "cap", legend->capable, 0, _("made with CAP_NET_RAW only"));
    for (size_t i = 0; i < N_MEANINGS; i++)
        legend_row(lab, meanings[i].mark, legend->n_meaning[i], meanings[i].error, _(meanings[i].meaning));
    for (unsigned i = 0; i < legend->n_other; i++)
        legend_row(lab, sonde_error_name(-legend->other[i].error), legend->other[i].n, legend->other[i].error,
                   sonde_strerror(-legend->other[i].error));
    lab_table_end(lab);
    if (legend->type_differs)
        lab_footnote(lab, _("(a) made, but SO_TYPE says another type than was asked for"));
    if (legend->domain_differs)
        lab_footnote(lab,
                     _("(b) made, but SO_DOMAIN says another family than was asked for (an old form of AF_PACKET)"));
    if (legend->otherwise)
        lab_footnote(lab, _("(c) who has CAP_NET_RAW gets another error: the capability is asked for first"));
    if (!families->has_privileged)
        lab_footnote(lab, _("What CAP_NET_RAW would change is not shown: this user has it nowhere."));
}

void families_show(struct families *families)
{
    struct legend legend = {0};

    show_families(families, &legend);
    show_protocols(families, &legend);
    show_legend(families, &legend);
}

void families_row_text(const struct made *row, size_t n, char *ret_text, size_t size_bytes)
{
    size_t used = 0;

    ret_text[0] = '\0';
    for (size_t i = 0; i < n && used < size_bytes; i++)
        used += (size_t)snprintf(ret_text + used, size_bytes - used, "%s%s", i ? " " : "",
                                 row[i].error ? sonde_error_name(-row[i].error) : "yes");
}
