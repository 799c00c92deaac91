/* SPDX-License-Identifier: MIT */
/*
 * The page's life. Its loop is made and listens before its thread begins, so that what cannot be listened on is known,
 * and the URL, while nothing is served yet. At the end everything on the loop is closed there, viewers politely; what
 * has not gone in half a second is cut off. The loop returns when nothing is open any more.
 */
#include "page/assets.h"
#include "page/page_internal.h"
#include "term/translate.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { N_MAILBOX = 256 }; /* its own answers are posted once; the rest is for the lab */

/* --- the kernel's sockets ----------------------------------------------------------------------------------------- */

static void look(struct sonde_timer *timer)
{
    struct page *page = timer->user;
    int64_t next_ns = look_run(page->look, page->n_viewers);

    if (page->n_viewers > 0 && !page->ending)
        sonde_timer_start(timer, next_ns);
}

void page_look_now(struct page *page)
{
    if (page->look != NULL && !page->ending)
        sonde_timer_start(&page->look_tick, 0);
}

struct store *page_store(const struct page *page)
{
    return page->store;
}

struct sampling *page_sampling(const struct page *page)
{
    return store_sampling(page->store);
}

/* --- making ------------------------------------------------------------------------------------------------------- */

static int fail(int error, const char *call, const char *detail, struct sonde_why *ret_why)
{
    if (ret_why != NULL) {
        *ret_why = (struct sonde_why){.code = error, .call = call};
        snprintf(ret_why->detail, sizeof ret_why->detail, "%s", detail);
    }
    return error;
}

static int copy_settings(struct page *page, const struct page_settings *settings)
{
    page->settings = *settings;
    page->settings.url = NULL;
    page->settings.verb = strdup(settings->verb != NULL ? settings->verb : "");
    page->settings.title = strdup(settings->title != NULL ? settings->title : "");
    page->rights = (settings->read_only ? 0 : settings->rights) | PAGE_SEE;
    return page->settings.verb != NULL && page->settings.title != NULL ? 0 : -ENOMEM;
}

static int make_tls(struct page *page, const struct page_address *address, struct sonde_why *ret_why)
{
    const char *const names[] = {address->name[0] != '\0' ? address->name : NULL, NULL};
    const struct sonde_tls_options options = {.size = sizeof options, .server = 1, .names = names};

    return address->is_https ? sonde_tls_create(&options, &page->tls, ret_why) : 0;
}

static int listen_at(struct page *page, const struct page_address *address, struct sonde_why *ret_why)
{
    /* By exactly this name and port: a page from another port of this machine is one from elsewhere. */
    char host[sizeof address->name + 8];
    const char *const hosts[] = {host, NULL};
    const struct sonde_web_server web = {
        .size = sizeof web,
        /* A browser is on this machine, or near: what compression saves is not worth its time. */
        .settings = {.message_limit_bytes = PAGE_COMMAND_MAX, .no_deflate = 1, .ping_interval_ns = 2 * PAGE_STUCK_NS},
        .hosts = address->name[0] != '\0' && address->url.port != 0 ? hosts : NULL,
    };
    const struct sonde_listen_options options = {
        .size = sizeof options,
        .send_limit_bytes = PAGE_QUEUE_BYTES_MAX,
        .tls = page->tls,
        .web = &web,
        .any_kinds = 1u << SONDE_ANY_HTTP | 1u << SONDE_ANY_WS | (page->tls != NULL ? 1u << SONDE_ANY_TLS : 0),
        .any_wait_ns = PAGE_HELLO_NS, /* browsers connect before they have anything to ask */
    };

    snprintf(host, sizeof host, strchr(address->name, ':') != NULL ? "[%s]:%u" : "%s:%u", address->name,
             address->url.port);
    return sonde_listen(page->loop, &address->url, &options, &server_handler, page, &page->listener, ret_why);
}

static int listen_somewhere(struct page *page, const struct page_settings *settings, struct sonde_why *ret_why)
{
    struct page_address address;
    int error = address_parse(settings->url != NULL ? settings->url : PAGE_URL_DEFAULT, &address, ret_why);

    if (error == 0)
        error = make_tls(page, &address, ret_why);
    if (error < 0)
        return error;
    error = listen_at(page, &address, ret_why);
    if (error == -EADDRINUSE && settings->url == NULL) {
        address.url.port = 0;
        error = listen_at(page, &address, ret_why);
    }
    if (error < 0)
        return error;
    address_origin(&address, page->listener, page->origin);
    snprintf(page->url, sizeof page->url, "%s/#%s", page->origin, page->token);
    return 0;
}

static int fill(struct page *page, const struct page_settings *settings, struct sonde_why *ret_why)
{
    const struct sonde_loop_options options = {.size = sizeof options, .n_mailbox = N_MAILBOX};
    int error = copy_settings(page, settings);

    if (error == 0)
        error = token_make(page->token);
    if (error == 0 && (page->store = store_new(&page->settings)) == NULL)
        error = -ENOMEM;
    if (error < 0)
        return fail(error, "page", "", ret_why);
    error = sonde_loop_create(&options, &page->loop, ret_why);
    return error < 0 ? error : listen_somewhere(page, settings, ret_why);
}

int page_create(const struct page_settings *settings, const struct page_asset *assets, struct page **ret_page,
                struct sonde_why *ret_why)
{
    struct page *page;
    int error;

    if (assets[0].path == NULL)
        return fail(-ENOSYS, "page", _("this sonde was built without the page"), ret_why);
    page = calloc(1, sizeof *page);
    if (page == NULL)
        return fail(-ENOMEM, "page", "", ret_why);
    page->assets = assets;
    page->done_end = &page->done;
    pthread_mutex_init(&page->lock, NULL);
    error = fill(page, settings, ret_why);
    if (error < 0) {
        page_end(page);
        return error;
    }
    sonde_timer_init(&page->tick, page->loop, viewers_tick, page);
    sonde_timer_init(&page->look_tick, page->loop, look, page);
    *ret_page = page;
    return 0;
}

int page_new(const struct page_settings *settings, struct page **ret_page, struct sonde_why *ret_why)
{
    return page_create(settings, page_assets, ret_page, ret_why);
}

/* --- what is known of it ------------------------------------------------------------------------------------------ */

const char *page_url(const struct page *page)
{
    return page->url;
}

const char *page_origin(const struct page *page)
{
    return page->origin;
}

const char *page_fingerprint(const struct page *page)
{
    return page->tls != NULL ? sonde_tls_fingerprint(page->tls) : "";
}

/* Nothing that could end an item of a policy. */
static bool is_client_url(const char *url)
{
    static const char others[] = "-._~:/?%=&+,";
    const char *authority = strstr(url, "://");

    if ((strncmp(url, "ws://", 5) != 0 && strncmp(url, "wss://", 6) != 0) || authority[3] == '\0')
        return false;
    if (strcspn(authority + 3, ",%&=+~") < strcspn(authority + 3, "/?"))
        return false;
    for (const char *c = url; *c != '\0'; c++)
        if (!(*c >= 'a' && *c <= 'z') && !(*c >= 'A' && *c <= 'Z') && !(*c >= '0' && *c <= '9') &&
            strchr(others, *c) == NULL)
            return false;
    return true;
}

int page_add_client_url(struct page *page, const char *url)
{
    const char *authority = strstr(url, "://");

    if (authority != NULL && authority[3] == '[')
        return -EAFNOSUPPORT;
    if (strlen(url) >= PAGE_URL_MAX || !is_client_url(url))
        return -EINVAL;
    if (page->n_client_urls == PAGE_CLIENT_URLS_MAX)
        return -ENOSPC;
    page->client_urls[page->n_client_urls] = strdup(url);
    if (page->client_urls[page->n_client_urls] == NULL)
        return -ENOMEM;
    page->n_client_urls++;
    return 0;
}

void page_set_no_packets(struct page *page, const char *sentence)
{
    char *copy = sentence != NULL ? strdup(sentence) : NULL;

    pthread_mutex_lock(&page->lock);
    free(page->no_packets);
    page->no_packets = copy;
    page->packets_version++;
    pthread_mutex_unlock(&page->lock);
}

void page_set_talk(struct page *page, enum page_talk talk, const char *why)
{
    pthread_mutex_lock(&page->lock);
    page->talk = talk;
    snprintf(page->talk_why, sizeof page->talk_why, "%s", why != NULL ? why : "");
    page->talk_version++;
    pthread_mutex_unlock(&page->lock);
}

void page_set_filter(struct page *page, unsigned kinds, const struct sockets_filter *filter)
{
    page->settings.kinds = kinds;
    page->settings.filter = filter;
}

void page_listening(struct page *page, const char *url, const char *note)
{
    store_listening(page->store, url, note);
}

/* --- its thread --------------------------------------------------------------------------------------------------- */

static void *run(void *user)
{
    struct page *page = user;

    sonde_loop_run(page->loop);
    return NULL;
}

static int begin_thread(struct page *page)
{
    sigset_t all, before;
    int error;

    sigfillset(&all); /* signals are for the threads that there were before */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = -pthread_create(&page->thread, NULL, run, page);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    page->has_thread = error == 0;
    return error;
}

int page_begin(struct page *page)
{
    int error = look_new(page->store, &page->settings, &page->look);

    if (error < 0)
        return error;
    page_look_now(page); /* what is there before anybody looks on */
    return begin_thread(page);
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

static void cut_off(struct sonde_timer *timer)
{
    struct page *page = timer->user;

    for (struct sonde_stream *stream = NULL; (stream = sonde_stream_next(page->loop, stream)) != NULL;)
        sonde_stream_abort(stream);
}

void page_check_end(struct page *page)
{
    if (page->ending && page->n_viewers + page->n_strangers + page->n_requests == 0)
        sonde_timer_stop(&page->tick);
}

static void end(void *user)
{
    struct page *page = user;

    page->ending = true;
    sonde_listener_close(page->listener);
    sonde_timer_stop(&page->look_tick);
    viewers_bye(page);
    page_lab_stop(page);
    sonde_timer_stop(&page->tick);
    sonde_timer_init(&page->tick, page->loop, cut_off, page);
    sonde_timer_start_in(&page->tick, PAGE_BYE_NS);
    page_check_end(page);
}

static void end_loop(struct page *page)
{
    if (page->has_thread) {
        while (sonde_loop_post(page->loop, end, page) < 0) /* it is full for a moment */
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        pthread_join(page->thread, NULL);
    } else if (page->listener != NULL) {
        end(page);
        sonde_loop_run(page->loop);
    }
    if (page->loop != NULL)
        sonde_loop_destroy(page->loop);
}

void page_end(struct page *page)
{
    if (page == NULL)
        return;
    end_loop(page);
    page_traces_free(page);
    page_lab_free(page);
    page_loops_free(page);
    look_free(page->look);
    store_free(page->store);
    sonde_tls_free(page->tls);
    for (unsigned i = 0; i < page->n_client_urls; i++)
        free(page->client_urls[i]);
    free((char *)page->settings.verb);
    free((char *)page->settings.title);
    free(page->no_packets);
    text_free(&page->text);
    pthread_mutex_destroy(&page->lock);
    explicit_bzero(page->token, sizeof page->token);
    explicit_bzero(page->url, sizeof page->url);
    free(page);
}
