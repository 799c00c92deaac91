/* SPDX-License-Identifier: MIT */
/* A PROXY header, in text, and a listener that waits for one. */
#ifndef CONTRACT_PROXY_LINE_H
#define CONTRACT_PROXY_LINE_H

#define AT "tcp://127.0.0.1:0?proxy=in"
#define LINE "PROXY TCP4 192.0.2.7 198.51.100.1 5555 80\r\n"
#define FROM "192.0.2.7:5555"

#endif
