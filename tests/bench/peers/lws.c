/*
 * A WebSocket echo server on libwebsockets: one thread, no compression, each message gathered and sent back whole.
 * argv[1] is the port.
 */
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_MAX = 1 << 20 };

struct session {
    unsigned char *bytes; /* behind LWS_PRE of room for the frame's head */
    size_t n;
    int waits;
};

static int echo(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t n)
{
    struct session *session = user;

    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        session->bytes = malloc(LWS_PRE + MESSAGE_MAX);
        session->n = 0;
        return session->bytes == NULL;
    case LWS_CALLBACK_CLOSED:
        free(session->bytes);
        return 0;
    case LWS_CALLBACK_RECEIVE:
        if (session->n + n > MESSAGE_MAX)
            return -1;
        memcpy(session->bytes + LWS_PRE + session->n, in, n);
        session->n += n;
        if (lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0) {
            lws_rx_flow_control(wsi, 0);
            lws_callback_on_writable(wsi);
        }
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        if (session->n > 0) {
            size_t whole = session->n;
            session->n = 0;
            if (lws_write(wsi, session->bytes + LWS_PRE, whole, LWS_WRITE_BINARY) < (int)whole)
                return -1;
            lws_rx_flow_control(wsi, 1);
        }
        return 0;
    default:
        return 0;
    }
}

int main(int argc, char **argv)
{
    static const struct lws_protocols protocols[] = {
        {.name = "echo", .callback = echo, .per_session_data_size = sizeof(struct session), .rx_buffer_size = 65536},
        {.name = NULL},
    };
    struct lws_context_creation_info info = {.port = argc > 1 ? atoi(argv[1]) : 0,
                                             .iface = "127.0.0.1",
                                             .protocols = protocols,
                                             .options = LWS_SERVER_OPTION_DISABLE_IPV6,
                                             .pt_serv_buf_size = 65536};

    lws_set_log_level(LLL_ERR, NULL);
    struct lws_context *context = lws_create_context(&info);
    if (context != NULL) {
        printf("ws://127.0.0.1:%d\n", info.port);
        fflush(stdout);
    }
    while (context != NULL && lws_service(context, 0) >= 0)
        ;
    return 1;
}
