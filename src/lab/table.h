/* SPDX-License-Identifier: MIT */
/* The experiments' descriptions, each from the file of its name. */
#ifndef LAB_TABLE_H
#define LAB_TABLE_H

#include "lab/lab.h"

/* Sockets */
extern const struct experiment experiment_families;
extern const struct experiment experiment_addresses;
extern const struct experiment experiment_ports;
/* Opening */
extern const struct experiment experiment_handshake;
extern const struct experiment experiment_initial_number;
extern const struct experiment experiment_flags;
extern const struct experiment experiment_half_open;
extern const struct experiment experiment_refused;
extern const struct experiment experiment_own_address;
extern const struct experiment experiment_listener;
extern const struct experiment experiment_listen_arguments;
extern const struct experiment experiment_accept;
extern const struct experiment experiment_no_accept;
extern const struct experiment experiment_two_queues;
extern const struct experiment experiment_overflow;
extern const struct experiment experiment_four_tuple;
/* Data */
extern const struct experiment experiment_boundaries, experiment_framing, experiment_stream, experiment_stale_tail,
    experiment_buffer_size, experiment_blocking_write, experiment_when_it_leaves, experiment_close_and_buffers,
    experiment_zero_window, experiment_acknowledgement;
/* Trouble */
extern const struct experiment experiment_repairs, experiment_timer, experiment_giving_up, experiment_congestion,
    experiment_datagrams, experiment_two_paths;
/* Closing */
extern const struct experiment experiment_ways_to_close, experiment_left_open, experiment_last_ack_lost,
    experiment_time_wait, experiment_closed_socket;
/* Layers */
extern const struct experiment experiment_layers;
extern const struct experiment experiment_web_page;

#endif
