// SPDX-License-Identifier: MIT
//
// Between the `user` backend and its helper process, which holds the TCP/IP stack: a stream socket
// (the helper's standard input). First the whole struct net_user_config, from the same build; then
// frames as in stream.h both ways. The helper's first frame is its greeting: what kept it from
// starting, or an empty text.
#pragma once

#define USERNET_GREETING 256 /* bytes, text with zeros behind it */
#define USERNET_MTU 1500

/* The helper program, an ELF file in our read-only data. */
extern const unsigned char usernet_image[], usernet_image_end[];
