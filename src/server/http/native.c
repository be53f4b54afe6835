#include "server/http/inside.h"

#include <assert.h>
#include <stdatomic.h>

/* A block of a streamed answer: what a slow reader costs. */
#define STREAM_BLOCK ((uint64_t)64 << 10)

void native_free(void *native)
{
	MHD_destroy_response(native);
}

static ssize_t stream_read(void *cls, uint64_t pos, char *buf, size_t max)
{
	struct reply *reply = cls;
	ssize_t n = reply->read(reply->read_ctx, pos, (uint8_t *)buf, max);

	return n == REPLY_READ_ERROR ? MHD_CONTENT_READER_END_WITH_ERROR : n;
}

static struct MHD_Response *native_body(struct reply *reply)
{
	switch (reply->kind) {
	case REPLY_TEXT:
		return MHD_create_response_from_buffer(reply->size, reply->text,
						       MHD_RESPMEM_PERSISTENT);
	case REPLY_PIECES:
		/* B3, B4: never more pieces than the pool and the kernel take */
		assert(reply->piece_count <= REPLY_PIECES_MAX);
		return MHD_create_response_from_iovec((const struct MHD_IoVec *)reply->pieces,
						      (unsigned)reply->piece_count, NULL, NULL);
	case REPLY_STREAM:
		return MHD_create_response_from_callback(
			reply->size, reply->size < STREAM_BLOCK ? reply->size + 1 : STREAM_BLOCK,
			stream_read, reply, NULL);
	case REPLY_EMPTY:
		break;
	}
	return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
}

static struct MHD_Response *native_make(struct reply *reply)
{
	struct MHD_Response *m = native_body(reply);

	if (m == NULL)
		return NULL;
	for (size_t i = 0; i < reply->header_count; i++)
		(void)MHD_add_response_header(m, reply->headers[i].name, reply->headers[i].value);
	/* what an origin is told of this answer is not told to everyone */
	(void)MHD_add_response_header(m, "Vary", "Origin");
	return m;
}

struct MHD_Response *native_alone(struct reply *reply, const struct own_field *own,
				  size_t own_count, bool close)
{
	struct MHD_Response *m = native_make(reply);

	if (m == NULL)
		return NULL;
	for (size_t i = 0; i < own_count; i++)
		(void)MHD_add_response_header(m, own[i].name, own[i].value);
	if (close)
		(void)MHD_add_response_header(m, "Connection", "close");
	return m;
}

/* The native form is made once, and kept with the reply: a reply that answers many requests, maybe
 * from several loops, is worth that. It refers to memory of the reply, of which every request
 * keeps a reference until it is over. */
struct MHD_Response *native_of(struct reply *reply)
{
	struct MHD_Response *m = atomic_load(&reply->native);
	void *none = NULL;

	if (m != NULL)
		return m;
	m = native_make(reply);
	if (m == NULL)
		return NULL;
	if (atomic_compare_exchange_strong(&reply->native, &none, m))
		return m;
	MHD_destroy_response(m);
	return none;
}
