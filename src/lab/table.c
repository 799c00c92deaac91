/* SPDX-License-Identifier: MIT */
/* All experiments, by chapter, in the order of reading. A new one is a file in its chapter's folder, a line in table.h
 * and a row here. */
#include "lab/table.h"

const struct experiment *const experiments[] = {
    /* Sockets */
    &experiment_families,
    &experiment_addresses,
    &experiment_ports,
    /* Opening */
    &experiment_handshake,
    &experiment_initial_number,
    &experiment_flags,
    &experiment_half_open,
    &experiment_refused,
    &experiment_own_address,
    &experiment_listener,
    &experiment_listen_arguments,
    &experiment_accept,
    &experiment_no_accept,
    &experiment_two_queues,
    &experiment_overflow,
    &experiment_four_tuple,
    /* Data */
    &experiment_boundaries,
    &experiment_framing,
    &experiment_stream,
    &experiment_stale_tail,
    &experiment_buffer_size,
    &experiment_blocking_write,
    &experiment_when_it_leaves,
    &experiment_close_and_buffers,
    &experiment_zero_window,
    &experiment_acknowledgement,
    /* Trouble */
    &experiment_repairs,
    &experiment_timer,
    &experiment_giving_up,
    &experiment_congestion,
    &experiment_datagrams,
    &experiment_two_paths,
    /* Closing */
    &experiment_ways_to_close,
    &experiment_left_open,
    &experiment_last_ack_lost,
    &experiment_time_wait,
    &experiment_closed_socket,
    /* Layers */
    &experiment_layers,
    &experiment_web_page,
    NULL,
};
