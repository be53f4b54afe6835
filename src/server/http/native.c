#include "server/http/inside.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "server/pages.h"

/* A block of a streamed answer: what a slow reader costs. */
#define STREAM_BLOCK ((uint64_t)64 << 10)

void native_free(void *native)
{
	MHD_destroy_response(native);
}

static void put_piece(struct request *r)
{
	chunk_unref(r->piece.chunk);
	r->piece.chunk = NULL;
}

/* A piece is held on to while there is room: else a slow reader costs its block and no page. */
static size_t copy_piece(struct request *r, char *buf, size_t max)
{
	struct reply_piece *p = &r->piece;
	const size_t n = p->len < max ? p->len : max;

	memcpy(buf, p->data, n);
	p->data += n;
	p->len -= n;
	r->piece_pos += n;
	r->streamed = r->piece_pos;
	if (p->len == 0 || !pages_have_room(request_server(r)))
		put_piece(r);
	return n;
}

/* RFC 9112 section 9.8: TLS tells this end from a clean one. */
static ssize_t cut_off(struct request *r)
{
	request_cut(r);
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

/* No more than one piece a call: what is copied goes out before anything is waited for. */
static ssize_t stream_read(void *cls, uint64_t pos, char *buf, size_t max)
{
	struct request *r = cls;

	if (r->left || atomic_load(&r->side->loop->http->phase) == CUTTING)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (r->piece.chunk != NULL && r->piece_pos == pos)
		return (ssize_t)copy_piece(r, buf, max);
	put_piece(r);
	r->piece_pos = pos;
	switch (r->reply->read(r->reply->read_ctx, pos, &r->piece)) {
	case REPLY_PIECE:
		return (ssize_t)copy_piece(r, buf, max);
	case REPLY_IDLE:
		request_idle(r);
		return 0;
	case REPLY_END:
		return MHD_CONTENT_READER_END_OF_STREAM;
	case REPLY_CUT:
		return cut_off(r);
	case REPLY_WAIT:
		break;
	}
	return 0;
}

static struct MHD_Response *native_body(struct reply *reply, struct request *r)
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
			reply->size == REPLY_SIZE_UNKNOWN ? MHD_SIZE_UNKNOWN : reply->size,
			reply->size < STREAM_BLOCK ? reply->size + 1 : STREAM_BLOCK, stream_read, r,
			NULL);
	case REPLY_EMPTY:
		break;
	}
	return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
}

static struct MHD_Response *native_make(struct reply *reply, struct request *r)
{
	struct MHD_Response *m = native_body(reply, r);

	if (m == NULL)
		return NULL;
	for (size_t i = 0; i < reply->header_count; i++)
		(void)MHD_add_response_header(m, reply->headers[i].name, reply->headers[i].value);
	/* what an origin is told of this answer is not told to everyone */
	(void)MHD_add_response_header(m, "Vary", "Origin");
	return m;
}

struct MHD_Response *native_alone(struct request *r, const struct own_field *own, size_t own_count,
				  bool close)
{
	struct MHD_Response *m = native_make(r->reply, r);

	if (m == NULL)
		return NULL;
	/* B6: else HEAD is answered with the end of a chunked body */
	if ((r->head_only || r->reply->status == 304) && r->reply->size == REPLY_SIZE_UNKNOWN)
		(void)MHD_set_response_options(m, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
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
	m = native_make(reply, NULL);
	if (m == NULL)
		return NULL;
	if (atomic_compare_exchange_strong(&reply->native, &none, m))
		return m;
	MHD_destroy_response(m);
	return none;
}
