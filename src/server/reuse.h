/* reuse - an upload of a blob that is there, without its bytes (doc/http-api.md, "What is there
 * already"): HEAD /v1/blobs/{sha256} asks, and gets a challenge; POST /v1/uploads with its answer
 * finishes at once. For grants that allow it only: who may ask learns what is stored here. */
#ifndef RESTANTE_SERVER_REUSE_H
#define RESTANTE_SERVER_REUSE_H

#include "server/http.h"

extern const struct handler reuse_ask_handler, reuse_create_handler;

#endif
